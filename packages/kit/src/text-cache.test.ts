import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TextCache } from './text-cache.ts';

test('a text is found by the kind and the value that it was made of', () => {
  const cache = new TextCache<{ readonly id: string }>(100);
  const [one, two] = [{ id: '1' }, { id: '1' }];
  cache.of('a').set(one, 'of one');
  cache.of('b').set(one, 'another');
  assert.equal(cache.of('a').get(one), 'of one');
  assert.equal(cache.of('b').get(one), 'another');
  assert.equal(cache.of('a').get(two), undefined);
});

/** How many of the values have a text; those that have none are given one. */
function found(cache: TextCache<object>, values: readonly object[]): number {
  const texts = cache.of('a');
  let count = 0;
  for (const value of values) {
    if (texts.get(value) === undefined) texts.set(value, 'x'.repeat(50));
    else count += 1;
  }
  return count;
}

test('of more values than there is room for, some are found each time; what nobody asks for any more makes room', () => {
  const cache = new TextCache<object>(1000);
  const some = Array.from({ length: 15 }, () => ({}));
  const many = Array.from({ length: 30 }, () => ({}));
  assert.equal(found(cache, some), 0);
  assert.equal(found(cache, some), 15);
  assert.equal(found(cache, many), 0);
  assert.equal(found(cache, many), 5);
  let most = 0;
  for (let round = 0; round < 40; round += 1) most = Math.max(most, found(cache, many));
  assert.equal(most, 20);
  const kept = [...some, ...many].filter((value) => cache.of('a').get(value) !== undefined);
  assert.equal(kept.length, 20);
});

test('a text is kept as long as what else it was made of is the same', () => {
  const cache = new TextCache<object>(100);
  const [value, one, other] = [{}, { name: 'one' }, { name: 'one' }];
  const texts = cache.of('a');
  texts.set(value, 'x'.repeat(60), [one, undefined]);
  assert.equal(texts.get(value, [one, undefined]), 'x'.repeat(60));
  for (const from of [undefined, [], [one], [undefined, one], [other, undefined], [one, undefined, one]])
    assert.equal(texts.get(value, from), undefined);
  // The text of before is not there any more, and takes no room.
  texts.set(value, 'y'.repeat(60), [other]);
  assert.equal(texts.get(value, [other]), 'y'.repeat(60));
  assert.equal(texts.get(value, [one, undefined]), undefined);
  texts.set({}, 'z'.repeat(40));
  texts.set(value, 'w'.repeat(60), [one]);
  assert.equal(texts.get(value, [one]), 'w'.repeat(60));
});
