import type { RuleDefault } from '../rules.ts';
import { ADMIN, KUBERNETES } from './words.ts';

/** Who may do what with hosts. */
export const HOST_RULES: readonly RuleDefault[] = [
  {
    name: 'get_host',
    check: `${ADMIN} or ${KUBERNETES} and cluster:%(cluster)s`,
    description: 'See a host; a cluster’s controller its own.',
  },
  { name: 'delete_host', check: ADMIN, description: 'Delete a host.' },
  { name: 'set_gateway_host', check: ADMIN, description: 'Say whether gateways may be on a host.' },
  { name: 'rename_host', check: ADMIN, description: 'Give a host another name.' },
  { name: 'revoke_host', check: ADMIN, description: 'Refuse the certificates of a host.' },
];
