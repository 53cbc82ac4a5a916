import assert from 'node:assert/strict';
import { test } from 'node:test';
import { shareStructure } from './share.ts';

const slice = (...names: string[]): { list: { id: string; tags: string[] }[]; plain: string[] } => ({
  list: names.map((id) => ({ id, tags: ['x', id] })),
  plain: names,
});

test('an equal value is the previous object itself', () => {
  const previous = slice('a', 'b');
  assert.equal(shareStructure(previous, slice('a', 'b')), previous);
});

test('unchanged items of a list are the previous objects, wherever they stand now', () => {
  const previous = slice('a', 'b', 'c');
  const next = shareStructure(previous, slice('c', 'new', 'a'));
  assert.deepEqual(next, slice('c', 'new', 'a'));
  assert.equal(next.list[0], previous.list[2]);
  assert.equal(next.list[2], previous.list[0]);
});

test('what differs is the new value, down to key sets, null and length', () => {
  for (const [previous, next] of [
    [{ a: 1 }, { a: 2 }],
    [{ a: 1, b: 1 }, { a: 1 }],
    [{ a: 1 }, { a: 1, b: undefined }],
    [{ a: null }, { a: {} }],
    [{ a: [1, 2] }, { a: [1] }],
    [{ a: [] }, { a: {} }],
    [undefined, { a: 1 }],
    [[{ id: 'a', x: 1 }], [{ id: 'a', x: 2 }]],
  ] as const) {
    assert.deepEqual(shareStructure(previous, next), next);
    assert.notEqual(shareStructure(previous, next), previous);
  }
});
