import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sameJson } from './json.ts';

test('the same JSON value is the same whatever the order of members, and nothing else is', () => {
  assert.ok(sameJson({ a: 1, b: [{ c: null }] }, { b: [{ c: null }], a: 1 }));
  for (const [a, b] of [
    [{ a: 1 }, { a: 1, b: 2 }],
    [{ a: 1 }, { b: 1 }],
    [
      [1, 2],
      [2, 1],
    ],
    [{}, []],
  ]) {
    assert.ok(!sameJson(a, b));
  }
});

test('a member is not found in what every object has', () => {
  assert.ok(!sameJson(JSON.parse('{"__proto__":{}}'), { a: 1 }));
  assert.ok(!sameJson({ constructor: Object }, { a: 1 }));
  assert.ok(sameJson(JSON.parse('{"__proto__":{"a":1}}'), JSON.parse('{"__proto__":{"a":1}}')));
});
