import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Endpoint, LocalPort, RouterHeader, SubnetState } from '@cable/model';
import { CB_ENDPOINT_F_LEFT, CB_ENDPOINT_REMOTE, CB_ENDPOINT_VIF, cbEndpoint, cbVif } from '../bpf/abi.gen.ts';
import { textBytes } from '../bpf/codec.ts';
import type { AgentMap } from '../desired.ts';
import { type Row, showEntry } from '../show/maps.ts';
import { readNames } from '../show/names.ts';
import { formatAddress, NO_ADDRESS } from './address.ts';
import type { IdKind, IdSource } from './inputs.ts';
import { createPlanBed, type PlanBed, plannedBed } from './testing/plan-bed.ts';
import {
  type SampleSlice,
  sampleEndpoint,
  sampleGroup,
  sampleHost,
  sampleId,
  sampleMac,
  sampleNetwork,
  samplePolicy,
  samplePort,
  sampleQos,
  sampleRouter,
  sampleRule,
  sampleSubnet,
} from './testing/sample.ts';

const TAP = samplePort(5, { policy: 'policy:p' });
const POD = samplePort(6, { vifKind: 'veth', portSecurityEnabled: false, policy: null });
const AWAY = samplePort(7);
const NETWORK = sampleNetwork(1, {}, [
  sampleEndpoint(TAP, 'h1', '192.0.2.1'),
  sampleEndpoint(POD, 'h1', '192.0.2.1'),
  sampleEndpoint(AWAY, 'h2', '192.0.2.2'),
]);
const BASE = [sampleHost('h1', [TAP, POD]), ...NETWORK, samplePolicy('p', [])];

/** The planned entries of a map, in users' names. */
async function rows(
  slices: readonly SampleSlice[],
  map: AgentMap,
  ports: readonly LocalPort[] = [TAP, POD],
): Promise<Row[]> {
  return rowsOf(await plannedBed(slices, ports), map);
}

function rowsOf({ planner, state }: PlanBed, map: AgentMap): Row[] {
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

const flat = (...slices: readonly (SampleSlice | readonly SampleSlice[])[]): SampleSlice[] => slices.flat();

const pick = (list: readonly Row[], ...fields: string[]): unknown[][] =>
  list.map((row) => fields.map((field) => row[field])).sort((a, b) => (String(a) < String(b) ? -1 : 1));

test('VIFs carry the flags of their ports; a veth alone is delivered to its peer', async () => {
  const list = await rows(flat(...BASE), 'cb_vif_2');
  assert.deepEqual(pick(list, 'port', 'flags', 'address', 'vif', 'dhcp_server', 'policy'), [
    ['port-5', 'admin-up port-security dhcp', '10.0.0.5', 1, '10.0.0.1', 'p@net-1'],
    ['port-6', 'admin-up dhcp peer', '10.0.0.6', 2, '10.0.0.1', 'none'],
  ]);
  assert.deepEqual(pick(list, 'network', 'project', 'device', 'service_address', 'epoch'), [
    ['net-1', 'project', 'cv00000006-70', '198.18.0.32', 0],
    ['net-1', 'project', 'tap00000005-70', '198.18.0.16', 0],
  ]);
  const own = samplePort(8, { vifKind: 'host', adminStateUp: false });
  const noDhcp = sampleNetwork(1, { subnets: [sampleSubnet(1, { enableDhcp: false, gatewayIp: null })] });
  const [vif] = await rows(flat(sampleHost('h1', [own]), noDhcp, samplePolicy('', [])), 'cb_vif_2', [own]);
  assert.deepEqual(
    [vif?.['flags'], vif?.['dhcp_server'], vif?.['policy']],
    ['port-security', '169.254.169.254', '(no groups)@net-1'],
  );
});

test('a stateless policy makes its ports stateless', async () => {
  for (const more of [{}, { stateless: true }] as const) {
    const slices = flat(sampleHost('h1', [TAP]), sampleNetwork(1), samplePolicy('p', [], more));
    const [vif] = await rows(slices, 'cb_vif_2', [TAP]);
    const flags = 'admin-up port-security dhcp';
    assert.equal(vif?.['flags'], 'stateless' in more ? `${flags} stateless` : flags);
  }
});

test('a port has the limits of its QoS policy, each direction its own, and without any no meter', async () => {
  const limits = {
    egress: { bandwidth: { maxKbps: 20_000, burstKbits: 0 }, packets: { maxKpps: 50, burstKpackets: 5 } },
    ingress: { bandwidth: { maxKbps: 8_000_000, burstKbits: 0 } },
    dscp: 46,
  };
  const port = { ...TAP, qosPolicyId: 'q' };
  const planned = (qos: Parameters<typeof sampleQos>[1]) => [
    ...flat(sampleHost('h1', [port, POD]), NETWORK, samplePolicy('p', [])),
    sampleQos('q', qos),
  ];
  const bed = await plannedBed(planned(limits), [TAP, POD]);
  assert.deepEqual(rowsOf(bed, 'cb_meter_1'), [
    { port: 'port-5', direction: 'ingress', max_kbps: 8_000_000, burst_ms: 800, over: 'dropped' },
    {
      ...{ port: 'port-5', direction: 'egress', max_kbps: 20_000, burst_ms: 10, over: 'waits' },
      ...{ max_kpps: 50, packet_burst_ms: 100, dscp: 46 },
    },
  ]);
  const flags = () => pick(rowsOf(bed, 'cb_vif_2'), 'port', 'flags').map(([, text]) => String(text).includes('meter'));
  assert.deepEqual(flags(), [true, false]);
  await bed.plan(...planned({ dscp: 0 }));
  assert.deepEqual(rowsOf(bed, 'cb_meter_1'), [{ port: 'port-5', direction: 'egress', dscp: 0 }]);
  await bed.plan(...planned({}));
  assert.deepEqual([rowsOf(bed, 'cb_meter_1'), flags()], [[], [false, false]]);
});

test('a pod has the limits that its runtime wants, and of two the lower one', async () => {
  const wanted = { egress: { bandwidth: { maxKbps: 10_000, burstKbits: 0 } }, ingress: {} };
  const devices = {
    byName: (name: string) => ({ name, ifindex: 50, limits: { portId: POD.id, ...wanted } }),
  };
  const bed = createPlanBed({ devices });
  const plan = (port: LocalPort, qos: Parameters<typeof sampleQos>[1] = {}) =>
    bed.plan(sampleHost('h1', [port]), NETWORK, sampleQos('q', qos));
  const egress = (max: number) => ({
    ...{ port: 'port-6', direction: 'egress', max_kbps: max, burst_ms: 10, over: 'waits' },
  });
  await plan(POD);
  assert.deepEqual(rowsOf(bed, 'cb_meter_1'), [egress(10_000)]);
  const limited = { ...POD, qosPolicyId: 'q' };
  await plan(limited, { egress: { bandwidth: { maxKbps: 5_000, burstKbits: 0 } } });
  assert.deepEqual(rowsOf(bed, 'cb_meter_1'), [egress(5_000)]);
  await plan(limited, { egress: { bandwidth: { maxKbps: 50_000, burstKbits: 0 } } });
  assert.deepEqual(rowsOf(bed, 'cb_meter_1'), [egress(10_000)]);
  await plan({ ...POD, id: sampleId('port', 66) });
  assert.deepEqual(rowsOf(bed, 'cb_meter_1'), [], 'the link is that of another port');
});

test('a port whose QoS policy has not been received is not programmed, and says so', async () => {
  const port = { ...TAP, qosPolicyId: 'q' };
  const bed = await plannedBed(flat(sampleHost('h1', [port]), NETWORK, samplePolicy('p', [])), [TAP]);
  assert.equal(bed.planner.errors.get(TAP.id), 'QoS policy q has not been received');
  assert.deepEqual(rowsOf(bed, 'cb_vif_2'), []);
});

test('a port may send from its addresses and allowed pairs; without port security nothing is listed', async () => {
  const pairs = [
    { ipAddress: '10.9.0.0/16', macAddress: sampleMac(5) },
    { ipAddress: '10.0.0.99', macAddress: sampleMac(99) },
    // Host bits, which the API shows as they were given, make no difference.
    { ipAddress: '10.9.7.7/16', macAddress: sampleMac(5) },
  ];
  const port = { ...TAP, allowedAddressPairs: pairs };
  const list = await rows(flat(sampleHost('h1', [port, POD]), NETWORK, samplePolicy('p', [])), 'cb_source_2');
  assert.deepEqual(pick(list, 'port', 'mac', 'source'), [
    ['port-5', sampleMac(5), '10.0.0.5'],
    ['port-5', sampleMac(5), '10.9.0.0/16'],
    ['port-5', sampleMac(5), 'fe80::f816:3eff:fe00:5'],
    ['port-5', sampleMac(99), '10.0.0.99'],
    ['port-5', sampleMac(99), 'fe80::f816:3eff:fe00:63'],
  ]);
});

describe('addresses that ports may share', () => {
  const pair = (port: LocalPort, ...ips: string[]) =>
    ips.map((ipAddress) => ({ ipAddress, macAddress: port.macAddress }));
  const sharing = (port: LocalPort): LocalPort => ({
    ...port,
    allowedAddressPairs: pair(port, '10.0.0.99', '10.9.0.0/16'),
  });
  const far = { ...sampleEndpoint(AWAY, 'h2', '192.0.2.2'), pairs: pair(AWAY, '10.0.0.99') };
  const shared = async (...slices: readonly SampleSlice[][]): Promise<unknown[]> =>
    pick(await rows(flat(...slices, samplePolicy('p', [])), 'cb_ep_2'), 'address', 'kind', 'at', 'mac').filter(
      ([, kind]) => kind === 'shared',
    );
  const here = sampleEndpoint(TAP, 'h1', '192.0.2.1');

  test('are found at the only port that may have them; not those of a prefix, nor without port security', async () => {
    const none = sampleNetwork(1, {}, [here]) as SampleSlice[];
    assert.deepEqual(await shared([sampleHost('h1', [sharing(TAP)])], none), [
      ['10.0.0.99', 'shared', 'port-5', sampleMac(5)],
    ]);
    const open = { ...sharing(TAP), portSecurityEnabled: false, policy: null };
    assert.deepEqual(await shared([sampleHost('h1', [open])], none), []);
    const remote = sampleNetwork(1, {}, [here, far]) as SampleSlice[];
    assert.deepEqual(await shared([sampleHost('h1', [TAP])], remote), [['10.0.0.99', 'shared', 'h2', sampleMac(7)]]);
  });

  test('of several are nowhere until one is heard; a port’s own address goes before', async () => {
    const both = sampleNetwork(1, {}, [here, far]) as SampleSlice[];
    assert.deepEqual(await shared([sampleHost('h1', [sharing(TAP)])], both), [
      ['10.0.0.99', 'shared', 'whoever claims it', '00:00:00:00:00:00'],
    ]);
    const owner = samplePort(6, {
      fixedIps: [{ subnetId: sampleId('sub', 1), ipAddress: '10.0.0.99' }],
      policy: 'policy:p',
    });
    const slices = flat(sampleHost('h1', [sharing(TAP), owner]), both, samplePolicy('p', []));
    const list = (await rows(slices, 'cb_ep_2', [TAP, owner])).filter(({ address }) => address === '10.0.0.99');
    assert.deepEqual(pick(list, 'kind', 'at'), [['local', 'port-6']]);
  });

  test('may be claimed by ports that have them, of this host and of others', async () => {
    const slices = flat(sampleHost('h1', [sharing(TAP)]), sampleNetwork(1, {}, [here, far]), samplePolicy('p', []));
    assert.deepEqual(pick(await rows(slices, 'cb_pair_1'), 'network', 'host', 'mac', 'address'), [
      ['net-1', 'h2', sampleMac(7), '10.0.0.99'],
    ]);
    const claims = (await rows(slices, 'cb_source_2')).filter((row) => row['may_claim'] === true);
    assert.deepEqual(pick(claims, 'source', 'mac'), [['10.0.0.99', sampleMac(5)]]);
  });

  test('that several ports have are told to hosts that only route into the network, and heard by such a host', async () => {
    const elsewhere = samplePort(8, { networkId: sampleId('net', 2) });
    const routed = [
      ...sampleNetwork(1, {}, [here, far]),
      ...sampleNetwork(2, {}, [sampleEndpoint(elsewhere, 'h3', '192.0.2.3')]),
      sampleRouter(1, [1, 2]),
      samplePolicy('p', []),
    ];
    const near = flat(sampleHost('h1', [sharing(TAP)]), routed);
    assert.deepEqual(pick(await rows(near, 'cb_announce_1'), 'network', 'hosts'), [['net-1', 'h3']]);
    const peers = async (slices: readonly SampleSlice[], ports: readonly LocalPort[]): Promise<unknown[]> =>
      pick(await rows(slices, 'cb_peer_2', ports), 'network', 'host');
    assert.deepEqual(await peers(near, [TAP]), [
      ['net-1', 'h2'],
      ['net-1', 'h3'],
    ]);

    const third = { ...sampleEndpoint(samplePort(9), 'h4', '192.0.2.4'), pairs: pair(samplePort(9), '10.0.0.99') };
    const own = samplePort(5, { networkId: sampleId('net', 2), policy: 'policy:p' });
    const routing = flat(
      sampleHost('h1', [own]),
      sampleNetwork(1, {}, [far, third]),
      sampleNetwork(2, {}, [sampleEndpoint(own, 'h1', '192.0.2.1')]),
      sampleRouter(1, [1, 2]),
      samplePolicy('p', []),
    );
    assert.deepEqual(pick(await rows(routing, 'cb_announce_1', [own]), 'network', 'hosts'), [['net-1', 'h2, h4']]);
    assert.deepEqual(await peers(routing, [own]), [
      ['net-1', 'h2'],
      ['net-1', 'h4'],
      ['net-2', 'h2'],
      ['net-2', 'h4'],
    ]);
  });
});

test('endpoints are local, remote or of the service; the gateway answers as the service while no router has it', async () => {
  const service = 'fa:16:3e:ca:b1:e0';
  assert.deepEqual(pick(await rows(flat(...BASE), 'cb_ep_2'), 'address', 'kind', 'at', 'mac'), [
    ['10.0.0.1', 'service', 'agent', service],
    ['10.0.0.5', 'local', 'port-5', sampleMac(5)],
    ['10.0.0.6', 'local', 'port-6', sampleMac(6)],
    ['10.0.0.7', 'remote', 'h2', sampleMac(7)],
    ['169.254.169.254', 'service', 'agent', service],
  ]);
  const routed = flat(...BASE, sampleRouter(1, [1]));
  const gateway = (await rows(routed, 'cb_ep_2')).find((row) => row['address'] === '10.0.0.1');
  assert.deepEqual(
    [gateway?.['kind'], gateway?.['at'], gateway?.['mac']],
    ['gateway', 'router-1', sampleMac(0xee0101)],
  );
  const macs = await rows(routed, 'cb_mac_2');
  assert.equal(macs.find((row) => row['mac'] === service)?.['at'], 'agent, router-1');
  const down = await rows(flat(...BASE, sampleRouter(1, [1], { adminStateUp: false })), 'cb_ep_2');
  assert.equal(down.find((row) => row['address'] === '10.0.0.1')?.['kind'], 'service');
});

test('an endpoint is left out while its host is unknown, and a local port while it has no device', async () => {
  const endpoints = [sampleEndpoint(AWAY, 'h2', null), sampleEndpoint(TAP, 'h1', '192.0.2.1')];
  const slices = flat(sampleHost('h1', [TAP]), sampleNetwork(1, {}, endpoints), samplePolicy('p', []));
  assert.deepEqual(pick(await rows(slices, 'cb_ep_2', []), 'address'), [['10.0.0.1'], ['169.254.169.254']]);
  assert.equal((await rows(slices, 'cb_peer_2', [])).length, 0);
});

test('a router has its subnets, and extra routes by the interface whose subnet holds the next hop', async () => {
  const routes = [
    { destination: '0.0.0.0/0', nexthop: '10.0.1.9' },
    { destination: '10.0.1.0/24', nexthop: '10.0.0.7' },
    { destination: '10.5.0.0/16', nexthop: '172.16.0.1' },
  ];
  const router = sampleRouter(1, [1, 2], { routes });
  const slices = flat(...BASE, sampleNetwork(2, { mtuBytes: 1400 }), router);
  assert.deepEqual(pick(await rows(slices, 'cb_route_2'), 'router', 'destination', 'network', 'nexthop', 'mtu_bytes'), [
    ['router-1', '0.0.0.0/0', 'net-2', '10.0.1.9', 1400],
    ['router-1', '10.0.0.0/24', 'net-1', 'connected', 1450],
    ['router-1', '10.0.1.0/24', 'net-2', 'connected', 1400],
  ]);
});

test('broadcast goes to the local VIFs, then once to each other host, in chunks without a hole', async () => {
  const away = Array.from({ length: 80 }, (_, i) => {
    const port = samplePort(20 + i);
    return sampleEndpoint(port, `host${i >> 1}`, `192.0.2.${10 + (i >> 1)}`);
  });
  const slices = flat(sampleHost('h1', [TAP]), sampleNetwork(1, {}, away), samplePolicy('p', []));
  const list = await rows(slices, 'cb_flood_2', [TAP]);
  const targets = list.map((row) => String(row['targets']).split(', '));
  assert.deepEqual(
    list.map((row) => row['chunk']),
    [0, 1],
  );
  assert.deepEqual(
    targets.map((one) => one.length),
    [32, 9],
  );
  assert.equal(targets[0]?.[0], 'port-5');
  assert.equal(new Set(targets.flat()).size, 41);
  assert.equal((await rows(slices, 'cb_peer_2', [TAP])).length, 40);
  assert.equal((await rows(slices, 'cb_flood_2', [])).length, 0);
});

test('IPv6 addresses have their place beside IPv4', async () => {
  const fixedIps = [
    { subnetId: sampleId('sub', 1), ipAddress: '10.0.0.5' },
    { subnetId: sampleId('sub', 6), ipAddress: '2001:db8::5' },
  ];
  const port = { ...TAP, fixedIps };
  const subnets = [sampleSubnet(1), sampleSubnet(6, { cidr: '2001:db8::/64', ipVersion: 6, gatewayIp: '2001:db8::1' })];
  const network = sampleNetwork(1, { subnets }, [sampleEndpoint(port, 'h1', null)]);
  const rules = [sampleRule(1, { ethertype: 'IPv6', protocol: 1, remote: { kind: 'prefix', cidr: '2001:db8::/32' } })];
  const slices = flat(sampleHost('h1', [port]), network, samplePolicy('p', rules));
  assert.deepEqual(pick(await rows(slices, 'cb_source_2'), 'source'), [
    ['10.0.0.5'],
    ['2001:db8::5'],
    ['fe80::f816:3eff:fe00:5'],
  ]);
  assert.deepEqual(pick(await rows(slices, 'cb_class_1'), 'remote'), [['2001:db8::/32']]);
  assert.deepEqual(pick(await rows(slices, 'cb_rule_1'), 'family', 'protocol'), [['IPv6', 58]]);
});

test('IPv6 endpoints are known by their link-local addresses, too; the router by its own, to its VIFs', async () => {
  const port = { ...TAP, fixedIps: [{ subnetId: sampleId('sub', 6), ipAddress: '2001:db8::5' }] };
  const far = { ...POD, fixedIps: [{ subnetId: sampleId('sub', 6), ipAddress: '2001:db8::7' }] };
  const subnets = [sampleSubnet(6, { cidr: '2001:db8::/64', ipVersion: 6, gatewayIp: '2001:db8::1' })];
  const network = sampleNetwork(1, { subnets }, [
    sampleEndpoint(port, 'h1', null),
    sampleEndpoint(far, 'h2', '192.0.2.2'),
  ]);
  const leg = {
    portId: sampleId('rif', 6),
    networkId: sampleId('net', 1),
    subnetId: sampleId('sub', 6),
    cidr: '2001:db8::/64',
  };
  const router = sampleRouter(1, [], {}, [{ ...leg, ipAddress: '2001:db8::1', macAddress: sampleMac(0xee) }]);
  const slices = flat(sampleHost('h1', [port]), network, router, samplePolicy('p', []));
  assert.deepEqual(pick(await rows(slices, 'cb_ep_2'), 'address', 'kind'), [
    ['169.254.169.254', 'service'],
    ['2001:db8::1', 'gateway'],
    ['2001:db8::5', 'local'],
    ['2001:db8::7', 'remote'],
    ['fe80::a9fe:a9fe', 'service'],
    ['fe80::f816:3eff:fe00:5', 'local'],
    ['fe80::f816:3eff:fe00:6', 'remote'],
    ['fe80::f816:3eff:fe00:ee', 'gateway'],
    ['fe80::f816:3eff:feca:b1e0', 'service'],
  ]);
  const { planner } = await plannedBed(slices, [port]);
  const [row] = [...planner.entries.of('cb_vif_2').values()].map(({ value }) => cbVif.decode(textBytes(value)));
  assert.equal(formatAddress(row?.router6 ?? NO_ADDRESS), 'fe80::f816:3eff:fe00:ee');
});

test('DHCP is on for the ports that have it in a subnet of theirs', async () => {
  const port = samplePort(5, { policy: 'policy:p' });
  const off = sampleSubnet(1, { enableDhcp: false });
  const flags = async (...subnets: readonly SubnetState[]): Promise<unknown> => {
    const slices = flat(sampleHost('h1', [port]), sampleNetwork(1, { subnets }), samplePolicy('p', []));
    return pick(await rows(slices, 'cb_vif_2', [port]), 'flags')[0]?.[0];
  };
  assert.equal(await flags(off), 'admin-up port-security');
  assert.equal(
    await flags(off, sampleSubnet(2)),
    'admin-up port-security',
    'the network has it on, which is in its row',
  );
  assert.equal(await flags(sampleSubnet(1)), 'admin-up port-security dhcp');
});

test('DHCPv6 and router advertisements are on where a subnet of the port wants them, and with a router in it', async () => {
  const port = {
    ...TAP,
    fixedIps: [6, 7].map((n) => ({ subnetId: sampleId('sub', n), ipAddress: `2001:db8:${n}::5` })),
  };
  const subnet = (n: number, fields: Partial<SubnetState>): SubnetState =>
    sampleSubnet(n, { cidr: `2001:db8:${n}::/64`, ipVersion: 6, gatewayIp: `2001:db8:${n}::1`, ...fields });
  const leg = (n: number) => ({
    ...{ portId: sampleId('rif', n), networkId: sampleId('net', 1), subnetId: sampleId('sub', n) },
    ...{ cidr: `2001:db8:${n}::/64`, ipAddress: `2001:db8:${n}::1`, macAddress: sampleMac(0xe0 + n) },
  });
  const plan = async (subnets: readonly SubnetState[], legs: readonly number[]) => {
    const router = sampleRouter(1, [], {}, legs.map(leg));
    const slices = flat(sampleHost('h1', [port]), sampleNetwork(1, { subnets }), ...[router, samplePolicy('p', [])]);
    const bed = await plannedBed(slices, [port]);
    const told = bed.planner.guests.get(1)?.advertisement;
    const said = told?.subnets.map(({ cidr, raMode }) => `${cidr} ${raMode}`).join(', ') ?? null;
    const flags = pick(await rows(slices, 'cb_vif_2', [port]), 'flags')[0]?.[0];
    return [flags, told === null || told === undefined ? null : `${told.routerMac} ${told.isDefaultRouter}`, said];
  };
  const slaac = { ipv6RaMode: 'slaac', ipv6AddressMode: 'slaac' } as const;
  const stateful = { ipv6RaMode: 'dhcpv6-stateful', ipv6AddressMode: 'dhcpv6-stateful' } as const;
  const stateless = { ipv6AddressMode: 'dhcpv6-stateless' } as const;
  const base = 'admin-up port-security';
  assert.deepEqual(await plan([subnet(6, slaac)], []), [base, null, null], 'no router');
  assert.deepEqual(await plan([subnet(6, {})], [6]), [base, null, null], 'no mode');
  assert.deepEqual(await plan([subnet(6, slaac)], [6]), [
    `${base} ra`,
    `${sampleMac(0xe6)} true`,
    '2001:db8:6::/64 slaac',
  ]);
  assert.deepEqual(await plan([subnet(6, stateless)], []), [`${base} dhcp6`, null, null]);
  assert.deepEqual(await plan([subnet(6, { ...stateful, enableDhcp: false })], []), [base, null, null]);
  assert.deepEqual(await plan([subnet(6, slaac), subnet(7, { ...stateful, gatewayIp: null })], [6, 7]), [
    `${base} dhcp6 ra`,
    `${sampleMac(0xe6)} true`,
    '2001:db8:6::/64 slaac, 2001:db8:7::/64 dhcpv6-stateful',
  ]);
  assert.deepEqual(await plan([subnet(6, slaac), subnet(7, slaac)], [7]), [
    `${base} ra`,
    `${sampleMac(0xe7)} true`,
    '2001:db8:7::/64 slaac',
  ]);
});

test('a guest record holds what DHCP and metadata answer', async () => {
  const desired = (await plannedBed(flat(...BASE), [TAP, POD])).planner;
  const guest = desired.guests.get(1);
  assert.equal(guest?.portId, TAP.id);
  assert.deepEqual(
    guest?.addresses.map((one) => [one.ipAddress, one.cidr, one.gatewayIp, one.dhcpServer]),
    [['10.0.0.5', '10.0.0.0/24', '10.0.0.1', '10.0.0.1']],
  );
});

test('the machine gets each destination once, over the port that has it, and never a default route', async () => {
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
  const slices = flat(
    sampleHost('h1', [second, first]),
    sampleNetwork(1, { subnets: [sampleSubnet(1, { hostRoutes })] }),
    sampleNetwork(2),
    sampleNetwork(3),
    samplePolicy('p', []),
    sampleRouter(1, [1, 2, 3]),
  );
  const { hostLinks } = (await plannedBed(slices)).planner;
  assert.deepEqual(hostLinks.get(first.id)?.routes, [
    { destination: '10.0.2.0/24', gateway: '10.0.0.1' },
    { destination: '172.16.0.0/12', gateway: '10.0.0.9' },
  ]);
  assert.deepEqual(hostLinks.get(second.id)?.routes, []);
  assert.deepEqual(hostLinks.get(first.id)?.addresses, ['10.0.0.5/24']);
});

test('what no other route leads to goes to the node port of this host', async () => {
  const fields = { deviceOwner: 'kubernetes:node', portSecurityEnabled: false, policy: null } as const;
  const node = samplePort(5, { vifKind: 'host', ...fields });
  const defaults = async (router: Partial<RouterHeader>, port = node) => {
    const slices = flat(sampleHost('h1', [port]), sampleNetwork(1), sampleNetwork(2), sampleRouter(1, [1, 2], router));
    const shown = pick(await rows(slices, 'cb_route_2'), 'destination', 'network', 'nexthop');
    return shown.filter(([destination]) => String(destination).endsWith('/0'));
  };
  assert.deepEqual(await defaults({ nodeEgress: true }), [['0.0.0.0/0', 'net-1', '10.0.0.5']]);
  assert.deepEqual(await defaults({}), []);
  assert.deepEqual(await defaults({ nodeEgress: true }, { ...node, deviceOwner: 'baremetal:none' }), []);
  assert.deepEqual(await defaults({ nodeEgress: true }, { ...node, networkId: sampleId('net', 3) }), []);
  const routes = [{ destination: '0.0.0.0/0', nexthop: '10.0.1.9' }];
  assert.deepEqual(await defaults({ nodeEgress: true, routes }), [['0.0.0.0/0', 'net-2', '10.0.1.9']]);
  const { hostLinks } = (await plannedBed(flat(sampleHost('h1', [node]), sampleNetwork(1)))).planner;
  assert.equal(hostLinks.get(node.id)?.forwards, true);
});

test('subnets behind a node keep their addresses that are said to, but to other nodes', async () => {
  const fields = { deviceOwner: 'kubernetes:node', portSecurityEnabled: false, policy: null } as const;
  const node = samplePort(5, { vifKind: 'host', ...fields });
  const other = sampleEndpoint(samplePort(9), 'h2', '192.0.2.2');
  const keeping = async (natOutgoing: false | undefined, router: Partial<RouterHeader> = { nodeEgress: true }) => {
    const more = natOutgoing === undefined ? {} : { natOutgoing };
    const slices = flat(
      sampleHost('h1', [node]),
      sampleNetwork(1, {}, [other]),
      sampleNetwork(2, { subnets: [sampleSubnet(2, more)] }),
      sampleNetwork(3),
      sampleRouter(1, [1, 2, 3], router),
    );
    return (await plannedBed(slices)).planner.hostLinks.get(node.id)?.keeping;
  };
  assert.deepEqual(await keeping(false), { prefixes: ['10.0.1.0/24'], nodes: ['192.0.2.2'] });
  assert.equal(await keeping(undefined), undefined);
  assert.equal(await keeping(false, {}), undefined, 'a router whose way outside is another');
});

test('a port whose network or policy has not come is not programmed and says why', async () => {
  const missing = (await plannedBed(flat(sampleHost('h1', [TAP]), NETWORK), [TAP])).planner;
  assert.match(missing.errors.get(TAP.id) ?? '', /policy policy:p@.* has not been received/);
  assert.equal(missing.entries.of('cb_vif_2').size + missing.entries.of('cb_source_2').size, 0);
  const alone = (await plannedBed([sampleHost('h1', [TAP])], [TAP])).planner;
  assert.match(alone.errors.get(TAP.id) ?? '', /network .* has not been received/);
});

test('a port with an address or a pair that cannot be read is not programmed and says why', async () => {
  const pair = { ipAddress: '10.0.0.9', macAddress: sampleMac(9) };
  const fixedIps = [...TAP.fixedIps, { subnetId: '', ipAddress: '10.0.0' }];
  for (const [fields, reason] of [
    [{ fixedIps }, /^fixed_ips: 10\.0\.0 is not an IP address$/],
    [{ fixedIps, portSecurityEnabled: false, policy: null }, /^fixed_ips: 10\.0\.0 is not an IP address$/],
    [
      { allowedAddressPairs: [pair, { ...pair, ipAddress: '10.0.0.9/33' }] },
      /^allowed_address_pairs: 10\.0\.0\.9\/33 is not an IP address or prefix$/,
    ],
    [
      { allowedAddressPairs: [pair, { ...pair, macAddress: '02' }] },
      /^allowed_address_pairs: 02 is not a MAC address$/,
    ],
  ] as const) {
    const { planner } = await plannedBed(
      flat(sampleHost('h1', [{ ...TAP, ...fields }]), NETWORK, samplePolicy('p', [])),
      [TAP],
    );
    assert.match(planner.errors.get(TAP.id) ?? '', reason);
    assert.equal(planner.entries.of('cb_vif_2').size + planner.entries.of('cb_source_2').size, 0);
    assert.equal(planner.vifs.size, 1, 'the device has a program, and so drops');
  }
});

test('a far network has endpoints, gateways and routes, and neither flood list nor service addresses', async () => {
  const far = samplePort(9, { networkId: sampleId('net', 2), fixedIps: [{ subnetId: '', ipAddress: '10.0.1.9' }] });
  const slices = flat(...BASE, sampleNetwork(2, {}, [sampleEndpoint(far, 'h3', '192.0.2.3')]), sampleRouter(1, [1, 2]));
  const inFar = (list: readonly Row[]): readonly Row[] => list.filter((row) => row['network'] === 'net-2');
  assert.deepEqual(pick(inFar(await rows(slices, 'cb_ep_2')), 'address', 'kind'), [
    ['10.0.1.1', 'gateway'],
    ['10.0.1.9', 'remote'],
  ]);
  assert.equal(inFar(await rows(slices, 'cb_route_2')).length, 1);
  assert.equal(inFar(await rows(slices, 'cb_flood_2')).length, 0);
  assert.deepEqual(pick(await rows(slices, 'cb_peer_2'), 'host', 'network', 'vni'), [
    ['h2', 'net-1', 101],
    ['h3', 'net-1', 101],
  ]);
});

test('what peers tunnel here is taken on the uplink with own encapsulation, else from the overlay device', async () => {
  for (const [ownEncapsulation, where] of [
    [true, 'uplink'],
    [false, 'overlay device'],
  ] as const) {
    const bed = createPlanBed({ ownEncapsulation });
    bed.plug(TAP, 50);
    await bed.plan(...BASE);
    assert.deepEqual(pick(rowsOf(bed, 'cb_peer_2'), 'host', 'received_on'), [['h2', where]]);
  }
});

test('a port passes something only if its network is up too', async () => {
  const down = sampleNetwork(1, { adminStateUp: false });
  const list = await rows(flat(sampleHost('h1', [TAP]), down, samplePolicy('p', [])), 'cb_vif_2', [TAP]);
  assert.deepEqual(pick(list, 'flags'), [['port-security dhcp']]);
});

test("a renamed link is another port's, and a link that is two ports' is an error of both", async () => {
  const other = samplePort(8, { policy: 'policy:p' });
  const slices = flat(sampleHost('h1', [TAP, other]), NETWORK, samplePolicy('p', []));
  const bed = await plannedBed(slices, [TAP]);
  bed.plug(TAP, null);
  bed.plug(other, 50);
  await bed.plan(...slices);
  assert.deepEqual(pick(rowsOf(bed, 'cb_vif_2'), 'port', 'address'), [['port-8', '10.0.0.8']]);
  assert.deepEqual([...bed.planner.vifs.keys()], [other.id]);
  const twin = { ...samplePort(9, { policy: 'policy:p' }), id: TAP.id.replace(/.$/, 'f') };
  bed.plug(TAP, 60);
  await bed.plan(sampleHost('h1', [TAP, twin]), NETWORK, samplePolicy('p', []));
  assert.match(bed.planner.errors.get(TAP.id) ?? '', /is also that of port .*f$/);
  assert.match(bed.planner.errors.get(twin.id) ?? '', /is also that of port/);
  assert.equal(bed.planner.entries.of('cb_vif_2').size, 0);
  assert.equal(bed.planner.vifs.size, 2, 'the device has a program, and so drops');
});

test('an item of another shape fails alone, and is planned when it has the right one', async () => {
  const broken = { ...POD, fixedIps: undefined } as unknown as LocalPort;
  const bed = await plannedBed([sampleHost('h1', [TAP, broken]), ...NETWORK, samplePolicy('p', [])], [TAP, POD]);
  assert.match(bed.planner.errors.get(POD.id) ?? '', /cannot be read/);
  assert.deepEqual(pick(rowsOf(bed, 'cb_vif_2'), 'port'), [['port-5']]);
  await bed.plan(...BASE);
  assert.equal(bed.planner.errors.size, 0);
  assert.equal(bed.planner.entries.of('cb_vif_2').size, 2);
});

test('one endpoint and member more among a thousand changes their own entries alone', async () => {
  const away = Array.from({ length: 1001 }, (_, i) =>
    samplePort(1000 + i, { fixedIps: [{ subnetId: sampleId('sub', 1), ipAddress: `10.0.${i >> 8}.${i & 255}` }] }),
  );
  const rules = [1, 2, 3].map((n) =>
    sampleRule(n, { protocol: 6, portMin: n, portMax: n, remote: { kind: 'group', groupId: 'g' } }),
  );
  const cloud = (size: number): SampleSlice[] =>
    flat(
      sampleHost('h1', [TAP]),
      sampleNetwork(
        1,
        {},
        away.slice(0, size).map((port) => sampleEndpoint(port, 'h2', '192.0.2.2')),
      ),
      samplePolicy('p', rules),
      sampleGroup(
        'g',
        away.slice(0, size).map((port) => ({
          portId: port.id,
          networkId: sampleId('net', 1),
          addresses: port.fixedIps.map((ip) => ip.ipAddress),
        })),
      ),
    );
  const bed = createPlanBed();
  await bed.plan(...cloud(1000));
  const { entries } = await bed.plan(...cloud(1001));
  assert.deepEqual(entries.map(({ map }) => map).sort(), ['cb_class_1', 'cb_ep_2', 'cb_mac_2']);
});

test('another host may send into a network with a port here only where it has somebody who reaches that network', async () => {
  const here = samplePort(8, { policy: 'policy:p', networkId: sampleId('net', 3), fixedIps: [] });
  const far = samplePort(9, { networkId: sampleId('net', 2), fixedIps: [] });
  const stranger = samplePort(10, { networkId: sampleId('net', 4), fixedIps: [] });
  const cloud = flat(
    sampleHost('h1', [TAP, here]),
    NETWORK,
    sampleNetwork(2, {}, [sampleEndpoint(far, 'h3', '192.0.2.3')]),
    sampleNetwork(3),
    sampleNetwork(4, {}, [sampleEndpoint(stranger, 'h4', '192.0.2.4'), sampleEndpoint(far, 'h2', '192.0.2.2')]),
    samplePolicy('p', []),
  );
  const peers = async (...routers: readonly SampleSlice[]) =>
    pick(await rows(flat(...cloud, ...routers), 'cb_peer_2', [TAP, here]), 'network', 'host');
  assert.deepEqual(await peers(), [['net-1', 'h2']]);
  assert.deepEqual(await peers(sampleRouter(1, [1, 2])), [
    ['net-1', 'h2'],
    ['net-1', 'h3'],
  ]);
  assert.deepEqual(await peers(sampleRouter(1, [2, 3])), [
    ['net-1', 'h2'],
    ['net-3', 'h3'],
  ]);
  assert.deepEqual(await peers(sampleRouter(1, [1, 2], { adminStateUp: false })), [['net-1', 'h2']]);
});

test('each other host with endpoints has a tunnel, each network a row, and each port a device that leads to its VIF', async () => {
  const slices = flat(...BASE, sampleNetwork(2, { adminStateUp: false, mtuBytes: 1400 }));
  assert.deepEqual(pick(await rows(slices, 'cb_tunnel_1'), 'tunnel', 'host', 'underlay'), [[1, 'h2', '192.0.2.2']]);
  assert.deepEqual(pick(await rows(slices, 'cb_net_1'), 'network', 'vni', 'flags', 'mtu_bytes', 'flood_chunks'), [
    ['net-1', 101, 'admin-up dhcp', 1450, 0],
    ['net-2', 102, 'dhcp', 1400, 0],
  ]);
  assert.deepEqual(pick(await rows(slices, 'cb_in_1'), 'device', 'vlan', 'port'), [
    ['cv00000006-70', 'none', 'port-6'],
    ['tap00000005-70', 'none', 'port-5'],
  ]);
});

test('a port without a free number is not programmed, says why, and is planned when there is one', async () => {
  const free = new Map<IdKind, number>([
    ['vif', 1],
    ['network', 1],
    ['tunnel', 1],
    ['project', 1],
  ]);
  const idsOf = (kind: IdKind): IdSource => {
    const ids = new Map<string, number>();
    return {
      ids,
      acquire: (name) => {
        if (!ids.has(name) && ids.size < (free.get(kind) ?? 0)) ids.set(name, ids.size + 1);
        return ids.get(name);
      },
      release: (name) => void ids.delete(name),
    };
  };
  const ids = { vif: idsOf('vif'), network: idsOf('network'), tunnel: idsOf('tunnel'), project: idsOf('project') };
  const other = samplePort(8, { policy: 'policy:p', projectId: 'other', networkId: sampleId('net', 2) });
  const slices = flat(
    ...[sampleHost('h1', [TAP, other]), NETWORK, sampleNetwork(2, { projectId: 'other' }), samplePolicy('p', [])],
  );
  const bed = createPlanBed({ ids });
  for (const [i, port] of [TAP, other].entries()) bed.plug(port, 50 + i);
  await bed.plan(...slices);
  for (const [kind, reason] of [
    ['vif', /no VIF number is free on this host \(it has 8191\): move ports/],
    ['project', /no project number is free/],
    ['network', /no network number is free/],
  ] as const) {
    assert.equal(bed.planner.lacksNumbers, true);
    assert.match(bed.planner.errors.get(other.id) ?? '', reason);
    assert.equal(bed.planner.vifs.get(other.id)?.ifindex, 51, 'the device has a program, and so drops');
    free.set(kind, 2);
    await bed.planner.update([], []);
  }
  assert.deepEqual([bed.planner.lacksNumbers, bed.planner.errors.size], [false, 0]);
  assert.equal(bed.planner.entries.of('cb_vif_2').size, 2);
  await bed.plan();
  assert.deepEqual(
    Object.values(ids).map((table) => table.ids.size),
    [0, 0, 0, 0],
    'all are given back',
  );
});

test('a port keeps its number while its device comes and goes', async () => {
  const bed = await plannedBed(flat(...BASE), [TAP, POD]);
  bed.plug(TAP, null);
  await bed.plan(...BASE);
  assert.equal(bed.planner.entries.of('cb_vif_2').size, 1);
  bed.plug(TAP, 77);
  await bed.plan(...BASE);
  assert.deepEqual(pick(rowsOf(bed, 'cb_in_1'), 'port'), [['port-5'], ['port-6']]);
  assert.equal(bed.planner.vifs.get(TAP.id)?.vif, 1);
});

test('another policy of a port changes its VIF alone, and no flood list', async () => {
  const bed = await plannedBed(flat(...BASE), [TAP, POD]);
  const other = { ...TAP, portSecurityEnabled: false, policy: null, adminStateUp: false };
  const { entries } = await bed.plan(sampleHost('h1', [other, POD]), ...NETWORK, samplePolicy('p', []));
  assert.deepEqual(entries.map(({ map }) => map).sort(), ['cb_source_2', 'cb_source_2', 'cb_vif_2']);
});

test('a sub-port is a VIF of its parent’s device, with a tag; a tag twice is an error of both', async () => {
  const place = (vlan: number): Partial<LocalPort> => ({ trunk: { parentPortId: TAP.id, vlan } });
  const open = { portSecurityEnabled: false, policy: null } as const;
  const subs = [8, 9, 10].map((n) => samplePort(n, { ...open, ...place(n === 8 ? 101 : 102) }));
  const bed = await plannedBed(
    flat(
      sampleHost('h1', [TAP, ...subs]),
      NETWORK,
      ['p', ''].flatMap((one) => samplePolicy(one, [])),
    ),
    [TAP],
  );
  const device = 'tap00000005-70';
  assert.deepEqual(pick(rowsOf(bed, 'cb_in_1'), 'port', 'device', 'vlan'), [
    ['port-5', device, 'none'],
    ['port-8', device, 101],
  ]);
  assert.deepEqual(pick(rowsOf(bed, 'cb_vif_2'), 'port', 'device', 'vlan'), [
    ['port-5', device, 'none'],
    ['port-8', device, 101],
  ]);
  const reason = (other: number): string =>
    `VLAN tag 102 of device ${device} is also that of port ${sampleId('port', other)}`;
  assert.deepEqual(
    [...bed.planner.errors].sort(),
    [
      [sampleId('port', 10), reason(9)],
      [sampleId('port', 9), reason(10)],
    ].sort(),
  );
  assert.deepEqual(
    [...bed.planner.vifs.values()].map((vif) => vif.device),
    [device, device, device, device],
  );
});

test('a port that is to come, or has left, has a VIF here, and is known to the network where it is', async () => {
  const other = [{ host: 'h2', underlay: '192.0.2.2', left: false }];
  const at = (host: string, underlay: string, standby: Endpoint['standby'] = other): readonly SampleSlice[] =>
    sampleNetwork(1, {}, [{ ...sampleEndpoint(TAP, host, underlay), ...(standby === undefined ? {} : { standby }) }]);
  const standby = (left: boolean): SampleSlice => ({
    key: 'standby:h1',
    header: { host: 'h1' },
    items: new Map([[TAP.id, { ...TAP, left }]]),
  });
  const home = sampleHost('h1', []);
  const policy = samplePolicy('p', []);
  const endpointOf = (bed: PlanBed): unknown => {
    const endpoints = [...bed.planner.entries.of('cb_mac_2').values()].map(({ value }) =>
      cbEndpoint.decode(textBytes(value)),
    );
    const found = endpoints.find(({ kind }) => kind === CB_ENDPOINT_VIF || kind === CB_ENDPOINT_REMOTE);
    return found && { kind: found.kind, vif: found.vif, tunnel: found.tunnel, flags: found.flags };
  };
  const here = [{ host: 'h1', underlay: '192.0.2.1', left: false }];
  const bed = await plannedBed(flat(home, standby(false), at('h2', '192.0.2.2', here), policy), [TAP]);
  assert.deepEqual(endpointOf(bed), { kind: CB_ENDPOINT_REMOTE, vif: 1, tunnel: 1, flags: 0 });
  assert.deepEqual(pick(rowsOf(bed, 'cb_in_1'), 'device'), [['tap00000005-70']]);
  assert.deepEqual(rowsOf(bed, 'cb_flood_2'), []);
  assert.deepEqual(pick(rowsOf(bed, 'cb_peer_2'), 'network', 'host'), [['net-1', 'h2']]);
  // The switch: the VIF keeps its number.
  const left = [{ host: 'h2', underlay: '192.0.2.2', left: true }];
  await bed.plan(...flat(sampleHost('h1', [TAP]), at('h1', '192.0.2.1', left), policy));
  assert.deepEqual(endpointOf(bed), { kind: CB_ENDPOINT_VIF, vif: 1, tunnel: 1, flags: 0 });
  assert.deepEqual(pick(rowsOf(bed, 'cb_peer_2'), 'network', 'host'), [['net-1', '192.0.2.2']]);
  // And back, its device gone.
  bed.plug(TAP, null);
  await bed.plan(...flat(home, standby(true), at('h2', '192.0.2.2', here), policy));
  assert.deepEqual(endpointOf(bed), { kind: CB_ENDPOINT_REMOTE, vif: 1, tunnel: 1, flags: CB_ENDPOINT_F_LEFT });
});
