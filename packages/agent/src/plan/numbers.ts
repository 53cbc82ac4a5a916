import { createHash } from 'node:crypto';

/** Where a name's number lies when nobody else has it: 32 bits. */
export type NumberOf = (name: string) => number;

/** The first 32 bits of the name's SHA-256. */
export function firstBits(name: string): number {
  return createHash('sha256').update(name).digest().readUInt32BE(0);
}

/**
 * Host-local numbers (router, policy, class): that of `numberOf`, never below `first`, the next free one on a collision. They depend on the set of names
 * alone, not on the order in which they came.
 */
export class Numbering {
  readonly #numberOf: NumberOf;
  readonly #numbers = new Map<string, number>();
  readonly #taken = new Set<number>();
  readonly #first: number;
  /** Names whose number is not that of `numberOf`. */
  #displaced = 0;

  /** `first`: the lowest number. */
  constructor(numberOf: NumberOf = firstBits, first = 1) {
    this.#numberOf = numberOf;
    this.#first = first;
  }

  /** Undefined: the name has not been added. */
  get(name: string): number | undefined {
    return this.#numbers.get(name);
  }

  /** Returns the names whose number is now another, the new one among them. A name that is there already changes nothing. */
  add(name: string): readonly string[] {
    if (this.#numbers.has(name)) return [];
    const home = this.#numberOf(name);
    // Whoever looked for a free number at `home` would have taken it: nobody else is concerned.
    if (home >= this.#first && !this.#taken.has(home)) {
      this.#give(name, home);
      return [name];
    }
    return this.#renumber([...this.#numbers.keys(), name]);
  }

  /** Returns the other names whose number is now another. */
  delete(name: string): readonly string[] {
    const number = this.#numbers.get(name);
    if (number === undefined) return [];
    const others = this.#displaced - (number === this.#numberOf(name) ? 0 : 1);
    if (others > 0) return this.#renumber([...this.#numbers.keys()].filter((one) => one !== name));
    this.#numbers.delete(name);
    this.#taken.delete(number);
    this.#displaced = others;
    return [];
  }

  #renumber(names: readonly string[]): readonly string[] {
    const before = new Map(this.#numbers);
    this.#numbers.clear();
    this.#taken.clear();
    this.#displaced = 0;
    for (const name of [...names].sort()) {
      let number = this.#numberOf(name);
      while (number < this.#first || this.#taken.has(number)) number = (number + 1) >>> 0;
      this.#give(name, number);
    }
    return names.filter((name) => before.get(name) !== this.#numbers.get(name));
  }

  #give(name: string, number: number): void {
    this.#numbers.set(name, number);
    this.#taken.add(number);
    if (number !== this.#numberOf(name)) this.#displaced += 1;
  }
}
