import {
  CLUSTER_POLICY_PREFIXES_MAX,
  type ClusterPolicyRule,
  formatCidr,
  type IpPrefix,
  type NetworkPolicyRule,
  POLICY_PREFIXES_MAX,
  type PolicyRule,
  type PrivateSubnet,
  parseCidr,
  prefixesLeft,
} from '@cable/model';
import { parsePrefix } from './address.ts';
import { networkPolicyMatches, type RuleMatch, ruleMatches } from './policy-rules.ts';
import { cutPrefix } from './prefix-cut.ts';
import { type Keeper, keeperOf } from './private-subnets.ts';

/** What a rule's remote names: the members of groups, and prefixes (neither when the rule's CIDR is malformed: it matches nothing). */
export type Selector = {
  /** The same for the same remote in any policy. */
  readonly name: string;
  /** Groups, as `groupTopic` takes them: ids of security and address groups, or of slices of pods. */
  readonly groupIds: readonly string[];
  /** Each as `Prefix.order`. */
  readonly prefixes: readonly string[];
  /** Names: what DNS told for them; absent: it names none. */
  readonly domains?: readonly string[];
};

/** The matches of one rule each. */
export type RuleLists = readonly (readonly RuleMatch[])[];

/**
 * A policy's rules by the selector of their remote. `any` counts for every address. `tiers`: they have tiers, and what NetworkPolicies isolate; absent: each of them allows.
 * `keepers`: private subnets, which are asked before all tiers; absent: there are none.
 */
export type SelectorRules = {
  readonly any: RuleLists;
  /** By name. */
  readonly selectors: ReadonlyMap<string, Selector & { readonly rules: RuleLists }>;
  readonly tiers?: Pick<Isolation, 'ingress' | 'egress'>;
  readonly keepers?: readonly Keeper[];
};

/** Collects what `SelectorRules` has. */
class Sorting {
  /** How many more prefixes may be left of what has holes, and of what has none. */
  room = POLICY_PREFIXES_MAX;
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
  for (const rule of rules) yield* addRule(sorting, rule);
  return sorting;
}

/**
 * The same where there are policies of the cluster, or private subnets. What comes from the node passes whatever they say; what goes there passes as if a NetworkPolicy allowed it,
 * so that Admin policies, and private subnets, can keep pods from nodes.
 */
export function* sortTieredRules(
  { ingress, egress, nodePrefixes }: Isolation,
  rules: Iterable<NetworkPolicyRule>,
  ofCluster: Iterable<ClusterPolicyRule>,
  privateIn: Iterable<PrivateSubnet>,
): Generator<void, SelectorRules> {
  const sorting = new Sorting();
  if (nodePrefixes.length > 0) {
    const node = { name: `node:${nodePrefixes.join()}`, groupIds: [], prefixes: nodePrefixes };
    const first = { tier: 'admin', order: '', action: 'allow' } as const;
    sorting.add(node, networkPolicyMatches({ ...EVERYTHING.ingress, ...first }));
    sorting.add(node, networkPolicyMatches(EVERYTHING.egress));
  }
  for (const rule of rules) yield* addRule(sorting, rule);
  // What a tenant names takes nothing of it.
  sorting.room = CLUSTER_POLICY_PREFIXES_MAX;
  for (const rule of ofCluster) yield* addRule(sorting, rule);
  const keepers: Keeper[] = [];
  for (const subnet of privateIn) {
    const { keeper, selectors } = keeperOf(subnet);
    keepers.push(keeper);
    for (const selector of selectors) sorting.add(selector, []);
    yield;
  }
  return { any: sorting.any, selectors: sorting.selectors, tiers: { ingress, egress }, keepers };
}

function* addRule(sorting: Sorting, rule: NetworkPolicyRule | ClusterPolicyRule): Generator<void, void> {
  if (rule.peers === undefined) sorting.add('any', networkPolicyMatches(rule));
  for (const peer of rule.peers ?? []) {
    if (peer.cidr !== undefined) {
      if (!addPrefix(sorting, peer, rule)) closeFor(sorting, rule);
    } else if (peer.domains === undefined) sorting.add(podsSelector(peer.pods), networkPolicyMatches(rule));
    else if ('tier' in rule && rule.action !== 'allow') closeFor(sorting, rule);
    else sorting.add(domainsSelector(peer.domains), networkPolicyMatches(rule));
    yield;
  }
  yield;
}

/** What cannot be kept apart allows nothing, and where it might deny something it denies everything. */
function closeFor(sorting: Sorting, rule: NetworkPolicyRule | ClusterPolicyRule): void {
  if (!('tier' in rule) || rule.action === 'allow') return;
  const { policyId, direction, tier, order } = rule;
  sorting.add('any', networkPolicyMatches({ policyId, direction, tier, order, action: 'deny' }));
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

const DOMAINS = 'domains:';

/** Are the members of the selector of this name what DNS tells? */
export function isOfDomains(name: string): boolean {
  return name.startsWith(DOMAINS);
}

/** It only allows: who was told an address more has no less than before. */
function domainsSelector(domains: readonly string[]): Selector {
  return { name: `${DOMAINS}${domains.join('|')}`, groupIds: [], prefixes: [], domains };
}

/** An address of the other version is in no prefix, and so is passed over by its rules. False: it cannot be kept apart. */
function addPrefix(
  sorting: Sorting,
  { cidr, except }: { readonly cidr: string; readonly except: readonly string[] },
  rule: NetworkPolicyRule | ClusterPolicyRule,
): boolean {
  const whole = parseCidr(cidr);
  const holes = except.map((one) => parseCidr(one));
  // Holes that are not understood could be anywhere.
  if (whole === undefined || holes.includes(undefined)) return false;
  const version = whole.base.version;
  const most = prefixesLeft(whole, holes as readonly IpPrefix[]);
  if (most > sorting.room) return false;
  sorting.room -= most;
  const name = `prefix:${cidr}!${except.join()}`;
  if (whole.prefixLength === 0 && holes.length === 0) {
    sorting.add('any', networkPolicyMatches(rule, version));
    return true;
  }
  const left = cutPrefix(whole, holes as readonly IpPrefix[]);
  const prefixes = left.flatMap((one) => parsePrefix(formatCidr(one))?.order ?? []);
  sorting.add({ name, groupIds: [], prefixes }, networkPolicyMatches(rule, version));
  return true;
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
