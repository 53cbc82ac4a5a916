/** How a network is carried between hosts; for admins. */
export const providerExtension = {
  alias: 'provider',
  name: 'Provider Network',
  description: 'How a network is carried: in tunnels between hosts, or by a physical network.',
  updated: '2026-11-26T00:00:00-00:00',
  columns: { network: ['provider:segmentation_id'] },
  attributes: {
    network: {
      'provider:network_type': {
        ruleOfDefault: true,
        type: 'string',
        values: ['vxlan', 'vlan', 'flat', 'geneve', 'gre', 'l3vpn'],
        badValue: {
          code: 'InvalidInput',
          message: "Invalid input for operation: network_type value '{value}' not supported.",
        },
        write: 'both',
        writeBy: 'admin',
        seeBy: 'admin',
        derive: 'segment',
        example: 'vxlan',
        description:
          'vxlan: in tunnels between hosts, by default; vlan, flat: by the physical network, with a VLAN tag or without one. Others are those of plug-ins alone.',
      },
      'provider:physical_network': {
        ruleOfDefault: true,
        type: 'string',
        nullable: true,
        write: 'both',
        writeBy: 'admin',
        seeBy: 'admin',
        default: null,
        minLength: 1,
        maxLength: 64,
        maxBytes: 64,
        indexed: true,
        example: 'physnet1',
        description:
          'Name of the physical network of a vlan or flat network, as hosts map it to an interface (--bridge-mappings); null: a vxlan network has none.',
      },
      'provider:segmentation_id': {
        type: 'integer',
        nullable: true,
        minimum: 1,
        maximum: 16777215,
        write: 'both',
        writeBy: 'admin',
        seeBy: 'admin',
        derive: 'segment',
        indexed: true,
        example: 4242,
        description:
          'VXLAN network identifier (VNI), by default a free one; of a vlan network the VLAN, 1 to 4094; null: a flat network has none.',
      },
    },
  },
} as const;
