import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VPN_WIRE } from '@cable/model';
import { CB_ENDPOINT_REMOTE, CB_IN_NET, CB_ROUTE_NEXTHOP, CB_WIRE_VLAN, MAPS } from '../bpf/abi.gen.ts';
import { textBytes } from '../bpf/codec.ts';
import { formatAddress, formatMac, formatPrefix, parsePrefix } from './address.ts';
import type { LearnedRoute } from './inputs.ts';
import { VPN_DEVICE } from './label-rows.ts';
import { createPlanBed, type PlanBed } from './testing/plan-bed.ts';
import { sampleHost, sampleId, samplePort } from './testing/sample.ts';
import { sampleLabel, sampleVpn } from './testing/sample-vpn.ts';
import { LEARNED_MAX, takenRoutes } from './vpns.ts';

const HERE = samplePort(1, { fixedIps: [{ subnetId: sampleId('sub', 1), ipAddress: '10.0.0.1' }] });
const FAR = samplePort(2, { fixedIps: [{ subnetId: sampleId('sub', 1), ipAddress: '10.0.0.2' }] });
const VPN = sampleId('vpn', 1);
const PLACES = [
  { port: HERE, host: 'h1', underlay: '192.0.2.1' },
  { port: FAR, host: 'h2', underlay: '192.0.2.2' },
];
const OTHER = { host: 'h3', underlay: '192.0.2.3', prefixes: ['10.9.0.9/32'], label: 999 };
const LEARNED: readonly LearnedRoute[] = [
  { prefix: '172.16.0.0/16', nextHop: '192.0.2.254', label: 300 },
  { prefix: '172.16.0.0/16', nextHop: '192.0.2.253', label: 301 },
  { prefix: '10.0.0.2/32', nextHop: '192.0.2.254', label: 300 },
];

async function planned(learned: readonly LearnedRoute[] = LEARNED): Promise<PlanBed> {
  const bed = createPlanBed({
    learned: { of: (id) => (id === VPN ? learned : []) },
    bridgeMappings: new Map([[VPN_WIRE, VPN_DEVICE]]),
  });
  bed.plug(HERE, 50);
  bed.state.setDevice(VPN_DEVICE, 77);
  const bgp = { localAs: 65_000, neighbors: [{ address: '192.0.2.250', as: 65_000 }] };
  await bed.plan(sampleHost('h1', [HERE]), ...sampleVpn(1, PLACES, { bgp, more: new Map([['other/9', OTHER]]) }));
  return bed;
}

function routes({ planner }: PlanBed): readonly string[] {
  return [...planner.entries.of('cb_route_2').values()].flatMap(({ key, value }) => {
    const [to, route] = [MAPS.cb_route_2.key.decode(textBytes(key)), MAPS.cb_route_2.value.decode(textBytes(value))];
    if (route.kind !== CB_ROUTE_NEXTHOP) return [];
    return `${formatPrefix(to.addr, to.prefixlen - 32)} by ${formatAddress(route.nexthop)} from ${formatAddress(route.own)}`;
  });
}

function labels({ planner }: PlanBed): readonly string[] {
  return planner.labels
    .map((row) => {
      if (row.kind === 'label') return `label ${row.label} from ${row.remote ?? 'nobody'}`;
      return `${row.isBack === true ? 'back' : 'lsp'} ${row.remote} ${row.label}`;
    })
    .sort();
}

test('the network of a VPN is a VLAN on the device of VPNs', async () => {
  const { planner } = await planned();
  const [net] = [...planner.entries.of('cb_net_1').values()].map(({ value }) =>
    MAPS.cb_net_1.value.decode(textBytes(value)),
  );
  assert.deepEqual([net?.wire, net?.wireId, net?.uplink], [CB_WIRE_VLAN, 1, 77]);
  const ins = [...planner.entries.of('cb_in_1').values()].map(({ value }) =>
    MAPS.cb_in_1.value.decode(textBytes(value)),
  );
  assert.equal(ins.filter(({ kind }) => kind === CB_IN_NET).length, 1);
});

test('each place, prefix and neighbour has its ways, and all who may send are known', async () => {
  assert.deepEqual(labels(await planned()), [
    'back 192.0.2.2 117',
    'back 192.0.2.250 117',
    'back 192.0.2.253 301',
    'back 192.0.2.3 999',
    'label 117 from 192.0.2.2',
    'label 117 from 192.0.2.250',
    'label 117 from 192.0.2.253',
    'label 117 from 192.0.2.3',
    'label 117 from nobody',
    'lsp 192.0.2.2 117',
    'lsp 192.0.2.253 301',
    'lsp 192.0.2.3 999',
  ]);
  assert.equal(sampleLabel(1), 117);
});

test('routes lead to next hops that are endpoints elsewhere, answered for by the router’s address', async () => {
  const bed = await planned();
  const all = routes(bed);
  assert.deepEqual(
    all.map((one) => one.replace(/by fdca:b1e1:[0-9a-f:]+/, 'by X')),
    ['10.9.0.9 by X from 10.0.0.254', '172.16.0.0/16 by X from 10.0.0.254'],
  );
  const endpoints = [...bed.planner.entries.of('cb_ep_2').values()].map(({ key, value }) => {
    return [
      formatAddress(MAPS.cb_ep_2.key.decode(textBytes(key)).addr),
      MAPS.cb_ep_2.value.decode(textBytes(value)),
    ] as const;
  });
  const macs = new Map(
    endpoints.filter(([, { kind }]) => kind === CB_ENDPOINT_REMOTE).map(([ip, { mac }]) => [ip, formatMac(mac)]),
  );
  assert.equal(macs.get('10.0.0.2'), FAR.macAddress);
  for (const route of all) assert.match(macs.get(/by (\S+)/.exec(route)?.[1] ?? '') ?? '', /^[0-9a-f]2:/);
});

test('what is learned no more has no route, way or sender any more', async () => {
  const bed = await planned([]);
  assert.deepEqual(
    routes(bed).map((one) => one.split(' ')[0]),
    ['10.9.0.9'],
  );
  assert.ok(!labels(bed).some((one) => one.includes('192.0.2.253')));
});

test('without the VPN nothing is left', async () => {
  const bed = await planned();
  await bed.plan(sampleHost('h1', []));
  assert.deepEqual([labels(bed), routes(bed)], [[], []]);
});

test('of what is learned the VPN’s own subnets are left out, and there is a bound', () => {
  const subnet = parsePrefix('10.0.0.0/24');
  assert.ok(subnet);
  const at = (prefix: string): LearnedRoute => ({ prefix, nextHop: '192.0.2.9', label: 16 });
  const prefixes = ['0.0.0.0/0', '10.0.0.0/8', '10.0.0.0/24', '10.0.0.128/25', '10.0.0.7/32', 'x'];
  assert.deepEqual(
    takenRoutes(prefixes.map(at), [subnet]).map(({ prefix }) => prefix),
    ['0.0.0.0/0', '10.0.0.0/8'],
  );
  const many = Array.from({ length: 3000 }, (_, i) => at(`100.${i >> 8}.${i & 255}.0/24`));
  const [forth, back] = [takenRoutes(many, []), takenRoutes([...many].reverse(), [])];
  assert.equal(forth.length, LEARNED_MAX);
  assert.deepEqual(forth, back);
});
