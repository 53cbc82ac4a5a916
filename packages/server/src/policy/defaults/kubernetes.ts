import type { RuleDefault } from '../rules.ts';
import { ADMIN, KUBERNETES } from './words.ts';

/** The controller of that cluster. */
const OWN = `${ADMIN} or ${KUBERNETES} and cluster:%(name)s`;

/** Types whose objects say which cluster’s they are. */
const OF_CLUSTERS = [
  ...[
    'network',
    'subnet',
    'port',
    'router',
    'security_group',
    'floatingip',
    'qos_policy',
    'tap_service',
    'tap_flow',
    'router_egress',
  ],
  ...['service_scope', 'service', 'endpoint_set', 'kubernetes_namespace', 'network_policy'],
  'cluster_network_policy',
] as const;

/** By which network policies select. */
const OF_PODS = ['cable:namespace', 'cable:labels', 'cable:named_ports'] as const;

/** Who may do what with Kubernetes clusters, and say that an object is one's. */
export const KUBERNETES_RULES: readonly RuleDefault[] = [
  { name: 'create_kubernetes_cluster', check: ADMIN, description: 'Let a Kubernetes cluster have ports.' },
  { name: 'get_kubernetes_cluster', check: OWN, description: 'See a Kubernetes cluster.' },
  { name: 'update_kubernetes_cluster', check: ADMIN, description: 'Change a Kubernetes cluster.' },
  { name: 'delete_kubernetes_cluster', check: ADMIN, description: 'Delete a Kubernetes cluster.' },
  { name: 'claim_kubernetes_cluster', check: OWN, description: 'Write for a Kubernetes cluster from now on.' },
  {
    name: 'adopt_kubernetes_cluster',
    check: `${KUBERNETES} and cluster:%(name)s`,
    description: 'Take over an object of a project for a custom resource of a Kubernetes cluster.',
  },
  {
    name: 'release_kubernetes_cluster',
    check: OWN,
    description: 'Let go of what a custom resource of a Kubernetes cluster has.',
  },
  {
    name: 'retire_host_kubernetes_cluster',
    check: OWN,
    description: 'Delete a host of a Kubernetes cluster whose node is gone for good.',
  },
  {
    name: 'sweep_projects_kubernetes_cluster',
    check: OWN,
    description: 'Delete what Cable has made by itself for projects of namespaces that are gone.',
  },
  ...['create_router', 'update_router'].map((verb) => ({
    name: `${verb}:cable:node_egress`,
    check: `${ADMIN} or ${KUBERNETES}`,
    description: 'Let what leaves a router go by the sender’s own node.',
  })),
  ...['create_port', 'update_port'].flatMap((verb) =>
    OF_PODS.map((attribute) => ({
      name: `${verb}:${attribute}`,
      check: `${ADMIN} or ${KUBERNETES}`,
      description: `Say of a port which pod’s it is: ${attribute.slice(attribute.indexOf(':') + 1)}.`,
    })),
  ),
  ...['create_port', 'update_port'].map((verb) => ({
    name: `${verb}:cable:default_route`,
    check: `${ADMIN} or ${KUBERNETES}`,
    description: 'Say whether a pod has its default route by a port.',
  })),
  ...['create_port', 'update_port'].flatMap((verb) =>
    ['cable:zone', 'cable:announces'].map((attribute) => ({
      name: `${verb}:${attribute}`,
      check: `${ADMIN} or ${KUBERNETES}`,
      description: 'Say of the port of a node its zone, or that it announces no address of a Service.',
    })),
  ),
  {
    name: 'update_port:cable:origin',
    check: `${ADMIN} or ${KUBERNETES}`,
    description: 'Say of the port of a pod that another StatefulSet has taken over the pod.',
  },
  ...OF_CLUSTERS.flatMap((type) =>
    ['cable:cluster', 'cable:origin'].map((attribute) => ({
      name: `create_${type}:${attribute}`,
      check: `${ADMIN} or ${KUBERNETES}`,
      description: `Say of a new ${type} which cluster’s it is.`,
    })),
  ),
];
