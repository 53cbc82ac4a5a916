import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startTurns, type Turns } from './turns.ts';

/** Keeps the event loop for so long. */
function spin(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

/** How long a turn lasts that begins after others kept the loop for so long. From the end of theirs: a turn has begun before whoever waits for it goes on. */
async function turnAfter(turns: Turns, othersMs: number): Promise<number> {
  let othersEndedAt = 0;
  setImmediate(() => {
    spin(othersMs);
    othersEndedAt = performance.now();
  });
  await turns.next();
  while (!turns.due()) spin(0.1);
  return performance.now() - othersEndedAt;
}

test('a turn ends after its time', async () => {
  const took = await turnAfter(startTurns(4), 0);
  assert.ok(took >= 4 && took < 15, `took ${took} ms`);
});

test('a turn is not longer for a wait when it may not be', async () => {
  const took = await turnAfter(startTurns(4), 60);
  assert.ok(took >= 4 && took < 40, `took ${took} ms`);
});

test('a turn lasts as long as the wait for it, up to the most', async () => {
  const turns = startTurns(4, 40);
  const half = await turnAfter(turns, 30);
  assert.ok(half >= 30 && half < 60, `took ${half} ms`);
  const most = await turnAfter(turns, 120);
  assert.ok(most >= 40 && most < 100, `took ${most} ms`);
});
