import type { GroupSlice, PolicySlice, SliceKey } from '@cable/model';
import { CB_MAX_CLASS, CB_MAX_RULE, MAPS } from '../bpf/abi.gen.ts';
import type { MapEntry } from '../desired.ts';
import type { Prefix } from './address.ts';
import { type PlanContext, reachableNetworks } from './context.ts';
import { encodeEntry, type Planned } from './entries.ts';
import { numberNames } from './numbers.ts';
import { type ClassedPrefix, classify } from './policy-classes.ts';
import { encodeRules, type RuleMatch } from './policy-rules.ts';
import { createMemberReader, type MemberReader, type SelectorRules, sortRules } from './policy-selectors.ts';

/** Bounds of one policy in one network: what exceeds them is refused, so that no tenant fills the host's maps alone. */
export const MAX_POLICY_RULES = 65_536;
export const MAX_POLICY_CLASSES = 131_072;

/** A policy in a network, ready for its ports: its number and how many entries it takes; or why it cannot be programmed. */
export type PlannedPolicy =
  | { readonly ok: true; readonly number: number; readonly entries: readonly Planned[] }
  | { readonly ok: false; readonly reason: string };

/** Where the policy applies: its number's name is `<policy key>@<network id>`. */
export type PolicyUse = { readonly key: SliceKey; readonly networkId: string };

export type PolicyPlanner = (context: PlanContext, uses: readonly PolicyUse[]) => ReadonlyMap<string, PlannedPolicy>;

/** Name of a policy in a network, the key of a `PolicyPlanner`'s result. */
export function policyName(use: PolicyUse): string {
  return `${use.key}@${use.networkId}`;
}

/**
 * Plans policies; keeps encoded entries between calls as long as the slices they came from are the same objects.
 * The result is the same without them.
 */
export function createPolicyPlanner(): PolicyPlanner {
  const memo = new WeakMap<PolicySlice, Map<string, Compiled>>();
  const members = createMemberReader();
  return (context, uses) => {
    const byName = new Map(uses.map((use) => [policyName(use), use] as const));
    const numbers = numberNames(byName.keys());
    const budget = { rules: CB_MAX_RULE, classes: CB_MAX_CLASS };
    const result = new Map<string, PlannedPolicy>();
    for (const name of [...byName.keys()].sort()) {
      const use = byName.get(name);
      const slice = use === undefined ? undefined : context.policies.get(use.key);
      if (use === undefined || slice === undefined) {
        result.set(name, { ok: false, reason: `policy ${name} has not been received` });
        continue;
      }
      const reach = reachableNetworks(context, use.networkId);
      const known = memo.get(slice) ?? new Map<string, Compiled>();
      memo.set(slice, known);
      const compiled = compile(
        { slice, number: numbers.get(name) ?? 0, reach, groups: context.groups, members },
        known.get(use.networkId),
      );
      known.set(use.networkId, compiled);
      result.set(name, admit(name, compiled, budget));
    }
    return result;
  };
}

type Job = {
  readonly slice: PolicySlice;
  readonly number: number;
  readonly reach: readonly string[];
  readonly groups: ReadonlyMap<string, GroupSlice>;
  readonly members: MemberReader;
};

type Compiled = {
  /** Identity of everything that went in besides the policy slice. */
  readonly number: number;
  readonly reach: string;
  readonly groups: readonly (GroupSlice | undefined)[];
  readonly rulesOfSlice: SelectorRules;
  /** Encoded rules by class number and class key; encoded classes by prefix and class number. */
  readonly ruleCache: ReadonlyMap<string, readonly MapEntry[]>;
  readonly classCache: ReadonlyMap<string, MapEntry>;
  readonly ruleCount: number;
  readonly classCount: number;
  /** Undefined when a bound of the policy is exceeded. */
  readonly entries: readonly Planned[] | undefined;
};

function admit(name: string, compiled: Compiled, budget: { rules: number; classes: number }): PlannedPolicy {
  if (compiled.entries === undefined) {
    const size = `${compiled.ruleCount} rule and ${compiled.classCount} address entries`;
    const bound = `${MAX_POLICY_RULES} and ${MAX_POLICY_CLASSES}`;
    return {
      ok: false,
      reason: `policy ${name} needs ${size}, more than ${bound}: use fewer rules, port ranges or remote groups`,
    };
  }
  if (compiled.ruleCount > budget.rules || compiled.classCount > budget.classes) {
    return {
      ok: false,
      reason: `policy ${name} does not fit: the host's policy maps are full; move ports to another host`,
    };
  }
  budget.rules -= compiled.ruleCount;
  budget.classes -= compiled.classCount;
  return { ok: true, number: compiled.number, entries: compiled.entries };
}

function compile(job: Job, before: Compiled | undefined): Compiled {
  const rulesOfSlice = before?.rulesOfSlice ?? sortRules(job.slice);
  const reach = job.reach.join(' ');
  const groups = rulesOfSlice.selectors.map(({ groupId }) =>
    groupId === undefined ? undefined : job.groups.get(groupId),
  );
  if (
    before?.number === job.number &&
    before.reach === reach &&
    groups.every((group, i) => group === before.groups[i])
  ) {
    return before;
  }
  const base = { number: job.number, reach, groups, rulesOfSlice };
  const reachable = new Set(job.reach);
  const classed = classify(
    rulesOfSlice.selectors.map(({ prefixes }, i) =>
      prefixes.length > 0 ? prefixes : job.members(groups[i], reachable),
    ),
  );
  const classes = new Map<string, PolicyClass>();
  for (const { key, selectors } of classed) if (!classes.has(key)) classes.set(key, describe(rulesOfSlice, selectors));
  const ruleCount = [...classes.values()].reduce((sum, { lists }) => sum + count(lists), count(rulesOfSlice.any));
  const size = { ruleCount, classCount: classed.length };
  if (ruleCount > MAX_POLICY_RULES || classed.length > MAX_POLICY_CLASSES) {
    return { ...base, ...size, ruleCache: new Map(), classCache: new Map(), entries: undefined };
  }
  const same = before?.number === job.number ? before : undefined;
  return { ...base, ...size, ...encodePolicy({ number: job.number, any: rulesOfSlice.any, classes, classed }, same) };
}

type PolicyClass = { readonly name: string; readonly lists: readonly (readonly RuleMatch[])[] };

/** Encodes the rules of every class and the classes' prefixes, taking from `same` what it has already. */
function encodePolicy(
  policy: {
    readonly number: number;
    readonly any: readonly (readonly RuleMatch[])[];
    readonly classes: ReadonlyMap<string, PolicyClass>;
    readonly classed: readonly ClassedPrefix[];
  },
  same: Compiled | undefined,
): Pick<Compiled, 'ruleCache' | 'classCache' | 'entries'> {
  const { number, classes } = policy;
  const numbers = numberNames([...classes.values()].map(({ name }) => name));
  const ruleCache = new Map<string, readonly MapEntry[]>();
  const encode = (classId: number, lists: PolicyClass['lists'], key: string): void => {
    ruleCache.set(key, same?.ruleCache.get(key) ?? encodeRules(number, classId, lists));
  };
  encode(0, policy.any, 'any');
  for (const { name, lists } of classes.values()) encode(numbers.get(name) ?? 0, lists, `${numbers.get(name)} ${name}`);
  const classCache = new Map<string, MapEntry>();
  for (const { prefix, key } of policy.classed) {
    const classId = numbers.get(classes.get(key)?.name ?? '') ?? 0;
    const id = `${prefix.order} ${classId}`;
    classCache.set(id, same?.classCache.get(id) ?? encodeClass(number, prefix, classId));
  }
  return { ruleCache, classCache, entries: planned(ruleCache, classCache) };
}

function planned(rules: ReadonlyMap<string, readonly MapEntry[]>, classes: ReadonlyMap<string, MapEntry>): Planned[] {
  const all: Planned[] = [];
  for (const list of rules.values()) for (const entry of list) all.push({ map: 'cb_rule_1', entry });
  for (const entry of classes.values()) all.push({ map: 'cb_class_1', entry });
  return all;
}

function encodeClass(policy: number, prefix: Prefix, classId: number): MapEntry {
  return encodeEntry(MAPS.cb_class_1, { prefixlen: 32 + prefix.length, policy, addr: prefix.bytes }, { classId });
}

/** The name of the class with these selectors (what its number is made from) and the rules that count in it. */
function describe(rules: SelectorRules, selectors: readonly number[]): PolicyClass {
  const chosen = selectors.flatMap((index) => rules.selectors[index] ?? []);
  return {
    name: chosen.map((one) => one.name).join('+'),
    lists: [...rules.any, ...chosen.flatMap((one) => one.rules)],
  };
}

function count(lists: readonly (readonly RuleMatch[])[]): number {
  return lists.reduce((sum, matches) => sum + matches.length, 0);
}
