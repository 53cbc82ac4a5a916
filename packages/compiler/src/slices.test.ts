import assert from 'node:assert/strict';
import { test } from 'node:test';
import { computeSlice, reachableSlices } from './graph.ts';
import { groupSlice } from './group.ts';
import { hostname, hostSlice, policyKey, vifKind } from './host.ts';
import { networkSlice } from './network.ts';
import { policySlice } from './policy.ts';
import { protocolNumber } from './protocol.ts';
import { routerSlice } from './router.ts';
import {
  createTables,
  EMPTY_STATE,
  host,
  leg,
  network,
  port,
  router,
  rule,
  type State,
  subnet,
  withRow,
} from './state.fixture.ts';

const ONE: State = [
  (s: State) => withRow(s, 'network', network('n1')),
  (s: State) => withRow(s, 'subnet', subnet('s-n1', 'n1')),
  (s: State) => withRow(s, 'host', host('h1', '192.0.2.1')),
  (s: State) => withRow(s, 'port', port('p2', 'n1', 'h1', { security_groups: ['b', 'a'] })),
  (s: State) => withRow(s, 'port', port('p1', 'n1', 'h2')),
  (s: State) => withRow(s, 'port', port('p3', 'n1', '')),
].reduce((state, step) => step(state), EMPTY_STATE);

const ROUTED: State = [
  (s: State) => withRow(s, 'network', network('n2')),
  (s: State) => withRow(s, 'network', network('n3')),
  (s: State) => withRow(s, 'subnet', subnet('s-n2', 'n2', { cidr: '10.0.2.0/24' })),
  (s: State) => withRow(s, 'router', router('r1')),
  (s: State) => withRow(s, 'port', leg('l1', 'r1', 'n1')),
  (s: State) => withRow(s, 'port', leg('l2', 'r1', 'n2')),
].reduce((state, step) => step(state), ONE);

test('a host slice has the ports bound to the host and nothing else', () => {
  const { tables } = createTables(ROUTED);
  assert.deepEqual(
    hostSlice(tables, 'h1').ports.map((one) => one.id),
    ['p2'],
  );
  assert.deepEqual(hostSlice(tables, 'h9'), { kind: 'host', host: 'h9', ports: [] });
});

test('a port is down in a network that is down', () => {
  const { tables } = createTables(withRow(ONE, 'network', network('n1', { admin_state_up: false })));
  assert.equal(hostSlice(tables, 'h1').ports[0]?.adminStateUp, false);
});

test('endpoints are the bound ports, sorted; the underlay is null until the host registers', () => {
  const slice = networkSlice(createTables(ROUTED).tables, 'n1');
  assert.deepEqual(
    slice?.endpoints.map((one) => [one.portId, one.host, one.underlay]),
    [
      ['p1', 'h2', null],
      ['p2', 'h1', '192.0.2.1'],
    ],
  );
  assert.deepEqual(slice?.routers, ['r1']);
});

test('a port that is administratively down stays an endpoint', () => {
  const { tables } = createTables(withRow(ONE, 'port', port('p1', 'n1', 'h2', { admin_state_up: false })));
  assert.equal(networkSlice(tables, 'n1')?.endpoints.length, 2);
});

test('a router has an interface for each address whose subnet exists', () => {
  const slice = routerSlice(createTables(ROUTED).tables, 'r1');
  assert.deepEqual(
    slice?.interfaces.map((one) => [one.portId, one.networkId, one.cidr]),
    [
      ['l1', 'n1', '10.0.0.0/24'],
      ['l2', 'n2', '10.0.2.0/24'],
    ],
  );
  const noSubnet = createTables(withRow(EMPTY_STATE, 'router', router('r1')));
  noSubnet.apply({ type: 'port', before: undefined, after: leg('l1', 'r1', 'n1') });
  assert.deepEqual(routerSlice(noSubnet.tables, 'r1')?.interfaces, []);
});

test('a host reaches its networks, their routers and the routers other networks, its policies and their remote groups', () => {
  const state = withRow(ROUTED, 'security_group_rule', rule('x', 'a', { remote_group_id: 'g' }));
  assert.deepEqual([...reachableSlices(createTables(state).tables, 'h1')].sort(), [
    'group:g',
    'host:h1',
    'network:n1',
    'network:n2',
    'policy:a+b',
    'router:r1',
  ]);
});

test('two networks of one host joined by nothing both bring their own routers', () => {
  const state = [
    (s: State) => withRow(s, 'port', port('p4', 'n2', 'h1')),
    (s: State) => withRow(s, 'port', leg('l3', 'r2', 'n2')),
    (s: State) => withRow(s, 'port', leg('l4', 'r2', 'n3')),
  ].reduce((one, step) => step(one), ROUTED);
  const reached = reachableSlices(createTables(state).tables, 'h1');
  assert.ok(reached.has('router:r2') && reached.has('network:n3'));
});

test('what does not exist has no slice; a policy and a group always have one', () => {
  const { tables } = createTables();
  assert.equal(computeSlice(tables, 'network:n'), undefined);
  assert.equal(computeSlice(tables, 'router:r'), undefined);
  assert.deepEqual(computeSlice(tables, 'policy:'), { kind: 'policy', id: '', rules: [] });
  assert.deepEqual(computeSlice(tables, 'group:g'), { kind: 'group', id: 'g', members: [] });
});

test('a policy has the rules of its groups, in numbers', () => {
  const state = [
    (s: State) =>
      withRow(s, 'security_group_rule', rule('2', 'a', { protocol: 'tcp', port_range_min: 22, port_range_max: 23 })),
    (s: State) => withRow(s, 'security_group_rule', rule('1', 'b', { remote_ip_prefix: '10.1.0.0/16' })),
    (s: State) => withRow(s, 'security_group_rule', rule('3', 'b', { remote_ip_prefix: '10.1.2.3' })),
    (s: State) => withRow(s, 'security_group_rule', rule('4', 'b', { remote_ip_prefix: '0.0.0.0/0' })),
    (s: State) => withRow(s, 'security_group_rule', rule('5', 'b', { protocol: 'nonsense' })),
    (s: State) => withRow(s, 'security_group_rule', rule('6', 'c')),
  ].reduce((one, step) => step(one), EMPTY_STATE);
  const slice = policySlice(createTables(state).tables, 'a+b');
  assert.deepEqual(
    slice.rules.map((one) => [one.id, one.protocol, one.portMin, one.portMax, one.remote]),
    [
      ['1', null, null, null, { kind: 'prefix', cidr: '10.1.0.0/16' }],
      ['2', 6, 22, 23, { kind: 'any' }],
      ['3', null, null, null, { kind: 'prefix', cidr: '10.1.2.3/32' }],
      ['4', null, null, null, { kind: 'any' }],
    ],
  );
});

test('protocolNumber takes names, numbers and null', () => {
  const cases: [string | null, 'IPv4' | 'IPv6', number | null | undefined][] = [
    [null, 'IPv4', null],
    ['any', 'IPv4', null],
    ['tcp', 'IPv4', 6],
    ['17', 'IPv4', 17],
    ['0', 'IPv4', 0],
    ['icmp', 'IPv4', 1],
    ['icmp', 'IPv6', 58],
    ['1', 'IPv6', 58],
    ['ipv6-icmp', 'IPv6', 58],
    ['256', 'IPv4', undefined],
    ['-1', 'IPv4', undefined],
    ['constructor', 'IPv4', undefined],
    ['', 'IPv4', undefined],
  ];
  for (const [protocol, ethertype, number] of cases) assert.equal(protocolNumber(protocol, ethertype), number);
});

test('a group has the addresses and pairs of its ports, each once', () => {
  const pair = { allowed_address_pairs: [{ ip_address: '10.0.0.2' }, { ip_address: '10.9.0.0/16' }] };
  const state = withRow(EMPTY_STATE, 'port', port('p2', 'n1', '', { security_groups: ['g'], ...pair }));
  assert.deepEqual(groupSlice(createTables(state).tables, 'g').members, [
    { portId: 'p2', networkId: 'n1', addresses: ['10.0.0.2', '10.9.0.0/16'] },
  ]);
});

test('policyKey sorts the groups, names each once, and is null without port security', () => {
  const key = (groups: string[], on = true): string | null =>
    policyKey({ security_groups: groups, port_security_enabled: on });
  assert.equal(key(['b', 'a', 'b']), 'policy:a+b');
  assert.equal(key([]), 'policy:');
  assert.equal(key([], false), null);
});

test('vifKind follows owner and vnic type', () => {
  const kind = (device_owner: string, vnic: 'normal' | 'baremetal'): string =>
    vifKind({ device_owner, 'binding:vnic_type': vnic });
  assert.equal(kind('compute:nova', 'normal'), 'tap');
  assert.equal(kind('kubernetes:pod', 'normal'), 'veth');
  assert.equal(kind('baremetal:none', 'baremetal'), 'host');
});

test('hostname is an RFC 1123 label', () => {
  const cases: [string, string | null, string][] = [
    ['web 1', null, 'web-1'],
    ['web', 'asked', 'asked'],
    ['', null, 'host-12345678'],
    ['--', null, 'host-12345678'],
    ['Über.Server', null, 'ber-server'],
    [`${'a'.repeat(62)}-b`, null, 'a'.repeat(62)],
  ];
  for (const [name, asked, label] of cases) {
    assert.equal(hostname({ id: '12345678-abcd', name, 'cable:hostname': asked }), label);
  }
});
