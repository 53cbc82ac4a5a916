/** The rows of one stored type, and the tables that are made of part of them. */
import { type Compare, type IndexMaker, Table } from '@cable/kit';
import type { AnyObject, ResourceModel } from '@cable/model';
import { indexesOf, ordersOf } from './indexes.ts';
import { createRowSharing, type RowSharing } from './row-sharing.ts';

export type AnyTable = Table<AnyObject, string>;

export type Indexes = Readonly<Record<string, IndexMaker<AnyObject>>>;

/** Orders of a table, by name; in each every two rows must have different places. */
export type Orders = Readonly<Record<string, Compare<AnyObject>>>;

/** What a type's table has besides what its declaration gives it. */
export type Extras = { readonly indexes?: Indexes; readonly orders?: Orders };

/** A table with those rows of another for which `keep` is true; it has the other's indexes. */
export type DerivedTable = { readonly of: string; readonly keep: (row: AnyObject) => boolean };

/** One stored type in memory. */
export type TypeRows = {
  readonly resource: ResourceModel;
  readonly indexes: Indexes;
  /** Those that do not come from the declaration: what rules look for rows by. */
  readonly extraOrders: Orders;
  readonly table: AnyTable;
  readonly derived: ReadonlyMap<string, { readonly keep: DerivedTable['keep']; readonly table: AnyTable }>;
  readonly sharing: RowSharing;
};

/** A type without rows. */
export function createTypeRows(
  resource: ResourceModel,
  { indexes: extraIndexes = {}, orders: extraOrders = {} }: Extras,
  derived: readonly (readonly [string, DerivedTable])[],
): TypeRows {
  const indexes = { ...indexesOf(resource), ...extraIndexes };
  const own = derived.filter(([, { of }]) => of === resource.type);
  return {
    resource,
    indexes,
    extraOrders,
    table: tableOf(resource.type, indexes, { ...ordersOf(resource), ...extraOrders }),
    derived: new Map(own.map(([name, { keep }]) => [name, { keep, table: tableOf(name, indexes) }])),
    sharing: createRowSharing(resource),
  };
}

/** A table of rows of any type. */
export function tableOf(name: string, indexes: Indexes, orders: Orders = {}): AnyTable {
  return new Table<AnyObject, string>(name, indexes, orders);
}

/** Puts a row that was just parsed; answers what stood there. */
export function putRow({ table, derived, sharing }: TypeRows, row: AnyObject, revision: number): AnyObject | undefined {
  const before = table.get(row.id);
  sharing(row, before, table);
  table.put(row.id, row, revision);
  for (const one of derived.values()) {
    if (one.keep(row)) one.table.put(row.id, row);
    else one.table.delete(row.id);
  }
  return before;
}

/** Answers what stood there. */
export function deleteRow({ table, derived }: TypeRows, id: string): AnyObject | undefined {
  const before = table.delete(id);
  if (before !== undefined) for (const one of derived.values()) one.table.delete(id);
  return before;
}

/** The same type by its new declaration: whoever holds the tables of before has the rows of the new ones from now on. */
export function takeOver(before: TypeRows, now: TypeRows): TypeRows {
  before.table.become(now.table);
  for (const [name, { table }] of before.derived) {
    const other = now.derived.get(name);
    if (other !== undefined) table.become(other.table);
  }
  return {
    ...now,
    table: before.table,
    derived: new Map(
      Array.from(now.derived, ([name, one]) => [name, { ...one, table: before.derived.get(name)?.table ?? one.table }]),
    ),
  };
}

/** True when rows of both declarations are the same, in the same indexes and orders. */
export function isSameShape(a: ResourceModel, b: ResourceModel): boolean {
  return shapeOf(a) === shapeOf(b);
}

function shapeOf(resource: ResourceModel): string {
  return JSON.stringify([resource.storedAttributes, resource.sharedBy ?? null, Object.keys(ordersOf(resource))]);
}
