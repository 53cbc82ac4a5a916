/** Whether security groups allow a connection. */
import { cidrContains } from './address.ts';
import { type Cloud, membersOf, type Port, type Rule, rulesOf } from './cloud.ts';
import { hasPorts, type IpHeaders, type Tuple } from './headers.ts';

const ICMP = 1;

export type Verdict =
  | { readonly allowed: true }
  /** `by`: the port whose rules decided. */
  | { readonly allowed: false; readonly reason: 'policy_egress' | 'policy_ingress'; readonly by: Port };

/** What is asked: a packet, and whether it answers a connection. Ends that are not on this host: undefined. */
export type Question = {
  readonly packet: Pick<IpHeaders, 'tuple' | 'isError' | 'icmpAnswer'>;
  /** What the packet is when it comes to its receiver. Default: the same. */
  readonly becomes?: Tuple;
  readonly isAnswer: boolean;
  readonly sender: Port | undefined;
  readonly receiver: Port | undefined;
};

/**
 * Judges a connection by its first packet: it needs an egress rule of who began it and an ingress rule of the other, of those of both that are on this
 * host. An end that is stateless judges each packet so, but for ICMP errors.
 */
export function judge(cloud: Cloud, question: Question): Verdict {
  const { sender, receiver, isAnswer } = question;
  const ends = [
    { by: sender, isSender: true },
    { by: receiver, isSender: false },
  ];
  for (const { by, isSender } of isAnswer ? ends.reverse() : ends) {
    const reason = by === undefined ? undefined : refusalBy(cloud, by, isSender, question);
    if (by !== undefined && reason !== undefined) return { allowed: false, reason, by };
  }
  return { allowed: true };
}

/** Do the ends that are here remember nothing of what was before? */
export function isStateless(...ends: readonly (Port | undefined)[]): boolean {
  const here = ends.filter((port) => port?.portSecurity === true);
  return here.length > 0 && here.every((port) => port?.stateless === true);
}

function refusalBy(
  cloud: Cloud,
  port: Port,
  isSender: boolean,
  { packet, becomes, isAnswer }: Question,
): 'policy_egress' | 'policy_ingress' | undefined {
  const tuple = isSender ? packet.tuple : (becomes ?? packet.tuple);
  const byItself = port.stateless && !packet.isError;
  const answers = isAnswer && !byItself;
  const direction = isSender !== answers ? 'egress' : 'ingress';
  const dport = answers ? tuple.sport : byItself ? (packet.icmpAnswer ?? tuple.dport) : tuple.dport;
  const remote = isSender ? tuple.to : tuple.from;
  return allows(cloud, port, direction, remote, { ...tuple, dport }) ? undefined : `policy_${direction}`;
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
