/** What one schema admits that another does not, as far as keywords can be compared one by one. */
import { FORMAT_LENGTHS } from './formats.ts';
import type { JsonSchema } from './model.ts';
import { canonical, isSame } from './same.ts';

export type SchemaChange = {
  /** `narrowed`: less is admitted; `widened`: more; `unknown`: both may be so. */
  readonly kind: 'narrowed' | 'widened' | 'unknown';
  /** Only a bound was moved outwards, which readers have to be ready for. */
  readonly isBound: boolean;
  readonly text: string;
};

/** Without order. Empty: both admit the same, or differ in notes alone. */
export function compareSchemas(older: JsonSchema, newer: JsonSchema, path = ''): readonly SchemaChange[] {
  if (isSame(older, newer)) return [];
  const [a, b] = [objectOf(older), objectOf(newer)];
  const at = path === '' ? '' : `${path}: `;
  const alternatives = compareAlternatives(a, b, at);
  if (alternatives !== undefined) return alternatives;
  return [
    ...compareTypes(a, b, at),
    ...compareValues(a, b, at),
    ...BOUNDS.flatMap(([keyword, sign]) => compareBound(a, b, keyword, sign, at)),
    ...EXACT.flatMap((keyword) => compareExact(a, b, keyword, at)),
    ...compareItems(a, b, path),
    ...compareProperties(a, b, path),
    ...OPAQUE.flatMap((keyword) => compareOpaque(a, b, keyword, at)),
  ];
}

/** One schema that becomes one of several alternatives, or the other way round; undefined for all else. */
function compareAlternatives(a: Plain, b: Plain, at: string): readonly SchemaChange[] | undefined {
  const [older, newer] = [alternativesOf(a), alternativesOf(b)];
  if ((older === undefined) === (newer === undefined)) return undefined;
  const admits = (wide: JsonSchema, narrow: JsonSchema): boolean =>
    compareSchemas(narrow, wide).every(({ kind }) => kind === 'widened');
  if (newer?.some((one) => admits(one, a))) return [change('widened', `${at}there are alternatives`)];
  return older?.some((one) => admits(one, b)) ? [change('narrowed', `${at}alternatives are gone`)] : undefined;
}

/** Of a schema that says nothing else. */
function alternativesOf(schema: Plain): readonly JsonSchema[] | undefined {
  const { anyOf, title: _title, description: _description, ...rest } = schema;
  return Array.isArray(anyOf) && Object.keys(rest).length === 0 ? (anyOf as readonly JsonSchema[]) : undefined;
}

type Plain = Readonly<Record<string, unknown>>;

/** 1: a lower bound, of which more is narrower; -1: an upper one. Absent is no bound. */
const BOUNDS: readonly (readonly [string, 1 | -1])[] = [
  ['minimum', 1],
  ['exclusiveMinimum', 1],
  ['maximum', -1],
  ['exclusiveMaximum', -1],
  ['minLength', 1],
  ['maxLength', -1],
  ['minItems', 1],
  ['maxItems', -1],
  ['minProperties', 1],
  ['maxProperties', -1],
];

/** Absent admits everything; two that differ cannot be compared. */
const EXACT: readonly string[] = ['pattern', 'format', 'multipleOf'];

/** Compared as a whole. */
const OPAQUE: readonly string[] = [
  'const',
  'prefixItems',
  'contains',
  'minContains',
  'maxContains',
  'patternProperties',
  'propertyNames',
  'dependentRequired',
  'allOf',
  'anyOf',
  'oneOf',
  'not',
  'if',
  'then',
  'else',
];

function objectOf(schema: JsonSchema): Plain {
  if (typeof schema === 'object') return schema;
  return schema ? {} : { not: {} };
}

function change(kind: SchemaChange['kind'], text: string, isBound = false): SchemaChange {
  return { kind, text, isBound };
}

/** An integer is a number. */
function compareTypes(a: Plain, b: Plain, at: string): readonly SchemaChange[] {
  const [older, newer] = [typesOf(a), typesOf(b)];
  const covers = (all: readonly string[], one: string): boolean =>
    all.length === 0 || all.includes(one) || (one === 'integer' && all.includes('number'));
  const lost = older.length === 0 ? newer.length > 0 : !older.every((one) => covers(newer, one));
  const gained = newer.length === 0 ? older.length > 0 : !newer.every((one) => covers(older, one));
  const text = `${at}type was ${wordsOf(older)}, is ${wordsOf(newer)}`;
  if (lost && gained) return [change('unknown', text)];
  if (lost) return [change('narrowed', text)];
  return gained ? [change('widened', text)] : [];
}

/** None: any. A list of values has the types of those. */
function typesOf(schema: Plain): readonly string[] {
  const { type, enum: values } = schema;
  if (type !== undefined) return [type].flat().map(String);
  return Array.isArray(values) ? [...new Set(values.map(typeOfValue))] : [];
}

function typeOfValue(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number';
  return typeof value;
}

function wordsOf(types: readonly string[]): string {
  return types.length === 0 ? 'any' : types.join(' or ');
}

function compareValues(a: Plain, b: Plain, at: string): readonly SchemaChange[] {
  const [older, newer] = [listOf(a['enum']), listOf(b['enum'])];
  if (older === undefined && newer === undefined) return [];
  if (older === undefined) return [change('narrowed', `${at}only some values are left: ${shown(newer ?? [])}`)];
  if (newer === undefined) return [change('widened', `${at}it is no list of values any more`)];
  const [before, after] = [new Set(older.map(canonical)), new Set(newer.map(canonical))];
  const lost = older.filter((value) => !after.has(canonical(value)));
  const gained = newer.filter((value) => !before.has(canonical(value)));
  return [
    ...(lost.length === 0 ? [] : [change('narrowed', `${at}values are gone: ${shown(lost)}`)]),
    ...(gained.length === 0 ? [] : [change('widened', `${at}values are new: ${shown(gained)}`)]),
  ];
}

function listOf(value: unknown): readonly unknown[] | undefined {
  return Array.isArray(value) ? value : undefined;
}

const SHOWN_MAX = 5;

function shown(values: readonly unknown[]): string {
  const words = values.slice(0, SHOWN_MAX).map((value) => (typeof value === 'string' ? value : JSON.stringify(value)));
  return `${words.join(', ')}${values.length > SHOWN_MAX ? ', ...' : ''}`;
}

function compareBound(a: Plain, b: Plain, keyword: string, sign: 1 | -1, at: string): readonly SchemaChange[] {
  const none = -sign * Number.POSITIVE_INFINITY;
  const [older, newer] = [Number(boundIn(a, keyword) ?? none), Number(boundIn(b, keyword) ?? none)];
  if (older === newer) return [];
  const text = `${at}${keyword} was ${boundOf(boundIn(a, keyword))}, is ${boundOf(boundIn(b, keyword))}`;
  return [sign * newer > sign * older ? change('narrowed', text) : change('widened', text, true)];
}

/** A format bounds the length, too. */
function boundIn(schema: Plain, keyword: string): unknown {
  const longest = keyword === 'maxLength' ? FORMAT_LENGTHS[String(schema['format'])] : undefined;
  return longest === undefined ? schema[keyword] : Math.min(longest, Number(schema[keyword] ?? longest));
}

function boundOf(value: unknown): string {
  return value === undefined ? 'none' : String(value);
}

function compareExact(a: Plain, b: Plain, keyword: string, at: string): readonly SchemaChange[] {
  const [older, newer] = [a[keyword], b[keyword]];
  if (isSame(older, newer)) return [];
  const text = `${at}${keyword} was ${boundOf(older)}, is ${boundOf(newer)}`;
  if (older === undefined) return [change('narrowed', text)];
  return [change(newer === undefined ? 'widened' : 'unknown', text)];
}

function compareItems(a: Plain, b: Plain, path: string): readonly SchemaChange[] {
  const unique = a['uniqueItems'] === true ? 1 : 0;
  const uniqueNow = b['uniqueItems'] === true ? 1 : 0;
  const at = path === '' ? '' : `${path}: `;
  const members = compareMember(a, b, 'items', `${path}[]`);
  if (unique === uniqueNow) return members;
  return [
    ...members,
    change(uniqueNow > unique ? 'narrowed' : 'widened', `${at}members were ${unique === 1 ? '' : 'not '}all different`),
  ];
}

function compareMember(a: Plain, b: Plain, keyword: string, path: string): readonly SchemaChange[] {
  return compareSchemas((a[keyword] ?? true) as JsonSchema, (b[keyword] ?? true) as JsonSchema, path);
}

/** A property that only one of them names has in the other what `additionalProperties` says. */
function compareProperties(a: Plain, b: Plain, path: string): readonly SchemaChange[] {
  const [older, newer] = [
    objectOf((a['properties'] ?? {}) as JsonSchema),
    objectOf((b['properties'] ?? {}) as JsonSchema),
  ];
  const [rest, restNow] = [a['additionalProperties'] ?? true, b['additionalProperties'] ?? true];
  const names = [...new Set([...Object.keys(older), ...Object.keys(newer)])];
  const below = (name: string) => (path === '' ? name : `${path}.${name}`);
  return [
    ...names.flatMap((name) =>
      compareSchemas((older[name] ?? rest) as JsonSchema, (newer[name] ?? restNow) as JsonSchema, below(name)),
    ),
    ...compareSchemas(rest as JsonSchema, restNow as JsonSchema, below('*')),
    ...compareRequired(a, b, path),
  ];
}

function compareRequired(a: Plain, b: Plain, path: string): readonly SchemaChange[] {
  const [older, newer] = [(listOf(a['required']) ?? []).map(String), (listOf(b['required']) ?? []).map(String)];
  const at = path === '' ? '' : `${path}: `;
  const added = newer.filter((name) => !older.includes(name));
  const gone = older.filter((name) => !newer.includes(name));
  return [
    ...(added.length === 0 ? [] : [change('narrowed', `${at}${added.join(', ')} must be there`)]),
    ...(gone.length === 0 ? [] : [change('widened', `${at}${gone.join(', ')} may be left out`)]),
  ];
}

function compareOpaque(a: Plain, b: Plain, keyword: string, at: string): readonly SchemaChange[] {
  if (isSame(a[keyword], b[keyword])) return [];
  const text = `${at}${keyword} is another`;
  if (a[keyword] === undefined && keyword !== 'then' && keyword !== 'else') return [change('narrowed', text)];
  return [change('unknown', text)];
}
