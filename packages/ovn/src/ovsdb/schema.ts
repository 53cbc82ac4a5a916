/** What a database says of its tables (RFC 7047 §3.2), as far as reading and writing rows needs it. */
import { OvsdbError } from './ovsdb-error.ts';

/** The kinds of values. */
export type AtomType = 'integer' | 'real' | 'boolean' | 'string' | 'uuid';

/** What a column holds. `value`: of a map. `min`: 0 or 1. */
export type ColumnSchema = {
  readonly key: AtomType;
  readonly value: AtomType | undefined;
  readonly min: number;
  /** Infinity: any number. */
  readonly max: number;
};

/** Columns of a table by name. */
export type TableSchema = Readonly<Record<string, ColumnSchema>>;

/** Tables by name. */
export type DatabaseSchema = Readonly<Record<string, TableSchema>>;

const ATOMS: readonly string[] = ['integer', 'real', 'boolean', 'string', 'uuid'] satisfies readonly AtomType[];

/**
 * Of these tables, the columns that are both wanted and there: an older OVN has fewer. `required`: a table that must be there. Throws `OvsdbError` (hostile) for what is no schema.
 */
export function parseSchema(given: unknown, wanted: Readonly<Record<string, readonly string[]>>): DatabaseSchema {
  const tables = objectOf(objectOf(given, 'the schema')['tables'], 'its tables');
  const parsed: Record<string, TableSchema> = {};
  for (const [table, columns] of Object.entries(wanted)) {
    if (!Object.hasOwn(tables, table)) throw new OvsdbError('hostile', `the database has no table ${table}`);
    const known = objectOf(objectOf(tables[table], table)['columns'], table);
    parsed[table] = Object.fromEntries(
      columns
        .filter((name) => Object.hasOwn(known, name))
        .map((name) => [name, parseColumn(objectOf(known[name], name)['type'], name)]),
    );
  }
  return parsed;
}

function parseColumn(type: unknown, name: string): ColumnSchema {
  if (typeof type === 'string') return { key: atomType(type, name), value: undefined, min: 1, max: 1 };
  const { key, value, min = 1, max = 1 } = objectOf(type, name);
  return {
    key: atomType(key, name),
    value: value === undefined ? undefined : atomType(value, name),
    min: min === 0 ? 0 : 1,
    max: max === 'unlimited' ? Number.POSITIVE_INFINITY : Number(max),
  };
}

function atomType(given: unknown, name: string): AtomType {
  const text = typeof given === 'string' ? given : objectOf(given, name)['type'];
  const found = ATOMS.indexOf(String(text));
  if (found < 0) throw new OvsdbError('hostile', `column ${name} is of no known type`);
  return ATOMS[found] as AtomType;
}

function objectOf(given: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw new OvsdbError('hostile', `${what} is no object`);
  return given as Readonly<Record<string, unknown>>;
}
