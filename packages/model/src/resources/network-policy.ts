import { POLICY_PORTS } from './policy-ports.ts';

/** Slices of pods that the rules of one policy may name: peers times namespaces, each once. All namespaces of a cluster are one. Of what is more rules are closed. */
export const POLICY_SLICES_MAX = 4096;

/** A namespace, as far as selectors ask of it. */
export const kubernetesNamespaceResource = {
  name: 'kubernetes_namespace',
  plural: 'kubernetes_namespaces',
  label: 'KubernetesNamespace',
  prefix: '/cable/v1',
  path: 'kubernetes-namespaces',
  givenId: true,
  description: 'A namespace of a Kubernetes cluster, with the labels by which network policies select it.',
  verbs: ['list', 'show', 'create', 'update', 'delete'],
  standard: true,
  stored: true,
  columns: ['id', 'name', 'labels'],
  attributes: {
    name: {
      type: 'string',
      write: 'create',
      required: true,
      minLength: 3,
      maxLength: 127,
      indexed: true,
      example: 'prod/shop',
      description: 'The cluster and the namespace, with a slash between.',
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
    labels: {
      type: 'list',
      write: 'both',
      default: [],
      maxLength: 1000,
      filter: false,
      items: { type: 'string', minLength: 1, maxLength: 400 },
      example: ['kubernetes.io/metadata.name=shop', 'team=blue'],
      description: 'Its labels, each as key=value.',
    },
  },
} as const;

/** A NetworkPolicy of Kubernetes. */
export const networkPolicyResource = {
  name: 'network_policy',
  plural: 'network_policies',
  label: 'NetworkPolicy',
  prefix: '/cable/v1',
  path: 'network-policies',
  givenId: true,
  description:
    'A NetworkPolicy of Kubernetes: pods that it selects pass, in its directions, what some policy that selects them allows.',
  verbs: ['list', 'show', 'create', 'update', 'delete'],
  standard: true,
  stored: true,
  columns: ['id', 'name', 'namespace', 'pods', 'directions'],
  attributes: {
    name: {
      type: 'string',
      write: 'both',
      default: '',
      maxLength: 320,
      indexed: true,
      example: 'shop/from-web',
      description: 'The name; need not be unique.',
    },
    namespace: {
      type: 'string',
      write: 'create',
      required: true,
      minLength: 3,
      maxLength: 127,
      indexed: true,
      example: 'prod/shop',
      description: 'The namespace of the pods that it selects: the cluster and the namespace, with a slash between.',
    },
    pods: {
      type: 'string',
      write: 'both',
      default: '',
      maxLength: 16_384,
      filter: false,
      example: 'app=db',
      description: 'Which pods there: a label selector in Kubernetes’ text form; empty: all.',
    },
    directions: {
      type: 'list',
      write: 'both',
      required: true,
      maxLength: 2,
      items: { type: 'string', values: ['ingress', 'egress'] },
      example: ['ingress'],
      description: 'In which directions the pods pass only what is allowed.',
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
    rules: {
      type: 'list',
      write: 'both',
      default: [],
      maxLength: 1000,
      filter: false,
      items: {
        type: 'object',
        properties: {
          direction: { type: 'string', values: ['ingress', 'egress'], required: true, example: 'ingress' },
          peers: {
            type: 'list',
            nullable: true,
            default: null,
            maxLength: 1000,
            description: 'With whom; null: with everybody. An empty list is nobody.',
            items: {
              type: 'object',
              properties: {
                pods: {
                  type: 'string',
                  nullable: true,
                  default: null,
                  maxLength: 16_384,
                  description: 'Pods by their labels; empty: all; null: the peer is a prefix.',
                },
                namespaces: {
                  type: 'string',
                  nullable: true,
                  default: null,
                  maxLength: 16_384,
                  description: 'Namespaces of these pods, by labels; empty: all; null: that of the policy.',
                },
                cidr: { type: 'cidr', nullable: true, default: null, description: 'A prefix; null: pods are meant.' },
                except: {
                  type: 'list',
                  default: [],
                  maxLength: 1000,
                  items: { type: 'cidr' },
                  description: 'Prefixes in it that are not meant.',
                },
              },
            },
          },
          ports: POLICY_PORTS as typeof POLICY_PORTS,
        },
      },
      example: [
        {
          direction: 'ingress',
          peers: [{ pods: 'app=web', namespaces: null }],
          ports: [{ protocol: 'TCP', port: 5432 }],
        },
      ],
      description: 'What is allowed.',
    },
  },
} as const;
