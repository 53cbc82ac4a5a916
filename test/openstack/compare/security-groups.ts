import type { Subject } from '../compare-cases.ts';
import { BOOLEANS, listsOf, NOBODY, PREFIXES, TEXTS, UUIDS } from './values.ts';

const PROTOCOLS = [
  ...['tcp', 'udp', 'icmp', 'icmpv6', 'ipv6-icmp', 'TCP', 'any', '6', 6, '0', '255', '256', '300', 'nonsense', 'sctp'],
  ...['vrrp', 'ah', 'gre', 'ipip', 'ipv6-encap', 'ipv6-route', 'igmp'],
];
const PORT_VALUES = [80, '80', 65535, 65536, 90];

export const SECURITY_GROUPS: Subject = {
  name: 'security_groups',
  path: '/security-groups',
  key: 'security_group',
  before: [],
  base: { name: 'web' },
  attributes: {
    name: [...TEXTS, 'default', 'Default'],
    description: TEXTS,
    stateful: BOOLEANS,
    shared: BOOLEANS,
    security_group_rules: [[]],
    tags: [['a']],
  },
};

export const SECURITY_GROUP_RULES: Subject = {
  name: 'security_group_rules',
  path: '/security-group-rules',
  key: 'security_group_rule',
  before: [
    { do: 'POST /security-groups', body: { security_group: { name: 'web' } }, keep: 'group' },
    { do: 'POST /address-groups', body: { address_group: { name: 'hosts' } }, keep: 'addresses' },
  ],
  base: { security_group_id: '$group', direction: 'ingress', protocol: 'tcp' },
  attributes: {
    security_group_id: ['$group', ...UUIDS],
    direction: ['ingress', 'egress', 'INGRESS', 'both'],
    ethertype: ['IPv4', 'IPv6', 'ipv4', 'ipv6', 'IP', 'ARP'],
    protocol: PROTOCOLS,
    port_range_min: PORT_VALUES,
    port_range_max: PORT_VALUES,
    remote_ip_prefix: ['10.2.0.0/24', ...PREFIXES],
    remote_group_id: ['$group', ...UUIDS],
    remote_address_group_id: ['$addresses', ...UUIDS],
    description: TEXTS,
  },
  more: [
    ...[
      ...[{}, { protocol: null }, { port_range_min: 80 }, { port_range_min: 90, port_range_max: 80 }],
      ...[
        { protocol: 'tcp', port_range_min: 80 },
        { protocol: 'tcp', port_range_max: 80 },
      ],
      ...[
        { protocol: 'tcp', port_range_min: 90, port_range_max: 80 },
        { protocol: 'tcp', port_range_min: 0, port_range_max: 0 },
      ],
      ...[
        { protocol: 'icmp', port_range_min: 8 },
        { protocol: 'icmp', port_range_max: 0 },
      ],
      ...[
        { protocol: 'icmp', port_range_min: 256 },
        { protocol: 'icmp', port_range_min: 8, port_range_max: 256 },
      ],
      ...[
        { protocol: 'icmp', port_range_min: 8, port_range_max: 0 },
        { protocol: 'icmpv6', ethertype: 'IPv4' },
      ],
      ...[
        { protocol: 'icmpv6', ethertype: 'IPv6', port_range_min: 128 },
        { protocol: 'icmp', ethertype: 'IPv6' },
      ],
      ...[
        { protocol: '50', port_range_min: 1, port_range_max: 2 },
        { protocol: 'vrrp', port_range_min: 1 },
      ],
      ...[{ remote_ip_prefix: 'fd01::/64' }, { remote_ip_prefix: 'fd01::/64', ethertype: 'IPv6' }],
      ...[{ remote_ip_prefix: '10.2.0.0/24', remote_group_id: '$group' }],
      ...[{ remote_address_group_id: '$addresses', remote_group_id: '$group' }],
      ...[{ protocol: '6' }, { protocol: 'tcp' }, { protocol: 'tcp' }, { protocol: 'TCP' }, { protocol: 6 }],
      ...[{ remote_ip_prefix: '10.2.0.9/24' }, { remote_ip_prefix: '10.2.0.0/24' }],
      ...[{ remote_ip_prefix: '0.0.0.0/0' }, { ethertype: 'IPv6', remote_ip_prefix: '::/0' }],
    ].map((more) => ({
      do: 'POST /security-group-rules',
      body: { security_group_rule: { security_group_id: '$group', direction: 'egress', ...more } },
    })),
    { do: 'GET /security-groups/$group' },
    {
      do: 'POST /security-group-rules',
      body: {
        security_group_rules: [1, 2].map((port) => ({
          ...{ security_group_id: '$group', direction: 'ingress', protocol: 'udp' },
          ...{ port_range_min: port, port_range_max: port },
        })),
      },
    },
    { do: 'POST /security-group-rules', body: { security_group_rules: [] } },
    { do: 'POST /security-group-rules', body: { security_group_rules: [{}] } },
    {
      as: 'other',
      do: 'POST /security-group-rules',
      body: { security_group_rule: { security_group_id: '$group', direction: 'ingress' } },
    },
    { do: `GET /security-group-rules/${NOBODY}` },
  ],
};

export const ADDRESS_GROUPS: Subject = {
  name: 'address_groups',
  path: '/address-groups',
  key: 'address_group',
  before: [],
  base: { name: 'hosts' },
  attributes: {
    name: TEXTS,
    description: TEXTS,
    addresses: listsOf(['10.1.0.0/24', '10.2.0.0/24', ...PREFIXES]),
    shared: BOOLEANS,
  },
  more: [
    { do: 'POST /address-groups', body: { address_group: { name: 'a', addresses: ['10.1.0.0/24'] } }, keep: 'group' },
    ...['add_addresses', 'remove_addresses'].flatMap((action) =>
      [
        ...[
          undefined,
          {},
          [],
          { addresses: [] },
          { addresses: null },
          { addresses: 'x' },
          { addresses: ['x'] },
          { addresses: [1] },
        ],
        ...[
          { addresses: ['10.1.0.0/24'] },
          { addresses: ['10.3.0.0/24', '10.3.0.0/24'] },
          { addresses: ['10.3.0.5/24'] },
        ],
        ...[{ addresses: ['10.4.0.0/24'], x: 1 }, { address_group: { addresses: ['10.5.0.0/24'] } }],
      ].map((body) => ({ do: `PUT /address-groups/$group/${action}`, body })),
    ),
    { as: 'other', do: 'PUT /address-groups/$group/add_addresses', body: { addresses: ['10.7.0.0/24'] } },
    { do: `PUT /address-groups/${NOBODY}/add_addresses`, body: { addresses: ['10.7.0.0/24'] } },
  ],
};
