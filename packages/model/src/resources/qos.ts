/** Neutron's QoS policy: limits and marks that ports and networks share. */
export const qosPolicyResource = {
  type: 'qos_policy',
  name: 'policy',
  plural: 'policies',
  label: 'QosPolicy',
  notFound: 'QoS policy {id} could not be found.',
  prefix: '/v2.0',
  path: 'qos/policies',
  description: 'What ports may send and receive at the most, and how what they send is marked.',
  verbs: ['list', 'show', 'create', 'update', 'delete'],
  standard: true,
  tagged: true,
  stored: true,
  sharedBy: 'shared',
  updateHidesShared: true,
  forms: [
    // Neutron has the tags of QoS policies here alone.
    { form: 'tagged', prefix: '/v2.0', path: 'policies', verbs: [] },
  ],
  columns: ['id', 'name', 'shared', 'project_id'],
  attributes: {
    name: {
      type: 'string',
      write: 'both',
      default: '',
      maxLength: 255,
      indexed: true,
      example: 'gold',
      description: 'The name; need not be unique.',
    },
    shared: {
      type: 'boolean',
      write: 'both',
      default: false,
      grantedBy: 'shared_with',
      sort: false,
      description:
        'True: the caller’s project may use the policy, as it is shared with it or with every one. Given: with every one.',
    },
    rules: {
      type: 'list',
      items: { type: 'dict' },
      computed: true,
      filter: false,
      example: [{ type: 'bandwidth_limit', direction: 'egress', max_kbps: 20000, max_burst_kbps: 0 }],
      description: 'The rules; each says its type.',
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
  },
} as const;

/** Neutron's bandwidth limit rule. */
export const qosBandwidthLimitRuleResource = {
  type: 'qos_bandwidth_limit_rule',
  name: 'bandwidth_limit_rule',
  plural: 'bandwidth_limit_rules',
  label: 'QosRule',
  notFound: 'QoS rule {id} could not be found.',
  prefix: '/v2.0',
  path: 'bandwidth_limit_rules',
  parent: { type: 'qos_policy', attribute: 'qos_policy_id' },
  forms: [
    {
      form: 'alias',
      prefix: '/v2.0',
      path: 'qos/alias_bandwidth_limit_rules',
      name: 'alias_bandwidth_limit_rule',
      plural: 'alias_bandwidth_limit_rules',
      verbs: ['show', 'update', 'delete'],
    },
  ],
  description: 'How many bits a second a port may send, or receive.',
  verbs: ['list', 'show', 'create', 'update', 'delete'],
  standard: true,
  stored: true,
  visibleThrough: 'qos_policy_id',
  columns: ['id', 'direction', 'max_kbps', 'max_burst_kbps'],
  attributes: {
    qos_policy_id: {
      type: 'uuid',
      write: 'create',
      reference: { type: 'qos_policy', onDelete: 'cascade' },
      example: '2d3e4f5a-6b7c-4d8e-9f0a-1b2c3d4e5f6a',
      description: 'The policy.',
    },
    max_kbps: {
      type: 'integer',
      write: 'both',
      required: true,
      minimum: 0,
      maximum: 2147483647,
      example: 20000,
      description: 'Thousands of bits a second, of frames with their Ethernet headers; 0: any number.',
    },
    max_burst_kbps: {
      type: 'integer',
      write: 'both',
      default: 0,
      minimum: 0,
      maximum: 2147483647,
      example: 16000,
      description:
        'Thousands of bits that may pass at once after a pause; 0: what suits, next to nothing where the rest waits, 0.8 s at the rate where it is dropped.',
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

/** Neutron's packet rate limit rule. */
export const qosPacketRateLimitRuleResource = {
  type: 'qos_packet_rate_limit_rule',
  name: 'packet_rate_limit_rule',
  plural: 'packet_rate_limit_rules',
  label: 'QosRule',
  notFound: 'QoS rule {id} could not be found.',
  prefix: '/v2.0',
  path: 'packet_rate_limit_rules',
  parent: { type: 'qos_policy', attribute: 'qos_policy_id' },
  forms: [
    {
      form: 'alias',
      prefix: '/v2.0',
      path: 'qos/alias_packet_rate_limit_rules',
      name: 'alias_packet_rate_limit_rule',
      plural: 'alias_packet_rate_limit_rules',
      verbs: ['show', 'update', 'delete'],
    },
  ],
  description: 'How many packets a second a port may send, or receive.',
  verbs: ['list', 'show', 'create', 'update', 'delete'],
  standard: true,
  stored: true,
  visibleThrough: 'qos_policy_id',
  columns: ['id', 'direction', 'max_kpps', 'max_burst_kpps'],
  attributes: {
    qos_policy_id: {
      type: 'uuid',
      write: 'create',
      reference: { type: 'qos_policy', onDelete: 'cascade' },
      example: '2d3e4f5a-6b7c-4d8e-9f0a-1b2c3d4e5f6a',
      description: 'The policy.',
    },
    max_kpps: {
      type: 'integer',
      write: 'both',
      required: true,
      minimum: 0,
      maximum: 2147483647,
      example: 50,
      description: 'Thousands of packets a second; 0: any number.',
    },
    max_burst_kpps: {
      type: 'integer',
      write: 'both',
      default: 0,
      minimum: 0,
      maximum: 2147483647,
      example: 40,
      description: 'Thousands of packets that may pass at once after a pause; 0: what passes in 0.8 s.',
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

/** Neutron's DSCP marking rule. */
export const qosDscpMarkingRuleResource = {
  type: 'qos_dscp_marking_rule',
  name: 'dscp_marking_rule',
  plural: 'dscp_marking_rules',
  label: 'QosRule',
  notFound: 'QoS rule {id} could not be found.',
  prefix: '/v2.0',
  path: 'dscp_marking_rules',
  parent: { type: 'qos_policy', attribute: 'qos_policy_id' },
  forms: [
    {
      form: 'alias',
      prefix: '/v2.0',
      path: 'qos/alias_dscp_marking_rules',
      name: 'alias_dscp_marking_rule',
      plural: 'alias_dscp_marking_rules',
      verbs: ['show', 'update', 'delete'],
    },
  ],
  description: 'The DSCP (RFC 2474) that what a port sends is given.',
  verbs: ['list', 'show', 'create', 'update', 'delete'],
  standard: true,
  stored: true,
  visibleThrough: 'qos_policy_id',
  columns: ['id', 'dscp_mark'],
  attributes: {
    qos_policy_id: {
      type: 'uuid',
      write: 'create',
      reference: { type: 'qos_policy', onDelete: 'cascade' },
      example: '2d3e4f5a-6b7c-4d8e-9f0a-1b2c3d4e5f6a',
      description: 'The policy.',
    },
    dscp_mark: {
      type: 'integer',
      write: 'both',
      required: true,
      values: [0, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 34, 36, 38, 40, 46, 48, 56],
      example: 46,
      description: 'The DSCP, of IPv4 and IPv6 packets.',
    },
  },
} as const;

/** Neutron's QoS rule type: a kind of rule that hosts hold to. */
export const qosRuleTypeResource = {
  type: 'qos_rule_type',
  name: 'rule_type',
  plural: 'rule_types',
  label: 'QosRuleType',
  prefix: '/v2.0',
  path: 'qos/rule-types',
  key: 'type',
  description: 'A kind of rule that a QoS policy may have.',
  verbs: ['list', 'show'],
  showBy: 'admin',
  standard: false,
  stored: false,
  attributes: {
    type: {
      type: 'string',
      computed: true,
      maxBytes: 64,
      example: 'bandwidth_limit',
      description: 'Name of the kind.',
    },
  },
} as const;
