import type { RuleDefault } from '../rules.ts';
import { ADMIN, ADMIN_OR_MEMBER, ADMIN_OR_OWNER, ADMIN_OR_READER, ANYBODY } from './words.ts';

const MEMBERS = { check: ADMIN_OR_MEMBER, zed: ADMIN_OR_OWNER } as const;

/** Who may do what with address scopes. */
export const ADDRESS_SCOPE_RULES: readonly RuleDefault[] = [
  {
    name: 'shared_address_scopes',
    check: 'field:address_scopes:shared=True',
    description: 'The address scope is shared with every project.',
  },
  { name: 'create_address_scope', check: ADMIN_OR_MEMBER, zed: ANYBODY, description: 'Create an address scope.' },
  { name: 'create_address_scope:shared', check: ADMIN, description: 'Share a new address scope with every project.' },
  {
    name: 'get_address_scope',
    check: `${ADMIN_OR_READER} or rule:shared_address_scopes`,
    zed: `${ADMIN_OR_OWNER} or rule:shared_address_scopes`,
    description: 'See an address scope.',
  },
  { name: 'update_address_scope', ...MEMBERS, description: 'Change an address scope.' },
  { name: 'update_address_scope:shared', check: ADMIN, description: 'Share an address scope with every project.' },
  { name: 'delete_address_scope', ...MEMBERS, description: 'Delete an address scope.' },
];
