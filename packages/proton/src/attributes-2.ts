/** Attributes of format 2.0: a JSON Schema, and beside it what the attribute is in its object. */
import { asList, asMap, asText, checkKeys, flagAt, listed, textAt } from './fields.ts';
import type { DraftAttribute } from './links.ts';
import type { JsonSchema, OnDelete, ProtonAttribute } from './model.ts';
import type { RawAttribute } from './objects.ts';
import type { Problems } from './problems.ts';
import { readSchema, SCHEMA_KEYWORDS, type SchemaBudget } from './schema.ts';
import { type Entry, type MapTree, plainValue } from './tree.ts';

/**
 * Keywords of an attribute beside those of its schema. `required` is true or false; the list of that name that JSON Schema has is the
 * schema's, and stands in `schema` or deeper.
 */
export const KEYWORDS_2 = [
  'schema',
  'primary',
  'required',
  'nullable',
  'immutable',
  'readOnly',
  'unique',
  'ref',
  'policies',
  'alias',
  'ui',
] as const;

/** These say what the attribute is as well as its schema; they stand beside `schema`, too. */
const SHARED: readonly string[] = ['description', 'default', 'examples'];

const ON_DELETE: readonly OnDelete[] = ['restrict', 'cascade', 'setNull'];

const UNIQUE = ['project', 'global'] as const;

type Context = {
  readonly what: string;
  readonly raw: RawAttribute;
  readonly problems: Problems;
} & FileContext;

/** What the attributes of a model share. */
export type FileContext = { readonly defs: ReadonlyMap<string, Entry>; readonly budget: SchemaBudget };

export function readAttribute2(
  object: string,
  raw: RawAttribute,
  file: FileContext,
  problems: Problems,
): DraftAttribute {
  const context: Context = { what: `${object}.${raw.name}`, raw, problems, ...file };
  const { keys } = raw;
  const flag = (key: string): boolean => flagAt(keys, key, false, `${key} of ${context.what}`, problems);
  const isPrimary = flag('primary');
  const isRequired = requiredOf(context);
  const schema = schemaOf(context);
  const defaultEntry = keys.get('default');
  const isNullable =
    flag('nullable') || admitsNull(schema) || (!isRequired && !isPrimary && defaultEntry === undefined);
  const attribute: DraftAttribute = {
    name: raw.name,
    at: raw.at,
    isPrimary,
    schema,
    description: textOf('description', context) ?? '',
    required: isRequired,
    nullable: isNullable && !isPrimary,
    immutable: flag('immutable') || isPrimary,
    readOnly: flag('readOnly'),
    ...(defaultEntry === undefined ? {} : { default: plainValue(defaultEntry.value) }),
    ...wordsOf(context),
    ...refOf(context),
    ...policiesOf(context),
    ...notesOf(context),
  };
  checkTogether(attribute, context);
  return attribute;
}

function requiredOf({ what, raw, problems }: Context): boolean {
  const entry = raw.keys.get('required');
  if (entry?.value.kind !== 'list') return flagAt(raw.keys, 'required', false, `required of ${what}`, problems);
  const remedy = 'Write true or false, and the names of members in schema: {type: object, required: [...]}';
  problems.error(entry.value.at, `required of ${what} is a list`, remedy);
  return false;
}

/** From the keywords beside, or from `schema`. */
function schemaOf({ what, raw, defs, budget, problems }: Context): JsonSchema {
  const whole = raw.keys.get('schema');
  const beside = [...raw.keys].filter(([key]) => isSchemaKey(key));
  for (const [key, { at }] of raw.keys) {
    const isKnown = isSchemaKey(key) || SHARED.includes(key) || (KEYWORDS_2 as readonly string[]).includes(key);
    if (!isKnown)
      problems.error(at, `${what} has no ${key}`, `Write a keyword of JSON Schema, or one of ${listed(KEYWORDS_2)}`);
  }
  const stray = beside[0];
  if (whole !== undefined && stray !== undefined) {
    problems.error(stray[1].at, `${what} has schema and ${stray[0]} beside it`, 'Write all of it in schema');
  }
  if (whole !== undefined) return readSchema(whole.value, { what, defs, budget, problems });
  if (beside.length === 0) {
    if (!raw.keys.has('ref')) problems.error(raw.at, `${what} says nothing of its values`, 'Write type, enum or ref');
    return true;
  }
  const map: MapTree = { kind: 'map', at: raw.at, entries: new Map(beside) };
  return readSchema(map, { what, defs, budget, problems });
}

function isSchemaKey(key: string): boolean {
  return key !== 'required' && !SHARED.includes(key) && Object.hasOwn(SCHEMA_KEYWORDS, key);
}

function admitsNull(schema: JsonSchema): boolean {
  if (typeof schema === 'boolean') return false;
  const { type } = schema;
  return type === 'null' || (Array.isArray(type) && type.includes('null'));
}

function textOf(key: string, { what, raw, problems }: Context): string | undefined {
  const entry = raw.keys.get(key);
  return entry === undefined ? undefined : asText(entry, `${key} of ${what}`, problems);
}

function wordsOf(context: Context): Pick<ProtonAttribute, 'unique' | 'alias'> {
  const { what, raw, problems } = context;
  const [unique, alias] = [textOf('unique', context), textOf('alias', context)];
  const known = UNIQUE.find((word) => word === unique);
  if (unique !== undefined && known === undefined) {
    problems.error(
      raw.keys.get('unique')?.value.at ?? raw.at,
      `unique of ${what} is ${unique}`,
      'Write project or global',
    );
  }
  return { ...(known === undefined ? {} : { unique: known }), ...(alias === undefined ? {} : { alias }) };
}

function refOf({ what, raw, problems }: Context): Pick<ProtonAttribute, 'ref'> {
  const entry = raw.keys.get('ref');
  const map = entry === undefined ? undefined : asMap(entry.value, `ref of ${what}`, problems);
  if (entry === undefined || map === undefined) return {};
  checkKeys(map, ['object', 'onDelete'], `ref of ${what}`, problems);
  const object = textAt(map, 'object', `ref.object of ${what}`, problems);
  const word = textAt(map, 'onDelete', `ref.onDelete of ${what}`, problems) ?? 'restrict';
  const onDelete = ON_DELETE.find((one) => one === word);
  if (onDelete === undefined) {
    problems.error(
      map.entries.get('onDelete')?.value.at ?? entry.at,
      `ref.onDelete of ${what} is ${word}`,
      `Write one of ${listed(ON_DELETE)}`,
    );
  }
  if (object === undefined) problems.error(entry.at, `ref of ${what} names no object`, 'Write object: NAME');
  return object === undefined || onDelete === undefined ? {} : { ref: { object, onDelete } };
}

function policiesOf({ what, raw, problems }: Context): Pick<ProtonAttribute, 'policies'> {
  const entry = raw.keys.get('policies');
  const map = entry === undefined ? undefined : asMap(entry.value, `policies of ${what}`, problems);
  if (map === undefined) return {};
  checkKeys(map, ['read', 'write'], `policies of ${what}`, problems);
  const [read, write] = [
    textAt(map, 'read', `policies.read of ${what}`, problems),
    textAt(map, 'write', `policies.write of ${what}`, problems),
  ];
  return { policies: { ...(read === undefined ? {} : { read }), ...(write === undefined ? {} : { write }) } };
}

function notesOf({ what, raw, problems }: Context): Pick<ProtonAttribute, 'ui' | 'example'> {
  const [ui, examples] = [raw.keys.get('ui'), raw.keys.get('examples')];
  const first = examples === undefined ? undefined : asList(examples.value, `examples of ${what}`, problems)?.items[0];
  return {
    ...(ui === undefined ? {} : { ui: plainValue(ui.value) }),
    ...(first === undefined ? {} : { example: plainValue(first) }),
  };
}

/** What one keyword says against another. */
function checkTogether(attribute: DraftAttribute, { what, raw, problems }: Context): void {
  const { ref, nullable, immutable, readOnly, required, isPrimary } = attribute;
  const at = (key: string) => raw.keys.get(key)?.at ?? raw.at;
  // A heir makes a reference of what has a schema in its base, so that is no contradiction.
  if (raw.own.has('ref') && [...raw.own].some((key) => isSchemaKey(key) || key === 'schema')) {
    problems.error(at('ref'), `${what} is a reference and has a schema`, 'Leave the schema out');
  }
  if (ref?.onDelete === 'setNull' && (!nullable || immutable)) {
    problems.error(
      at('ref'),
      `${what} is set to null when its target goes, and ${immutable ? 'never changes' : 'is never null'}`,
      'Write restrict or cascade, or let it be null',
    );
  }
  if (readOnly && required) problems.error(at('readOnly'), `${what} is required and readOnly`, 'Leave one of them out');
  if (isPrimary && attribute.default !== undefined) {
    problems.error(at('default'), `${what} is the key and has a default`, 'Leave it out');
  }
}
