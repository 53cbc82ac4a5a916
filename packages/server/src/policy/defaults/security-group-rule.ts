import type { RuleDefault } from '../rules.ts';

/** Who may do what with rules of security groups. */
export const SECURITY_GROUP_RULE_RULES: readonly RuleDefault[] = [
  {
    name: 'create_security_group_rule',
    check: 'rule:context_is_admin or rule:sg_owner',
    description: 'Create a rule in a security group.',
  },
  { name: 'get_security_group_rule', check: 'rule:admin_or_owner', description: 'See a rule of a security group.' },
  {
    name: 'delete_security_group_rule',
    check: 'rule:admin_or_owner',
    description: 'Delete a rule of a security group.',
  },
];
