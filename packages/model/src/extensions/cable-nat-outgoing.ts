/** Subnets whose addresses are known outside. */
export const cableNatOutgoingExtension = {
  alias: 'cable-nat-outgoing',
  name: 'Addresses with which subnets leave by nodes',
  description: 'Whether what leaves a subnet by a Kubernetes node has the node’s address, or keeps its own.',
  updated: '2026-11-30T00:00:00-00:00',
  requires: ['cable-kubernetes'],
  attributes: {
    subnet: {
      'cable:nat_outgoing': {
        type: 'boolean',
        write: 'both',
        writeBy: 'admin',
        default: true,
        example: true,
        description:
          'True: connections from it to what is outside of the cluster have the address of the Kubernetes node that they leave by; false: they keep their own, for which outside must have a way back. It counts in routers with cable:node_egress, for connections that begin after a change; other nodes of the cluster see the node in any case.',
      },
    },
  },
} as const;
