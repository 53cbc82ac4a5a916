/** What happened to each key lately, by when: what is longer ago is forgotten. */
export class Lately {
  readonly #ms: number;
  /** The one of longest ago first. */
  readonly #since = new Map<string, number>();

  constructor(ms: number) {
    this.#ms = ms;
  }

  /** It happens now. */
  note(key: string, nowMs: number): void {
    this.#since.delete(key);
    this.#since.set(key, nowMs);
    for (const [one, ms] of this.#since) {
      if (nowMs - ms < this.#ms) return;
      this.#since.delete(one);
    }
  }

  /** When it happened last; undefined: not lately. */
  since(key: string, nowMs: number): number | undefined {
    const ms = this.#since.get(key);
    return ms === undefined || nowMs - ms >= this.#ms ? undefined : ms;
  }

  /** Keys that are remembered. */
  get size(): number {
    return this.#since.size;
  }
}
