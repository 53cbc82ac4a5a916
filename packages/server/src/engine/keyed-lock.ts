/** Runs work one after the other for the same key, so that requests on one server do not make each other try again. */
export class KeyedLock {
  readonly #tails = new Map<string, Promise<void>>();

  /** Runs `work` when every earlier work with one of these keys has ended. */
  async run<T>(keys: readonly string[], work: () => Promise<T>): Promise<T> {
    const sorted = [...new Set(keys)].sort();
    const earlier = sorted.map((key) => this.#tails.get(key));
    let release = (): void => undefined;
    const mine = new Promise<void>((resolve) => {
      release = resolve;
    });
    // Taking all places in line at once, before waiting, keeps two works from waiting for each other.
    for (const key of sorted) this.#tails.set(key, mine);
    try {
      await Promise.all(earlier);
      return await work();
    } finally {
      release();
      for (const key of sorted) if (this.#tails.get(key) === mine) this.#tails.delete(key);
    }
  }
}
