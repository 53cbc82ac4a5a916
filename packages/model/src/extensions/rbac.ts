import type { Resource } from '../declaration.ts';
import { rbacPolicyResource } from '../resources/rbac-policy.ts';

/** Objects that other projects may use. */
export const rbacPoliciesExtension = {
  alias: 'rbac-policies',
  name: 'RBAC Policies',
  description: 'Networks and QoS policies that one project, or every one, may use; networks that lead outside for one.',
  updated: '2026-11-28T00:00:00-00:00',
  resources: [rbacPolicyResource] as readonly Resource[],
} as const;

/** Security groups among them. */
export const rbacSecurityGroupsExtension = {
  alias: 'rbac-security-groups',
  name: 'Add security_group type to network RBAC',
  description: 'Security groups that other projects’ ports and rules may have.',
  updated: '2026-11-28T00:00:00-00:00',
  requires: ['rbac-policies', 'security-group'],
} as const;

/** `shared` of security groups. */
export const securityGroupsSharedFilteringExtension = {
  alias: 'security-groups-shared-filtering',
  name: 'Security group filtering on the shared field',
  description: 'Shows which security groups are shared with the caller, and lists them.',
  updated: '2026-11-28T00:00:00-00:00',
  requires: ['rbac-security-groups'],
  attributes: {
    security_group: {
      shared: {
        type: 'boolean',
        grantedBy: 'shared_with',
        sort: false,
        description: 'True: the group is shared with the caller’s project, or with every one.',
      },
    },
  },
} as const;

/** Subnet pools among them. */
export const rbacSubnetpoolExtension = {
  alias: 'rbac-subnetpool',
  name: 'Add subnetpool type to RBAC',
  description: 'Subnet pools that other projects take subnets from.',
  updated: '2026-11-28T00:00:00-00:00',
  requires: ['rbac-policies', 'subnet_allocation'],
} as const;

/** Address scopes among them. */
export const rbacAddressScopeExtension = {
  alias: 'rbac-address-scope',
  name: 'Add address_scope type to RBAC',
  description: 'Address scopes that other projects have their pools in.',
  updated: '2026-11-28T00:00:00-00:00',
  requires: ['rbac-policies', 'address-scope'],
} as const;

/** Address groups among them. */
export const rbacAddressGroupExtension = {
  alias: 'rbac-address-group',
  name: 'Add address_group type to RBAC',
  description: 'Address groups that other projects’ rules may name.',
  updated: '2026-11-28T00:00:00-00:00',
  requires: ['rbac-policies', 'address-group'],
} as const;
