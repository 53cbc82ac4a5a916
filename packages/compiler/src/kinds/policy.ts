import type { PolicyRemote, PolicyRule } from '@cable/model';
import { formatCidr, parseIpOrCidr } from '@cable/model';
import type { SecurityGroupRuleRow } from '../compiler-tables.ts';
import { type ComputedItem, defineKind, type Kind } from '../kind.ts';
import { protocolNumber } from '../protocol.ts';

const EVERYWHERE: ReadonlySet<string> = new Set(['0.0.0.0/0', '::/0']);

/** The rules of a set of security groups. `id`: the groups' ids, sorted, joined by `+`; empty: no group, so nothing is allowed. It always exists. */
export const policyKind: Kind = defineKind({
  name: 'policy',
  header: (_reader, id) => ({ value: { id }, refs: [] }),
  items: {
    table: 'security_group_rule',
    index: 'security_group_id',
    sourceKeys: (id) => (id === '' ? [] : id.split('+')),
    compute: (_reader, rule) => policyRule(rule),
  },
});

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
  return [{ key: rule.id, value, refs: rule.remote_group_id === null ? [] : [`group:${rule.remote_group_id}`] }];
}

function policyRemote(rule: SecurityGroupRuleRow): PolicyRemote {
  if (rule.remote_group_id !== null) return { kind: 'group', groupId: rule.remote_group_id };
  if (rule.remote_ip_prefix === null || EVERYWHERE.has(rule.remote_ip_prefix)) return { kind: 'any' };
  const prefix = parseIpOrCidr(rule.remote_ip_prefix);
  return { kind: 'prefix', cidr: prefix === undefined ? rule.remote_ip_prefix : formatCidr(prefix) };
}
