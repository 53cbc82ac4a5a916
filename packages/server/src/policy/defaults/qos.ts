import type { RuleDefault } from '../rules.ts';
import {
  ADMIN,
  ADMIN_OR_MANAGER,
  ADMIN_OR_OWNER,
  ADMIN_OR_PARENT_MANAGER,
  ADMIN_OR_PARENT_READER,
  ADMIN_OR_READER,
  ANYBODY,
  KUBERNETES,
  OF_CLUSTER,
} from './words.ts';

const RULE_TYPES = [
  'qos_bandwidth_limit_rule',
  'qos_packet_rate_limit_rule',
  'qos_dscp_marking_rule',
  'qos_minimum_bandwidth_rule',
  'qos_minimum_packet_rate_rule',
];

const CONTROLLER = `${KUBERNETES} and project_id:%(project_id)s`;
const PARENT_CONTROLLER = `${KUBERNETES} and rule:ext_parent_owner`;

/** A manager makes those of his project, and so does a cluster's controller; in `zed` administrators make all others. */
const MANAGERS = { check: `${ADMIN_OR_MANAGER} or ${CONTROLLER}`, zed: `${ADMIN} or ${CONTROLLER}` } as const;
const PARENT_MANAGERS = {
  check: `${ADMIN_OR_PARENT_MANAGER} or ${PARENT_CONTROLLER}`,
  zed: `${ADMIN} or ${PARENT_CONTROLLER}`,
} as const;

/** Who may do what with QoS policies and their rules. */
export const QOS_RULES: readonly RuleDefault[] = [
  { name: 'create_qos_policy', ...MANAGERS, description: 'Create a QoS policy.' },
  {
    name: 'get_qos_policy',
    check: `${ADMIN_OR_READER} or ${OF_CLUSTER} or True:%(shared)s`,
    zed: `${ADMIN_OR_OWNER} or ${OF_CLUSTER} or True:%(shared)s`,
    description: 'See a QoS policy.',
  },
  { name: 'update_qos_policy', ...MANAGERS, description: 'Change a QoS policy.' },
  { name: 'delete_qos_policy', ...MANAGERS, description: 'Delete a QoS policy.' },
  // Neutron 21 asks nobody who sees one.
  ...['create', 'update', 'delete'].map((verb) => ({
    name: `${verb}_policies_tags`,
    check: 'rule:update_qos_policy',
    zed: 'rule:get_qos_policy',
    description: 'Change the tags of a QoS policy.',
  })),
  ...RULE_TYPES.flatMap((type) => [
    { name: `create_${type}`, ...PARENT_MANAGERS, description: 'Create a rule of a QoS policy.' },
    {
      name: `get_${type}`,
      check: `${ADMIN_OR_PARENT_READER} or True:%(qos_policy:shared)s`,
      zed: `${ADMIN_OR_OWNER} or True:%(qos_policy:shared)s`,
      description: 'See a rule of a QoS policy.',
    },
    { name: `update_${type}`, ...PARENT_MANAGERS, description: 'Change a rule of a QoS policy.' },
    { name: `delete_${type}`, ...PARENT_MANAGERS, description: 'Delete a rule of a QoS policy.' },
  ]),
  {
    name: 'get_qos_rule_type',
    check: 'role:reader',
    zed: ANYBODY,
    description: 'See the kinds of rules that there are.',
  },
  {
    name: 'get_qos_rule_type:drivers',
    check: ADMIN,
    description: 'See what rules of a kind may say.',
  },
];
