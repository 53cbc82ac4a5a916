import type { ResourceObject, ResourceView } from '../declaration.ts';

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
  extensions: ['net-mtu-writable'],
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
    mtu: {
      type: 'integer',
      write: 'both',
      derive: 'mtu',
      minimum: 68,
      maximum: 65535,
      extension: 'net-mtu',
      description: 'Largest packet in bytes; by default what the underlay carries less the tunnel header.',
    },
    port_security_enabled: {
      type: 'boolean',
      write: 'both',
      default: true,
      extension: 'port-security',
      description: 'Default of the attribute of the same name of new ports.',
    },
    'provider:network_type': {
      type: 'string',
      values: ['vxlan'],
      write: 'create',
      writeBy: 'admin',
      seeBy: 'admin',
      default: 'vxlan',
      extension: 'provider',
      description: 'How the network is carried between hosts.',
    },
    'provider:physical_network': {
      type: 'string',
      nullable: true,
      default: null,
      seeBy: 'admin',
      extension: 'provider',
      description: 'Always null: a tunnelled network has no physical network.',
    },
    'provider:segmentation_id': {
      type: 'integer',
      minimum: 1,
      maximum: 16777215,
      write: 'create',
      writeBy: 'admin',
      seeBy: 'admin',
      derive: 'vni',
      indexed: true,
      extension: 'provider',
      description: 'VXLAN network identifier (VNI).',
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

/** As stored. */
export type Network = ResourceObject<typeof networkResource>;
/** As shown to an admin. */
export type NetworkView = ResourceView<typeof networkResource>;
