import { createHash } from 'node:crypto';
import { protocolNumber } from '@cable/compiler';
import type { IndexMaker } from '@cable/kit';
import {
  type AnyObject,
  CableError,
  formatCidr,
  type IpPrefix,
  parseIpOrCidr,
  type SecurityGroup,
  type SecurityGroupRule,
} from '@cable/model';
import { REPEATS, withoutHidden } from '../engine/hidden.ts';
import { type Claim, type Contribution, contribute, type Given } from '../engine/module.ts';
import { DEFAULT_GROUP_NAME } from './default-group.ts';
import { foreignMarks } from './sharing.ts';

/** What makes two rules of a group the same. */
type Meaning = Pick<
  SecurityGroupRule,
  | 'direction'
  | 'ethertype'
  | 'protocol'
  | 'port_range_min'
  | 'port_range_max'
  | 'remote_ip_prefix'
  | 'remote_group_id'
  | 'remote_address_group_id'
>;

/** Protocols that have ports: TCP, UDP, DCCP, SCTP, UDP-Lite. */
const WITH_PORTS: ReadonlySet<number> = new Set([6, 17, 33, 132, 136]);

const MEANING = 'meaning';

const PORT_MAX = 65535;

const EVERYWHERE: ReadonlySet<string> = new Set(['0.0.0.0/0', '::/0']);

/** Index of tables: a group may have thousands of rules, and each new one is looked for among them. */
export const RULE_MEANING_INDEX: Readonly<Record<string, IndexMaker<AnyObject>>> = {
  [MEANING]: (row) => {
    const rule = row as unknown as SecurityGroupRule;
    return [`${rule.security_group_id} ${described(rule)}`];
  },
};

/** Security group rules: validity, and no rule twice in a group. */
export const securityGroupRuleModule: Contribution<AnyObject> = contribute<SecurityGroupRule>({
  derive: ({ plan }, given) => {
    const meaning = meaningOf(given);
    checkProtocol(meaning);
    checkRemote(meaning);
    // A rule belongs to the project of its group.
    const group = plan.get('security_group', given.security_group_id ?? '');
    return { ...meaning, project_id: group?.project_id ?? given.project_id };
  },
  // Of two that an older version took for different ones the second has none.
  claims: (rule) => ((rule as AnyObject)[REPEATS] === true ? [] : [meaningClaim(rule)]),
  marks: (look, rule) => foreignMarks(look, 'address_group', [rule.remote_address_group_id], rule.project_id),
  present: (tables, rule) => computedOf(rule, tables.of('security_group').get(rule.security_group_id)),
});

/** Rules as their group shows them. */
export function rulesOfGroup(group: SecurityGroup): (rule: SecurityGroupRule) => unknown {
  return (rule) => ({ ...withoutHidden(rule), tenant_id: rule.project_id, ...computedOf(rule, group) });
}

function computedOf(rule: SecurityGroupRule, group: SecurityGroup | undefined): Readonly<Record<string, unknown>> {
  return { normalized_cidr: normalizedCidr(rule), belongs_to_default_sg: group?.name === DEFAULT_GROUP_NAME };
}

/** What a rule's prefix stands for; null: there is none. */
function normalizedCidr({ remote_ip_prefix: given }: Pick<SecurityGroupRule, 'remote_ip_prefix'>): string | null {
  const prefix = given === null ? undefined : parseIpOrCidr(given);
  return prefix === undefined ? null : formatCidr(prefix);
}

/** Protocols that there are behind IPv6 alone (Neutron's list): tunnels, extension headers, ICMPv6. */
const OF_IPV6: ReadonlySet<number> = new Set([41, 43, 44, 58, 59, 60]);

/** What Neutron stores for ICMP with IPv6, whatever it was called. */
const ICMPV6: Readonly<Record<string, string>> = { icmp: 'ipv6-icmp', icmpv6: 'ipv6-icmp', '1': '58' };

function meaningOf(given: Given<SecurityGroupRule>): Meaning {
  const prefix = given.remote_ip_prefix == null ? undefined : parseIpOrCidr(given.remote_ip_prefix);
  const ethertype = given.ethertype ?? 'IPv4';
  return {
    direction: given.direction ?? 'ingress',
    ethertype,
    protocol: protocolOf(given.protocol ?? '', ethertype),
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
function portRange(min: number | null, max: number | null): Pick<Meaning, 'port_range_min' | 'port_range_max'> {
  const isWhole = min === 1 && max === PORT_MAX;
  return { port_range_min: isWhole ? null : min, port_range_max: isWhole ? null : max };
}

function protocolOf(given: string, ethertype: Meaning['ethertype']): string | null {
  const protocol = given.toLowerCase();
  if (protocol === '' || protocol === 'any') return null;
  return ethertype === 'IPv6' && Object.hasOwn(ICMPV6, protocol) ? (ICMPV6[protocol] ?? protocol) : protocol;
}

function checkProtocol(rule: Meaning): void {
  const number = protocolNumber(rule.protocol, rule.ethertype);
  if (number === undefined) {
    throw new CableError(
      'SecurityGroupRuleInvalidProtocol',
      `Security group rule protocol ${rule.protocol} not supported. Give a name as IANA has it, or a number from 0 to 255.`,
    );
  }
  if (rule.ethertype === 'IPv4' && number !== null && OF_IPV6.has(number)) {
    throw new CableError(
      'SecurityGroupEthertypeConflictWithProtocol',
      `Invalid ethertype IPv4 for protocol ${rule.protocol}.`,
    );
  }
  const { port_range_min: min, port_range_max: max } = rule;
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
      `Invalid protocol ${rule.protocol} for port range, only supported for TCP, UDP, UDPLITE, SCTP and DCCP.`,
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
  if (min === null || max === null || min > max) {
    throw new CableError(
      'SecurityGroupInvalidPortRange',
      'For TCP/UDP protocols, port_range_min must be <= port_range_max',
    );
  }
  if (min === 0) throw new CableError('SecurityGroupInvalidPortValue', 'Invalid value for port 0');
}

function checkRemote(rule: Meaning): void {
  const remotes = [rule.remote_ip_prefix, rule.remote_group_id, rule.remote_address_group_id];
  if (remotes.filter((one) => one !== null).length > 1) {
    throw new CableError(
      'SecurityGroupMultipleRemoteEntites',
      'Only one of remote_ip_prefix or remote_group_id or remote_address_group_id may be provided.',
    );
  }
  if (rule.remote_ip_prefix === null) return;
  const version = rule.remote_ip_prefix.includes(':') ? 'IPv6' : 'IPv4';
  if (version !== rule.ethertype) {
    throw new CableError(
      'SecurityGroupRuleParameterConflict',
      `Conflicting value ethertype ${rule.ethertype} for CIDR ${rule.remote_ip_prefix}`,
    );
  }
}

/** No rule is twice in a group. */
function meaningClaim(rule: SecurityGroupRule): Claim {
  const group = rule.security_group_id;
  const wanted = described(rule);
  return {
    kind: 'rule',
    value: `${group}.${createHash('sha256').update(wanted).digest('hex').slice(0, 32)}`,
    holder: (look) => look.by('security_group_rule', MEANING, `${group} ${wanted}`)[0]?.id,
    taken: (holder) =>
      new CableError('SecurityGroupRuleExists', `Security group rule already exists. Rule id is ${holder}.`),
  };
}

const descriptions = new WeakMap<Meaning, string>();

function described(rule: Meaning): string {
  const known = descriptions.get(rule);
  if (known !== undefined) return known;
  const text = describe(rule);
  descriptions.set(rule, text);
  return text;
}

/** The same text for rules that allow the same; by number, so that `tcp` and `6` are one. */
function describe(rule: Meaning): string {
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
