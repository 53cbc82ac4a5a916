/** Keys to be worked on. */
import { type Backoff, createBackoff, type Logger } from '@cable/kit';

export type WorkQueueOptions = {
  readonly name: string;
  /** Brings what the key names to where it should be. A throw means: again, after a back-off of the key's own. */
  readonly work: (key: string) => Promise<void>;
  /** Keys worked on at once. Default 8. */
  readonly atOnce?: number;
  /** Default 100 ms to 60 s. */
  readonly backoff?: { readonly minMs: number; readonly maxMs: number };
  readonly log: Logger;
  readonly signal: AbortSignal;
};

/**
 * Each key is worked on by one at a time, and once more if it was added meanwhile; added twice before its turn it has one turn. Keys have turns in the order in
 * which they were added. After the signal nothing is begun.
 */
export class WorkQueue {
  readonly #options: WorkQueueOptions;
  /** In order of their turns. */
  readonly #due = new Set<string>();
  readonly #running = new Set<string>();
  readonly #failed = new Map<string, Backoff>();
  readonly #timers = new Map<string, NodeJS.Timeout>();
  readonly #idle: (() => void)[] = [];
  #isOpen = false;

  constructor(options: WorkQueueOptions) {
    this.#options = options;
    options.signal.addEventListener('abort', () => this.#stop(), { once: true });
  }

  /** Nothing is worked on before: what it is worked on from must be there. */
  open(): void {
    this.#isOpen = true;
    this.#fill();
  }

  add(key: string): void {
    if (this.#options.signal.aborted) return;
    clearTimeout(this.#timers.get(key));
    this.#timers.delete(key);
    this.#due.add(key);
    this.#fill();
  }

  /** Not before so many milliseconds, unless it is added sooner. */
  addAfter(key: string, ms: number): void {
    if (this.#options.signal.aborted || this.#due.has(key)) return;
    clearTimeout(this.#timers.get(key));
    const timer = setTimeout(() => this.add(key), ms);
    this.#timers.set(key, timer);
  }

  /** Keys that wait, are worked on, or are to be tried again. */
  get size(): number {
    return new Set([...this.#due, ...this.#running, ...this.#timers.keys()]).size;
  }

  /** Resolves when no key waits or is worked on; keys that are to be tried again later do not count. */
  idle(): Promise<void> {
    if (this.#due.size + this.#running.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  #fill(): void {
    if (!this.#isOpen || this.#options.signal.aborted) return;
    for (const key of this.#due) {
      if (this.#running.size >= (this.#options.atOnce ?? 8)) return;
      if (this.#running.has(key)) continue;
      this.#due.delete(key);
      this.#running.add(key);
      void this.#work(key);
    }
  }

  async #work(key: string): Promise<void> {
    const { name, work, log, signal } = this.#options;
    try {
      await work(key);
      this.#failed.delete(key);
    } catch (err) {
      if (!signal.aborted) {
        if (!this.#failed.has(key)) log.warn({ queue: name, key, err }, 'not done, will be tried again');
        this.addAfter(key, this.#backoffOf(key).next());
      }
    }
    this.#running.delete(key);
    this.#fill();
    if (this.#due.size + this.#running.size === 0) for (const tell of this.#idle.splice(0)) tell();
  }

  #backoffOf(key: string): Backoff {
    const known = this.#failed.get(key);
    if (known !== undefined) return known;
    const made = createBackoff(this.#options.backoff ?? { minMs: 100, maxMs: 60_000 });
    this.#failed.set(key, made);
    return made;
  }

  #stop(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    this.#due.clear();
    if (this.#running.size === 0) for (const tell of this.#idle.splice(0)) tell();
  }
}
