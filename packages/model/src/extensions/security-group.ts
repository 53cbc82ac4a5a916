import type { Resource } from '../declaration.ts';
import { securityGroupResource, securityGroupRuleResource } from '../resources/security-group.ts';

/** Security groups, their rules, and the groups of a port. */
export const securityGroupExtension = {
  alias: 'security-group',
  name: 'security-group',
  description: 'Groups of rules that say what ports may send and receive.',
  updated: '2026-01-01T00:00:00-00:00',
  resources: [securityGroupResource, securityGroupRuleResource] as readonly Resource[],
  attributes: {
    port: {
      security_groups: {
        type: 'list',
        maxLength: 32,
        items: { type: 'uuid', reference: { type: 'security_group', onDelete: 'restrict' } },
        write: 'both',
        filter: false,
        derive: 'default-security-group',
        nullAsEmpty: true,
        example: ['5e7b1d90-2c3a-4b8e-a6f4-9d0c8b7a6e5f'],
        description: 'Security groups; by default the project’s group named default.',
      },
    },
  },
} as const;

/** Lists of ports by security group. */
export const portSecurityGroupsFilteringExtension = {
  alias: 'port-security-groups-filtering',
  name: 'Port filtering on security groups',
  description: 'Lists of ports can be filtered by security group.',
  updated: '2026-01-01T00:00:00-00:00',
  requires: ['security-group'],
  changes: { port: { security_groups: { filter: true } } },
} as const;
