/** Lists in an order that a table keeps: from the marker on, no further than they are asked for. */
import { compareValues, type ListQuery } from '@cable/api';
import {
  backwards,
  type Compare,
  endOf,
  forwards,
  itemAt,
  itemBefore,
  type Place,
  placeIn,
  type SortedItems,
  START,
} from '@cable/kit';
import type { AnyObject } from '@cable/model';

/** A way through a table's rows: by a kept order's attribute, rows that have it in common by their id; each in one direction or the other. */
export type Walk = { readonly order: string; readonly isKeyDown: boolean; readonly isIdDown: boolean };

type Portions = IterableIterator<readonly AnyObject[]>;

/** The way of a query, if there is a table order by its first sort key; undefined: it takes more than that. */
export function walkOf({ sort, pageReverse }: ListQuery): Walk | undefined {
  const [key = { attribute: 'id', descending: false }, second] = sort;
  if (sort.length > 2 || (second !== undefined && second.attribute !== 'id')) return undefined;
  const isIdDown = key.attribute === 'id' ? key.descending : second?.descending === true;
  return { order: key.attribute, isKeyDown: key.descending !== pageReverse, isIdDown: isIdDown !== pageReverse };
}

/** The rows behind the marker (null: all), in portions. `rows`: the walk's order of the table. */
export function walkRows(rows: SortedItems<AnyObject>, walk: Walk, marker: AnyObject | null): Portions {
  const byKey: Compare<AnyObject> = (a, b) => compareValues(a[walk.order], b[walk.order]);
  const compare: Compare<AnyObject> = (a, b) => byKey(a, b) || compareValues(a.id, b.id);
  const before = marker === null ? START : placeIn(rows, (row) => compare(row, marker) < 0);
  const behind = marker === null ? START : placeIn(rows, (row) => compare(row, marker) <= 0);
  if (!walk.isKeyDown && !walk.isIdDown) return forwards(rows, behind, endOf(rows));
  if (walk.isKeyDown && walk.isIdDown) return backwards(rows, START, marker === null ? endOf(rows) : before);
  const groups = { rows, byKey, marker };
  return walk.isKeyDown ? groupsDown(groups, behind) : groupsUp(groups, before);
}

/** Rows of which those with one key are a group. */
type Groups = {
  readonly rows: SortedItems<AnyObject>;
  readonly byKey: Compare<AnyObject>;
  readonly marker: AnyObject | null;
};

/** The last group first, each from its start; of the marker's, what is behind it. */
function* groupsDown({ rows, byKey, marker }: Groups, behindMarker: Place): Portions {
  let end = endOf(rows);
  if (marker !== null) {
    yield* forwards(rows, behindMarker, groupEnd(rows, byKey, marker));
    end = groupStart(rows, byKey, marker);
  }
  for (let last = itemBefore(rows, end); last !== undefined; last = itemBefore(rows, end)) {
    const start = groupStart(rows, byKey, last);
    yield* forwards(rows, start, end);
    end = start;
  }
}

/** The first group first, each from its end; of the marker's, what is before it. */
function* groupsUp({ rows, byKey, marker }: Groups, beforeMarker: Place): Portions {
  let start = START;
  if (marker !== null) {
    yield* backwards(rows, groupStart(rows, byKey, marker), beforeMarker);
    start = groupEnd(rows, byKey, marker);
  }
  for (let first = itemAt(rows, start); first !== undefined; first = itemAt(rows, start)) {
    const end = groupEnd(rows, byKey, first);
    yield* backwards(rows, start, end);
    start = end;
  }
}

function groupStart(rows: SortedItems<AnyObject>, byKey: Compare<AnyObject>, one: AnyObject): Place {
  return placeIn(rows, (row) => byKey(row, one) < 0);
}

function groupEnd(rows: SortedItems<AnyObject>, byKey: Compare<AnyObject>, one: AnyObject): Place {
  return placeIn(rows, (row) => byKey(row, one) <= 0);
}
