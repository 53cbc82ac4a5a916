/** Reads the operator's file of rules, and reads it anew when it is another. */
import { readFileSync, statSync } from 'node:fs';
import { type Logger, type Loop, startLoop } from '@cable/kit';
import { PolicyFileError, type PolicyOverrides, parsePolicyFile } from './policy-file.ts';

export type PolicyFollowerOptions = {
  readonly file: string;
  /** Throws: what was read is not taken. */
  readonly take: (overrides: PolicyOverrides) => void;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly everyMs?: number;
};

const EVERY_MS = 2000;

/** Reads the file. Throws `PolicyFileError`. */
export function readPolicyFile(file: string): PolicyOverrides {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (err) {
    throw new PolicyFileError(`${file} cannot be read: ${err instanceof Error ? err.message : String(err)}`);
  }
  return parsePolicyFile(text, file);
}

/**
 * Looks at the file every few seconds. What is being written is not read: the first half of a file may be rules too, and allow more. It is read once it has been the
 * same at two looks. What cannot be used changes nothing, and is told of once.
 */
export class PolicyFollower {
  readonly #options: PolicyFollowerOptions;
  readonly #loop: Loop;
  /** What the file looked like when it was read, and at the last look. */
  #read: string;
  #seen: string;

  /** The file has just been read. */
  constructor(options: PolicyFollowerOptions) {
    this.#options = options;
    this.#read = this.#seen = lookOf(options.file);
    const { log, signal, everyMs = EVERY_MS } = options;
    this.#loop = startLoop({ name: 'policy', log, signal, everyMs, run: () => this.round() });
  }

  /** Resolves after the signal aborted. */
  get done(): Promise<void> {
    return this.#loop.done;
  }

  async round(): Promise<void> {
    const look = lookOf(this.#options.file);
    const isStill = look === this.#seen;
    this.#seen = look;
    if (isStill && look !== this.#read) this.reread();
  }

  /** At once, whatever it looks like. */
  reread(): void {
    const { file, take, log } = this.#options;
    this.#read = this.#seen = lookOf(file);
    try {
      const overrides = readPolicyFile(file);
      take(overrides);
      log.info({ file, rules: overrides.lines.size }, 'policy file is in force');
    } catch (err) {
      log.error({ file, err }, 'policy file is not taken: the rules of before are in force');
    }
  }
}

function lookOf(file: string): string {
  try {
    const { mtimeMs, size, ino } = statSync(file);
    return `${mtimeMs} ${size} ${ino}`;
  } catch {
    return 'gone';
  }
}
