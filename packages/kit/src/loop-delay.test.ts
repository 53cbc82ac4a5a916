import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { LoopDelay } from './loop-delay.ts';

test('says how late the loop was since it was asked last, without the time between looks', async (t) => {
  const delay = new LoopDelay(10);
  t.after(() => delay.stop());
  assert.deepEqual(delay.take([1]), [0]);
  await wait(50);
  const startedAt = performance.now();
  while (performance.now() - startedAt < 120);
  await wait(50);
  const [longest = 0] = delay.take([1]);
  assert.ok(longest > 80 && longest < 1000, `${longest} ms`);
  await wait(100);
  const [median = 0] = delay.take([0.5]);
  assert.ok(median < 10, `${median} ms`);
});
