import { type FileHandle, mkdir, open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Logger } from '@cable/kit';

/** What the file has at the most; then it takes the place of the former one. */
const FILE_BYTES = 64 * 1024 * 1024;
/** What waits for the disk at the most. */
const WAITING_BYTES = 1024 * 1024;
/** Of root and its group alone: it says who talks to whom. */
const MODE = 0o640;

export type LogFileOptions = {
  readonly path: string;
  /** What is in it, for people. */
  readonly what: string;
  readonly log: Logger;
  /** Default: 64 MiB. */
  readonly maxBytes?: number;
};

/**
 * A file of lines that is never larger than so much, with one former file beside it (`.1`): guests decide how much is written. Who moves it away himself gets a new one.
 * A disk that takes nothing holds nobody up: lines that wait too long are refused.
 */
export class LogFile {
  readonly #options: LogFileOptions;
  #waiting: string[] = [];
  /** Of what waits, and of what is being written. */
  #bytes = 0;
  #isBroken = false;
  #draining: Promise<void> | undefined;

  constructor(options: LogFileOptions) {
    this.#options = options;
  }

  /** False: there is no room for it. */
  write(line: string): boolean {
    const bytes = Buffer.byteLength(line) + 1;
    if (this.#bytes + bytes > WAITING_BYTES) return false;
    this.#waiting.push(`${line}\n`);
    this.#bytes += bytes;
    this.#draining ??= this.#drain();
    return true;
  }

  /** When what was taken until now is written, or cannot be. */
  async flushed(): Promise<void> {
    await this.#draining;
  }

  async #drain(): Promise<void> {
    // The lines of one turn are written together.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const lines = Buffer.from(this.#waiting.join(''));
      this.#waiting = [];
      await this.#append(lines);
      this.#bytes -= lines.length;
    }
    this.#draining = undefined;
  }

  async #append(lines: Buffer): Promise<void> {
    const { path, what, log } = this.#options;
    try {
      const file = await this.#open(lines.length);
      try {
        await file.appendFile(lines);
      } finally {
        await file.close();
      }
      this.#isBroken = false;
    } catch (err) {
      // Said once, until it works again.
      if (!this.#isBroken) log.error({ err, path }, `${what} are not written`);
      this.#isBroken = true;
    }
  }

  async #open(more: number): Promise<FileHandle> {
    const { path, maxBytes = FILE_BYTES } = this.#options;
    await mkdir(dirname(path), { recursive: true });
    const file = await open(path, 'a', MODE);
    const { size } = await file.stat();
    if (size === 0 || size + more <= maxBytes) return file;
    await file.close();
    await rename(path, `${path}.1`);
    return open(path, 'a', MODE);
  }
}
