import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRateLimit } from './rate-limit.ts';

test('what was had beyond what there was is waited for, by its own key, and no longer than the burst takes to fill', () => {
  let now = 0;
  const limit = createRateLimit({ burst: 10, perSecond: 10, now: () => now });
  assert.equal(limit.take(1), true);
  limit.charge(1, 14);
  assert.equal(limit.take(1), false);
  assert.equal(limit.take(2), true);
  now += 500;
  assert.equal(limit.take(1), false);
  now += 100;
  assert.equal(limit.take(1), true);
  limit.charge(1, 1_000_000);
  now += 1000;
  assert.equal(limit.take(1), false);
  now += 200;
  assert.equal(limit.take(1), true);
});
