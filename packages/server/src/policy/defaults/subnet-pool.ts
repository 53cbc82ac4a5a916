import type { RuleDefault } from '../rules.ts';
import { ADMIN, ADMIN_OR_MEMBER, ADMIN_OR_OWNER, ADMIN_OR_READER, ANYBODY } from './words.ts';

const MEMBERS = { check: ADMIN_OR_MEMBER, zed: ADMIN_OR_OWNER } as const;

/** Who may do what with subnet pools. */
export const SUBNET_POOL_RULES: readonly RuleDefault[] = [
  {
    name: 'shared_subnetpools',
    check: 'field:subnetpools:shared=True',
    description: 'The subnet pool is shared with every project.',
  },
  { name: 'create_subnetpool', check: ADMIN_OR_MEMBER, zed: ANYBODY, description: 'Create a subnet pool.' },
  {
    name: 'create_subnetpool:shared',
    check: ADMIN,
    description: 'Share a new subnet pool with every project.',
  },
  {
    name: 'create_subnetpool:is_default',
    check: ADMIN,
    description: 'Make a new subnet pool the default.',
  },
  {
    name: 'get_subnetpool',
    check: `${ADMIN_OR_READER} or rule:shared_subnetpools`,
    zed: `${ADMIN_OR_OWNER} or rule:shared_subnetpools`,
    description: 'See a subnet pool.',
  },
  { name: 'update_subnetpool', ...MEMBERS, description: 'Change a subnet pool.' },
  {
    name: 'update_subnetpool:is_default',
    check: ADMIN,
    description: 'Make a subnet pool the default, or no longer.',
  },
  { name: 'delete_subnetpool', ...MEMBERS, description: 'Delete a subnet pool.' },
  { name: 'add_prefixes', ...MEMBERS, description: 'Add prefixes to a subnet pool.' },
  { name: 'remove_prefixes', ...MEMBERS, description: 'Remove prefixes from a subnet pool.' },
  {
    name: 'onboard_network_subnets',
    ...MEMBERS,
    description: 'Make the subnets of a network subnets of a pool.',
  },
];
