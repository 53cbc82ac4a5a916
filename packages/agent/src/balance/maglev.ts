/**
 * Maglev's table of slots (Eisenbud et al., NSDI 2016): a connection's hash names a slot, and the slot a member. Each member has about as many slots as its weight
 * says. Every host makes the same table of the same members.
 */
import { createHash } from 'node:crypto';

/** A member. `id`: what its places follow from. `weight`: 1..256. `isUp`: false gives its slots to the others, and moves none of theirs. */
export type Candidate = { readonly id: string; readonly weight: number; readonly isUp: boolean };

/** Sizes of tables, primes: a member's places are then a permutation of all. */
export const SLOT_COUNTS: readonly number[] = [61, 2039, 4093, 8191, 16381];

/** Slots for each member, if there is a size that has them: with 400 about 1 % of the others' slots move when a member is taken away, with 100 about 3 %. */
const SLOTS_A_MEMBER = 400;

/** The largest weight. Shares are counted against it and not against the heaviest there is: when that one goes the others take turns as before. */
const WEIGHT_MAX = 256;

/** Size of the table for so many members: of two one is as good as another. 1 for one member, 0 for none. */
export function slotCount(members: number): number {
  if (members < 2) return members;
  if (members === 2) return SLOT_COUNTS[0] ?? 0;
  return SLOT_COUNTS.find((count) => count >= members * SLOTS_A_MEMBER) ?? SLOT_COUNTS.at(-1) ?? 0;
}

/** Who has each slot, as a place in `candidates`; empty if nobody is up. Their order does not matter. */
export function maglevTable(candidates: readonly Candidate[]): Uint16Array {
  if (!candidates.some((one) => one.isUp)) return new Uint16Array(0);
  const table = new Uint16Array(slotCount(candidates.length));
  const isTaken = new Uint8Array(table.length);
  fill(table, isTaken, candidates, () => true);
  for (const [slot, place] of table.entries()) {
    if (candidates[place]?.isUp === false) isTaken[slot] = 0;
  }
  fill(table, isTaken, candidates, (one) => one.isUp);
  return table;
}

/** Gives the slots that nobody has to those who may take part: in turns, each where it looks first. */
function fill(
  table: Uint16Array,
  isTaken: Uint8Array,
  candidates: readonly Candidate[],
  mayTake: (one: Candidate) => boolean,
): void {
  const takers = candidates
    .map((one, place) => ({ one, place, weight: one.weight, credit: 0, ...stepsOf(one.id, table.length) }))
    .filter(({ one }) => mayTake(one))
    .sort((a, b) => (a.one.id < b.one.id ? -1 : 1));
  // They take turns alike whatever it is: with the largest weight nobody has to wait for his.
  if (takers.every(({ weight }) => weight === takers[0]?.weight)) for (const taker of takers) taker.weight = WEIGHT_MAX;
  let left = isTaken.reduce((sum, taken) => sum - taken, table.length);
  while (left > 0) {
    for (const taker of takers) {
      taker.credit += taker.weight;
      if (taker.credit < WEIGHT_MAX || left === 0) continue;
      taker.credit -= WEIGHT_MAX;
      while (isTaken[taker.next] === 1) taker.next = (taker.next + taker.skip) % table.length;
      isTaken[taker.next] = 1;
      table[taker.next] = taker.place;
      left -= 1;
    }
  }
}

/** Where a member begins to look for a free slot, and how far on it looks next. */
function stepsOf(id: string, slots: number): { next: number; readonly skip: number } {
  const hash = createHash('sha256').update(id).digest();
  return { next: hash.readUInt32BE(0) % slots, skip: 1 + (slots > 2 ? hash.readUInt32BE(4) % (slots - 1) : 0) };
}
