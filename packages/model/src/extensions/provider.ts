/** How a network is carried between hosts; for admins. */
export const providerExtension = {
  alias: 'provider',
  name: 'Provider Network',
  description: 'How a network is carried between hosts.',
  updated: '2026-01-01T00:00:00-00:00',
  columns: { network: ['provider:segmentation_id'] },
  attributes: {
    network: {
      'provider:network_type': {
        type: 'string',
        values: ['vxlan'],
        write: 'create',
        writeBy: 'admin',
        seeBy: 'admin',
        default: 'vxlan',
        description: 'How the network is carried between hosts.',
      },
      'provider:physical_network': {
        type: 'string',
        nullable: true,
        default: null,
        seeBy: 'admin',
        description: 'Always null: a tunnelled network has no physical network.',
      },
      'provider:segmentation_id': {
        type: 'integer',
        minimum: 1,
        maximum: 16777215,
        write: 'create',
        writeBy: 'admin',
        seeBy: 'admin',
        derive: 'vni',
        indexed: true,
        example: 4242,
        description: 'VXLAN network identifier (VNI).',
      },
    },
  },
} as const;
