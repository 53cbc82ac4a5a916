import type { RuleDefault } from '../rules.ts';
import { ADMIN_OR_MEMBER, ADMIN_OR_OWNER, ADMIN_OR_READER, ANYBODY } from './words.ts';

const MEMBERS = { check: ADMIN_OR_MEMBER, zed: ADMIN_OR_OWNER };

/** Who may do what with RBAC policies. Whether the object is theirs to share is not a rule, in Neutron neither. */
export const RBAC_RULES: readonly RuleDefault[] = [
  {
    name: 'restrict_wildcard',
    check:
      '(not field:rbac_policy:target_tenant=* and not field:rbac_policy:target_tenant=~.*[.][*]$) or rule:admin_only or (rule:kubernetes_api and not field:rbac_policy:target_tenant=*)',
    zed: 'not field:rbac_policy:target_tenant=* or rule:admin_only',
    description:
      'The policy is for one project, or of a cluster’s controller for all of the cluster, or an administrator’s.',
  },
  { name: 'create_rbac_policy', check: ADMIN_OR_MEMBER, zed: ANYBODY, description: 'Share an object.' },
  {
    name: 'create_rbac_policy:target_tenant',
    check: 'rule:restrict_wildcard',
    description: 'Choose with whom an object is shared.',
  },
  { name: 'get_rbac_policy', check: ADMIN_OR_READER, zed: ADMIN_OR_OWNER, description: 'See an RBAC policy.' },
  { name: 'update_rbac_policy', ...MEMBERS, description: 'Share an object with another project.' },
  {
    name: 'update_rbac_policy:target_tenant',
    check: 'rule:restrict_wildcard',
    zed: 'rule:restrict_wildcard and rule:admin_or_owner',
    description: 'Choose anew with whom an object is shared.',
  },
  { name: 'delete_rbac_policy', ...MEMBERS, description: 'Share an object no longer.' },
];
