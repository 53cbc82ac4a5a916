import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createBackoff, sleep } from './backoff.ts';

test('waits double up to the maximum, each drawn from its upper half', () => {
  const high = createBackoff({ minMs: 100, maxMs: 1000, random: () => 1 });
  assert.deepEqual([1, 2, 3, 4, 5, 6].map(high.next), [100, 200, 400, 800, 1000, 1000]);
  const low = createBackoff({ minMs: 100, maxMs: 1000, random: () => 0 });
  assert.deepEqual([1, 2, 3].map(low.next), [50, 100, 200]);
});

test('after a success it starts again, and it never overflows', () => {
  const backoff = createBackoff({ minMs: 100, maxMs: 1000, random: () => 1 });
  for (let i = 0; i < 2000; i += 1) backoff.next();
  assert.equal(backoff.next(), 1000);
  backoff.reset();
  assert.equal(backoff.next(), 100);
});

test('a sleep ends at once when its signal aborts, also when it had aborted before', async () => {
  const stop = new AbortController();
  const sleeping = sleep(60_000, stop.signal);
  stop.abort();
  await sleeping;
  await sleep(60_000, stop.signal);
});
