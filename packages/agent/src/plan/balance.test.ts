import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BalancedListener, PoolHeader, PoolMember, PoolMonitor } from '@cable/model';
import { CB_ENDPOINT_VIP, CB_MAGLEV_SLOTS, CB_MEMBER_F_DOWN, CB_SVC_F_AFFINITY, MAPS } from '../bpf/abi.gen.ts';
import type { MapSpec } from '../bpf/codec.ts';
import { textBytes } from '../bpf/codec.ts';
import type { AgentMap } from '../desired.ts';
import { formatAddress } from './address.ts';
import { EXTERNAL, GATEWAY } from './testing/outside.ts';
import { createPlanBed, type PlanBed, plannedBed } from './testing/plan-bed.ts';
import {
  type SampleSlice,
  sampleEndpoint,
  sampleHost,
  sampleId,
  sampleMac,
  sampleNetwork,
  samplePort,
  sampleRouter,
} from './testing/sample.ts';

const GUEST = samplePort(5, { portSecurityEnabled: false, policy: null });
const BASE: readonly SampleSlice[] = [
  sampleHost('h1', [GUEST]),
  ...sampleNetwork(1, {}, [sampleEndpoint(GUEST, 'h1', '192.0.2.1')]),
];
const NET = sampleId('net', 1);
const LB = sampleId('lb', 70);
const POOL = sampleId('pool', 71);

function member(n: number, more: Partial<PoolMember> = {}): PoolMember {
  return { id: sampleId('mem', n), networkId: NET, ipAddress: `10.0.0.${n}`, port: 8080, weight: 1, ...more };
}

function balancer(
  listeners: readonly BalancedListener[] = [{ protocol: 'TCP', port: 80, poolId: POOL }],
  ipAddress = '10.0.0.100',
): SampleSlice {
  const value = { id: LB, name: 'web', projectId: 'p', ipAddress, macAddress: sampleMac(9), listeners };
  return { key: `balancers:${NET}`, header: { networkId: NET }, items: new Map([[LB, value]]) };
}

function pool(members: readonly PoolMember[], more: Partial<PoolHeader> = {}): SampleSlice {
  const header = { id: POOL, adminStateUp: true, affinity: false, vipNetworkId: NET, ...more };
  return { key: `pool:${POOL}`, header, items: new Map(members.map((one) => [one.id, one])) };
}

function decoded<M extends AgentMap>(
  { planner }: PlanBed,
  map: M,
): readonly {
  key: ReturnType<(typeof MAPS)[M]['key']['decode']>;
  value: ReturnType<(typeof MAPS)[M]['value']['decode']>;
}[] {
  const spec = MAPS[map] as unknown as MapSpec<never, never>;
  return [...planner.entries.of(map).values()].map(({ key, value }) => ({
    key: spec.key.decode(textBytes(key)),
    value: spec.value.decode(textBytes(value)),
  }));
}

/** Numbers of the members in the pool's table. */
function inTable(bed: PlanBed): ReadonlySet<number> {
  return new Set(decoded(bed, 'cb_maglev_1').flatMap(({ value }) => value.member.filter((one) => one !== 0)));
}

test('a virtual address answers with its MAC, and its ports lead to the table of a pool', async () => {
  const bed = await plannedBed([...BASE, balancer(), pool([member(20), member(21), member(22)])], [GUEST]);
  const vips = decoded(bed, 'cb_ep_2').filter(({ value }) => value.kind === CB_ENDPOINT_VIP);
  assert.deepEqual(
    vips.map(({ key }) => formatAddress(key.addr)),
    ['10.0.0.100'],
  );
  const [svc] = decoded(bed, 'cb_svc_1');
  assert.equal(svc?.key.portBe, 80);
  assert.equal(svc?.key.protocol, 6);
  assert.equal(svc?.value.slots, 2039);
  assert.equal(svc?.value.flags, 0);
  const chunks = decoded(bed, 'cb_maglev_1');
  assert.equal(chunks.length, Math.ceil(2039 / CB_MAGLEV_SLOTS));
  assert.ok(chunks.every(({ key }) => key.pool === svc?.value.pool));
  const members = decoded(bed, 'cb_member_1');
  assert.deepEqual(members.map(({ value }) => formatAddress(value.addr)).sort(), [
    '10.0.0.20',
    '10.0.0.21',
    '10.0.0.22',
  ]);
  assert.deepEqual([...inTable(bed)].sort(), members.map(({ key }) => key.member).sort());
  assert.ok(members.every(({ value }) => value.pool === svc?.value.pool && value.vrf === 0 && value.portBe === 8080));
});

test('an allowed address pair, which anybody in the network may give his port, takes no virtual address', async () => {
  const pairs = [{ ipAddress: '10.0.0.100', macAddress: sampleMac(6) }];
  const [near, far] = [{ ...samplePort(6), allowedAddressPairs: pairs }, samplePort(7)];
  const network = sampleNetwork(1, {}, [
    sampleEndpoint(GUEST, 'h1', '192.0.2.1'),
    sampleEndpoint(near, 'h1', '192.0.2.1'),
    { ...sampleEndpoint(far, 'h2', '192.0.2.2'), pairs: [{ ipAddress: '10.0.0.100', macAddress: far.macAddress }] },
  ]);
  for (const ports of [[GUEST, near], [GUEST]]) {
    const bed = await plannedBed([sampleHost('h1', ports), ...network, balancer(), pool([member(20)])], ports);
    const [vip] = decoded(bed, 'cb_ep_2').filter(({ key }) => formatAddress(key.addr) === '10.0.0.100');
    assert.equal(vip?.value.kind, CB_ENDPOINT_VIP);
  }
});

test('who has the weight 0 gets no slot and keeps its row', async () => {
  const bed = await plannedBed([...BASE, balancer(), pool([member(20, { weight: 0 }), member(21)])], [GUEST]);
  assert.equal(decoded(bed, 'cb_member_1').length, 2);
  assert.equal(inTable(bed).size, 1);
  assert.equal(decoded(bed, 'cb_svc_1')[0]?.value.slots, 1);
});

test('a pool that is down, or without members, leads nowhere', async () => {
  for (const one of [pool([member(20)], { adminStateUp: false }), pool([])]) {
    const bed = await plannedBed([...BASE, balancer(), one], [GUEST]);
    assert.equal(decoded(bed, 'cb_svc_1')[0]?.value.slots, 0);
    assert.deepEqual(decoded(bed, 'cb_maglev_1'), []);
  }
});

test('affinity is a flag of the port', async () => {
  const bed = await plannedBed([...BASE, balancer(), pool([member(20)], { affinity: true })], [GUEST]);
  assert.equal(decoded(bed, 'cb_svc_1')[0]?.value.flags, CB_SVC_F_AFFINITY);
});

test('a member in another network is reached by the router that joins both; one in a network not known here has no part', async () => {
  const far = sampleId('net', 2);
  const router = sampleRouter(8, [1, 2]);
  const slices = [...BASE, ...sampleNetwork(2, {}, []), router, balancer()];
  const bed = await plannedBed([...slices, pool([member(20, { networkId: far, ipAddress: '10.0.1.20' })])], [GUEST]);
  const [row] = decoded(bed, 'cb_member_1');
  assert.equal(row?.value.vrf, bed.planner.numberOf('router', sampleId('rtr', 8)));
  const unknown = await plannedBed([...slices, pool([member(20, { networkId: sampleId('net', 3) })])], [GUEST]);
  assert.deepEqual(decoded(unknown, 'cb_member_1'), []);
  assert.equal(decoded(unknown, 'cb_svc_1')[0]?.value.slots, 0);
});

const MONITOR: PoolMonitor = { type: 'TCP', delayMs: 5000, timeoutMs: 2000, rise: 2, fall: 2 };

/** Addresses of the members that have slots. */
function serving(bed: PlanBed): readonly string[] {
  const numbers = inTable(bed);
  return decoded(bed, 'cb_member_1')
    .filter(({ key }) => numbers.has(key.member))
    .map(({ value }) => formatAddress(value.addr))
    .sort();
}

test('a member that is down has no slot and keeps its row; one of a silent host serves when nobody is known to be well', async () => {
  const served = async (...health: readonly (PoolMember['health'] | undefined)[]): Promise<string> => {
    const members = health.map((one, n) => member(20 + n, one === undefined ? {} : { health: one }));
    const bed = await plannedBed([...BASE, balancer(), pool(members)], [GUEST]);
    assert.equal(decoded(bed, 'cb_member_1').length, members.length);
    return serving(bed).join(' ');
  };
  assert.equal(await served(undefined, 'down', 'silent'), '10.0.0.20');
  assert.equal(await served('down', 'silent', 'silent'), '10.0.0.21 10.0.0.22');
  assert.equal(await served('down', 'down'), '');
});

test('a host probes the members that are its own ports, as their pool says, and nobody else', async () => {
  const ipAddress = GUEST.fixedIps[0]?.ipAddress ?? '';
  const own = member(5, { ipAddress, monitorPort: 9000 });
  const bed = await plannedBed([...BASE, balancer(), pool([own, member(20)], { monitor: MONITOR })], [GUEST]);
  const [probe, ...others] = [...bed.planner.probes.values()];
  assert.deepEqual(others, []);
  assert.equal(probe?.memberId, own.id);
  assert.equal(probe?.port, 9000);
  assert.equal(probe?.authority, `${ipAddress}:9000`);
  assert.equal(probe?.address, `198.18.0.${16 * (bed.planner.ids('vif').get(GUEST.id) ?? 0)}`);
  assert.equal(probe?.isMachine, false);
  const changes = await bed.plan(...BASE, balancer(), pool([own, member(20)]));
  assert.equal(changes.probes, true);
  assert.equal(bed.planner.probes.size, 0);
});

test('a port of the machine itself is probed by the machine, at its own address', async () => {
  const machine = samplePort(6, { vifKind: 'host', portSecurityEnabled: false, policy: null });
  const slices = [sampleHost('h1', [machine]), ...sampleNetwork(1, {}, [sampleEndpoint(machine, 'h1', '192.0.2.1')])];
  const ipAddress = machine.fixedIps[0]?.ipAddress ?? '';
  const own = member(6, { ipAddress });
  const bed = await plannedBed([...slices, balancer(), pool([own], { monitor: MONITOR })], [machine]);
  const [probe] = [...bed.planner.probes.values()];
  assert.equal(probe?.isMachine, true);
  assert.equal(probe?.address, ipAddress);
});

test('what the host finds itself counts before what it is told', async () => {
  const found = new Map<string, 'up' | 'down'>();
  const bed = createPlanBed({ health: { stateOf: (id) => found.get(id) } });
  bed.plug(GUEST, 50);
  const members = [member(5, { health: 'down' }), member(20)];
  await bed.plan(...BASE, balancer(), pool(members, { monitor: MONITOR }));
  assert.deepEqual(serving(bed), ['10.0.0.20']);
  found.set(members[0]?.id ?? '', 'up');
  found.set(members[1]?.id ?? '', 'down');
  const { entries } = await bed.planner.update([], [], found.keys());
  assert.deepEqual(serving(bed), ['10.0.0.5']);
  assert.ok(
    entries.every(({ map }) => map === 'cb_maglev_1'),
    'no flow is decided anew',
  );
});

test('of a pool of UDP the row of a member that is down says so, as this host or else the server finds it', async () => {
  const found = new Map<string, 'up' | 'down'>();
  const bed = createPlanBed({ health: { stateOf: (id) => found.get(id) } });
  bed.plug(GUEST, 50);
  const down = (): readonly string[] =>
    decoded(bed, 'cb_member_1')
      .filter(({ value }) => value.flags === CB_MEMBER_F_DOWN)
      .map(({ value }) => formatAddress(value.addr))
      .sort();
  const members = [member(5), member(20, { health: 'down' }), member(21, { health: 'silent' })];
  const listeners = [{ protocol: 'UDP', port: 53, poolId: POOL }] as const;
  await bed.plan(...BASE, balancer(listeners), pool(members, { udp: true, monitor: MONITOR }));
  assert.deepEqual(down(), ['10.0.0.20'], 'nobody knows of the silent one');
  found.set(members[0]?.id ?? '', 'down');
  await bed.planner.update([], [], found.keys());
  assert.deepEqual(down(), ['10.0.0.20', '10.0.0.5']);
  await bed.plan(...BASE, balancer(), pool(members, { monitor: MONITOR }));
  assert.deepEqual(down(), []);
});

test('the host of a gateway that does not translate knows a virtual address as one to which the outside is routed', async () => {
  const rows = async (enableSnat: boolean, host: string, ipAddress = '10.0.0.100'): Promise<readonly string[]> => {
    const bed = createPlanBed({ bridgeMappings: new Map([['physnet1', 'eth9']]) });
    bed.state.setDevice('eth9', 9);
    const gateway = { ...GATEWAY, enableSnat, host };
    const rest = [sampleRouter(1, [1], { gateway }), balancer(undefined, ipAddress), pool([member(20)])];
    await bed.plan(...BASE, ...EXTERNAL, ...rest);
    return decoded(bed, 'cb_nat_1').map(({ key, value }) => {
      assert.notEqual(value.toNet, key.net);
      return `${formatAddress(key.addr)} to ${formatAddress(value.to)}`;
    });
  };
  assert.deepEqual(await rows(false, 'h1'), ['10.0.0.100 to 10.0.0.100']);
  assert.deepEqual(await rows(true, 'h1'), [], 'who hides behind an address is not reached by his own');
  assert.deepEqual(await rows(false, 'h2'), [], 'another host is the gateway');
  assert.deepEqual(await rows(false, 'h1', '10.77.0.1'), [], 'it is in no subnet of the router');
  assert.deepEqual(await rows(true, 'h1', '2001:db8::77'), [], 'nor there');
});
