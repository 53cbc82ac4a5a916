/** The largest packet of a network, as it is. */
export const netMtuExtension = {
  alias: 'net-mtu',
  name: 'Network MTU',
  description: 'Shows the largest packet of a network.',
  updated: '2026-01-01T00:00:00-00:00',
  columns: { network: ['mtu'] },
  attributes: {
    network: {
      mtu: {
        type: 'integer',
        derive: 'mtu',
        minimum: 68,
        maximum: 65535,
        example: 1450,
        description: 'Largest packet in bytes; by default what the underlay carries less the tunnel header.',
      },
    },
  },
} as const;

/** The largest packet of a network, chosen. */
export const netMtuWritableExtension = {
  alias: 'net-mtu-writable',
  name: 'Network MTU (writable)',
  description: 'The largest packet of a network can be chosen.',
  updated: '2026-01-01T00:00:00-00:00',
  requires: ['net-mtu'],
  changes: { network: { mtu: { write: 'both' } } },
} as const;
