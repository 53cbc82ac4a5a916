import { createHash } from 'node:crypto';

/**
 * Host-local numbers (vrf, policy, class): the first 32 bits of the name's SHA-256, never 0, the next free one on a collision.
 * The numbers depend on the set of names only, not on the order in which they came.
 */
export function numberNames(names: Iterable<string>): ReadonlyMap<string, number> {
  const numbers = new Map<string, number>();
  const taken = new Set<number>([0]);
  for (const name of [...new Set(names)].sort()) {
    let number = firstBits(name);
    while (taken.has(number)) number = (number + 1) >>> 0;
    taken.add(number);
    numbers.set(name, number);
  }
  return numbers;
}

function firstBits(name: string): number {
  return createHash('sha256').update(name).digest().readUInt32BE(0);
}
