/** Values of columns, and their form on the wire (RFC 7047 §5.1). */
import { OvsdbError } from './ovsdb-error.ts';
import type { AtomType, ColumnSchema } from './schema.ts';

/** One value; a UUID is its text. */
export type Atom = string | number | boolean;

/** What a column of a row holds: a set (of one value where the column has exactly one), or a map. Sets are sorted. */
export type Datum =
  | { readonly kind: 'set'; readonly atoms: readonly Atom[] }
  | { readonly kind: 'map'; readonly entries: ReadonlyMap<Atom, Atom> };

/** A set of these. */
export function setOf(atoms: readonly Atom[]): Datum {
  return { kind: 'set', atoms: [...new Set(atoms)].sort(compareAtoms) };
}

/** A map of texts. */
export function mapOf(entries: Readonly<Record<string, string>>): Datum {
  return { kind: 'map', entries: new Map(Object.entries(entries)) };
}

/** Whether they are equal, whatever the order of maps. */
export function sameDatum(a: Datum, b: Datum): boolean {
  if (a.kind === 'set')
    return b.kind === 'set' && a.atoms.length === b.atoms.length && a.atoms.every((atom, i) => atom === b.atoms[i]);
  if (b.kind === 'set' || a.entries.size !== b.entries.size) return false;
  for (const [key, value] of a.entries) if (b.entries.get(key) !== value) return false;
  return true;
}

/** What a column holds when nobody said: RFC 7047 §5.2.1. */
export function defaultDatum(column: ColumnSchema): Datum {
  if (column.value !== undefined) return { kind: 'map', entries: new Map() };
  return { kind: 'set', atoms: column.min === 0 ? [] : [DEFAULTS[column.key]] };
}

const DEFAULTS: Readonly<Record<AtomType, Atom>> = {
  integer: 0,
  real: 0,
  boolean: false,
  string: '',
  uuid: '00000000-0000-0000-0000-000000000000',
};

/** From the wire. Throws `OvsdbError` (hostile) for what the column cannot hold. */
export function decodeDatum(given: unknown, column: ColumnSchema, name: string): Datum {
  if (column.value === undefined) return setOf(atomsOf(given).map((one) => decodeAtom(one, column.key, name)));
  const [tag, pairs] = Array.isArray(given) ? given : [];
  if (tag !== 'map' || !Array.isArray(pairs)) throw new OvsdbError('hostile', `column ${name} is to be a map`);
  const { key, value } = column;
  const entries = new Map<Atom, Atom>();
  for (const pair of pairs as readonly unknown[]) {
    if (!Array.isArray(pair) || pair.length !== 2)
      throw new OvsdbError('hostile', `column ${name} has a pair that is none`);
    entries.set(decodeAtom(pair[0], key, name), decodeAtom(pair[1], value, name));
  }
  return { kind: 'map', entries };
}

/** For the wire. `uuid`: how a UUID is written, where it is not one yet (`named-uuid`). */
export function encodeDatum(
  datum: Datum,
  column: ColumnSchema,
  uuid: (text: string) => readonly [string, string] = plainUuid,
): unknown {
  const encode = (atom: Atom, type: AtomType): unknown => (type === 'uuid' ? uuid(String(atom)) : atom);
  if (datum.kind === 'set') return ['set', datum.atoms.map((atom) => encode(atom, column.key))];
  const { key, value = 'string' } = column;
  return ['map', [...datum.entries].map(([name, one]) => [encode(name, key), encode(one, value)])];
}

function plainUuid(text: string): readonly [string, string] {
  return ['uuid', text];
}

/** A set of one may come as the value alone. */
function atomsOf(given: unknown): readonly unknown[] {
  return Array.isArray(given) && given[0] === 'set' && Array.isArray(given[1]) ? given[1] : [given];
}

function decodeAtom(given: unknown, type: AtomType, name: string): Atom {
  if (type === 'uuid' && Array.isArray(given) && given[0] === 'uuid' && typeof given[1] === 'string') return given[1];
  if (type === 'string' && typeof given === 'string') return given;
  if (type === 'boolean' && typeof given === 'boolean') return given;
  if ((type === 'integer' || type === 'real') && typeof given === 'number') return given;
  throw new OvsdbError('hostile', `column ${name} has a value that is no ${type}`);
}

function compareAtoms(a: Atom, b: Atom): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
