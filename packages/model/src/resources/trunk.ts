/**
 * Neutron's trunk: a machine is in several networks by one interface, that of the parent port. Frames without a tag are the parent's; those with a tag are a
 * sub-port's.
 */
export const trunkResource = {
  name: 'trunk',
  plural: 'trunks',
  label: 'Trunk',
  prefix: '/v2.0',
  path: 'trunks',
  command: 'network trunk',
  description: 'Several ports by one interface: the parent’s frames are untagged, each sub-port’s have a VLAN tag.',
  verbs: ['list', 'show', 'create', 'update', 'delete'],
  standard: true,
  tagged: true,
  stored: true,
  columns: ['id', 'name', 'port_id', 'status'],
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
    port_id: {
      type: 'uuid',
      write: 'create',
      required: true,
      reference: { type: 'port', onDelete: 'restrict' },
      example: '9bd0e6a4-3f0c-4f0e-9d0a-0b8f3a6c2e11',
      description: 'The parent port, whose interface it is.',
    },
    admin_state_up: {
      type: 'boolean',
      write: 'both',
      default: true,
      description: 'False: no sub-ports can be added or removed. Traffic goes on.',
    },
    sub_ports: {
      type: 'list',
      write: 'create',
      default: [],
      maxLength: 4094,
      distinct: ['port_id', 'segmentation_id'],
      items: {
        type: 'object',
        besides: 'ignored',
        properties: {
          port_id: {
            type: 'uuid',
            required: true,
            reference: { type: 'port', onDelete: 'restrict' },
            example: '7d3f5b21-0a9c-4e8d-b6f7-1c2d3e4f5a6b',
            description: 'The port.',
          },
          segmentation_type: {
            type: 'string',
            values: ['vlan', 'inherit'],
            required: true,
            example: 'vlan',
            description:
              'How its frames are told from others: by a VLAN tag, which is given, or (inherit) that of the port’s network, which then is one of type vlan.',
          },
          segmentation_id: {
            type: 'integer',
            requiredUnless: { attribute: 'segmentation_type', is: 'inherit' },
            minimum: 1,
            maximum: 4094,
            example: 101,
            description: 'The tag; once a trunk.',
          },
        },
      },
      example: [{ port_id: '7d3f5b21-0a9c-4e8d-b6f7-1c2d3e4f5a6b', segmentation_type: 'vlan', segmentation_id: 101 }],
      description: 'Ports with their tags; afterwards by add_subports and remove_subports.',
    },
    status: {
      type: 'string',
      values: ['ACTIVE', 'DOWN', 'BUILD', 'DEGRADED'],
      computed: true,
      description:
        'ACTIVE when the parent and all sub-ports that are up are; DOWN: the parent is not; BUILD: sub-ports are being set up; DEGRADED: one cannot be.',
    },
  },
} as const;
