/** The step from the first layouts: entries as their programs wrote them become flows on which packets of either direction go on. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import { after, before, beforeEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { BpfMap } from '../../packages/agent/src/bpf/map.ts';
import { type LoadedObject, loadObject } from '../../packages/agent/src/bpf/object.ts';
import { type Ipv4, ipBytes, PROTO, TCP, tcp, udp } from './packet.ts';
import { FLOWS, type Guest, type Rule, World } from './world.ts';

const STEP = fileURLToPath(new URL('../../build/vrouter/1-to-2.bpf.o', import.meta.url));
const PINS = `/sys/fs/bpf/cable-test-${randomBytes(6).toString('hex')}`;
const [VNI, OTHER] = [900, 901];
const HOST = '192.0.2.9';
const [A, B, FAR, R1, R2] = ['0a', '0b', '0f', '01', '02'].map((n) => `02:00:00:00:00:${n}`) as [
  string,
  string,
  string,
  string,
  string,
];
const [PA, PB] = [50, 51];

let world: World;
let step: LoadedObject;
let old: BpfMap;
let a: Guest;
let b: Guest;

const RULES: readonly Rule[] = [
  { policy: PA, direction: 'egress' },
  { policy: PA, direction: 'ingress', protocol: PROTO.tcp },
  { policy: PB, direction: 'ingress', protocol: PROTO.tcp },
  { policy: PB, direction: 'ingress', protocol: PROTO.udp },
];

before(() => {
  mkdirSync(PINS);
  world = new World(8, FLOWS, { pinnedMaps: PINS });
  a = world.addGuest('a', { mac: A, ip: '10.0.0.1', vni: VNI, policy: PA });
  b = world.addGuest('b', { mac: B, ip: '10.1.0.2', vni: OTHER, policy: PB });
  world.addRemote(VNI, '10.0.0.9', FAR, HOST);
  world.addRouterInterface(1, { vni: VNI, cidr: '10.0.0.0/24', ip: '10.0.0.254', mac: R1 });
  world.addRouterInterface(1, { vni: OTHER, cidr: '10.1.0.0/24', ip: '10.1.0.254', mac: R2 });
  world.addPeer(HOST);
  for (const rule of RULES) world.addRule(rule);
  step = loadObject({
    path: STEP,
    pinnedMaps: PINS,
    unpinned: ['cb_work_1', 'step_net', 'step_flow'],
    maxEntries: { cb_flow_2: FLOWS, cb_tuple_1: 2 * FLOWS },
    rodata: { cfg_flows: FLOWS },
  });
  const found = step.maps.get('cb_flow_1');
  assert.ok(found !== undefined);
  old = found;
});

after(() => {
  step?.close();
  world?.close();
  rmSync(PINS, { recursive: true, force: true });
});

beforeEach(() => {
  old.clear();
  world.forgetFlows();
});

type Entry = {
  readonly zone: number;
  readonly peerZone: number;
  readonly from: string;
  readonly to: string;
  readonly sport: number;
  readonly dport: number;
  readonly protocol: number;
  readonly state: number;
  readonly reply?: boolean;
  readonly fin?: boolean;
  readonly packets?: number;
  readonly ageS?: number;
  readonly inDevice?: number;
  readonly outDevice?: number;
};

const now = (): bigint => process.hrtime.bigint();
/** An hour, or as long as the machine is up: its clock began then. */
const LONG_S = Math.min(3600, Number(now() / 1_000_000_000n));
const mapped = (ip: string): Buffer => Buffer.concat([Buffer.alloc(10), Buffer.from([0xff, 0xff]), ipBytes(ip)]);

/** An entry of cb_flow_1, in the bytes of its layout. */
function put(entry: Entry): void {
  const key = Buffer.alloc(44);
  key.writeUInt32LE(entry.zone, 0);
  mapped(entry.from).copy(key, 4);
  mapped(entry.to).copy(key, 20);
  key.writeUInt16BE(entry.sport, 36);
  key.writeUInt16BE(entry.dport, 38);
  key[40] = entry.protocol;
  const value = Buffer.alloc(96, 0xee);
  // Before the start of the machine, if need be: differences wrap.
  value.writeBigUInt64LE(BigInt.asUintN(64, now() - BigInt(entry.ageS ?? 1) * 1_000_000_000n), 0);
  value.writeBigUInt64LE(BigInt(entry.packets ?? 1), 8);
  value.writeBigUInt64LE(BigInt(100 * (entry.packets ?? 1)), 16);
  value.writeUInt32LE(entry.inDevice ?? 0, 28);
  value.writeUInt32LE(entry.peerZone, 32);
  value.writeUInt32LE(entry.outDevice ?? 0, 36);
  value[44] = entry.state;
  value[45] = (entry.reply === true ? 1 : 0) | (entry.fin === true ? 4 : 0);
  old.update(key, value);
}

/** Both entries of a routed connection from a to b. */
function putBoth(over: Partial<Entry> & { protocol: number; state: number }): void {
  const there = { zone: VNI, peerZone: OTHER, from: '10.0.0.1', to: '10.1.0.2', sport: 1000, dport: 80 };
  const back = { zone: OTHER, peerZone: VNI, from: '10.1.0.2', to: '10.0.0.1', sport: 80, dport: 1000, reply: true };
  put({ ...there, inDevice: a.ifindex, outDevice: b.ifindex, packets: 7, ...over });
  put({ ...back, inDevice: b.ifindex, outDevice: a.ifindex, packets: 5, ...over });
}

function run(sinceNs = 0n): { made: number; present: number; refused: number } {
  const context = Buffer.alloc(24);
  context.writeBigUInt64LE(sinceNs, 0);
  const program = step.programs.get('import_flows');
  assert.ok(program !== undefined);
  assert.equal(program.call(context), 0);
  return { made: context.readUInt32LE(8), present: context.readUInt32LE(12), refused: context.readUInt32LE(16) };
}

const ab: Ipv4 = { src: A, dst: R1, from: '10.0.0.1', to: '10.1.0.2' };
const ba: Ipv4 = { src: B, dst: R2, from: '10.1.0.2', to: '10.0.0.1' };
const tcpBack = tcp(ba, { sport: 80, dport: 1000, flags: TCP.ack });
const tcpThere = tcp(ab, { sport: 1000, dport: 80, flags: TCP.ack });

for (const first of ['client', 'server'] as const) {
  test(`an established connection goes on, the ${first} speaks first`, () => {
    putBoth({ protocol: PROTO.tcp, state: 2, ageS: LONG_S });
    assert.deepEqual(run(), { made: 1, present: 1, refused: 0 });
    const speak = { client: () => world.send(a, tcpThere), server: () => world.send(b, tcpBack) };
    assert.equal(speak[first]().verdict, first === 'client' ? 'vif b' : 'vif a');
    assert.equal(speak[first === 'client' ? 'server' : 'client']().verdict, first === 'client' ? 'vif a' : 'vif b');
    assert.deepEqual(
      world.ways().map(({ vni, way, tally }) => [vni, way.state, tally.packets]),
      [
        [VNI, 2, 8n],
        [OTHER, 2, 6n],
      ],
    );
    assert.deepEqual(world.audit(), { tuples: 2, counted: 1, live: 1, owned: 2 });
  });
}

test('a rule that was removed meanwhile is not revived', () => {
  putBoth({ protocol: PROTO.udp, state: 2 });
  run();
  const rule: Rule = { policy: PB, direction: 'ingress', protocol: PROTO.udp };
  world.removeRule(rule);
  try {
    assert.equal(world.send(b, udp(ba, { sport: 80, dport: 1000 })).verdict, 'drop policy_ingress');
    assert.deepEqual(world.ways(), []);
  } finally {
    world.addRule(rule);
  }
});

test('half a flow, whichever half, is one', () => {
  const half = { protocol: PROTO.udp, state: 2, sport: 80, dport: 1000, reply: true };
  put({
    ...half,
    zone: OTHER,
    peerZone: VNI,
    from: '10.1.0.2',
    to: '10.0.0.1',
    inDevice: b.ifindex,
    outDevice: a.ifindex,
  });
  assert.deepEqual(run(), { made: 1, present: 0, refused: 0 });
  assert.equal(world.send(b, udp(ba, { sport: 80, dport: 1000 })).verdict, 'vif a');
  assert.deepEqual(
    world.ways().map(({ direction, vni }) => [direction, vni]),
    [
      [0, VNI],
      [1, OTHER],
    ],
  );
});

test('a flow with another host', () => {
  put({
    ...{ zone: VNI, peerZone: VNI, from: '10.0.0.9', to: '10.0.0.1', sport: 9, dport: 22 },
    ...{ protocol: PROTO.tcp, state: 2, outDevice: a.ifindex },
  });
  assert.deepEqual(run(), { made: 1, present: 0, refused: 0 });
  const back: Ipv4 = { src: A, dst: FAR, from: '10.0.0.1', to: '10.0.0.9' };
  assert.equal(world.send(a, tcp(back, { sport: 22, dport: 9, flags: TCP.ack })).verdict, `overlay ${VNI} ${HOST}`);
  assert.deepEqual(world.audit(), { tuples: 2, counted: 1, live: 1, owned: 1 });
});

test('what is over, and what belongs to no network of this host, is left', () => {
  putBoth({ protocol: PROTO.udp, state: 1, ageS: 40 });
  put({
    ...{ zone: 4040, peerZone: 4040, from: '10.0.0.9', to: '10.0.0.1', sport: 9, dport: 22 },
    ...{ protocol: PROTO.tcp, state: 2 },
  });
  assert.deepEqual(run(), { made: 0, present: 2, refused: 1 });
  assert.deepEqual(world.audit(), { tuples: 0, counted: 0, live: 0, owned: 0 });
});

test('again and again, with flows that end meanwhile: none comes twice, none comes back', () => {
  putBoth({ protocol: PROTO.tcp, state: 2, ageS: 60 });
  putBoth({ protocol: PROTO.udp, state: 2, ageS: 60 });
  assert.equal(run().made, 2);
  assert.equal(run().made, 0);
  const since = now() - 1_000_000_000n;
  world.send(b, tcp(ba, { sport: 80, dport: 1000, flags: TCP.rst }));
  world.changeWays((way) => (way.state === 4 ? { ...way, expiresNs: 0n } : way));
  world.send(a, tcp(ab, { sport: 1000, dport: 80, flags: TCP.fin | TCP.ack }));
  const flows = world.audit().live;
  assert.equal(run(since).made, 0, 'no packet since');
  assert.equal(world.audit().live, flows);
});

test('a table of 6,000 flows', (t) => {
  const start = { zone: VNI, peerZone: OTHER, from: '10.0.0.1', to: '10.1.0.2', protocol: PROTO.tcp, state: 2 };
  for (let n = 0; n < 6000; n += 1)
    put({ ...start, sport: 1024 + n, dport: 80, inDevice: a.ifindex, outDevice: b.ifindex });
  const began = performance.now();
  assert.equal(run().made, 6000);
  t.diagnostic(`${((performance.now() - began) / 6).toFixed(2)} µs a flow`);
  assert.deepEqual(world.audit(), { tuples: 12_000, counted: 6000, live: 6000, owned: 12_000 });
});
