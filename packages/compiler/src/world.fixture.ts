/** Two ways from tables to what hosts are given: everything afresh, and only what recorded reads say is touched. */
import { Dependents, indexRead } from '@cable/kit';
import { type CompilerTables, indexKeys, type TableChange, type TableName, type TableRows } from './compiler-tables.ts';
import { type ComputedHeader, type ComputedItem, type NodeKey, sourceKeysOf } from './kind.ts';
import { KINDS, splitKey } from './kinds.ts';
import { Reader } from './reader.ts';
import { createTables, type StateTables } from './state.fixture.ts';
import { touchedReads } from './touched.ts';

export const HOSTS: readonly string[] = ['h1', 'h2', 'h3'];

/** What each host is given, as text. */
export type World = ReadonlyMap<string, string>;

type Row = TableRows[TableName];
type SliceOf = (key: NodeKey) => {
  readonly header: ComputedHeader | undefined;
  readonly items: readonly ComputedItem[];
};

/** Computes every slice from nothing, and finds source rows by looking at all rows. */
export function fromScratch(tables: CompilerTables): World {
  return worldOf((key) => {
    const reader = new Reader(tables);
    const { kind, id } = splitKey(key);
    const header = KINDS[kind].header(reader, id);
    return { header, items: rowsOf(tables, key, header).flatMap((row) => compute(reader, key, row)) };
  });
}

/** Keeps slices, and computes again only what read something that changed. */
export class Incremental {
  readonly #tables: StateTables = createTables();
  readonly #reader: Reader;
  readonly #slices = new Map<NodeKey, Held>();
  readonly #dependents = new Dependents<Unit>();
  readonly #sources = new Dependents<Held>();

  /** `makeReader`: one that does not record everything must be found out. */
  constructor(makeReader: (tables: CompilerTables) => Reader = (tables) => new Reader(tables)) {
    this.#reader = makeReader(this.#tables.tables);
  }

  get tables(): CompilerTables {
    return this.#tables.tables;
  }

  apply(batch: readonly TableChange[]): void {
    for (const change of batch) this.#tables.apply(change);
    const touched = new Set<Unit>();
    for (const change of batch) for (const unit of this.#touchedBy(change)) touched.add(unit);
    for (const unit of touched) this.#run(unit);
  }

  world(): World {
    return worldOf((key) => {
      const held = this.#slices.get(key) ?? this.#create(key);
      return { header: held.header, items: [...held.rows.values()].flat() };
    });
  }

  *#touchedBy(change: TableChange): Generator<Unit> {
    const reads = touchedReads(change, failOnError);
    if (reads === undefined) return;
    for (const read of [reads.row, ...reads.indexes]) yield* this.#dependents.of(read);
    for (const read of reads.indexes) {
      for (const held of this.#sources.of(read)) yield unitOf(held, reads.rowId);
    }
  }

  #create(key: NodeKey): Held {
    const held: Held = { key, header: undefined, rows: new Map(), units: new Map() };
    this.#slices.set(key, held);
    this.#run(unitOf(held, null));
    return held;
  }

  #run(unit: Unit): void {
    const { held, rowId } = unit;
    const { kind, id } = splitKey(held.key);
    this.#reader.takeReads();
    if (rowId === null) held.header = KINDS[kind].header(this.#reader, id);
    else {
      const table = KINDS[kind].items?.table ?? 'port';
      const row = this.tables[table].get(rowId);
      const stands = row !== undefined && isUnder(held.key, row, held.header);
      held.rows.set(rowId, stands ? compute(this.#reader, held.key, row) : []);
    }
    this.#dependents.set(unit, this.#reader.takeReads());
    if (rowId === null) this.#follow(held);
  }

  /** After the header: the rows under its source keys, where these are others. */
  #follow(held: Held): void {
    const { kind, id } = splitKey(held.key);
    const { items } = KINDS[kind];
    if (items === undefined) return;
    const keys = sourceKeysOf(KINDS[kind], id, held.header);
    if (held.sources?.join() === keys.join()) return;
    held.sources = keys;
    this.#sources.set(held, new Set(keys.map((source) => indexRead(items.table, items.index, source))));
    const rows = rowsOf(this.tables, held.key, held.header).map((row) => row.id);
    for (const rowId of new Set([...held.rows.keys(), ...rows])) this.#run(unitOf(held, rowId));
  }
}

/** For tables in which every row can be read. */
export function failOnError(what: string, err: unknown): never {
  throw new Error(what, { cause: err });
}

/** The header, or the items of one row. */
type Unit = { readonly held: Held; readonly rowId: string | null };

type Held = {
  readonly key: NodeKey;
  header: ComputedHeader | undefined;
  /** Its source keys; undefined: its header has not been computed. */
  sources?: readonly string[];
  readonly rows: Map<string, readonly ComputedItem[]>;
  readonly units: Map<string | null, Unit>;
};

function unitOf(held: Held, rowId: string | null): Unit {
  const unit = held.units.get(rowId) ?? { held, rowId };
  held.units.set(rowId, unit);
  return unit;
}

function worldOf(slice: SliceOf): World {
  return new Map(HOSTS.map((name) => [name, linesOf(`host:${name}`, slice)]));
}

/** Everything that can be reached; a slice without a header has no items. */
function linesOf(root: NodeKey, slice: SliceOf): string {
  const reached = new Map<NodeKey, string>();
  const pending: NodeKey[] = [root];
  for (let key = pending.pop(); key !== undefined; key = pending.pop()) {
    if (reached.has(key)) continue;
    const { header, items } = slice(key);
    const parts = header === undefined ? [] : [header, ...[...items].sort((a, b) => (a.key < b.key ? -1 : 1))];
    reached.set(key, `${key} ${JSON.stringify(parts)}`);
    for (const part of parts) pending.push(...part.refs);
  }
  return [...reached.values()].sort().join('\n');
}

function rowsOf(tables: CompilerTables, key: NodeKey, header: ComputedHeader | undefined): Row[] {
  const { items } = KINDS[splitKey(key).kind];
  return items === undefined ? [] : [...tables[items.table].values()].filter((row) => isUnder(key, row, header));
}

function isUnder(key: NodeKey, row: Row, header: ComputedHeader | undefined): boolean {
  const { kind, id } = splitKey(key);
  const { items } = KINDS[kind];
  if (items === undefined) return false;
  const keys = indexKeys(items.table, items.index, row);
  return sourceKeysOf(KINDS[kind], id, header).some((source) => keys.includes(source));
}

function compute(reader: Reader, key: NodeKey, row: Row): readonly ComputedItem[] {
  const { kind, id } = splitKey(key);
  return KINDS[kind].items?.compute(reader, row, id) ?? [];
}
