import type { RuleDefault } from '../rules.ts';
import { ADMIN_OR_MEMBER, ADMIN_OR_OWNER, ADMIN_OR_READER, ANYBODY, OF_CLUSTER } from './words.ts';

const MEMBERS = { check: ADMIN_OR_MEMBER, zed: ADMIN_OR_OWNER } as const;

/** Who may do what with security groups. */
export const SECURITY_GROUP_RULES: readonly RuleDefault[] = [
  {
    name: 'admin_or_sg_owner',
    check: 'rule:context_is_admin or rule:sg_owner',
    description: 'The owner of the group, or an administrator.',
  },
  {
    name: 'admin_owner_or_sg_owner',
    check: 'rule:owner or rule:admin_or_sg_owner',
    description: 'The owner, the owner of the group, or an administrator.',
  },
  { name: 'create_security_group', check: ADMIN_OR_MEMBER, zed: ANYBODY, description: 'Create a security group.' },
  {
    name: 'shared_security_group',
    check: 'field:security_groups:shared=True',
    description: 'The security group is shared with the caller’s project, or with every one.',
  },
  {
    name: 'get_security_group',
    check: `${ADMIN_OR_READER} or ${OF_CLUSTER} or rule:shared_security_group`,
    zed: `${ADMIN_OR_OWNER} or ${OF_CLUSTER} or rule:shared_security_group`,
    description: 'See a security group.',
  },
  { name: 'update_security_group', ...MEMBERS, description: 'Change a security group.' },
  { name: 'delete_security_group', ...MEMBERS, description: 'Delete a security group.' },
];
