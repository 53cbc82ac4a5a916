import type { RuleDefault } from '../rules.ts';

/** Who may do what with subnets. */
export const SUBNET_RULES: readonly RuleDefault[] = [
  { name: 'create_subnet', check: 'rule:admin_or_network_owner', description: 'Create a subnet in a network.' },
  { name: 'get_subnet', check: 'rule:admin_or_owner or rule:shared', description: 'See a subnet.' },
  { name: 'update_subnet', check: 'rule:admin_or_owner', description: 'Change a subnet.' },
  { name: 'delete_subnet', check: 'rule:admin_or_owner', description: 'Delete a subnet.' },
];
