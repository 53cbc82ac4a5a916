import type { Resource } from '../declaration.ts';
import { clusterNetworkPolicyResource } from '../resources/cluster-network-policy.ts';
import { kubernetesNamespaceResource, networkPolicyResource } from '../resources/network-policy.ts';
import { ORIGIN, type Origin } from './cable-kubernetes.ts';

/** NetworkPolicies of Kubernetes. */
export const cableNetworkPolicyExtension = {
  alias: 'cable-network-policy',
  name: 'Network policies of Kubernetes',
  description: 'What pods let pass, by the labels of pods and namespaces.',
  updated: '2026-11-29T00:00:00-00:00',
  requires: ['cable-kubernetes'],
  resources: [kubernetesNamespaceResource, networkPolicyResource, clusterNetworkPolicyResource] as readonly Resource[],
  attributes: {
    kubernetes_namespace: ORIGIN as Origin,
    network_policy: ORIGIN as Origin,
    cluster_network_policy: ORIGIN as Origin,
    port: {
      'cable:namespace': {
        type: 'string',
        nullable: true,
        write: 'both',
        writeBy: 'admin',
        default: null,
        minLength: 3,
        maxLength: 127,
        indexed: true,
        example: 'prod/shop',
        description:
          'The Kubernetes namespace of its pod: the cluster and the namespace, with a slash between; null: it is no pod’s.',
      },
      'cable:labels': {
        type: 'list',
        write: 'both',
        writeBy: 'admin',
        default: [],
        maxLength: 1000,
        filter: false,
        items: { type: 'string', minLength: 1, maxLength: 400 },
        example: ['app=web'],
        description: 'Labels of its pod, each as key=value: network policies select by them.',
      },
      'cable:named_ports': {
        type: 'list',
        write: 'both',
        writeBy: 'admin',
        default: [],
        maxLength: 1000,
        filter: false,
        items: {
          type: 'object',
          properties: {
            name: { type: 'string', required: true, minLength: 1, maxLength: 63, example: 'http' },
            protocol: { type: 'string', values: ['TCP', 'UDP', 'SCTP'], default: 'TCP' },
            port: { type: 'integer', required: true, minimum: 1, maximum: 65_535, example: 8080 },
          },
        },
        example: [{ name: 'http', protocol: 'TCP', port: 8080 }],
        description: 'Ports of its pod that have names, for network policies that say these.',
      },
    },
  },
} as const;
