import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';

/** What takes seconds on an idle machine. */
const READY_MS = 60_000;

export type ProgramOptions = {
  readonly name: string;
  readonly command: readonly [program: string, ...args: string[]];
  /** Its output is added to this file. */
  readonly log: string;
  /** Added to this process's own. */
  readonly env?: Readonly<Record<string, string>>;
  /** Answers 2xx when the program is ready; or a function that knows. */
  readonly ready: string | (() => Promise<boolean>);
  /** Longest wait for that. Default: a minute. */
  readonly readyMs?: number;
  /** It has processes of its own, which get its signals too. */
  readonly hasChildren?: true;
};

/** A process that is killed and started again, on the same address. */
export class Program {
  #options: ProgramOptions;
  #child: ChildProcess | undefined;
  #starts = 0;
  #isUp = false;
  readonly #waiting: (() => void)[] = [];

  constructor(options: ProgramOptions) {
    this.#options = options;
  }

  /** Names this run of it: another after each start. */
  get run(): string {
    return `${this.#options.name}#${this.#starts}`;
  }

  /** True from when it was ready until it is killed. */
  get isUp(): boolean {
    return this.#isUp;
  }

  /** From the next start on. */
  setCommand(command: ProgramOptions['command']): void {
    this.#options = { ...this.#options, command };
  }

  /** Resolves when it is ready. Throws with the end of its log when it ends before. */
  async start(): Promise<void> {
    const [program, ...args] = this.#options.command;
    const log = openSync(this.#options.log, 'a');
    // In a group of its own, so that a terminal's interrupt does not end it before its user does.
    const env = { ...process.env, ...this.#options.env };
    const child = spawn(program, args, { stdio: ['ignore', log, log], detached: true, env });
    closeSync(log);
    this.#child = child;
    this.#starts += 1;
    await once(child, 'spawn');
    await this.untilReady();
    this.#isUp = true;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  /** Resolves when it is up, at once if it is. */
  async whenUp(): Promise<void> {
    if (!this.#isUp) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  /** Resolves when it says that it is ready. */
  async untilReady(): Promise<void> {
    const deadline = performance.now() + (this.#options.readyMs ?? READY_MS);
    while (!(await this.#isReady())) {
      if (!isRunning(this.#child) || performance.now() > deadline) {
        throw new Error(`${this.#options.name} is not ready:\n${this.logEnd()}`);
      }
      await wait(20);
    }
  }

  /** Resolves at once: a stopped process answers nobody, but keeps its connections. */
  stop(): void {
    this.#signal('SIGSTOP');
  }

  goOn(): void {
    this.#signal('SIGCONT');
  }

  /** Resolves when it has ended. */
  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    this.#isUp = false;
    const child = this.#child;
    if (child === undefined || !isRunning(child)) return;
    const gone = once(child, 'exit');
    this.#signal(signal);
    await gone;
  }

  /** For when there is no time left. */
  abandon(): void {
    this.#signal('SIGKILL');
  }

  /** The last lines it has written. */
  logEnd(): string {
    return readFileSync(this.#options.log, 'utf8').split('\n').slice(-15).join('\n');
  }

  #signal(signal: NodeJS.Signals): void {
    const child = this.#child;
    if (child?.pid === undefined || !isRunning(child)) return;
    if (this.#options.hasChildren) process.kill(-child.pid, signal);
    else child.kill(signal);
  }

  async #isReady(): Promise<boolean> {
    const { ready } = this.#options;
    if (typeof ready === 'function') return ready();
    const signal = AbortSignal.timeout(2000);
    return fetch(ready, { signal }).then(
      (answer) => answer.ok,
      () => false,
    );
  }
}

function isRunning(child: ChildProcess | undefined): boolean {
  return child !== undefined && child.exitCode === null && child.signalCode === null;
}

/** A port on which nobody listens. */
export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const address = probe.address();
  probe.close();
  await once(probe, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** Starts a program that ends with this process, or when the answered function is called. Throws as `start`, with nothing running. */
export async function startAlone(program: Program): Promise<() => Promise<void>> {
  const abandon = (): void => program.abandon();
  process.once('exit', abandon);
  const close = async (): Promise<void> => {
    await program.end('SIGKILL');
    process.off('exit', abandon);
  };
  try {
    await program.start();
  } catch (err) {
    await close();
    throw err;
  }
  return close;
}
