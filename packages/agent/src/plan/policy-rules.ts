import type { ClusterPolicyRule, NetworkPolicyPorts, NetworkPolicyRule, PolicyRule } from '@cable/model';
import { CB_DIR_EGRESS, CB_DIR_INGRESS, CB_FAMILY_V4, CB_FAMILY_V6 } from '../bpf/abi.gen.ts';
import { encodeEntry, type Planned } from './entries.ts';
import type { TierStep } from './policy-tiers.ts';
import { type PortPrefix, portPrefixes } from './port-ranges.ts';

/** One LPM entry of a rule, but for policy and class. */
export type RuleMatch = {
  readonly prefixlen: number;
  readonly direction: number;
  readonly family: number;
  readonly protocol: number;
  readonly portBe: number;
  /** First 32 bits of the id of the rule, or of the network policy. */
  readonly rule: number;
  /** Of a policy of the cluster, as long as the tiers are not flattened; absent: it allows. */
  readonly step?: TierStep;
};

/** Length of prefixes that say no protocol; a protocol; and beginnings of a port, less its bits. */
export const ANY_PROTOCOL_BITS = 80;
export const ANY_PORT_BITS = 88;
export const PORT_BITS = 96;
const ICMP = 1;
const ICMPV6 = 58;
const ANY_PORT: readonly PortPrefix[] = [{ value: 0, length: 0 }];

/** The LPM entries that together match what the rule matches, whatever its remote. */
export function ruleMatches(rule: PolicyRule): readonly RuleMatch[] {
  const base = {
    direction: rule.direction === 'ingress' ? CB_DIR_INGRESS : CB_DIR_EGRESS,
    family: rule.ethertype === 'IPv4' ? CB_FAMILY_V4 : CB_FAMILY_V6,
    rule: Number.parseInt(rule.id.slice(0, 8), 16) >>> 0,
  };
  if (rule.protocol === null) return [{ ...base, prefixlen: ANY_PROTOCOL_BITS, protocol: 0, portBe: 0 }];
  const protocol = rule.ethertype === 'IPv6' && rule.protocol === ICMP ? ICMPV6 : rule.protocol;
  return rulePorts(rule, protocol).map(({ value, length }) => ({
    ...base,
    prefixlen: length === 0 ? ANY_PORT_BITS : PORT_BITS + length,
    protocol,
    portBe: value,
  }));
}

/** The same of a rule of a network policy, for addresses of one version of IP or of both. */
export function networkPolicyMatches(
  { policyId, direction, ports, ...step }: NetworkPolicyRule | ClusterPolicyRule,
  version?: 4 | 6,
): readonly RuleMatch[] {
  const families = version === undefined ? [CB_FAMILY_V4, CB_FAMILY_V6] : [version === 4 ? CB_FAMILY_V4 : CB_FAMILY_V6];
  return families.flatMap((family) => {
    const base = {
      direction: direction === 'ingress' ? CB_DIR_INGRESS : CB_DIR_EGRESS,
      family,
      rule: Number.parseInt(policyId.slice(0, 8), 16) >>> 0,
      ...('tier' in step ? { step: { tier: step.tier, order: step.order, action: step.action } } : {}),
    };
    if (ports === undefined) return [{ ...base, prefixlen: ANY_PROTOCOL_BITS, protocol: 0, portBe: 0 }];
    return ports.flatMap((one) => portMatches(one).map((match) => ({ ...base, ...match })));
  });
}

function portMatches({
  protocol,
  first,
  last,
}: NetworkPolicyPorts): Pick<RuleMatch, 'prefixlen' | 'protocol' | 'portBe'>[] {
  if (first === undefined) return [{ prefixlen: ANY_PORT_BITS, protocol, portBe: 0 }];
  return portPrefixes(first, last ?? first).map(({ value, length }) => ({
    prefixlen: length === 0 ? ANY_PORT_BITS : PORT_BITS + length,
    protocol,
    portBe: value,
  }));
}

/** Encodes a class's rules, in portions; of two rules with the same match the lower id is named. By key. */
export function* encodeRules(
  policy: number,
  classId: number,
  lists: Iterable<readonly RuleMatch[]>,
): Generator<void, ReadonlyMap<string, Planned>> {
  const entries = new Map<string, Planned>();
  const named = new Map<string, number>();
  for (const matches of lists) {
    for (const { rule, ...fields } of matches) {
      const entry = encodeEntry('cb_rule_1', { policy, classId, ...fields }, { rule });
      const other = named.get(entry.key);
      if (other === undefined || other > rule) {
        named.set(entry.key, rule);
        entries.set(entry.key, entry);
      }
      yield;
    }
  }
  return entries;
}

function rulePorts(rule: PolicyRule, protocol: number): readonly PortPrefix[] {
  const { portMin, portMax } = rule;
  if (portMin === null) return ANY_PORT;
  if (protocol === ICMP || protocol === ICMPV6) {
    if (portMax === null) return [{ value: (portMin & 0xff) << 8, length: 8 }];
    return [{ value: ((portMin & 0xff) << 8) | (portMax & 0xff), length: 16 }];
  }
  return portPrefixes(portMin, portMax ?? portMin);
}
