import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LocalPort, Slice, SliceKey } from '@cable/model';
import { AGENT_MAPS, type AgentMap, type DesiredState } from '../desired.ts';
import { type Row, showEntry } from '../show/maps.ts';
import { createNames } from '../show/names.ts';
import { shareStructure } from '../stream/share.ts';
import { hex } from './address.ts';
import type { LocalState } from './local.ts';
import { createPlanner } from './plan.ts';
import {
  sampleEndpoint,
  sampleGroup,
  sampleHost,
  sampleId,
  sampleMac,
  sampleNetwork,
  samplePolicy,
  samplePort,
  sampleRouter,
  sampleRule,
  sampleSubnet,
  slicesOf,
} from './sample.ts';

const TAP = samplePort(5, { policy: 'policy:p' });
const POD = samplePort(6, { vifKind: 'veth', portSecurityEnabled: false, policy: null });
const AWAY = samplePort(7);
const NETWORK = sampleNetwork(1, {
  endpoints: [
    sampleEndpoint(TAP, 'h1', '192.0.2.1'),
    sampleEndpoint(POD, 'h1', '192.0.2.1'),
    sampleEndpoint(AWAY, 'h2', '192.0.2.2'),
  ],
});
const BASE = [sampleHost('h1', [TAP, POD]), NETWORK, samplePolicy('p', [])];

function local(...ports: readonly LocalPort[]): LocalState {
  return {
    host: 'h1',
    slots: new Map(ports.map((port, i) => [port.id, i + 2])),
    devices: new Map(ports.map((port, i) => [port.id, { name: `dev${port.id.slice(0, 8)}`, ifindex: 50 + i }])),
  };
}

/** The planned entries of a map, in users' names. */
function rows(slices: Map<SliceKey, Slice>, map: AgentMap, on: LocalState = local(TAP, POD)): Row[] {
  const desired = createPlanner('h1')(slices, on);
  const state = { revision: 1, slices, synced: true };
  const names = createNames('h1', { revision: 1, state, desired, vifs: [], error: null, rounds: 1, writes: 0 });
  return [...desired.maps[map].values()].map((entry) => showEntry(map, entry, names));
}

const pick = (list: readonly Row[], ...fields: string[]): unknown[][] =>
  list.map((row) => fields.map((field) => row[field])).sort((a, b) => (String(a) < String(b) ? -1 : 1));

test('VIFs carry the flags of their ports; a veth alone is delivered to its peer', () => {
  const list = rows(slicesOf(...BASE), 'cb_vif_1');
  assert.deepEqual(pick(list, 'port', 'flags', 'address', 'slot', 'dhcpServer', 'policy'), [
    ['port-5', 'admin-up port-security dhcp', '10.0.0.5', 2, '10.0.0.1', 'p@net-1'],
    ['port-6', 'admin-up dhcp peer', '10.0.0.6', 3, '10.0.0.1', 'none'],
  ]);
  const own = samplePort(8, { vifKind: 'host', adminStateUp: false });
  const noDhcp = sampleNetwork(1, { subnets: [sampleSubnet(1, { enableDhcp: false, gatewayIp: null })] });
  const [vif] = rows(slicesOf(sampleHost('h1', [own]), noDhcp, samplePolicy('', [])), 'cb_vif_1', local(own));
  assert.deepEqual(
    [vif?.['flags'], vif?.['dhcpServer'], vif?.['policy']],
    ['port-security', '169.254.169.254', '(no groups)@net-1'],
  );
});

test('a port may send from its addresses and allowed pairs; without port security nothing is listed', () => {
  const pairs = [
    { ipAddress: '10.9.0.0/16', macAddress: sampleMac(5) },
    { ipAddress: '10.0.0.99', macAddress: sampleMac(99) },
  ];
  const port = { ...TAP, allowedAddressPairs: pairs };
  const list = rows(slicesOf(sampleHost('h1', [port, POD]), NETWORK, samplePolicy('p', [])), 'cb_source_1');
  assert.deepEqual(pick(list, 'port', 'mac', 'source'), [
    ['port-5', sampleMac(5), '10.0.0.5'],
    ['port-5', sampleMac(5), '10.9.0.0/16'],
    ['port-5', sampleMac(99), '10.0.0.99'],
  ]);
});

test('endpoints are local, remote or of the service; the gateway answers as the service while no router has it', () => {
  const service = 'fa:16:3e:ca:b1:e0';
  assert.deepEqual(pick(rows(slicesOf(...BASE), 'cb_ep_1'), 'address', 'kind', 'at', 'mac'), [
    ['10.0.0.1', 'service', 'agent', service],
    ['10.0.0.5', 'local', 'port-5', sampleMac(5)],
    ['10.0.0.6', 'local', 'port-6', sampleMac(6)],
    ['10.0.0.7', 'remote', 'h2', sampleMac(7)],
    ['169.254.169.254', 'service', 'agent', service],
  ]);
  const routed = slicesOf(...BASE, sampleRouter(1, [1]));
  const gateway = rows(routed, 'cb_ep_1').find((row) => row['address'] === '10.0.0.1');
  assert.deepEqual(
    [gateway?.['kind'], gateway?.['at'], gateway?.['mac']],
    ['gateway', 'router-1', sampleMac(0xee0101)],
  );
  const macs = rows(routed, 'cb_mac_1');
  assert.equal(macs.find((row) => row['mac'] === service)?.['at'], 'agent, router-1');
  const down = rows(slicesOf(...BASE, sampleRouter(1, [1], { adminStateUp: false })), 'cb_ep_1');
  assert.equal(down.find((row) => row['address'] === '10.0.0.1')?.['kind'], 'service');
});

test('an endpoint is left out while its host is unknown, and a local port while it has no device', () => {
  const endpoints = [sampleEndpoint(AWAY, 'h2', null), sampleEndpoint(TAP, 'h1', '192.0.2.1')];
  const slices = slicesOf(sampleHost('h1', [TAP]), sampleNetwork(1, { endpoints }), samplePolicy('p', []));
  assert.deepEqual(pick(rows(slices, 'cb_ep_1', local()), 'address'), [['10.0.0.1'], ['169.254.169.254']]);
  assert.equal(rows(slices, 'cb_peer_1', local()).length, 0);
});

test('a router has its subnets, and extra routes by the interface whose subnet holds the next hop', () => {
  const routes = [
    { destination: '0.0.0.0/0', nexthop: '10.0.1.9' },
    { destination: '10.0.1.0/24', nexthop: '10.0.0.7' },
    { destination: '10.5.0.0/16', nexthop: '172.16.0.1' },
  ];
  const router = sampleRouter(1, [1, 2], { routes });
  const slices = slicesOf(...BASE, sampleNetwork(2, { mtuBytes: 1400 }), router);
  assert.deepEqual(pick(rows(slices, 'cb_route_1'), 'router', 'destination', 'network', 'nexthop', 'mtuBytes'), [
    ['router-1', '0.0.0.0/0', 'net-2', '10.0.1.9', 1400],
    ['router-1', '10.0.0.0/24', 'net-1', 'connected', 1450],
    ['router-1', '10.0.1.0/24', 'net-2', 'connected', 1400],
  ]);
});

test('broadcast goes to the local VIFs, then once to each other host, in chunks without a hole', () => {
  const away = Array.from({ length: 40 }, (_, i) => {
    const port = samplePort(20 + i);
    return sampleEndpoint(port, `host${i >> 1}`, `192.0.2.${10 + (i >> 1)}`);
  });
  const slices = slicesOf(sampleHost('h1', [TAP]), sampleNetwork(1, { endpoints: away }), samplePolicy('p', []));
  const list = rows(slices, 'cb_flood_1', local(TAP));
  const targets = list.map((row) => String(row['targets']).split(', '));
  assert.deepEqual(
    list.map((row) => row['chunk']),
    [0, 1],
  );
  assert.deepEqual(
    targets.map((one) => one.length),
    [16, 5],
  );
  assert.equal(targets[0]?.[0], 'port-5');
  assert.equal(new Set(targets.flat()).size, 21);
  assert.equal(rows(slices, 'cb_peer_1').length, 20);
  assert.equal(rows(slices, 'cb_flood_1', local()).length, 0);
});

test('IPv6 addresses have their place beside IPv4', () => {
  const fixedIps = [
    { subnetId: sampleId('sub', 1), ipAddress: '10.0.0.5' },
    { subnetId: sampleId('sub', 6), ipAddress: '2001:db8::5' },
  ];
  const port = { ...TAP, fixedIps };
  const subnets = [sampleSubnet(1), sampleSubnet(6, { cidr: '2001:db8::/64', ipVersion: 6, gatewayIp: '2001:db8::1' })];
  const network = sampleNetwork(1, { subnets, endpoints: [sampleEndpoint(port, 'h1', null)] });
  const rules = [sampleRule(1, { ethertype: 'IPv6', protocol: 1, remote: { kind: 'prefix', cidr: '2001:db8::/32' } })];
  const slices = slicesOf(sampleHost('h1', [port]), network, samplePolicy('p', rules));
  assert.deepEqual(pick(rows(slices, 'cb_source_1'), 'source'), [['10.0.0.5'], ['2001:db8::5']]);
  assert.deepEqual(pick(rows(slices, 'cb_class_1'), 'remote'), [['2001:db8::/32']]);
  assert.deepEqual(pick(rows(slices, 'cb_rule_1'), 'family', 'protocol'), [['IPv6', 58]]);
});

test('a guest record holds what DHCP and metadata answer', () => {
  const desired = createPlanner('h1')(slicesOf(...BASE), local(TAP, POD));
  const guest = desired.guests.get(2);
  assert.equal(guest?.portId, TAP.id);
  assert.deepEqual(
    guest?.addresses.map((one) => [one.ipAddress, one.cidr, one.gatewayIp, one.dhcpServer]),
    [['10.0.0.5', '10.0.0.0/24', '10.0.0.1', '10.0.0.1']],
  );
});

test('the machine gets each destination once, over the port that has it, and never a default route', () => {
  const first = samplePort(5, { vifKind: 'host', policy: 'policy:p' });
  const second = samplePort(6, {
    vifKind: 'host',
    policy: 'policy:p',
    networkId: sampleId('net', 2),
    fixedIps: [{ subnetId: sampleId('sub', 2), ipAddress: '10.0.1.6' }],
  });
  const hostRoutes = [
    { destination: '0.0.0.0/0', nexthop: '10.0.0.9' },
    { destination: '172.16.0.0/12', nexthop: '10.0.0.9' },
  ];
  const slices = slicesOf(
    sampleHost('h1', [second, first]),
    sampleNetwork(1, { subnets: [sampleSubnet(1, { hostRoutes })] }),
    sampleNetwork(2),
    sampleNetwork(3),
    samplePolicy('p', []),
    sampleRouter(1, [1, 2, 3]),
  );
  const { hostLinks } = createPlanner('h1')(slices, local());
  assert.deepEqual(hostLinks.get(first.id)?.routes, [
    { destination: '10.0.2.0/24', gateway: '10.0.0.1' },
    { destination: '172.16.0.0/12', gateway: '10.0.0.9' },
  ]);
  assert.deepEqual(hostLinks.get(second.id)?.routes, []);
  assert.deepEqual(hostLinks.get(first.id)?.addresses, ['10.0.0.5/24']);
});

test('a port whose network or policy has not come is not programmed and says why', () => {
  const missing = createPlanner('h1')(slicesOf(sampleHost('h1', [TAP]), NETWORK), local(TAP));
  assert.match(missing.errors.get(TAP.id) ?? '', /policy policy:p@.* has not been received/);
  assert.equal(missing.maps.cb_vif_1.size + missing.maps.cb_source_1.size, 0);
  const alone = createPlanner('h1')(slicesOf(sampleHost('h1', [TAP])), local(TAP));
  assert.match(alone.errors.get(TAP.id) ?? '', /network .* has not been received/);
});

/** Everything of a state as text, in one order. */
function dump(desired: DesiredState): string {
  const entries = AGENT_MAPS.flatMap((map) =>
    [...desired.maps[map].values()].map((entry) => `${map} ${entry.id} ${hex(entry.value)}`).sort(),
  );
  const rest = [...desired.vifs, ...desired.hostLinks, ...desired.guests, ...desired.errors].map((one) =>
    JSON.stringify(one),
  );
  return [...entries, ...rest.sort()].join('\n');
}

/** A cloud of `size` remote endpoints that are members of a group of `rules` rules. */
function bigCloud(size: number, rules: number): Slice[] {
  const away = Array.from({ length: size }, (_, i) =>
    samplePort(1000 + i, { fixedIps: [{ subnetId: sampleId('sub', 1), ipAddress: `10.0.${i >> 8}.${i & 255}` }] }),
  );
  const members = away.map((port) => ({
    portId: port.id,
    networkId: sampleId('net', 1),
    addresses: port.fixedIps.map((ip) => ip.ipAddress),
  }));
  const remote = (i: number) =>
    i % 3 === 0
      ? ({ kind: 'group', groupId: 'g' } as const)
      : ({ kind: 'prefix', cidr: `10.${i & 127}.0.0/16` } as const);
  return [
    sampleHost('h1', [TAP, POD]),
    sampleNetwork(1, {
      subnets: [sampleSubnet(1, { cidr: '10.0.0.0/16' })],
      endpoints: away.map((port, i) => sampleEndpoint(port, `h${i % 50}`, `192.0.2.${i % 50}`)),
    }),
    samplePolicy(
      'p',
      Array.from({ length: rules }, (_, i) =>
        sampleRule(i + 1, { protocol: 6, portMin: i + 1, portMax: i + 1, remote: remote(i) }),
      ),
    ),
    sampleGroup('g', members),
    sampleRouter(1, [1]),
  ];
}

test('a planner that has seen other states plans the same as a fresh one, whatever the order', () => {
  const stages = [
    slicesOf(...BASE),
    slicesOf(...bigCloud(30, 20)),
    slicesOf(...bigCloud(29, 20), sampleNetwork(2)),
    new Map<SliceKey, Slice>(),
    slicesOf(...bigCloud(30, 19).reverse()),
    slicesOf(...BASE, sampleRouter(1, [1, 2]), sampleNetwork(2)),
  ];
  const used = createPlanner('h1');
  for (const round of [0, 1, 2]) {
    const order = round === 1 ? [...stages].reverse() : stages;
    for (const slices of order) {
      const on = round === 2 ? local(TAP) : local(TAP, POD);
      const reversed = new Map([...slices].reverse());
      assert.equal(dump(used(reversed, on)), dump(createPlanner('h1')(slices, on)));
    }
  }
});

test('one more endpoint and member among a thousand leaves nearly every entry the same object', () => {
  const planner = createPlanner('h1');
  const before = slicesOf(...bigCloud(1000, 1000));
  const first = planner(before, local(TAP, POD));
  const after = new Map(
    [...slicesOf(...bigCloud(1001, 1000))].map(
      ([key, slice]) => [key, shareStructure(before.get(key), slice)] as const,
    ),
  );
  const second = planner(after, local(TAP, POD));
  const fresh = AGENT_MAPS.flatMap((map) =>
    [...second.maps[map]].filter(([id, entry]) => first.maps[map].get(id) !== entry).map(() => map),
  );
  const counts = new Map<AgentMap, number>();
  for (const map of fresh) counts.set(map, (counts.get(map) ?? 0) + 1);
  assert.ok(second.maps.cb_rule_1.size > 1000);
  assert.equal(counts.get('cb_class_1'), 1);
  assert.equal(counts.get('cb_rule_1'), undefined);
  assert.ok((counts.get('cb_ep_1') ?? 0) < 8, `endpoints: ${counts.get('cb_ep_1')}`);
});
