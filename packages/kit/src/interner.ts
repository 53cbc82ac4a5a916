/**
 * Keeps one copy of values that come again and again, so that what holds them shares it. Bounded: of what has not come for a long time it
 * forgets, and then there are two copies, nothing worse.
 */
export class Interner<T> {
  readonly #limit: number;
  #recent = new Map<string, T>();
  #older = new Map<string, T>();

  /** `limit`: between one and two times as many values are remembered. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** The value known under the key; else `value`, known from now on. */
  share(key: string, value: T): T {
    const recent = this.#recent.get(key);
    if (recent !== undefined) return recent;
    const shared = this.#older.get(key) ?? value;
    if (this.#recent.size >= this.#limit) {
      this.#older = this.#recent;
      this.#recent = new Map();
    }
    this.#recent.set(key, shared);
    return shared;
  }
}
