/** Ports of one block of a router's external address. */
export const SNAT_BLOCK_PORTS = 64;

/** Blocks of ports of a router's external address that one port has behind the router, for as long as it has them. */
export const snatLeaseResource = {
  type: 'snat_lease',
  name: 'snat_lease',
  plural: 'snat_leases',
  label: 'SnatLease',
  prefix: '/cable/v1',
  path: 'snat-leases',
  description: 'Blocks of ports of a router’s external address that one port has.',
  verbs: ['list', 'show'],
  standard: false,
  stored: true,
  adminOnly: true,
  columns: ['external_address', 'first_ports', 'port_id', 'host_id', 'router_id'],
  actions: [
    {
      name: 'find',
      description:
        'Who had a port of an external address at a time: the records of its block, the newest first; of one time at most one for each external network.',
      on: 'collection',
      method: 'POST',
      body: {
        external_address: { type: 'ip', required: true, example: '203.0.113.5', description: 'The external address.' },
        external_port: {
          type: 'integer',
          required: true,
          minimum: 0,
          maximum: 65_535,
          example: 40_123,
          description: 'The port, or the identifier of an ICMP echo.',
        },
        at: {
          type: 'timestamp',
          example: '2026-11-27T12:00:00Z',
          description: 'The time (UTC); without it all that is known of the block is told.',
        },
      },
      answerKey: 'snat_records',
      answer: {
        records: {
          type: 'list',
          description: 'What is known; empty: nobody had it.',
          items: {
            type: 'object',
            properties: {
              external_address: { type: 'ip' },
              first_port: { type: 'integer' },
              last_port: { type: 'integer' },
              network_id: { type: 'uuid', description: 'The external network.' },
              router_id: { type: 'uuid' },
              port_id: { type: 'uuid', description: 'The port that had the block: the guest.' },
              project_id: { type: 'string' },
              device_id: { type: 'string' },
              mac_address: { type: 'mac' },
              fixed_ips: { type: 'list', items: { type: 'ip' } },
              host_id: { type: 'string', description: 'The host by whose uplink it left.' },
              from: { type: 'timestamp' },
              to: { type: 'timestamp', nullable: true, description: 'Null: it has it still.' },
            },
          },
        },
      },
    },
  ],
  attributes: {
    id: { type: 'uuid', example: '7d3f5b21-0a9c-4e8d-b6f7-1c2d3e4f5a6b', description: 'The ID of the lease.' },
    router_id: { type: 'uuid', indexed: true, description: 'The router.' },
    network_id: { type: 'uuid', indexed: true, description: 'The external network.' },
    external_address: { type: 'ip', indexed: true, example: '203.0.113.5', description: 'The router’s address there.' },
    port_id: { type: 'uuid', indexed: true, description: 'The port behind the router that has the blocks.' },
    host_id: {
      type: 'string',
      indexed: true,
      example: 'node-1',
      description: 'The host by whose uplink what the port sends leaves.',
    },
    first_ports: {
      type: 'list',
      items: { type: 'integer' },
      filter: false,
      example: [40_064],
      description: 'The first port of each block that is in use. A block has 64 ports.',
    },
    resting: {
      type: 'list',
      items: {
        type: 'object',
        properties: {
          first_port: { type: 'integer', description: 'First port of the block.' },
          released_at: { type: 'timestamp', description: 'When it was taken back (UTC).' },
        },
      },
      default: [],
      filter: false,
      sort: false,
      description: 'Blocks that were taken back, and that nobody gets before connections by them are over.',
    },
    leased_at: {
      type: 'timestamp',
      example: '2026-11-27T12:00:00Z',
      description: 'Since when the port has blocks at this host (UTC).',
    },
    released_at: {
      type: 'timestamp',
      nullable: true,
      default: null,
      description: 'When the last of them was taken back (UTC); null: it has some.',
    },
  },
} as const;
