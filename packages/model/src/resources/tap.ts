/** What is copied, of a flow and of a mirror alike. */
const FILTER = {
  type: 'list',
  write: 'both',
  default: [],
  maxLength: 8,
  items: {
    type: 'object',
    properties: {
      protocol: {
        type: 'string',
        orInteger: true,
        nullable: true,
        maxLength: 40,
        example: 'tcp',
        description: 'Name or IANA number, as in a security group rule; null: any.',
      },
      remote_ip_prefix: {
        type: 'ip-or-cidr',
        nullable: true,
        example: '198.51.100.0/24',
        description: 'A prefix that the other end is in; null: any.',
      },
      port_range_min: {
        type: 'integer',
        nullable: true,
        minimum: 0,
        maximum: 65535,
        example: 443,
        description: 'First port, of either end; null: any.',
      },
      port_range_max: {
        type: 'integer',
        nullable: true,
        minimum: 0,
        maximum: 65535,
        example: 443,
        description: 'Last port; null: the first.',
      },
    },
  },
  example: [{ protocol: 'tcp', remote_ip_prefix: '198.51.100.0/24', port_range_min: 443, port_range_max: 443 }],
  description: 'Kinds of traffic that are copied, each packet of one of them; none: everything.',
} as const;

/** How much of it. */
const MAX_KBPS = {
  type: 'integer',
  write: 'both',
  writeBy: 'admin',
  default: 1_000_000,
  minimum: 1,
  maximum: 2147483647,
  example: 1_000_000,
  description:
    'Thousands of bits a second that are copied at the most, both directions together; copies of more are dropped.',
} as const;

/** A port that watches others, of the tap-as-a-service project. */
export const tapServiceResource = {
  name: 'tap_service',
  plural: 'tap_services',
  label: 'TapService',
  prefix: '/v2.0',
  path: 'taas/tap_services',
  description: 'A port to which traffic of others is copied.',
  verbs: ['list', 'show', 'create', 'update', 'delete'],
  standard: true,
  stored: true,
  columns: ['id', 'name', 'port_id', 'status'],
  attributes: {
    name: {
      type: 'string',
      write: 'both',
      default: '',
      maxLength: 255,
      indexed: true,
      example: 'ids',
      description: 'The name; need not be unique.',
    },
    port_id: {
      type: 'uuid',
      write: 'create',
      required: true,
      reference: { type: 'port', onDelete: 'cascade' },
      example: '9bd0e6a4-3f0c-4f0e-9d0a-0b8f3a6c2e11',
      description: 'The port that copies are delivered to.',
    },
    status: {
      type: 'string',
      values: ['ACTIVE', 'DOWN'],
      computed: true,
      example: 'ACTIVE',
      description: 'ACTIVE when the port is.',
    },
  },
  hidden: {
    /** By which copies from other hosts are known. */
    vni: { type: 'integer', indexed: true },
  },
} as const;

/** A port whose traffic is copied to a tap service, of the tap-as-a-service project. */
export const tapFlowResource = {
  name: 'tap_flow',
  plural: 'tap_flows',
  label: 'TapFlow',
  prefix: '/v2.0',
  path: 'taas/tap_flows',
  description: 'Copies what a port sends or receives to a tap service.',
  verbs: ['list', 'show', 'create', 'update', 'delete'],
  standard: true,
  stored: true,
  columns: ['id', 'name', 'source_port', 'tap_service_id', 'direction', 'status'],
  attributes: {
    name: {
      type: 'string',
      write: 'both',
      default: '',
      maxLength: 255,
      indexed: true,
      example: 'ids',
      description: 'The name; need not be unique.',
    },
    tap_service_id: {
      type: 'uuid',
      write: 'create',
      required: true,
      reference: { type: 'tap_service', onDelete: 'cascade' },
      example: '1c6f9a52-7e0b-4a59-8f43-6d2c9e1b7a08',
      description: 'The tap service.',
    },
    source_port: {
      type: 'uuid',
      write: 'create',
      required: true,
      reference: { type: 'port', onDelete: 'cascade' },
      example: '9bd0e6a4-3f0c-4f0e-9d0a-0b8f3a6c2e11',
      description: 'The port whose traffic is copied.',
    },
    direction: {
      type: 'string',
      values: ['IN', 'OUT', 'BOTH'],
      write: 'create',
      required: true,
      example: 'BOTH',
      description: 'IN: what the port receives; OUT: what it sends.',
    },
    status: {
      type: 'string',
      values: ['ACTIVE', 'DOWN'],
      computed: true,
      example: 'ACTIVE',
      description: 'ACTIVE when the port and that of the tap service are.',
    },
    'cable:filter': FILTER as typeof FILTER,
    'cable:max_kbps': MAX_KBPS as typeof MAX_KBPS,
  },
  hidden: {
    /** Places of the mirror among those of its port, by direction; null: it does not copy that. */
    in_place: { type: 'integer', nullable: true },
    out_place: { type: 'integer', nullable: true },
  },
} as const;

/** A port whose traffic is copied to a collector outside; Neutron's tap mirror. */
export const tapMirrorResource = {
  name: 'tap_mirror',
  plural: 'tap_mirrors',
  label: 'TapMirror',
  prefix: '/v2.0',
  path: 'taas/tap_mirrors',
  description: 'Copies what a port sends or receives to a collector outside, in GRE or ERSPAN.',
  verbs: ['list', 'show', 'create', 'update', 'delete'],
  standard: true,
  stored: true,
  columns: ['id', 'name', 'port_id', 'directions', 'remote_ip', 'mirror_type'],
  attributes: {
    name: {
      type: 'string',
      write: 'both',
      default: '',
      maxLength: 255,
      indexed: true,
      example: 'ids',
      description: 'The name; need not be unique.',
    },
    port_id: {
      type: 'uuid',
      write: 'create',
      required: true,
      reference: { type: 'port', onDelete: 'cascade' },
      example: '9bd0e6a4-3f0c-4f0e-9d0a-0b8f3a6c2e11',
      description: 'The port whose traffic is copied.',
    },
    directions: {
      type: 'object',
      write: 'create',
      required: true,
      filter: false,
      sort: false,
      properties: {
        IN: {
          type: 'integer',
          minimum: 0,
          maximum: 4294967295,
          example: 101,
          description: 'Tunnel number of copies of what the port receives; absent: none are made.',
        },
        OUT: {
          type: 'integer',
          minimum: 0,
          maximum: 4294967295,
          example: 101,
          description: 'The same of what it sends.',
        },
      },
      example: { IN: 101, OUT: 102 },
      description:
        'Tunnel number by direction: key of GRE, or session of ERSPAN (0 to 1023). A number is one mirror’s.',
    },
    remote_ip: {
      type: 'ip',
      write: 'create',
      required: true,
      example: '192.0.2.50',
      description: 'IPv4 address of the collector, which hosts reach from the underlay.',
    },
    mirror_type: {
      type: 'string',
      values: ['erspanv1', 'gre'],
      write: 'create',
      required: true,
      example: 'erspanv1',
      description: 'erspanv1: ERSPAN type II; gre: Ethernet in GRE.',
    },
    'cable:filter': FILTER as typeof FILTER,
    'cable:max_kbps': MAX_KBPS as typeof MAX_KBPS,
  },
  hidden: {
    /** As of a tap flow. */
    in_place: { type: 'integer', nullable: true },
    out_place: { type: 'integer', nullable: true },
    /** `directions`, to be found by. */
    in_tunnel: { type: 'integer', nullable: true, indexed: true },
    out_tunnel: { type: 'integer', nullable: true, indexed: true },
  },
} as const;
