import type { RuleDefault } from '../rules.ts';
import { ADMIN } from './words.ts';

/** Who may do what with hosts. */
export const HOST_RULES: readonly RuleDefault[] = [
  { name: 'get_host', check: ADMIN, description: 'See a host.' },
  { name: 'delete_host', check: ADMIN, description: 'Delete a host.' },
  { name: 'set_gateway_host', check: ADMIN, description: 'Say whether gateways may be on a host.' },
  { name: 'rename_host', check: ADMIN, description: 'Give a host another name.' },
  { name: 'revoke_host', check: ADMIN, description: 'Refuse the certificates of a host.' },
];
