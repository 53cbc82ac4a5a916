import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { sleep } from '@cable/kit';
import { sourceProgram } from '@cable/kit/testing';
import { CURRENT, type Version } from './previous-version.ts';

const DEADLINE_MS = 60_000;

export type ProgramOptions = {
  /** Path of its main module in the version's tree. */
  readonly main: string;
  readonly args: readonly string[];
  /** What it is started by, such as `nsenter`; empty: nothing. */
  readonly prefix: readonly string[];
  readonly isReady: (child: ChildProcess) => Promise<unknown>;
};

/** A process that is started again and again, of this version or of that one. */
export class Program {
  readonly #options: ProgramOptions;
  #child: ChildProcess | undefined;

  constructor(options: ProgramOptions) {
    this.#options = options;
  }

  /** `more`: arguments for this start alone. Resolves when it is ready; throws when it ends before. */
  async start(version: Version, ...more: readonly string[]): Promise<void> {
    const [program, args] = this.command(version);
    const child = spawn(program, [...args, ...more], { cwd: version.root, stdio: ['ignore', 'pipe', 'inherit'] });
    this.#child = child;
    const early = once(child, 'exit').then(([code, signal]) => {
      throw new Error(`${this.#options.main} of the ${version.name} version ended early: ${code ?? signal}`);
    });
    await Promise.race([this.#options.isReady(child), early]);
    early.catch(() => undefined);
    child.stdout?.resume();
  }

  /** Resolves when it has ended; does nothing when it does not run. */
  async end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
  }

  /** Program and arguments. */
  command(version: Version): readonly [program: string, args: readonly string[]] {
    const { prefix, main, args } = this.#options;
    const node = [
      process.execPath,
      ...sourceProgram(join(version.root, main), version === CURRENT ? undefined : version.root),
    ];
    const [program = '', ...rest] = [...prefix, ...node, ...args];
    return [program, rest];
  }
}

/** Looks until there is an answer. */
export async function eventually<T>(
  what: string,
  look: () => Promise<T | undefined | false> | T | undefined | false,
): Promise<T> {
  const deadline = Date.now() + DEADLINE_MS;
  while (Date.now() < deadline) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    await sleep(25);
  }
  throw new Error(`in vain: ${what}`);
}
