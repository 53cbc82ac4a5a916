import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Interner } from './interner.ts';

test('a value that comes again is the one that came first, also when others came between', () => {
  const interner = new Interner<object>(10);
  const first = {};
  assert.equal(interner.share('a', first), first);
  for (let i = 0; i < 1000; i += 1) {
    interner.share(`other ${i}`, {});
    if (i % 5 === 0) assert.equal(interner.share('a', {}), first);
  }
});

test('what has not come for long is forgotten', () => {
  const interner = new Interner<object>(10);
  const first = interner.share('a', {});
  for (let i = 0; i < 25; i += 1) interner.share(`other ${i}`, {});
  assert.notEqual(interner.share('a', {}), first);
});
