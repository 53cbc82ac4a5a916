import type { RuleDefault } from '../rules.ts';
import { ADMIN, ADMIN_OR_OWNER } from './words.ts';

/** Who may do what with rules of security groups. */
export const SECURITY_GROUP_RULE_RULES: readonly RuleDefault[] = [
  {
    name: 'create_security_group_rule',
    check: `${ADMIN} or role:member and rule:sg_owner`,
    zed: 'rule:context_is_admin or rule:sg_owner',
    description: 'Create a rule in a security group.',
  },
  {
    name: 'get_security_group_rule',
    check: `${ADMIN} or role:reader and rule:sg_owner`,
    zed: 'rule:admin_owner_or_sg_owner',
    description: 'See a rule of a security group.',
  },
  {
    name: 'delete_security_group_rule',
    check: `${ADMIN} or role:member and rule:sg_owner`,
    zed: ADMIN_OR_OWNER,
    description: 'Delete a rule of a security group.',
  },
];
