/** Most of one router. */
export const ROUTER_EGRESSES_MAX = 64;

/** By which of a router's addresses some of the ports behind it leave. */
export const routerEgressResource = {
  name: 'router_egress',
  plural: 'router_egresses',
  label: 'RouterEgress',
  prefix: '/v2.0',
  path: 'router-egresses',
  description:
    'By which addresses of a router’s gateway some of the ports behind it leave; nobody else leaves by these. Of those that match a port the one with the highest priority counts; a port that none matches leaves by an address that none names.',
  verbs: ['list', 'show', 'create', 'update', 'delete'],
  standard: true,
  stored: true,
  columns: ['id', 'name', 'router_id', 'priority', 'status', 'external_addresses', 'subnet_ids', 'namespaces', 'pods'],
  attributes: {
    name: {
      type: 'string',
      write: 'both',
      default: '',
      maxLength: 255,
      indexed: true,
      example: 'payments',
      description: 'The name; need not be unique.',
    },
    router_id: {
      type: 'uuid',
      write: 'create',
      required: true,
      reference: { type: 'router', onDelete: 'cascade' },
      example: '6a1d2f3b-5c4e-4d7f-8a9b-0c1d2e3f4a5b',
      description: 'The router, which has a gateway.',
    },
    priority: {
      type: 'integer',
      write: 'both',
      default: 100,
      minimum: 0,
      maximum: 32767,
      example: 100,
      description: 'The highest of those that match counts; of equal ones the older.',
    },
    external_addresses: {
      type: 'list',
      write: 'create',
      default: [],
      maxLength: 8,
      items: { type: 'ip' },
      filter: false,
      example: ['203.0.113.7'],
      description:
        'IPv4 addresses of the router’s gateway. Empty: the router gets another one of the external network, which goes with this.',
    },
    subnet_ids: {
      type: 'list',
      write: 'both',
      default: [],
      maxLength: 32,
      filter: false,
      items: { type: 'uuid', reference: { type: 'subnet', onDelete: 'restrict' } },
      example: ['4f2a3c1e-8b7d-4c6f-9a1b-2d3e4f5a6b7c'],
      description: 'Only ports with an address in one of these; empty: in any.',
    },
    namespaces: {
      type: 'list',
      write: 'both',
      default: [],
      maxLength: 256,
      filter: false,
      items: { type: 'string', maxLength: 255 },
      example: ['cluster-1/shop'],
      description: 'Only pods of these namespaces, each as <cluster>/<namespace>; empty: of any, and VMs.',
    },
    pods: {
      type: 'string',
      write: 'both',
      nullable: true,
      default: null,
      maxLength: 16_384,
      filter: false,
      example: 'app=web,tier in (a,b)',
      description:
        'Only pods whose labels match this selector, in the form that Kubernetes has for it; null: any, and VMs.',
    },
    status: {
      type: 'string',
      values: ['ACTIVE', 'DOWN'],
      computed: true,
      description: 'ACTIVE when what it means leaves by its addresses; DOWN when it leaves as without it.',
    },
    waits_for: {
      type: 'string',
      computed: true,
      filter: false,
      sort: false,
      description: 'What one that is DOWN waits for; empty when it is ACTIVE.',
    },
  },
  hidden: {
    /** The one that came with it. */
    own_address: { type: 'ip', nullable: true },
  },
} as const;
