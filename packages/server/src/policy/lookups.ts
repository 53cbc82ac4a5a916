/** From conditions to look-ups, so that lists find what a caller may see by index. */
import type { Attribute, ResourceModel } from '@cable/model';
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
  }
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
  const found = placeOf(Object.hasOwn(context.model.attributes, name) ? name : `${resource}:${name}`, context);
  if (typeof found === 'string') return found === 'nowhere' ? [] : 'scan';
  if (!found.isBoolean) return [{ ...found.at, value: wanted.text }];
  const flag = flagOf(wanted.text);
  return flag === undefined ? [] : [{ ...found.at, value: flag }];
}

/** Where an attribute is found. `isBoolean`: its values are true and false, else none of them is. */
type Place = { readonly at: Omit<Lookup, 'value'>; readonly isBoolean: boolean };

/** Where an attribute is found by a value: the object's own, or its parent's; else that there is none, or that nothing finds it. */
function placeOf(name: string, { model, relations, models }: LookupContext): Place | 'nowhere' | 'hidden' {
  const own = attributeOf(model, name);
  if (own !== undefined) return placeAt(name, own, null);
  const colon = name.indexOf(':');
  const relation = colon > 0 ? relations.get(name.slice(0, colon)) : undefined;
  if (relation === undefined) return name.includes('.') ? 'hidden' : 'nowhere';
  const inner = storedName(name.slice(colon + 1));
  const parent = models.get(relation.type);
  const attribute = parent === undefined ? undefined : attributeOf(parent, inner);
  return attribute === undefined ? 'nowhere' : placeAt(inner, attribute, relation);
}

function placeAt(name: string, attribute: Attribute, through: Relation | null): Place | 'hidden' {
  if (attribute.computed === true || attribute.aliasOf !== undefined) return 'hidden';
  return { at: { attribute: name, through }, isBoolean: attribute.type === 'boolean' };
}

function attributeOf(model: ResourceModel, name: string): Attribute | undefined {
  return Object.hasOwn(model.attributes, name) ? model.attributes[name] : undefined;
}
