import assert from 'node:assert/strict';
import { test } from 'node:test';
import { firstBits, Numbering } from './numbers.ts';
import { createRandom } from './testing/random.ts';

test('a number is the first 32 bits of the name, and stays while other names come and go', () => {
  const numbers = new Numbering();
  assert.deepEqual(numbers.add('router:1'), ['router:1']);
  assert.deepEqual(numbers.add('router:1'), []);
  assert.deepEqual(numbers.add('router:2'), ['router:2']);
  assert.deepEqual(numbers.delete('router:2'), []);
  assert.equal(numbers.get('router:1'), firstBits('router:1'));
  assert.equal(numbers.get('router:2'), undefined);
});

for (const first of [1, 2])
  test(`names that meet have numbers of their own, from ${first} on, by the set of names alone`, () => {
    const few = (name: string): number => (Number(name) % 4 === 3 ? 0xffff_ffff : Number(name) % 4);
    for (let seed = 1; seed <= 50; seed += 1) {
      const random = createRandom(seed);
      const used = new Numbering(few, first);
      const known = new Map<string, number>();
      const names = new Set<string>();
      for (let step = 0; step < 60; step += 1) {
        const name = String(random(12));
        const added = random(2) === 0;
        const changed = added ? used.add(name) : used.delete(name);
        if (added) names.add(name);
        else names.delete(name);
        known.delete(added ? '' : name);
        for (const one of changed) known.set(one, used.get(one) ?? -1);
        const fresh = new Numbering(few, first);
        for (const one of [...names].reverse()) fresh.add(one);
        const now = [...names].map((one) => [one, used.get(one)] as const).sort();
        assert.deepEqual(
          now,
          [...names].map((one) => [one, fresh.get(one)] as const).sort(),
          `seed ${seed} step ${step}`,
        );
        assert.deepEqual([...known].sort(), now, `seed ${seed} step ${step}: changes`);
        assert.equal(new Set(now.map(([, number]) => number)).size, names.size);
        assert.ok(now.every(([, number]) => number !== undefined && number >= first));
      }
    }
  });
