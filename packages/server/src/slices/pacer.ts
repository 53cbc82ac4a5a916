import { startTurns, TURN_MS, type Turns } from '@cable/kit';

/** How long a turn of compiling and sending may be when requests kept the loop for as long: hosts wait for every one of these turns. */
const MOST_TURN_MS = 20;

/** Turns in which slices are compiled and sent. There is one such work at a time, so it keeps at most half of the loop. */
export const startSliceTurns = (): Turns => startTurns(TURN_MS, MOST_TURN_MS);

/** A run that comes sooner after another waits until so long after it, to take more with it. */
const GATHER = { leastMs: 5, mostMs: 60 } as const;

/**
 * Runs work when it is asked for: at once after a pause, gathering what comes within some milliseconds otherwise. Never twice at a time. After a run that took long it
 * gathers as long as that took: so compiling and sending leave the server half of its time for requests, and hosts that have several changes due get them together.
 */
export class Pacer {
  readonly #run: () => Promise<void>;
  readonly #monotonicMs: () => number;
  #running: Promise<void> | undefined;
  #asked = false;
  /** When the next run may begin. */
  #notBefore = Number.NEGATIVE_INFINITY;
  #stopped = false;

  /** `run` must not reject. `monotonicMs`: the clock. */
  constructor(run: () => Promise<void>, monotonicMs: () => number = () => performance.now()) {
    this.#run = run;
    this.#monotonicMs = monotonicMs;
  }

  ask(): void {
    if (this.#stopped || this.#asked) return;
    this.#asked = true;
    if (this.#running === undefined) this.#start();
  }

  /** Runs no more; resolves when a run under way has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  #start(): void {
    const waitMs = this.#notBefore - this.#monotonicMs();
    this.#running = new Promise<void>((resolve) => {
      if (waitMs <= 0) setImmediate(resolve);
      else setTimeout(resolve, waitMs);
    }).then(() => this.#work());
  }

  async #work(): Promise<void> {
    this.#asked = false;
    const startedAt = this.#monotonicMs();
    if (!this.#stopped) await this.#run();
    const endedAt = this.#monotonicMs();
    this.#notBefore = endedAt + Math.min(GATHER.mostMs, Math.max(GATHER.leastMs, endedAt - startedAt));
    this.#running = undefined;
    if (this.#asked && !this.#stopped) this.#start();
  }
}
