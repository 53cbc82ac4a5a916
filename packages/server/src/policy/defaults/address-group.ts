import type { RuleDefault } from '../rules.ts';
import { ADMIN_OR_MEMBER, ADMIN_OR_OWNER, ADMIN_OR_READER, ANYBODY } from './words.ts';

const MEMBERS = { check: ADMIN_OR_MEMBER, zed: ADMIN_OR_OWNER } as const;

/** Who may do what with address groups. */
export const ADDRESS_GROUP_RULES: readonly RuleDefault[] = [
  {
    name: 'shared_address_groups',
    check: 'field:address_groups:shared=True',
    description: 'The address group is shared with the caller’s project, or with every one.',
  },
  { name: 'create_address_group', check: ADMIN_OR_MEMBER, zed: ANYBODY, description: 'Create an address group.' },
  {
    name: 'get_address_group',
    check: `${ADMIN_OR_READER} or rule:shared_address_groups`,
    zed: `${ADMIN_OR_OWNER} or rule:shared_address_groups`,
    description: 'See an address group.',
  },
  { name: 'update_address_group', ...MEMBERS, description: 'Change an address group, or what is in it.' },
  { name: 'delete_address_group', ...MEMBERS, description: 'Delete an address group.' },
];
