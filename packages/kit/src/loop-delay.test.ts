import assert from 'node:assert/strict';
import { createHistogram } from 'node:perf_hooks';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { LoopDelay } from './loop-delay.ts';

test('says how late the loop was since it was asked last, without the time between looks', () => {
  const looks = createHistogram();
  const isOn: boolean[] = [];
  const delay = new LoopDelay(
    10,
    Object.assign(looks, { enable: () => isOn.push(true) > 0, disable: () => isOn.push(false) > 0 }),
  );
  assert.deepEqual(delay.take([0.5, 1]), [0, 0]);
  for (const ms of [10, 12, 9, 130]) looks.record(ms * 1e6);
  // The histogram has three digits.
  const [median = 0, longest = 0] = delay.take([0.5, 1]).map((ms) => Math.round(ms * 10) / 10);
  assert.ok(median >= 0 && median <= 0.1, `${median} ms`);
  assert.ok(longest >= 119.8 && longest <= 120.2, `${longest} ms`);
  looks.record(11e6);
  assert.equal(Math.round(delay.take([1])[0] ?? 0), 1, 'what was told is not told again');
  delay.stop();
  assert.deepEqual(isOn, [true, false]);
});

test('sees what keeps the loop, and not more', async (t) => {
  const delay = new LoopDelay(10);
  t.after(() => delay.stop());
  assert.deepEqual(delay.take([1]), [0]);
  const beganAt = performance.now();
  // A timer of later is behind the first look.
  await wait(50);
  const keptAt = performance.now();
  while (performance.now() - keptAt < 120);
  await wait(50);
  const [longest = 0] = delay.take([1]);
  const most = performance.now() - beganAt;
  assert.ok(longest >= 100 && longest <= most * 1.01, `${longest} ms, in ${most} ms`);
});
