import type { RuleDefault } from '../rules.ts';

/** Who may do what with subnet pools. */
export const SUBNET_POOL_RULES: readonly RuleDefault[] = [
  {
    name: 'shared_subnetpools',
    check: 'field:subnetpools:shared=True',
    description: 'The subnet pool is shared with every project.',
  },
  { name: 'create_subnetpool', check: 'rule:regular_user', description: 'Create a subnet pool.' },
  {
    name: 'create_subnetpool:shared',
    check: 'rule:admin_only',
    description: 'Share a new subnet pool with every project.',
  },
  {
    name: 'create_subnetpool:is_default',
    check: 'rule:admin_only',
    description: 'Make a new subnet pool the default.',
  },
  {
    name: 'get_subnetpool',
    check: 'rule:admin_or_owner or rule:shared_subnetpools',
    description: 'See a subnet pool.',
  },
  { name: 'update_subnetpool', check: 'rule:admin_or_owner', description: 'Change a subnet pool.' },
  {
    name: 'update_subnetpool:is_default',
    check: 'rule:admin_only',
    description: 'Make a subnet pool the default, or no longer.',
  },
  { name: 'delete_subnetpool', check: 'rule:admin_or_owner', description: 'Delete a subnet pool.' },
  { name: 'add_prefixes', check: 'rule:admin_or_owner', description: 'Add prefixes to a subnet pool.' },
  { name: 'remove_prefixes', check: 'rule:admin_or_owner', description: 'Remove prefixes from a subnet pool.' },
  {
    name: 'onboard_network_subnets',
    check: 'rule:admin_or_owner',
    description: 'Make the subnets of a network subnets of a pool.',
  },
];
