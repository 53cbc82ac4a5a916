/** Names of rules, in Neutron's words and in ours. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nameOfNeutron, neutronNameOf } from './neutron-names.ts';

test('a rule is called by Neutron’s name, and back, with what stands behind it', () => {
  for (const [neutrons, ours] of [
    ['activate', 'activate_port_binding'],
    ['get_rule_type', 'get_qos_rule_type'],
    ['get_subports', 'get_subports_trunk'],
    ['create_policy', 'create_qos_policy'],
    ['update_policy:shared', 'update_qos_policy:shared'],
    ['delete_policy_bandwidth_limit_rule', 'delete_qos_bandwidth_limit_rule'],
    ['get_policy_dscp_marking_rule:dscp_mark', 'get_qos_dscp_marking_rule:dscp_mark'],
    ['get_policies_tags', 'get_qos_policies_tags'],
    ['create_floatingip_port_forwarding', 'create_port_forwarding'],
    ['get_floatingip_port_forwarding:protocol', 'get_port_forwarding:protocol'],
    ['get_network', 'get_network'],
    ['create_policy_x', 'create_policy_x'],
    ['constructor', 'constructor'],
  ] as const) {
    assert.equal(nameOfNeutron(neutrons), ours);
    assert.equal(neutronNameOf(ours), neutrons);
  }
});
