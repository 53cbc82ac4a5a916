/** Most matches of one wire. */
export const PSEUDOWIRE_MATCHES_MAX = 64;

/** One direction of a line of a proton, or one hop of the way of a classifier's packets through a chain: what back ends of protons tell hosts. */
export const pseudowireResource = {
  name: 'pseudowire',
  plural: 'pseudowires',
  label: 'Pseudowire',
  prefix: '/cable/v1',
  path: 'pseudowires',
  description: 'One direction of a line of a proton, or one hop of a way through a chain of functions.',
  verbs: ['list', 'show'],
  standard: false,
  stored: true,
  adminOnly: true,
  columns: ['id', 'name', 'proton', 'vni', 'port_ids', 'project_id'],
  attributes: {
    id: { type: 'uuid', example: '7d3f5b21-0a9c-4e8d-b6f7-1c2d3e4f5a6b', description: 'Of the wire.' },
    proton: { type: 'string', indexed: true, example: 'circuit', description: 'The proton that it came by.' },
    object_id: { type: 'uuid', indexed: true, description: 'The line or the classifier that it is of.' },
    project_id: { type: 'string', indexed: true, maxLength: 255, description: 'The project that owns that.' },
    name: {
      type: 'string',
      default: '',
      maxLength: 255,
      example: 'office-to-lab',
      description: 'In its user’s words.',
    },
    vni: { type: 'integer', indexed: true, example: 4711, description: 'Of its frames between two hosts.' },
    port_ids: {
      type: 'list',
      indexed: true,
      items: { type: 'uuid' },
      description:
        'Where frames enter, and where they come out. The ports are of protons; that of a classifier may be Neutron’s.',
    },
    at_port_id: {
      type: 'uuid',
      nullable: true,
      default: null,
      indexed: true,
      reference: { type: 'port', onDelete: 'cascade' },
      description: 'The port at which its chain is: where the way begins and ends. Null: it is of a line.',
    },
    at: {
      type: 'string',
      values: ['sent', 'delivered'],
      default: 'sent',
      description: 'Whether its chain is for what that port sends, or for what is delivered to it.',
    },
    back_port_id: {
      type: 'uuid',
      nullable: true,
      default: null,
      description: 'Of a wire to a function: the port from which it gives packets back. Null: it leads to none.',
    },
    transparent: {
      type: 'boolean',
      default: false,
      description: 'Of a wire to a function: it takes frames as they are, and not by the MAC of its port.',
    },
    matches: {
      type: 'list',
      default: [],
      filter: false,
      sort: false,
      items: {
        type: 'object',
        properties: {
          ip_version: { type: 'integer' },
          source: { type: 'cidr', nullable: true },
          destination: { type: 'cidr', nullable: true },
          protocol: { type: 'integer', nullable: true },
          source_ports: {
            type: 'object',
            nullable: true,
            properties: { first: { type: 'integer' }, last: { type: 'integer' } },
          },
          destination_ports: {
            type: 'object',
            nullable: true,
            properties: { first: { type: 'integer' }, last: { type: 'integer' } },
          },
        },
      },
      description: 'What enters at the port of a classifier: packets that one of these fits. Empty: every frame.',
    },
    precedence: {
      type: 'integer',
      default: 0,
      description:
        'Of several wires with matches at one port the lowest is asked first; of the same, that of the lower id.',
    },
    admitted_kbps: {
      type: 'integer',
      nullable: true,
      default: null,
      description: 'How much passes at most; null: no limit.',
    },
    guaranteed_kbps: {
      type: 'integer',
      nullable: true,
      default: null,
      description: 'How much the uplinks of both hosts keep free for it; null: nothing.',
    },
  },
} as const;
