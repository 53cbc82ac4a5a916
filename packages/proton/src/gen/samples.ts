/** Values of schemas, good ones and bad ones, made without chance. */
import type { SchemaCheck } from '../check.ts';
import type { JsonSchema } from '../model.ts';

type Plain = Readonly<Record<string, unknown>>;

/** The `at`th value that a schema admits, as different from others as it lets; undefined when none is found. */
export function goodValue(schema: JsonSchema, check: SchemaCheck, at: number): unknown {
  const candidates = candidatesOf(schema, at);
  const fitting = candidates.filter((value) => check(value) === undefined);
  return fitting.length === 0 ? undefined : fitting[at % fitting.length];
}

export type BadValue = { readonly what: string; readonly value: unknown };

/** Values that a schema does not admit, each for another reason. */
export function badValues(schema: JsonSchema, check: SchemaCheck): readonly BadValue[] {
  const plain = flat(schema);
  const typed: BadValue | undefined = WRONG_TYPES.map((value) => ({ what: 'of another type', value })).find(
    ({ value }) => check(value) !== undefined,
  );
  return [...(typed === undefined ? [] : [typed]), ...outOfBounds(plain)].filter(
    ({ value }) => check(value) !== undefined,
  );
}

const WRONG_TYPES: readonly unknown[] = [{ no: 'value' }, 1.5, true, 'no value', []];

const TEXT_MAX = 10_000;

function outOfBounds(schema: Plain): readonly BadValue[] {
  const number = (key: string): number | undefined =>
    typeof schema[key] === 'number' ? (schema[key] as number) : undefined;
  const [minimum, maximum, minLength, maxLength] = ['minimum', 'maximum', 'minLength', 'maxLength'].map(number);
  const isExact = (bound: number | undefined): bound is number =>
    bound !== undefined && Number.isSafeInteger(bound - 1) && Number.isSafeInteger(bound + 1);
  const isText = [schema['type']].flat().includes('string');
  return [
    ...(isExact(minimum) ? [{ what: 'below its minimum', value: minimum - 1 }] : []),
    ...(isExact(maximum) ? [{ what: 'above its maximum', value: maximum + 1 }] : []),
    ...(minLength !== undefined && minLength > 0 ? [{ what: 'too short', value: 'x'.repeat(minLength - 1) }] : []),
    ...(maxLength !== undefined && maxLength < TEXT_MAX
      ? [{ what: 'too long', value: 'x'.repeat(maxLength + 1) }]
      : []),
    ...(Array.isArray(schema['enum']) ? [{ what: 'none of its values', value: 'no value of these' }] : []),
    ...(isText && schema['format'] !== undefined ? [{ what: 'of another format', value: 'not so' }] : []),
    ...(isText && schema['pattern'] !== undefined ? [{ what: 'none of its pattern', value: '\u0001' }] : []),
  ];
}

function candidatesOf(schema: JsonSchema, at: number): readonly unknown[] {
  if (typeof schema === 'boolean') return schema ? [`any ${at}`] : [];
  const plain = flat(schema);
  const alternatives = [...listOf(plain['anyOf']), ...listOf(plain['oneOf'])] as readonly JsonSchema[];
  return [
    ...listOf(plain['enum']),
    ...(plain['const'] === undefined ? [] : [plain['const']]),
    ...listOf(plain['examples']),
    ...[plain['type'] ?? []].flat().flatMap((type) => ofType(String(type), plain, at)),
    ...alternatives.flatMap((one) => candidatesOf(one, at)),
  ];
}

/** What `allOf` says is said beside the rest. */
function flat(schema: JsonSchema): Plain {
  if (typeof schema === 'boolean') return {};
  const { allOf, ...rest } = schema;
  return Object.assign({}, ...listOf(allOf).map((one) => flat(one as JsonSchema)), rest) as Plain;
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function ofType(type: string, schema: Plain, at: number): readonly unknown[] {
  switch (type) {
    case 'integer':
    case 'number':
      return numbers(schema, at);
    case 'boolean':
      return [true, false];
    case 'array':
      return lists(schema, at);
    case 'object':
      return objects(schema, at);
    case 'string':
      return texts(schema, at);
    default:
      return [];
  }
}

function numbers(schema: Plain, at: number): readonly unknown[] {
  const low = Number(schema['minimum'] ?? schema['exclusiveMinimum'] ?? 0);
  const high = Number(schema['maximum'] ?? schema['exclusiveMaximum'] ?? low + 1);
  const first = Math.max(low, Math.min(high, 0));
  return [first + at + 1, first + at, high - at, first];
}

/** Of each format, by number. */
const FORMAT_SAMPLES: Readonly<Record<string, (at: number) => string>> = {
  ipv4: (at) => `192.0.2.${(at % 250) + 1}`,
  ipv6: (at) => `2001:db8::${(at + 1).toString(16)}`,
  cidr: (at) => `198.51.${at % 250}.0/24`,
  mac: (at) => `fa:16:3e:00:00:${(at % 250).toString(16).padStart(2, '0')}`,
  uuid: (at) => `00000000-0000-4000-8000-${String(at + 1).padStart(12, '0')}`,
  hostname: (at) => `host-${at}.example.org`,
  'date-time': (at) => `2026-01-${String((at % 28) + 1).padStart(2, '0')}T00:00:00Z`,
  'iso-date-time': (at) => `2026-01-${String((at % 28) + 1).padStart(2, '0')}T00:00:00`,
  uri: (at) => `https://example.org/${at}`,
  email: (at) => `user-${at}@example.org`,
  json: (at) => `{"at":${at}}`,
};

/** For patterns: what people write most. */
const PATTERN_SAMPLES: readonly ((at: number) => string)[] = [
  (at) => `name${at}`,
  (at) => 'abcdefgh'.slice(0, (at % 8) + 1),
  (at) => String(at + 1),
  (at) => `65000:${at + 1}`,
  (at) => `A${at}`,
  (at) => `a-${at}`,
  (at) => `/${at}`,
];

function texts(schema: Plain, at: number): readonly unknown[] {
  const sample = FORMAT_SAMPLES[String(schema['format'])];
  if (sample !== undefined) return [sample(at)];
  const [low, high] = [Number(schema['minLength'] ?? 0), Number(schema['maxLength'] ?? TEXT_MAX)];
  const words = schema['pattern'] === undefined ? [`text ${at}`, String(at)] : PATTERN_SAMPLES.map((make) => make(at));
  return words.map((word) => word.padEnd(low, 'x').slice(0, Math.max(high, 0)));
}

function lists(schema: Plain, at: number): readonly unknown[] {
  const items = (schema['items'] ?? true) as JsonSchema;
  const count = Math.max(Number(schema['minItems'] ?? 0), 1);
  if (count > LIST_MAX) return [];
  const members = Array.from({ length: count }, (_, index) => candidatesOf(items, at + index)[0]);
  return [members.filter((one) => one !== undefined), []];
}

const LIST_MAX = 100;

function objects(schema: Plain, at: number): readonly unknown[] {
  const properties = (schema['properties'] ?? {}) as Readonly<Record<string, JsonSchema>>;
  const sample = (names: readonly string[]) =>
    Object.fromEntries(names.map((name) => [name, candidatesOf(properties[name] ?? true, at)[0]]));
  return [sample(Object.keys(properties)), sample(listOf(schema['required']).map(String))];
}
