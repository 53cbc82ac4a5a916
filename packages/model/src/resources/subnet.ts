import type { ResourceObject, ResourceView } from '../declaration.ts';

/** Neutron's subnet: a prefix of addresses in a network. */
export const subnetResource = {
  name: 'subnet',
  plural: 'subnets',
  label: 'Subnet',
  prefix: '/v2.0',
  path: 'subnets',
  description: 'A block of IP addresses in a network.',
  verbs: ['list', 'show', 'create', 'update', 'delete'],
  standard: true,
  stored: true,
  visibleThrough: 'network_id',
  attributes: {
    name: {
      type: 'string',
      write: 'both',
      default: '',
      maxLength: 255,
      indexed: true,
      description: 'The name; need not be unique.',
    },
    network_id: {
      type: 'uuid',
      write: 'create',
      required: true,
      reference: { type: 'network', onDelete: 'cascade' },
      description: 'The network.',
    },
    ip_version: {
      type: 'integer',
      values: [4],
      write: 'create',
      required: true,
      description: 'Always 4: IPv6 is not forwarded yet.',
    },
    cidr: { type: 'cidr', write: 'create', required: true, description: 'The prefix, e.g. 10.0.0.0/24.' },
    gateway_ip: {
      type: 'ip',
      nullable: true,
      write: 'both',
      derive: 'gateway',
      description: 'Address of the gateway; null: none; by default the first of the prefix.',
    },
    allocation_pools: {
      type: 'list',
      maxLength: 32,
      write: 'both',
      derive: 'pools',
      filter: false,
      items: {
        type: 'object',
        properties: { start: { type: 'ip', required: true }, end: { type: 'ip', required: true } },
      },
      description: 'Ranges that addresses are allocated from; by default the whole prefix but the gateway.',
    },
    enable_dhcp: { type: 'boolean', write: 'both', default: true, description: 'True: DHCP answers in the subnet.' },
    dns_nameservers: {
      type: 'list',
      maxLength: 20,
      items: { type: 'ip' },
      write: 'both',
      default: [],
      filter: false,
      description: 'Name servers given out by DHCP.',
    },
    host_routes: {
      type: 'list',
      maxLength: 64,
      write: 'both',
      default: [],
      filter: false,
      items: {
        type: 'object',
        properties: { destination: { type: 'cidr', required: true }, nexthop: { type: 'ip', required: true } },
      },
      description: 'Routes given out by DHCP.',
    },
  },
} as const;

/** As stored. */
export type Subnet = ResourceObject<typeof subnetResource>;
/** As shown to an admin. */
export type SubnetView = ResourceView<typeof subnetResource>;
