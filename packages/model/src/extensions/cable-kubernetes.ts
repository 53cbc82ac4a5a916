import type { Resource } from '../declaration.ts';
import { kubernetesClusterResource } from '../resources/kubernetes-cluster.ts';

/** Whose an object is, where Kubernetes' controller has made it. */
export const ORIGIN = {
  'cable:cluster': {
    type: 'string',
    nullable: true,
    write: 'create',
    writeBy: 'admin',
    default: null,
    maxLength: 63,
    indexed: true,
    example: 'prod',
    description:
      'The Kubernetes cluster whose controller has made it or taken it over, and alone changes it; null: none.',
  },
  'cable:origin': {
    type: 'string',
    nullable: true,
    write: 'create',
    writeBy: 'admin',
    default: null,
    maxLength: 600,
    indexed: true,
    example: 'Pod/shop/web-1/0b0e4c1e-55b0-4bd2-9b5e-3a1c6f0d7e21',
    description:
      'What it was made for there: kind, namespace, name and UID, with a slash between; of what the cluster as a whole has, kind and name; null: nothing. What was let go of keeps it, without a cluster.',
  },
} as const;

export type Origin = typeof ORIGIN;

/** The same of ports: one of a pod stays, and is another StatefulSet’s, when that takes over the pod. */
export const PORT_ORIGIN = {
  'cable:cluster': ORIGIN['cable:cluster'] as Origin['cable:cluster'],
  'cable:origin': {
    type: 'string',
    nullable: true,
    write: 'both',
    writeBy: 'admin',
    default: null,
    maxLength: 600,
    indexed: true,
    example: 'Pod/shop/web-1/0b0e4c1e-55b0-4bd2-9b5e-3a1c6f0d7e21',
    description:
      'What it was made for there: kind, namespace, name and UID, with a slash between; null: nothing. Of a pod’s port the cluster’s controller changes the UID, when another StatefulSet takes over the pod. What was let go of keeps it, without a cluster.',
  },
} as const;

/** Kubernetes clusters whose pods are ports. */
export const cableKubernetesExtension = {
  alias: 'cable-kubernetes',
  name: 'Kubernetes clusters',
  description: 'Pods as ports: clusters, and of each object which one has made it for what.',
  updated: '2026-11-29T00:00:00-00:00',
  requires: ['binding', 'router', 'security-group', 'qos', 'taas', 'cable-service', 'cable-router-egress'],
  resources: [kubernetesClusterResource] as readonly Resource[],
  attributes: {
    network: ORIGIN as Origin,
    subnet: ORIGIN as Origin,
    port: PORT_ORIGIN as typeof PORT_ORIGIN,
    router: ORIGIN as Origin,
    security_group: ORIGIN as Origin,
    floatingip: ORIGIN as Origin,
    qos_policy: ORIGIN as Origin,
    tap_service: ORIGIN as Origin,
    tap_flow: ORIGIN as Origin,
    router_egress: ORIGIN as Origin,
    service_scope: ORIGIN as Origin,
    service: ORIGIN as Origin,
    endpoint_set: ORIGIN as Origin,
  },
} as const;

/** Which interface of a pod has its default route. */
export const cableDefaultRouteExtension = {
  alias: 'cable-default-route',
  name: 'Default routes of pods',
  description: 'Which of a pod’s interfaces has its default route.',
  updated: '2026-11-30T00:00:00-00:00',
  requires: ['cable-kubernetes'],
  attributes: {
    port: {
      'cable:default_route': {
        type: 'boolean',
        nullable: true,
        write: 'both',
        writeBy: 'admin',
        default: null,
        description:
          'Of a port that a CNI plug-in plugs: true: the pod’s default routes are by it, or it is not plugged; false: they are not; null: what the plug-in’s configuration says, else the interface that came first has them. It counts when the pod is plugged the next time.',
      },
    },
  },
} as const;

/** What leaves a router by the nodes of a cluster. */
export const cableNodeEgressExtension = {
  alias: 'cable-node-egress',
  name: 'Ways outside by nodes',
  description: 'What leaves a router goes by the node of the sender’s own host.',
  updated: '2026-11-29T00:00:00-00:00',
  requires: ['cable-kubernetes'],
  attributes: {
    router: {
      'cable:node_egress': {
        type: 'boolean',
        write: 'both',
        writeBy: 'admin',
        default: false,
        description:
          'True: what no other route of the router leads to leaves by the node of the sender’s own host, a port (device_owner kubernetes:node) in one of the router’s networks: the host’s kernel forwards it, with the host’s own address. It goes before a gateway. On hosts without such a port nothing changes.',
      },
    },
  },
} as const;
