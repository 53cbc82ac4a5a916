import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from './seeded-random.ts';
import { SlotIndex } from './slot-index.ts';

const sorted = (slots: Iterable<number>): readonly number[] => [...slots].sort((a, b) => a - b);

test('an index is a map of sets, whatever is added and removed in whatever order', () => {
  const random = seededRandom(5);
  const index = new SlotIndex();
  const model = new Map<string, Set<number>>();
  let most = 0;
  for (let step = 0; step < 40_000; step += 1) {
    // Grows for a while, then shrinks, so that every size is passed in both directions.
    const grows = random() < (step % 10_000 < 5000 ? 0.7 : 0.3);
    const key = `k${Math.floor(random() * 3)}`;
    const slot = Math.floor(random() * 300);
    const slots = model.get(key) ?? new Set<number>();
    model.set(key, slots);
    if (grows) {
      index.add(key, slot);
      slots.add(slot);
    } else {
      index.remove(key, slot);
      slots.delete(slot);
    }
    most = Math.max(most, slots.size);
    assert.equal(index.count(key), slots.size);
    const first = index.first(key);
    assert.ok(first === undefined ? slots.size === 0 : slots.has(first));
    if (slots.size < 3 || step % 50 === 0) assert.deepEqual(sorted([...index.of(key)].flat()), sorted(slots));
  }
  assert.ok(most > 150);
  for (const [key, slots] of model) for (const slot of [...slots]) index.remove(key, slot);
  assert.deepEqual(
    [...model.keys()].map((key) => [...index.of(key)].flat().length),
    [0, 0, 0],
  );
});
