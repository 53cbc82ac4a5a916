import { type ListQuery, orderOf } from '@cable/api';
import type { Turns } from '@cable/kit';
import type { AnyObject } from '@cable/model';

type Compare<T> = (a: T, b: T) => number;

/** Items that the engine sorts in one go: some tenths of a millisecond. */
const RUN = 128;

/** Fewest items among which the first ones are looked for at a time. */
const ROOM_MIN = 1024;

/** Sorts and cuts: the query's page of the objects, behind the marker (null: from the start). Without a limit, a marker or sort keys their order stays. With a limit not all are sorted. */
export async function cutPage(
  objects: readonly AnyObject[],
  query: ListQuery,
  marker: AnyObject | null,
  turns: Turns,
): Promise<readonly AnyObject[]> {
  const order = orderOf(query);
  if (order === undefined) return objects;
  const page = await firstOf(objects, query.limit, marker, order, turns);
  return query.pageReverse ? page.reverse() : page;
}

/** The first items behind the marker (null: from the start), sorted; `count` 0: all. Keeps the best so far and looks closer only at what is better. */
async function firstOf<T>(
  items: readonly T[],
  count: number,
  marker: T | null,
  compare: Compare<T>,
  turns: Turns,
): Promise<T[]> {
  const room = count === 0 ? Number.POSITIVE_INFINITY : Math.max(2 * count, ROOM_MIN);
  let best: T[] = [];
  let worst: T | undefined;
  for (const item of items) {
    if (turns.due()) await turns.next();
    if (marker !== null && compare(item, marker) <= 0) continue;
    if (worst !== undefined && compare(item, worst) >= 0) continue;
    best.push(item);
    if (best.length < room) continue;
    best = (await sort(best, compare, turns)).slice(0, count);
    worst = best.at(-1);
  }
  const sorted = await sort(best, compare, turns);
  return count === 0 ? sorted : sorted.slice(0, count);
}

/** Merge sort, in turns. */
async function sort<T>(items: readonly T[], compare: Compare<T>, turns: Turns): Promise<T[]> {
  let runs: T[][] = [];
  for (let at = 0; at < items.length; at += RUN) {
    if (turns.due()) await turns.next();
    runs.push(items.slice(at, at + RUN).sort(compare));
  }
  while (runs.length > 1) {
    const merged: T[][] = [];
    for (let at = 0; at < runs.length; at += 2) {
      merged.push(await merge(runs[at] ?? [], runs[at + 1] ?? [], compare, turns));
    }
    runs = merged;
  }
  return runs[0] ?? [];
}

async function merge<T>(left: T[], right: readonly T[], compare: Compare<T>, turns: Turns): Promise<T[]> {
  const merged: T[] = [];
  let at = 0;
  for (const item of left) {
    for (let next = right[at]; next !== undefined && compare(next, item) < 0; next = right[at]) {
      merged.push(next);
      at += 1;
      if (turns.due()) await turns.next();
    }
    merged.push(item);
    if (turns.due()) await turns.next();
  }
  return merged.concat(right.slice(at));
}
