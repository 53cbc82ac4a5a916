import type { RuleDefault } from '../rules.ts';
import { ADMIN } from './words.ts';

/** Who may do what with logs: they are written on the operator's hosts. */
export const LOG_RULES: readonly RuleDefault[] = [
  { name: 'get_loggable_resource', check: ADMIN, description: 'See what can be logged.' },
  { name: 'create_log', check: ADMIN, description: 'Create a log.' },
  { name: 'get_log', check: ADMIN, description: 'See a log.' },
  { name: 'update_log', check: ADMIN, description: 'Change a log.' },
  { name: 'delete_log', check: ADMIN, description: 'Delete a log.' },
];
