import type { RuleDefault } from '../rules.ts';
import { ADMIN, ADMIN_OR_READER, KUBERNETES } from './words.ts';

const WRITERS = `${ADMIN} or ${KUBERNETES} and project_id:%(project_id)s`;

/** Who may do what with a cluster's Services: its controller, for they take addresses behind routers. */
export const SERVICE_RULES: readonly RuleDefault[] = [
  ...rulesOf('service_scope', 'the scope of a cluster’s Services'),
  ...rulesOf('service', 'a Service'),
  ...rulesOf('endpoint_set', 'endpoints of a Service'),
  ...rulesOf('kubernetes_namespace', 'the labels of a Kubernetes namespace'),
  ...rulesOf('network_policy', 'a NetworkPolicy of Kubernetes'),
];

function rulesOf(type: string, what: string): readonly RuleDefault[] {
  return [
    { name: `create_${type}`, check: WRITERS, description: `Create ${what}.` },
    { name: `get_${type}`, check: ADMIN_OR_READER, description: `See ${what}.` },
    { name: `update_${type}`, check: WRITERS, description: `Change ${what}.` },
    { name: `delete_${type}`, check: WRITERS, description: `Delete ${what}.` },
  ];
}
