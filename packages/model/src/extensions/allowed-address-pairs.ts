/** Sources that a port may send from besides its own addresses. */
export const allowedAddressPairsExtension = {
  alias: 'allowed-address-pairs',
  name: 'Allowed Address Pairs',
  description: 'Further sources that a port may send from.',
  updated: '2026-01-01T00:00:00-00:00',
  attributes: {
    port: {
      allowed_address_pairs: {
        ruleOfDefault: true,
        type: 'list',
        maxLength: 10,
        write: 'both',
        default: [],
        filter: false,
        items: {
          type: 'object',
          properties: {
            ip_address: { type: 'ip-or-cidr', hostBits: 'kept', required: true },
            mac_address: { type: 'mac' },
          },
        },
        example: [{ ip_address: '10.0.0.100' }],
        description:
          'Sources the port may send from besides its own; of a prefix all of its addresses, whatever its host bits. The MAC is by default the port’s, and follows it.',
      },
    },
  },
} as const;
