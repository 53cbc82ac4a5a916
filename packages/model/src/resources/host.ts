/** Zone of hosts whose agents say none: Neutron's word. */
export const DEFAULT_ZONE = 'nova';

/** True for what a host's zone may be called. */
export function isZoneName(text: string): boolean {
  return text.length >= 1 && text.length <= 255 && !/\p{Cc}/u.test(text);
}

/** A machine that runs the agent. Its id is its name; it makes itself known with `PUT /cable/v1/hosts/{host}`. */
export const hostResource = {
  name: 'host',
  plural: 'hosts',
  label: 'Host',
  prefix: '/cable/v1',
  path: 'hosts',
  description: 'A machine that runs the agent.',
  verbs: ['list', 'show', 'delete'],
  standard: false,
  stored: true,
  adminOnly: true,
  actions: [
    {
      name: 'rename',
      description: 'Gives the host another name, with its ports; its agent must not run meanwhile.',
      body: {
        name: {
          type: 'string',
          maxLength: 255,
          example: 'node-2',
          description: 'The new name, which its agent is started with.',
        },
      },
    },
    {
      name: 'revoke',
      description:
        'Refuses the certificates that the host has, and ends its stream. It joins again with a token that names it (replace).',
      status: 204,
    },
    {
      name: 'set_gateway',
      description: 'Lets gateways of routers be on the host, or keeps them off.',
      body: {
        gateway: { type: 'boolean', description: 'False: gateways leave the host, and none comes.' },
      },
    },
  ],
  attributes: {
    id: { type: 'string', example: 'node-1', description: 'The name of the host.' },
    underlay: { type: 'ip', indexed: true, example: '192.0.2.11', description: 'Address that other hosts tunnel to.' },
    underlay_mtu: {
      type: 'integer',
      nullable: true,
      default: null,
      example: 1500,
      description:
        'Largest packet in bytes that the device with the underlay address takes, as the agent found it; null: not known. Networks whose packets are to come whole have an MTU of at most 50 less, with an IPv6 underlay address 70.',
    },
    bridge_mappings: {
      type: 'dict',
      default: {},
      example: { physnet1: 'eth1' },
      description: 'Interface of the host on each physical network that it is on, by name, as its agent has it.',
    },
    bandwidth: {
      type: 'dict',
      default: {},
      example: { physnet1: { egress: 10000000, ingress: 10000000 } },
      description:
        'Thousands of bits a second that ports may be promised there (rules of minimum bandwidth), by physical network and direction, as its agent has it; rp_tunnelled: of tunnelled networks; of rp_packets thousands of packets a second (rules of minimum packet rate). What it does not say is promised without bound.',
    },
    gateway: {
      type: 'boolean',
      default: true,
      description:
        'Whether gateways of routers may be on the host, if it is on their physical network. set_gateway changes it; those of a host that may be none any more move.',
    },
    admin_state_up: {
      type: 'boolean',
      default: true,
      description:
        'False: no port is bound to it any more (those that are stay), and gateways of routers leave it. Changed through its agent.',
    },
    description: {
      type: 'string',
      default: '',
      maxLength: 255,
      example: 'being repaired',
      description: 'A text for people.',
    },
    availability_zone: {
      type: 'string',
      default: 'nova',
      maxLength: 255,
      example: 'az1',
      description: 'Availability zone that the host is in, as its agent says it.',
    },
    cluster: {
      type: 'string',
      nullable: true,
      default: null,
      maxLength: 63,
      indexed: true,
      example: 'prod',
      description:
        'Kubernetes cluster whose controller may bind ports there, as its agent says it (--cluster); null: none.',
    },
    features: {
      type: 'list',
      items: { type: 'string', maxLength: 255 },
      default: [],
      example: ['floats'],
      description:
        'What its agent can do that older ones cannot, and is given only then. blocks: it knows of leased ports of routers’ addresses; floats: it answers for the floating IPs of its own ports.',
    },
    agent_version: { type: 'string', example: '0.1.0', description: 'Version of the agent.' },
    created_at: {
      type: 'timestamp',
      example: '2026-11-26T12:00:00Z',
      description: 'Time of the first registration (UTC).',
    },
    updated_at: {
      type: 'timestamp',
      example: '2026-11-26T12:00:00Z',
      description: 'Time of the last change of underlay, its MTU or agent version (UTC).',
    },
    alive: { type: 'boolean', computed: true, description: 'True while the host’s agent reports.' },
    acknowledged_revision: {
      type: 'integer',
      computed: true,
      nullable: true,
      example: 4711,
      description:
        'Everything that concerns the host up to this revision is programmed there; null: not known, as it is not alive or has not said so since it came back.',
    },
    networks_too_large: {
      type: 'integer',
      computed: true,
      example: 0,
      description:
        'Networks with ports on the host whose MTU is more than its underlay carries: their largest packets do not come through. Lower the MTU of the network, or raise that of the host’s device. 0: none, or underlay_mtu is not known.',
    },
    booked_bandwidth: {
      type: 'dict',
      computed: true,
      example: { physnet1: { egress: 20000, ingress: 0 } },
      description: 'Of that, what is promised to ports that are on the host, or may come.',
    },
    refused_entries: {
      type: 'integer',
      computed: true,
      example: 0,
      description:
        'Entries about ports of other hosts, routes and the like that the host’s kernel has refused: what needs them does not pass there. 0: none, or it is not alive.',
    },
    refused_reason: {
      type: 'string',
      computed: true,
      nullable: true,
      example: 'map cb_ep_2 is full',
      description: 'Why one of them was refused, and what to do; null: none was.',
    },
  },
} as const;
