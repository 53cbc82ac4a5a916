/** Whether security groups allow a connection. */
import { cidrContains } from './address.ts';
import { type Cloud, membersOf, type Port, type Rule, rulesOf } from './cloud.ts';
import { hasPorts, type Tuple } from './headers.ts';

const ICMP = 1;

export type Verdict =
  | { readonly allowed: true }
  /** `by`: the port whose rules decided. */
  | { readonly allowed: false; readonly reason: 'policy_egress' | 'policy_ingress'; readonly by: Port };

/**
 * Judges a connection by its first packet: it needs an egress rule of the sender and an ingress rule of the receiver, of those of both that are
 * on this host.
 */
export function judge(cloud: Cloud, first: Tuple, sender: Port | undefined, receiver: Port | undefined): Verdict {
  if (sender !== undefined && !allows(cloud, sender, 'egress', first.to, first))
    return { allowed: false, reason: 'policy_egress', by: sender };
  if (receiver !== undefined && !allows(cloud, receiver, 'ingress', first.from, first))
    return { allowed: false, reason: 'policy_ingress', by: receiver };
  return { allowed: true };
}

function allows(cloud: Cloud, port: Port, direction: Rule['direction'], remote: string, first: Tuple): boolean {
  const rules = rulesOf(cloud, port);
  if (rules === undefined) return true;
  return rules.some(
    (rule) => rule.direction === direction && matches(rule, first) && isRemote(cloud, rule, remote, port.network),
  );
}

function matches(rule: Rule, first: Tuple): boolean {
  if (rule.protocol === undefined) return true;
  if (rule.protocol !== first.protocol) return false;
  if (first.protocol === ICMP) return matchesIcmp(rule, first.dport >> 8, first.dport & 0xff);
  if (rule.portRange === undefined) return true;
  return hasPorts(first.protocol) && first.dport >= rule.portRange.min && first.dport <= rule.portRange.max;
}

function matchesIcmp({ icmp }: Rule, type: number, code: number): boolean {
  return icmp === undefined || (icmp.type === type && (icmp.code === undefined || icmp.code === code));
}

function isRemote(cloud: Cloud, rule: Rule, remote: string, network: string): boolean {
  if (rule.remoteGroup !== undefined) return membersOf(cloud, rule.remoteGroup, network).includes(remote);
  return rule.remoteCidr === undefined || cidrContains(rule.remoteCidr, remote);
}
