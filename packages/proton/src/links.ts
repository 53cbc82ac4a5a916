/** What objects are to each other: keys, references, parents, names. The same for both formats. */
import { listed } from './fields.ts';
import type { JsonSchema, ProtonAttribute, ProtonObject } from './model.ts';
import type { ApiNames, MergedObject } from './objects.ts';
import type { Place, Problems } from './problems.ts';

/** An attribute before its reference is followed. */
export type DraftAttribute = ProtonAttribute & { readonly at: Place; readonly isPrimary: boolean };

export type DraftObject = {
  readonly merged: MergedObject;
  readonly names: ApiNames;
  readonly primary: DraftAttribute;
  readonly attributes: readonly DraftAttribute[];
};

export type LinkedObject = Pick<
  ProtonObject,
  'name' | 'noun' | 'plural' | 'kind' | 'primary' | 'attributes' | 'policies' | 'parent'
> & { readonly merged: MergedObject };

type Context = {
  readonly byName: ReadonlyMap<string, DraftObject>;
  /** Names of all API objects: what is wrong with one is told once, and not of those that name it. */
  readonly declared: ReadonlySet<string>;
  /** Whether a parent_key must be a reference. */
  readonly isStrict: boolean;
  readonly problems: Problems;
};

/** Objects whose references have the schema of their targets’ keys, parents before children. */
export function linkObjects(
  drafts: readonly DraftObject[],
  { declared, isStrict, problems }: Omit<Context, 'byName'>,
): readonly LinkedObject[] {
  const context: Context = {
    byName: new Map(drafts.map((draft) => [draft.merged.name, draft])),
    declared,
    isStrict,
    problems,
  };
  checkNames(drafts, problems);
  const linked = drafts.map((draft): LinkedObject => {
    const { merged, names, primary } = draft;
    return {
      merged,
      name: merged.name,
      noun: names.noun,
      plural: names.plural,
      kind: merged.kind,
      primary: primary.name,
      attributes: draft.attributes.map((attribute) => linkAttribute(draft, attribute, context)),
      policies: Object.fromEntries(merged.policies) as ProtonObject['policies'],
      ...parentOf(draft, context),
    };
  });
  return parentsFirst(linked);
}

function linkAttribute(
  draft: DraftObject,
  { at, isPrimary: _, ...attribute }: DraftAttribute,
  { byName, declared, problems }: Context,
): ProtonAttribute {
  if (attribute.ref === undefined) return attribute;
  const name = `${draft.merged.name}.${attribute.name}`;
  const schema = keySchema(attribute.ref.object, byName, new Set());
  if (schema !== undefined) return { ...attribute, schema };
  const isThere = byName.has(attribute.ref.object);
  if (!isThere && declared.has(attribute.ref.object)) return attribute;
  const why = isThere ? 'whose key is a reference to itself' : 'which is not there';
  const remedy = isThere ? 'Make one of the keys a uuid' : `Name one of ${listed([...declared])}`;
  problems.error(at, `${name} refers to ${attribute.ref.object}, ${why}`, remedy);
  return attribute;
}

/** Schema of the key of an object; undefined when it goes in a circle, or the object is not there. */
function keySchema(
  object: string,
  byName: ReadonlyMap<string, DraftObject>,
  seen: ReadonlySet<string>,
): JsonSchema | undefined {
  const primary = byName.get(object)?.primary;
  if (primary === undefined || seen.has(object)) return undefined;
  if (primary.ref === undefined) return primary.schema;
  return keySchema(primary.ref.object, byName, new Set([...seen, object]));
}

function parentOf(
  { merged, names, attributes }: DraftObject,
  { byName, declared, isStrict, problems }: Context,
): Pick<LinkedObject, 'parent'> {
  const { parent } = names;
  if (parent?.key === undefined) return {};
  const { name } = merged;
  if (!declared.has(parent.object)) {
    problems.error(
      parent.at,
      `${name} has the parent ${parent.object}, which is no API object`,
      `Name one of ${listed([...declared])}`,
    );
    return {};
  }
  const key = attributes.find((attribute) => attribute.name === parent.key?.name);
  const keyAt = parent.key.value.at;
  if (key === undefined) {
    problems.error(keyAt, `${name} has no attribute ${parent.key.name}, its parent_key`, 'Declare it below attributes');
    return {};
  }
  if (key.ref?.object !== parent.object) {
    const text = `${name}.${key.name} is the parent_key and no reference to ${parent.object}`;
    if (isStrict) problems.error(keyAt, text, `Write ref: {object: ${parent.object}}`);
    else problems.warn(keyAt, text, `Write type: ${parent.object}, or a parent that is not there is not seen`);
  }
  if (isOwnAncestor(name, byName)) {
    problems.error(parent.at, `${name} is its own parent by way of ${parent.object}`, 'Let one of them have no parent');
    return {};
  }
  return { parent: { object: parent.object, key: key.name } };
}

function isOwnAncestor(name: string, byName: ReadonlyMap<string, DraftObject>): boolean {
  const seen = new Set<string>();
  let at = byName.get(name)?.names.parent?.object;
  while (at !== undefined && !seen.has(at)) {
    if (at === name) return true;
    seen.add(at);
    at = byName.get(at)?.names.parent?.object;
  }
  return false;
}

function parentsFirst(objects: readonly LinkedObject[]): readonly LinkedObject[] {
  const byName = new Map(objects.map((object) => [object.name, object]));
  const sorted = new Set<LinkedObject>();
  for (const object of objects) {
    const line: LinkedObject[] = [];
    for (let at: LinkedObject | undefined = object; at !== undefined && !sorted.has(at) && !line.includes(at); ) {
      line.push(at);
      at = at.parent === undefined ? undefined : byName.get(at.parent.object);
    }
    for (const one of line.toReversed()) sorted.add(one);
  }
  return [...sorted];
}

/** Tables, paths, commands and policies are named by these: each name is one object's. */
function checkNames(drafts: readonly DraftObject[], problems: Problems): void {
  const kinds: readonly (readonly [string, (draft: DraftObject) => string])[] = [
    ['the name of its table', ({ merged }) => decamelised(merged.name)],
    ['the plural_name', ({ names }) => names.plural.replaceAll('-', '_').toLowerCase()],
    ['the api.name', ({ names }) => names.noun.replaceAll('-', '_').toLowerCase()],
  ];
  for (const [what, nameOf] of kinds) {
    const owners = new Map<string, string>();
    for (const draft of drafts) {
      const { name, at } = draft.merged;
      const owner = owners.get(nameOf(draft));
      if (owner === undefined) owners.set(nameOf(draft), name);
      else problems.error(at, `${name} shares ${what} with ${owner}: ${nameOf(draft)}`, 'Name one of them otherwise');
    }
  }
}

/** `VpnService` as tables and policies have it: `vpn_service`. */
export function decamelised(name: string): string {
  return name
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .replace(/([A-Z]+)([A-Z][a-z])/g, '$1_$2')
    .replaceAll('-', '_')
    .toLowerCase();
}

/** The key among attributes: the last one that says so, since heirs come after what they extend. */
export function choosePrimary(attributes: readonly DraftAttribute[]): DraftAttribute | undefined {
  return attributes.findLast(({ isPrimary }) => isPrimary);
}
