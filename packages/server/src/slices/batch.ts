import {
  isGatewayPort,
  isRouterInterface,
  type PortRow,
  type TableChange,
  type TableName,
  type TableRows,
} from '@cable/compiler';
import { type ReadKey, rowRead } from '@cable/kit';
import type { Slice } from './slice.ts';

type Row = TableRows[TableName];

/** What is to be computed of a slice. `whole`: everything. */
type TouchedSlice = { whole: boolean; header: boolean; readonly rows: Set<string> };

/** What table changes have touched since the last batch was taken; the computing is done later. */
export class Batch {
  /** Everything up to this revision is computed when the batch is done. */
  revision = 0;
  /** Hosts that may have come or gone. */
  readonly hosts: Set<string> = new Set();
  readonly slices: Map<Slice, TouchedSlice> = new Map();
  /** Rows as they were before the batch: what a row that cannot be computed falls back to. */
  readonly before: Map<ReadKey, Row | undefined> = new Map();
  /** Called when the batch is done. */
  readonly waiters: (() => void)[] = [];
  /** True: nobody can know anything yet, so that everything would be news. */
  isFirst = false;
  /** True: everything is computed, for the tables may be those of another history. */
  isAll = false;

  touch(slice: Slice, rowId: string | null): void {
    const touched = this.#of(slice);
    if (rowId === null) touched.header = true;
    else touched.rows.add(rowId);
  }

  touchWhole(slice: Slice): void {
    this.#of(slice).whole = true;
  }

  /** Notes the row as it was before the first of its changes. */
  remember({ type, before, after }: TableChange): void {
    const id = (after ?? before)?.id ?? '';
    this.#remember(type, id, before);
    if (type !== 'port') return;
    this.#remember('router_interface', id, before && isRouterInterface(before) ? before : undefined);
    this.#remember('router_gateway', id, before && isGatewayPort(before) ? before : undefined);
  }

  #remember(table: TableName, id: string, row: PortRow | Row | undefined): void {
    const read = rowRead(table, id);
    if (!this.before.has(read)) this.before.set(read, row);
  }

  #of(slice: Slice): TouchedSlice {
    const found = this.slices.get(slice) ?? { whole: false, header: false, rows: new Set() };
    this.slices.set(slice, found);
    return found;
  }
}
