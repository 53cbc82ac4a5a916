/** What a rule of a security group says, made canonical and checked, and when two say the same. */
import { createHash } from 'node:crypto';
import { protocolNumber } from '@cable/compiler';
import {
  CableError,
  formatCidr,
  type IpPrefix,
  parseIpOrCidr,
  type RuleMeaning,
  type SecurityGroupRule,
} from '@cable/model';

/** Protocols that have ports: TCP, UDP, DCCP, SCTP, UDP-Lite. */
const WITH_PORTS: ReadonlySet<number> = new Set([6, 17, 33, 132, 136]);

const PORT_MAX = 65535;

const EVERYWHERE: ReadonlySet<string> = new Set(['0.0.0.0/0', '::/0']);

/** What a given rule says, as it is stored. Throws what is wrong with it. */
export function ruleMeaning(given: Partial<RuleMeaning>): RuleMeaning {
  const meaning = meaningOf(given);
  // In Neutron's order: of several faults the first is told.
  const number = numberOf(meaning);
  checkRange(meaning, number);
  checkPrefix(meaning);
  checkVersion(meaning, number);
  checkRemotes(meaning);
  return meaning;
}

/** What a rule's prefix stands for; null: there is none. */
export function normalizedCidr({
  remote_ip_prefix: given,
}: Pick<SecurityGroupRule, 'remote_ip_prefix'>): string | null {
  const prefix = given === null ? undefined : parseIpOrCidr(given);
  return prefix === undefined ? null : formatCidr(prefix);
}

/** Protocols that there are behind IPv6 alone (Neutron's list): tunnels, extension headers, ICMPv6. */
const OF_IPV6: ReadonlySet<number> = new Set([41, 43, 44, 58, 59, 60]);

/** What Neutron stores for ICMP with IPv6, whatever it was called. */
const ICMPV6: Readonly<Record<string, string>> = { icmp: 'ipv6-icmp', icmpv6: 'ipv6-icmp', '1': '58' };

function meaningOf(given: Partial<RuleMeaning>): RuleMeaning {
  const prefix = given.remote_ip_prefix == null ? undefined : parseIpOrCidr(given.remote_ip_prefix);
  const ethertype = given.ethertype ?? 'IPv4';
  return {
    direction: given.direction ?? 'ingress',
    ethertype,
    protocol: given.protocol == null ? null : protocolOf(given.protocol, ethertype),
    ...portRange(given.port_range_min ?? null, given.port_range_max ?? null),
    remote_ip_prefix: prefix === undefined ? null : withLength(String(given.remote_ip_prefix), prefix),
    remote_group_id: given.remote_group_id ?? null,
    remote_address_group_id: given.remote_address_group_id ?? null,
  };
}

/** A prefix as it was given, and an address as one. */
function withLength(given: string, prefix: IpPrefix): string {
  return given.includes('/') ? given : formatCidr(prefix);
}

/** All ports are no restriction. */
function portRange(min: number | null, max: number | null): Pick<RuleMeaning, 'port_range_min' | 'port_range_max'> {
  const isWhole = min === 1 && max === PORT_MAX;
  return { port_range_min: isWhole ? null : min, port_range_max: isWhole ? null : max };
}

function protocolOf(given: string, ethertype: RuleMeaning['ethertype']): string {
  const protocol = given.toLowerCase();
  return ethertype === 'IPv6' && Object.hasOwn(ICMPV6, protocol) ? (ICMPV6[protocol] ?? protocol) : protocol;
}

/** Null: any protocol. A word for that is none of Neutron's. */
function numberOf({ protocol, ethertype }: RuleMeaning): number | null {
  const number = protocolNumber(protocol, ethertype);
  if (number !== undefined && (number !== null || protocol === null)) return number;
  throw new CableError(
    'SecurityGroupRuleInvalidProtocol',
    `Security group rule protocol ${protocol} not supported. Give a name as IANA has it, or a number from 0 to 255.`,
  );
}

function checkVersion({ ethertype, protocol }: RuleMeaning, number: number | null): void {
  if (ethertype !== 'IPv4' || number === null || !OF_IPV6.has(number)) return;
  throw new CableError(
    'SecurityGroupEthertypeConflictWithProtocol',
    `Invalid ethertype IPv4 for protocol ${protocol}.`,
  );
}

function checkRange({ port_range_min: min, port_range_max: max }: RuleMeaning, number: number | null): void {
  if (min === null && max === null) return;
  if (number === null) {
    throw new CableError(
      'SecurityGroupProtocolRequiredWithPorts',
      'Must also specify protocol if port range is given.',
    );
  }
  if (number === 1 || number === 58) checkIcmp(min, max);
  else if (WITH_PORTS.has(number)) checkPorts(min, max);
  else {
    throw new CableError(
      'SecurityGroupInvalidProtocolForPort',
      `Ports cannot be specified for protocol ${number}. Ports are only supported for DCCP, SCTP, TCP, UDP, UDPLITE.`,
    );
  }
}

function checkIcmp(type: number | null, code: number | null): void {
  for (const [field, attribute, value] of [
    ['type', 'port_range_min', type],
    ['code', 'port_range_max', code],
  ] as const) {
    if (value !== null && value > 255) {
      throw new CableError(
        'SecurityGroupInvalidIcmpValue',
        `Invalid value for ICMP ${field} (${attribute}) ${value}. It must be 0 to 255.`,
      );
    }
  }
  if (type === null) {
    throw new CableError(
      'SecurityGroupMissingIcmpType',
      `ICMP code (port-range-max) ${code} is provided but ICMP type (port-range-min) is missing.`,
    );
  }
}

function checkPorts(min: number | null, max: number | null): void {
  if (min === 0 || max === 0) throw new CableError('SecurityGroupInvalidPortValue', 'Invalid value for port 0');
  if (min === null || max === null || min > max) {
    throw new CableError(
      'SecurityGroupInvalidPortRange',
      'For TCP/UDP protocols, port_range_min must be <= port_range_max',
    );
  }
}

function checkRemotes(rule: RuleMeaning): void {
  const remotes = [rule.remote_ip_prefix, rule.remote_group_id, rule.remote_address_group_id];
  if (remotes.filter((one) => one !== null).length < 2) return;
  throw new CableError(
    'SecurityGroupMultipleRemoteEntites',
    'Only one of remote_ip_prefix or remote_group_id or remote_address_group_id may be provided.',
  );
}

function checkPrefix(rule: RuleMeaning): void {
  if (rule.remote_ip_prefix === null) return;
  const version = rule.remote_ip_prefix.includes(':') ? 'IPv6' : 'IPv4';
  if (version !== rule.ethertype) {
    throw new CableError(
      'SecurityGroupRuleParameterConflict',
      `Conflicting value ethertype ${rule.ethertype} for CIDR ${rule.remote_ip_prefix}`,
    );
  }
}

/** Of what the rule allows, for keys of the store. */
export function meaningHash(rule: RuleMeaning): string {
  return createHash('sha256').update(described(rule)).digest('hex').slice(0, 32);
}

const descriptions = new WeakMap<RuleMeaning, string>();

/** The same text for rules that allow the same; kept for as long as the rule. */
export function described(rule: RuleMeaning): string {
  const known = descriptions.get(rule);
  if (known !== undefined) return known;
  const text = describe(rule);
  descriptions.set(rule, text);
  return text;
}

/** By number, so that `tcp` and `6` are one. */
function describe(rule: RuleMeaning): string {
  const cidr = normalizedCidr(rule);
  const { port_range_min: min, port_range_max: max } = portRange(rule.port_range_min, rule.port_range_max);
  return [
    rule.direction,
    rule.ethertype,
    protocolNumber(rule.protocol, rule.ethertype),
    min,
    max,
    cidr === null || EVERYWHERE.has(cidr) ? null : cidr,
    rule.remote_group_id,
    // Rules of before there were address groups keep their keys.
    ...((rule.remote_address_group_id ?? null) === null ? [] : [rule.remote_address_group_id]),
  ].join(' ');
}
