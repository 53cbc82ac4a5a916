import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteCache } from './byte-cache.ts';

const createCache = () => new ByteCache<string, { readonly bytes: number }>({ maxBytes: 100, keepMs: 1000 });

test('the values that were used last stay when all are too big', () => {
  const cache = createCache();
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

test('a value that is replaced counts once, and one that is too big is kept alone', () => {
  const cache = createCache();
  cache.set('a', { bytes: 40 });
  cache.set('a', { bytes: 50 });
  assert.equal(cache.bytes, 50);
  cache.set('b', { bytes: 101 });
  assert.equal(cache.get('b')?.bytes, 101);
  assert.equal(cache.get('a'), undefined);
  cache.set('c', { bytes: 10 });
  assert.equal(cache.bytes, 10);
});

test('a value that nobody asks for goes after a while', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const clock = { now: 0 };
  const monotonicMs = (): number => clock.now;
  const cache = new ByteCache<string, { readonly bytes: number }>({ maxBytes: 100, keepMs: 20, monotonicMs });
  const bytesAfter = (ms: number): number => {
    for (let past = 0; past < ms; past += 1) {
      clock.now += 1;
      t.mock.timers.tick(1);
    }
    return cache.bytes;
  };
  cache.set('used', { bytes: 40 });
  assert.equal(bytesAfter(5), 40);
  cache.set('unused', { bytes: 40 });
  assert.equal(bytesAfter(10), 80);
  assert.equal(cache.get('used')?.bytes, 40);
  assert.equal(bytesAfter(10), 80, 'neither was left alone for as long');
  assert.equal(cache.get('used')?.bytes, 40);
  assert.equal(bytesAfter(15), 40);
  assert.equal(cache.get('unused'), undefined);
  assert.equal(bytesAfter(40), 0);
});
