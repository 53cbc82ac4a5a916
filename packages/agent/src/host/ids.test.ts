import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IdTable, type IdTableOptions } from './ids.ts';

function tableOf(options: Partial<IdTableOptions> = {}): IdTable {
  return new IdTable({ max: 100, restMs: 60_000, now: () => 0, existing: new Map(), ...options });
}

test('a name keeps its number, a new one gets the lowest free', () => {
  const ids = tableOf({ existing: new Map([['b', 2]]) });
  assert.deepEqual(
    ['c', 'b', 'a', 'c', 'd'].map((name) => ids.acquire(name)),
    [1, 2, 3, 1, 4],
  );
});

test('a released number rests, from when the maps hold it no more, before another name gets it', () => {
  let now = 0;
  const ids = tableOf({ now: () => now });
  for (const name of ['a', 'b', 'c']) ids.acquire(name);
  ids.release('b');
  ids.release('b');
  ids.settle();
  now = 1;
  ids.release('a');
  ids.settle();
  assert.equal(ids.acquire('d'), 4);
  now = 60_000;
  assert.equal(ids.acquire('e'), 2);
  now = 60_001;
  assert.equal(ids.acquire('f'), 1);
  assert.equal(ids.acquire('g'), 5);
});

test('a released number is not free while the maps hold it, however long that is', () => {
  let now = 0;
  const ids = tableOf({ restMs: 0, now: () => now });
  ids.acquire('a');
  ids.release('a');
  now = 1_000_000;
  assert.equal(ids.acquire('b'), 2);
  ids.settle();
  assert.equal(ids.acquire('c'), 1);
});

test('the numbers of a previous run are kept until all names are known, and free after their rest', () => {
  let now = 0;
  const existing = new Map([
    ['old', 1],
    ['gone', 2],
  ]);
  const ids = tableOf({ existing, now: () => now });
  assert.equal(ids.acquire('new'), 3);
  assert.equal(ids.acquire('old'), 1);
  ids.releaseUnclaimed();
  ids.settle();
  assert.equal(ids.acquire('old'), 1);
  now = 60_000;
  assert.equal(ids.acquire('other'), 2);
});

test('when no number is free there is none, until one is released', () => {
  const ids = tableOf({ restMs: 0 });
  for (let n = 1; n < 100; n += 1) assert.equal(ids.acquire(String(n)), n);
  assert.equal(ids.acquire('more'), undefined);
  ids.release('77');
  ids.settle();
  assert.equal(ids.acquire('more'), 77);
});
