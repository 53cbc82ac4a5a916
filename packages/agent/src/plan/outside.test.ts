import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FloatingAddress, LocalPort, QosHeader } from '@cable/model';
import { textBytes } from '../bpf/codec.ts';
import type { AgentMap } from '../desired.ts';
import { type Row, type ShownMap, showEntry } from '../show/maps.ts';
import { readNames } from '../show/names.ts';
import { AWAY, EXTERNAL, GATEWAY, HERE, OUTSIDE } from './testing/outside.ts';
import { createPlanBed, type PlanBed } from './testing/plan-bed.ts';
import {
  type SampleSlice,
  sampleEndpoint,
  sampleHost,
  sampleId,
  sampleMac,
  sampleNetwork,
  samplePolicy,
  samplePort,
  sampleRouter,
} from './testing/sample.ts';

const UPLINK = 9;
const INSIDE = [
  ...sampleNetwork(1, {}, [sampleEndpoint(HERE, 'h1', '192.0.2.1'), sampleEndpoint(AWAY, 'h2', '192.0.2.2')]),
  samplePolicy('', []),
];

function floating(...list: readonly (readonly [port: LocalPort, outside: string])[]): SampleSlice {
  const items = list.map(([port, floatingIp], at) => {
    const [fixed] = port.fixedIps;
    const value = {
      ...{ networkId: sampleId('net', OUTSIDE), floatingIp, portId: port.id },
      ...{ innerNetworkId: port.networkId, fixedIp: fixed?.ipAddress ?? '' },
    };
    return [sampleId('fip', at), value] as const;
  });
  const id = sampleId('rtr', 1);
  return { key: `floating:${id}`, header: { routerId: id }, items: new Map(items) };
}

/** Floating IPs that h1 answers for itself, each with its MAC. */
function floats(...list: readonly (readonly [port: LocalPort, outside: string, mac: string])[]): SampleSlice {
  const items = list.flatMap(([port, outside, macAddress], at) =>
    [...floating([port, outside]).items.values()].map(
      (item) => [`${port.id}/${at}`, { ...item, macAddress, routerId: sampleId('rtr', 1) }] as const,
    ),
  );
  return { key: 'floats:h1', header: { host: 'h1' }, items: new Map(items) };
}

async function bedWith(...slices: readonly (SampleSlice | readonly SampleSlice[])[]): Promise<PlanBed> {
  const bed = createPlanBed({ bridgeMappings: new Map([['physnet1', 'eth9']]) });
  bed.state.setDevice('eth9', UPLINK);
  bed.plug(HERE, 50);
  await bed.plan(...slices);
  return bed;
}

function rowsOf({ planner, state }: PlanBed, map: AgentMap & ShownMap): Row[] {
  const reading = readNames({ host: 'h1', slices: state, planner });
  for (;;) {
    const step = reading.next();
    if (step.done !== true) continue;
    return [...planner.entries.of(map).values()].flatMap(({ key, value }) => {
      const row = showEntry(map, { key: textBytes(key), value: textBytes(value) }, step.value);
      return row === undefined ? [] : [row];
    });
  }
}

const pick = (list: readonly Row[], ...fields: string[]): unknown[][] =>
  list.map((row) => fields.map((field) => row[field])).sort((a, b) => (String(a) < String(b) ? -1 : 1));

test('a network on a physical network comes in by the mapped interface, and its other ports are beyond it', async () => {
  const port = samplePort(5, { networkId: sampleId('net', OUTSIDE) });
  const away = samplePort(7, { networkId: sampleId('net', OUTSIDE) });
  const wire = { physicalNetwork: 'physnet1', segmentationId: 100 };
  const network = sampleNetwork(OUTSIDE, { wire }, [sampleEndpoint(away, 'h2', '192.0.2.2')]);
  const slices = [sampleHost('h1', [port]), network, samplePolicy('', [])];
  const bed = await bedWith(...slices);
  assert.deepEqual(pick(rowsOf(bed, 'cb_net_1'), 'network', 'wire', 'vni', 'uplink'), [
    ['net-9', 'vlan', 100, 'ifindex 9'],
  ]);
  assert.deepEqual(pick(rowsOf(bed, 'cb_in_1'), 'device', 'vlan', 'network', 'port'), [
    ['ifindex 9', 100, 'net-9', undefined],
    ['tap00000005-70', 'none', undefined, 'port-5'],
  ]);
  for (const map of ['cb_tunnel_1', 'cb_peer_2'] as const) assert.deepEqual(rowsOf(bed, map), [], map);
  assert.deepEqual(pick(rowsOf(bed, 'cb_flood_2'), 'targets'), [['port-5']]);
  bed.state.setDevice('eth9', undefined);
  await bed.plan(...slices);
  assert.deepEqual(pick(rowsOf(bed, 'cb_net_1'), 'uplink'), [['none']], 'the interface is gone');
  assert.deepEqual(pick(rowsOf(bed, 'cb_in_1'), 'vlan'), [['none']]);
  const elsewhere = createPlanBed();
  elsewhere.plug(port, 50);
  await elsewhere.plan(...slices);
  assert.match(elsewhere.planner.errors.get(port.id) ?? '', /physical network physnet1, .* --bridge-mappings/);
});

test('the host of a gateway answers outside, translates, and takes what other hosts send it', async () => {
  const router = sampleRouter(1, [1], {
    gateway: GATEWAY,
    routes: [{ destination: '10.9.0.0/16', nexthop: '203.0.113.200' }],
  });
  const bed = await bedWith(
    sampleHost('h1', [HERE]),
    INSIDE,
    EXTERNAL,
    router,
    floating([HERE, '203.0.113.20'], [AWAY, '203.0.113.21']),
  );
  assert.deepEqual(pick(rowsOf(bed, 'cb_route_2'), 'destination', 'network', 'nexthop'), [
    ['0.0.0.0/0', 'net-9', '203.0.113.1'],
    ['10.0.0.0/24', 'net-1', 'connected'],
    ['10.9.0.0/16', 'net-9', '203.0.113.200'],
    ['203.0.113.0/24', 'net-9', 'connected'],
  ]);
  assert.deepEqual(pick(rowsOf(bed, 'cb_snat_1'), 'router', 'network', 'address', 'ports'), [
    ['router-1', 'net-9', '203.0.113.9', '1024-65535'],
  ]);
  assert.deepEqual(pick(rowsOf(bed, 'cb_neigh_1'), 'address', 'mac'), [
    ['203.0.113.1', 'unknown'],
    ['203.0.113.200', 'unknown'],
  ]);
  const transit = bed.ids.network.ids.get(GATEWAY.portId);
  const nets = rowsOf(bed, 'cb_net_1').find((row) => row['net'] === transit);
  assert.deepEqual([nets?.['vni'], nets?.['flags'], nets?.['mtu_bytes']], [777, 'admin-up transit', 1450]);
  assert.deepEqual(
    pick(rowsOf(bed, 'cb_peer_2'), 'vni', 'host').filter(([vni]) => vni === 777),
    [[777, 'h2']],
  );
  const outside = rowsOf(bed, 'cb_ep_2').filter((row) => row['network'] === 'net-9');
  assert.deepEqual(pick(outside, 'address', 'kind', 'at', 'mac'), [
    ['203.0.113.20', 'floating', 'port-5', sampleMac(0x99)],
    ['203.0.113.21', 'floating', 'router-1', sampleMac(0x99)],
    ['203.0.113.9', 'router', 'router-1', sampleMac(0x99)],
  ]);
  const inTransit = nets?.['network'];
  assert.deepEqual(
    pick(rowsOf(bed, 'cb_nat_1'), 'network', 'address', 'becomes', 'in'),
    [
      [inTransit, '10.0.0.7', '203.0.113.21', 'net-9'],
      ['net-1', '10.0.0.5', '203.0.113.20', 'net-9'],
      ['net-9', '203.0.113.20', '10.0.0.5', 'net-1'],
      ['net-9', '203.0.113.21', '10.0.0.7', inTransit],
    ].sort((a, b) => (String(a) < String(b) ? -1 : 1)),
  );
  await bed.plan(
    sampleHost('h1', [HERE]),
    INSIDE,
    EXTERNAL,
    sampleRouter(1, [1], { gateway: { ...GATEWAY, enableSnat: false } }),
  );
  assert.deepEqual(rowsOf(bed, 'cb_snat_1'), []);
  await bed.plan(sampleHost('h1', [HERE]), INSIDE, EXTERNAL, sampleRouter(1, [1]));
  for (const map of ['cb_nat_1', 'cb_neigh_1'] as const) assert.deepEqual(rowsOf(bed, map), [], map);
  assert.deepEqual(pick(rowsOf(bed, 'cb_route_2'), 'destination'), [['10.0.0.0/24']]);
  assert.equal(rowsOf(bed, 'cb_net_1').length, 2, 'the transit network has gone');
});

test('a floating IP of a port here leaves by this host’s uplink, whatever host has the gateway', async () => {
  const there = { ...GATEWAY, host: 'h3', underlay: '192.0.2.3' };
  const routes = [{ destination: '10.9.0.0/16', nexthop: '203.0.113.200' }];
  const inside = [sampleHost('h1', [HERE]), INSIDE];
  const elsewhere = sampleRouter(1, [1], { gateway: there, routes });
  const own = floats([HERE, '203.0.113.20', sampleMac(0x77)]);
  const bed = await bedWith(...inside, EXTERNAL, elsewhere, own);
  const transit = bed.ids.network.ids.get(GATEWAY.portId);
  const out = rowsOf(bed, 'cb_route_2').filter((row) => row['router'] === 'router-1 outside');
  assert.deepEqual(pick(out, 'destination', 'network', 'nexthop'), [
    ['0.0.0.0/0', 'net-9', '203.0.113.1'],
    ['10.9.0.0/16', 'net-9', '203.0.113.200'],
    ['203.0.113.0/24', 'net-9', 'connected'],
  ]);
  const ways = rowsOf(bed, 'cb_route_2').filter((row) => row['router'] === 'router-1');
  assert.deepEqual(pick(ways, 'destination', 'nexthop', 'floating_ips'), [
    ['0.0.0.0/0', '169.254.0.1', 'net-9'],
    ['10.0.0.0/24', 'connected', undefined],
    ['10.9.0.0/16', '169.254.0.1', 'net-9'],
  ]);
  assert.deepEqual(pick(rowsOf(bed, 'cb_nat_1'), 'network', 'address', 'becomes', 'router'), [
    ['net-1', '10.0.0.5', '203.0.113.20', 'router-1 outside'],
    ['net-9', '203.0.113.20', '10.0.0.5', 'router-1'],
  ]);
  for (const map of ['cb_ep_2', 'cb_mac_2'] as const) {
    const outside = rowsOf(bed, map).filter((row) => row['network'] === 'net-9');
    assert.deepEqual(pick(outside, 'kind', 'at', 'mac'), [['floating', 'port-5', sampleMac(0x77)]], map);
  }
  assert.deepEqual(rowsOf(bed, 'cb_snat_1'), [], 'the router’s own address is not here');
  assert.deepEqual(pick(rowsOf(bed, 'cb_neigh_1'), 'address'), [['203.0.113.1'], ['203.0.113.200']]);
  assert.ok(rowsOf(bed, 'cb_net_1').some((row) => row['net'] === transit));
  // The gateway comes here: the floating IP stays as it is.
  const nat = rowsOf(bed, 'cb_nat_1');
  await bed.plan(...inside, EXTERNAL, sampleRouter(1, [1], { gateway: GATEWAY, routes }), own);
  assert.deepEqual(rowsOf(bed, 'cb_nat_1'), nat);
  await bed.plan(...inside, EXTERNAL, elsewhere);
  assert.deepEqual(rowsOf(bed, 'cb_nat_1'), []);
  assert.deepEqual(pick(rowsOf(bed, 'cb_route_2'), 'router', 'floating_ips'), [
    ['router-1', undefined],
    ['router-1', undefined],
    ['router-1', undefined],
  ]);
  await bed.plan(...inside, EXTERNAL, sampleRouter(1, [1], { gateway: there, adminStateUp: false }), own);
  for (const map of ['cb_nat_1', 'cb_route_2'] as const) assert.deepEqual(rowsOf(bed, map), [], map);
});

test('on the host of the gateway a floating IP has the MAC that the server says, of an older server the gateway’s', async () => {
  const given = floating([AWAY, '203.0.113.21']);
  const items = new Map([...given.items].map(([key, item]) => [key, { ...item, macAddress: sampleMac(0x78) }]));
  const slices = [sampleHost('h1', [HERE]), INSIDE, EXTERNAL, sampleRouter(1, [1], { gateway: GATEWAY })];
  const bed = await bedWith(...slices, { ...given, items });
  const macs = (): unknown[][] =>
    pick(
      rowsOf(bed, 'cb_mac_2').filter((row) => row['network'] === 'net-9'),
      'kind',
      'mac',
    );
  assert.deepEqual(macs(), [
    ['floating', sampleMac(0x78)],
    ['router', sampleMac(0x99)],
  ]);
  await bed.plan(...slices, given);
  assert.deepEqual(macs(), [['router', sampleMac(0x99)]]);
});

test('every other host sends what leaves to the host of the gateway, and takes its answers', async () => {
  const there = { ...GATEWAY, host: 'h3', underlay: '192.0.2.3' };
  const routes = [{ destination: '10.9.0.0/16', nexthop: '203.0.113.200' }];
  const slices = [sampleHost('h1', [HERE]), INSIDE, sampleRouter(1, [1], { gateway: there, routes })];
  const bed = await bedWith(...slices, floating([HERE, '203.0.113.20']));
  assert.deepEqual(pick(rowsOf(bed, 'cb_route_2'), 'destination', 'nexthop'), [
    ['0.0.0.0/0', '169.254.0.1'],
    ['10.0.0.0/24', 'connected'],
    ['10.9.0.0/16', '169.254.0.1'],
  ]);
  const transit = rowsOf(bed, 'cb_ep_2').find((row) => row['address'] === '169.254.0.1');
  assert.deepEqual([transit?.['kind'], transit?.['at'], transit?.['mac']], ['remote', '192.0.2.3', sampleMac(0x99)]);
  const [row] = rowsOf(bed, 'cb_net_1').filter((one) => one['vni'] === 777);
  assert.equal(row?.['flags'], 'admin-up', 'what comes by it is not sent on');
  const peers = pick(rowsOf(bed, 'cb_peer_2'), 'underlay', 'network', 'vni');
  assert.deepEqual(peers, [
    ['192.0.2.2', 'net-1', 101],
    ['192.0.2.3', 'net-1', 101],
  ]);
  assert.deepEqual(pick(rowsOf(bed, 'cb_flood_2'), 'targets'), [['port-5, h2']], 'nothing is flooded to it');
  for (const map of ['cb_nat_1', 'cb_snat_1', 'cb_neigh_1'] as const) assert.deepEqual(rowsOf(bed, map), [], map);
  await bed.plan(
    sampleHost('h1', [HERE]),
    INSIDE,
    sampleRouter(1, [1], { gateway: { ...there, host: '', underlay: null } }),
  );
  assert.deepEqual(pick(rowsOf(bed, 'cb_route_2'), 'destination'), [['10.0.0.0/24']], 'nobody is the gateway');
});

test('addresses outside that have a QoS policy have limits where they are translated', async () => {
  const policy = sampleId('qos', 1);
  const limits = { bandwidth: { maxKbps: 8000, burstKbits: 800 } };
  const qos = (header: Partial<QosHeader>): SampleSlice => ({
    key: `qos:${policy}`,
    header: { id: policy, egress: {}, ingress: {}, ...header },
    items: new Map(),
  });
  const limited = (slice: SampleSlice): SampleSlice => {
    const items = [...slice.items].map(([key, item]) => [key, { ...item, qosPolicyId: policy }] as const);
    return { ...slice, items: new Map(items as [string, FloatingAddress][]) };
  };
  const gateway = { ...GATEWAY, qosPolicyId: policy };
  const inside = [sampleHost('h1', [HERE]), INSIDE, EXTERNAL];
  const fields = ['network', 'address', 'egress_max_kbps', 'egress_over', 'ingress_max_kbps'];
  const flags = (bed: PlanBed): unknown => rowsOf(bed, 'cb_net_1').find((row) => row['network'] === 'net-9')?.['flags'];
  const bed = await bedWith(
    ...inside,
    sampleRouter(1, [1], { gateway }),
    limited(floating([HERE, '203.0.113.20'])),
    qos({ egress: limits }),
  );
  assert.deepEqual(pick(rowsOf(bed, 'cb_limit_1'), ...fields), [
    ['net-9', '203.0.113.20', 8000, 'dropped', undefined],
    ['net-9', '203.0.113.9', 8000, 'dropped', undefined],
  ]);
  assert.equal(flags(bed), 'admin-up dhcp external limits');
  const there = { ...gateway, host: 'h3', underlay: '192.0.2.3' };
  const own = limited(floats([HERE, '203.0.113.20', sampleMac(0x77)]));
  await bed.plan(...inside, sampleRouter(1, [1], { gateway: there }), own, qos({ ingress: limits }));
  assert.deepEqual(
    pick(rowsOf(bed, 'cb_limit_1'), ...fields),
    [['net-9', '203.0.113.20', undefined, undefined, 8000]],
    'the gateway is elsewhere',
  );
  assert.deepEqual(pick(rowsOf(bed, 'cb_limited_1'), 'address', 'ingress_bytes'), [['203.0.113.20', 0]]);
  await bed.plan(
    ...inside,
    sampleRouter(1, [1], { gateway: { ...there, leased: true } }),
    own,
    qos({ egress: limits }),
  );
  assert.deepEqual(pick(rowsOf(bed, 'cb_limit_1'), 'address'), [['203.0.113.20'], ['203.0.113.9']]);
  await bed.plan(...inside, sampleRouter(1, [1], { gateway: there }), own, qos({}));
  for (const map of ['cb_limit_1', 'cb_limited_1'] as const) assert.deepEqual(rowsOf(bed, map), [], map);
});

test('the host of a gateway knows by a block of their own who leaves by another host, but comes here for the external network', async () => {
  const inside = [sampleHost('h1', [HERE]), INSIDE, EXTERNAL];
  const item = { networkId: sampleId('net', OUTSIDE), address: '203.0.113.9', firstPorts: [1024, 2048], host: 'h2' };
  const blocks = (more: { readonly fixedIps?: readonly string[] }): SampleSlice => ({
    key: `blocks:${sampleId('rtr', 1)}`,
    header: { routerId: sampleId('rtr', 1) },
    items: new Map([[sampleId('lease', 1), { ...item, underlay: '192.0.2.2', ...more }]]),
  });
  const router = sampleRouter(1, [1], { gateway: { ...GATEWAY, leased: true } });
  const bed = await bedWith(...inside, router, blocks({ fixedIps: ['10.0.1.7'] }));
  const [row, ...others] = rowsOf(bed, 'cb_lease_1');
  assert.deepEqual(others, []);
  assert.match(String(row?.['sender']), /^10\.0\.1\.7 in /);
  assert.deepEqual([row?.['address'], row?.['ports'], row?.['leaves']], ['203.0.113.9', '1024-1087', 'gateway']);
  assert.equal(rowsOf(bed, 'cb_block_1').length, 2);
  await bed.plan(...inside, router, blocks({}));
  assert.deepEqual(rowsOf(bed, 'cb_lease_1'), [], 'an older server does not say whose they are');
});

test('the floating IP of an address that ports share leads, at the gateway, also to those that are there, which leave with it', async () => {
  const vip = samplePort(8, { fixedIps: [{ ...samplePort(8).fixedIps[0], ipAddress: '10.0.0.100' }] as never });
  const pairs = [{ ipAddress: '10.0.0.100', macAddress: HERE.macAddress }];
  const near = { ...HERE, allowedAddressPairs: pairs };
  const far = { ...sampleEndpoint(AWAY, 'h2', '192.0.2.2'), pairs: [{ ...pairs[0], macAddress: AWAY.macAddress }] };
  const rest = [EXTERNAL, sampleRouter(1, [1], { gateway: GATEWAY }), floating([vip, '203.0.113.20'])];
  const inside = (...ends: Parameters<typeof sampleNetwork>[2] & object) => [
    ...sampleNetwork(1, {}, ends),
    samplePolicy('', []),
  ];
  const bed = await bedWith(
    sampleHost('h1', [near]),
    inside(sampleEndpoint(near, 'h1', '192.0.2.1'), far as never),
    ...rest,
  );
  const outwards = (): unknown[][] =>
    pick(rowsOf(bed, 'cb_nat_1'), 'network', 'address', 'becomes').filter(([, address]) => address === '10.0.0.100');
  assert.equal(outwards().length, 2, JSON.stringify(rowsOf(bed, 'cb_nat_1')));
  const carried = inside(sampleEndpoint(near, 'h1', '192.0.2.1'), far as never, sampleEndpoint(vip, 'h3', '192.0.2.3'));
  await bed.plan(sampleHost('h1', [near]), carried, ...rest);
  assert.equal(outwards().length, 1, 'it is the address of a port of another host');
  const net = vip.networkId;
  const balancer = {
    id: 'b',
    name: 'b',
    projectId: 'p',
    ipAddress: '10.0.0.100',
    macAddress: sampleMac(9),
    listeners: [],
  };
  const virtual: SampleSlice = {
    key: `balancers:${net}`,
    header: { networkId: net },
    items: new Map([['b', balancer]]),
  };
  await bed.plan(
    sampleHost('h1', [near]),
    inside(sampleEndpoint(near, 'h1', '192.0.2.1'), far as never),
    virtual,
    ...rest,
  );
  assert.equal(outwards().length, 1, 'it is a virtual address');
  await bed.plan(sampleHost('h1', [HERE]), inside(sampleEndpoint(HERE, 'h1', '192.0.2.1'), far as never), ...rest);
  assert.equal(outwards().length, 1, 'nobody here may have it');
});
