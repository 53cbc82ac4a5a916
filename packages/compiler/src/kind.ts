/**
 * What a kind of slice is: how its header is computed from its id, from which rows its items come, how items are computed from one row, and
 * which other slices either refers to. Everything but the source row itself is read through the `Reader`.
 */
import type { SliceHeader, SliceItem, SliceKind } from '@cable/model';
import type { IndexName, TableName, TableRows } from './compiler-tables.ts';
import type { Reader } from './reader.ts';

/** Kinds that only carry reach are hidden: they have no content and are never sent. */
export type NodeKind = SliceKind | 'near';

/** A key of a slice, hidden ones included. */
export type NodeKey = `${NodeKind}:${string}`;

/** A header: its content, and the slices that a host with this slice needs because of it. `sources`: source keys of the slice besides those that follow from its id; absent: none. */
export type ComputedHeader = {
  readonly value: unknown;
  readonly refs: readonly NodeKey[];
  readonly sources?: readonly string[];
};

/** An item. `key`: unique in the slice; the source row's id, or that and `/` and more. */
export type ComputedItem = { readonly key: string; readonly value: unknown; readonly refs: readonly NodeKey[] };

/** A kind as the compiler runs it. */
export type Kind = {
  readonly name: NodeKind;
  readonly hidden: boolean;
  /** Undefined: what the slice is about does not exist, so it has no items either. */
  header(reader: Reader, id: string): ComputedHeader | undefined;
  /** Undefined: all content is in the header. */
  readonly items: KindItems | undefined;
};

/** Where a kind's items come from: the rows that stand in the table under one of the slice's source keys. */
export type KindItems = {
  readonly table: TableName;
  readonly index: string;
  sourceKeys(id: string): readonly string[];
  /** The items of one row in the slice of this id: none, one, or several. */
  compute(reader: Reader, row: TableRows[TableName], id: string): readonly ComputedItem[];
};

/** All source keys of a slice. */
export function sourceKeysOf(
  { items }: Pick<Kind, 'items'>,
  id: string,
  header: Pick<ComputedHeader, 'sources'> = {},
): readonly string[] {
  if (items === undefined) return [];
  const { sources = [] } = header;
  return sources.length === 0 ? items.sourceKeys(id) : [...new Set([...items.sourceKeys(id), ...sources])];
}

type Typed<V> = { readonly value: V; readonly refs: readonly NodeKey[] };
type TypedItem<V> = Typed<V> & { readonly key: string };

/** Checks a kind's parts against the types of its slice. */
export function defineKind<K extends SliceKind, T extends TableName = never>(kind: {
  readonly name: K;
  header(reader: Reader, id: string): (Typed<SliceHeader<K>> & Pick<ComputedHeader, 'sources'>) | undefined;
  readonly items?: {
    readonly table: T;
    readonly index: IndexName<T>;
    sourceKeys(id: string): readonly string[];
    compute(reader: Reader, row: TableRows[T], id: string): readonly TypedItem<SliceItem<K>>[];
  };
}): Kind {
  return { name: kind.name, hidden: false, header: kind.header, items: kind.items as KindItems | undefined };
}
