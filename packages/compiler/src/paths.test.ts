/** Equal tables give equal slices by any path: whatever the changes are, in whatever order and portions. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type {
  ClusterNetworkPolicyRow,
  CompilerTables,
  HostPolicyRow,
  IndexName,
  LogRow,
  NetworkPolicyRow,
  PortRow,
  PseudowireRow,
  SubnetRow,
  TableChange,
  TableName,
  TableRows,
} from './compiler-tables.ts';
import { Reader } from './reader.ts';
import {
  bandwidthLimit,
  changesBetween,
  createTables,
  EMPTY_STATE,
  endpointSet,
  floatingIp,
  forwarding,
  gatewayOf,
  group,
  host,
  leg,
  listener,
  loadBalancer,
  member,
  network,
  pool,
  port,
  pseudowire,
  router,
  routerPeering,
  routerPolicy,
  rule,
  type State,
  seededRandom,
  service,
  serviceScope,
  snatLease,
  subnet,
  tapFlow,
  tapMirror,
  tapService,
  trunk,
  without,
  withRow,
} from './state.fixture.ts';
import { fromScratch, HOSTS, Incremental } from './world.fixture.ts';

const DUAL = [
  { subnet_id: 's-n1', ip_address: '10.0.0.1' },
  { subnet_id: 's6-n1', ip_address: '2001:db8::1' },
];

const FLAT = { 'provider:network_type': 'flat', 'provider:physical_network': 'physnet1' } as const;
const ABLE = { bridge_mappings: { physnet1: 'eth1' }, features: ['floats'] };
const BLOCKS = { ...ABLE, features: ['floats', 'blocks'] };
const LED = floatingIp('f1', 'x', { port_id: 'p1', fixed_ip_address: '10.0.0.1', router_id: 'r1' });

const LOGGED: LogRow = {
  ...{ id: 'g1', project_id: 'p', resource_id: 'a', target_id: null, enabled: true },
  event: 'ALL',
};

const POD = { 'cable:cluster': 'prod', 'cable:namespace': 'prod/a', device_owner: 'kubernetes:pod' } as const;
const HTTP = { name: 'http', protocol: 'TCP', port: 8080 } as const;
const [NO_PEER, NO_PORT] = [
  { pods: null, namespaces: null, cidr: null, except: [] },
  { protocol: 'TCP', port: null, end_port: null, port_name: null },
] as const;
const POLICY: NetworkPolicyRow = {
  ...{ id: 'k1', name: 'a/all', namespace: 'prod/a', pods: '', directions: ['ingress', 'egress'], log: 'none' },
  rules: [
    { direction: 'ingress', peers: [{ ...NO_PEER, pods: 'app=web' }], ports: [{ ...NO_PORT, port_name: 'http' }] },
    {
      direction: 'egress',
      peers: [
        { ...NO_PEER, pods: '', namespaces: 'team=x' },
        { ...NO_PEER, pods: '', namespaces: '' },
      ],
      ports: [{ ...NO_PORT, port_name: 'http' }],
    },
    { direction: 'egress', peers: [{ ...NO_PEER, cidr: '192.0.2.0/24' }], ports: null },
  ],
};

const OF_CLUSTER: ClusterNetworkPolicyRow = {
  ...{ id: 'w1', name: 'AdminNetworkPolicy/w', cluster: 'prod', tier: 'admin', priority: 5, log: 'drop' },
  ...{ namespaces: 'team=x', pods: '' },
  domain_except: ['192.0.2.9/32'],
  rules: [
    {
      ...{
        name: '',
        direction: 'ingress',
        action: 'pass',
        peers: [{ pods: '', namespaces: 'team=x', cidr: null, domain: null }],
      },
      ports: [{ ...NO_PORT, port_name: 'http' }],
    },
    {
      ...{
        name: '',
        direction: 'egress',
        action: 'deny',
        peers: [{ pods: 'app=web', namespaces: '', cidr: null, domain: null }],
      },
      ports: [
        { ...NO_PORT, port_name: 'http' },
        { ...NO_PORT, port: 80 },
      ],
    },
    { name: '', direction: 'ingress', action: 'allow', peers: null, ports: null },
    {
      ...{ name: '', direction: 'egress', action: 'allow', ports: null },
      peers: ['b.example', '*.a.example'].map((domain) => ({ pods: null, namespaces: null, cidr: null, domain })),
    },
  ],
};

const NO_HOST_PEER = { cidr: null, except: [], pods: null, namespaces: null, address_group_id: null } as const;
const FOR_HOSTS: HostPolicyRow = {
  ...{ id: 'y1', revision_number: 1, cluster: 'prod', hosts: ['h1'], directions: ['ingress'] },
  rules: [
    {
      direction: 'ingress',
      peers: [
        { ...NO_HOST_PEER, cidr: '192.0.2.0/24', except: ['192.0.2.7/32'] },
        { ...NO_HOST_PEER, pods: '', namespaces: 'team=x' },
        { ...NO_HOST_PEER, address_group_id: 'ag' },
      ],
      ports: [
        { protocol: 'TCP', port: 80, end_port: 90 },
        { protocol: 'ICMP', port: null, end_port: null },
      ],
    },
    { direction: 'egress', peers: null, ports: null },
  ],
};

const KEEPING = {
  'cable:private': true,
  'cable:allow_subnets': ['10.9.0.0/16', 'fd00::/8'],
  'cable:nat_outgoing': false,
};
const NODES_OUT = { 'cable:cluster': 'prod', 'cable:node_egress': true };
const leaving = (active: string): Partial<SubnetRow> => ({
  ...{ 'cable:gateway_nodes': ['h1', 'h2', 'h9'], 'cable:gateway_node': active, 'cable:gateway_cluster': 'prod' },
});
const OTHER_PAIR = { ip_address: '10.0.7.9', mac_address: 'fa:16:3e:00:00:07' };
const IN_VPC = { device_owner: 'kubernetes:pod', device_id: 'u:vpc0' };
const LEG = { device_owner: 'kubernetes:leg', device_id: 'u:eth0' };
const IN_CHAIN: Partial<PseudowireRow> = {
  ...{ object_id: 'c', at_port_id: 'p1', back_port_id: 'p2' },
  matches: [
    {
      ...{ ip_version: 4, source: null, destination: '10.0.0.0/24', protocol: 6 },
      ...{ source_ports: null, destination_ports: { first: 80, last: 90 } },
    },
  ],
};
const FOR_ITSELF = ['host-policies', 'network-policies', 'network-policy-tiers'];
const ABLE_TO_KEEP = ['network-policies', 'network-policy-tiers', 'private-subnets'];

const STEPS: readonly ((state: State) => State)[] = [
  (s) => withRow(s, 'host', host('h1', '192.0.2.1')),
  (s) => withRow(s, 'network', network('n1')),
  (s) => withRow(s, 'subnet', subnet('s-n1', 'n1')),
  (s) => withRow(s, 'port', port('p1', 'n1', 'h1', { security_groups: ['a'] })),
  (s) => withRow(s, 'security_group_rule', rule('x', 'a', { remote_group_id: 'a' })),
  (s) => withRow(s, 'port', port('p2', 'n1', 'h2', { security_groups: ['a', 'b'] })),
  (s) => withRow(s, 'host', host('h2', '192.0.2.2')),
  (s) => withRow(s, 'network', network('n2')),
  (s) => withRow(s, 'subnet', subnet('s-n2', 'n2', { cidr: '10.0.2.0/24' })),
  (s) => withRow(s, 'port', port('p3', 'n2', 'h3', { dns_name: 'web' })),
  (s) => withRow(s, 'port', port('p4', 'n2', '', { dns_domain: 'example.org.' })),
  (s) => withRow(s, 'port', port('p3', 'n2', 'h3')),
  (s) => withRow(s, 'router', router('r1')),
  (s) => withRow(s, 'port', leg('l1', 'r1', 'n1')),
  (s) => withRow(s, 'port', leg('l2', 'r1', 'n2')),
  (s) => withRow(s, 'security_group_rule', rule('y', 'b', { protocol: 'tcp', remote_group_id: 'c' })),
  (s) => withRow(s, 'port', port('p1', 'n1', 'h3', { security_groups: ['a'] })),
  (s) => withRow(s, 'subnet', subnet('s-n2', 'n2', { cidr: '10.0.3.0/24' })),
  (s) => withRow(s, 'subnet', subnet('s6-n1', 'n1', { cidr: '2001:db8::/64', ip_version: 6, ipv6_ra_mode: 'slaac' })),
  (s) => withRow(s, 'port', port('p1', 'n1', 'h3', { security_groups: ['a'], fixed_ips: DUAL })),
  (s) => withRow(s, 'port', leg('l1', 'r1', 'n1', { fixed_ips: DUAL })),
  (s) => without(s, 'subnet', 's6-n1'),
  (s) => withRow(s, 'host', host('h2', '192.0.2.22')),
  (s) => withRow(s, 'network', network('n1', { admin_state_up: false })),
  (s) => withRow(s, 'qos_policy', { id: 'k1' }),
  (s) => withRow(s, 'network', network('n1', { qos_policy_id: 'k1' })),
  (s) => withRow(s, 'qos_bandwidth_limit_rule', bandwidthLimit('b1', 'k1')),
  (s) => withRow(s, 'port', port('p1', 'n1', 'h3', { qos_policy_id: 'k2' })),
  (s) => withRow(s, 'qos_policy', { id: 'k2' }),
  (s) =>
    withRow(s, 'qos_packet_rate_limit_rule', {
      ...{ id: 'r1', qos_policy_id: 'k2', direction: 'ingress', max_kpps: 5, max_burst_kpps: 1 },
    }),
  (s) => withRow(s, 'qos_dscp_marking_rule', { id: 'd1', qos_policy_id: 'k2', dscp_mark: 46 }),
  (s) => withRow(s, 'qos_bandwidth_limit_rule', bandwidthLimit('b1', 'k2', { max_kbps: 2000 })),
  (s) => withRow(s, 'port', port('p1', 'n1', 'h3')),
  (s) => without(s, 'qos_policy', 'k1'),
  (s) => withRow(s, 'network', network('x', { 'router:external': true })),
  (s) => withRow(s, 'router', gatewayOf('r1', 'x', 'h2').router),
  (s) => withRow(s, 'port', gatewayOf('r1', 'x', 'h2').port),
  (s) => withRow(s, 'floatingip', floatingIp('f1', 'x')),
  (s) => withRow(s, 'floatingip', LED),
  (s) => withRow(s, 'network', network('x', { 'router:external': true, ...FLAT })),
  (s) => withRow(s, 'host', host('h2', '192.0.2.22', ABLE)),
  (s) => withRow(s, 'host', host('h3', '192.0.2.3', ABLE)),
  (s) => withRow(s, 'port', port('o-f1', 'x', '', { device_owner: 'network:floatingip' })),
  (s) => withRow(s, 'host', host('h3', '192.0.2.3', { ...ABLE, bridge_mappings: {} })),
  (s) => withRow(s, 'host', host('h3', '192.0.2.3', ABLE)),
  (s) => withRow(s, 'router', { ...gatewayOf('r1', 'x', 'h2').router, distributed: false }),
  (s) => withRow(s, 'router', gatewayOf('r1', 'x', 'h2').router),
  (s) => withRow(s, 'log', LOGGED),
  (s) => withRow(s, 'host', host('h1', '192.0.2.1', { features: ['network-policies'] })),
  (s) => withRow(s, 'port', port('q1', 'n1', 'h1', POD)),
  (s) =>
    withRow(s, 'port', port('q2', 'n1', 'h2', { ...POD, 'cable:namespace': 'prod/b', 'cable:named_ports': [HTTP] })),
  (s) => withRow(s, 'network_policy', POLICY),
  (s) => withRow(s, 'network_policy', { ...POLICY, log: 'all' }),
  (s) => withRow(s, 'kubernetes_namespace', { id: 'a', name: 'prod/a', cluster: 'prod', labels: ['team=x'] }),
  (s) => withRow(s, 'kubernetes_namespace', { id: 'b', name: 'prod/b', cluster: 'prod', labels: [] }),
  (s) => withRow(s, 'kubernetes_namespace', { id: 'b', name: 'prod/b', cluster: 'prod', labels: ['team=x'] }),
  (s) =>
    withRow(s, 'port', port('q1', 'n1', 'h1', { ...POD, 'cable:labels': ['app=web'], 'cable:named_ports': [HTTP] })),
  (s) => withRow(s, 'port', port('q2', 'n1', 'h2', { ...POD, 'cable:namespace': 'prod/b', 'cable:named_ports': [] })),
  (s) => withRow(s, 'network_policy', { ...POLICY, id: 'k2', directions: ['ingress'], pods: 'app=web', rules: [] }),
  (s) => withRow(s, 'cluster_network_policy', OF_CLUSTER),
  (s) => withRow(s, 'host', host('h1', '192.0.2.1', { features: ['network-policies', 'network-policy-tiers'] })),
  (s) => withRow(s, 'host_policy', FOR_HOSTS),
  (s) => withRow(s, 'host', host('h1', '192.0.2.1', { features: FOR_ITSELF })),
  (s) => withRow(s, 'host', host('h1', '192.0.2.1', { features: FOR_ITSELF, cluster: 'prod' })),
  (s) => withRow(s, 'address_group', { id: 'ag', addresses: ['192.0.2.9/32'] }),
  (s) => withRow(s, 'host_policy', { ...FOR_HOSTS, id: 'y2', cluster: null, hosts: ['*'], directions: ['egress'] }),
  (s) => withRow(s, 'host_policy', { ...FOR_HOSTS, directions: ['ingress', 'egress'] }),
  (s) => withRow(s, 'kubernetes_namespace', { id: 'a', name: 'prod/a', cluster: 'prod', labels: [] }),
  (s) => withRow(s, 'cluster_network_policy', { ...OF_CLUSTER, domain_except: ['192.0.2.8/32', '192.0.2.9/32'] }),
  (s) => withRow(s, 'cluster_network_policy', { ...OF_CLUSTER, log: 'none' }),
  (s) => withRow(s, 'cluster_network_policy', { ...OF_CLUSTER, tier: 'baseline', namespaces: '', pods: 'app=web' }),
  (s) => without(s, 'kubernetes_namespace', 'a'),
  (s) => withRow(s, 'kubernetes_namespace', { id: 'a', name: 'prod/a', cluster: 'prod', labels: ['team=x'] }),
  (s) => withRow(s, 'port', port('q1', 'n1', 'h1', { ...POD, 'cable:labels': ['app=db'] })),
  (s) => withRow(s, 'subnet', subnet('s-n1', 'n1', KEEPING)),
  (s) => withRow(s, 'subnet', subnet('t-n1', 'n1', { ...KEEPING, cidr: '10.0.7.0/24' })),
  (s) => withRow(s, 'port', port('p2', 'n1', 'h1', { allowed_address_pairs: [OTHER_PAIR] })),
  (s) => withRow(s, 'host', host('h1', '192.0.2.1', { features: ABLE_TO_KEEP })),
  (s) => withRow(s, 'subnet', subnet('s-n1', 'n1', { ...KEEPING, 'cable:allow_subnets': [] })),
  (s) => withRow(s, 'subnet', subnet('t-n1', 'n1', { ...KEEPING, cidr: '10.0.8.0/24' })),
  (s) => withRow(s, 'port', port('v1', 'n2', 'h1', { ...POD, ...IN_VPC })),
  (s) => withRow(s, 'port', port('v2', 'n1', 'h1', { ...POD, ...LEG })),
  (s) => withRow(s, 'subnet', subnet('s-n2', 'n2', { ...KEEPING, cidr: '10.0.3.0/24' })),
  (s) => withRow(s, 'router', router('rn', NODES_OUT)),
  (s) => withRow(s, 'port', leg('rn-n1', 'rn', 'n1')),
  (s) => withRow(s, 'subnet', subnet('s-n2', 'n2', { ...KEEPING, ...leaving('h1'), cidr: '10.0.3.0/24' })),
  (s) => withRow(s, 'subnet', subnet('s-n2', 'n2', { ...KEEPING, ...leaving('h2'), cidr: '10.0.3.0/24' })),
  (s) => withRow(s, 'port', port('v2', 'n1', 'h1', { ...POD, ...LEG, 'cable:namespace': 'prod/b' })),
  (s) => withRow(s, 'port', port('v2', 'n1', 'h1', { ...POD, ...LEG })),
  (s) => without(s, 'port', 'v1'),
  (s) => without(s, 'port', 'v2'),
  (s) => withRow(s, 'host', host('h1', '192.0.2.1')),
  (s) => without(s, 'subnet', 't-n1'),
  (s) => withRow(s, 'subnet', subnet('s-n1', 'n1')),
  (s) => without(s, 'network_policy', 'k1'),
  (s) => without(s, 'cluster_network_policy', 'w1'),
  (s) => without(s, 'host_policy', 'y1'),
  (s) => withRow(s, 'host_policy', { ...FOR_HOSTS, id: 'y2', cluster: 'other', hosts: ['h1'] }),
  (s) => without(s, 'host_policy', 'y2'),
  (s) => withRow(s, 'log', { ...LOGGED, id: 'g2', event: 'DROP' }),
  (s) => withRow(s, 'log', { ...LOGGED, enabled: false }),
  (s) => without(s, 'log', 'g2'),
  (s) => withRow(s, 'snat_lease', snatLease('a1', 'r1', 'x', 'p1', 'h2')),
  (s) => withRow(s, 'snat_lease', snatLease('a2', 'r1', 'x', 'p2', 'h2')),
  (s) => withRow(s, 'router', { ...gatewayOf('r1', 'x', 'h2').router, 'cable:snat': 'leased' }),
  (s) => withRow(s, 'host', host('h3', '192.0.2.3', BLOCKS)),
  (s) => withRow(s, 'router', { ...gatewayOf('r1', 'x', 'h2').router, 'cable:snat': 'distributed' }),
  (s) => withRow(s, 'snat_lease', snatLease('a1', 'r1', 'x', 'p1', 'h3')),
  (s) => withRow(s, 'snat_lease', { ...snatLease('a1', 'r1', 'x', 'p1', 'h3'), first_ports: [1024, 4096] }),
  (s) => withRow(s, 'port', port('p2', 'n1', 'h3', { security_groups: ['a'] })),
  (s) => withRow(s, 'snat_lease', { ...snatLease('a2', 'r1', 'x', 'p2', 'h2'), first_ports: [] }),
  (s) => withRow(s, 'port', port('p2', 'n1', 'h2', { security_groups: ['a', 'b'] })),
  (s) => withRow(s, 'port', gatewayOf('r1', 'x', 'h1').port),
  (s) => withRow(s, 'pseudowire', pseudowire('w1', 'p1', 'p2')),
  (s) => withRow(s, 'host', host('h3', '192.0.2.3', { ...BLOCKS, features: ['floats', 'blocks', 'pseudowires'] })),
  (s) => withRow(s, 'host', host('h2', '192.0.2.22', { ...ABLE, features: ['floats', 'pseudowires'] })),
  (s) => withRow(s, 'pseudowire', pseudowire('w2', 'p2', 'p1', { admitted_kbps: 9 })),
  (s) => withRow(s, 'pseudowire', pseudowire('w3', 'p1', 'p2', IN_CHAIN)),
  (s) => withRow(s, 'pseudowire', pseudowire('w4', 'p1', 'p4', { ...IN_CHAIN, precedence: -1 })),
  (s) => withRow(s, 'pseudowire', pseudowire('w5', 'p2', 'p1', { ...IN_CHAIN, back_port_id: null })),
  (s) => withRow(s, 'host', host('h2', '192.0.2.23', { ...ABLE, features: ['floats', 'pseudowires'] })),
  (s) => withRow(s, 'port', port('p2', 'n1', 'h3', { security_groups: ['a', 'b'] })),
  (s) => withRow(s, 'port', port('p2', 'n1', 'h2', { security_groups: ['a', 'b'] })),
  (s) => without(s, 'pseudowire', 'w4'),
  (s) => withRow(s, 'host', host('h2', '192.0.2.22', ABLE)),
  (s) => without(s, 'pseudowire', 'w1'),
  (s) => withRow(s, 'host', host('h3', '192.0.2.3', BLOCKS)),
  (s) => withRow(s, 'floatingip', floatingIp('f2', 'x', { router_id: 'r1' })),
  (s) => withRow(s, 'port_forwarding', forwarding('w1', 'f2')),
  (s) => withRow(s, 'port_forwarding', forwarding('w2', 'f2', { protocol: 'udp', external_port_range: '1:9' })),
  (s) => withRow(s, 'floatingip', floatingIp('f2', 'x', { router_id: 'r1', floating_ip_address: '203.0.113.77' })),
  (s) => withRow(s, 'port_forwarding', forwarding('w1', 'f2', { router_id: 'r2' })),
  (s) => without(s, 'floatingip', 'f2'),
  (s) => withRow(s, 'floatingip', { ...LED, port_id: 'p9' }),
  (s) => withRow(s, 'port', leg('l2', 'r2', 'n2')),
  (s) => withRow(s, 'security_group', group('a', false)),
  (s) => withRow(s, 'security_group', group('b', false)),
  (s) => withRow(s, 'security_group', group('a', true)),
  (s) => without(s, 'security_group_rule', 'x'),
  (s) => withRow(s, 'port', port('p5', 'n2', 'h3', { device_owner: 'trunk:subport', device_id: '' })),
  (s) => withRow(s, 'trunk', trunk('t1', 'p1', ['p5'])),
  (s) => withRow(s, 'port', port('p1', 'n1', 'h3', { device_owner: 'kubernetes:pod' })),
  (s) => withRow(s, 'trunk', trunk('t1', 'p1', ['p6', 'p5'])),
  (s) =>
    withRow(s, 'port', port('p1', 'n1', 'h3', { standby_hosts: ['h2'], inactive_bindings: [inactive('h2', false)] })),
  (s) =>
    withRow(s, 'port', port('p1', 'n1', 'h2', { standby_hosts: ['h3'], inactive_bindings: [inactive('h3', true)] })),
  (s) => withRow(s, 'host', host('h3', '192.0.2.3')),
  (s) => withRow(s, 'port', port('p1', 'n1', 'h2', { standby_hosts: ['h1'] })),
  (s) => withRow(s, 'port', port('p1', 'n1', 'h2')),
  (s) => without(s, 'trunk', 't1'),
  (s) => withRow(s, 'port', port('p8', 'n1', 'h1', { tapped: true })),
  (s) => withRow(s, 'port', port('p9', 'n1', 'h2', { tapped: true })),
  (s) => withRow(s, 'tap_service', tapService('v1', 'p9', 900)),
  (s) => withRow(s, 'tap_flow', tapFlow('w1', 'v1', 'p8')),
  (s) => withRow(s, 'tap_mirror', tapMirror('m1', 'p8', 77)),
  (s) => withRow(s, 'port', port('p9', 'n1', 'h3', { tapped: true })),
  (s) => withRow(s, 'port', port('p8', 'n1', 'h2', { tapped: true, standby_hosts: ['h1'] })),
  (s) => withRow(s, 'host', host('h3', '192.0.2.33')),
  (s) => without(s, 'tap_flow', 'w1'),
  (s) => withRow(s, 'router_policy', routerPolicy('y1', 'r1', { subnet_id: 's-n1', source_ip_prefix: '10.0.1.0/25' })),
  (s) =>
    withRow(s, 'router_policy', routerPolicy('y2', 'r2', { priority: 9, action: 'reroute', next_hop: '10.0.1.9' })),
  (s) =>
    withRow(s, 'router_policy', routerPolicy('y1', 'r2', { protocol: 'tcp', port_range_min: 1, port_range_max: 9 })),
  (s) => without(s, 'router_policy', 'y2'),
  (s) => withRow(s, 'router', router('r2')),
  (s) => withRow(s, 'router_peering', routerPeering('e1', 'r1', 'r2', ['s-n1'])),
  (s) => withRow(s, 'subnet', subnet('s-n2', 'n2', { cidr: '10.0.3.0/24' })),
  (s) => withRow(s, 'router_peering', routerPeering('e2', 'r2', 'r1', ['s-n2'])),
  (s) => withRow(s, 'port', port('p7', 'n2', 'h2')),
  (s) =>
    withRow(s, 'router_peering', routerPeering('e1', 'r1', 'r2', ['s-n1'], { accepted_prefixes: ['10.9.0.0/16'] })),
  (s) => withRow(s, 'router', router('r2', { admin_state_up: false })),
  (s) => withRow(s, 'router_peering', routerPeering('e1', 'r1', 'r2', ['s-n1', 's-n2'])),
  (s) => withRow(s, 'router', router('r2')),
  (s) => without(s, 'router_peering', 'e2'),
  (s) => withRow(s, 'service_scope', serviceScope('k1', ['r1'])),
  (s) => withRow(s, 'service', service('v1', 'k1')),
  (s) => withRow(s, 'endpoint_set', endpointSet('t1', service('v1', 'k1'), [{ address: '10.0.1.7', host_id: 'h1' }])),
  (s) => withRow(s, 'service', service('v2', 'k1', { cluster_ips: ['10.96.0.11'], session_affinity: 'ClientIP' })),
  (s) =>
    withRow(
      s,
      'endpoint_set',
      endpointSet('t1', service('v1', 'k1'), [
        { address: '10.0.1.7', host_id: 'h1', ready: false, terminating: true },
        { address: '10.0.1.8' },
      ]),
    ),
  (s) => withRow(s, 'service_scope', serviceScope('k1', ['r1', 'r2'])),
  (s) => without(s, 'endpoint_set', 't1'),
  (s) => without(s, 'service', 'v1'),
  (s) => without(s, 'tap_service', 'v1'),
  (s) => without(s, 'snat_lease', 'a1'),
  (s) => without(s, 'port', 'p2'),
  (s) => without(s, 'port', 'g-r1'),
  (s) => withRow(s, 'floatingip', LED),
  (s) => withRow(s, 'router', router('r1')),
  (s) => without(s, 'network', 'n2'),
];

function inactive(name: string, was_active: boolean): PortRow['inactive_bindings'][number] {
  return { host: name, vnic_type: 'normal', profile: {}, was_active };
}

const STATES: readonly State[] = STEPS.map((_, index) =>
  STEPS.slice(0, index + 1).reduce((state, step) => step(state), EMPTY_STATE),
);

function walk(states: readonly State[], portion: (changes: TableChange[]) => TableChange[][]): void {
  const world = new Incremental();
  let at = EMPTY_STATE;
  for (const state of states) {
    for (const batch of portion(changesBetween(at, state))) {
      world.apply(batch);
      assert.deepEqual(world.world(), fromScratch(world.tables));
    }
    assert.deepEqual(world.world(), fromScratch(createTables(state).tables));
    at = state;
  }
}

function shuffled<T>(list: readonly T[], random: () => number): T[] {
  const copy = list.map((value) => ({ value, at: random() }));
  return copy.sort((a, b) => a.at - b.at).map(({ value }) => value);
}

const whole = (changes: TableChange[]): TableChange[][] => [changes];
const split = (changes: TableChange[]): TableChange[][] => changes.map((change) => [change]);

describe('slices are the same by any path', () => {
  const backAndForth = [...STATES, ...[...STATES].reverse()];
  const last = STATES[STATES.length - 1] ?? EMPTY_STATE;

  test('forward', () => walk(STATES, whole));
  test('forward and back to nothing', () => walk(backAndForth, whole));
  test('squashed into one batch, and undone in one', () => walk([last, EMPTY_STATE], whole));
  test('squashed by pairs', () =>
    walk(
      backAndForth.filter((_, index) => index % 2 === 0),
      whole,
    ));
  test('split into single changes, references before referents too', () => {
    walk([last, EMPTY_STATE], split);
    walk([last, EMPTY_STATE], (changes) => split(changes.reverse()));
  });
  test('with empty and repeated batches', () => {
    walk(
      STATES.flatMap((state) => [state, state, EMPTY_STATE, state]),
      (changes) => [[], changes, []],
    );
  });
  test('the states in random order, the changes of each split at random', () => {
    const random = seededRandom(0xcab1e);
    for (let round = 0; round < 20; round += 1) {
      walk(shuffled(STATES, random), (changes) => {
        const mixed = shuffled(changes, random);
        const cut = Math.floor(random() * (mixed.length + 1));
        return [mixed.slice(0, cut), mixed.slice(cut)];
      });
    }
  });
});

/** One random edit of a small world, in which nothing guarantees that a reference has its referent. */
function randomEdit(state: State, random: () => number): State {
  const pick = <T>(...values: T[]): T => values[Math.floor(random() * values.length)] as T;
  const groups = (): string[] => ['a', 'b', 'c'].filter(() => random() < 0.4);
  const net = (): string => pick('n1', 'n2', 'n3');
  const maybe = <K extends Parameters<typeof without>[1]>(type: K, row: Parameters<typeof withRow<K>>[2]): State =>
    random() < 0.3 ? without(state, type, row.id) : withRow(state, type, row);
  switch (
    pick(
      'network',
      'subnet',
      'port',
      'port',
      'port',
      'leg',
      'leg',
      'router',
      'rule',
      'group',
      'host',
      'qos',
      'limit',
      'balancer',
      'lease',
      'wire',
    )
  ) {
    case 'network':
      return maybe(
        'network',
        network(net(), {
          admin_state_up: random() < 0.8,
          mtu: pick(1450, 8950),
          qos_policy_id: pick(null, 'k1', 'k2'),
        }),
      );
    case 'subnet': {
      const id = net();
      const more = { cidr: pick('10.0.0.0/24', '10.0.1.0/24'), ...(random() < 0.2 ? KEEPING : {}) };
      return maybe('subnet', subnet(`s-${id}`, pick(id, id, net()), more));
    }
    case 'leg':
      return maybe('port', leg(pick('q1', 'q2', 'q3', 'q4'), pick('r1', 'r2'), net()));
    case 'router':
      return maybe('router', {
        ...router(pick('r1', 'r2'), { admin_state_up: random() < 0.5 }),
        'cable:snat': pick('shared', 'leased', 'distributed'),
      });
    case 'rule':
      return maybe(
        'security_group_rule',
        rule(pick('x1', 'x2', 'x3'), pick('a', 'b', 'c'), { remote_group_id: pick(null, 'a', 'b', 'c') }),
      );
    case 'group':
      return maybe('security_group', group(pick('a', 'b', 'c'), random() < 0.5));
    case 'qos':
      return maybe('qos_policy', { id: pick('k1', 'k2') });
    case 'limit':
      return maybe(
        'qos_bandwidth_limit_rule',
        bandwidthLimit(pick('b1', 'b2'), pick('k1', 'k2'), {
          direction: pick('egress', 'ingress'),
          max_kbps: pick(0, 5, 10),
        }),
      );
    case 'lease': {
      const lease = snatLease(pick('a1', 'a2'), pick('r1', 'r2'), net(), pick('q1', 'p3', 'p4'), pick('', ...HOSTS));
      return maybe('snat_lease', { ...lease, first_ports: pick<number[]>([], [1024], [1024, 2048]) });
    }
    case 'balancer':
      return balancerEdit(maybe, pick, random);
    case 'wire': {
      const ends = [pick('q1', 'p3', 'p4'), pick('p5', 'p6', 'p3')] as const;
      const more = random() < 0.5 ? {} : { ...IN_CHAIN, at_port_id: pick(...ends), precedence: pick(0, 1) };
      return maybe('pseudowire', pseudowire(pick('w1', 'w2', 'w3', 'w4'), ...ends, more));
    }
    case 'host': {
      const features = pick<string[]>([], ABLE_TO_KEEP, ['pseudowires'], ['pseudowires']);
      return maybe('host', host(pick(...HOSTS), pick('192.0.2.1', '192.0.2.2'), { features }));
    }
    default:
      return maybe(
        'port',
        port(pick('q1', 'q2', 'p3', 'p4', 'p5', 'p6'), net(), pick('', ...HOSTS), {
          security_groups: groups(),
          port_security_enabled: random() < 0.8,
          qos_policy_id: pick(null, null, 'k1', 'k2'),
          admin_state_up: random() < 0.8,
        }),
      );
  }
}

type Maybe = <K extends Parameters<typeof without>[1]>(type: K, row: Parameters<typeof withRow<K>>[2]) => State;

/** The same of a load balancer or one of its parts. */
function balancerEdit(maybe: Maybe, pick: <T>(...values: T[]) => T, random: () => number): State {
  const balancer = pick('b1', 'b2');
  const poolId = pick('o1', 'o2');
  const net = (): string => pick('n1', 'n2', 'n3');
  const up = { admin_state_up: random() < 0.8 };
  switch (pick<string>('balancer', 'listener', 'pool', 'member')) {
    case 'balancer':
      return maybe('loadbalancer', loadBalancer(balancer, net(), pick('q1', 'p3'), up));
    case 'listener':
      return maybe('listener', listener(pick('l1', 'l2'), balancer, pick(null, poolId, poolId), up));
    case 'pool':
      return maybe('pool', pool(poolId, balancer, { lb_algorithm: pick('SOURCE_IP', 'SOURCE_IP_PORT') }));
    default: {
      const more = { subnet_id: pick(null, `s-${net()}`), weight: pick(0, 1) };
      return maybe('member', member(pick('m1', 'm2'), poolId, more));
    }
  }
}

function walkAtRandom(world: Incremental, steps: number): void {
  const seed = Number(process.env['CABLE_SEED'] ?? 20_261_120);
  const random = seededRandom(seed);
  let state = EMPTY_STATE;
  for (let step = 0; step < steps; step += 1) {
    let next = state;
    for (let edits = Math.ceil(random() * 4); edits > 0; edits -= 1) next = randomEdit(next, random);
    world.apply(shuffled(changesBetween(state, next), random));
    assert.deepEqual(world.world(), fromScratch(createTables(next).tables), `CABLE_SEED=${seed}, step ${step}`);
    state = next;
  }
}

test('random worlds, in random portions', () => walkAtRandom(new Incremental(), 3000));

describe('each recorded read is needed', () => {
  for (const [table, how] of [
    ['network', 'get'],
    ['router', 'get'],
    ['subnet', 'get'],
    ['host', 'get'],
    ['subnet', 'by'],
    ['router_interface', 'by'],
    ['loadbalancer', 'by'],
    ['listener', 'by'],
    ['pool', 'get'],
    ['port', 'get'],
    ['pseudowire', 'by'],
  ] as const) {
    test(`a reader that does not record ${how} of ${table} is found out`, () => {
      assert.throws(() => walkAtRandom(new Incremental((tables) => new Forgetful(tables, table, how)), 3000), {
        code: 'ERR_ASSERTION',
      });
    });
  }
});

/** Records everything but one way of reading one table. */
class Forgetful extends Reader {
  readonly #tables: CompilerTables;
  readonly #table: TableName;
  readonly #how: 'get' | 'by';

  constructor(tables: CompilerTables, table: TableName, how: 'get' | 'by') {
    super(tables);
    this.#tables = tables;
    this.#table = table;
    this.#how = how;
  }

  override get<T extends TableName>(table: T, id: string): TableRows[T] | undefined {
    return this.#how === 'get' && table === this.#table ? this.#tables[table].get(id) : super.get(table, id);
  }

  override by<T extends TableName>(table: T, index: IndexName<T>, key: string): readonly TableRows[T][] {
    return this.#how === 'by' && table === this.#table
      ? this.#tables[table].by(index, key)
      : super.by(table, index, key);
  }
}
