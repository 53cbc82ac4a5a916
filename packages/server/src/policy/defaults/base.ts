import type { RuleDefault } from '../rules.ts';

const RULES: readonly RuleDefault[] = [
  { name: 'context_is_admin', check: 'role:admin', description: 'Callers who may do everything.' },
  {
    name: 'context_is_advsvc',
    check: 'role:advsvc',
    description: 'Services that act for others, such as Octavia.',
  },
  {
    name: 'context_can_set_project_id',
    check: '!',
    description: 'Callers who create for other projects, besides administrators and services.',
  },
  {
    name: 'context_with_global_access',
    check: '!',
    description: 'Callers whom Neutron shows more than their project’s. No rule of Cable’s own refers to it.',
  },
  { name: 'service_api', check: 'role:service', zed: '!', description: 'Services, such as Nova.' },
  {
    name: 'kubernetes_api',
    check: 'role:kubernetes',
    description:
      'Controllers of Kubernetes clusters, of which a certificate says so: in the projects of their cluster.',
  },
  {
    name: 'cluster_pods',
    check:
      'rule:kubernetes_api and cluster:%(cable:cluster)s and (field:networks:cable:origin=Network/pods or field:subnets:cable:origin=~^Subnet/pods-ipv.$)',
    description:
      'The network of pods of the controller’s cluster, or a subnet of it: it makes pods’ ports there, and no others, whatever project they are of.',
  },
  { name: 'owner', check: 'project_id:%(project_id)s', description: 'The object is of the caller’s project.' },
  { name: 'admin_only', check: 'rule:context_is_admin', description: 'Administrators alone.' },
  {
    name: 'admin_or_owner',
    check: 'rule:context_is_admin or rule:owner',
    description: 'The owner, or an administrator.',
  },
  { name: 'regular_user', check: '', description: 'Everybody.' },
  {
    name: 'network_owner',
    check: 'project_id:%(network:project_id)s',
    description: 'The object is on a network of the caller’s project.',
  },
  {
    name: 'admin_or_network_owner',
    check: 'rule:context_is_admin or rule:network_owner',
    description: 'The network’s owner, or an administrator.',
  },
  {
    name: 'admin_owner_or_network_owner',
    check: 'rule:owner or rule:admin_or_network_owner',
    description: 'The owner, the network’s owner, or an administrator.',
  },
  {
    name: 'sg_owner',
    check: 'project_id:%(security_group:project_id)s',
    description: 'The object is in a security group of the caller’s project.',
  },
  {
    name: 'ext_parent_owner',
    check: 'project_id:%(ext_parent:project_id)s',
    description: 'The object is part of one of the caller’s project.',
  },
  {
    name: 'admin_or_ext_parent_owner',
    check: 'rule:context_is_admin or rule:ext_parent_owner',
    description: 'The owner of what the object is part of, or an administrator.',
  },
  {
    name: 'shared',
    check: 'field:networks:shared=True',
    description: 'The network, or the one that the object is on, is shared with every project.',
  },
  {
    name: 'external',
    check: 'field:networks:router:external=True',
    description: 'The network, or the one that the object is on, leads outside.',
  },
  { name: 'default', check: 'rule:admin_or_owner', description: 'Stands for every rule that is not there.' },
  {
    name: 'admin_api',
    check: 'rule:admin_only',
    description:
      'Status, check and the agents’ routes. /metrics, /healthz and /readyz are open to whoever reaches the server.',
  },
];

/** Rules that other rules refer to, in Neutron's names: operators' policy files refer to them too. They are about the caller, whatever his scope. */
export const BASE_RULES: readonly RuleDefault[] = RULES.map((rule) => ({ ...rule, scope: 'any' }));
