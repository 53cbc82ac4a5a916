/** How often each key was refused. The first time is often over at once: the address is still the one's who is going. */
export class Refusals {
  readonly #counts = new Map<string, number>();

  /** Notes one more. Answers when to try again, and whether somebody should be told. */
  note(key: string): { readonly againMs: number; readonly isNews: boolean } {
    const count = (this.#counts.get(key) ?? 0) + 1;
    this.#counts.set(key, count);
    return { againMs: Math.min(FIRST_MS * 2 ** (count - 1), MOST_MS), isNews: count > 1 };
  }

  /** Nothing is refused of it (any more). */
  clear(key: string): void {
    this.#counts.delete(key);
  }

  /** The same of all keys that begin so. */
  clearOf(prefix: string): void {
    for (const key of [...this.#counts.keys()]) if (key.startsWith(prefix)) this.#counts.delete(key);
  }
}

const FIRST_MS = 1000;
const MOST_MS = 30_000;
