import type { RuleDefault } from '../rules.ts';
import { ADMIN, ADMIN_OR_OWNER, ADMIN_OR_READER } from './words.ts';

/** Who may do what with quotas. */
export const QUOTA_RULES: readonly RuleDefault[] = [
  {
    name: 'get_quota',
    check: ADMIN_OR_READER,
    zed: ADMIN_OR_OWNER,
    description: 'See the quota of a project, and how much of it is used.',
  },
  { name: 'update_quota', check: ADMIN, description: 'Change the quota of a project.' },
  { name: 'delete_quota', check: ADMIN, description: 'Give a project the default quota.' },
];
