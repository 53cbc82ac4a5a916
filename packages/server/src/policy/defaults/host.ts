import type { RuleDefault } from '../rules.ts';

/** Who may do what with hosts. */
export const HOST_RULES: readonly RuleDefault[] = [
  { name: 'get_host', check: 'rule:admin_only', description: 'See a host.' },
  { name: 'delete_host', check: 'rule:admin_only', description: 'Delete a host.' },
  { name: 'set_gateway_host', check: 'rule:admin_only', description: 'Say whether gateways may be on a host.' },
  { name: 'rename_host', check: 'rule:admin_only', description: 'Give a host another name.' },
];
