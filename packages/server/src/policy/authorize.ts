/** The question that the engine asks before it writes: may this caller do this to this object? Neutron's order and words. */
import { type AnyObject, CableError, EVERY_PROJECT, type ResourceModel } from '@cable/model';
import type { AttributeRule } from './attribute-rules.ts';
import type { TargetObject } from './compile.ts';
import type { Credentials } from './credentials.ts';
import { neutronNameOf } from './neutron-names.ts';
import type { HiddenAttributes, Policy, PolicyView } from './policy.ts';
import type { RowOf } from './relations.ts';
import { actionRule } from './rules.ts';

/**
 * What is to be done. Attributes by the names they are stored under. `object`: with its project; what the server derives may not be there yet. `given`: the
 * attributes that the client named, not those that took their default.
 */
export type Deed =
  | { readonly verb: 'create'; readonly object: TargetObject; readonly given: Iterable<string> }
  | { readonly verb: 'update'; readonly before: AnyObject; readonly changes: TargetObject }
  | { readonly verb: 'delete'; readonly before: AnyObject }
  /** `action`: its name as declared. */
  | { readonly verb: 'action'; readonly before: AnyObject; readonly action: string };

/** Who asks for what. */
export type Request = {
  readonly credentials: Credentials;
  readonly type: string;
  readonly row: RowOf;
  readonly deed: Deed;
};

/** `hidden`: the caller may not know that the object is there (404). `refused`: by these rules (403). */
export type Decision =
  | { readonly kind: 'allowed' | 'hidden' }
  | { readonly kind: 'refused'; readonly rules: readonly string[] };

const ALLOWED: Decision = { kind: 'allowed' };
const HIDDEN: Decision = { kind: 'hidden' };

/**
 * Create: `create_<type>`, and the rule of each attribute that was given and is not its default. Update: `update_<type>` of the object before, and the rule of
 * each attribute given, of the object with the changes. Rules about what is in an attribute are asked for what is in the value. An attribute without a
 * rule is free; a verb without one has the rule `default`.
 */
export function authorize(policy: Policy, request: Request): Decision {
  const view = policy.for(request.credentials);
  const { type, row, deed } = request;
  const rule = deed.verb === 'action' ? ruleOfAction(view, type, deed.action) : `${deed.verb}_${type}`;
  if (deed.verb !== 'create' && !view.allows(`get_${type}`, { type, object: known(view, type, deed), row })) {
    // That there is one is no secret where there is one for each key.
    return view.model(type)?.implied === true ? { kind: 'refused', rules: [rule] } : HIDDEN;
  }
  const object = deed.verb === 'create' ? deed.object : deed.before;
  if (!view.allows(rule, { type, object, row })) return { kind: 'refused', rules: [rule] };
  const failed = deed.verb === 'create' || deed.verb === 'update' ? failedAttributes(view, type, row, deed) : [];
  return failed.length === 0 ? ALLOWED : { kind: 'refused', rules: [rule, ...failed] };
}

/** The object as far as the caller may know of it: Neutron's eyes, when they look whether it is there, are an administrator's, who is no project that it is shared with. */
function known(view: PolicyView, type: string, { verb, before }: Exclude<Deed, { verb: 'create' }>): TargetObject {
  const isHidden = verb === 'update' && view.model(type)?.updateHidesShared === true;
  if (!isHidden) return before;
  const sharedWith: unknown = before['shared_with'];
  const isForAll = Array.isArray(sharedWith) && sharedWith.includes(EVERY_PROJECT);
  return { ...before, shared_with: isForAll ? [EVERY_PROJECT] : [] };
}

function ruleOfAction(view: PolicyView, type: string, action: string): string {
  return actionRule(view.model(type) ?? { type, plural: `${type}s` }, action);
}

/** The error for a request that rules refused, which stand in it as Neutron's library of policies writes them: each with all before it in brackets. */
export function refusal(rules: readonly string[]): CableError {
  const [first, ...more] = rules.map((rule) => `rule:${neutronNameOf(rule)}`);
  const text = more.reduce((before, rule) => `(${before} and ${rule})`, first ?? '');
  return new CableError('PolicyNotAuthorized', `${text} is disallowed by policy`, { fields: { rules } });
}

function failedAttributes(
  view: PolicyView,
  type: string,
  row: RowOf,
  deed: Extract<Deed, { verb: 'create' | 'update' }>,
): readonly string[] {
  const rules = view.attributeRules.of(deed.verb, type);
  const asked =
    deed.verb === 'create'
      ? askedOfCreate(view.model(type), rules, deed)
      : askedOfUpdate(view.hiddenAttributes(type), rules, deed);
  if (asked.length === 0) return [];
  // Who owns an object is not to be changed by the request that is judged by it.
  const object =
    deed.verb === 'create' ? deed.object : { ...deed.before, ...deed.changes, project_id: deed.before['project_id'] };
  const target = { type, object, row };
  return asked.filter(({ rule }) => !view.allows(rule, target)).map(({ rule }) => rule);
}

function askedOfCreate(
  model: ResourceModel | undefined,
  rules: readonly AttributeRule[],
  { object, given }: Extract<Deed, { verb: 'create' }>,
): readonly AttributeRule[] {
  if (rules.length === 0) return rules;
  const names = new Set(given);
  return rules.filter(({ attribute, property }) => {
    if (!names.has(attribute)) return false;
    const value = object[attribute];
    const { default: standard, ruleOfDefault = false } = model?.attributes[attribute] ?? {};
    const isDefault = standard !== undefined && isSame(value, standard);
    return (ruleOfDefault || !isDefault) && hasProperty(value, property);
  });
}

function askedOfUpdate(
  hidden: HiddenAttributes,
  rules: readonly AttributeRule[],
  { before, changes }: Extract<Deed, { verb: 'update' }>,
): readonly AttributeRule[] {
  return rules.filter(({ attribute, property, changedOnly }) => {
    const value = changes[attribute];
    if (value === undefined || !hasProperty(value, property)) return false;
    // Of one that the caller may not see the answer would tell whether a guess was right.
    const isSeen = !hidden.always.has(attribute) && !hidden.sometimes.has(attribute);
    return !(changedOnly && isSeen && isSame(value, before[attribute]));
  });
}

/** True when the value, or an object in the list that it is, has the property; `property` null: always. */
function hasProperty(value: unknown, property: string | null): boolean {
  if (property === null) return true;
  if (Array.isArray(value)) return value.some((one) => hasProperty(one, property));
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, property)) return false;
  return (value as TargetObject)[property] !== undefined;
}

/** Of values that come from JSON, and in which properties are in the declaration's order. */
function isSame(a: unknown, b: unknown): boolean {
  return a === b || (typeof a === 'object' && typeof b === 'object' && JSON.stringify(a) === JSON.stringify(b));
}
