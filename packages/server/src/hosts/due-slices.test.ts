import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SliceKey } from '@cable/model';
import { DueSlices } from './due-slices.ts';

test('few and many are kept as a Map keeps them, in order', () => {
  const due = new DueSlices();
  const expected = new Map<SliceKey, number>();
  let seed = 1;
  const random = (below: number): number => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed % below;
  };
  let most = 0;
  for (let step = 0; step < 20_000; step += 1) {
    // Waves: a few, then more than are looked through one by one, and back to none.
    const isRising = step % 400 < 200;
    const key: SliceKey = `network:${random(40)}`;
    if (random(10) < (isRising ? 7 : 2)) {
      due.set(key, step);
      expected.set(key, step);
    } else if (random(2) === 0) {
      due.delete(key);
      expected.delete(key);
    } else {
      const first = due.first();
      if (first !== undefined) {
        due.delete(first[0]);
        expected.delete(first[0]);
      }
    }
    if (random(2000) === 0) {
      due.clear();
      expected.clear();
    }
    most = Math.max(most, due.size);
    assert.equal(due.size, expected.size);
    assert.equal(due.has(key), expected.has(key));
    assert.deepEqual(due.first(), expected.entries().next().value);
  }
  assert.ok(most > 16, `${most} at most`);
});
