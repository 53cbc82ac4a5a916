/**
 * Rows of the Northbound database that are ours, by what they are. A process that has just started knows its own rows by `external_ids:cable:row`; a row without it is somebody else's, and is neither changed nor deleted.
 */
import type { Replica, Row, RowChange } from '../ovsdb/replica.ts';
import { HOLDING, type NorthboundTable, ROW_ID, unitOf } from '../translate/wanted-row.ts';

/** A row that is there. `key`: what it is. */
export type ActualRow = { readonly table: NorthboundTable; readonly key: string; readonly row: Row };

/** A row that holds another by a column. */
export type ActualHolder = { readonly table: NorthboundTable; readonly uuid: string; readonly column: string };

type KnownHolder = ActualHolder & { readonly isOurs: boolean };

/** Kept as the replica changes. */
export class ActualRows {
  readonly #byUnit = new Map<string, Map<string, ActualRow>>();
  readonly #byKey = new Map<string, readonly ActualRow[]>();
  readonly #holders = new Map<string, readonly KnownHolder[]>();

  constructor(replica: Replica) {
    for (const table of Object.keys(replica.schema))
      for (const after of replica.rows(table).values())
        this.apply({ table, uuid: after.uuid, before: undefined, after });
  }

  /** Units that have rows. */
  get units(): Iterable<string> {
    return this.#byUnit.keys();
  }

  /** The unit's rows, in an order of their own. */
  of(unit: string): readonly ActualRow[] {
    const rows = [...(this.#byUnit.get(unit)?.values() ?? [])];
    return rows.sort(byUuid);
  }

  /** The row with this key; of several, which nobody makes on purpose, the first. */
  find(key: string): ActualRow | undefined {
    return this.#byKey.get(key)?.[0];
  }

  /** Who holds the row; `isOurs`: he is a row of ours. */
  holdersOf(uuid: string): readonly KnownHolder[] {
    return this.#holders.get(uuid) ?? [];
  }

  /** Takes a change. The units whose rows, or whose rows' holders, are others now. */
  apply({ table, uuid, before, after }: RowChange): readonly string[] {
    const name = table as NorthboundTable;
    const keys = [before, after].flatMap((row) => keyOf(row) ?? []);
    const was = keyOf(before);
    const is = keyOf(after);
    if (was !== undefined) this.#remove(was, uuid);
    if (is !== undefined && after !== undefined) this.#add({ table: name, key: is, row: after });
    const isOurs = is !== undefined;
    for (const column of HOLDING[name] ?? [])
      this.#hold({ table: name, uuid, column, isOurs }, atomsOf(before, column), atomsOf(after, column));
    return [...new Set(keys.map(unitOf))];
  }

  #add(actual: ActualRow): void {
    const unit = unitOf(actual.key);
    const rows = this.#byUnit.get(unit) ?? new Map<string, ActualRow>();
    rows.set(actual.row.uuid, actual);
    this.#byUnit.set(unit, rows);
    const known = this.#byKey.get(actual.key) ?? [];
    this.#byKey.set(actual.key, [...known, actual].sort(byUuid));
  }

  #remove(key: string, uuid: string): void {
    const rows = this.#byUnit.get(unitOf(key));
    rows?.delete(uuid);
    if (rows?.size === 0) this.#byUnit.delete(unitOf(key));
    const left = (this.#byKey.get(key) ?? []).filter(({ row }) => row.uuid !== uuid);
    if (left.length === 0) this.#byKey.delete(key);
    else this.#byKey.set(key, left);
  }

  #hold(holder: KnownHolder, before: readonly string[], after: readonly string[]): void {
    const had = new Set(before);
    const has = new Set(after);
    for (const child of before) if (!has.has(child)) this.#letGo(holder, child);
    for (const child of after)
      if (!had.has(child)) this.#holders.set(child, [...(this.#holders.get(child) ?? []), holder]);
  }

  #letGo({ uuid, column }: ActualHolder, child: string): void {
    const left = this.holdersOf(child).filter((one) => one.uuid !== uuid || one.column !== column);
    if (left.length === 0) this.#holders.delete(child);
    else this.#holders.set(child, left);
  }
}

/** What a row of ours is; undefined: it is not ours. */
export function keyOf(row: Row | undefined): string | undefined {
  const ids = row?.columns['external_ids'];
  const key = ids?.kind === 'map' ? ids.entries.get(ROW_ID) : undefined;
  return typeof key === 'string' ? key : undefined;
}

function byUuid(a: ActualRow, b: ActualRow): number {
  return a.row.uuid < b.row.uuid ? -1 : 1;
}

function atomsOf(row: Row | undefined, column: string): readonly string[] {
  const datum = row?.columns[column];
  return datum?.kind === 'set' ? datum.atoms.map(String) : [];
}
