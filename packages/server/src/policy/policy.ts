/**
 * Who may do what: rules in oslo.policy's language, asked of objects.
 *
 *   text ──parse──> expression ──class of callers──> condition ──> test(target)          asked of each object
 *                                                          └────> look-ups               where a list has to look
 *
 * Whatever follows from a caller's roles and scope is decided once for all callers who have these.
 */
import { GRANT_LISTS, isShareable, type ResourceModel } from '@cable/model';
import { type AttributeRules, attributeRulesOf } from './attribute-rules.ts';
import { compileCondition, type Scope, type TargetObject, type Test } from './compile.ts';
import { type CallerClass, type Condition, createConditions, dependsOnTarget, joined, NEVER } from './condition.ts';
import type { Credentials } from './credentials.ts';
import { ownRulesOf, rulesOfDeclaration } from './defaults/declared.ts';
import { type Lookup, type LookupContext, reachOf } from './lookups.ts';
import { type Relations, type RowOf, relationsOf } from './relations.ts';
import type { RuleText } from './rule-text.ts';
import { type DefaultsName, type ListedRule, loadRules, type RuleDefault, type RuleSet, referredTo } from './rules.ts';

/** What a policy is made of. */
export type PolicyOptions = {
  /** A type of which none of these says who may create, get, update or delete has those that its declaration says; so has an attribute. */
  readonly rules: readonly RuleDefault[];
  /** An operator's rules by name, in place of those above or besides them. Absent: none. */
  readonly overrides?: Readonly<Record<string, RuleText>>;
  /** The types that are loaded. */
  readonly models: readonly ResourceModel[];
  /** Default: `secure`. */
  readonly defaults?: DefaultsName;
};

/** What a rule is asked of. */
export type Target = {
  /** Type of the object. */
  readonly type: string;
  readonly object: TargetObject;
  readonly row: RowOf;
};

/**
 * Which objects of a type a caller may see. `lookups`: those in the union of the look-ups (which may name one twice) of which `sees` is true; `scan`: those
 * of all of which it is.
 */
export type Visibility =
  | { readonly kind: 'all' }
  | { readonly kind: 'none' }
  | { readonly kind: 'lookups'; readonly lookups: readonly Lookup[]; readonly sees: (object: TargetObject) => boolean }
  | { readonly kind: 'scan'; readonly sees: (object: TargetObject) => boolean };

/** Attributes that a caller does not see, aliases among them. The same value for callers of a class, unless their user or project decides. */
export type HiddenAttributes = {
  readonly always: ReadonlySet<string>;
  /** Those that depend on the object: see `PolicyView.hiddenOf`. */
  readonly sometimes: ReadonlySet<string>;
};

/** The rules as they are for callers of one class. */
type ClassRules = {
  readonly conditionOf: (rule: string) => Condition;
  readonly tests: Map<Condition, Test>;
  readonly byRule: Map<string, Test>;
  readonly hidden: Map<string, HiddenAttributes>;
};

/** Callers with the same roles and scope: those who are administrators and those who are not. */
type CallerClasses = { readonly admin: ClassRules; readonly plain: ClassRules };

/** Most classes remembered: roles are a caller's word under noauth. */
const CLASSES_MAX = 1000;
/** Most names in one warning. */
const NAMED = 20;
const ADMIN_RULE = 'context_is_admin';
const SERVICE_RULES = ['context_is_advsvc', 'service_api'] as const;
const CLUSTER_PODS = 'cluster_pods';
const VERBS = ['create', 'get', 'update', 'delete'] as const;
const NO_RELATIONS: Relations = new Map();
const NOTHING: TargetObject = {};
const ALWAYS: Condition = { kind: 'constant', value: true };

/** Loads rules. Throws `PolicyError`, whose message names each rule and place that cannot be understood. */
export function createPolicy(options: PolicyOptions): Policy {
  const models = new Map(options.models.map((model) => [model.type, model]));
  const named = new Set(options.rules.map((rule) => rule.name));
  const declared = options.models.flatMap((model) => missingRules(model, models, named));
  const { overrides = {}, defaults = 'secure' } = options;
  const rules = loadRules([...options.rules, ...declared], withTags(overrides, options.models), defaults);
  const attributes = attributeRulesOf(rules, options.models);
  const relations = new Map(options.models.map((model) => [model.type, relationsOf(model, models)]));
  const warnings = [
    ...rules.warnings,
    ...attributes.warnings,
    ...neverAsked(rules, models),
    ...scanWarnings(rules, models, relations),
  ];
  return new Policy({ rules, models, relations, attributes: attributes.rules, defaults }, warnings);
}

/** Neutron's rule about the attribute `tags` is that about the sub-routes of tags too, unless the operator names theirs. */
function withTags(
  overrides: Readonly<Record<string, RuleText>>,
  models: readonly ResourceModel[],
): Readonly<Record<string, RuleText>> {
  const more: Record<string, RuleText> = {};
  for (const { type, plural } of models) {
    for (const verb of ['get', 'update', 'delete']) {
      const check = overrides[`${verb}_${type}:tags`];
      const name = `${verb}_${plural}_tags`;
      if (check !== undefined && overrides[name] === undefined) more[name] = check;
    }
  }
  return { ...overrides, ...more };
}

/** An operator's rules of which nothing is ever asked: a slip of the pen, or about what is not here. */
function neverAsked({ listed, expressions }: RuleSet, models: ReadonlyMap<string, ResourceModel>): readonly string[] {
  const referred = referredTo({ expressions });
  const heads = new Set([...models.keys()].flatMap((type) => VERBS.map((verb) => `${verb}_${type}`)));
  const names = listed.flatMap(({ name, description, isOverride }) => {
    const isAsked = description !== null || referred.has(name) || heads.has(name.split(':', 1)[0] ?? '');
    return isOverride && !isAsked ? [name] : [];
  });
  if (names.length === 0) return [];
  const shown =
    names.length > NAMED ? `${names.slice(0, NAMED).join(', ')} and ${names.length - NAMED} more` : names.join(', ');
  return [`policy rules that nothing asks, since there is no such thing here: ${shown}`];
}

/** Those that the declaration says and nobody else: of a type without rules all, of one that has some those of attributes, e.g. of an extension, and those that actions name. */
function missingRules(
  model: ResourceModel,
  models: ReadonlyMap<string, ResourceModel>,
  named: ReadonlySet<string>,
): readonly RuleDefault[] {
  const isBare = !VERBS.some((verb) => named.has(`${verb}_${model.type}`));
  const declared = rulesOfDeclaration(model, models).filter(({ name }) => !named.has(name));
  const own = new Set(ownRulesOf(model).map(([name]) => name));
  return isBare ? declared : declared.filter(({ name }) => name.includes(':') || own.has(name));
}

type Parts = {
  readonly rules: RuleSet;
  readonly models: ReadonlyMap<string, ResourceModel>;
  readonly relations: ReadonlyMap<string, Relations>;
  readonly attributes: AttributeRules;
  readonly defaults: DefaultsName;
};

/** The rules that are in force. */
export class Policy {
  /** What works, but hardly as it is meant; for the log, once. */
  readonly warnings: readonly string[];
  readonly #parts: Parts;
  readonly #classes = new Map<string, CallerClasses>();
  readonly #views = new WeakMap<Credentials, PolicyView>();

  constructor(parts: Parts, warnings: readonly string[]) {
    this.#parts = parts;
    this.warnings = warnings;
  }

  /** All rules, for operators. */
  get listed(): readonly ListedRule[] {
    return this.#parts.rules.listed;
  }

  /** Which defaults are in force. */
  get defaults(): DefaultsName {
    return this.#parts.defaults;
  }

  /** The policy as it is for a caller. Cheap; the same value for the same credentials. */
  for(credentials: Credentials): PolicyView {
    const known = this.#views.get(credentials);
    if (known !== undefined) return known;
    const { admin, plain } = this.#class(credentials);
    // As Neutron has it: `is_admin` is what `context_is_admin` says of a caller for whom `is_admin` is false.
    const scope: Scope = { credentials, relations: NO_RELATIONS, row: () => undefined };
    const isKnown = this.#parts.rules.expressions.has(ADMIN_RULE);
    const isAdmin = credentials.isAdmin ?? (isKnown && testOf(plain, ADMIN_RULE)(NOTHING, scope));
    const view = new PolicyView(this.#parts, isAdmin ? admin : plain, credentials, isAdmin);
    this.#views.set(credentials, view);
    return view;
  }

  #class({ roles, systemScope, projectId }: Credentials): CallerClasses {
    const hasProject = projectId !== null;
    const key = JSON.stringify([systemScope, hasProject, roles]);
    const known = this.#classes.get(key);
    if (known !== undefined) return known;
    if (this.#classes.size >= CLASSES_MAX) this.#classes.clear();
    const admin = this.#rules({ roles, systemScope, isAdmin: true }, hasProject);
    const plain = this.#rules({ roles, systemScope, isAdmin: false }, hasProject);
    this.#classes.set(key, { admin, plain });
    return { admin, plain };
  }

  #rules(callers: CallerClass, hasProject: boolean): ClassRules {
    const { rules, defaults } = this.#parts;
    const asked = scoped(this.#parts, callers);
    const conditionOf = (rule: string): Condition => {
      if (defaults === 'zed') return callers.isAdmin ? ALWAYS : asked(rule);
      return hasProject || !rules.scoped.has(rule) ? asked(rule) : NEVER;
    };
    return { conditionOf, tests: new Map(), byRule: new Map(), hidden: new Map() };
  }
}

/** The policy as it is for one caller. */
export class PolicyView {
  /** What the rule `context_is_admin` says, or the credentials. */
  readonly isAdmin: boolean;
  readonly credentials: Credentials;
  readonly #parts: Parts;
  readonly #rules: ClassRules;

  constructor(parts: Parts, rules: ClassRules, credentials: Credentials, isAdmin: boolean) {
    this.#parts = parts;
    this.#rules = rules;
    this.credentials = credentials;
    this.isAdmin = isAdmin;
  }

  /** True when the rule allows it; one that is not there is the rule `default`, and nothing is allowed without that. */
  allows(rule: string, target: Target): boolean {
    return testOf(this.#rules, rule)(target.object, this.#scope(target.type, target.row));
  }

  /** Which objects of a type the rule `get_<type>` shows. */
  visibility(type: string, row: RowOf): Visibility {
    const rule = `get_${type}`;
    const condition = this.#rules.conditionOf(rule);
    const scope = this.#scope(type, row);
    const model = this.#parts.models.get(type);
    const context: LookupContext | undefined = model && { model, ...this.#parts, ...scope };
    const holds = (one: Condition): boolean => compileCondition(one, this.#rules.tests)(NOTHING, scope);
    const reach = context === undefined ? 'scan' : reachOf(condition, context, holds);
    if (reach === 'all') return { kind: 'all' };
    const test = testOf(this.#rules, rule);
    const sees = (object: TargetObject): boolean => test(object, scope);
    if (typeof reach === 'string') return { kind: 'scan', sees };
    return reach.length === 0 ? { kind: 'none' } : { kind: 'lookups', lookups: reach, sees };
  }

  /** Attributes of a type that the caller does not see in any object, or not in every one: rules `get_<type>:<attribute>`. */
  hiddenAttributes(type: string): HiddenAttributes {
    const known = this.#rules.hidden.get(type);
    if (known !== undefined) return known;
    const always = new Set<string>();
    const sometimes = new Set<string>();
    const scope = this.#scope(type, () => undefined);
    let isOfClass = true;
    for (const { attribute, rule } of this.#parts.attributes.of('get', type)) {
      const condition = this.#rules.conditionOf(rule);
      if (dependsOnTarget(condition)) this.#addNames(sometimes, type, attribute);
      else if (!testOf(this.#rules, rule)(NOTHING, scope)) this.#addNames(always, type, attribute);
      isOfClass &&= condition.kind === 'constant' || dependsOnTarget(condition);
    }
    for (const name of always) sometimes.delete(name);
    const hidden = { always, sometimes };
    if (isOfClass) this.#rules.hidden.set(type, hidden);
    return hidden;
  }

  /** Attributes of one object that the caller does not see, of those that depend on it; besides `always` of `hiddenAttributes`. */
  hiddenOf(target: Target): ReadonlySet<string> {
    const hidden = new Set<string>();
    const { sometimes } = this.hiddenAttributes(target.type);
    if (sometimes.size === 0) return hidden;
    for (const { attribute, rule } of this.#parts.attributes.of('get', target.type)) {
      if (sometimes.has(attribute) && !this.allows(rule, target)) this.#addNames(hidden, target.type, attribute);
    }
    return hidden;
  }

  /** Rules about attributes that there are for a verb; for `authorize`. */
  get attributeRules(): AttributeRules {
    return this.#parts.attributes;
  }

  /** The declaration of a type; undefined: it is not loaded. */
  model(type: string): ResourceModel | undefined {
    return this.#parts.models.get(type);
  }

  #addNames(names: Set<string>, type: string, attribute: string): void {
    names.add(attribute);
    for (const [alias, { aliasOf }] of Object.entries(this.#parts.models.get(type)?.attributes ?? {})) {
      if (aliasOf === attribute) names.add(alias);
    }
  }

  #scope(type: string, row: RowOf): Scope {
    return { credentials: this.credentials, relations: this.#parts.relations.get(type) ?? NO_RELATIONS, row };
  }
}

/**
 * A cluster’s controller sees besides what is of the cluster, and the network of its pods as any project.
 * As in Neutron, whoever is neither an administrator nor a service (`context_is_advsvc`, `service_api`) sees of what RBAC policies share only what is theirs or granted to them, whatever
 * the rule says: `rule:external` alone would show a network to all that leads outside for one.
 */
function scoped(
  { rules, models }: Pick<Parts, 'rules' | 'models'>,
  callers: CallerClass | null,
): (rule: string) => Condition {
  const conditionOf = createConditions(rules, callers);
  if (callers?.isAdmin === true) return conditionOf;
  const services = SERVICE_RULES.filter((rule) => rules.expressions.has(rule)).map(conditionOf);
  const granted = new Map<string, Condition>();
  for (const model of models.values()) {
    if (!isShareable(model)) continue;
    const lists = Object.values(GRANT_LISTS).filter((list) => model.storedAttributes[list] !== undefined);
    const rule = `get_${model.type}`;
    const pods = model.type === 'network' && rules.expressions.has(CLUSTER_PODS) ? [conditionOf(CLUSTER_PODS)] : [];
    const ofCluster = model.storedAttributes['cable:cluster'] === undefined ? [] : [OF_CLUSTER, ...pods];
    const theirs = joined('or', [...services, ...ofCluster, { kind: 'granted', lists }]);
    granted.set(rule, joined('and', [conditionOf(rule), theirs]));
  }
  return (rule) => granted.get(rule) ?? conditionOf(rule);
}

const OF_CLUSTER: Condition = {
  kind: 'equals',
  left: { kind: 'credential', path: ['whole_cluster'] },
  right: [{ attribute: 'cable:cluster' }],
  ignoreCase: false,
};

function testOf(rules: ClassRules, rule: string): Test {
  const known = rules.byRule.get(rule);
  if (known !== undefined) return known;
  const test = compileCondition(rules.conditionOf(rule), rules.tests);
  rules.byRule.set(rule, test);
  return test;
}

/** Types whose lists no index serves, whoever asks. */
function scanWarnings(
  rules: RuleSet,
  models: ReadonlyMap<string, ResourceModel>,
  relations: ReadonlyMap<string, Relations>,
): readonly string[] {
  const conditionOf = scoped({ rules, models }, null);
  const warnings: string[] = [];
  for (const model of models.values()) {
    const rule = `get_${model.type}`;
    const context = { model, models, relations: relations.get(model.type) ?? NO_RELATIONS, credentials: null };
    const reach = reachOf(conditionOf(rule), context, () => false);
    if (reach === 'scan') {
      warnings.push(
        `policy rule ${rule} gives nothing to look up: for some callers a list of ${model.plural} looks at every one`,
      );
    }
  }
  return warnings;
}
