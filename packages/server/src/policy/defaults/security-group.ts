import type { RuleDefault } from '../rules.ts';

/** Who may do what with security groups. */
export const SECURITY_GROUP_RULES: readonly RuleDefault[] = [
  { name: 'create_security_group', check: 'rule:regular_user', description: 'Create a security group.' },
  { name: 'get_security_group', check: 'rule:admin_or_owner', description: 'See a security group.' },
  { name: 'update_security_group', check: 'rule:admin_or_owner', description: 'Change a security group.' },
  { name: 'delete_security_group', check: 'rule:admin_or_owner', description: 'Delete a security group.' },
];
