/**
 * A file of lines that only grows. Who adds one does not wait: lines are written in their order, one batch after the other, and what could not be written waits.
 * What has no room in memory by then is counted, and the file says so where it is missing.
 */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { ExpectedError, type Logger, Repeats, sleep } from '@cable/kit';

export type AuditFileDeps = {
  readonly log: Logger;
  readonly now: () => Date;
  readonly monotonicMs: () => number;
  /** Most that waits in memory. Default 16 MiB. */
  readonly waitingBytes?: number;
  /** Time between tries. Default 1,000. */
  readonly retryMs?: number;
};

const WAITING_BYTES = 16 << 20;
const RETRY_MS = 1000;
/** How long the end of the process waits for the last lines. */
const CLOSE_MS = 2000;

/** A pipe would block who opens it; a file of before keeps its mode. */
const FLAGS = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK;
const NEWLINE = 10;

/** Lines that have no room: `from` the time of the first. */
type Lost = { count: number; readonly from: string };

export class AuditFile {
  readonly #path: string;
  readonly #deps: AuditFileDeps;
  readonly #repeats: Repeats;
  readonly #closing = new AbortController();
  #handle: FileHandle | undefined;
  #lines: string[] = [];
  #waiting = 0;
  #lost: Lost | undefined;
  #lostInAll = 0;
  /** What is being written, from its first byte that is not; it is of the file that is open if a line of it has begun there. */
  #batch: { readonly bytes: Buffer; done: number } | undefined;
  #isReopenAsked = false;
  #running: Promise<void> | undefined;

  private constructor(path: string, deps: AuditFileDeps) {
    this.#path = path;
    this.#deps = deps;
    this.#repeats = new Repeats(deps.monotonicMs);
  }

  /** Makes the file, for its owner alone, if it is not there. Throws `ExpectedError` when it cannot be written. */
  static async open(path: string, deps: AuditFileDeps): Promise<AuditFile> {
    const file = new AuditFile(path, deps);
    try {
      file.#handle = await openFile(path);
      return file;
    } catch (cause) {
      throw new ExpectedError(
        `--audit-log: cannot write ${path}: ${textOf(cause)}; give a file in a directory that is there`,
        {
          cause,
        },
      );
    }
  }

  /** Lines that are missing in the file, since the start. */
  get lost(): number {
    return this.#lostInAll;
  }

  /** Bytes that wait to be written. */
  get waitingBytes(): number {
    return this.#waiting;
  }

  /** Adds a line, which is given without its newline. */
  add(line: string): void {
    const bytes = Buffer.byteLength(line) + 1;
    if (this.#waiting + bytes > (this.#deps.waitingBytes ?? WAITING_BYTES)) {
      this.#lost ??= { count: 0, from: this.#deps.now().toISOString() };
      this.#lost.count += 1;
      this.#lostInAll += 1;
      return;
    }
    this.#waiting += bytes;
    this.#lines.push(line);
    this.#wake();
  }

  /** Goes on in the file that has its path by now: what is told when another has renamed it. */
  reopen(): void {
    this.#isReopenAsked = true;
    this.#wake();
  }

  /** Writes what waits, if that does not take long, and closes the file. */
  async close(): Promise<void> {
    const late = setTimeout(() => this.#closing.abort(), CLOSE_MS);
    while (this.#running !== undefined && !this.#closing.signal.aborted) await this.#running;
    clearTimeout(late);
    this.#closing.abort();
    await this.#running;
    if (this.#waiting > 0) this.#deps.log.error({ bytes: this.#waiting }, 'the last lines are not in the audit log');
    await this.#handle?.close().catch(() => undefined);
  }

  #wake(): void {
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
      // A line may have come in the turn in which it ended.
      if (this.#hasWork && !this.#closing.signal.aborted) this.#wake();
    });
  }

  get #hasWork(): boolean {
    return this.#isReopenAsked || this.#lines.length > 0 || this.#batch !== undefined || this.#lost !== undefined;
  }

  async #run(): Promise<void> {
    const { log, retryMs = RETRY_MS } = this.#deps;
    const { signal } = this.#closing;
    // Lines of one turn of the event loop are one batch.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#hasWork) {
      try {
        if (this.#isReopenAsked || this.#handle === undefined) await this.#openAnew();
        await this.#write();
        this.#repeats.forget(this.#path);
      } catch (err) {
        const reason = textOf(err);
        if (this.#repeats.isNews(this.#path, reason))
          log.error(
            { file: this.#path, reason, waitingBytes: this.#waiting, lost: this.#lostInAll },
            'the audit log cannot be written: its lines wait in memory, and are counted when there are too many',
          );
        if (signal.aborted) return;
        await sleep(retryMs, signal);
      }
    }
  }

  async #openAnew(): Promise<void> {
    const next = await openFile(this.#path);
    this.#isReopenAsked = false;
    const before = this.#handle;
    this.#handle = next;
    // A line that has begun in the file of before is written whole into this one.
    if (this.#batch !== undefined && this.#batch.done > 0)
      this.#batch.done = this.#batch.bytes.lastIndexOf(NEWLINE, this.#batch.done - 1) + 1;
    await before?.close().catch(() => undefined);
    this.#deps.log.info({ file: this.#path }, 'the audit log goes on in this file');
  }

  async #write(): Promise<void> {
    const handle = this.#handle;
    if (handle === undefined) return;
    this.#batch ??= this.#nextBatch();
    const { bytes } = this.#batch;
    while (this.#batch.done < bytes.length) {
      const { bytesWritten } = await handle.write(bytes, this.#batch.done);
      this.#batch.done += bytesWritten;
    }
    this.#batch = undefined;
    this.#waiting -= bytes.length;
  }

  #nextBatch(): { readonly bytes: Buffer; done: number } {
    const lines = this.#lines.splice(0);
    if (this.#lost !== undefined) {
      const { count, from } = this.#lost;
      const told = JSON.stringify({ time: this.#deps.now().toISOString(), event: 'lines lost', count, from });
      this.#deps.log.error(
        { file: this.#path, count, from },
        'lines of the audit log are lost: there was no room for them',
      );
      this.#waiting += told.length + 1;
      lines.push(told);
      this.#lost = undefined;
    }
    return { bytes: Buffer.from(lines.map((line) => `${line}\n`).join('')), done: 0 };
  }
}

/** At the end of a whole line: who was killed may have left a part of one. */
async function openFile(path: string): Promise<FileHandle> {
  const handle = await open(path, FLAGS, 0o600);
  try {
    const { size, isFile } = await handle.stat().then((stat) => ({ size: stat.size, isFile: stat.isFile() }));
    if (!isFile) throw new Error('it is no plain file');
    if (size > 0) {
      const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, size - 1);
      if (buffer[0] !== NEWLINE) await handle.write('\n');
    }
    return handle;
  } catch (err) {
    await handle.close().catch(() => undefined);
    throw err;
  }
}

function textOf(err: unknown): string {
  return err instanceof Error ? err.message : String(err);
}
