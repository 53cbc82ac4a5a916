import type { RuleDefault } from '../rules.ts';
import { ADMIN } from './words.ts';

/** Who may do what with agents. */
export const AGENT_RULES: readonly RuleDefault[] = [
  { name: 'get_agent', check: ADMIN, description: 'See an agent.' },
  { name: 'update_agent', check: ADMIN, description: 'Set an agent up or down, or describe it.' },
  { name: 'get_dhcp-agents', check: ADMIN, description: 'See which agents DHCP of a network was scheduled to.' },
  { name: 'get_l3-agents', check: ADMIN, description: 'See which agents a router was scheduled to.' },
  { name: 'delete_agent', check: ADMIN, description: 'Delete an agent, which is its host.' },
];
