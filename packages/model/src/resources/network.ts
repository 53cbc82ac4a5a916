/** Neutron's network: one broadcast domain, carried by VXLAN. */
export const networkResource = {
  name: 'network',
  plural: 'networks',
  label: 'Network',
  prefix: '/v2.0',
  path: 'networks',
  description: 'A layer-2 broadcast domain.',
  verbs: ['list', 'show', 'create', 'update', 'delete'],
  standard: true,
  stored: true,
  sharedBy: 'shared',
  attributes: {
    name: {
      type: 'string',
      write: 'both',
      default: '',
      maxLength: 255,
      indexed: true,
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
      description: 'True: every project may use the network.',
    },
    subnets: {
      type: 'list',
      items: { type: 'uuid' },
      computed: true,
      filter: false,
      description: 'IDs of the subnets.',
    },
  },
} as const;
