import type { ResourceObject, ResourceView } from '../declaration.ts';

/** Neutron's security group: a set of rules that ports share. */
export const securityGroupResource = {
  name: 'security_group',
  plural: 'security_groups',
  label: 'SecurityGroup',
  prefix: '/v2.0',
  path: 'security-groups',
  description: 'A set of rules that says what the ports in it may send and receive.',
  verbs: ['list', 'show', 'create', 'update', 'delete'],
  standard: true,
  stored: true,
  extension: 'security-group',
  attributes: {
    name: {
      type: 'string',
      write: 'both',
      default: '',
      maxLength: 255,
      indexed: true,
      description: 'The name; default is taken by the project’s own group.',
    },
    security_group_rules: {
      type: 'list',
      items: { type: 'dict' },
      computed: true,
      filter: false,
      description: 'The rules.',
    },
  },
} as const;

/** Neutron's security group rule: allows one kind of traffic. */
export const securityGroupRuleResource = {
  name: 'security_group_rule',
  plural: 'security_group_rules',
  label: 'SecurityGroupRule',
  prefix: '/v2.0',
  path: 'security-group-rules',
  description: 'Allows traffic in one direction.',
  verbs: ['list', 'show', 'create', 'delete'],
  standard: true,
  stored: true,
  extension: 'security-group',
  attributes: {
    security_group_id: {
      type: 'uuid',
      write: 'create',
      required: true,
      reference: { type: 'security_group', onDelete: 'cascade' },
      description: 'The security group.',
    },
    direction: {
      type: 'string',
      values: ['ingress', 'egress'],
      write: 'create',
      required: true,
      description: 'As the port sees it.',
    },
    ethertype: {
      type: 'string',
      values: ['IPv4', 'IPv6'],
      write: 'create',
      default: 'IPv4',
      description: 'The version of IP.',
    },
    protocol: {
      type: 'string',
      orInteger: true,
      nullable: true,
      write: 'create',
      default: null,
      maxLength: 40,
      description: 'Name or IANA number; null: any.',
    },
    port_range_min: {
      type: 'integer',
      nullable: true,
      write: 'create',
      default: null,
      minimum: 0,
      maximum: 65535,
      description: 'First port, or the ICMP type.',
    },
    port_range_max: {
      type: 'integer',
      nullable: true,
      write: 'create',
      default: null,
      minimum: 0,
      maximum: 65535,
      description: 'Last port, or the ICMP code.',
    },
    remote_ip_prefix: {
      type: 'ip-or-cidr',
      nullable: true,
      write: 'create',
      default: null,
      description: 'The other side’s prefix.',
    },
    remote_group_id: {
      type: 'uuid',
      nullable: true,
      write: 'create',
      default: null,
      reference: { type: 'security_group', onDelete: 'cascade' },
      description: 'The other side’s security group.',
    },
  },
} as const;

/** As stored. */
export type SecurityGroup = ResourceObject<typeof securityGroupResource>;
/** As shown to an admin. */
export type SecurityGroupView = ResourceView<typeof securityGroupResource>;
/** As stored. */
export type SecurityGroupRule = ResourceObject<typeof securityGroupRuleResource>;
