import { indexRead, type ReadKey, rowRead } from '@cable/kit';
import {
  INDEXES,
  indexKeys,
  isCompiled,
  isGatewayPort,
  isRouterInterface,
  type TableChange,
  type TableName,
  type TableRows,
} from './compiler-tables.ts';

/**
 * What a change of a row means to computations that read tables: the row itself, and the index keys under which it stood or stands. Collections
 * whose source is one of these keys have the row's items touched.
 */
export type TouchedReads = { readonly rowId: string; readonly row: ReadKey; readonly indexes: readonly ReadKey[] };

/** Undefined: nothing that slices are made of has changed. A malformed side counts as one that stands under no key; `onError` hears of it. */
export function touchedReads(
  change: TableChange,
  onError: (what: string, err: unknown) => void,
): TouchedReads | undefined {
  const rowId = (change.after ?? change.before)?.id;
  if (rowId === undefined || !isCompiled(change)) return undefined;
  const indexes = new Set<ReadKey>();
  for (const row of [change.before, change.after]) {
    if (row === undefined) continue;
    for (const table of tablesOf(change.type, row)) addIndexReads(table, row, indexes, onError);
  }
  return { rowId, row: rowRead(change.type, rowId), indexes: [...indexes] };
}

function tablesOf(type: TableChange['type'], row: TableRows[TableName]): readonly TableName[] {
  if (type !== 'port') return [type];
  const port = row as TableRows['port'];
  if (isRouterInterface(port)) return ['port', 'router_interface'];
  return isGatewayPort(port) ? ['port', 'router_gateway'] : ['port'];
}

function addIndexReads(
  table: TableName,
  row: TableRows[TableName],
  reads: Set<ReadKey>,
  onError: (what: string, err: unknown) => void,
): void {
  for (const index of Object.keys(INDEXES[table])) {
    try {
      for (const key of indexKeys(table, index, row)) reads.add(indexRead(table, index, key));
    } catch (err) {
      onError(`index ${index} of ${table} ${row.id}`, err);
    }
  }
}
