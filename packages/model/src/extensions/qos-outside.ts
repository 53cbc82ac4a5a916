/** Policies that limit what passes by a floating IP. */
export const qosFipExtension = {
  alias: 'qos-fip',
  name: 'Floating IP QoS',
  description: 'QoS policies of floating IPs.',
  updated: '2026-11-27T00:00:00-00:00',
  requires: ['qos', 'fip-port-details'],
  attributes: {
    floatingip: {
      qos_policy_id: {
        type: 'uuid',
        nullable: true,
        write: 'both',
        default: null,
        reference: { type: 'qos_policy', onDelete: 'restrict' },
        example: '2d3e4f5a-6b7c-4d8e-9f0a-1b2c3d4e5f6a',
        description:
          'QoS policy of what passes by the address, besides that of the port: egress is what leaves with it, ingress what comes to it. Null: none, also where the router’s gateway has one.',
      },
    },
  },
} as const;

/** Policies that limit what passes by a router's own address outside. */
export const qosGatewayIpExtension = {
  alias: 'qos-gateway-ip',
  name: 'Router gateway IP QoS',
  description: 'QoS policies of the gateways of routers.',
  updated: '2026-11-27T00:00:00-00:00',
  requires: ['qos', 'ext-gw-mode'],
  changes: {
    router: {
      external_gateway_info: {
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
          qos_policy_id: {
            type: 'uuid',
            nullable: true,
            emptyAsNull: true,
            reference: { type: 'qos_policy', onDelete: 'restrict' },
            description:
              'QoS policy of what passes by the router’s own address (enable_snat): egress is what leaves with it, ingress what comes to it. Where ports leave by their own hosts (cable:snat distributed) it holds for each host by itself. Null, the default: none; not given for a gateway that stays: as it is.',
          },
        },
        example: {
          network_id: '9bd0e6a4-3f0c-4f0e-9d0a-0b8f3a6c2e11',
          enable_snat: true,
          external_fixed_ips: [{ subnet_id: '4f2a3c1e-8b7d-4c6f-9a1b-2d3e4f5a6b7c', ip_address: '203.0.113.5' }],
          qos_policy_id: null,
        },
      },
    },
  },
} as const;
