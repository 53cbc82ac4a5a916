import type { PolicyRemote, PolicyRule, PolicySlice } from '@cable/model';
import { formatCidr, parseIpOrCidr } from '@cable/model';
import { protocolNumber } from './protocol.ts';
import type { CompilerTables, SecurityGroupRuleRow } from './tables.ts';
import { sortedById } from './tables.ts';

type PolicyTables = Pick<CompilerTables, 'security_group_rule'>;

const EVERYWHERE: ReadonlySet<string> = new Set(['0.0.0.0/0', '::/0']);

/** The rules of a set of security groups. `id`: the groups' ids, sorted, joined by `+`; empty: no group, so nothing is allowed. */
export function policySlice(tables: PolicyTables, id: string): PolicySlice {
  return { kind: 'policy', id, rules: sortedById(policyRules(tables, id)).flatMap(policyRule) };
}

/** Ids of the groups that the policy's rules name as a remote. */
export function policyRemoteGroups(tables: PolicyTables, id: string): Set<string> {
  const groups = new Set<string>();
  for (const rule of policyRules(tables, id)) {
    if (rule.remote_group_id !== null) groups.add(rule.remote_group_id);
  }
  return groups;
}

function policyRules(tables: PolicyTables, id: string): SecurityGroupRuleRow[] {
  const groups = id === '' ? [] : id.split('+');
  return groups.flatMap((group) => [...tables.security_group_rule.by('security_group_id', group)]);
}

/** Empty for a rule whose protocol means nothing: rules only allow, so leaving one out is the safe side. */
function policyRule(rule: SecurityGroupRuleRow): PolicyRule[] {
  const protocol = protocolNumber(rule.protocol, rule.ethertype);
  if (protocol === undefined) return [];
  return [
    {
      id: rule.id,
      direction: rule.direction,
      ethertype: rule.ethertype,
      protocol,
      portMin: rule.port_range_min,
      portMax: rule.port_range_max,
      remote: policyRemote(rule),
    },
  ];
}

function policyRemote(rule: SecurityGroupRuleRow): PolicyRemote {
  if (rule.remote_group_id !== null) return { kind: 'group', groupId: rule.remote_group_id };
  if (rule.remote_ip_prefix === null || EVERYWHERE.has(rule.remote_ip_prefix)) return { kind: 'any' };
  const prefix = parseIpOrCidr(rule.remote_ip_prefix);
  return { kind: 'prefix', cidr: prefix === undefined ? rule.remote_ip_prefix : formatCidr(prefix) };
}
