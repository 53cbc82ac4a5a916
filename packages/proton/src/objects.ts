/** Objects as files declare them, and what becomes of them when what they extend is laid under them. */
import { asMap, asText, checkKeys, isInherited, listed, mapAt, textAt } from './fields.ts';
import { ACTIONS, type Action, type ObjectKind } from './model.ts';
import type { Place, Problems } from './problems.ts';
import type { Entry, MapTree } from './tree.ts';

export const OBJECTS_MAX = 256;

export const ATTRIBUTES_MAX = 256;

/** Keys of an attribute with their places: what a heir gives is laid over key by key. */
export type RawAttribute = {
  readonly name: string;
  readonly at: Place;
  readonly keys: ReadonlyMap<string, Entry>;
  /** Those of the last declaration, without what it is laid over. */
  readonly own: ReadonlySet<string>;
};

export type RawObject = {
  readonly name: string;
  readonly at: Place;
  /** Present: an API object. */
  readonly api?: MapTree;
  readonly extends?: Entry & { readonly name: string };
  readonly attributes: ReadonlyMap<string, RawAttribute>;
  readonly policies: ReadonlyMap<Action, string>;
  /** The object's own definition, and below it those of what it extends. */
  readonly bodies: readonly MapTree[];
};

/** An API object with what it extends in it. */
export type MergedObject = RawObject & { readonly api: MapTree; readonly kind: ObjectKind };

/** What differs between the formats in an object's definition. */
export type ObjectDialect = {
  readonly objectKeys: readonly string[];
  readonly apiKeys: readonly string[];
  /** The rule of `policies.<action>`. */
  readonly policyOf: (entry: Entry, what: string, problems: Problems) => string | undefined;
};

const NAME = /^[_a-zA-Z][_a-zA-Z0-9]*$/;

const NAME_MAX = 64;

const RESERVED_ATTRIBUTES: ReadonlySet<string> = new Set(['created_at', 'updated_at']);

/** Objects of one file, by name. */
export function readObjects(
  objects: MapTree,
  dialect: ObjectDialect,
  problems: Problems,
): ReadonlyMap<string, RawObject> {
  if (objects.entries.size > OBJECTS_MAX) {
    problems.error(objects.at, `there are ${objects.entries.size} objects`, `Declare at most ${OBJECTS_MAX}`);
    return new Map();
  }
  return new Map(
    [...objects.entries].flatMap(([name, entry]) => {
      const object = readObject(name, entry, dialect, problems);
      return object === undefined ? [] : [[name, object]];
    }),
  );
}

function readObject(name: string, entry: Entry, dialect: ObjectDialect, problems: Problems): RawObject | undefined {
  checkName(name, entry.at, 'an object', problems);
  if (isInherited(name)) problems.error(entry.at, `${name} is no name for an object`, 'Choose another name');
  const body = asMap(entry.value, name, problems);
  if (body === undefined) return undefined;
  checkKeys(body, dialect.objectKeys, name, problems);
  const api = mapAt(body, 'api', `api of ${name}`, problems);
  if (api !== undefined) checkKeys(api, dialect.apiKeys, `api of ${name}`, problems);
  const extended = body.entries.get('extends');
  const base = extended === undefined ? undefined : asText(extended, `extends of ${name}`, problems);
  return {
    name,
    at: entry.at,
    bodies: [body],
    attributes: readAttributes(name, body, problems),
    policies: readPolicies(name, body, dialect, problems),
    ...(api === undefined ? {} : { api }),
    ...(extended === undefined || base === undefined ? {} : { extends: { ...extended, name: base } }),
  };
}

function readAttributes(object: string, body: MapTree, problems: Problems): ReadonlyMap<string, RawAttribute> {
  const map = mapAt(body, 'attributes', `attributes of ${object}`, problems);
  const attributes = new Map<string, RawAttribute>();
  if (map === undefined) return attributes;
  if (map.entries.size > ATTRIBUTES_MAX) {
    const text = `${object} has ${map.entries.size} attributes`;
    problems.error(map.at, text, `Declare at most ${ATTRIBUTES_MAX}`);
    return attributes;
  }
  for (const [name, { at, value }] of map.entries) {
    checkAttributeName(name, at, problems);
    const keys = asMap(value, `${object}.${name}`, problems);
    if (keys !== undefined) attributes.set(name, { name, at, keys: keys.entries, own: new Set(keys.entries.keys()) });
  }
  return attributes;
}

function checkAttributeName(name: string, at: Place, problems: Problems): void {
  checkName(name, at, 'an attribute', problems);
  if (RESERVED_ATTRIBUTES.has(name)) {
    problems.error(at, `every object has ${name} already`, 'Leave it out, or choose another name');
  } else if (isInherited(name)) {
    problems.error(at, `${name} is no name for an attribute`, 'Choose another name');
  }
}

function checkName(name: string, at: Place, what: string, problems: Problems): void {
  if (NAME.test(name) && name.length <= NAME_MAX) return;
  const shown = name.slice(0, NAME_MAX);
  problems.error(
    at,
    `${JSON.stringify(shown)} is no name for ${what}`,
    `Use at most ${NAME_MAX} letters, digits and _, no digit first`,
  );
}

function readPolicies(
  object: string,
  body: MapTree,
  dialect: ObjectDialect,
  problems: Problems,
): ReadonlyMap<Action, string> {
  const map = mapAt(body, 'policies', `policies of ${object}`, problems);
  const policies = new Map<Action, string>();
  if (map === undefined) return policies;
  checkKeys(map, ACTIONS, `policies of ${object}`, problems);
  for (const action of ACTIONS) {
    const entry = map.entries.get(action);
    const rule = entry === undefined ? undefined : dialect.policyOf(entry, `policy ${action} of ${object}`, problems);
    if (rule !== undefined) policies.set(action, rule);
  }
  return policies;
}

/** API objects in the order of the files, each with what it extends; what is wrong is told, and such an object left out. */
export function mergeObjects(all: ReadonlyMap<string, RawObject>, problems: Problems): readonly MergedObject[] {
  return [...all.values()].flatMap((object) => {
    const chain = chainOf(object, all, problems);
    if (chain === undefined || object.api === undefined) return [];
    const merged = chain.toReversed().reduce(lay);
    checkPolicies(merged, problems);
    return [{ ...merged, api: object.api, kind: kindOf(chain) }];
  });
}

/** The object, what it extends, what that extends. */
function chainOf(
  object: RawObject,
  all: ReadonlyMap<string, RawObject>,
  problems: Problems,
): readonly RawObject[] | undefined {
  const chain = [object];
  for (let at = object; at.extends !== undefined; ) {
    const { name, value } = at.extends;
    const base = all.get(name);
    const problem = baseProblem(at, name, base, chain);
    if (problem !== undefined || base === undefined) {
      const bases = [...all.values()].filter(({ api }) => api === undefined).map((one) => one.name);
      const isRing = base !== undefined && chain.includes(base);
      const others = bases.length === 0 ? 'Import base objects' : `Extend ${listed(bases)}`;
      problems.error(value.at, problem ?? '', isRing ? 'Let one of them extend nothing' : others);
      return undefined;
    }
    chain.push(base);
    at = base;
  }
  return chain;
}

function baseProblem(
  object: RawObject,
  name: string,
  base: RawObject | undefined,
  chain: readonly RawObject[],
): string | undefined {
  if (base === undefined) return `${object.name} extends ${name}, which is not there`;
  if (base.api !== undefined) return `${object.name} extends ${name}, which has an API of its own`;
  return chain.includes(base) ? `${object.name} extends itself by way of ${name}` : undefined;
}

/** Own keys over those of the base, attribute by attribute and key by key; those of the base come first. */
function lay(base: RawObject, own: RawObject): RawObject {
  const attributes = new Map(base.attributes);
  for (const [name, attribute] of own.attributes) {
    const under = attributes.get(name);
    attributes.set(name, { ...attribute, keys: new Map([...(under?.keys ?? []), ...attribute.keys]) });
  }
  return {
    ...own,
    attributes,
    policies: new Map([...base.policies, ...own.policies]),
    bodies: [...own.bodies, ...base.bodies],
  };
}

function checkPolicies({ name, at, policies }: RawObject, problems: Problems): void {
  const missing = ACTIONS.filter((action) => !policies.has(action));
  if (missing.length === 0) return;
  problems.error(
    at,
    `${name} has no policy for ${listed(missing)}`,
    'Write it below policies, or extend an object that has it',
  );
}

const KINDS: Readonly<Record<string, ObjectKind>> = {
  BasePort: 'port',
  BaseInterface: 'interface',
  BaseService: 'service',
  BaseServiceBinding: 'binding',
};

function kindOf(chain: readonly RawObject[]): ObjectKind {
  return (
    chain
      .slice(1)
      .map(({ name }) => KINDS[name])
      .find((kind) => kind !== undefined) ?? 'other'
  );
}

export type ApiNames = {
  readonly noun: string;
  readonly plural: string;
  readonly parent?: { readonly object: string; readonly at: Place; readonly key?: Entry & { readonly name: string } };
};

const WORD = /^[a-zA-Z_][a-zA-Z0-9_-]*$/;

/** Segments below a version's path that are no collections. */
const RESERVED_PLURALS: ReadonlySet<string> = new Set(['schema', 'openapi.json']);

export function readApi(object: MergedObject, problems: Problems): ApiNames {
  const { api, name, at } = object;
  const noun = wordOf(api, 'name', `api.name of ${name}`, problems);
  if (!api.entries.has('name')) problems.error(api.at, `api of ${name} has no name`, 'Write the noun, such as port');
  const plural = wordOf(api, 'plural_name', `api.plural_name of ${name}`, problems) ?? `${noun}s`;
  if (RESERVED_PLURALS.has(plural))
    problems.error(at, `${plural} is no name for a collection`, 'Write another plural_name');
  return { noun: noun ?? '', plural, ...parentOf(object, problems) };
}

function wordOf(api: MapTree, key: string, what: string, problems: Problems): string | undefined {
  const word = textAt(api, key, what, problems);
  const entry = api.entries.get(key);
  if (entry !== undefined && word !== undefined && isInherited(word)) {
    problems.error(entry.value.at, `${word} is no name for ${what}`, 'Choose another word');
    return undefined;
  }
  if (word === undefined || entry === undefined || (WORD.test(word) && word.length <= NAME_MAX)) return word;
  problems.error(
    entry.value.at,
    `${what} is no word`,
    `Use at most ${NAME_MAX} letters, digits, _ and -, first a letter`,
  );
  return undefined;
}

function parentOf({ api, name }: MergedObject, problems: Problems): Pick<ApiNames, 'parent'> {
  const [parent, key] = [api.entries.get('parent'), api.entries.get('parent_key')];
  if (parent === undefined) {
    if (key !== undefined)
      problems.warn(key.at, `${name} has a parent_key and no parent`, 'Write parent, or leave it out');
    return {};
  }
  const object = asText(parent, `parent of ${name}`, problems);
  if (key === undefined)
    problems.error(parent.at, `${name} has a parent and no parent_key`, 'Name the attribute that holds the key');
  const attribute = key === undefined ? undefined : asText(key, `parent_key of ${name}`, problems);
  if (object === undefined) return {};
  const link = key === undefined || attribute === undefined ? {} : { key: { ...key, name: attribute } };
  return { parent: { object, at: parent.value.at, ...link } };
}
