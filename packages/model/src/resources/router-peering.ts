/** Most peerings of one router. */
export const ROUTER_PEERINGS_MAX = 32;
/** Most subnets that one side of a peering lets through, and most prefixes that it takes. */
export const PEERING_PREFIXES_MAX = 64;

/** One side of a peering of two routers: what its owner lets through to the other, and takes of it. */
export const routerPeeringResource = {
  name: 'router_peering',
  plural: 'router_peerings',
  label: 'RouterPeering',
  prefix: '/v2.0',
  path: 'peerings',
  parent: { type: 'router', attribute: 'router_id' },
  command: 'router peering',
  description:
    'One side of a peering of two routers. Each side is made by the owner of its router; there is a way when both are there, between the subnets that each lets through and the other takes.',
  verbs: ['list', 'show', 'create', 'update', 'delete'],
  standard: true,
  stored: true,
  columns: ['id', 'name', 'peer_router_id', 'status', 'subnet_ids', 'peer_prefixes'],
  attributes: {
    name: {
      type: 'string',
      write: 'both',
      default: '',
      maxLength: 255,
      indexed: true,
      example: 'to-billing',
      description: 'The name; need not be unique.',
    },
    peer_router_id: {
      type: 'uuid',
      write: 'create',
      required: true,
      example: '6a1d2f3b-5c4e-4d7f-8a9b-0c1d2e3f4a5b',
      description:
        'The other router, which may be another project’s. Whether there is such a router is not told: its owner makes the other side.',
    },
    subnet_ids: {
      type: 'list',
      write: 'both',
      default: [],
      filter: false,
      items: { type: 'uuid', reference: { type: 'subnet', onDelete: 'restrict' } },
      example: ['4f2a3c1e-8b7d-4c6f-9a1b-2d3e4f5a6b7c'],
      description:
        'What this side lets through: subnets of the router’s own interfaces, 64 at the most. What is in none of them neither sends to the other side nor is reached by it.',
    },
    accepted_prefixes: {
      type: 'list',
      write: 'both',
      default: [],
      filter: false,
      items: { type: 'cidr' },
      example: ['10.8.0.0/16'],
      description:
        'What this side takes of the other’s: subnets that lie in one of these, 64 at the most; empty: all that the other lets through.',
    },
    status: {
      type: 'string',
      values: ['ACTIVE', 'DOWN'],
      computed: true,
      description: 'ACTIVE when both sides are there and both routers are up; DOWN otherwise.',
    },
    waits_for: {
      type: 'string',
      computed: true,
      filter: false,
      sort: false,
      description: 'What a peering that is DOWN waits for; empty when it is ACTIVE.',
    },
    peer_prefixes: {
      type: 'list',
      computed: true,
      filter: false,
      items: { type: 'cidr' },
      example: ['10.8.1.0/24'],
      description:
        'Subnets of the other side that are in force: what it lets through and this side takes, without what overlaps a subnet of this router or of an older peering of it.',
    },
  },
  hidden: { router_id: { type: 'uuid', reference: { type: 'router', onDelete: 'cascade' } } },
} as const;
