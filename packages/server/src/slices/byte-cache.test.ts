import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteCache } from './byte-cache.ts';

test('the values that were used last stay when all are too big', () => {
  const cache = new ByteCache<{ readonly bytes: number }>(100);
  cache.set('a', { bytes: 40 });
  cache.set('b', { bytes: 40 });
  assert.equal(cache.get('a')?.bytes, 40);
  cache.set('c', { bytes: 40 });
  assert.deepEqual(
    ['a', 'b', 'c'].map((key) => cache.get(key) !== undefined),
    [true, false, true],
  );
  assert.equal(cache.bytes, 80);
});

test('a value that is replaced counts once, and one that is too big is not kept', () => {
  const cache = new ByteCache<{ readonly bytes: number }>(100);
  cache.set('a', { bytes: 40 });
  cache.set('a', { bytes: 50 });
  assert.equal(cache.bytes, 50);
  cache.set('b', { bytes: 101 });
  assert.equal(cache.get('b'), undefined);
  assert.equal(cache.get('a')?.bytes, 50, 'the others stay');
});
