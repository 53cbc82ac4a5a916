import { SlotIndex } from './slot-index.ts';
import { type Compare, type SortedItems, SortedList } from './sorted-list.ts';

/** Names the index keys of a row: a row may stand under several, or none. */
export type IndexMaker<T> = (row: T) => readonly string[];

/** What readers of a table may do. Rows are immutable values. */
export type TableReader<T, I extends string = string> = {
  readonly name: string;
  readonly size: number;
  get(id: string): T | undefined;
  values(): IterableIterator<T>;
  /** Rows under an index key, in no particular order. */
  by(index: I, key: string): readonly T[];
};

/** What who lists a table may do besides. */
export type TableLister<T, I extends string = string> = TableReader<T, I> & {
  /** Every row as of now in an order that the table keeps; undefined: it does not keep that one. Cheap also with very many rows. */
  sorted(order: string): SortedItems<T> | undefined;
  /** The last row before the place that this one has or would have in an order that the table keeps, and the first behind it; without itself. */
  beside(order: string, row: T): readonly [before: T | undefined, behind: T | undefined];
  /** Number of rows under an index key; nothing is copied. */
  count(index: I, key: string): number;
};

/**
 * An in-memory table with secondary indexes. One owner writes; a row is replaced, never changed.
 *
 *   id ──> slot ──> row, revision          index key ──> slots
 *
 * A row keeps its slot while it is replaced, so that only the index keys that change cost anything. Orders hold the rows themselves.
 */
export class Table<T, I extends string = never> implements TableLister<T, I> {
  readonly name: string;
  #slots = new Map<string, number>();
  #rows: (T | undefined)[] = [];
  #revisions: number[] = [];
  #free: number[] = [];
  #indexes: ReadonlyMap<I, { readonly make: IndexMaker<T>; readonly slots: SlotIndex }>;

  #orders: ReadonlyMap<string, { readonly compare: Compare<T>; readonly rows: SortedList<T> }>;

  /** `orders`: kept besides, by name; in each every two rows must have different places. */
  constructor(
    name: string,
    indexes: Readonly<Record<I, IndexMaker<T>>>,
    orders: Readonly<Record<string, Compare<T>>> = {},
  ) {
    this.name = name;
    const names = Object.keys(indexes) as I[];
    this.#indexes = new Map(names.map((index) => [index, { make: indexes[index], slots: new SlotIndex() }]));
    this.#orders = new Map(
      Object.entries(orders).map(([order, compare]) => [order, { compare, rows: new SortedList(compare) }]),
    );
  }

  get size(): number {
    return this.#slots.size;
  }

  get(id: string): T | undefined {
    const slot = this.#slots.get(id);
    return slot === undefined ? undefined : this.#rows[slot];
  }

  /** The revision that the row was put with; undefined: absent. */
  revisionOf(id: string): number | undefined {
    const slot = this.#slots.get(id);
    return slot === undefined ? undefined : this.#revisions[slot];
  }

  *ids(): IterableIterator<string> {
    yield* this.#slots.keys();
  }

  *values(): IterableIterator<T> {
    for (const row of this.#rows) if (row !== undefined) yield row;
  }

  sorted(order: string): SortedItems<T> | undefined {
    return this.#orders.get(order)?.rows.snapshot();
  }

  beside(order: string, row: T): readonly [before: T | undefined, behind: T | undefined] {
    const kept = this.#orders.get(order);
    if (kept === undefined) throw new Error(`table ${this.name} keeps no order ${order}`);
    return kept.rows.beside(row);
  }

  by(index: I, key: string): readonly T[] {
    const found: T[] = [];
    for (const slots of this.#indexes.get(index)?.slots.of(key) ?? []) {
      for (const slot of slots) {
        const row = this.#rows[slot];
        if (row !== undefined) found.push(row);
      }
    }
    return found;
  }

  /** One of the rows under an index key; undefined: there is none. */
  first(index: I, key: string): T | undefined {
    const slot = this.#indexes.get(index)?.slots.first(key);
    return slot === undefined ? undefined : this.#rows[slot];
  }

  count(index: I, key: string): number {
    return this.#indexes.get(index)?.slots.count(key) ?? 0;
  }

  /** Inserts or replaces; returns the row that stood there. `revision`: kept beside the row, for `revisionOf`. */
  put(id: string, row: T, revision = 0): T | undefined {
    const known = this.#slots.get(id);
    const slot = known ?? this.#free.pop() ?? this.#rows.length;
    const before = known === undefined ? undefined : this.#rows[slot];
    if (known === undefined) this.#slots.set(id, slot);
    this.#rows[slot] = row;
    this.#revisions[slot] = revision;
    this.#reindex(slot, before, row);
    this.#reorder(before, row);
    return before;
  }

  /** Deleting an absent row succeeds and returns undefined. */
  delete(id: string): T | undefined {
    const slot = this.#slots.get(id);
    if (slot === undefined) return undefined;
    const row = this.#rows[slot];
    this.#slots.delete(id);
    this.#rows[slot] = undefined;
    this.#free.push(slot);
    this.#reindex(slot, row, undefined);
    this.#reorder(row, undefined);
    return row;
  }

  /** Has from now on the rows, indexes and orders of the other, which nobody may use any more: for who holds this table. At once, however many rows there are. */
  become(other: Table<T, I>): void {
    this.#slots = other.#slots;
    this.#rows = other.#rows;
    this.#revisions = other.#revisions;
    this.#free = other.#free;
    this.#indexes = other.#indexes;
    this.#orders = other.#orders;
  }

  #reindex(slot: number, before: T | undefined, after: T | undefined): void {
    for (const { make, slots } of this.#indexes.values()) {
      const had = before === undefined ? [] : make(before);
      const has = after === undefined ? [] : make(after);
      for (const key of had) if (!has.includes(key)) slots.remove(key, slot);
      for (const key of has) if (!had.includes(key)) slots.add(key, slot);
    }
  }

  #reorder(before: T | undefined, after: T | undefined): void {
    for (const { compare, rows } of this.#orders.values()) {
      const staysInPlace = before !== undefined && after !== undefined && compare(before, after) === 0;
      if (before !== undefined && !staysInPlace) rows.remove(before);
      if (after !== undefined) rows.add(after);
    }
  }
}
