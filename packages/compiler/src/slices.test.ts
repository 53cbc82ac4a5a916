import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PolicyHeader, PoolHeader } from '@cable/model';
import type { HealthMonitorRow, HostRow, PortRow, PseudowireRow } from './compiler-tables.ts';
import { type ComputedItem, type NodeKey, sourceKeysOf } from './kind.ts';
import { hostname, policyKey, vifKind } from './kinds/host.ts';
import { isSent, KINDS, splitKey } from './kinds.ts';
import { protocolNumber } from './protocol.ts';
import { Reader } from './reader.ts';
import {
  createTables,
  EMPTY_STATE,
  endpointSet,
  floatingIp,
  forwarding,
  gatewayOf,
  group,
  host,
  leg,
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
  service,
  serviceScope,
  snatLease,
  subnet,
  tapFlow,
  tapMirror,
  tapService,
  trunk,
  withRow,
} from './state.fixture.ts';
import { type TouchedReads, touchedReads } from './touched.ts';

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

/** Header and items of a slice, as a state has them; null: it does not exist. */
function sliceOf(
  state: State,
  key: NodeKey,
): { readonly header: unknown; readonly items: Fields[]; readonly refs: NodeKey[] } | null {
  const { tables } = createTables(state);
  const { kind, id } = splitKey(key);
  const { header, items } = KINDS[kind];
  const reader = new Reader(tables);
  const head = header(reader, id);
  if (head === undefined) return null;
  const rows =
    items === undefined
      ? []
      : sourceKeysOf(KINDS[kind], id, head).flatMap((source) => [
          ...tables[items.table].by(items.index as never, source),
        ]);
  const computed: ComputedItem[] = rows.flatMap((row) => [...(items?.compute(reader, row, id) ?? [])]);
  return {
    header: head.value,
    items: computed.map((one) => ({ key: one.key, ...(one.value as object) })),
    refs: [...new Set([head, ...computed].flatMap((one) => one.refs))].sort(),
  };
}

type Fields = Readonly<Record<string, unknown>>;

test('a host has the ports bound to it and nothing else, and needs what they need', () => {
  const slice = sliceOf(ROUTED, 'host:h1');
  assert.deepEqual(
    slice?.items.map((one) => one['id']),
    ['p2'],
  );
  assert.deepEqual(slice?.refs, [
    ...['endpoints:n1', 'gateways:h1', 'names:n1', 'near:n1', 'network:n1', 'policy:a+b'],
    'spares:h1',
  ]);
  const refs = ['gateways:h9', 'spares:h9'];
  assert.deepEqual(sliceOf(ROUTED, 'host:h9'), { header: { host: 'h9' }, items: [], refs });
});

test('a port without port security needs no policy', () => {
  const state = withRow(ONE, 'port', port('p2', 'n1', 'h1', { port_security_enabled: false }));
  assert.deepEqual(sliceOf(state, 'host:h1')?.refs, [
    'endpoints:n1',
    'gateways:h1',
    'names:n1',
    'near:n1',
    'network:n1',
    'spares:h1',
  ]);
});

test('what a guest is told is in its port’s item only if there is any', () => {
  const told = {
    extra_dhcp_opts: [{ opt_name: 'mtu', opt_value: '1400', ip_version: 4 as const }],
    'cable:public_keys': [{ name: 'ann', public_key: 'ssh-ed25519 AAAA' }],
    'cable:vendor_data': { a: 1 },
  };
  const item = sliceOf(withRow(ONE, 'port', port('p2', 'n1', 'h1', told)), 'host:h1')?.items[0];
  assert.deepEqual(item?.['extraDhcpOpts'], [{ name: 'mtu', value: '1400', ipVersion: 4 }]);
  assert.deepEqual(item?.['publicKeys'], [{ name: 'ann', publicKey: 'ssh-ed25519 AAAA' }]);
  assert.deepEqual(item?.['vendorData'], { a: 1 });
  const plain = sliceOf(withRow(ONE, 'port', port('p2', 'n1', 'h1')), 'host:h1')?.items[0] ?? {};
  for (const name of ['extraDhcpOpts', 'publicKeys', 'vendorData']) assert.ok(!Object.hasOwn(plain, name), name);
});

test('names are those of ports that have one or a domain of their own, bound or not', () => {
  const rows = [
    port('p2', 'n1', 'h1', { dns_name: 'web' }),
    port('p3', 'n1', '', { dns_domain: 'other.net.' }),
    port('p4', 'n1', 'h1'),
    port('p5', 'n1', 'h1', { dns_name: 'none', fixed_ips: [] }),
  ];
  const state = rows.reduce((before, row) => withRow(before, 'port', row), ONE);
  assert.deepEqual(
    sliceOf(state, 'names:n1')?.items.map(({ key, name, domain, ipAddresses }) => [key, name, domain, ipAddresses]),
    [
      ['p2', 'web', '', ['10.0.0.2']],
      ['p3', '', 'other.net.', ['10.0.0.3']],
    ],
  );
  const named = withRow(state, 'network', network('n1', { dns_domain: 'example.org.' }));
  const headers = [named, state].map((one) => JSON.stringify(sliceOf(one, 'network:n1')?.header));
  assert.match(headers[0] ?? '', /"dnsDomain":"example\.org\."/);
  assert.doesNotMatch(headers[1] ?? '', /dnsDomain/);
});

test('a port is up or down by itself, and so is a network', () => {
  const state = withRow(ONE, 'network', network('n1', { admin_state_up: false }));
  assert.equal(sliceOf(state, 'host:h1')?.items[0]?.['adminStateUp'], true);
  assert.deepEqual(
    Object.entries(sliceOf(state, 'network:n1')?.header ?? {}).find(([name]) => name === 'adminStateUp'),
    ['adminStateUp', false],
  );
});

test('a network on a physical network says its wire, and has a VNI apart from it for agents that know of none', () => {
  const of = (more: object): unknown =>
    sliceOf(withRow(EMPTY_STATE, 'network', network('n1', more)), 'network:n1')?.header;
  const vlan = of({
    'provider:network_type': 'vlan',
    'provider:physical_network': 'physnet1',
    'provider:segmentation_id': 100,
    vni: 9,
  });
  assert.deepEqual(
    [(vlan as Fields)['vni'], (vlan as Fields)['wire']],
    [9, { physicalNetwork: 'physnet1', segmentationId: 100 }],
  );
  const flat = of({
    'provider:network_type': 'flat',
    'provider:physical_network': 'physnet1',
    'provider:segmentation_id': null,
    vni: 10,
  });
  assert.deepEqual(
    [(flat as Fields)['vni'], (flat as Fields)['wire']],
    [10, { physicalNetwork: 'physnet1', segmentationId: null }],
  );
  const tunnelled = of({}) as Fields;
  assert.deepEqual([tunnelled['vni'], Object.hasOwn(tunnelled, 'wire')], [7, false]);
});

test('endpoints are the bound ports; the underlay is null until the host registers', () => {
  assert.deepEqual(
    sliceOf(ROUTED, 'endpoints:n1')?.items.map((one) => [one['key'], one['host'], one['underlay']]),
    [
      ['p2', 'h1', '192.0.2.1'],
      ['p1', 'h2', null],
    ],
  );
});

test('a node’s port says its zone to its own host, and that it announces nothing to all', () => {
  const node = port('p2', 'n1', 'h1', { 'cable:zone': 'eu-1a', 'cable:announces': false });
  const state = withRow(ONE, 'port', node);
  const own = (key: NodeKey) => sliceOf(state, key)?.items.find((one) => one['key'] === 'p2');
  assert.equal(own('host:h1')?.['zone'], 'eu-1a');
  assert.equal(own('endpoints:n1')?.['announces'], false);
  const others = sliceOf(ONE, 'endpoints:n1')?.items.filter((one) => 'announces' in one);
  assert.deepEqual(others, []);
});

test('a port that is administratively down stays an endpoint', () => {
  const state = withRow(ONE, 'port', port('p1', 'n1', 'h2', { admin_state_up: false }));
  assert.equal(sliceOf(state, 'endpoints:n1')?.items.length, 2);
});

test('a floating IP is with the host of its port if that is on the physical network and knows how, else with that of the gateway', () => {
  const { router: row, port: gateway } = gatewayOf('r1', 'x', 'h2');
  const wire = { 'provider:network_type': 'flat', 'provider:physical_network': 'physnet1' } as const;
  const floating = { port_id: 'p1', fixed_ip_address: '10.0.0.1', router_id: 'r1' };
  const outside = port('o-f1', 'x', '', { device_owner: 'network:floatingip', mac_address: '02:00:00:00:00:77' });
  const able = { bridge_mappings: { physnet1: 'eth1' }, features: ['floats'] };
  const before = [
    (s: State) => withRow(s, 'network', network('x', { 'router:external': true, ...wire })),
    (s: State) => withRow(s, 'router', row),
    (s: State) => withRow(s, 'port', gateway),
    (s: State) => withRow(s, 'port', outside),
    (s: State) => withRow(s, 'floatingip', floatingIp('f1', 'x', floating)),
  ].reduce((at, step) => step(at), ROUTED);
  const carrier = before.port.get('p1')?.['binding:host_id'] ?? '';
  const address = {
    networkId: 'x',
    floatingIp: '203.0.113.11',
    portId: 'p1',
    innerNetworkId: 'n1',
    fixedIp: '10.0.0.1',
  };
  const macAddress = '02:00:00:00:00:77';
  const unable = [{}, { ...able, features: [] }, { ...able, bridge_mappings: {} }];
  const elsewhere = { ...able, bridge_mappings: { physnet2: 'eth1' } };
  for (const more of [...unable, elsewhere]) {
    const state = withRow(before, 'host', host(carrier, '192.0.2.2', more));
    assert.deepEqual(
      sliceOf(state, 'floating:r1')?.items,
      [{ key: 'f1', ...address, macAddress }],
      JSON.stringify(more),
    );
    assert.equal(sliceOf(state, `floats:${carrier}`)?.items.length ?? 0, 0);
    if (more !== elsewhere) assert.equal(sliceOf(state, `floats:${carrier}`), null, 'it costs nothing there');
  }
  const state = withRow(before, 'host', host(carrier, '192.0.2.2', able));
  assert.deepEqual(sliceOf(state, 'floating:r1')?.items, []);
  assert.deepEqual(sliceOf(state, `floats:${carrier}`)?.items, [
    { key: 'p1/f1', ...address, macAddress, routerId: 'r1' },
  ]);
  assert.deepEqual(sliceOf(state, `floats:${carrier}`)?.refs, ['network:x', 'router:r1']);
  const central = withRow(state, 'router', { ...row, distributed: false });
  assert.equal(sliceOf(central, `floats:${carrier}`)?.items.length, 0, 'a router that is not distributed has it all');
  assert.deepEqual(sliceOf(central, 'floating:r1')?.items, [{ key: 'f1', ...address, macAddress }]);
  const unbound = withRow(state, 'port', port('p1', 'n1', ''));
  assert.equal(sliceOf(unbound, 'floating:r1')?.items.length, 1, 'a port that no host carries is behind the gateway');
});

test('the host of a gateway needs the router and its floating IPs; every host that has the router is told the way there', () => {
  const { router: row, port: gateway } = gatewayOf('r1', 'x', 'h2');
  const floating = { port_id: 'p1', fixed_ip_address: '10.0.0.1', router_id: 'r1' };
  const state = [
    (s: State) => withRow(s, 'network', network('x', { 'router:external': true })),
    (s: State) => withRow(s, 'router', row),
    (s: State) => withRow(s, 'port', gateway),
    (s: State) => withRow(s, 'host', host('h2', '192.0.2.2')),
    (s: State) => withRow(s, 'floatingip', floatingIp('f1', 'x', floating)),
    (s: State) => withRow(s, 'floatingip', floatingIp('f2', 'x')),
    (s: State) => withRow(s, 'floatingip', floatingIp('f3', 'x', { router_id: 'r1' })),
    (s: State) => withRow(s, 'port_forwarding', forwarding('w1', 'f3', { external_port_range: '8000:8009' })),
  ].reduce((at, step) => step(at), ROUTED);
  assert.equal(sliceOf(state, 'gateways:h1'), null);
  const gateways = sliceOf(state, 'gateways:h2');
  assert.deepEqual(gateways?.items, [{ key: 'g-r1', routerId: 'r1', networkId: 'x' }]);
  assert.deepEqual(gateways?.refs, ['blocks:r1', 'floating:r1', 'forwards:r1', 'network:x', 'router:r1']);
  assert.deepEqual(sliceOf(state, 'floating:r1')?.items, [
    {
      ...{ key: 'f1', networkId: 'x', floatingIp: '203.0.113.11' },
      ...{ portId: 'p1', innerNetworkId: 'n1', fixedIp: '10.0.0.1' },
    },
  ]);
  assert.deepEqual(sliceOf(state, 'forwards:r1')?.items, [
    {
      ...{ key: 'w1', networkId: 'x', floatingIp: '203.0.113.13', protocol: 6, externalPorts: [8000, 8009] },
      ...{ portId: 'p1', innerNetworkId: 'n1', fixedIp: '10.0.0.1', internalPorts: [22, 22] },
    },
  ]);
  const told = (sliceOf(state, 'router:r1')?.header as Fields | undefined)?.['gateway'];
  assert.deepEqual(told, {
    portId: 'g-r1',
    networkId: 'x',
    macAddress: '02:00:00:00:00:99',
    fixedIps: [{ subnetId: 's-x', ipAddress: '203.0.113.9' }],
    enableSnat: true,
    transitVni: 77,
    host: 'h2',
    underlay: '192.0.2.2',
  });
  assert.deepEqual(
    sliceOf(state, 'host:h2')?.items.map((one) => one['id']),
    ['p1'],
    'a gateway is no device',
  );
  assert.deepEqual(sliceOf(state, 'endpoints:x')?.items, []);
  assert.equal(sliceOf(state, 'spares:h2'), null);
  const guarded = withRow(state, 'port', { ...gateway, standby_hosts: ['h3', 'h2'] });
  assert.deepEqual(sliceOf(guarded, 'spares:h3'), {
    header: { host: 'h3' },
    items: gateways?.items,
    refs: gateways?.refs,
  });
  assert.deepEqual((sliceOf(guarded, 'router:r1')?.header as Fields | undefined)?.['gateway'], {
    ...(told as Fields),
    standbys: [
      { host: 'h3', underlay: null },
      { host: 'h2', underlay: '192.0.2.2' },
    ],
  });
  assert.deepEqual((sliceOf(state, 'network:x')?.header as Fields | undefined)?.['external'], true);
});

test('within an address scope a gateway translates nothing', () => {
  const { router: row, port: gateway } = gatewayOf('r1', 'x', 'h2');
  const inPool = (state: State, id: string, pool: string): State => {
    const known = state.subnet.get(id);
    return known === undefined ? state : withRow(state, 'subnet', { ...known, subnetpool_id: pool });
  };
  const state = [
    (s: State) => withRow(s, 'network', network('x', { 'router:external': true })),
    (s: State) => withRow(s, 'subnet', subnet('s-x', 'x', { cidr: '203.0.113.0/24' })),
    (s: State) => withRow(s, 'router', row),
    (s: State) => withRow(s, 'port', gateway),
    (s: State) => withRow(s, 'subnetpool', { id: 'a', address_scope_id: 'scope' }),
    (s: State) => withRow(s, 'subnetpool', { id: 'b', address_scope_id: 'scope' }),
    (s: State) => withRow(s, 'subnetpool', { id: 'c', address_scope_id: null }),
  ].reduce((at, step) => step(at), ROUTED);
  const translates = (inside: string, outside: string, snat = true): unknown => {
    const placed = ['s-n1', 's-n2'].reduce((at, id) => inPool(at, id, inside), inPool(state, 's-x', outside));
    const info = { ...row.external_gateway_info, enable_snat: snat } as NonNullable<typeof row.external_gateway_info>;
    const header = sliceOf(withRow(placed, 'router', { ...row, external_gateway_info: info }), 'router:r1')?.header;
    return ((header as Fields | undefined)?.['gateway'] as Fields | undefined)?.['enableSnat'];
  };
  assert.deepEqual(
    [
      translates('a', 'b'),
      translates('a', 'c'),
      translates('c', 'c'),
      translates('c', 'a'),
      translates('a', 'c', false),
    ],
    [false, true, true, true, false],
  );
});

test('blocks say who has them, and who leaves by the gateway: all of a router that leases them, else those whose host is not on the physical network or does not know how', () => {
  const { router: row, port: gateway } = gatewayOf('r1', 'x', 'h9');
  const physical = { 'provider:network_type': 'flat', 'provider:physical_network': 'physnet1' } as const;
  const able = { bridge_mappings: { physnet1: 'eth9' }, features: ['blocks'] };
  const build = (snat: 'leased' | 'distributed', more: Partial<HostRow>): State =>
    [
      (s: State) => withRow(s, 'network', network('x', { 'router:external': true, ...physical })),
      (s: State) => withRow(s, 'router', { ...row, 'cable:snat': snat }),
      (s: State) => withRow(s, 'port', gateway),
      (s: State) => withRow(s, 'host', host('h1', '192.0.2.1', more)),
      (s: State) => withRow(s, 'snat_lease', snatLease('b1', 'r1', 'x', 'p2', 'h1')),
    ].reduce((at, step) => step(at), ROUTED);
  for (const [snat, more, isByGateway] of [
    ['leased', able, true],
    ['distributed', able, false],
    ['distributed', { ...able, features: [] }, true],
    ['distributed', { ...able, bridge_mappings: { physnet2: 'eth9' } }, true],
  ] as const) {
    const state = build(snat, more);
    const [item] = sliceOf(state, 'blocks:r1')?.items ?? [];
    assert.deepEqual(
      item,
      {
        ...{ key: 'b1', networkId: 'x', address: '203.0.113.9', firstPorts: [1024] },
        ...{ host: 'h1', underlay: '192.0.2.1', portId: 'p2', fixedIps: ['10.0.0.2'] },
        leavesBy: isByGateway ? 'gateway' : 'host',
      },
      JSON.stringify([snat, more]),
    );
    const [lease] = sliceOf(state, 'leases:h1')?.items ?? [];
    assert.equal(lease?.['leavesBy'], isByGateway ? 'gateway' : 'host');
  }
});

const WIRED: State = [
  (s: State) => withRow(s, 'host', host('h1', '192.0.2.1', { features: ['pseudowires'] })),
  (s: State) => withRow(s, 'host', host('h2', '192.0.2.2', { features: ['pseudowires'] })),
  (s: State) => withRow(s, 'host', host('h3', '192.0.2.3')),
  (s: State) => withRow(s, 'port', port('p1', 'n1', 'h1')),
  (s: State) => withRow(s, 'port', port('p2', 'n1', 'h2')),
  (s: State) => withRow(s, 'port', port('p3', 'n1', 'h2')),
].reduce((at, step) => step(at), EMPTY_STATE);

function wiresAt(state: State, name: string): readonly Readonly<Record<string, unknown>>[] {
  return sliceOf(state, `pseudowires:${name}`)?.items ?? [];
}

test('both hosts of a pseudowire are told of it, one host once, and a host with none has no such slice', () => {
  const wire = (from: string, to: string, more: Partial<PseudowireRow> = {}): State =>
    withRow(WIRED, 'pseudowire', pseudowire('w1', from, to, more));
  const place = (id: string, name: string, underlay: string | null) => {
    return { portId: id, macAddress: `02:00:00:00:00:0${id.slice(1)}`, host: name, underlay };
  };
  const between = wire('p1', 'p2', { admitted_kbps: 9, guaranteed_kbps: 5 });
  const value = {
    ...{ id: 'w1', name: 'w1', projectId: 'p', vni: 99 },
    from: { ...place('p1', 'h1', '192.0.2.1'), at: 'sent', order: 0 },
    to: { ...place('p2', 'h2', '192.0.2.2'), as: 'deliver' },
    ...{ admittedKbps: 9, guaranteedKbps: 5 },
  };
  assert.deepEqual(wiresAt(between, 'h1'), [{ key: 'p1/w1', ...value }]);
  assert.deepEqual(wiresAt(between, 'h2'), [{ key: 'p2/w1', ...value }]);
  const local = wire('p2', 'p3');
  assert.deepEqual(
    wiresAt(local, 'h2').map(({ key }) => key),
    ['p2/w1'],
  );
  const refs = (state: State, name: string) =>
    (sliceOf(state, `host:${name}`)?.refs ?? []).filter((one) => one.startsWith('pseudowires'));
  assert.deepEqual([refs(between, 'h1'), refs(between, 'h2')], [['pseudowires:h1'], ['pseudowires:h2']]);
  assert.deepEqual([refs(local, 'h1'), refs(WIRED, 'h2')], [[], []]);
});

test('what leads to a port that takes no frames is dropped where it begins', () => {
  const ends = (to: Partial<PortRow>, more: Partial<PseudowireRow> = {}): unknown => {
    const state = withRow(WIRED, 'port', port('p2', 'n1', 'h2', to));
    const [item] = wiresAt(withRow(state, 'pseudowire', pseudowire('w1', 'p1', 'p2', more)), 'h1');
    const end = (item?.['to'] ?? {}) as { readonly host?: string; readonly underlay?: string | null };
    return [end.host, end.underlay];
  };
  assert.deepEqual(ends({}), ['h2', '192.0.2.2']);
  assert.deepEqual(ends({ 'binding:host_id': '' }), ['', null]);
  assert.deepEqual(ends({ binding_failed: true }), ['', null]);
  assert.deepEqual(ends({ 'binding:host_id': 'h3' }), ['', null], 'a host that knows of none');
  assert.deepEqual(ends({}, { port_ids: ['p1', 'p8'] }), ['', null], 'a port that is gone');
  assert.deepEqual(ends({}, { at_port_id: 'p1', back_port_id: 'p3' }), ['h2', '192.0.2.2']);
  assert.deepEqual(ends({}, { at_port_id: 'p1', back_port_id: 'p9' }), ['', null], 'no such port');
  assert.deepEqual(ends({ 'binding:host_id': 'h1' }, { at_port_id: 'p1', back_port_id: 'p3' }), ['', null]);
});

test('a port whose host does not know of its pseudowires passes nothing', () => {
  const on = (name: string): unknown => {
    const state = withRow(WIRED, 'port', port('p1', 'n1', name, { security_groups: ['a'] }));
    const wired = withRow(state, 'pseudowire', pseudowire('w1', 'p1', 'p2', { at_port_id: 'p1' }));
    return sliceOf(wired, `host:${name}`)?.items.find(({ key }) => key === 'p1')?.['policy'];
  };
  assert.deepEqual([on('h1'), on('h3')], ['policy:a', 'policy:']);
  const moving = port('p1', 'n1', 'h1', { security_groups: ['a'], standby_hosts: ['h2'] });
  const standby = (state: State): unknown => sliceOf(state, 'standby:h2')?.items[0]?.['policy'];
  const state = withRow(WIRED, 'port', moving);
  const wired = withRow(state, 'pseudowire', pseudowire('w1', 'p1', 'p2', { at_port_id: 'p1' }));
  assert.deepEqual([standby(state), standby(wired)], ['policy:a', 'policy:'], 'nor before its wires are there');
});

test('a way begins with what its matches say, in the order of precedence, and goes on by its path', () => {
  const matches = [
    {
      ...{ ip_version: 6, source: '2001:db8::/32', destination: null, protocol: 17 },
      ...{ source_ports: null, destination_ports: { first: 53, last: 53 } },
    },
  ];
  const of = { object_id: 'c', at_port_id: 'p1', matches };
  const state = [
    (s: State) => withRow(s, 'pseudowire', pseudowire('w1', 'p1', 'p2', { ...of, back_port_id: 'p3' })),
    (s: State) => withRow(s, 'pseudowire', pseudowire('w2', 'p3', 'p1', { ...of, matches: [] })),
    (s: State) => withRow(s, 'pseudowire', pseudowire('w0', 'p1', 'p2', { ...of, object_id: 'd', precedence: 1 })),
    (s: State) => withRow(s, 'pseudowire', pseudowire('w3', 'p1', 'p2', { ...of, at: 'delivered' })),
  ].reduce((at, step) => step(at), WIRED);
  const parts = Object.fromEntries(
    wiresAt(state, 'h1').map(({ id, from, to }) => {
      const drop = ({ portId: _1, macAddress: _2, host: _3, underlay: _4, ...rest }: Record<string, unknown>) => rest;
      return [id, [drop(from as Record<string, unknown>), drop(to as Record<string, unknown>)]];
    }),
  );
  const match = { ipVersion: 6, source: '2001:db8::/32', protocol: 17, destinationPorts: [53, 53] };
  assert.deepEqual(parts, {
    w1: [
      { at: 'sent', matches: [match], order: 0 },
      { as: 'function', path: 'c/p1/sent', back: 'p3' },
    ],
    w2: [
      { at: 'sent', order: 0, path: 'c/p1/sent' },
      { as: 'resume', path: 'c/p1/sent', at: 'sent' },
    ],
    w0: [
      { at: 'sent', matches: [match], order: 1 },
      { as: 'function', path: 'd/p1/sent' },
    ],
    w3: [
      { at: 'delivered', matches: [match], order: 0 },
      { as: 'function', path: 'c/p1/delivered' },
    ],
  });
});

test('a router has an item for each address whose subnet exists, and needs its networks without their routers', () => {
  const slice = sliceOf(ROUTED, 'router:r1');
  assert.deepEqual(
    slice?.items.map((one) => [one['key'], one['portId'], one['networkId'], one['cidr']]),
    [
      ['l1/10.0.0.1', 'l1', 'n1', '10.0.0.0/24'],
      ['l2/10.0.0.2', 'l2', 'n2', '10.0.2.0/24'],
    ],
  );
  assert.deepEqual(slice?.refs, ['endpoints:n1', 'endpoints:n2', 'network:n1', 'network:n2']);
  const noSubnet = withRow(withRow(EMPTY_STATE, 'router', router('r1')), 'port', leg('l1', 'r1', 'n1'));
  assert.deepEqual(sliceOf(noSubnet, 'router:r1')?.items, []);
});

test('a subnet of IPv6 says its modes, each only if it is set; one of IPv4 says nothing of them', () => {
  const six = { cidr: '2001:db8::/64', ip_version: 6, gateway_ip: 'fe80::1' } as const;
  const subnets = [
    subnet('s1', 'n1', { ...six, ipv6_ra_mode: 'slaac', ipv6_address_mode: 'slaac' }),
    subnet('s2', 'n1', { ...six, cidr: '2001:db8:1::/64', ipv6_address_mode: 'dhcpv6-stateful' }),
    subnet('s3', 'n1'),
  ];
  const state = subnets.reduce(
    (before, row) => withRow(before, 'subnet', row),
    withRow(EMPTY_STATE, 'network', network('n1')),
  );
  const header = sliceOf(state, 'network:n1')?.header as { subnets: readonly object[] } | undefined;
  const common = { enableDhcp: true, dnsNameservers: [], hostRoutes: [] };
  assert.deepEqual(header?.subnets, [
    {
      ...{ id: 's1', cidr: '2001:db8::/64', ipVersion: 6, gatewayIp: 'fe80::1', ...common },
      ...{ ipv6RaMode: 'slaac', ipv6AddressMode: 'slaac' },
    },
    {
      ...{ id: 's2', cidr: '2001:db8:1::/64', ipVersion: 6, gatewayIp: 'fe80::1', ...common },
      ipv6AddressMode: 'dhcpv6-stateful',
    },
    { id: 's3', cidr: '10.0.0.0/24', ipVersion: 4, gatewayIp: '10.0.0.1', ...common },
  ]);
});

test('a router’s leg in several subnets has an item for each, and a group has all addresses of its members', () => {
  const dual = [
    { subnet_id: 's-n1', ip_address: '10.0.0.1' },
    { subnet_id: 's6', ip_address: '2001:db8::1' },
  ];
  const rows = [
    leg('l1', 'r1', 'n1', { fixed_ips: dual }),
    port('p1', 'n1', 'h1', { security_groups: ['a'], fixed_ips: dual }),
  ];
  const six = withRow(ROUTED, 'subnet', subnet('s6', 'n1', { cidr: '2001:db8::/64', ip_version: 6 }));
  const state = rows.reduce((before, row) => withRow(before, 'port', row), six);
  const items = sliceOf(state, 'router:r1')?.items.map((one) => [one['key'], one['cidr']]);
  assert.deepEqual(items?.slice(0, 2), [
    ['l1/10.0.0.1', '10.0.0.0/24'],
    ['l1/2001:db8::1', '2001:db8::/64'],
  ]);
  const member = sliceOf(state, 'group:a')?.items.find((one) => one['key'] === 'p1');
  assert.deepEqual(member?.['addresses'], ['10.0.0.1', '2001:db8::1']);
});

test('a host with a port in a network needs the routers of the network; that slice is not sent', () => {
  assert.deepEqual(sliceOf(ROUTED, 'near:n1')?.refs, ['router:r1']);
  assert.deepEqual(sliceOf(ROUTED, 'near:n3')?.refs, []);
  assert.equal(isSent('near:n1'), false);
  assert.equal(isSent('network:n1'), true);
});

test('what does not exist has no slice; a policy and a group always have one', () => {
  assert.equal(sliceOf(EMPTY_STATE, 'network:n'), null);
  assert.equal(sliceOf(EMPTY_STATE, 'endpoints:n'), null);
  assert.equal(sliceOf(EMPTY_STATE, 'router:r'), null);
  assert.deepEqual(sliceOf(EMPTY_STATE, 'policy:'), { header: { id: '' }, items: [], refs: [] });
  assert.deepEqual(sliceOf(EMPTY_STATE, 'group:g'), { header: { id: 'g' }, items: [], refs: [] });
});

test('a policy has the rules of its groups, in numbers, and needs their remote groups', () => {
  const state = [
    (s: State) =>
      withRow(s, 'security_group_rule', rule('2', 'a', { protocol: 'tcp', port_range_min: 22, port_range_max: 23 })),
    (s: State) => withRow(s, 'security_group_rule', rule('1', 'b', { remote_ip_prefix: '10.1.0.0/16' })),
    (s: State) => withRow(s, 'security_group_rule', rule('3', 'b', { remote_ip_prefix: '10.1.2.3' })),
    (s: State) => withRow(s, 'security_group_rule', rule('4', 'b', { remote_ip_prefix: '0.0.0.0/0' })),
    (s: State) => withRow(s, 'security_group_rule', rule('5', 'b', { protocol: 'nonsense', remote_group_id: 'h' })),
    (s: State) => withRow(s, 'security_group_rule', rule('6', 'c')),
    (s: State) => withRow(s, 'security_group_rule', rule('7', 'a', { remote_group_id: 'g' })),
  ].reduce((one, step) => step(one), EMPTY_STATE);
  const slice = sliceOf(state, 'policy:a+b');
  assert.deepEqual(
    slice?.items.map((one) => [one['key'], one['protocol'], one['portMin'], one['portMax'], one['remote']]),
    [
      ['2', 6, 22, 23, { kind: 'any' }],
      ['7', null, null, null, { kind: 'group', groupId: 'g' }],
      ['1', null, null, null, { kind: 'prefix', cidr: '10.1.0.0/16' }],
      ['3', null, null, null, { kind: 'prefix', cidr: '10.1.2.3/32' }],
      ['4', null, null, null, { kind: 'any' }],
    ],
  );
  assert.deepEqual(slice?.refs, ['group:g']);
});

test('a policy is stateless when all of its groups are', () => {
  const policies = ['policy:', 'policy:a', 'policy:a+b', 'policy:b', 'policy:x'] as const;
  const stateless = (state: State) =>
    policies.filter((key) => (sliceOf(state, key)?.header as PolicyHeader | undefined)?.stateless === true);
  const state = withRow(withRow(EMPTY_STATE, 'security_group', group('a', false)), 'security_group', group('b', true));
  assert.deepEqual(stateless(state), ['policy:a']);
  assert.deepEqual(stateless(withRow(state, 'security_group', group('b', false))), [
    'policy:a',
    'policy:a+b',
    'policy:b',
  ]);
});

test('a group has the addresses of its bound ports, and their pairs that are one address, each once', () => {
  const pairs = ['10.0.0.2', '10.0.0.3/32', '2001:db8::3', '10.9.0.0/16', '0.0.0.0/0', '::/0'].map((ip) => ({
    ip_address: ip,
    mac_address: '02:00:00:00:00:02',
  }));
  const state = [
    (s: State) => withRow(s, 'port', port('p2', 'n1', 'h1', { security_groups: ['g'], allowed_address_pairs: pairs })),
    (s: State) => withRow(s, 'port', port('p3', 'n1', '', { security_groups: ['g'] })),
    (s: State) => withRow(s, 'port', leg('l4', 'r1', 'n1', { security_groups: ['g'] })),
  ].reduce((one, step) => step(one), EMPTY_STATE);
  assert.deepEqual(sliceOf(state, 'group:g')?.items, [
    { key: 'p2', portId: 'p2', networkId: 'n1', addresses: ['10.0.0.2', '10.0.0.3/32', '2001:db8::3'] },
  ]);
});

test('an endpoint has the pairs that are one address; none with port security off', () => {
  const pairs = ['10.0.0.3', '10.9.0.0/16'].map((ip) => ({ ip_address: ip, mac_address: '02:00:00:00:00:02' }));
  const pairsOf = (fields: Partial<PortRow>): unknown => {
    const state = [
      (s: State) => withRow(s, 'network', network('n1')),
      (s: State) => withRow(s, 'port', port('p2', 'n1', 'h1', { allowed_address_pairs: pairs, ...fields })),
    ].reduce((one, step) => step(one), EMPTY_STATE);
    return sliceOf(state, 'endpoints:n1')?.items.map((item) => (item as unknown as { pairs?: unknown }).pairs);
  };
  assert.deepEqual(pairsOf({}), [[{ ipAddress: '10.0.0.3', macAddress: '02:00:00:00:00:02' }]]);
  assert.deepEqual(pairsOf({ port_security_enabled: false }), [undefined]);
  assert.deepEqual(pairsOf({ allowed_address_pairs: [] }), [undefined]);
});

test('a change of what no slice is made of touches nothing; of a port it touches what it stood and stands under', () => {
  const before = port('p1', 'n1', 'h1', { security_groups: ['a'] });
  const touched = (after: PortRow | undefined): TouchedReads | undefined =>
    touchedReads({ type: 'port', before, after }, (what) => assert.fail(what));
  assert.equal(touched({ ...before, fixed_ips: [...before.fixed_ips], status: 'ACTIVE' } as PortRow), undefined);
  const moved = touched({ ...before, 'binding:host_id': 'h2', security_groups: ['b'] });
  assert.deepEqual(moved?.indexes.map((read) => read.split('\0').slice(1).join(' ')).sort(), [
    'binding:host_id h1',
    'binding:host_id h2',
    'device_id vm',
    'network_id n1',
    'security_groups a',
    'security_groups b',
  ]);
});

test('a row that cannot be read is reported, and what the other side of its change stood under is touched', () => {
  const after = port('p1', 'n1', 'h1');
  const before: unknown = { ...port('p1', 'n2', 'h2'), security_groups: 5 };
  const errors: string[] = [];
  const touched = touchedReads({ type: 'port', before: before as PortRow, after }, (what) => errors.push(what));
  assert.deepEqual(errors, ['index security_groups of port p1']);
  assert.equal(touched?.indexes.length, 5);
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

test('policyKey sorts the groups, names each once, and is null without port security and of pods without groups', () => {
  const key = (groups: string[], on = true, cluster: string | null = null): string | null =>
    policyKey({ security_groups: groups, port_security_enabled: on, 'cable:cluster': cluster });
  assert.equal(key(['b', 'a', 'b']), 'policy:a+b');
  assert.equal(key([]), 'policy:');
  assert.equal(key([], false), null);
  assert.equal(key([], true, 'prod'), null);
  assert.equal(key(['a'], true, 'prod'), 'policy:a');
});

test('vifKind follows owner and vnic type', () => {
  const kind = (device_owner: string, vnic: 'normal' | 'baremetal'): string =>
    vifKind({ device_owner, 'binding:vnic_type': vnic });
  assert.equal(kind('compute:nova', 'normal'), 'tap');
  assert.equal(kind('kubernetes:pod', 'normal'), 'veth');
  assert.equal(kind('kubernetes:node', 'normal'), 'host');
  assert.equal(kind('baremetal:none', 'baremetal'), 'host');
});

test('hostname is an RFC 1123 label', () => {
  const cases: [string, string | null, string, string?][] = [
    ['web 1', null, 'db', 'db.inner'],
    ['web 1', 'asked', 'asked', 'db'],
    ['web 1', null, 'web-1'],
    ['web', 'asked', 'asked'],
    ['', null, 'host-12345678'],
    ['--', null, 'host-12345678'],
    ['Über.Server', null, 'ber-server'],
    [`${'a'.repeat(62)}-b`, null, 'a'.repeat(62)],
  ];
  for (const [name, asked, label, dnsName = ''] of cases) {
    assert.equal(hostname({ id: '12345678-abcd', name, dns_name: dnsName, 'cable:hostname': asked }), label);
  }
});

test('a sub-port says its tag and its parent, whose kind of device and machine it has', () => {
  const pod = { device_owner: 'kubernetes:pod', device_id: 'pod-1' };
  const sub = { device_owner: 'trunk:subport', device_id: '' };
  const state = [
    (s: State) => withRow(s, 'port', port('p1', 'n1', 'h1', pod)),
    (s: State) => withRow(s, 'port', port('p2', 'n1', 'h1', sub)),
    (s: State) => withRow(s, 'port', port('p3', 'n1', 'h1', sub)),
    (s: State) => withRow(s, 'trunk', trunk('t1', 'p1', ['p2'])),
  ].reduce((made, step) => step(made), ONE);
  const items = sliceOf(state, 'host:h1')?.items ?? [];
  const found = items.map(({ key, vifKind: kind, deviceId, trunk: place }) => ({ key, kind, deviceId, place }));
  assert.deepEqual(found, [
    { key: 'p2', kind: 'veth', deviceId: 'pod-1', place: { parentPortId: 'p1', vlan: 101 } },
    { key: 'p1', kind: 'veth', deviceId: 'pod-1', place: undefined },
    // One that is in no trunk is as any other port.
    { key: 'p3', kind: 'tap', deviceId: '', place: undefined },
  ]);
});

test('a pool says how its members are probed, and of each what its host told, as long as it is to be probed', () => {
  const monitor: HealthMonitorRow = {
    id: 'hm',
    pool_id: 'pool',
    admin_state_up: true,
    type: 'HTTP',
    delay: 5,
    timeout: 3,
    max_retries: 2,
    max_retries_down: 4,
    http_method: null,
    url_path: '/up',
    expected_codes: '200-204,301',
    domain_name: 'www.example.org',
  };
  const balanced: State = [
    (s: State) => withRow(s, 'loadbalancer', loadBalancer('lb', 'n1', 'p3')),
    (s: State) => withRow(s, 'pool', pool('pool', 'lb')),
    (s: State) => withRow(s, 'member', member('m1', 'pool', { subnet_id: 's-n1', monitor_port: 9000 })),
    (s: State) => withRow(s, 'member', member('m2', 'pool', { subnet_id: 's-n1', address: '10.0.0.6' })),
    (s: State) => withRow(s, 'health', { id: 'm1', state: 'down' }),
    (s: State) => withRow(s, 'health', { id: 'm2', state: 'up' }),
  ].reduce((state, step) => step(state), ONE);
  const monitorIn = (state: State) => (sliceOf(state, 'pool:pool')?.header as PoolHeader | undefined)?.monitor;
  const told = (state: State) => sliceOf(state, 'pool:pool')?.items.map((one) => one['health']);
  assert.deepEqual(told(balanced), [undefined, undefined], 'nobody probes');
  const probed = withRow(balanced, 'healthmonitor', monitor);
  const slice = sliceOf(probed, 'pool:pool');
  const isUdp = (state: State) => (sliceOf(state, 'pool:pool')?.header as PoolHeader | undefined)?.udp;
  const udp = withRow(probed, 'pool', { ...pool('pool', 'lb'), protocol: 'UDP' });
  assert.deepEqual([isUdp(probed), isUdp(udp)], [undefined, true]);
  assert.deepEqual(monitorIn(probed), {
    type: 'HTTP',
    delayMs: 5000,
    timeoutMs: 3000,
    rise: 2,
    fall: 4,
    http: {
      method: 'GET',
      path: '/up',
      host: 'www.example.org',
      codes: [
        [200, 204],
        [301, 301],
      ],
    },
  });
  assert.deepEqual(told(probed), ['down', undefined]);
  assert.deepEqual(
    slice?.items.map((one) => one['monitorPort']),
    [9000, undefined],
  );
  const off = withRow(balanced, 'healthmonitor', { ...monitor, admin_state_up: false });
  assert.deepEqual(told(off), [undefined, undefined]);
  assert.equal(monitorIn(off), undefined);
});

test('a port’s mirrors say where its copies go, and who watches says whence they come', () => {
  const state = [
    (s: State) => withRow(s, 'host', host('h2', '192.0.2.2')),
    (s: State) => withRow(s, 'port', port('p1', 'n1', 'h2', { tapped: true })),
    (s: State) => withRow(s, 'port', port('p2', 'n1', 'h1', { tapped: true, standby_hosts: ['h3'] })),
    (s: State) => withRow(s, 'tap_service', tapService('v1', 'p1', 900)),
    (s: State) => withRow(s, 'tap_flow', tapFlow('w1', 'v1', 'p2')),
    (s: State) => withRow(s, 'tap_mirror', tapMirror('m1', 'p2', 77)),
  ].reduce((before, step) => step(before), ONE);
  const found = (host: string): unknown[] =>
    (sliceOf(state, `host:${host}`)?.items ?? []).map(({ key, mirrors, taps }) => ({ key, mirrors, taps }));
  assert.deepEqual(found('h1'), [
    {
      key: 'p2',
      mirrors: [
        {
          ...{ id: 'w1', name: 'w1', maxKbps: 1000, filter: [] },
          ...{ in: { place: 0, tunnel: 0 }, out: { place: 0, tunnel: 0 } },
          target: { kind: 'port', portId: 'p1', vni: 900, host: 'h2', underlay: '192.0.2.2' },
        },
        {
          ...{ id: 'm1', name: 'm1', maxKbps: 1000, filter: [{ protocol: 6, portMin: 80, portMax: 80 }] },
          ...{ out: { place: 1, tunnel: 77 }, target: { kind: 'gre', remoteIp: '192.0.2.50' } },
        },
      ],
      taps: undefined,
    },
  ]);
  assert.deepEqual(found('h2'), [
    {
      key: 'p1',
      mirrors: undefined,
      taps: [
        {
          ...{ id: 'v1', vni: 900 },
          sources: [
            { host: 'h1', underlay: '192.0.2.1' },
            { host: 'h3', underlay: null },
          ],
        },
      ],
    },
  ]);
});

test('a router says its policy routes in the order in which they are asked, the narrower of two sources in each', () => {
  const state = [
    (s: State) => withRow(s, 'router_policy', routerPolicy('y1', 'r1', { priority: 5, protocol: 'icmp' })),
    (s: State) =>
      withRow(
        s,
        'router_policy',
        routerPolicy('y2', 'r1', {
          ...{
            priority: 9,
            action: 'reroute',
            next_hop: '10.0.1.9',
            subnet_id: 's-n1',
            source_ip_prefix: '10.0.0.0/8',
          },
          ...{ protocol: 'tcp', port_range_min: 80, port_range_max: 90 },
        }),
      ),
    (s: State) => withRow(s, 'router_policy', routerPolicy('y3', 'r1', { protocol: 'icmp', source_ip_prefix: '::/0' })),
    (s: State) => withRow(s, 'router_policy', routerPolicy('y4', 'r9')),
  ].reduce((s, step) => step(s), ROUTED);
  const cidr = state.subnet.get('s-n1')?.cidr;
  assert.ok(cidr !== undefined);
  assert.deepEqual((sliceOf(state, 'router:r1')?.header as Fields | undefined)?.['policies'], [
    {
      ...{ id: 'y2', name: 'y2', action: 'reroute', nextHop: '10.0.1.9', ipVersion: 4, networkId: 'n1', source: cidr },
      ...{ protocol: 6, ports: [80, 90] },
    },
    { id: 'y1', name: 'y1', action: 'drop', protocol: 1 },
    { id: 'y3', name: 'y3', action: 'drop', ipVersion: 6, source: '::/0', protocol: 58 },
  ]);
});

test('logs that are enabled are in one slice of every host, which is not there while there are none', () => {
  assert.equal(sliceOf(ONE, 'logs:cloud'), null);
  assert.ok(!sliceOf(ONE, 'host:h1')?.refs.includes('logs:cloud'), 'it costs nothing');
  const fields = { project_id: 'p', resource_id: null, target_id: null } as const;
  const state = [
    (s: State) => withRow(s, 'log', { id: 'l1', ...fields, target_id: 'p1', event: 'ALL', enabled: true }),
    (s: State) => withRow(s, 'log', { id: 'l2', ...fields, resource_id: 'a', event: 'DROP', enabled: true }),
    (s: State) => withRow(s, 'log', { id: 'l3', ...fields, event: 'ACCEPT', enabled: true }),
    (s: State) => withRow(s, 'log', { id: 'l4', ...fields, event: 'ALL', enabled: false }),
  ].reduce((s, step) => step(s), ONE);
  const item = { projectId: 'p', groupId: null, portId: null, accepts: true, drops: true };
  assert.deepEqual(sliceOf(state, 'logs:cloud'), {
    header: { of: 'cloud' },
    items: [
      { key: 'l1', ...item, id: 'l1', portId: 'p1' },
      { key: 'l2', ...item, id: 'l2', groupId: 'a', accepts: false },
      { key: 'l3', ...item, id: 'l3', drops: false },
    ],
    refs: [],
  });
  for (const id of ['h1', 'h2']) assert.ok(sliceOf(state, `host:${id}`)?.refs.includes('logs:cloud'), id);
});

/** Router r1 with networks n1 and n2, and r2 with m1 and m2, of which each lets the first through. */
const PEERED: State = [
  (s: State) => withRow(s, 'router', router('r2')),
  ...[1, 2].flatMap((n) => [
    (s: State) => withRow(s, 'network', network(`m${n}`)),
    (s: State) => withRow(s, 'subnet', subnet(`s-m${n}`, `m${n}`, { cidr: `10.8.${n}.0/24` })),
    (s: State) => withRow(s, 'port', leg(`k${n}`, 'r2', `m${n}`)),
  ]),
  (s: State) => withRow(s, 'router_peering', routerPeering('e1', 'r1', 'r2', ['s-n1'])),
  (s: State) => withRow(s, 'router_peering', routerPeering('e2', 'r2', 'r1', ['s-m1'])),
].reduce((s, step) => step(s), ROUTED);

/** `<peering>: <own subnets> > <networks of the peer>` of each that is in force. */
function peeringsOf(state: State, routerId: string): readonly string[] | undefined {
  type Side = { readonly cidr: string; readonly networkId: string };
  return sliceOf(state, `peerings:${routerId}`)?.items.map(({ key, own, peers }) => {
    const networks = (sides: unknown): string => (sides as readonly Side[]).map((one) => one.networkId).join();
    return `${key}: ${networks(own)} > ${networks(peers)}`;
  });
}

test('a peering leads to the networks that the other side lets through, and to no other', () => {
  assert.deepEqual(sliceOf(PEERED, 'peerings:r1'), {
    header: { routerId: 'r1' },
    items: [
      {
        ...{ key: 'e1', id: 'e1', name: 'e1', own: [{ networkId: 'n1', cidr: PEERED.subnet.get('s-n1')?.cidr }] },
        peers: [{ networkId: 'm1', cidr: '10.8.1.0/24', macAddress: PEERED.port.get('k1')?.mac_address }],
      },
    ],
    refs: ['endpoints:m1', 'network:m1'],
  });
  assert.deepEqual(sliceOf(PEERED, 'near:n1')?.refs, ['peerings:r1', 'router:r1']);
  assert.deepEqual(sliceOf(ROUTED, 'near:n1')?.refs, ['router:r1']);
  assert.equal(sliceOf(ROUTED, 'peerings:r1'), null);
});

test('of a peering nothing is in force while a side is missing or a router is down', () => {
  const without = (state: State, id: string): State => ({
    ...state,
    router_peering: new Map([...state.router_peering].filter(([one]) => one !== id)),
  });
  assert.deepEqual(peeringsOf(without(PEERED, 'e2'), 'r1'), []);
  for (const id of ['r1', 'r2']) {
    const state = withRow(PEERED, 'router', router(id, { admin_state_up: false }));
    assert.deepEqual([peeringsOf(state, 'r1'), peeringsOf(state, 'r2')], [[], []]);
  }
});

test('what one side does not take, or has itself, is in force on neither', () => {
  const side = (id: string, more: object): State => {
    const row = PEERED.router_peering.get(id);
    assert.ok(row);
    return withRow(PEERED, 'router_peering', { ...row, ...more });
  };
  assert.deepEqual(peeringsOf(PEERED, 'r2'), ['e2: m1 > n1']);
  const choosy = side('e1', { accepted_prefixes: ['10.9.0.0/16', '10.8.1.0/25'] });
  assert.deepEqual([peeringsOf(choosy, 'r1'), peeringsOf(choosy, 'r2')], [['e1: n1 > '], ['e2:  > n1']]);
  const wide = side('e1', { accepted_prefixes: ['10.8.0.0/16'] });
  assert.deepEqual(peeringsOf(wide, 'r2'), ['e2: m1 > n1']);
  const both = withRow(
    side('e2', { subnet_ids: ['s-m1', 's-m2'] }),
    'subnet',
    subnet('s-m2', 'm2', { cidr: PEERED.subnet.get('s-n2')?.cidr ?? '' }),
  );
  assert.deepEqual([peeringsOf(both, 'r1'), peeringsOf(both, 'r2')], [['e1: n1 > m1'], ['e2: m1 > n1']]);
  const strange = side('e2', { subnet_ids: ['s-n2'] });
  assert.deepEqual(peeringsOf(strange, 'r1'), ['e1: n1 > '], 'the router is not in it');
});

test('of two peers whose subnets overlap the older goes first, and the other cannot send there either', () => {
  const more = (at: string): State =>
    [
      (s: State) => withRow(s, 'router', router('r3')),
      (s: State) => withRow(s, 'network', network('o1')),
      (s: State) => withRow(s, 'subnet', subnet('s-o1', 'o1', { cidr: '10.8.0.0/16' })),
      (s: State) => withRow(s, 'port', leg('j1', 'r3', 'o1')),
      (s: State) => withRow(s, 'router_peering', routerPeering('e3', 'r1', 'r3', ['s-n1'], { created_at: at })),
      (s: State) => withRow(s, 'router_peering', routerPeering('e4', 'r3', 'r1', ['s-o1'])),
    ].reduce((s, step) => step(s), PEERED);
  const [late, early] = [more('2026-11-28T00:00:00Z'), more('2026-11-26T00:00:00Z')];
  assert.deepEqual(peeringsOf(late, 'r1'), ['e1: n1 > m1', 'e3: n1 > ']);
  assert.deepEqual(peeringsOf(late, 'r3'), ['e4:  > n1']);
  assert.deepEqual(peeringsOf(early, 'r1'), ['e1: n1 > ', 'e3: n1 > o1']);
  assert.deepEqual(peeringsOf(early, 'r2'), ['e2:  > n1']);
});

test('a port whose host did not take it is bound nowhere', () => {
  const failed = withRow(ONE, 'port', port('p2', 'n1', 'h1', { binding_failed: true }));
  assert.equal(sliceOf(failed, 'host:h1')?.items.length ?? 0, 0);
  const endpoints = sliceOf(failed, 'endpoints:n1')?.items.map((item) => item['key']);
  assert.deepEqual(
    endpoints,
    sliceOf(withRow(ONE, 'port', port('p2', 'n1', '')), 'endpoints:n1')?.items.map((item) => item['key']),
  );
});

/** Services that are reached behind r1. */
const SERVED: State = [
  (s: State) => withRow(s, 'service_scope', serviceScope('k1', ['r1'])),
  (s: State) => withRow(s, 'service', service('v1', 'k1', { external_ips: ['203.0.113.7'] })),
  (s: State) =>
    withRow(
      s,
      'endpoint_set',
      endpointSet('t1', service('v1', 'k1'), [
        { address: '10.0.1.7', host_id: 'h1', zone_hints: ['a'] },
        { address: '10.0.1.8', host_address: '192.0.2.8', ready: false, terminating: true },
        { address: '10.0.1.9', ready: false },
        { address: '10.0.1.10', ready: false, serving: false, terminating: true },
      ]),
    ),
].reduce((s, step) => step(s), ROUTED);

test('Services are told to hosts with ports behind the routers of their scope, and nothing of them to others', () => {
  assert.deepEqual(sliceOf(SERVED, 'near:n1')?.refs, ['backends:k1', 'router:r1', 'services:k1']);
  assert.deepEqual(sliceOf(withRow(SERVED, 'service_scope', serviceScope('k1', [])), 'near:n1')?.refs, ['router:r1']);
  assert.deepEqual(sliceOf(SERVED, 'services:k1'), {
    header: { scopeId: 'k1', cidrs: ['10.96.0.0/16'], routerIds: ['r1'] },
    items: [
      {
        ...{ key: 'v1', id: 'v1', name: 'v1', projectId: 'k', clusterIps: ['10.96.0.10'] },
        externalIps: ['203.0.113.7'],
        ports: [{ name: '', protocol: 'TCP', port: 80 }],
      },
    ],
    refs: [],
  });
  assert.equal(sliceOf(SERVED, 'services:k2'), null);
});

test('a Service says what is not as usual: affinity with its timeout, and that only own endpoints serve', () => {
  const more = {
    session_affinity: 'ClientIP',
    session_affinity_timeout: 60,
    internal_traffic_policy: 'Local',
  } as const;
  const [item] = sliceOf(withRow(SERVED, 'service', service('v1', 'k1', more)), 'services:k1')?.items ?? [];
  assert.deepEqual([item?.['affinitySeconds'], item?.['local']], [60, true]);
});

test('who serves is an item each, and who does not is none', () => {
  const ports = [{ name: '', protocol: 'TCP', port: 8080 }];
  assert.deepEqual(sliceOf(SERVED, 'backends:k1'), {
    header: { scopeId: 'k1' },
    items: [
      { key: 't1/10.0.1.7', serviceId: 'v1', ipAddress: '10.0.1.7', ports, host: 'h1', zoneHints: ['a'] },
      {
        key: 't1/10.0.1.8',
        serviceId: 'v1',
        ipAddress: '10.0.1.8',
        ports,
        terminating: true,
        hostAddress: '192.0.2.8',
      },
    ],
    refs: [],
  });
});

test('on each host a pod of a machine that moves has the device of its own there', () => {
  const bindings = [
    { host: 'h2', vnic_type: 'normal' as const, profile: { device_id: 'target:eth0' }, was_active: false },
    { host: 'h3', vnic_type: 'normal' as const, profile: {}, was_active: true },
  ];
  const moving = (cluster: string | null): State =>
    withRow(
      ONE,
      'port',
      port('p1', 'n1', 'h1', {
        ...{ device_owner: 'kubernetes:pod', device_id: 'source:eth0', 'cable:cluster': cluster },
        ...{ standby_hosts: ['h2', 'h3'], inactive_bindings: bindings },
      }),
    );
  const deviceIn = (state: State, key: Parameters<typeof sliceOf>[1]): unknown =>
    sliceOf(state, key)?.items.find((one) => one['key'] === 'p1')?.['deviceId'];
  for (const [cluster, target] of [
    ['prod', 'target:eth0'],
    // Of a port that no controller has made a profile says nothing of pods.
    [null, 'source:eth0'],
  ] as const) {
    const state = moving(cluster);
    assert.equal(deviceIn(state, 'host:h1'), 'source:eth0');
    assert.equal(deviceIn(state, 'standby:h2'), target);
    assert.equal(deviceIn(state, 'standby:h3'), 'source:eth0');
  }
});
