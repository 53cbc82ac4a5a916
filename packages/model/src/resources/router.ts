/** Neutron's router. Its interfaces are ports with device_owner `network:router_interface` and the router's id as device_id. */
export const routerResource = {
  name: 'router',
  plural: 'routers',
  label: 'Router',
  notFound: 'Router {id} could not be found',
  prefix: '/v2.0',
  path: 'routers',
  description: 'Routes between the subnets it has an interface in.',
  verbs: ['list', 'show', 'create', 'update', 'delete'],
  missingMarker: 'refused',
  standard: true,
  tagged: true,
  stored: true,
  actions: [
    {
      name: 'add_router_interface',
      description: 'Attaches a subnet (the gateway address becomes the router’s) or a port.',
      besides: 'ignored',
      body: {
        subnet_id: {
          type: 'uuid',
          example: '4f2a3c1e-8b7d-4c6f-9a1b-2d3e4f5a6b7c',
          description: 'Attaches this subnet: its gateway address becomes the router’s.',
        },
        port_id: {
          type: 'uuid',
          example: '7d3f5b21-0a9c-4e8d-b6f7-1c2d3e4f5a6b',
          description: 'Attaches this port: its address becomes the router’s.',
        },
      },
    },
    {
      name: 'remove_router_interface',
      description: 'Detaches a subnet or a port; the port is deleted.',
      besides: 'ignored',
      body: {
        subnet_id: {
          type: 'uuid',
          example: '4f2a3c1e-8b7d-4c6f-9a1b-2d3e4f5a6b7c',
          description: 'Detaches this subnet, and deletes the router’s port in it.',
        },
        port_id: {
          type: 'uuid',
          example: '7d3f5b21-0a9c-4e8d-b6f7-1c2d3e4f5a6b',
          description: 'Detaches this port, and deletes it.',
        },
      },
    },
  ],
  columns: ['id', 'name', 'status', 'admin_state_up', 'project_id'],
  attributes: {
    name: {
      type: 'string',
      write: 'both',
      default: '',
      maxLength: 255,
      indexed: true,
      example: 'blue',
      description: 'The name; need not be unique.',
    },
    admin_state_up: {
      type: 'boolean',
      write: 'both',
      default: true,
      description: 'False: the router forwards nothing.',
    },
    status: {
      type: 'string',
      values: ['ACTIVE', 'DOWN', 'BUILD', 'ERROR'],
      default: 'ACTIVE',
      description: 'The state.',
    },
  },
  hidden: {
    /** VNI of the network by which hosts send what leaves to the host of the gateway; null: there is no gateway. */
    transit_vni: { type: 'integer', nullable: true, indexed: true },
    /** The gateway's port, which says the host; null: there is no gateway. */
    gateway_port_id: { type: 'uuid', nullable: true },
  },
} as const;
