import type { Subject } from '../compare-cases.ts';
import { BOOLEANS, listsOf, TEXTS, UUIDS } from './values.ts';

export const NETWORKS: Subject = {
  name: 'networks',
  path: '/networks',
  key: 'network',
  before: [{ do: 'POST /qos/policies', body: { policy: { name: 'gold', shared: true } }, keep: 'policy' }],
  base: { name: 'red' },
  attributes: {
    name: [...TEXTS, 'é😀', 'a\nb', ' padded ', 'a\u0000b', ['a', 1, null]],
    description: TEXTS,
    admin_state_up: [...BOOLEANS, 'True', 'false', 'on', 't', '0', 'maybe'],
    shared: BOOLEANS,
    mtu: [1400, '1400', 67, 68, 1279, 1450, 1451, 65535, 65536],
    'router:external': BOOLEANS,
    is_default: BOOLEANS,
    port_security_enabled: BOOLEANS,
    dns_domain: ['a.example.', 'a.example', '.', 'A.Example.', '-a.', 'a_b.', `${'a'.repeat(64)}.`],
    qos_policy_id: ['$policy', ...UUIDS],
    vlan_transparent: BOOLEANS,
    availability_zone_hints: listsOf(['nova', 'there', 'x'.repeat(256)]),
    'provider:network_type': ['vxlan', 'vlan', 'flat', 'local', 'gre', 'geneve', 'VXLAN'],
    'provider:physical_network': ['physnet1', 'x'.repeat(65)],
    'provider:segmentation_id': [1000, '1000', 4095, 16777215, 16777216],
    segments: [
      [{ 'provider:network_type': 'vlan', 'provider:physical_network': 'physnet1', 'provider:segmentation_id': 7 }],
      [{ 'provider:network_type': 'vxlan' }, { 'provider:network_type': 'vxlan' }],
      [{ 'provider:network_type': 'vxlan', x: 1 }],
    ],
    subnets: [[]],
    status: ['ACTIVE'],
    tags: [['a']],
  },
};
