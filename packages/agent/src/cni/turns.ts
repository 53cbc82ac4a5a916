/** Calls about one thing run one after the other, in the order in which they came; all others at once. */
export class Turns {
  readonly #last = new Map<string, Promise<unknown>>();

  /** Runs `call` when all earlier ones with one of these keys have ended, well or not. */
  run<T>(keys: readonly string[], call: () => Promise<T>): Promise<T> {
    const turn = Promise.all(keys.map((key) => this.#last.get(key))).then(call);
    const ended = turn.catch(() => undefined);
    for (const key of keys) this.#last.set(key, ended);
    void ended.then(() => {
      for (const key of keys) if (this.#last.get(key) === ended) this.#last.delete(key);
    });
    return turn;
  }

  /** Whether a call with this key runs or waits. */
  has(key: string): boolean {
    return this.#last.has(key);
  }
}
