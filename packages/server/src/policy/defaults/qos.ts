import type { RuleDefault } from '../rules.ts';

const RULE_TYPES = [
  'qos_bandwidth_limit_rule',
  'qos_packet_rate_limit_rule',
  'qos_dscp_marking_rule',
  'qos_minimum_bandwidth_rule',
];

/** Who may do what with QoS policies and their rules: as in Neutron, an administrator makes them, and who has them sees them. */
export const QOS_RULES: readonly RuleDefault[] = [
  { name: 'create_qos_policy', check: 'rule:admin_only', description: 'Create a QoS policy.' },
  {
    name: 'get_qos_policy',
    check: 'rule:admin_or_owner or True:%(shared)s',
    description: 'See a QoS policy.',
  },
  { name: 'update_qos_policy', check: 'rule:admin_only', description: 'Change a QoS policy.' },
  { name: 'delete_qos_policy', check: 'rule:admin_only', description: 'Delete a QoS policy.' },
  ...RULE_TYPES.flatMap((type) => [
    { name: `create_${type}`, check: 'rule:admin_only', description: 'Create a rule of a QoS policy.' },
    {
      name: `get_${type}`,
      check: 'rule:admin_or_owner or True:%(qos_policy:shared)s',
      description: 'See a rule of a QoS policy.',
    },
    { name: `update_${type}`, check: 'rule:admin_only', description: 'Change a rule of a QoS policy.' },
    { name: `delete_${type}`, check: 'rule:admin_only', description: 'Delete a rule of a QoS policy.' },
  ]),
  { name: 'get_qos_rule_type', check: 'rule:regular_user', description: 'See the kinds of rules that there are.' },
  {
    name: 'get_qos_rule_type:drivers',
    check: 'rule:admin_only',
    description: 'See what rules of a kind may say.',
  },
];
