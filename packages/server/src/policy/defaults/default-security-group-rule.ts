import type { RuleDefault } from '../rules.ts';
import { ADMIN, ANYBODY } from './words.ts';

/** Who may do what with the rules that new security groups begin with. They are of no project. */
export const DEFAULT_SECURITY_GROUP_RULE_RULES: readonly RuleDefault[] = [
  {
    name: 'create_default_security_group_rule',
    check: ADMIN,
    description: 'Create a rule that new security groups begin with.',
  },
  {
    name: 'get_default_security_group_rule',
    check: 'role:reader',
    zed: ANYBODY,
    description: 'See the rules that new security groups begin with.',
  },
  {
    name: 'delete_default_security_group_rule',
    check: ADMIN,
    description: 'Delete a rule that new security groups begin with.',
  },
];
