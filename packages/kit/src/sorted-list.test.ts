import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from './seeded-random.ts';
import { backwards, endOf, forwards, itemAt, itemBefore, placeIn, SortedList, START } from './sorted-list.ts';

type Item = { readonly key: number; readonly text: string };

const byKey = (a: Item, b: Item): number => a.key - b.key;

/** A list and a plain map with the same content; grows, then shrinks, so that every size is passed in both directions. */
function step(list: SortedList<Item>, model: Map<number, Item>, random: () => number, grows: boolean): void {
  const item = { key: Math.floor(random() * 2000), text: String(random()) };
  if (grows) {
    list.add(item);
    model.set(item.key, item);
  } else {
    list.remove(item);
    model.delete(item.key);
  }
}

const sorted = (model: ReadonlyMap<number, Item>): readonly Item[] => [...model.values()].sort(byKey);

test('a list has its items in order, whatever is added, replaced and removed; snapshots stay as they were', () => {
  const random = seededRandom(2);
  const list = new SortedList<Item>(byKey);
  const model = new Map<number, Item>();
  const kept: { readonly snapshot: readonly (readonly Item[])[]; readonly items: readonly Item[] }[] = [];
  for (let at = 0; at < 24_000; at += 1) {
    step(list, model, random, random() < (at % 12_000 < 6000 ? 0.8 : 0.2));
    assert.equal(list.size, model.size);
    if (at % 500 === 0) kept.push({ snapshot: list.snapshot(), items: sorted(model) });
  }
  assert.ok(Math.max(...kept.map(({ items }) => items.length)) > 1000);
  for (const { snapshot, items } of kept) {
    assert.deepEqual(snapshot.flat(), items);
    assert.ok(snapshot.every((portion) => portion.length > 0 && portion.length <= 128));
  }
  for (const item of sorted(model)) list.remove(item);
  assert.equal(list.size, 0);
  assert.deepEqual(list.snapshot(), []);
  assert.equal(list.first(), undefined);
});

test('what lies beside a place is found, whether there is an item in it or not', () => {
  const random = seededRandom(3);
  const list = new SortedList<Item>(byKey);
  const model = new Map<number, Item>();
  for (let at = 0; at < 6000; at += 1) {
    step(list, model, random, random() < (at < 3000 ? 0.8 : 0.2));
    const probe = { key: Math.floor(random() * 2002) - 1, text: '' };
    const items = sorted(model);
    const before = items.findLast(({ key }) => key < probe.key);
    assert.deepEqual(list.beside(probe), [before, items.find(({ key }) => key > probe.key)]);
  }
});

test('what comes in order fills its portions', () => {
  const list = new SortedList<number>((a, b) => a - b);
  for (let at = 0; at < 1000; at += 1) list.add(at);
  assert.equal(list.snapshot().length, Math.ceil(1000 / 128));
  assert.deepEqual(
    [...list.portions()].flat(),
    Array.from({ length: 1000 }, (_, at) => at),
  );
});

test('after most was removed few portions are left', () => {
  const list = new SortedList<number>((a, b) => a - b);
  for (let at = 0; at < 10_000; at += 1) list.add(at);
  for (let at = 0; at < 10_000; at += 1) if (at % 100 > 0) list.remove(at);
  assert.equal(list.size, 100);
  assert.ok(list.snapshot().length <= 5, String(list.snapshot().length));
});

test('the items between any two places are walked forwards and backwards', () => {
  const random = seededRandom(9);
  for (const size of [0, 1, 5, 128, 129, 700]) {
    const list = new SortedList<number>((a, b) => a - b);
    for (let at = 0; at < size; at += 1) list.add(Math.floor(random() * 1e6));
    const items = list.snapshot();
    const all = items.flat();
    for (let round = 0; round < 60; round += 1) {
      const [low = 0, high = 0] = [random() * 1e6, random() * 1e6].sort((a, b) => a - b);
      const from = round === 0 ? START : placeIn(items, (item) => item < low);
      const to = round === 0 ? endOf(items) : placeIn(items, (item) => item < high);
      const between = round === 0 ? all : all.filter((item) => item >= low && item < high);
      assert.deepEqual([...forwards(items, from, to)].flat(), between);
      assert.deepEqual([...backwards(items, from, to)].flat(), between.toReversed());
      if (round === 0) continue;
      assert.equal(
        itemAt(items, from),
        all.find((item) => item >= low),
      );
      assert.equal(
        itemBefore(items, from),
        all.findLast((item) => item < low),
      );
    }
  }
});
