import type { PolicyRemote, PolicyRule } from '@cable/model';
import { formatCidr, parseIpOrCidr } from '@cable/model';
import type { SecurityGroupRuleRow } from '../compiler-tables.ts';
import { type ComputedItem, defineKind, type Kind } from '../kind.ts';
import { protocolNumber } from '../protocol.ts';
import type { Reader } from '../reader.ts';

const EVERYWHERE: ReadonlySet<string> = new Set(['0.0.0.0/0', '::/0']);

/** The rules of a set of security groups. `id`: the groups' ids, sorted, joined by `+`; empty: no group, so nothing is allowed. It always exists. */
export const policyKind: Kind = defineKind({
  name: 'policy',
  header: (reader, id) => ({ value: { id, ...(isStateless(reader, id) ? { stateless: true } : {}) }, refs: [] }),
  items: {
    table: 'security_group_rule',
    index: 'security_group_id',
    sourceKeys: groupsOf,
    compute: (_reader, rule) => policyRule(rule),
  },
});

function groupsOf(id: string): readonly string[] {
  return id === '' ? [] : id.split('+');
}

/** All groups of a port are of one kind; should they not be, the one that allows less: answers are judged by what was before. */
function isStateless(reader: Reader, id: string): boolean {
  const groups = groupsOf(id);
  return groups.length > 0 && groups.every((group) => reader.get('security_group', group)?.stateful === false);
}

/** Empty for a rule whose protocol means nothing: rules only allow, so leaving one out is the safe side. */
function policyRule(rule: SecurityGroupRuleRow): readonly (ComputedItem & { readonly value: PolicyRule })[] {
  const protocol = protocolNumber(rule.protocol, rule.ethertype);
  if (protocol === undefined) return [];
  const value: PolicyRule = {
    id: rule.id,
    direction: rule.direction,
    ethertype: rule.ethertype,
    protocol,
    portMin: rule.port_range_min,
    portMax: rule.port_range_max,
    remote: policyRemote(rule),
  };
  return [{ key: rule.id, value, refs: value.remote.kind === 'group' ? [`group:${value.remote.groupId}`] : [] }];
}

function policyRemote(rule: SecurityGroupRuleRow): PolicyRemote {
  // A rule of before there were address groups says nothing of one.
  const groupId = rule.remote_group_id ?? rule.remote_address_group_id ?? null;
  if (groupId !== null) return { kind: 'group', groupId };
  if (rule.remote_ip_prefix === null || EVERYWHERE.has(rule.remote_ip_prefix)) return { kind: 'any' };
  const prefix = parseIpOrCidr(rule.remote_ip_prefix);
  return { kind: 'prefix', cidr: prefix === undefined ? rule.remote_ip_prefix : formatCidr(prefix) };
}
