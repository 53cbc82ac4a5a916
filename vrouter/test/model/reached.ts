/** Whether random cases still reach what they are to reach. */
import assert from 'node:assert/strict';
import type { Outcomes } from './search.ts';

/** What must have come so often at the least. */
export type Reached = Readonly<Record<string, number>>;

/** As `port` or `drop spoofed_ip`, each so often. */
export function atLeast(count: number, ...kinds: readonly string[]): Reached {
  return Object.fromEntries(kinds.map((kind) => [kind, count]));
}

/** A part of the cases may reach so many times less than its share; what is seldom in all of them need not come in a part. */
const SLACK = 5;

/** `share`: the part of the cases that these numbers are for; 1: all. */
export function assertReached(outcomes: Outcomes, reached: Reached, share: number): void {
  const leasts = Object.entries(reached).map(
    ([kind, count]) => [kind, share === 1 ? count : Math.floor((count * share) / SLACK)] as const,
  );
  const seldom = leasts.filter(([kind, least]) => outcomes.of(kind) < least);
  const told = seldom.map(([kind, least]) => `${kind} came ${outcomes.of(kind)} times, not ${least}`);
  assert.deepEqual(told, [], `${outcomes}`);
}
