/** `HostPolicy`: what reaches and leaves nodes themselves. Of the whole cluster, and an administrator's (docs/design/host-policies.md). */
import type { Declaration, Schema } from './definition.ts';

const LABELS: Schema = {
  type: 'object',
  description: 'As of a label selector of Kubernetes; empty: all.',
  properties: {
    matchLabels: {
      type: 'object',
      description: 'Labels and their values, of which all are asked for.',
      additionalProperties: { type: 'string', maxLength: 63, description: 'The value.' },
    },
    matchExpressions: {
      ...{ type: 'array', maxItems: 64 },
      description: 'What else is asked for.',
      items: {
        type: 'object',
        description: 'One of it.',
        required: ['key', 'operator'],
        properties: {
          key: { type: 'string', minLength: 1, maxLength: 317, description: 'The label.' },
          operator: {
            ...{ type: 'string', enum: ['In', 'NotIn', 'Exists', 'DoesNotExist'] },
            description: 'What is asked of it.',
          },
          values: {
            ...{ type: 'array', maxItems: 256 },
            description: 'Of In and NotIn.',
            items: { type: 'string', maxLength: 63, description: 'A value.' },
          },
        },
      },
    },
  },
};

const PEERS: Schema = {
  ...{ type: 'array', maxItems: 256 },
  description: 'With whom; absent or empty: with everybody.',
  items: {
    type: 'object',
    description: 'Some of them.',
    properties: {
      ipBlock: {
        type: 'object',
        description: 'Addresses, whoever has them.',
        required: ['cidr'],
        properties: {
          cidr: { type: 'string', minLength: 1, maxLength: 64, description: 'A prefix.' },
          except: {
            ...{ type: 'array', maxItems: 256 },
            description: 'Prefixes in it that are not meant.',
            items: { type: 'string', minLength: 1, maxLength: 64, description: 'One of them.' },
          },
        },
      },
      podSelector: {
        ...LABELS,
        description: 'Pods by their labels, in the namespaces of namespaceSelector; without it: in all.',
      },
      namespaceSelector: {
        ...LABELS,
        description: 'Namespaces of these pods by their labels; without podSelector all pods there.',
      },
      nodes: { ...LABELS, description: 'Nodes by their labels: whoever has their addresses.' },
    },
    'x-kubernetes-validations': [
      {
        rule: '(has(self.ipBlock) ? 1 : 0) + (has(self.nodes) ? 1 : 0) + (has(self.podSelector) || has(self.namespaceSelector) ? 1 : 0) == 1',
        message: 'give ipBlock, nodes, or podSelector and namespaceSelector',
      },
    ],
  },
};

const PORTS: Schema = {
  ...{ type: 'array', maxItems: 256 },
  description: 'At which ports of who receives; absent or empty: at all, with any protocol.',
  items: {
    type: 'object',
    description: 'Some of them.',
    properties: {
      protocol: {
        ...{ type: 'string', enum: ['TCP', 'UDP', 'SCTP', 'ICMP'], default: 'TCP' },
        description: 'ICMP: that of the version of IP, which has no ports.',
      },
      port: { type: 'integer', minimum: 1, maximum: 65_535, description: 'Absent: all of the protocol.' },
      endPort: {
        type: 'integer',
        minimum: 1,
        maximum: 65_535,
        description: 'The last of a range that begins with port.',
      },
    },
    'x-kubernetes-validations': [
      {
        rule: '!has(self.endPort) || (has(self.port) && self.endPort >= self.port)',
        message: 'endPort goes with port, and is not less',
      },
      { rule: "self.protocol != 'ICMP' || !has(self.port)", message: 'ICMP has no ports' },
    ],
  },
};

const NODE_LIST: Schema = {
  ...{ type: 'array', maxItems: 100 },
  description: 'Nodes that it selects and on which it is not in force, a hundred at the most.',
  items: {
    type: 'object',
    description: 'One of them.',
    required: ['name', 'reason'],
    properties: {
      name: { type: 'string', maxLength: 253, description: 'Its name.' },
      reason: { type: 'string', maxLength: 1024, description: 'Why, for people.' },
    },
  },
};

export const hostPolicyDeclaration: Declaration = {
  ...{ kind: 'HostPolicy', plural: 'hostpolicies', singular: 'hostpolicy', shortNames: ['hpol'] },
  isClusterWide: true,
  description: 'What reaches and leaves nodes themselves: their processes, and pods with hostNetwork.',
  spec: {
    type: 'object',
    description:
      'A node that a policy selects for a direction passes there what some policy lets through, and what a node cannot be without.',
    required: ['nodeSelector'],
    properties: {
      nodeSelector: { ...LABELS, description: 'Which nodes, by their labels; {}: all.' },
      policyTypes: {
        ...{ type: 'array', minItems: 1, maxItems: 2 },
        description: 'In which directions it holds; absent: Ingress, and Egress where there are rules for it.',
        items: {
          type: 'string',
          enum: ['Ingress', 'Egress'],
          description: 'As the node sees it: Ingress is what reaches it.',
        },
      },
      ingress: {
        ...{ type: 'array', maxItems: 256 },
        description: 'What is let in.',
        items: { type: 'object', description: 'One rule.', properties: { from: PEERS, ports: PORTS } },
      },
      egress: {
        ...{ type: 'array', maxItems: 256 },
        description: 'What is let out.',
        items: { type: 'object', description: 'One rule.', properties: { to: PEERS, ports: PORTS } },
      },
    },
    'x-kubernetes-validations': [
      {
        rule: "!has(self.policyTypes) || !has(self.ingress) || 'Ingress' in self.policyTypes",
        message: 'policyTypes lacks Ingress, and there are rules for it',
      },
      {
        rule: "!has(self.policyTypes) || !has(self.egress) || 'Egress' in self.policyTypes",
        message: 'policyTypes lacks Egress, and there are rules for it',
      },
    ],
  },
  status: {
    selectedNodes: { type: 'integer', minimum: 0, description: 'How many nodes with an agent it selects.' },
    nodesInForce: { type: 'integer', minimum: 0, description: 'On how many of these it is in force.' },
    notInForce: NODE_LIST,
  },
  columns: [
    { name: 'Nodes', type: 'integer', jsonPath: '.status.selectedNodes' },
    { name: 'In-Force', type: 'integer', jsonPath: '.status.nodesInForce' },
    { name: 'Accepted', type: 'string', jsonPath: '.status.conditions[?(@.type=="Accepted")].status' },
  ],
  readiness: 'InForce',
};
