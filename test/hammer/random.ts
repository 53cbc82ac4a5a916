/** Numbers from a seed: the same seed gives the same ones (mulberry32). */
export type Random = {
  /** From 0 to below 1. */
  next(): number;
  /** A whole number from 0 to below `count`. */
  below(count: number): number;
  chance(share: number): boolean;
  /** One of them; undefined when there is none. */
  pick<T>(from: readonly T[]): T | undefined;
  /** One of a list that is not empty. */
  one<const T>(from: readonly [T, ...T[]]): T;
};

/** A source of its own for each seed: any whole number. */
export function randomFrom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (count: number): number => Math.floor(next() * count);
  const pick = <T>(from: readonly T[]): T | undefined => from[below(from.length)];
  return { next, below, pick, chance: (share) => next() < share, one: (from) => pick(from) ?? from[0] };
}
