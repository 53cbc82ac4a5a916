import type { RuleDefault } from '../rules.ts';
import { ADMIN_OR_MEMBER, ADMIN_OR_OWNER, ADMIN_OR_READER } from './words.ts';

/** Who may have a network made. */
export const AUTO_ALLOCATED_TOPOLOGY_RULES: readonly RuleDefault[] = [
  {
    name: 'get_auto_allocated_topology',
    check: ADMIN_OR_READER,
    zed: ADMIN_OR_OWNER,
    description: 'Have a project’s network, which is made if it has none.',
  },
  {
    name: 'delete_auto_allocated_topology',
    check: ADMIN_OR_MEMBER,
    zed: ADMIN_OR_OWNER,
    description: 'Delete the network that was made for a project.',
  },
];
