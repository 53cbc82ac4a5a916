/** What is monitored of a database, as it is there (RFC 7047 §4.1.6; update2 of ovsdb-server(7)). */
import { type Atom, type Datum, decodeDatum, defaultDatum, setOf } from './datum.ts';
import { OvsdbError } from './ovsdb-error.ts';
import type { ColumnSchema, DatabaseSchema, TableSchema } from './schema.ts';

/** A row as it is there. */
export type Row = { readonly uuid: string; readonly columns: Readonly<Record<string, Datum>> };

/** What became of a row. `before` undefined: it is new; `after` undefined: it is gone. */
export type RowChange = {
  readonly table: string;
  readonly uuid: string;
  readonly before: Row | undefined;
  readonly after: Row | undefined;
};

/** Which form updates have: that of RFC 7047, or of `monitor_cond`, where what changed is said as a difference. */
export type UpdateForm = 'update' | 'update2';

/** Rows by table and UUID. */
export class Replica {
  readonly schema: DatabaseSchema;
  readonly #rows: ReadonlyMap<string, Map<string, Row>>;

  constructor(schema: DatabaseSchema) {
    this.schema = schema;
    this.#rows = new Map(Object.keys(schema).map((table) => [table, new Map()]));
  }

  /** Rows of a table that is monitored. */
  rows(table: string): ReadonlyMap<string, Row> {
    return this.#of(table);
  }

  /** Takes an update, all of it. Throws `OvsdbError` (hostile) for one that does not fit: what is here is worth nothing then. */
  apply(form: UpdateForm, update: unknown): readonly RowChange[] {
    const changes: RowChange[] = [];
    for (const [table, rows] of Object.entries(record(update, 'an update'))) {
      const schema = this.schema[table];
      if (schema === undefined) throw new OvsdbError('hostile', `an update is of ${table}, which is not monitored`);
      for (const [uuid, given] of Object.entries(record(rows, table))) {
        const before = this.#of(table).get(uuid);
        const after = nextRow({ form, schema, uuid, before }, record(given, uuid));
        if (after === undefined) this.#of(table).delete(uuid);
        else this.#of(table).set(uuid, after);
        changes.push({ table, uuid, before, after });
      }
    }
    return changes;
  }

  #of(table: string): Map<string, Row> {
    const rows = this.#rows.get(table);
    if (rows === undefined) throw new Error(`table ${table} is not monitored`);
    return rows;
  }
}

type Place = {
  readonly form: UpdateForm;
  readonly schema: TableSchema;
  readonly uuid: string;
  readonly before: Row | undefined;
};

/** Undefined: it is gone. */
function nextRow({ form, schema, uuid, before }: Place, given: Readonly<Record<string, unknown>>): Row | undefined {
  if (form === 'update') return given['new'] === undefined ? undefined : wholeRow(schema, uuid, given['new']);
  if ('delete' in given) return undefined;
  const whole = given['initial'] ?? given['insert'];
  if (whole !== undefined) return wholeRow(schema, uuid, whole);
  if (before === undefined) throw new OvsdbError('hostile', `row ${uuid} changes, and was never told`);
  const columns = { ...before.columns };
  for (const [name, difference] of Object.entries(record(given['modify'], uuid))) {
    const column = schema[name];
    const old = columns[name];
    if (column !== undefined && old !== undefined) columns[name] = changed(old, difference, column, name);
  }
  return { uuid, columns };
}

/** Columns that are not said have their default. */
function wholeRow(schema: TableSchema, uuid: string, given: unknown): Row {
  const said = record(given, uuid);
  const columns = Object.entries(schema).map(([name, column]): [string, Datum] => [
    name,
    Object.hasOwn(said, name) ? decodeDatum(said[name], column, name) : defaultDatum(column),
  ]);
  return { uuid, columns: Object.fromEntries(columns) };
}

/** What has at most one value is said anew; of sets and maps what is there goes, and what is not comes. */
function changed(old: Datum, difference: unknown, column: ColumnSchema, name: string): Datum {
  const told = decodeDatum(difference, column, name);
  if (told.kind === 'set' && old.kind === 'set')
    return column.max === 1 ? told : setOf(eitherOf(old.atoms, told.atoms));
  if (told.kind !== 'map' || old.kind !== 'map') throw new Error('the schema says what a column is');
  const entries = new Map(old.entries);
  for (const [key, value] of told.entries) {
    if (entries.get(key) === value) entries.delete(key);
    else entries.set(key, value);
  }
  return { kind: 'map', entries };
}

function eitherOf(a: readonly Atom[], b: readonly Atom[]): readonly Atom[] {
  const left = new Set(a);
  const right = new Set(b);
  return [...a.filter((atom) => !right.has(atom)), ...b.filter((atom) => !left.has(atom))];
}

function record(given: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw new OvsdbError('hostile', `${what} is no object`);
  return given as Readonly<Record<string, unknown>>;
}
