/** Routes of a router besides those to its subnets. */
export const extrarouteExtension = {
  alias: 'extraroute',
  name: 'Neutron Extra Route',
  description: 'Routes of a router besides those to its subnets.',
  updated: '2026-01-01T00:00:00-00:00',
  requires: ['router'],
  attributes: {
    router: {
      routes: {
        type: 'list',
        maxLength: 30,
        write: 'update',
        default: [],
        filter: false,
        items: {
          type: 'object',
          properties: { destination: { type: 'cidr', required: true }, nexthop: { type: 'ip', required: true } },
        },
        example: [{ destination: '192.0.2.0/24', nexthop: '10.0.0.9' }],
        description: 'Extra routes; each next hop must be in an attached subnet.',
      },
    },
  },
} as const;
