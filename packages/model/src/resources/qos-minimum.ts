/** Neutron's minimum bandwidth rule. */
export const qosMinimumBandwidthRuleResource = {
  type: 'qos_minimum_bandwidth_rule',
  name: 'minimum_bandwidth_rule',
  plural: 'minimum_bandwidth_rules',
  label: 'QosRule',
  notFound: 'QoS rule {id} could not be found.',
  prefix: '/v2.0',
  path: 'minimum_bandwidth_rules',
  parent: { type: 'qos_policy', attribute: 'qos_policy_id' },
  forms: [
    {
      form: 'alias',
      prefix: '/v2.0',
      path: 'qos/alias_minimum_bandwidth_rules',
      name: 'alias_minimum_bandwidth_rule',
      plural: 'alias_minimum_bandwidth_rules',
      verbs: ['show', 'update', 'delete'],
    },
  ],
  description:
    'How many bits a second a port is promised: a host is given no more of them than it says that it has. Nothing holds other ports back for it.',
  verbs: ['list', 'show', 'create', 'update', 'delete'],
  standard: true,
  stored: true,
  visibleThrough: 'qos_policy_id',
  columns: ['id', 'direction', 'min_kbps'],
  attributes: {
    qos_policy_id: {
      type: 'uuid',
      write: 'create',
      reference: { type: 'qos_policy', onDelete: 'cascade' },
      example: '2d3e4f5a-6b7c-4d8e-9f0a-1b2c3d4e5f6a',
      description: 'The policy.',
    },
    min_kbps: {
      type: 'integer',
      write: 'both',
      required: true,
      minimum: 0,
      maximum: 2147483647,
      example: 20000,
      description: 'Thousands of bits a second.',
    },
    direction: {
      type: 'string',
      values: ['egress', 'ingress'],
      write: 'both',
      default: 'egress',
      description: 'As the port sees it: egress is what it sends.',
    },
  },
} as const;

/** Neutron's minimum packet rate rule. */
export const qosMinimumPacketRateRuleResource = {
  type: 'qos_minimum_packet_rate_rule',
  name: 'minimum_packet_rate_rule',
  plural: 'minimum_packet_rate_rules',
  label: 'QosRule',
  notFound: 'QoS rule {id} could not be found.',
  prefix: '/v2.0',
  path: 'minimum_packet_rate_rules',
  parent: { type: 'qos_policy', attribute: 'qos_policy_id' },
  forms: [
    {
      form: 'alias',
      prefix: '/v2.0',
      path: 'qos/alias_minimum_packet_rate_rules',
      name: 'alias_minimum_packet_rate_rule',
      plural: 'alias_minimum_packet_rate_rules',
      verbs: ['show', 'update', 'delete'],
    },
  ],
  description:
    'How many packets a second a port is promised: a host is given no more of them than it says that it has. Nothing holds other ports back for it.',
  verbs: ['list', 'show', 'create', 'update', 'delete'],
  standard: true,
  stored: true,
  visibleThrough: 'qos_policy_id',
  columns: ['id', 'direction', 'min_kpps'],
  attributes: {
    qos_policy_id: {
      type: 'uuid',
      write: 'create',
      reference: { type: 'qos_policy', onDelete: 'cascade' },
      example: '2d3e4f5a-6b7c-4d8e-9f0a-1b2c3d4e5f6a',
      description: 'The policy.',
    },
    min_kpps: {
      type: 'integer',
      write: 'both',
      required: true,
      minimum: 0,
      maximum: 2147483647,
      example: 100,
      description: 'Thousands of packets a second.',
    },
    direction: {
      type: 'string',
      values: ['any', 'egress', 'ingress'],
      write: 'both',
      default: 'egress',
      description: 'As the port sees it: egress is what it sends; any: what it sends and receives together.',
    },
  },
} as const;

/** What of a host is promised to its ports: who promises more of it revises this, so that two cannot promise the same. */
export const hostBookingResource = {
  name: 'host_booking',
  plural: 'host_bookings',
  label: 'HostBooking',
  prefix: '/cable/v1',
  path: 'host-bookings',
  description: 'What of a host was promised to its ports when something was last added. The host says what is now.',
  verbs: ['list', 'show'],
  standard: false,
  stored: true,
  adminOnly: true,
  attributes: {
    id: { type: 'string', example: 'node-1', description: 'Name of the host.' },
    granted: {
      type: 'dict',
      default: {},
      example: { physnet1: { egress: 20000 } },
      description:
        'Thousands of bits a second, by physical network (rp_tunnelled: tunnels) and direction; of rp_packets thousands of packets a second.',
    },
  },
} as const;
