import type { RuleDefault } from '../rules.ts';

/** Who may do what with quotas. */
export const QUOTA_RULES: readonly RuleDefault[] = [
  {
    name: 'get_quota',
    check: 'rule:admin_or_owner',
    description: 'See the quota of a project, and how much of it is used.',
  },
  { name: 'update_quota', check: 'rule:admin_only', description: 'Change the quota of a project.' },
  { name: 'delete_quota', check: 'rule:admin_only', description: 'Give a project the default quota.' },
];
