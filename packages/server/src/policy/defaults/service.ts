import type { RuleDefault } from '../rules.ts';
import { ADMIN, ADMIN_OR_READER, KUBERNETES, OF_CLUSTER } from './words.ts';

const WRITERS = `${ADMIN} or ${KUBERNETES} and project_id:%(project_id)s`;

/** Those of VPCs are of the projects that have these; a project that is the cluster’s no more keeps none of them. */
const IN_VPCS = { get: `${ADMIN_OR_READER} or ${OF_CLUSTER}`, delete: `${WRITERS} or ${OF_CLUSTER}` };

/** Who may do what with a cluster's Services: its controller, for they take addresses behind routers. */
export const SERVICE_RULES: readonly RuleDefault[] = [
  ...rulesOf('service_scope', 'the scope of a cluster’s Services', IN_VPCS),
  ...rulesOf('service', 'a Service', IN_VPCS),
  ...rulesOf('endpoint_set', 'endpoints of a Service', IN_VPCS),
  ...rulesOf('kubernetes_namespace', 'the labels of a Kubernetes namespace'),
  ...rulesOf('network_policy', 'a NetworkPolicy of Kubernetes'),
  ...rulesOf('cluster_network_policy', 'a network policy of a whole Kubernetes cluster'),
  ...rulesOf('host_policy', 'a policy for hosts themselves'),
];

function rulesOf(type: string, what: string, who = { get: ADMIN_OR_READER, delete: WRITERS }): readonly RuleDefault[] {
  return [
    { name: `create_${type}`, check: WRITERS, description: `Create ${what}.` },
    { name: `get_${type}`, check: who.get, description: `See ${what}.` },
    { name: `update_${type}`, check: WRITERS, description: `Change ${what}.` },
    { name: `delete_${type}`, check: who.delete, description: `Delete ${what}.` },
  ];
}
