import { formatCidr, type IpPrefix, type NetworkPolicyRule, type PolicyRule, parseCidr } from '@cable/model';
import { parsePrefix } from './address.ts';
import { networkPolicyMatches, type RuleMatch, ruleMatches } from './policy-rules.ts';
import { cutPrefix } from './prefix-cut.ts';

/** What a rule's remote names: the members of groups, and prefixes (neither when the rule's CIDR is malformed: it matches nothing). */
export type Selector = {
  /** The same for the same remote in any policy. */
  readonly name: string;
  /** Groups, as `groupTopic` takes them: ids of security and address groups, or of slices of pods. */
  readonly groupIds: readonly string[];
  /** Each as `Prefix.order`. */
  readonly prefixes: readonly string[];
};

/** The matches of one rule each. */
export type RuleLists = readonly (readonly RuleMatch[])[];

/** A policy's rules by the selector of their remote. `any` counts for every address. */
export type SelectorRules = {
  readonly any: RuleLists;
  /** By name. */
  readonly selectors: ReadonlyMap<string, Selector & { readonly rules: RuleLists }>;
};

/** So many prefixes may be left of all that have holes, in one set of policies. */
const MAX_CUT = 16_384;

/** Collects what `SelectorRules` has. */
class Sorting {
  /** Prefixes that are left of what has holes, at the most. */
  cut = 0;
  readonly any: (readonly RuleMatch[])[] = [];
  readonly selectors = new Map<string, Selector & { readonly rules: (readonly RuleMatch[])[] }>();

  add(to: Selector | 'any', matches: readonly RuleMatch[]): void {
    if (to === 'any') {
      this.any.push(matches);
      return;
    }
    const selector = this.selectors.get(to.name) ?? { ...to, rules: [] };
    selector.rules.push(matches);
    this.selectors.set(to.name, selector);
  }
}

/** Sorts rules by their remote, in portions. */
export function* sortRules(rules: Iterable<PolicyRule>): Generator<void, SelectorRules> {
  const sorting = new Sorting();
  for (const rule of rules) {
    sorting.add(nameSelector(rule.remote), ruleMatches(rule));
    yield;
  }
  return sorting;
}

/** What network policies isolate, and the addresses of the node that the pods run on. */
export type Isolation = {
  readonly ingress: boolean;
  readonly egress: boolean;
  readonly nodePrefixes: readonly string[];
};

/**
 * The same of network policies. In a direction in which none isolates everything passes, and to and from the node always: its probes must reach what it
 * runs.
 */
export function* sortNetworkPolicyRules(
  { ingress, egress, nodePrefixes }: Isolation,
  rules: Iterable<NetworkPolicyRule>,
): Generator<void, SelectorRules> {
  const sorting = new Sorting();
  if (!ingress) sorting.add('any', networkPolicyMatches(EVERYTHING.ingress));
  if (!egress) sorting.add('any', networkPolicyMatches(EVERYTHING.egress));
  if (nodePrefixes.length > 0) {
    const node = { name: `node:${nodePrefixes.join()}`, groupIds: [], prefixes: nodePrefixes };
    for (const rule of Object.values(EVERYTHING)) sorting.add(node, networkPolicyMatches(rule));
  }
  for (const rule of rules) {
    if (rule.peers === undefined) sorting.add('any', networkPolicyMatches(rule));
    for (const peer of rule.peers ?? []) {
      if (peer.cidr === undefined) sorting.add(podsSelector(peer.pods), networkPolicyMatches(rule));
      else addPrefix(sorting, peer, rule);
      yield;
    }
    yield;
  }
  return sorting;
}

/** `policyId`: no policy says so. */
const EVERYTHING = {
  ingress: { policyId: '0', direction: 'ingress' },
  egress: { policyId: '0', direction: 'egress' },
} as const satisfies Record<string, NetworkPolicyRule>;

function podsSelector(keys: readonly string[]): Selector {
  const groupIds = keys.map((key) => key.slice(key.indexOf(':') + 1));
  return { name: `pods:${groupIds.join('|')}`, groupIds, prefixes: [] };
}

/** An address of the other version is in no prefix, and so is passed over by its rules. */
function addPrefix(
  sorting: Sorting,
  { cidr, except }: { readonly cidr: string; readonly except: readonly string[] },
  rule: NetworkPolicyRule,
): void {
  const whole = parseCidr(cidr);
  const holes = except.map((one) => parseCidr(one));
  // Holes that are not understood could be anywhere.
  if (whole === undefined || holes.includes(undefined)) return;
  const version = whole.base.version;
  sorting.cut += (holes as readonly IpPrefix[]).reduce(
    (sum, one) => sum + Math.max(0, one.prefixLength - whole.prefixLength),
    1,
  );
  // Too much of it to be kept apart: it allows nothing.
  if (sorting.cut > MAX_CUT) return;
  const name = `prefix:${cidr}!${except.join()}`;
  if (whole.prefixLength === 0 && holes.length === 0) {
    sorting.add('any', networkPolicyMatches(rule, version));
    return;
  }
  const left = cutPrefix(whole, holes as readonly IpPrefix[]);
  const prefixes = left.flatMap((one) => parsePrefix(formatCidr(one))?.order ?? []);
  sorting.add({ name, groupIds: [], prefixes }, networkPolicyMatches(rule, version));
}

/** A prefix of length 0 is `any`. */
function nameSelector(remote: PolicyRule['remote']): Selector | 'any' {
  if (remote.kind === 'any') return 'any';
  if (remote.kind === 'group') return { name: `group:${remote.groupId}`, groupIds: [remote.groupId], prefixes: [] };
  const prefix = parsePrefix(remote.cidr);
  if (prefix === undefined) return { name: `invalid:${remote.cidr}`, groupIds: [], prefixes: [] };
  if (remote.cidr.endsWith('/0')) return 'any';
  return { name: `prefix:${prefix.order}`, groupIds: [], prefixes: [prefix.order] };
}
