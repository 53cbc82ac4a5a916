import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Lately } from './lately.ts';

test('what happened lately is remembered, and nothing of longer ago, however many there were', () => {
  const lately = new Lately(60_000);
  for (let n = 0; n < 5000; n += 1) lately.note(`host-${n}`, n * 1000);
  assert.equal(lately.size, 60);
  assert.equal(lately.since('host-4999', 5_058_999), 4_999_000);
  assert.equal(lately.since('host-4999', 5_059_000), undefined);
  assert.equal(lately.since('host-0', 4_999_000), undefined);
  lately.note('host-4940', 4_999_500);
  assert.equal(lately.since('host-4940', 5_059_000), 4_999_500, 'again');
});
