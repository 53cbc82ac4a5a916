import { POLICY_PORTS } from './policy-ports.ts';

/** A network policy of a whole cluster: ClusterNetworkPolicy, AdminNetworkPolicy or BaselineAdminNetworkPolicy of Kubernetes. */
export const clusterNetworkPolicyResource = {
  name: 'cluster_network_policy',
  plural: 'cluster_network_policies',
  label: 'ClusterNetworkPolicy',
  prefix: '/cable/v1',
  path: 'cluster-network-policies',
  givenId: true,
  description:
    'A network policy of a whole Kubernetes cluster: of the tier admin it is asked before NetworkPolicies, of the tier baseline after them, where none selects the pod.',
  verbs: ['list', 'show', 'create', 'update', 'delete'],
  standard: true,
  stored: true,
  columns: ['id', 'name', 'tier', 'priority', 'namespaces', 'pods'],
  attributes: {
    name: {
      type: 'string',
      write: 'both',
      default: '',
      maxLength: 320,
      indexed: true,
      example: 'AdminNetworkPolicy/no-office',
      description: 'The name; need not be unique.',
    },
    cluster: {
      type: 'string',
      write: 'create',
      required: true,
      minLength: 1,
      maxLength: 63,
      indexed: true,
      example: 'prod',
      description: 'The cluster.',
    },
    tier: {
      type: 'string',
      write: 'both',
      required: true,
      values: ['admin', 'baseline'],
      example: 'admin',
      description: 'Whether it is asked before NetworkPolicies, or after them where none isolates the pod.',
    },
    priority: {
      type: 'integer',
      write: 'both',
      required: true,
      minimum: 0,
      maximum: 1001,
      example: 10,
      description:
        'In its tier lower ones are asked first; of two with the same one that with the lower id. 1001: after all that can say one.',
    },
    namespaces: {
      type: 'string',
      write: 'both',
      default: '',
      maxLength: 16_384,
      filter: false,
      example: 'team=blue',
      description:
        'In which namespaces it selects pods: a label selector in Kubernetes’ text form, of namespaces; empty: in all.',
    },
    pods: {
      type: 'string',
      write: 'both',
      default: '',
      maxLength: 16_384,
      filter: false,
      example: 'app=db',
      description: 'Which pods there: a label selector; empty: all.',
    },
    log: {
      type: 'string',
      write: 'both',
      default: 'none',
      values: ['none', 'allow', 'drop', 'all'],
      example: 'drop',
      description:
        'What hosts write down of pods that it selects. allow: the first packet of each connection that it lets pass. drop: packets that it does not let pass. all: both.',
    },
    domain_except: {
      type: 'list',
      write: 'both',
      default: [],
      maxLength: 10_000,
      filter: false,
      items: { type: 'cidr' },
      example: ['192.0.2.10/32'],
      description:
        'Prefixes that no domain means whatever is told for it: the controller gives the addresses of nodes and of API servers. Subnets of the networks and prefixes of Services are never meant either.',
    },
    rules: {
      type: 'list',
      write: 'both',
      default: [],
      maxLength: 1000,
      filter: false,
      items: {
        type: 'object',
        properties: {
          name: { type: 'string', default: '', maxLength: 100, description: 'For people.' },
          direction: { type: 'string', values: ['ingress', 'egress'], required: true, example: 'ingress' },
          action: {
            type: 'string',
            values: ['allow', 'deny', 'pass'],
            required: true,
            example: 'deny',
            description:
              'What becomes of what it means; pass: no further rule of the tier is asked, and the next tier decides.',
          },
          peers: {
            type: 'list',
            nullable: true,
            default: null,
            maxLength: 5000,
            description: 'With whom; null: with everybody. An empty list is nobody.',
            items: {
              type: 'object',
              properties: {
                pods: {
                  type: 'string',
                  nullable: true,
                  default: null,
                  maxLength: 16_384,
                  description: 'Pods by their labels; empty: all; null: something else is meant.',
                },
                namespaces: {
                  type: 'string',
                  nullable: true,
                  default: null,
                  maxLength: 16_384,
                  description: 'Namespaces of these pods, by labels; empty: all. Goes with pods.',
                },
                cidr: {
                  type: 'cidr',
                  nullable: true,
                  default: null,
                  description: 'A prefix; null: something else is meant.',
                },
                domain: {
                  type: 'string',
                  nullable: true,
                  default: null,
                  maxLength: 255,
                  description:
                    'Addresses outside of the cluster that the host told the pod for this name, or with *. before it for names below it, of egress rules that allow; null: something else is meant.',
                },
              },
            },
          },
          ports: POLICY_PORTS as typeof POLICY_PORTS,
        },
      },
      example: [
        {
          direction: 'egress',
          action: 'deny',
          peers: [{ cidr: '198.51.100.0/24' }],
          ports: [{ protocol: 'TCP', port: 80 }],
        },
      ],
      description: 'Asked in this order, those of each direction by themselves: the first that means a packet counts.',
    },
  },
} as const;
