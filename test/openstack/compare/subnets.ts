import type { Subject } from '../compare-cases.ts';
import { ADDRESSES, BOOLEANS, listsOf, NOBODY, PREFIXES, TEXTS, UUIDS } from './values.ts';

const MODES = ['slaac', 'dhcpv6-stateful', 'dhcpv6-stateless', 'SLAAC'];

export const SUBNETS: Subject = {
  name: 'subnets',
  path: '/subnets',
  key: 'subnet',
  before: [
    { do: 'POST /networks', body: { network: { name: 'red', shared: true } }, keep: 'red' },
    { do: 'POST /subnetpools', body: { subnetpool: { name: 'pool', prefixes: ['10.8.0.0/16'] } }, keep: 'pool' },
  ],
  base: { network_id: '$red', ip_version: 4, cidr: '10.1.0.0/24' },
  attributes: {
    name: TEXTS,
    description: TEXTS,
    network_id: ['$red', ...UUIDS],
    ip_version: [4, '4', 6, 5, '06'],
    cidr: ['10.3.0.0/24', ...PREFIXES],
    gateway_ip: ['10.1.0.9', '10.1.0.2', ...ADDRESSES],
    allocation_pools: [
      [{ start: '10.1.0.10', end: '10.1.0.20' }],
      [{ start: '10.1.0.20', end: '10.1.0.10' }],
      [{ start: '10.1.0.1', end: '10.1.0.20' }],
      [{ start: '10.1.0.0', end: '10.1.0.255' }],
      [{ start: '10.9.0.1', end: '10.9.0.2' }],
      [{ start: 'fd00::1', end: 'fd00::2' }],
      [{ start: '10.1.0.10' }],
      [{ start: '10.1.0.10', end: '10.1.0.20', x: 1 }],
      [{ start: ' 10.1.0.10', end: '10.1.0.20' }],
      [
        { start: '10.1.0.10', end: '10.1.0.20' },
        { start: '10.1.0.20', end: '10.1.0.30' },
      ],
      [
        { start: '10.1.0.30', end: '10.1.0.40' },
        { start: '10.1.0.10', end: '10.1.0.20' },
      ],
      [
        { start: '10.1.0.10', end: '10.1.0.20' },
        { start: '10.1.0.21', end: '10.1.0.30' },
      ],
    ],
    dns_nameservers: listsOf(['10.1.0.53', '10.1.0.54', ...ADDRESSES]),
    host_routes: [
      [{ destination: '10.5.0.0/16', nexthop: '10.1.0.7' }],
      ...PREFIXES.map((destination) => [{ destination, nexthop: '10.1.0.7' }]),
      ...ADDRESSES.map((nexthop) => [{ destination: '10.5.0.0/16', nexthop }]),
      [
        { destination: '10.5.0.0/16', nexthop: '10.1.0.7' },
        { destination: '10.5.0.0/16', nexthop: '10.1.0.7' },
      ],
      ...[[{ destination: '10.5.0.0/16' }], [{ destination: '10.5.0.0/16', nexthop: '10.1.0.7', x: 1 }]],
    ],
    enable_dhcp: BOOLEANS,
    ipv6_ra_mode: MODES,
    ipv6_address_mode: MODES,
    subnetpool_id: ['$pool', 'prefix_delegation', ...UUIDS],
    use_default_subnetpool: BOOLEANS,
    prefixlen: [26, '26', 33, 129],
    service_types: listsOf(['compute:nova', 'network:router_gateway', 'nonsense', 'x'.repeat(256)]),
    segment_id: [null, ...UUIDS],
    tags: [['a']],
  },
  more: [
    ...[
      { ip_version: 6, cidr: 'fd01::/64' },
      ...MODES.flatMap((ipv6_ra_mode) =>
        MODES.map((ipv6_address_mode) => ({ ip_version: 6, cidr: 'fd02::/64', ipv6_ra_mode, ipv6_address_mode })),
      ),
      { ip_version: 6, cidr: 'fd03::/80', ipv6_ra_mode: 'slaac', ipv6_address_mode: 'slaac' },
      { ip_version: 6, cidr: 'fd04::/64', gateway_ip: 'fe80::1' },
      { ip_version: 6, cidr: 'fd05::/64', enable_dhcp: false, ipv6_address_mode: 'slaac' },
      { ip_version: 4, subnetpool_id: '$pool', prefixlen: 26 },
      { ip_version: 4, subnetpool_id: '$pool', cidr: '10.8.9.0/24' },
      { ip_version: 4, subnetpool_id: '$pool', prefixlen: 26, cidr: '10.8.10.0/24' },
      { ip_version: 6, subnetpool_id: '$pool' },
      { ip_version: 4, subnetpool_id: NOBODY },
    ].map((more) => ({ do: 'POST /subnets', body: { subnet: { network_id: '$red', ...more } } })),
    { do: 'GET /subnets' },
    { as: 'other', do: 'POST /subnets', body: { subnet: { network_id: '$red', ip_version: 4, cidr: '10.4.0.0/24' } } },
    { as: 'other', do: 'GET /subnets' },
  ],
};
