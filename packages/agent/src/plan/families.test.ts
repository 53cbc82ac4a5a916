import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LocalPort, SubnetState } from '@cable/model';
import { textBytes } from '../bpf/codec.ts';
import type { AgentMap } from '../desired.ts';
import { type Row, showEntry } from '../show/maps.ts';
import { readNames } from '../show/names.ts';
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
    return [...planner.entries.of(map).values()].map(({ key, value }) =>
      showEntry(map, { key: textBytes(key), value: textBytes(value) }, step.value),
    );
  }
}

const flat = (...slices: readonly (SampleSlice | readonly SampleSlice[])[]): SampleSlice[] => slices.flat();

const pick = (list: readonly Row[], ...fields: string[]): unknown[][] =>
  list.map((row) => fields.map((field) => row[field])).sort((a, b) => (String(a) < String(b) ? -1 : 1));

test('VIFs carry the flags of their ports; a veth alone is delivered to its peer', async () => {
  const list = await rows(flat(...BASE), 'cb_vif_1');
  assert.deepEqual(pick(list, 'port', 'flags', 'address', 'slot', 'dhcp_server', 'policy'), [
    ['port-5', 'admin-up port-security dhcp', '10.0.0.5', 2, '10.0.0.1', 'p@net-1'],
    ['port-6', 'admin-up dhcp peer', '10.0.0.6', 3, '10.0.0.1', 'none'],
  ]);
  const own = samplePort(8, { vifKind: 'host', adminStateUp: false });
  const noDhcp = sampleNetwork(1, { subnets: [sampleSubnet(1, { enableDhcp: false, gatewayIp: null })] });
  const [vif] = await rows(flat(sampleHost('h1', [own]), noDhcp, samplePolicy('', [])), 'cb_vif_1', [own]);
  assert.deepEqual(
    [vif?.['flags'], vif?.['dhcp_server'], vif?.['policy']],
    ['port-security', '169.254.169.254', '(no groups)@net-1'],
  );
});

test('a port may send from its addresses and allowed pairs; without port security nothing is listed', async () => {
  const pairs = [
    { ipAddress: '10.9.0.0/16', macAddress: sampleMac(5) },
    { ipAddress: '10.0.0.99', macAddress: sampleMac(99) },
  ];
  const port = { ...TAP, allowedAddressPairs: pairs };
  const list = await rows(flat(sampleHost('h1', [port, POD]), NETWORK, samplePolicy('p', [])), 'cb_source_1');
  assert.deepEqual(pick(list, 'port', 'mac', 'source'), [
    ['port-5', sampleMac(5), '10.0.0.5'],
    ['port-5', sampleMac(5), '10.9.0.0/16'],
    ['port-5', sampleMac(99), '10.0.0.99'],
  ]);
});

test('endpoints are local, remote or of the service; the gateway answers as the service while no router has it', async () => {
  const service = 'fa:16:3e:ca:b1:e0';
  assert.deepEqual(pick(await rows(flat(...BASE), 'cb_ep_1'), 'address', 'kind', 'at', 'mac'), [
    ['10.0.0.1', 'service', 'agent', service],
    ['10.0.0.5', 'local', 'port-5', sampleMac(5)],
    ['10.0.0.6', 'local', 'port-6', sampleMac(6)],
    ['10.0.0.7', 'remote', 'h2', sampleMac(7)],
    ['169.254.169.254', 'service', 'agent', service],
  ]);
  const routed = flat(...BASE, sampleRouter(1, [1]));
  const gateway = (await rows(routed, 'cb_ep_1')).find((row) => row['address'] === '10.0.0.1');
  assert.deepEqual(
    [gateway?.['kind'], gateway?.['at'], gateway?.['mac']],
    ['gateway', 'router-1', sampleMac(0xee0101)],
  );
  const macs = await rows(routed, 'cb_mac_1');
  assert.equal(macs.find((row) => row['mac'] === service)?.['at'], 'agent, router-1');
  const down = await rows(flat(...BASE, sampleRouter(1, [1], { adminStateUp: false })), 'cb_ep_1');
  assert.equal(down.find((row) => row['address'] === '10.0.0.1')?.['kind'], 'service');
});

test('an endpoint is left out while its host is unknown, and a local port while it has no device', async () => {
  const endpoints = [sampleEndpoint(AWAY, 'h2', null), sampleEndpoint(TAP, 'h1', '192.0.2.1')];
  const slices = flat(sampleHost('h1', [TAP]), sampleNetwork(1, {}, endpoints), samplePolicy('p', []));
  assert.deepEqual(pick(await rows(slices, 'cb_ep_1', []), 'address'), [['10.0.0.1'], ['169.254.169.254']]);
  assert.equal((await rows(slices, 'cb_peer_1', [])).length, 0);
});

test('a router has its subnets, and extra routes by the interface whose subnet holds the next hop', async () => {
  const routes = [
    { destination: '0.0.0.0/0', nexthop: '10.0.1.9' },
    { destination: '10.0.1.0/24', nexthop: '10.0.0.7' },
    { destination: '10.5.0.0/16', nexthop: '172.16.0.1' },
  ];
  const router = sampleRouter(1, [1, 2], { routes });
  const slices = flat(...BASE, sampleNetwork(2, { mtuBytes: 1400 }), router);
  assert.deepEqual(pick(await rows(slices, 'cb_route_1'), 'router', 'destination', 'network', 'nexthop', 'mtu_bytes'), [
    ['router-1', '0.0.0.0/0', 'net-2', '10.0.1.9', 1400],
    ['router-1', '10.0.0.0/24', 'net-1', 'connected', 1450],
    ['router-1', '10.0.1.0/24', 'net-2', 'connected', 1400],
  ]);
});

test('broadcast goes to the local VIFs, then once to each other host, in chunks without a hole', async () => {
  const away = Array.from({ length: 40 }, (_, i) => {
    const port = samplePort(20 + i);
    return sampleEndpoint(port, `host${i >> 1}`, `192.0.2.${10 + (i >> 1)}`);
  });
  const slices = flat(sampleHost('h1', [TAP]), sampleNetwork(1, {}, away), samplePolicy('p', []));
  const list = await rows(slices, 'cb_flood_1', [TAP]);
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
  assert.equal((await rows(slices, 'cb_peer_1')).length, 20);
  assert.equal((await rows(slices, 'cb_flood_1', [])).length, 0);
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
  assert.deepEqual(pick(await rows(slices, 'cb_source_1'), 'source'), [['10.0.0.5'], ['2001:db8::5']]);
  assert.deepEqual(pick(await rows(slices, 'cb_class_1'), 'remote'), [['2001:db8::/32']]);
  assert.deepEqual(pick(await rows(slices, 'cb_rule_1'), 'family', 'protocol'), [['IPv6', 58]]);
});

test('DHCP is on for the ports of a network that has it in some subnet, of whichever theirs is', async () => {
  const port = samplePort(5, { policy: 'policy:p' });
  const off = sampleSubnet(1, { enableDhcp: false });
  const flags = async (...subnets: readonly SubnetState[]): Promise<unknown> => {
    const slices = flat(sampleHost('h1', [port]), sampleNetwork(1, { subnets }), samplePolicy('p', []));
    return pick(await rows(slices, 'cb_vif_1', [port]), 'flags')[0]?.[0];
  };
  assert.equal(await flags(off), 'admin-up port-security');
  assert.equal(await flags(off, sampleSubnet(2)), 'admin-up port-security dhcp');
});

test('a guest record holds what DHCP and metadata answer', async () => {
  const desired = (await plannedBed(flat(...BASE), [TAP, POD])).planner;
  const guest = desired.guests.get(2);
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

test('a port whose network or policy has not come is not programmed and says why', async () => {
  const missing = (await plannedBed(flat(sampleHost('h1', [TAP]), NETWORK), [TAP])).planner;
  assert.match(missing.errors.get(TAP.id) ?? '', /policy policy:p@.* has not been received/);
  assert.equal(missing.entries.of('cb_vif_1').size + missing.entries.of('cb_source_1').size, 0);
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
    assert.equal(planner.entries.of('cb_vif_1').size + planner.entries.of('cb_source_1').size, 0);
    assert.equal(planner.vifs.size, 1, 'the device has a program, and so drops');
  }
});

test('a far network has endpoints, gateways and routes, and neither flood list nor service addresses', async () => {
  const far = samplePort(9, { networkId: sampleId('net', 2), fixedIps: [{ subnetId: '', ipAddress: '10.0.1.9' }] });
  const slices = flat(...BASE, sampleNetwork(2, {}, [sampleEndpoint(far, 'h3', '192.0.2.3')]), sampleRouter(1, [1, 2]));
  const inFar = (list: readonly Row[]): readonly Row[] => list.filter((row) => row['network'] === 'net-2');
  assert.deepEqual(pick(inFar(await rows(slices, 'cb_ep_1')), 'address', 'kind'), [
    ['10.0.1.1', 'gateway'],
    ['10.0.1.9', 'remote'],
  ]);
  assert.equal(inFar(await rows(slices, 'cb_route_1')).length, 1);
  assert.equal(inFar(await rows(slices, 'cb_flood_1')).length, 0);
  assert.deepEqual(pick(await rows(slices, 'cb_peer_1'), 'host'), [['h2'], ['h3']]);
});

test('what peers tunnel here is taken on the uplink with own encapsulation, else from the overlay device', async () => {
  for (const [ownEncapsulation, where] of [
    [true, 'uplink'],
    [false, 'overlay device'],
  ] as const) {
    const bed = createPlanBed({ ownEncapsulation });
    await bed.plan(...BASE);
    assert.deepEqual(pick(rowsOf(bed, 'cb_peer_1'), 'host', 'received_on'), [['h2', where]]);
  }
});

test('a port passes something only if its network is up too', async () => {
  const down = sampleNetwork(1, { adminStateUp: false });
  const list = await rows(flat(sampleHost('h1', [TAP]), down, samplePolicy('p', [])), 'cb_vif_1', [TAP]);
  assert.deepEqual(pick(list, 'flags'), [['port-security dhcp']]);
});

test("a renamed link is another port's, and a link that is two ports' is an error of both", async () => {
  const other = samplePort(8, { policy: 'policy:p' });
  const slices = flat(sampleHost('h1', [TAP, other]), NETWORK, samplePolicy('p', []));
  const bed = await plannedBed(slices, [TAP]);
  bed.plug(TAP, null);
  bed.plug(other, 50);
  await bed.plan(...slices);
  assert.deepEqual(pick(rowsOf(bed, 'cb_vif_1'), 'port', 'address'), [['port-8', '10.0.0.8']]);
  assert.deepEqual([...bed.planner.vifs.keys()], [other.id]);
  const twin = { ...samplePort(9, { policy: 'policy:p' }), id: TAP.id.replace(/.$/, 'f') };
  bed.plug(TAP, 60);
  await bed.plan(sampleHost('h1', [TAP, twin]), NETWORK, samplePolicy('p', []));
  assert.match(bed.planner.errors.get(TAP.id) ?? '', /is also that of port .*f$/);
  assert.match(bed.planner.errors.get(twin.id) ?? '', /is also that of port/);
  assert.equal(bed.planner.entries.of('cb_vif_1').size, 0);
  assert.equal(bed.planner.vifs.size, 2, 'the device has a program, and so drops');
});

test('an item of another shape fails alone, and is planned when it has the right one', async () => {
  const broken = { ...POD, fixedIps: undefined } as unknown as LocalPort;
  const bed = await plannedBed([sampleHost('h1', [TAP, broken]), ...NETWORK, samplePolicy('p', [])], [TAP, POD]);
  assert.match(bed.planner.errors.get(POD.id) ?? '', /cannot be read/);
  assert.deepEqual(pick(rowsOf(bed, 'cb_vif_1'), 'port'), [['port-5']]);
  await bed.plan(...BASE);
  assert.equal(bed.planner.errors.size, 0);
  assert.equal(bed.planner.entries.of('cb_vif_1').size, 2);
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
  assert.deepEqual(entries.map(({ map }) => map).sort(), ['cb_class_1', 'cb_ep_1', 'cb_mac_1']);
});
