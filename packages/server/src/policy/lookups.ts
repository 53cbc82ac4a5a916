/** From conditions to look-ups, so that lists find what a caller may see by index. */
import { type Attribute, EVERY_PROJECT, grantListOf, grantsTo, type ResourceModel } from '@cable/model';
import { flagOf, storedName } from './compile.ts';
import { type Condition, dependsOnTarget, type Left } from './condition.ts';
import { type Credentials, textsOfCredential } from './credentials.ts';
import type { Template, Wanted } from './expression.ts';
import type { Relation, Relations } from './relations.ts';

/** Objects with a value of an attribute. */
export type Lookup = {
  readonly attribute: string;
  /** Text, as indexes have it (of a number its digits); never empty. */
  readonly value: string | boolean;
  /** The attribute is that of another type's objects, and the objects are those that refer to them with `through.attribute`; null: it is their own. */
  readonly through: Relation | null;
};

/**
 * Where everything is that a condition may be true for. `all`: everything; a list: in the union of the look-ups (an empty one: nowhere); `scan`: no
 * index knows. `undecided`: everything or nothing, as the credentials say.
 */
export type Reach = 'all' | 'scan' | 'undecided' | readonly Lookup[];

/** What conditions are about. */
export type LookupContext = {
  readonly model: ResourceModel;
  readonly relations: Relations;
  readonly models: ReadonlyMap<string, ResourceModel>;
  /** Null: any caller's, to see what can be looked up at all; values are then not to be used. */
  readonly credentials: Credentials | null;
};

/** Says where to look. `holds` decides conditions that the credentials alone decide. */
export function reachOf(condition: Condition, context: LookupContext, holds: (condition: Condition) => boolean): Reach {
  if (condition.kind !== 'constant' && !dependsOnTarget(condition)) {
    if (context.credentials === null) return 'undecided';
    return holds(condition) ? 'all' : [];
  }
  switch (condition.kind) {
    case 'constant':
      return condition.value ? 'all' : [];
    case 'or':
      return union(condition.parts.map((part) => reachOf(part, context, holds)));
    case 'and':
      return intersection(condition.parts.map((part) => reachOf(part, context, holds)));
    case 'not':
      return 'scan';
    case 'equals':
      return equalsReach(condition.left, condition.right, condition.ignoreCase, context);
    case 'field':
      return fieldReach(condition.resource, condition.field, condition.wanted, context);
    case 'granted':
      return grantedReach(condition.lists, context);
  }
}

/** The caller’s own, and what is granted to it or to every one. */
function grantedReach(lists: readonly string[], context: LookupContext): readonly Lookup[] {
  const own = projectOf(context).map((value): Lookup => ({ attribute: 'project_id', value, through: null }));
  return [...own, ...lists.flatMap((list) => grantLookups({ attribute: list, through: null }, context))];
}

function grantLookups(at: Omit<Lookup, 'value'>, context: LookupContext): readonly Lookup[] {
  const { credentials } = context;
  const values = credentials === null ? [EVERY_PROJECT, ...projectOf(context)] : grantsTo(credentials.projectId);
  return values.map((value) => ({ ...at, value }));
}

function projectOf({ credentials }: LookupContext): readonly string[] {
  if (credentials === null) return ['any'];
  return credentials.projectId === null ? [] : [credentials.projectId];
}

function union(reaches: readonly Reach[]): Reach {
  for (const word of ['all', 'scan'] as const) if (reaches.includes(word)) return word;
  const lists = reaches.filter(isList);
  return lists.length > 0 ? lists.flat() : 'undecided';
}

/** What is in all of them is in each: the shortest list does. */
function intersection(reaches: readonly Reach[]): Reach {
  const [first, ...rest] = reaches.filter(isList);
  if (first !== undefined) return rest.reduce((best, one) => (one.length < best.length ? one : best), first);
  return reaches.find((reach) => reach !== 'all') === undefined
    ? 'all'
    : reaches.includes('scan')
      ? 'scan'
      : 'undecided';
}

function isList(reach: Reach): reach is readonly Lookup[] {
  return typeof reach !== 'string';
}

function equalsReach(left: Left, right: Template, ignoreCase: boolean, context: LookupContext): Reach {
  const [place, more] = right;
  if (typeof place !== 'object' || more !== undefined || ignoreCase) return 'scan';
  const found = placeOf(storedName(place.attribute), context);
  if (typeof found === 'string') return found === 'nowhere' ? [] : 'scan';
  const lookups: Lookup[] = [];
  for (const text of textsOf(left, context)) {
    if (found.isGranted) {
      if (text === 'False') return 'scan';
      if (text === 'True') lookups.push(...grantLookups(found.at, context));
      continue;
    }
    // Tables have no index entries of null and of empty text.
    if (text === 'None' || text === '') return 'scan';
    if (!found.isBoolean) lookups.push({ ...found.at, value: text });
    else if (text === 'True' || text === 'False') lookups.push({ ...found.at, value: text === 'True' });
  }
  return lookups;
}

function textsOf(left: Left, { credentials }: LookupContext): readonly string[] {
  if (left.kind === 'texts') return left.texts;
  return credentials === null ? ['any'] : textsOfCredential(credentials, left.path, false);
}

function fieldReach(resource: string, field: string, wanted: Wanted, context: LookupContext): Reach {
  if (wanted.kind === 'pattern' || wanted.text === '') return 'scan';
  const name = storedName(field);
  const isOwn = attributeOf(context.model, name) !== undefined || grantListOf(context.model, name) !== undefined;
  const found = placeOf(isOwn ? name : `${resource}:${name}`, context);
  if (typeof found === 'string') return found === 'nowhere' ? [] : 'scan';
  if (!found.isBoolean) return [{ ...found.at, value: wanted.text }];
  const flag = flagOf(wanted.text);
  if (found.isGranted && flag !== undefined) return flag ? grantLookups(found.at, context) : 'scan';
  return flag === undefined ? [] : [{ ...found.at, value: flag }];
}

/**
 * Where an attribute is found. `isBoolean`: its values are true and false, else none of them is. `isGranted`: it is true where the list that the place names has
 * the caller's project, or every one.
 */
type Place = { readonly at: Omit<Lookup, 'value'>; readonly isBoolean: boolean; readonly isGranted: boolean };

/** Where an attribute is found by a value: the object's own, or its parent's; else that there is none, or that nothing finds it. */
function placeOf(name: string, { model, relations, models }: LookupContext): Place | 'nowhere' | 'hidden' {
  const own = placeIn(model, name, null);
  if (own !== undefined) return own;
  const colon = name.indexOf(':');
  const relation = colon > 0 ? relations.get(name.slice(0, colon)) : undefined;
  if (relation === undefined) return name.includes('.') ? 'hidden' : 'nowhere';
  const inner = storedName(name.slice(colon + 1));
  const parent = models.get(relation.type);
  return (parent === undefined ? undefined : placeIn(parent, inner, relation)) ?? 'nowhere';
}

/** Undefined: the type has no such attribute. */
function placeIn(model: ResourceModel, name: string, through: Relation | null): Place | 'hidden' | undefined {
  const list = grantListOf(model, name);
  if (list !== undefined) return { at: { attribute: list, through }, isBoolean: true, isGranted: true };
  const attribute = attributeOf(model, name);
  if (attribute === undefined) return undefined;
  if (attribute.computed === true || attribute.aliasOf !== undefined) return 'hidden';
  return { at: { attribute: name, through }, isBoolean: attribute.type === 'boolean', isGranted: false };
}

/** What lists alone are filtered by is no attribute of objects: of a subnet `shared` is the network's. */
function attributeOf(model: ResourceModel, name: string): Attribute | undefined {
  const all = Object.hasOwn(model.attributes, name) ? model.attributes : model.storedAttributes;
  const found = Object.hasOwn(all, name) ? all[name] : undefined;
  return found?.filterOnly === true ? undefined : found;
}
