/** Checks objects by what their model says of one object alone. */
import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js';
import { FORMATS } from './formats.ts';
import type { JsonSchema, ProtonAttribute, ProtonObject } from './model.ts';
import { compilePattern } from './patterns.ts';
import { compileRule, type RuleCheck } from './rules.ts';
import { isSame } from './same.ts';
import { OBJECT_MAX, VALUE_MAX, weigh } from './weight.ts';

/** `attribute` is null for what concerns several. */
export type ValueProblem = { readonly attribute: string | null; readonly text: string };

export type Values = Readonly<Record<string, unknown>>;

export type ObjectCheck = {
  /**
   * What is wrong with an object as it is to be stored: all its attributes, with defaults, null or absent where nothing is set. `before` is
   * what is stored, undefined when it is created. Takes time that is linear in the object, but for the rules, whose steps are bounded.
   */
  readonly check: (value: Values, before: Values | undefined) => readonly ValueProblem[];
};

/** Names that every object has and no model declares. */
export const STAMPS: readonly string[] = ['created_at', 'updated_at'];

/**
 * Compiles what is needed when the first object is checked. The object is of a model that was read: it throws for one that could not be.
 * Objects that have one compiler share what is the same in their schemas.
 */
export function compileObject(object: ProtonObject, compiler: SchemaCompiler = createSchemaCompiler()): ObjectCheck {
  let compiled: Compiled | undefined;
  return {
    check: (value, before) => {
      compiled ??= compile(object, compiler);
      return checkObject(compiled, value, before);
    },
  };
}

type Compiled = {
  readonly object: ProtonObject;
  readonly checks: readonly (readonly [ProtonAttribute, SchemaCheck])[];
  readonly rules: readonly (readonly [string, RuleCheck])[];
};

function compile(object: ProtonObject, compiler: SchemaCompiler): Compiled {
  return {
    object,
    checks: object.attributes.map((attribute) => [attribute, compiler(attribute.schema)]),
    rules: object.rules.map(({ rule, message }) => [message, compileRule(rule, object.attributes)]),
  };
}

function checkObject(
  { object, checks, rules }: Compiled,
  value: Values,
  before: Values | undefined,
): readonly ValueProblem[] {
  const weight = weigh(value, OBJECT_MAX);
  if (weight === undefined) {
    return [{ attribute: null, text: `the object is larger than ${OBJECT_MAX} characters, or nested too deeply` }];
  }
  const known = new Set([...object.attributes.map(({ name }) => name), ...STAMPS]);
  const problems: ValueProblem[] = Object.keys(value)
    .filter((name) => !known.has(name))
    .map((attribute) => ({ attribute, text: 'is not known' }));
  for (const [attribute, check] of checks) {
    const text =
      checkAttribute(attribute, check, own(value, attribute.name)) ?? changeProblem(attribute, value, before);
    if (text !== undefined) problems.push({ attribute: attribute.name, text: ofPart(attribute.name, text) });
  }
  if (problems.length > 0) return problems;
  return rules.flatMap(([message, check]) => {
    const answer = check(value, weight);
    if (answer === 'holds') return [];
    return [{ attribute: null, text: answer === 'broken' ? message : `${message} (${answer.error})` }];
  });
}

function own(values: Values, name: string): unknown {
  return Object.hasOwn(values, name) ? (values[name] ?? null) : null;
}

function checkAttribute(attribute: ProtonAttribute, check: SchemaCheck, value: unknown): string | undefined {
  if (value !== null) return check(value);
  if (attribute.nullable) return undefined;
  return attribute.required ? 'is required' : 'must not be null';
}

function changeProblem(
  { name, immutable }: ProtonAttribute,
  value: Values,
  before: Values | undefined,
): string | undefined {
  if (!immutable || before === undefined) return undefined;
  return isSame(own(value, name), own(before, name))
    ? undefined
    : 'is immutable: leave it out, or create the object anew';
}

/** What is wrong with a value, such as `[0].address must match format "ipv4"`, where it is of a part; undefined when nothing is. */
export type SchemaCheck = (value: unknown) => string | undefined;

/** Throws for what is no schema. */
export type SchemaCompiler = (schema: JsonSchema) => SchemaCheck;

/** Gives a check of each schema; those of one compiler share what they can. */
export function createSchemaCompiler(): SchemaCompiler {
  const regExp = Object.assign((pattern: string) => compilePattern(pattern), { code: 'compilePattern' });
  const ajv = new Ajv2020({
    code: { regExp },
    formats: FORMATS,
    meta: false,
    validateSchema: false,
    ownProperties: true,
    strictTypes: false,
    strictTuples: false,
    strictRequired: false,
    logger: false,
  });
  const known = new Map<string, SchemaCheck>();
  return (schema) => {
    const key = JSON.stringify(schema);
    const check = known.get(key) ?? schemaCheck(ajv.compile(schema as object));
    known.set(key, check);
    return check;
  };
}

function schemaCheck(validate: ValidateFunction): SchemaCheck {
  return (value) => {
    if (weigh(value, VALUE_MAX) === undefined) return `is larger than ${VALUE_MAX} characters, or nested too deeply`;
    return validate(value) ? undefined : problemText(validate.errors ?? []);
  };
}

/** Of a part of the value the whole path is said: `tags[0]`. */
function ofPart(name: string, text: string): string {
  return /^[[.]/.test(text) ? `${name}${text}` : text;
}

function problemText(errors: readonly ErrorObject[]): string {
  const last = errors.at(-1);
  if (last === undefined) return 'is not valid';
  // What is wrong by each branch comes before what is wrong by all.
  const isChoice = last.keyword === 'oneOf' || last.keyword === 'anyOf';
  if (!isChoice) return errorText(errors[0] ?? last);
  const path = pathText(last.instancePath);
  const passing = (last.params as { readonly passingSchemas?: unknown }).passingSchemas;
  if (Array.isArray(passing)) return `${path}matches more than one of the alternatives`;
  const whys = [...new Set(errors.slice(0, -1).map(errorText))];
  const more = whys.length > WHYS_SHOWN ? '; and so on' : '';
  return `${path}matches none of the alternatives (${whys.slice(0, WHYS_SHOWN).join('; ')}${more})`;
}

const WHYS_SHOWN = 4;

/** `/0/address` as `[0].address `; empty for the whole value. */
function pathText(pointer: string): string {
  const parts = pointer.split('/').slice(1);
  const words = parts.map((part) =>
    /^\d+$/.test(part) ? `[${part}]` : `.${part.replaceAll('~1', '/').replaceAll('~0', '~')}`,
  );
  return words.length === 0 ? '' : `${words.join('')} `;
}

function errorText(error: ErrorObject): string {
  const values =
    error.keyword === 'enum' ? (error.params as { allowedValues?: readonly unknown[] }).allowedValues : undefined;
  const allowed = values === undefined ? '' : `: ${values.slice(0, VALUES_SHOWN).map(String).join(', ')}`;
  // Format 1.0 calls both so.
  const message = (error.message ?? 'is not valid').replace('iso-date-time', 'date-time');
  return `${pathText(error.instancePath)}${message}${allowed}`;
}

const VALUES_SHOWN = 20;
