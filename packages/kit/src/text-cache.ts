/** Texts of one kind, by the value that they were made of. `from`: what else they were made of, each by its identity; another one makes another text. */
export type TextsOfKind<T> = {
  get(value: T, from?: readonly unknown[]): string | undefined;
  /** May decline to keep it. */
  set(value: T, text: string, from?: readonly unknown[]): void;
};

type Kept = { readonly text: string; readonly from: readonly unknown[] };

const NOTHING_ELSE: readonly unknown[] = [];

/** How much of what is not kept is asked for before all that is kept is forgotten, as a multiple of the limit. */
const MISSED_MAX = 32;

/**
 * Keeps texts that were made of values, so that they need not be made again. A value is known by its identity, so it must never change. Bounded: when it is
 * full it takes nothing more, so that of values that are asked for in turn, and are too many, some are always found; and when much was asked for
 * meanwhile that it did not have, it begins anew.
 */
export class TextCache<T extends object> {
  readonly #limit: number;
  readonly #kinds = new Map<string, Map<T, Kept>>();
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
      get: (value, from = NOTHING_ELSE) => {
        if (texts === undefined || asOf !== this.#generation) [texts, asOf] = [this.#kinds.get(kind), this.#generation];
        const kept = texts?.get(value);
        return kept !== undefined && isSame(kept.from, from) ? kept.text : undefined;
      },
      set: (value, text, from = NOTHING_ELSE) => this.#offer(kind, value, { text, from }),
    };
  }

  #offer(kind: string, value: T, { text, from }: Kept): void {
    const before = this.#kinds.get(kind)?.get(value)?.text.length ?? 0;
    if (this.#length - before + text.length > this.#limit) {
      this.#missed += text.length;
      if (this.#missed <= MISSED_MAX * this.#limit) return;
      this.#kinds.clear();
      this.#generation += 1;
      this.#length = 0;
      this.#missed = 0;
    } else this.#length -= before;
    const texts = this.#kinds.get(kind) ?? new Map<T, Kept>();
    this.#kinds.set(kind, texts);
    // A text put together from parts is a tree of them, several times as large; what comes from bytes is one piece.
    texts.set(value, { text: Buffer.from(text).toString(), from });
    this.#length += text.length;
  }
}

function isSame(one: readonly unknown[], other: readonly unknown[]): boolean {
  return one.length === other.length && one.every((value, index) => value === other[index]);
}
