/** Neutron's network: one broadcast domain. */
export const networkResource = {
  name: 'network',
  plural: 'networks',
  label: 'Network',
  prefix: '/v2.0',
  path: 'networks',
  description: 'A layer-2 broadcast domain.',
  verbs: ['list', 'show', 'create', 'update', 'delete'],
  standard: true,
  tagged: true,
  stored: true,
  sharedBy: 'shared',
  columns: ['id', 'name', 'subnets', 'status'],
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
      description: 'False: the network carries nothing.',
    },
    status: {
      type: 'string',
      values: ['ACTIVE', 'DOWN', 'BUILD', 'ERROR'],
      default: 'ACTIVE',
      description: 'The state.',
    },
    shared: {
      type: 'boolean',
      write: 'both',
      writeBy: 'admin',
      default: false,
      grantedBy: 'shared_with',
      sort: false,
      description:
        'True: the caller’s project may use the network, as it is shared with it or with every one. Given: with every one.',
    },
    subnets: {
      type: 'list',
      items: { type: 'uuid' },
      computed: true,
      filter: false,
      example: ['4f2a3c1e-8b7d-4c6f-9a1b-2d3e4f5a6b7c'],
      description: 'IDs of the subnets.',
    },
  },
  hidden: {
    shared_with: {
      type: 'list',
      items: { type: 'string' },
      default: [],
      indexed: true,
      description: 'Projects that may use the object (access_as_shared); *: every one.',
    },
    external_to: {
      type: 'list',
      items: { type: 'string' },
      default: [],
      indexed: true,
      description: 'Projects to which the network leads outside (access_as_external); *: every one.',
    },
    /** Of a network that is not of VXLAN: the VNI that is kept for it all the same; null: its segmentation id is the VNI. */
    vni: { type: 'integer', nullable: true, indexed: true },
  },
} as const;
