/** Whether random cases still reach what they are to reach. */
import assert from 'node:assert/strict';
import type { Outcomes } from './search.ts';

/** What must have come so often at the least. */
export type Reached = Readonly<Record<string, number>>;

/** As `port` or `drop spoofed_ip`, each so often. */
export function atLeast(count: number, ...kinds: readonly string[]): Reached {
  return Object.fromEntries(kinds.map((kind) => [kind, count]));
}

export function assertReached(outcomes: Outcomes, reached: Reached): void {
  const seldom = Object.entries(reached).filter(([kind, least]) => outcomes.of(kind) < least);
  const told = seldom.map(([kind, least]) => `${kind} came ${outcomes.of(kind)} times, not ${least}`);
  assert.deepEqual(told, [], `${outcomes}`);
}
