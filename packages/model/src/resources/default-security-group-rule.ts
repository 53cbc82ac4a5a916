import type { Resource } from '../declaration.ts';
import { securityGroupRuleResource } from './security-group.ts';

const { direction, ethertype, protocol, port_range_min, port_range_max, remote_ip_prefix } =
  securityGroupRuleResource.attributes;

/** Stands for the group itself that a rule is made in. */
export const PARENT_GROUP = 'PARENT';

/** Neutron's default security group rule: one of the rules that new security groups begin with. */
export const defaultSecurityGroupRuleResource: Resource = {
  name: 'default_security_group_rule',
  plural: 'default_security_group_rules',
  label: 'DefaultSecurityGroupRule',
  prefix: '/v2.0',
  path: 'default-security-group-rules',
  description: 'A rule that new security groups begin with.',
  verbs: ['list', 'show', 'create', 'delete'],
  standard: false,
  stored: true,
  columns: ['id', 'direction', 'ethertype', 'protocol', 'used_in_default_sg', 'used_in_non_default_sg'],
  attributes: {
    id: { type: 'uuid', example: '1c6e8d52-7b3f-4a90-8e21-5d4c3b2a1f0e', description: 'The ID of the rule.' },
    description: {
      type: 'string',
      write: 'create',
      default: '',
      maxLength: 1024,
      sort: false,
      example: 'ping from everywhere',
      description: 'A text for people.',
    },
    direction,
    ethertype,
    protocol,
    port_range_min,
    port_range_max,
    remote_ip_prefix,
    remote_group_id: {
      type: 'string',
      nullable: true,
      write: 'create',
      default: null,
      maxLength: 36,
      maxBytes: 36,
      reference: { type: 'security_group', onDelete: 'restrict', unless: PARENT_GROUP },
      example: PARENT_GROUP,
      description: 'The other side’s security group; PARENT: the new group itself.',
    },
    remote_address_group_id: {
      type: 'uuid',
      nullable: true,
      write: 'create',
      default: null,
      reference: { type: 'address_group', onDelete: 'restrict' },
      example: '6a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d',
      description: 'The other side’s address group.',
    },
    used_in_default_sg: {
      type: 'boolean',
      write: 'create',
      default: false,
      sort: false,
      description: 'True: the default group of a project begins with the rule.',
    },
    used_in_non_default_sg: {
      type: 'boolean',
      write: 'create',
      default: true,
      sort: false,
      description: 'True: every other group begins with the rule.',
    },
  },
};
