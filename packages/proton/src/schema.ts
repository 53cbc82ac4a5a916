/**
 * The JSON Schema that a model may use: 2020-12 without what makes a check unbounded or what reaches out of the file. References lead to
 * `$defs` of the file and are replaced by what they name.
 */
import { asList, asMap, asText, asTexts, checkKeys, listed } from './fields.ts';
import { FORMAT_NAMES } from './formats.ts';
import type { JsonSchema } from './model.ts';
import { patternProblem } from './patterns.ts';
import type { Problems } from './problems.ts';
import { type Entry, type MapTree, plainValue, type Tree } from './tree.ts';

export const VALUE_TYPES = ['string', 'integer', 'number', 'boolean', 'array', 'object', 'null'] as const;

/** Keywords whose value is, by kind. */
export const SCHEMA_KEYWORDS: Readonly<Record<string, Kind>> = {
  type: 'type',
  enum: 'values',
  const: 'value',
  title: 'text',
  description: 'text',
  $comment: 'text',
  default: 'value',
  examples: 'values',
  deprecated: 'flag',
  format: 'format',
  pattern: 'pattern',
  minLength: 'count',
  maxLength: 'count',
  minimum: 'number',
  maximum: 'number',
  exclusiveMinimum: 'number',
  exclusiveMaximum: 'number',
  multipleOf: 'positive',
  items: 'schema',
  prefixItems: 'schemas',
  contains: 'schema',
  minContains: 'count',
  maxContains: 'count',
  minItems: 'count',
  maxItems: 'count',
  uniqueItems: 'flag',
  properties: 'schemaMap',
  patternProperties: 'patternMap',
  additionalProperties: 'schema',
  propertyNames: 'schema',
  minProperties: 'count',
  maxProperties: 'count',
  required: 'names',
  dependentRequired: 'nameMap',
  allOf: 'schemas',
  anyOf: 'schemas',
  oneOf: 'schemas',
  not: 'schema',
  if: 'schema',
  // biome-ignore lint/suspicious/noThenProperty: the word is JSON Schema's.
  then: 'schema',
  else: 'schema',
  $ref: 'ref',
};

type Kind =
  | 'type'
  | 'values'
  | 'value'
  | 'text'
  | 'flag'
  | 'format'
  | 'pattern'
  | 'count'
  | 'number'
  | 'positive'
  | 'schema'
  | 'schemas'
  | 'schemaMap'
  | 'patternMap'
  | 'names'
  | 'nameMap'
  | 'ref';

/** Subschemas of one attribute, each reference counted as what it names. */
const SUBSCHEMAS_MAX = 1000;

/** Of all attributes of a model, those of each heir counted. */
export const SCHEMAS_MAX = 20_000;

/** Comparing all pairs of more would take long. */
const UNIQUE_ITEMS_MAX = 1024;

const DEFS = '#/$defs/';

export type SchemaContext = {
  /** `Object.attribute`, for texts. */
  readonly what: string;
  readonly defs: ReadonlyMap<string, Entry>;
  /** How many schemas the model may have still: each that is read takes one. */
  readonly budget: SchemaBudget;
  readonly problems: Problems;
};

export type SchemaBudget = { left: number };

/** The schema without references; what is wrong is told, and left out of it. */
export function readSchema(tree: Tree, context: SchemaContext): JsonSchema {
  return new SchemaReader(context).read(tree, new Set());
}

class SchemaReader {
  readonly #context: SchemaContext;
  #count = 0;

  constructor(context: SchemaContext) {
    this.#context = context;
  }

  read(tree: Tree, open: ReadonlySet<string>): JsonSchema {
    const { what, problems, budget } = this.#context;
    if (tree.kind === 'scalar' && typeof tree.value === 'boolean') return tree.value;
    this.#count += 1;
    budget.left -= 1;
    if (budget.left < 0) {
      problems.error(tree.at, `the model has more than ${SCHEMAS_MAX} schemas in it`, 'Make it simpler');
      return true;
    }
    if (this.#count > SUBSCHEMAS_MAX) {
      problems.error(tree.at, `${what} has more than ${SUBSCHEMAS_MAX} schemas in it`, 'Make it simpler');
      return true;
    }
    const map = asMap(tree, `the schema of ${what}`, problems);
    if (map === undefined) return true;
    checkKeys(map, Object.keys(SCHEMA_KEYWORDS), `the schema of ${what}`, problems);
    const own = Object.fromEntries(
      [...map.entries].flatMap(([keyword, entry]) => {
        const value = keyword === '$ref' ? undefined : this.#value(keyword, entry, open);
        return value === undefined ? [] : [[keyword, value]];
      }),
    );
    checkWhole(map, own, this.#context);
    const ref = map.entries.get('$ref');
    return exact(ref === undefined ? own : withTarget(own, this.#target(ref, open)));
  }

  #value(keyword: string, entry: Entry, open: ReadonlySet<string>): unknown {
    const { problems } = this.#context;
    const kind = SCHEMA_KEYWORDS[keyword];
    const { value } = entry;
    const name = `${keyword} of ${this.#context.what}`;
    switch (kind) {
      case 'schema':
        return this.read(value, open);
      case 'schemas':
        return this.#some(value, name, open);
      case 'schemaMap':
      case 'patternMap':
        return this.#map(value, name, kind === 'patternMap', open);
      case 'values':
        return asList(value, name, problems)?.items.map(plainValue);
      case 'names':
        return asTexts(value, name, problems);
      case 'nameMap': {
        const map = asMap(value, name, problems)?.entries ?? new Map<string, Entry>();
        return Object.fromEntries([...map].map(([key, one]) => [key, asTexts(one.value, name, problems)]));
      }
      case 'value':
        return plainValue(value);
      case undefined:
      case 'ref':
        return undefined;
      default:
        return plainOf(kind, entry, name, problems);
    }
  }

  #some(tree: Tree, name: string, open: ReadonlySet<string>): readonly JsonSchema[] | undefined {
    const { problems } = this.#context;
    const list = asList(tree, name, problems);
    if (list?.items.length === 0) problems.error(tree.at, `${name} is empty`, 'Write a schema in it');
    return list?.items.map((item) => this.read(item, open));
  }

  #map(tree: Tree, name: string, byPattern: boolean, open: ReadonlySet<string>): Readonly<Record<string, JsonSchema>> {
    const { problems } = this.#context;
    const map = asMap(tree, name, problems)?.entries ?? new Map<string, Entry>();
    return Object.fromEntries(
      [...map].map(([key, { at, value }]) => {
        const problem = byPattern ? patternProblem(key) : undefined;
        if (problem !== undefined)
          problems.error(at, `a pattern of ${name} is not understood: ${problem}`, PATTERN_REMEDY);
        return [key, this.read(value, open)];
      }),
    );
  }

  #target(entry: Entry, open: ReadonlySet<string>): JsonSchema {
    const { defs, problems, what } = this.#context;
    const ref = asText(entry, `$ref of ${what}`, problems) ?? '';
    const name = ref.slice(DEFS.length);
    const target = ref.startsWith(DEFS) ? defs.get(name) : undefined;
    if (target === undefined) {
      const text = `$ref of ${what} names ${ref}, which is not there`;
      problems.error(entry.value.at, text, `Write ${DEFS}NAME, and NAME below $defs of this file`);
      return true;
    }
    if (open.has(name)) {
      problems.error(entry.value.at, `${ref} is within itself`, 'Write out as many levels as there may be');
      return true;
    }
    return this.read(target.value, new Set([...open, name]));
  }
}

const PATTERN_REMEDY = 'Write one that RE2 has: no look-around, no references to groups';

type Plain = 'type' | 'text' | 'flag' | 'format' | 'pattern' | 'count' | 'number' | 'positive';

/** A value that has no schema in it; undefined, and told, when it is of another kind. */
function plainOf(kind: Plain, entry: Entry, name: string, problems: Problems): unknown {
  const value = plainValue(entry.value);
  const remedy = plainProblem(kind, value);
  if (remedy === undefined) return value;
  problems.error(
    entry.value.at,
    `${name} is not understood${kind === 'pattern' ? `: ${patternText(value)}` : ''}`,
    remedy,
  );
  return undefined;
}

function patternText(value: unknown): string {
  return typeof value === 'string' ? (patternProblem(value) ?? '') : 'it is no text';
}

/** What is to be written instead. */
function plainProblem(kind: Plain, value: unknown): string | undefined {
  switch (kind) {
    case 'type':
      return isType(value) ? undefined : `Write one of ${listed(VALUE_TYPES)}, or a list of them`;
    case 'text':
      return typeof value === 'string' ? undefined : 'Write it in quotes';
    case 'flag':
      return typeof value === 'boolean' ? undefined : 'Write true or false';
    case 'format':
      return (FORMAT_NAMES as readonly unknown[]).includes(value) ? undefined : `Write one of ${listed(FORMAT_NAMES)}`;
    case 'pattern':
      return typeof value === 'string' && patternProblem(value) === undefined ? undefined : PATTERN_REMEDY;
    case 'count':
      return Number.isSafeInteger(value) && Number(value) >= 0 ? undefined : 'Write a whole number, 0 or more';
    case 'number':
      return typeof value === 'number' ? undefined : 'Write a number';
    case 'positive':
      return typeof value === 'number' && value > 0 ? undefined : 'Write a number above 0';
  }
}

function isType(value: unknown): boolean {
  const isWord = (word: unknown): boolean => (VALUE_TYPES as readonly unknown[]).includes(word);
  if (!Array.isArray(value)) return isWord(value);
  return value.length > 0 && new Set(value).size === value.length && value.every(isWord);
}

function checkWhole(map: MapTree, own: Readonly<Record<string, unknown>>, { what, problems }: SchemaContext): void {
  if (own['uniqueItems'] === true && !(Number(own['maxItems']) <= UNIQUE_ITEMS_MAX)) {
    const at = map.entries.get('uniqueItems')?.at ?? map.at;
    problems.error(at, `uniqueItems of ${what} has no bound`, `Write maxItems, at most ${UNIQUE_ITEMS_MAX}`);
  }
  for (const [low, high] of BOUNDS) {
    const [min, max] = [own[low], own[high]];
    if (typeof min !== 'number' || typeof max !== 'number' || min <= max) continue;
    problems.error(map.entries.get(high)?.at ?? map.at, `${high} of ${what} is less than its ${low}`, 'Exchange them');
  }
  const isEmpty = Array.isArray(own['enum']) && own['enum'].length === 0;
  if (isEmpty) problems.error(map.at, `enum of ${what} is empty`, 'Write a value in it');
}

export const BOUNDS: readonly (readonly [string, string])[] = [
  ['minimum', 'maximum'],
  ['minLength', 'maxLength'],
  ['minItems', 'maxItems'],
  ['minProperties', 'maxProperties'],
];

/** Beside `$ref` other keywords hold, too: those of the target, and these. */
function withTarget(own: Readonly<Record<string, unknown>>, target: JsonSchema): Readonly<Record<string, unknown>> {
  if (typeof target === 'boolean') return { ...own, allOf: [...listOf(own['allOf']), target] };
  const isNotes = Object.keys(own).every((keyword) => NOTES.includes(keyword));
  return isNotes ? { ...target, ...own } : { ...own, allOf: [...listOf(own['allOf']), target] };
}

const NOTES: readonly string[] = ['title', 'description', '$comment', 'default', 'examples', 'deprecated'];

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** Integers are exact in JSON as JavaScript reads it up to 2^53. */
function exact(schema: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  if (schema['type'] !== 'integer') return schema;
  const low = schema['minimum'] ?? schema['exclusiveMinimum'];
  const high = schema['maximum'] ?? schema['exclusiveMaximum'];
  return {
    ...schema,
    ...(low === undefined ? { minimum: Number.MIN_SAFE_INTEGER } : {}),
    ...(high === undefined ? { maximum: Number.MAX_SAFE_INTEGER } : {}),
  };
}
