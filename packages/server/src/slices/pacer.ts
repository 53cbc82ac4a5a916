/** A run that comes sooner after another waits until so long after it, to take more with it. */
const GATHER_MS = 5;

/** Runs work when it is asked for: at once after a pause, gathering what comes within some milliseconds otherwise. Never twice at a time. */
export class Pacer {
  readonly #run: () => Promise<void>;
  #running: Promise<void> | undefined;
  #asked = false;
  #endedAt = Number.NEGATIVE_INFINITY;
  #stopped = false;

  /** `run` must not reject. */
  constructor(run: () => Promise<void>) {
    this.#run = run;
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
    const waitMs = this.#endedAt + GATHER_MS - performance.now();
    this.#running = new Promise<void>((resolve) => {
      if (waitMs <= 0) setImmediate(resolve);
      else setTimeout(resolve, waitMs);
    }).then(() => this.#work());
  }

  async #work(): Promise<void> {
    this.#asked = false;
    if (!this.#stopped) await this.#run();
    this.#endedAt = performance.now();
    this.#running = undefined;
    if (this.#asked && !this.#stopped) this.#start();
  }
}
