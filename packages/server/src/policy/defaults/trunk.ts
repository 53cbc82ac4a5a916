import type { RuleDefault } from '../rules.ts';
import { ADMIN_OR_MEMBER, ADMIN_OR_OWNER, ADMIN_OR_READER, ANYBODY } from './words.ts';

const MEMBERS = { check: ADMIN_OR_MEMBER, zed: ADMIN_OR_OWNER } as const;
const READERS = { check: ADMIN_OR_READER, zed: ADMIN_OR_OWNER } as const;

/** Who may do what with trunks. Whoever makes a port a part of one must be allowed to change the port, too. */
export const TRUNK_RULES: readonly RuleDefault[] = [
  { name: 'create_trunk', check: ADMIN_OR_MEMBER, zed: ANYBODY, description: 'Create a trunk.' },
  { name: 'get_trunk', ...READERS, description: 'See a trunk.' },
  { name: 'update_trunk', ...MEMBERS, description: 'Change a trunk.' },
  { name: 'delete_trunk', ...MEMBERS, description: 'Delete a trunk.' },
  { name: 'get_subports_trunk', ...READERS, description: 'See the sub-ports of a trunk.' },
  { name: 'add_subports_trunk', ...MEMBERS, description: 'Add sub-ports to a trunk.' },
  { name: 'remove_subports_trunk', ...MEMBERS, description: 'Remove sub-ports from a trunk.' },
];
