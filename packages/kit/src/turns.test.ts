import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startTurns, type Turns } from './turns.ts';

/** Turns by a clock of their own that stands still but for what the test adds to it. */
function turnsOf(turnMs: number, mostMs?: number): { readonly turns: Turns; readonly clock: { now: number } } {
  const clock = { now: 1000 };
  return { turns: startTurns(turnMs, mostMs, () => clock.now), clock };
}

/** How long a turn lasts, looked at in steps of 1 ms. */
function lengthOf({ turns, clock }: ReturnType<typeof turnsOf>): number {
  const began = clock.now;
  // The clock is looked at every few calls only.
  while (!Array.from({ length: 8 }, () => turns.due()).includes(true)) clock.now += 1;
  return clock.now - began;
}

/** How long a turn lasts that begins after others kept the loop for so long. */
async function turnAfter(it: ReturnType<typeof turnsOf>, othersMs: number): Promise<number> {
  setImmediate(() => {
    it.clock.now += othersMs;
  });
  await it.turns.next();
  return lengthOf(it);
}

test('a turn ends after its time, the first and those that follow', async () => {
  const it = turnsOf(4);
  assert.equal(lengthOf(it), 4);
  assert.equal(await turnAfter(it, 0), 4);
});

test('a turn is not longer for a wait when it may not be', async () => {
  assert.equal(await turnAfter(turnsOf(4), 60), 4);
});

test('a turn lasts as long as the wait for it, up to the most', async () => {
  const it = turnsOf(4, 40);
  assert.equal(await turnAfter(it, 2), 4);
  assert.equal(await turnAfter(it, 30), 30);
  assert.equal(await turnAfter(it, 120), 40);
});

test('others have the loop between two turns, and the clock is the real one unless another is given', async () => {
  const turns = startTurns(0);
  assert.ok(Array.from({ length: 8 }, () => turns.due()).includes(true), 'no time, so it is over');
  let others = 0;
  setImmediate(() => {
    others += 1;
  });
  await turns.next();
  assert.equal(others, 1);
});
