import type { Asked, Subject } from '../compare-cases.ts';
import { ADDRESSES, BOOLEANS, listsOf, MACS, NOBODY, PREFIXES, TEXTS, UUIDS } from './values.ts';

/** A network whose servers choose addresses from 10.1.0.128 on, so that all below can be asked for. */
export const RED: readonly Asked[] = [
  { do: 'POST /networks', body: { network: { name: 'red', shared: true } }, keep: 'red' },
  {
    do: 'POST /subnets',
    body: {
      subnet: {
        ...{ name: 'one', network_id: '$red', ip_version: 4, cidr: '10.1.0.0/24' },
        allocation_pools: [{ start: '10.1.0.128', end: '10.1.0.254' }],
      },
    },
    keep: 'one',
  },
];

/** What the guest services and those of machines that start by network ask for. */
const OPTION_NAMES = [
  ...['bootfile-name', 'tftp-server', 'server-ip-address', '61', '67', '150', '255', '0', '256', '-1', '!175,67'],
  ...['tag:ipxe,67', 'option:router', 'option:66', 'option6:59', 'encap:175,67', '128', 'classless-static-route'],
  ...['mtu', 'no-such-option', 'x y', 'bootfile-name ', 'BOOTFILE-NAME', 'é', 'a'.repeat(64), 'a'.repeat(65)],
];

const option = (opt_name: unknown, more: object = {}): unknown => [{ opt_name, opt_value: 'value', ...more }];

export const PORTS: Subject = {
  name: 'ports',
  path: '/ports',
  key: 'port',
  before: [
    ...RED,
    { do: 'POST /security-groups', body: { security_group: { name: 'web' } }, keep: 'group' },
    { do: 'POST /qos/policies', body: { policy: { name: 'gold', shared: true } }, keep: 'policy' },
  ],
  base: { network_id: '$red' },
  attributes: {
    name: TEXTS,
    description: TEXTS,
    network_id: ['$red', '$one', ...UUIDS],
    admin_state_up: BOOLEANS,
    mac_address: MACS,
    fixed_ips: [
      [{ ip_address: '10.1.0.20' }],
      ...ADDRESSES.map((ip_address) => [{ ip_address }]),
      ...[[{ subnet_id: '$one', ip_address: '10.1.0.21' }], [{ subnet_id: '$one' }], [{ subnet_id: NOBODY }]],
      ...[[{ subnet_id: null }], [{ ip_address: null }], [{ subnet_id: '$one', ip_address: '10.9.0.1' }]],
      [{ ip_address: '10.1.0.22' }, { ip_address: '10.1.0.22' }],
      [{ ip_address: '10.1.0.22' }, { ip_address: '10.1.0.23' }],
      [{ subnet_id: '$one' }, { subnet_id: '$one' }],
      [{ ip_address: '10.1.0.24', x: 1 }],
      ...[{ ip_address: '10.1.0.24' }, ['10.1.0.24']],
    ],
    device_id: ['machine', 'x'.repeat(255)],
    device_owner: [
      ...['compute:nova', 'network:dhcp', 'network:router_interface', 'network:floatingip', 'trunk:subport'],
      ...['baremetal:none', 'x'.repeat(255)],
    ],
    security_groups: listsOf(['$group', NOBODY]),
    allowed_address_pairs: [
      [{ ip_address: '10.1.0.30' }],
      ...[...ADDRESSES, ...PREFIXES].map((ip_address) => [{ ip_address }]),
      ...MACS.map((mac_address) => [{ ip_address: '10.1.0.30', mac_address }]),
      [{ ip_address: '10.1.0.30' }, { ip_address: '10.1.0.30' }],
      [{ ip_address: '10.1.0.30' }, { ip_address: '10.1.0.30/32' }],
      ...[[{ ip_address: '10.1.0.30', mac_address: null }], [{ mac_address: '02:00:00:00:00:0a' }]],
      ...[[{ ip_address: '10.1.0.30', x: 1 }], [{ ip_address: null }], ['10.1.0.30']],
    ],
    extra_dhcp_opts: [
      option('bootfile-name'),
      ...OPTION_NAMES.map((name) => option(name)),
      ...[{ ip_version: 4 }, { ip_version: 6 }, { ip_version: '4' }, { ip_version: 5 }, { ip_version: null }].map(
        (more) => option('bootfile-name', more),
      ),
      ...[null, '', 1, 'x'.repeat(255), 'x'.repeat(256), 'a\nb'].map((opt_value) =>
        option('bootfile-name', { opt_value }),
      ),
      ...[option(null), option(''), option(67), option('67', { x: 1 }), [{ opt_name: '67' }], [{ opt_value: 'x' }]],
      [
        { opt_name: '67', opt_value: 'a' },
        { opt_name: '67', opt_value: 'b' },
      ],
    ],
    port_security_enabled: BOOLEANS,
    qos_policy_id: ['$policy', ...UUIDS],
    dns_name: ['web', 'WEB', 'web.openstacklocal.', 'web.', 'a_b', '-a', 'a'.repeat(64)],
    dns_domain: ['a.example.', 'a.example', 'A.Example.', '-a.'],
    'binding:host_id': ['host', 'x'.repeat(255)],
    'binding:vnic_type': ['normal', 'baremetal', 'direct', 'macvtap', 'NORMAL'],
    'binding:profile': [{ a: 1 }, { a: { b: [1, null] } }, { a: 'x'.repeat(5000) }],
    'binding:vif_type': ['ovs'],
    numa_affinity_policy: ['preferred', 'required', 'legacy', 'other'],
    device_profile: ['given'],
    status: ['ACTIVE'],
    tags: [['a'], ['a', 'a'], ['x'.repeat(60)], ['x'.repeat(61)], ['a,b'], ['']],
  },
};
