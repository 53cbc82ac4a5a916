/** Subnets for ports of some owners alone. */
export const subnetServiceTypesExtension = {
  alias: 'subnet-service-types',
  name: 'Subnet service types',
  description: 'Subnets whose addresses only ports of some owners have.',
  updated: '2026-11-28T00:00:00-00:00',
  attributes: {
    subnet: {
      service_types: {
        type: 'list',
        items: { type: 'string', maxLength: 255 },
        maxLength: 64,
        write: 'both',
        writeBy: 'admin',
        default: [],
        filter: false,
        example: ['network:floatingip', 'network:router_gateway'],
        description:
          'Only ports with one of these device owners have addresses of the subnet, and have them of it before those of others; empty: all ports.',
      },
    },
  },
} as const;
