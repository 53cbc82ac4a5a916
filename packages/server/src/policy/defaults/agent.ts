import type { RuleDefault } from '../rules.ts';
import { ADMIN } from './words.ts';

/** Who may do what with agents. */
export const AGENT_RULES: readonly RuleDefault[] = [{ name: 'get_agent', check: ADMIN, description: 'See an agent.' }];
