import assert from 'node:assert/strict';
import { test } from 'node:test';
import { contains, parsePrefix } from './address.ts';
import { PrefixRows } from './prefix-rows.ts';
import { createRandom } from './testing/random.ts';

test('prefixes find what contains them and what they contain, as a look at all of them does', () => {
  const random = createRandom(7);
  const rows = new PrefixRows<null>();
  const held = new Map<string, ReturnType<typeof parsePrefix>>();
  for (let step = 0; step < 4000; step += 1) {
    const lengths = [0, 3, 8, 13, 24, 30, 32, 32, 32, 32];
    const prefix = parsePrefix(`10.${random(4)}.${random(64)}.${random(256)}/${lengths[random(lengths.length)]}`);
    assert.ok(prefix !== undefined);
    const known = rows.get(prefix.order);
    if (known === undefined) {
      rows.add(prefix.order, null);
      held.set(prefix.order, prefix);
    } else if (random(4) === 0) {
      rows.delete(known);
      held.delete(prefix.order);
    }
    if (step % 40 !== 0) continue;
    const row = rows.get(prefix.order) ?? { order: prefix.order, length: prefix.length, state: null };
    const others = [...held.values()].flatMap((one) => (one === undefined || one.order === prefix.order ? [] : [one]));
    const orders = (list: Iterable<{ readonly order: string }>): string[] => [...list].map((one) => one.order).sort();
    assert.deepEqual(orders(rows.around(row)), orders(others.filter((one) => contains(one, prefix))));
    assert.deepEqual(orders(rows.within(row)), orders(others.filter((one) => contains(prefix, one))));
  }
  assert.equal(rows.size, held.size);
  assert.ok(rows.size > 1000, 'more than a block');
});
