import type { RuleDefault } from '../rules.ts';

/** Who may do what with agents. */
export const AGENT_RULES: readonly RuleDefault[] = [
  { name: 'get_agent', check: 'rule:admin_only', description: 'See an agent.' },
];
