import type { RuleDefault } from '../rules.ts';

/** Who may do what with trunks. Whoever makes a port a part of one must be allowed to change the port, too. */
export const TRUNK_RULES: readonly RuleDefault[] = [
  { name: 'create_trunk', check: 'rule:regular_user', description: 'Create a trunk.' },
  { name: 'get_trunk', check: 'rule:admin_or_owner', description: 'See a trunk.' },
  { name: 'update_trunk', check: 'rule:admin_or_owner', description: 'Change a trunk.' },
  { name: 'delete_trunk', check: 'rule:admin_or_owner', description: 'Delete a trunk.' },
  { name: 'get_subports_trunk', check: 'rule:admin_or_owner', description: 'See the sub-ports of a trunk.' },
  { name: 'add_subports_trunk', check: 'rule:admin_or_owner', description: 'Add sub-ports to a trunk.' },
  { name: 'remove_subports_trunk', check: 'rule:admin_or_owner', description: 'Remove sub-ports from a trunk.' },
];
