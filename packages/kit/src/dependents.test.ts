import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Dependents, indexRead, rowRead } from './dependents.ts';

const node = (name: string): { readonly name: string } => ({ name });

test('a read leads to the nodes whose last run read it, and to no other', () => {
  const dependents = new Dependents<{ readonly name: string }>();
  const [a, b] = [node('a'), node('b')];
  const [row, index] = [rowRead('port', '1'), indexRead('port', 'network_id', 'n')];
  dependents.set(a, new Set([row, index]));
  dependents.set(b, new Set([index]));
  assert.deepEqual(dependents.of(row), [a]);
  assert.deepEqual(dependents.of(index), [a, b]);
  dependents.set(a, new Set([row]));
  assert.deepEqual(dependents.of(index), [b]);
  dependents.set(b, new Set());
  assert.deepEqual(dependents.of(index), []);
  assert.equal(dependents.size, 1);
  dependents.delete(a);
  dependents.delete(a);
  assert.deepEqual(dependents.of(row), []);
  assert.equal(dependents.size, 0);
});

test('any order of runs leaves what the last runs read', () => {
  let seed = 7;
  const random = (below: number): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return seed % below;
  };
  const nodes = Array.from({ length: 8 }, (_, i) => node(String(i)));
  const dependents = new Dependents<{ readonly name: string }>();
  const expected = new Map<object, Set<string>>();
  for (let step = 0; step < 5000; step += 1) {
    const one = nodes[random(nodes.length)] ?? node('');
    const reads = new Set(Array.from({ length: random(5) }, () => rowRead('t', String(random(6)))));
    if (random(5) === 0) {
      dependents.delete(one);
      expected.delete(one);
    } else {
      dependents.set(one, reads);
      expected.set(one, reads);
    }
    const read = rowRead('t', String(random(6)));
    const want = nodes.filter((other) => expected.get(other)?.has(read) === true);
    assert.deepEqual(new Set(dependents.of(read)), new Set(want));
  }
});
