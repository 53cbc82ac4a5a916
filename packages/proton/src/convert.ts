/** Objects of one version as another has them. */
import { createSchemaCompiler } from './check.ts';
import type { ConversionStep, JsonSchema, ObjectConversion, ProtonModel, ProtonObject } from './model.ts';

export type Row = Readonly<Record<string, unknown>>;

/** Attributes that say the same: what is written to one side is what the other one shows. */
export type Correspondence = { readonly old: readonly string[]; readonly new: readonly string[] };

/** How objects of that name came from the version `from`; one without steps where nothing is declared. */
export function conversionOf(model: ProtonModel, from: string, object: string): ObjectConversion {
  const conversion = model.conversions.find((one) => one.from === from);
  return conversion?.objects.find((one) => one.object === object) ?? { object, steps: [] };
}

/** The older row as the newer version has it: exactly its attributes, null where the older one says nothing and there is no default. */
export function convertForward(conversion: ObjectConversion, row: Row, newer: ProtonObject): Row {
  const made = new Map(conversion.steps.flatMap((step) => forward(step, row, newer)));
  const taken = new Set(conversion.steps.flatMap(oldNames));
  return rowOf(newer, (name) => (made.has(name) ? made.get(name) : taken.has(name) ? undefined : row[name]));
}

/** The newer row as the older version has it: exactly its attributes. */
export function convertBackward(conversion: ObjectConversion, row: Row, older: ProtonObject): Row {
  const made = new Map(conversion.steps.flatMap((step) => backward(step, row, older)));
  const taken = new Set(conversion.steps.flatMap(newNames));
  return rowOf(older, (name) => (made.has(name) ? made.get(name) : taken.has(name) ? undefined : row[name]));
}

/** Which attributes of the two versions say the same; those in none are of one version alone. */
export function correspondences(
  conversion: ObjectConversion,
  older: ProtonObject,
  newer: ProtonObject,
): readonly Correspondence[] {
  const declared = conversion.steps.flatMap((step) => ('default' in step || 'drop' in step ? [] : [pairOf(step)]));
  const [old, made] = [new Set(conversion.steps.flatMap(oldNames)), new Set(conversion.steps.flatMap(newNames))];
  const newerNames = new Set(newer.attributes.map(({ name }) => name));
  const same = older.attributes
    .map(({ name }) => name)
    .filter((name) => newerNames.has(name) && !old.has(name) && !made.has(name))
    .map((name) => ({ old: [name], new: [name] }));
  return [...declared, ...same];
}

/** Attributes of the older version that a step speaks of. */
export function oldNames(step: ConversionStep): readonly string[] {
  if ('rename' in step) return [step.rename.from];
  if ('parse' in step) return [step.parse.from];
  if ('drop' in step) return [step.drop.attribute];
  return 'split' in step ? [step.split.attribute] : [];
}

/** Attributes of the newer version that a step speaks of. */
export function newNames(step: ConversionStep): readonly string[] {
  if ('rename' in step) return [step.rename.to];
  if ('parse' in step) return [step.parse.to];
  if ('default' in step) return [step.default.attribute];
  return 'split' in step ? [step.split.into].flat() : [];
}

function pairOf(step: ConversionStep): Correspondence {
  return { old: oldNames(step), new: newNames(step) };
}

function rowOf(object: ProtonObject, read: (name: string) => unknown): Row {
  return Object.fromEntries(
    object.attributes.map(({ name, nullable, default: fallback = null }) => {
      const value = read(name);
      return [name, value === undefined || (value === null && !nullable) ? fallback : value];
    }),
  );
}

type Made = readonly (readonly [string, unknown])[];

function forward(step: ConversionStep, row: Row, newer: ProtonObject): Made {
  if ('rename' in step) return [[step.rename.to, row[step.rename.from]]];
  if ('default' in step) return [[step.default.attribute, step.default.value]];
  if ('drop' in step) return [];
  if ('parse' in step) return [[step.parse.to, parsed(row[step.parse.from])]];
  const { attribute, into, separator } = step.split;
  const text = row[attribute];
  if (typeof text !== 'string') return [];
  const schemaOf = (name: string): JsonSchema => newer.attributes.find((one) => one.name === name)?.schema ?? true;
  if (typeof into === 'string')
    return [[into, parts(text, separator).map((part) => typed(part, itemsOf(schemaOf(into))))]];
  return partsFor(text, separator, into.length).map((part, at) => {
    const name = into[at] ?? '';
    return [name, part === '' ? undefined : typed(part, schemaOf(name))];
  });
}

function backward(step: ConversionStep, row: Row, older: ProtonObject): Made {
  if ('rename' in step) return [[step.rename.from, row[step.rename.to]]];
  if ('default' in step) return [];
  if ('drop' in step) return [[step.drop.attribute, step.drop.value]];
  if ('parse' in step) return [[step.parse.from, jsonText(row[step.parse.to])]];
  const { attribute, into, separator } = step.split;
  const values = typeof into === 'string' ? row[into] : into.map((name) => row[name]);
  const given = Array.isArray(values)
    ? values.filter((value) => value !== null && value !== undefined).map(String)
    : [];
  if (given.length === 0) return [[attribute, undefined]];
  const candidates = [given.join(separator), ...given];
  return [[attribute, candidates.find(holds(older, attribute))]];
}

type Holds = (value: unknown) => boolean;

/** By object and attribute: to compile a schema takes a thousand times as long as to check by it, and each object that is shown is converted. */
const known = new WeakMap<ProtonObject, Map<string, Holds>>();

/** Whether an attribute may have the value. */
function holds(object: ProtonObject, name: string): Holds {
  const checks = known.get(object) ?? new Map<string, Holds>();
  known.set(object, checks);
  const holding = checks.get(name) ?? compiledHolds(object, name);
  checks.set(name, holding);
  return holding;
}

function compiledHolds({ attributes }: ProtonObject, name: string): Holds {
  const attribute = attributes.find((one) => one.name === name);
  const check = attribute === undefined ? undefined : createSchemaCompiler()(attribute.schema);
  return (value) => check?.(value) === undefined;
}

function parsed(text: unknown): unknown {
  if (typeof text !== 'string') return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function jsonText(value: unknown): string | undefined {
  return value === null || value === undefined ? undefined : JSON.stringify(value);
}

/** Without the spaces around, and without empty ones. */
function parts(text: string, separator: string): readonly string[] {
  return text
    .split(separator)
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

/** So many; the last one has what is left. */
function partsFor(text: string, separator: string, count: number): readonly string[] {
  const all = text.split(separator);
  return [...all.slice(0, count - 1), all.slice(count - 1).join(separator)].map((part) => part.trim());
}

function itemsOf(schema: JsonSchema): JsonSchema {
  const items = typeof schema === 'boolean' ? true : schema['items'];
  return typeof items === 'object' && items !== null ? (items as JsonSchema) : true;
}

/** A number where the schema has one. */
function typed(part: string, schema: JsonSchema): unknown {
  const type = typeof schema === 'boolean' ? undefined : schema['type'];
  if (type !== 'integer' && type !== 'number') return part;
  return /^-?\d{1,15}(\.\d{1,15})?$/.test(part) ? Number(part) : part;
}
