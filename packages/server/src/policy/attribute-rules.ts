import type { ResourceModel } from '@cable/model';
import type { RuleSet } from './rules.ts';

/** A rule about an attribute of a type. */
export type AttributeRule = {
  /** The stored attribute; of a rule about an alias the one that it stands for. */
  readonly attribute: string;
  /** What is looked at within the attribute: a property of its objects, or a key; null: the whole. */
  readonly property: string | null;
  readonly rule: string;
  /** True: an update asks only if the value is another than before. */
  readonly changedOnly: boolean;
};

/** The rules about attributes, by verb and type. */
export type AttributeRules = {
  of(verb: AttributeVerb, type: string): readonly AttributeRule[];
};

/** What is done with an attribute. */
export type AttributeVerb = 'create' | 'update' | 'get';

const VERBS: readonly AttributeVerb[] = ['create', 'update', 'get'];
const NONE: readonly AttributeRule[] = [];

/** Finds the attributes that rules are about: `<verb>_<type>:<attribute>` and `<verb>_<type>:<attribute>:<property>`. */
export function attributeRulesOf(
  rules: RuleSet,
  models: readonly ResourceModel[],
): { readonly rules: AttributeRules; readonly warnings: readonly string[] } {
  const byKey = new Map<string, AttributeRule[]>();
  const warnings: string[] = [];
  const heads: ReadonlyMap<string, ResourceModel> = new Map(
    models.flatMap((model) => VERBS.map((verb) => [`${verb}_${model.type}`, model] as const)),
  );
  for (const rule of rules.expressions.keys()) {
    const colon = rule.indexOf(':');
    const key = rule.slice(0, Math.max(colon, 0));
    const model = heads.get(key);
    if (model === undefined) continue;
    const found = attributeOf(model, rule.slice(colon + 1));
    if (found === undefined) {
      warnings.push(`policy rule ${rule} is never asked: a ${model.type} has no such attribute`);
      continue;
    }
    const known = byKey.get(key) ?? [];
    known.push({ ...found, rule, changedOnly: rules.changedOnly.has(rule) });
    byKey.set(key, known);
  }
  return { rules: { of: (verb, type) => byKey.get(`${verb}_${type}`) ?? NONE }, warnings };
}

/** Names of attributes have colons too (`binding:host_id`): the whole is tried before a part. */
function attributeOf(model: ResourceModel, name: string): Pick<AttributeRule, 'attribute' | 'property'> | undefined {
  const whole = storedAttribute(model, name);
  if (whole !== undefined) return { attribute: whole, property: null };
  const colon = name.lastIndexOf(':');
  const part = colon > 0 ? storedAttribute(model, name.slice(0, colon)) : undefined;
  return part === undefined ? undefined : { attribute: part, property: name.slice(colon + 1) };
}

function storedAttribute(model: ResourceModel, name: string): string | undefined {
  const attribute = Object.hasOwn(model.attributes, name) ? model.attributes[name] : undefined;
  return attribute === undefined ? undefined : (attribute.aliasOf ?? name);
}
