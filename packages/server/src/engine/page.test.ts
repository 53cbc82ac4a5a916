import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ListQuery, orderOf } from '@cable/api';
import { seededRandom, startTurns } from '@cable/kit';
import type { AnyObject } from '@cable/model';
import { cutPage } from './page.ts';

const QUERY: ListQuery = {
  filters: [],
  fields: [],
  sort: [],
  limit: 0,
  marker: null,
  pageReverse: false,
  changedSince: null,
};

/** What a page is, said without regard to cost. */
function plainPage(objects: readonly AnyObject[], query: ListQuery, marker: AnyObject | null): readonly AnyObject[] {
  const sorted = [...objects, ...(marker === null || objects.includes(marker) ? [] : [marker])].sort(orderOf(query));
  const start = marker === null ? 0 : sorted.indexOf(marker) + 1;
  const page = sorted.slice(start, query.limit === 0 ? undefined : start + query.limit);
  return query.pageReverse ? page.reverse() : page;
}

const ids = (page: readonly AnyObject[]): string => page.map((one) => one.id).join();

test('a page is what sorting everything and cutting would give', async () => {
  const random = seededRandom(11);
  const upTo = (n: number): number => Math.floor(random() * n);
  for (let round = 0; round < 60; round += 1) {
    const objects = Array.from({ length: upTo(6000) }, (_, i) => ({
      id: `${upTo(1e9)}-${i}`,
      size: upTo(5),
      name: random() < 0.1 ? null : `n${upTo(50)}`,
    }));
    const sort = [
      { attribute: 'size', descending: random() < 0.5 },
      { attribute: 'name', descending: random() < 0.5 },
    ].slice(upTo(3));
    const elsewhere = { id: String(upTo(1e9)), size: upTo(5), name: `n${upTo(50)}` };
    const marker = random() < 0.5 ? null : (random() < 0.8 && objects[upTo(objects.length)]) || elsewhere;
    const limit = random() < 0.3 ? 0 : upTo(random() < 0.5 ? 20 : 4000);
    const query = { ...QUERY, sort, marker: marker?.id ?? null, limit, pageReverse: random() < 0.5 };
    if (orderOf(query) === undefined) continue;
    const page = await cutPage(objects, query, marker, startTurns(0));
    assert.equal(ids(page), ids(plainPage(objects, query, marker)), `round ${round} ${JSON.stringify(query)}`);
  }
});

test('without an order, a limit or a marker the objects stay as they are', async () => {
  const objects = [{ id: 'b' }, { id: 'a' }];
  assert.equal(await cutPage(objects, QUERY, null, startTurns()), objects);
});

test('a page of many objects leaves the event loop free meanwhile', async () => {
  const random = seededRandom(3);
  const objects = Array.from({ length: 20_000 }, () => ({ id: String(random()) }));
  let turns = 0;
  let isDone = false;
  const count = (): void => {
    turns += 1;
    if (!isDone) setImmediate(count);
  };
  setImmediate(count);
  await cutPage(objects, { ...QUERY, sort: [{ attribute: 'id', descending: true }] }, null, startTurns(1));
  isDone = true;
  assert.ok(turns > 5, String(turns));
});
