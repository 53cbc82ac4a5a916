import {
  type CompilerTables,
  type ComputedHeader,
  type ComputedItem,
  indexKeys,
  Reader,
  type TableName,
  type TableRows,
} from '@cable/compiler';
import { type ReadKey, rowRead } from '@cable/kit';
import type { Slice } from './slice.ts';

type Row = TableRows[TableName];

/** A computation's result and what it read, also when it failed on the way. */
export type Made<T> =
  | { readonly ok: true; readonly value: T; readonly reads: ReadonlySet<ReadKey> }
  | { readonly ok: false; readonly err: unknown; readonly reads: ReadonlySet<ReadKey> };

/** Computes headers and items of slices from the tables as they are. */
export class ContentMaker {
  readonly #tables: CompilerTables;
  readonly #reader: Reader;

  constructor(tables: CompilerTables) {
    this.#tables = tables;
    this.#reader = new Reader(tables);
  }

  header(slice: Slice): Made<ComputedHeader | undefined> {
    return this.#make(() => slice.kind.header(this.#reader, slice.id));
  }

  /** Items of a row; none when there is no such row, or it is not the slice's. */
  items(slice: Slice, rowId: string): Made<readonly ComputedItem[]> {
    const { items } = slice.kind;
    return this.#make(() => {
      const row: Row | undefined = items && this.#tables[items.table].get(rowId);
      return row === undefined || !stands(slice, row)
        ? NO_ITEMS
        : (items?.compute(this.#reader, row, slice.id) ?? NO_ITEMS);
    });
  }

  /** Ids of the rows that the slice's items come from. */
  rowIds(slice: Slice): readonly string[] {
    const { items } = slice.kind;
    if (items === undefined) return [];
    const table: { by(index: string, key: string): readonly Row[] } = this.#tables[items.table];
    const ids = slice.sourceKeys.flatMap((key) => table.by(items.index, key).map((row) => row.id));
    // A row may stand under several of them.
    return [...new Set(ids)];
  }

  #make<T>(run: () => T): Made<T> {
    try {
      return { ok: true, value: run(), reads: this.#reader.takeReads() };
    } catch (err) {
      return { ok: false, err, reads: this.#reader.takeReads() };
    }
  }
}

/** The tables, but with these rows as they were. Indexes stay as they are: items are computed from rows alone. */
export function tablesBefore(tables: CompilerTables, before: ReadonlyMap<ReadKey, Row | undefined>): CompilerTables {
  const overlaid = Object.entries(tables).map(([name, table]) => {
    const get = (id: string): Row | undefined => {
      const read = rowRead(name, id);
      return before.has(read) ? before.get(read) : table.get(id);
    };
    return [name, { get, by: table.by.bind(table) }];
  });
  return Object.fromEntries(overlaid) as CompilerTables;
}

const NO_ITEMS: readonly ComputedItem[] = [];

function stands(slice: Slice, row: Row): boolean {
  const { items } = slice.kind;
  if (items === undefined) return false;
  const keys = indexKeys(items.table, items.index, row);
  return slice.sourceKeys.some((key) => keys.includes(key));
}
