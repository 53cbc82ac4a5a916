/** Who is admitted where not all fit: each project as much as any other, whatever its policies are called. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Admission } from './admission.ts';
import type { PolicySize } from './unit.ts';

const rules = (count: number): PolicySize => ({ rules: count, classes: 0 });

function admitted(all: readonly (readonly [name: string, size: PolicySize, project?: string])[]): readonly string[] {
  const admission = new Admission({ rules: 100, classes: 50 });
  for (const one of all) admission.set(...one);
  return all.map(([name]) => name).filter((name) => admission.admits(name));
}

test('regression: however much one project asks for, another has its part', () => {
  const greedy = [1, 2, 3, 4, 5, 6].map((n) => [`aaa-${n}`, rules(19), 'greedy'] as const);
  const others = [['shop', { rules: 30, classes: 5 }, 'shop'] as const, ['web', rules(10), 'web'] as const];
  assert.deepEqual(admitted([...greedy, ...others]), ['aaa-1', 'aaa-2', 'aaa-3', 'shop', 'web']);
  assert.deepEqual(admitted([...others, ...greedy.toReversed()]), ['shop', 'web', 'aaa-3', 'aaa-2', 'aaa-1']);
});

test('of what nobody else asks for a project may have all, in the order of names', () => {
  const mine = [1, 2, 3].map((n) => [`p-${n}`, rules(40), 'mine'] as const);
  assert.deepEqual(admitted(mine), ['p-1', 'p-2']);
  assert.deepEqual(admitted([...mine, ['q', rules(20), 'mine']]), ['p-1', 'p-2', 'q'], 'what still fits is there');
});

test('rules and addresses are shared each by itself', () => {
  const wide = [1, 2].map((n) => [`a-${n}`, { rules: 1, classes: 30 }, 'wide'] as const);
  const long = [1, 2].map((n) => [`b-${n}`, { rules: 50, classes: 1 }, 'long'] as const);
  assert.deepEqual(admitted([...wide, ...long]), ['a-1', 'b-1']);
});

test('who is told of a change are those of whom the answer is another', () => {
  const admission = new Admission({ rules: 100, classes: 50 });
  assert.deepEqual(admission.set('a', rules(70), 'one'), []);
  assert.deepEqual(admission.set('b', rules(50), 'two'), ['a']);
  assert.deepEqual(admission.set('b', rules(20), 'two'), ['a']);
  assert.deepEqual(admission.set('b', rules(20), 'two'), []);
  admission.set('b', rules(90), 'two');
  assert.deepEqual(admission.set('b', undefined), ['b'], 'it is not refused any more');
});
