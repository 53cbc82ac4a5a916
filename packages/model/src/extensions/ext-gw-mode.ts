/** Gateways of routers to external networks. */
export const extGwModeExtension = {
  alias: 'ext-gw-mode',
  name: 'Neutron L3 Configurable external gateway mode',
  description: 'Gateways of routers to external networks, with address translation of what leaves or without.',
  updated: '2026-11-26T00:00:00-00:00',
  requires: ['router', 'external-net'],
  attributes: {
    router: {
      external_gateway_info: {
        type: 'object',
        nullable: true,
        emptyAsNull: true,
        write: 'both',
        default: null,
        filter: false,
        properties: {
          network_id: { type: 'uuid', description: 'The external network.' },
          enable_snat: {
            type: 'boolean',
            description: 'True, the default: what leaves has an address of the router; false: the guest’s own.',
          },
          external_fixed_ips: {
            type: 'list',
            maxLength: 16,
            items: {
              type: 'object',
              besides: 'ignored',
              properties: { subnet_id: { type: 'uuid' }, ip_address: { type: 'ip' } },
            },
            description: 'Addresses of the router in the external network; by default one of each version of IP.',
          },
        },
        example: {
          network_id: '9bd0e6a4-3f0c-4f0e-9d0a-0b8f3a6c2e11',
          enable_snat: true,
          external_fixed_ips: [{ subnet_id: '4f2a3c1e-8b7d-4c6f-9a1b-2d3e4f5a6b7c', ip_address: '203.0.113.5' }],
        },
        description: 'The way out: an external network and the router’s addresses there; null, or {} when given: none.',
      },
    },
  },
} as const;
