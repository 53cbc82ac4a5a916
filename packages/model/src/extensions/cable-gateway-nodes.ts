/** Subnets that leave by named nodes. */
export const cableGatewayNodesExtension = {
  alias: 'cable-gateway-nodes',
  name: 'Nodes by which subnets leave',
  description: 'What leaves a subnet by Kubernetes nodes goes by one that it names, not by the node of each sender.',
  updated: '2026-11-30T00:00:00-00:00',
  requires: ['cable-kubernetes'],
  attributes: {
    subnet: {
      'cable:gateway_nodes': {
        type: 'list',
        maxLength: 8,
        items: { type: 'string', maxLength: 255 },
        write: 'both',
        writeBy: 'admin',
        default: [],
        filter: false,
        example: ['node-1', 'node-2'],
        description:
          'Nodes of one Kubernetes cluster, by the names of their hosts: what ports with an address in the subnet, and legs of their pods, send to outside of the cluster leaves by one of them, the first that lives, with its address. When it dies the next takes its place, and keeps it; a list that is another begins with its first. Empty: each leaves by its own node. It counts in routers with cable:node_egress. A change ends connections.',
      },
      'cable:gateway_node': {
        type: 'string',
        nullable: true,
        default: null,
        filter: false,
        example: 'node-1',
        description: 'The one of cable:gateway_nodes that it leaves by now; null: it names none.',
      },
      'cable:gateway_cluster': {
        type: 'string',
        nullable: true,
        default: null,
        indexed: true,
        example: 'prod',
        description: 'The Kubernetes cluster whose nodes these are; null: it names none.',
      },
    },
  },
} as const;
