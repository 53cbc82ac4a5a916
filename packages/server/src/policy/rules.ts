/** Rules by name: defaults and an operator's overrides merged, understood, and looked through for what cannot work. */
import type { ResourceModel } from '@cable/model';
import type { Expression } from './expression.ts';
import { nameOfNeutron } from './neutron-names.ts';
import { parseRule, type RuleText } from './rule-text.ts';

/** A rule that Cable or an extension brings. */
export type RuleDefault = {
  /** `create_port`, `create_port:fixed_ips:ip_address`, `add_router_interface`, or any word that other rules refer to. */
  readonly name: string;
  /** As Neutron has it since its secure defaults: a role in the project makes the difference, and `service` is one. */
  readonly check: RuleText;
  /** As Neutron 21 (Zed) has it when it is not told to enforce the former. Absent: the same. */
  readonly zed?: RuleText;
  /** One sentence for people. */
  readonly description: string;
  /**
   * Of a rule about an attribute in an update. `changed`: asked only if the value is another than before, or the caller may not see that it is not; absent:
   * whenever it was given. An override of the check leaves it as it is.
   */
  readonly asked?: 'changed';
  /** `any`: asked also of whoever has a token of a domain or of the system; absent: he is refused. An override of the check leaves it as it is. */
  readonly scope?: 'any';
};

/**
 * Which defaults are in force. `secure`: those of Neutron 2026.1; rules about objects are for tokens of a project. `zed`: those of Neutron 21, in which the scope
 * of a token makes no difference and an administrator is asked no rule.
 */
export type DefaultsName = 'secure' | 'zed';

/** The rules of a policy. */
export type RuleSet = {
  /** Own rules and those of overrides, by name. */
  readonly expressions: ReadonlyMap<string, Expression>;
  /** Names of rules about attributes that an update asks only for changes. */
  readonly changedOnly: ReadonlySet<string>;
  /** Names of rules that under `secure` are for tokens of a project alone. */
  readonly scoped: ReadonlySet<string>;
  /** What each says, what for, and whether the operator says so; in the order in which they were given. */
  readonly listed: readonly ListedRule[];
  /** What works, but hardly as it is meant; for the log. */
  readonly warnings: readonly string[];
};

/** A rule in force. `description`: null of one that is the operator's alone. `isOverride`: the operator's file says it. */
export type ListedRule = {
  readonly name: string;
  readonly check: RuleText;
  readonly description: string | null;
  readonly isOverride: boolean;
};

/** One thing that is wrong with a rule. `position`: character of its text, from 0; null: it is not about a place. */
export type RuleProblem = { readonly rule: string; readonly position: number | null; readonly reason: string };

/** A policy that cannot be used; the message names every problem. */
export class PolicyError extends Error {
  readonly problems: readonly RuleProblem[];

  constructor(problems: readonly RuleProblem[]) {
    super(problems.map(formatProblem).join('\n'));
    this.name = 'PolicyError';
    this.problems = problems;
  }
}

/** The rule that stands for every one that is not there. */
export const DEFAULT_RULE = 'default';

/** Most checks that one rule may come to, those of the rules it refers to counted each time. */
const COST_MAX = 10_000;
/** Most rules that refer to one another in a row. */
const CHAIN_MAX = 20;

/** Merges and understands the rules: an override takes the place of the default of its name. Throws `PolicyError`. */
export function loadRules(
  defaults: readonly RuleDefault[],
  overrides: Readonly<Record<string, RuleText>>,
  named: DefaultsName = 'secure',
): RuleSet {
  const problems: RuleProblem[] = [];
  const texts = new Map<string, RuleText>();
  for (const { name, check, zed = check } of defaults) {
    if (texts.has(name)) problems.push({ rule: name, position: null, reason: 'there are two defaults of this name' });
    texts.set(name, named === 'zed' ? zed : check);
  }
  const ownName = (name: string): string => (texts.has(name) ? name : nameOfNeutron(name));
  const own = new Map<string, RuleText>();
  for (const [name, check] of Object.entries(overrides)) {
    const ours = ownName(name);
    if (own.has(ours))
      problems.push({ rule: name, position: null, reason: `it is the rule ${ours}, which is there too` });
    own.set(ours, check);
  }
  const descriptions = new Map(defaults.map(({ name, description }) => [name, description]));
  for (const [name, check] of own) texts.set(name, check);
  const expressions = new Map<string, Expression>();
  for (const [name, text] of texts) {
    const parsed = parseRule(text);
    if (parsed.ok) expressions.set(name, own.has(name) ? renamed(parsed.expression, ownName) : parsed.expression);
    else problems.push({ rule: name, position: parsed.position, reason: parsed.reason });
  }
  const warnings: string[] = [];
  if (problems.length === 0) problems.push(...new Surveyor(expressions, warnings).survey());
  if (problems.length > 0) throw new PolicyError(problems);
  const changedOnly = new Set(defaults.filter((one) => one.asked === 'changed').map((one) => one.name));
  const scoped = new Set(defaults.filter((one) => one.scope !== 'any').map((one) => one.name));
  const listed = [...texts].map(([name, check]) => {
    return { name, check, description: descriptions.get(name) ?? null, isOverride: own.has(name) };
  });
  return { expressions, changedOnly, scoped, listed, warnings };
}

/** The same with other names for the rules that it refers to. */
function renamed(expression: Expression, nameOf: (name: string) => string): Expression {
  switch (expression.kind) {
    case 'rule':
      return { kind: 'rule', name: nameOf(expression.name) };
    case 'not':
      return { kind: 'not', part: renamed(expression.part, nameOf) };
    case 'and':
    case 'or':
      return { kind: expression.kind, parts: expression.parts.map((part) => renamed(part, nameOf)) };
    default:
      return expression;
  }
}

/** Names of all rules that some other refers to. */
export function referredTo(rules: Pick<RuleSet, 'expressions'>): ReadonlySet<string> {
  const names = new Set<string>();
  const look = (expression: Expression): void => {
    if (expression.kind === 'rule') names.add(expression.name);
    else if (expression.kind === 'not') look(expression.part);
    else if (expression.kind === 'and' || expression.kind === 'or') expression.parts.forEach(look);
  };
  for (const expression of rules.expressions.values()) look(expression);
  return names;
}

/** The rule of a name, or what stands for it; undefined: there is nothing, and it allows nothing. */
export function ruleNamed({ expressions }: Pick<RuleSet, 'expressions'>, name: string): Expression | undefined {
  return expressions.get(name) ?? expressions.get(DEFAULT_RULE);
}

/** Actions whose rules Neutron calls by the action alone. */
const PLAIN_ACTIONS: ReadonlySet<string> = new Set([
  ...['add_extraroutes', 'remove_extraroutes', 'add_prefixes', 'remove_prefixes', 'onboard_network_subnets'],
]);

/** The name of the rule about an action: `add_router_interface` as it is, `rename` of a host as `rename_host`, or as it is declared. */
export function actionRule(
  { type, plural, actions = [] }: Pick<ResourceModel, 'type' | 'plural' | 'actions'>,
  action: string,
): string {
  const declared = actions.find(({ name }) => name === action)?.rule;
  if (declared !== undefined) return declared.replace('{plural}', plural);
  if (PLAIN_ACTIONS.has(action)) return action;
  return `_${action}_`.includes(`_${type}_`) ? action : `${action}_${type}`;
}

/** Checks that a rule comes to, and rules that refer to one another in a row, itself counted. */
type Extent = { readonly cost: number; readonly chain: number };

const LEAF: Extent = { cost: 1, chain: 0 };

/** Follows what rules refer to. */
class Surveyor {
  readonly #expressions: ReadonlyMap<string, Expression>;
  readonly #warnings: string[];
  readonly #problems: RuleProblem[] = [];
  readonly #known = new Map<string, Extent>();
  readonly #chain: string[] = [];

  constructor(expressions: ReadonlyMap<string, Expression>, warnings: string[]) {
    this.#expressions = expressions;
    this.#warnings = warnings;
  }

  survey(): readonly RuleProblem[] {
    for (const name of this.#expressions.keys()) {
      this.#rule(name);
      // One problem shows in every rule that refers to it.
      if (this.#problems.length > 0) break;
    }
    return this.#problems;
  }

  #rule(name: string): Extent {
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const start = this.#chain.indexOf(name);
    if (start >= 0)
      return this.#refuse(name, `it refers to itself: ${[...this.#chain.slice(start), name].join(' -> ')}`);
    const expression = this.#expressions.get(name);
    if (expression === undefined) return LEAF;
    this.#chain.push(name);
    const inner = this.#chain.length > CHAIN_MAX ? { cost: 1, chain: CHAIN_MAX } : this.#extent(expression, name);
    this.#chain.pop();
    const extent = { cost: inner.cost, chain: inner.chain + 1 };
    this.#known.set(name, extent);
    if (extent.chain > CHAIN_MAX) this.#refuse(name, `more than ${CHAIN_MAX} rules refer to one another in a row`);
    if (extent.cost > COST_MAX) this.#refuse(name, `it comes to more than ${COST_MAX} checks`);
    return extent;
  }

  #extent(expression: Expression, within: string): Extent {
    // What is refused already is not followed: it may have no end.
    if (this.#problems.length > 0) return LEAF;
    switch (expression.kind) {
      case 'and':
      case 'or':
        return expression.parts
          .map((part) => this.#extent(part, within))
          .reduce((all, one) => ({ cost: all.cost + one.cost, chain: Math.max(all.chain, one.chain) }));
      case 'not':
        return this.#extent(expression.part, within);
      case 'rule':
        return this.#rule(this.#target(expression.name, within));
      case 'constant':
      case 'role':
      case 'match':
      case 'field':
        return LEAF;
    }
  }

  #target(name: string, within: string): string {
    if (this.#expressions.has(name)) return name;
    const hasDefault = this.#expressions.has(DEFAULT_RULE);
    const instead = hasDefault ? 'the rule default stands for it' : 'it allows nothing';
    this.#warnings.push(`policy rule ${within} refers to ${name}, which is not there: ${instead}`);
    return DEFAULT_RULE;
  }

  #refuse(rule: string, reason: string): Extent {
    if (this.#problems.length === 0) this.#problems.push({ rule, position: null, reason });
    return LEAF;
  }
}

/** One problem, for people. */
export function formatProblem({ rule, position, reason }: RuleProblem): string {
  return `policy rule ${rule}${position === null ? '' : `, character ${position + 1}`}: ${reason}`;
}
