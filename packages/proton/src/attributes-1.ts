/** Attributes of format 1.0: one word for the type, and few properties. */
import { asList, asText, asWord, flagAt, listed } from './fields.ts';
import type { DraftAttribute } from './links.ts';
import type { JsonSchema } from './model.ts';
import type { RawAttribute } from './objects.ts';
import type { Place, Problems } from './problems.ts';
import type { Entry } from './tree.ts';

export const TYPES_1 = ['integer', 'number', 'string', 'boolean', 'uuid', 'enum'] as const;

/** `url` is only in Gluon's documents: the same as `uri`. */
export const STRING_FORMATS_1 = ['date-time', 'json', 'ipv4', 'ipv6', 'mac', 'uri', 'url', 'email'] as const;

/** What a schema calls otherwise. */
const FORMAT_OF: Readonly<Record<string, string>> = { url: 'uri', 'date-time': 'iso-date-time' };

export const INTEGER_FORMATS_1 = ['int32', 'int64'] as const;

export const PROPERTIES_1 = [
  'type',
  'primary',
  'required',
  'description',
  'length',
  'values',
  'format',
  'min',
  'max',
] as const;

/** Of a string that does not say. */
export const LENGTH_DEFAULT = 255;

export const LENGTH_MAX = 65_536;

const VALUES_MAX = 1000;

const INT32 = { minimum: -(2 ** 31), maximum: 2 ** 31 - 1 };

/** JSON’s numbers are exact up to here. */
const EXACT = { minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER };

type Context = {
  readonly what: string;
  readonly keys: ReadonlyMap<string, Entry>;
  readonly at: Place;
  readonly problems: Problems;
};

/** `isApi` says whether a name is that of an API object. */
export function readAttribute1(
  object: string,
  raw: RawAttribute,
  isApi: (name: string) => boolean,
  problems: Problems,
): DraftAttribute | undefined {
  const context: Context = { what: `${object}.${raw.name}`, keys: raw.keys, at: raw.at, problems };
  checkProperties(context);
  const isPrimary = flagAt(raw.keys, 'primary', false, `primary of ${context.what}`, problems);
  const isRequired = flagAt(raw.keys, 'required', false, `required of ${context.what}`, problems);
  const description = raw.keys.get('description');
  const type = typeOf(context, isApi);
  if (type === undefined) return undefined;
  const isMade = type === 'uuid';
  return {
    name: raw.name,
    at: raw.at,
    isPrimary,
    description:
      description === undefined ? '' : (asWord(description, `description of ${context.what}`, problems) ?? ''),
    schema: schemaOf(type, context),
    type10: type,
    required: isPrimary ? !isMade : isRequired,
    nullable: !isPrimary && !isRequired,
    immutable: isPrimary,
    readOnly: false,
    ...(isBuiltIn(type) ? {} : { ref: { object: type, onDelete: 'restrict' as const } }),
  };
}

/** The key that an object gets which names none. */
export function inventedKey(at: Place): DraftAttribute {
  return {
    name: 'uuid',
    at,
    isPrimary: true,
    description: 'Key of the object',
    schema: { type: 'string', format: 'uuid' },
    type10: 'uuid',
    required: false,
    nullable: false,
    immutable: true,
    readOnly: false,
  };
}

function isBuiltIn(type: string): boolean {
  return (TYPES_1 as readonly string[]).includes(type);
}

function checkProperties({ what, keys, problems }: Context): void {
  for (const [key, { at }] of keys) {
    if ((PROPERTIES_1 as readonly string[]).includes(key)) continue;
    problems.error(at, `${what} has no property ${key}`, `An attribute has ${listed(PROPERTIES_1)}`);
  }
}

function typeOf({ what, keys, at, problems }: Context, isApi: (name: string) => boolean): string | undefined {
  const entry = keys.get('type');
  if (entry === undefined) {
    problems.error(at, `${what} has no type`, `Write type, one of ${listed(TYPES_1)}, or the name of an API object`);
    return undefined;
  }
  const type = asText(entry, `type of ${what}`, problems);
  if (type === undefined || isBuiltIn(type) || isApi(type)) return type;
  problems.error(
    entry.value.at,
    `${type} is no type for ${what}`,
    `Write one of ${listed(TYPES_1)}, or the name of an API object`,
  );
  return undefined;
}

function schemaOf(type: string, context: Context): JsonSchema {
  checkOwners(type, context);
  switch (type) {
    case 'integer':
      return integerSchema(context);
    case 'string':
      return stringSchema(context);
    case 'enum':
      return { type: 'string', enum: valuesOf(context) };
    case 'uuid':
      return { type: 'string', format: 'uuid' };
    case 'number':
    case 'boolean':
      return { type };
    default:
      return true; // A reference: its target's key says.
  }
}

/** Which types a property is for; `length` elsewhere means nothing, as it did for Gluon. */
const OWNERS: Readonly<Record<string, readonly string[]>> = {
  min: ['integer'],
  max: ['integer'],
  values: ['enum'],
  format: ['string', 'integer'],
};

function checkOwners(type: string, { what, keys, problems }: Context): void {
  for (const [property, owners] of Object.entries(OWNERS)) {
    const entry = keys.get(property);
    if (entry === undefined || owners.includes(type)) continue;
    problems.error(entry.at, `${what} is ${type} and has ${property}`, `Only ${listed(owners)} has it: leave it out`);
  }
  const length = keys.get('length');
  if (length === undefined) return;
  integerOf('length', { what, keys, at: length.at, problems });
  if (type !== 'string') problems.warn(length.at, `${what} is ${type}: its length means nothing`, 'Leave it out');
}

function integerOf(property: string, { what, keys, problems }: Context): number | undefined {
  const entry = keys.get(property);
  if (entry === undefined) return undefined;
  const value = entry.value.kind === 'scalar' ? entry.value.value : undefined;
  if (typeof value === 'number' && Number.isSafeInteger(value)) return value;
  problems.error(entry.value.at, `${property} of ${what} is no integer`, 'Write a whole number');
  return undefined;
}

function integerSchema(context: Context): JsonSchema {
  const { what, keys, problems } = context;
  const bounds = formatOf(INTEGER_FORMATS_1, context) === 'int32' ? INT32 : EXACT;
  const [min, max] = [integerOf('min', context), integerOf('max', context)];
  if (min !== undefined && max !== undefined && min > max) {
    problems.error(keys.get('max')?.at ?? context.at, `max of ${what} is less than its min`, 'Exchange them');
  }
  return {
    type: 'integer',
    minimum: Math.max(min ?? bounds.minimum, bounds.minimum),
    maximum: Math.min(max ?? bounds.maximum, bounds.maximum),
  };
}

function stringSchema(context: Context): JsonSchema {
  const { what, keys, at, problems } = context;
  const length = integerOf('length', context) ?? LENGTH_DEFAULT;
  if (length < 1 || length > LENGTH_MAX) {
    problems.error(keys.get('length')?.value.at ?? at, `length of ${what} is ${length}`, `Write 1 to ${LENGTH_MAX}`);
  }
  const format = formatOf(STRING_FORMATS_1, context);
  return {
    type: 'string',
    maxLength: length,
    ...(format === undefined ? {} : { format: FORMAT_OF[format] ?? format }),
  };
}

function formatOf(formats: readonly string[], { what, keys, problems }: Context): string | undefined {
  const entry = keys.get('format');
  if (entry === undefined) return undefined;
  const format = asText(entry, `format of ${what}`, problems);
  if (format === undefined || formats.includes(format)) return format;
  problems.error(entry.value.at, `${format} is no format for ${what}`, `Write one of ${listed(formats)}`);
  return undefined;
}

function valuesOf({ what, keys, at, problems }: Context): readonly string[] {
  const entry = keys.get('values');
  if (entry === undefined) {
    problems.error(at, `${what} is an enum without values`, 'Write values: [a, b]');
    return [];
  }
  const items = asList(entry.value, `values of ${what}`, problems)?.items ?? [];
  const values = items.flatMap((item) => asText({ at: item.at, value: item }, `a value of ${what}`, problems) ?? []);
  if (items.length === 0 || items.length > VALUES_MAX) {
    problems.error(entry.value.at, `${what} has ${items.length} values`, `Write 1 to ${VALUES_MAX}`);
  }
  if (new Set(values).size < values.length) {
    problems.error(entry.value.at, `a value of ${what} is there twice`, 'Leave one of them out');
  }
  return values;
}
