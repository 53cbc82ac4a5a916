/** Texts of one kind, by the value that they were made of. */
export type TextsOfKind<T> = {
  get(value: T): string | undefined;
  /** May decline to keep it. */
  set(value: T, text: string): void;
};

/** How much of what is not kept is asked for before all that is kept is forgotten, as a multiple of the limit. */
const MISSED_MAX = 32;

/**
 * Keeps texts that were made of values, so that they need not be made again. A value is known by its identity, so it must never change. Bounded: when it is
 * full it takes nothing more, so that of values that are asked for in turn, and are too many, some are always found; and when much was asked for
 * meanwhile that it did not have, it begins anew.
 */
export class TextCache<T extends object> {
  readonly #limit: number;
  readonly #kinds = new Map<string, Map<T, string>>();
  /** Characters that are kept. */
  #length = 0;
  /** Characters that were not taken since it was full. */
  #missed = 0;
  /** Of how many beginnings this is. */
  #generation = 0;

  /** `limit`: most characters that are kept, of all kinds together. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** The texts of a kind; a value has one of each. */
  of(kind: string): TextsOfKind<T> {
    // A kind's name may be long: it is not looked up for each value.
    let [texts, asOf] = [this.#kinds.get(kind), this.#generation];
    return {
      get: (value) => {
        if (texts === undefined || asOf !== this.#generation) [texts, asOf] = [this.#kinds.get(kind), this.#generation];
        return texts?.get(value);
      },
      set: (value, text) => this.#offer(kind, value, text),
    };
  }

  #offer(kind: string, value: T, text: string): void {
    if (this.#length + text.length > this.#limit) {
      this.#missed += text.length;
      if (this.#missed <= MISSED_MAX * this.#limit) return;
      this.#kinds.clear();
      this.#generation += 1;
      this.#length = 0;
      this.#missed = 0;
    }
    const texts = this.#kinds.get(kind) ?? new Map<T, string>();
    this.#kinds.set(kind, texts);
    // A text put together from parts is a tree of them, several times as large; what comes from bytes is one piece.
    texts.set(value, Buffer.from(text).toString());
    this.#length += text.length;
  }
}
