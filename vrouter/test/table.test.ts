/** The flow table under pressure: shares, what one guest can do to another, time, several CPUs at once, and purges. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { CB_USE_PROJECT, CB_VIF_F_NODE, DROP_REASONS } from '../../packages/agent/src/bpf/abi.gen.ts';
import { type Ipv4, TCP, tcp, udp } from './packet.ts';
import { type Guest, OPEN_FLAGS, World } from './world.ts';

const VNI = 800;
const OTHER = 801;
const HOST = '192.0.2.1';
const [A, B, C, D, FAR] = ['0a', '0b', '0c', '0d', '0f'].map((n) => `02:00:00:00:00:${n}`) as [
  string,
  string,
  string,
  string,
  string,
];
const FLOWS = 1024;
const FLOOR = 64;

let world: World;
let a: Guest;
let b: Guest;
let greedy: Guest;
let d: Guest;

function start(flows: number): void {
  world = new World(8, flows);
  a = world.addGuest('a', { mac: A, ip: '10.0.0.1', vni: VNI, project: 1 });
  b = world.addGuest('b', { mac: B, ip: '10.0.0.2', vni: VNI, project: 1 });
  greedy = world.addGuest('greedy', { mac: C, ip: '10.0.0.3', vni: VNI, project: 2 });
  d = world.addGuest('d', { mac: D, ip: '10.0.0.4', vni: VNI, project: 2 });
  world.addRemote(VNI, '10.0.0.9', FAR, HOST);
  world.addPeer(HOST);
}

beforeEach(() => start(FLOWS));
afterEach(() => world.close());

const ab: Ipv4 = { src: A, dst: B, from: '10.0.0.1', to: '10.0.0.2' };
const ba: Ipv4 = { src: B, dst: A, from: '10.0.0.2', to: '10.0.0.1' };
const toFar = (guest: Guest): Ipv4 => ({ src: guest.mac, dst: FAR, from: guest.ip, to: '10.0.0.9' });
const code = (name: string): number => DROP_REASONS.find((one) => one.name === name)?.code ?? 0;

/** Opens so many flows to another host; returns how many were let through. */
function open(guest: Guest, count: number, sport = 1024): number {
  let passed = 0;
  for (let n = 0; n < count; n += 1) {
    const frame = udp(toFar(guest), { sport: sport + (n % 60_000), dport: 1000 + Math.floor(n / 60_000) });
    const { verdict } = world.send(guest, frame);
    if (verdict.startsWith('overlay')) passed += 1;
    else assert.match(verdict, /^drop flow_(share|table)$/);
  }
  return passed;
}

describe('the VIF of the host itself', () => {
  const JOIN = VNI + 1;
  const [NODE, R1, R2] = ['02:00:00:00:03:0a', '02:00:00:00:01:fe', '02:00:00:00:02:fe'];
  const [OWN, OUT] = ['100.64.0.3', '198.51.100.77'];
  let node: Guest;

  beforeEach(() => {
    node = world.addGuest('node', { mac: NODE, ip: OWN, vni: JOIN, flags: OPEN_FLAGS | CB_VIF_F_NODE, project: 3 });
    world.addRouterInterface(1, { vni: VNI, cidr: '10.0.0.0/24', ip: '10.0.0.254', mac: R1 });
    world.addRouterInterface(1, { vni: JOIN, cidr: '100.64.0.0/16', ip: '100.64.0.1', mac: R2 });
    world.addRoute(1, '0.0.0.0/0', { vni: JOIN, mac: R2, nexthop: OWN });
  });

  const out = (guest: Guest): Ipv4 => ({ src: guest.mac, dst: R1, from: guest.ip, to: OUT });
  const into = (from: string, to: string): Ipv4 => ({ src: NODE, dst: R2, from, to });
  const sent = (guest: Guest, ip: Ipv4, count: number, sport = 1024): number => {
    let passed = 0;
    for (let n = 0; n < count; n += 1) {
      if (!world.send(guest, udp(ip, { sport: sport + n, dport: 53 })).verdict.startsWith('drop')) passed += 1;
    }
    return passed;
  };

  test('is nobody’s share: one that fills its own by what it sends outside leaves others theirs', () => {
    assert.ok(sent(greedy, out(greedy), FLOWS) < FLOWS / 2);
    assert.equal(sent(a, out(a), 100), 100, 'another guest to outside');
    assert.equal(sent(b, out(b), 100), 100);
    assert.equal(sent(node, into(OWN, '10.0.0.2'), FLOOR), FLOOR, 'the host');
  });

  test('what comes from outside for one guest, or for other hosts, leaves the host itself, and other guests, theirs', () => {
    assert.ok(sent(node, into(OUT, '10.0.0.4'), FLOWS) < FLOWS / 2, 'to one guest');
    assert.equal(sent(node, into(OWN, '10.0.0.1'), 100), 100, 'of the host');
    assert.equal(sent(node, into(OUT, '10.0.0.1'), 50), 50, 'to another guest');
    assert.ok(sent(node, into(OUT, '10.0.0.9'), FLOWS) < FLOWS / 2, 'to another host');
    assert.equal(sent(node, into(OWN, '10.0.0.9'), FLOOR), FLOOR, 'of the host to another');
  });

  test('counts nothing when all have ended', () => {
    sent(a, out(a), 10);
    for (const from of [OWN, OUT]) for (const to of ['10.0.0.2', '10.0.0.9']) sent(node, into(from, to), 10);
    for (const { vif } of [a, b, node]) purge(1, vif);
    const rows = [0, ...[1, 2, 3].map((project) => CB_USE_PROJECT + project)];
    assert.deepEqual(
      rows.map((row) => world.use(row).flows),
      rows.map(() => [0, 0]),
    );
  });
});

test('a guest that opens ten times as many flows as there is room for ends nobody’s, and is refused', () => {
  const before = world.stat(greedy).drops[code('flow_share')] ?? 0n;
  world.send(a, tcp(ab, { sport: 1000, dport: 80, flags: TCP.syn }));
  world.send(b, tcp(ba, { sport: 80, dport: 1000, flags: TCP.syn | TCP.ack }));
  world.send(a, tcp(ab, { sport: 1000, dport: 80, flags: TCP.ack }));
  const passed = open(greedy, 10 * FLOWS);
  assert.ok(passed >= FLOWS / 4 && passed <= FLOWS / 2, `${passed} passed`);
  assert.equal((world.stat(greedy).drops[code('flow_share')] ?? 0n) - before, BigInt(10 * FLOWS - passed));
  // The idle connection on which the server speaks next.
  assert.equal(world.send(b, tcp(ba, { sport: 80, dport: 1000, flags: TCP.ack })).verdict, 'vif a');
  assert.equal(open(a, 100, 2000), 100, 'others go on to open theirs');
  assert.equal(world.send(greedy, udp(toFar(greedy), { sport: 1024, dport: 1000 })).verdict, `overlay ${VNI} ${HOST}`);
});

test('a project with many greedy guests leaves room for others, and its guests for each other', () => {
  open(greedy, FLOWS);
  assert.ok(open(d, FLOWS, 2000) >= FLOOR, 'the same project’s other guest');
  assert.ok(open(a, FLOWS, 4000) >= FLOWS / 8, 'another project');
  const { live, counted } = world.audit();
  assert.equal(live, counted);
  assert.ok(live <= FLOWS - FLOWS / 8 + 2 * FLOOR, `${live} live: some are kept back`);
});

test('a flow that another opens to a guest is not counted to what the guest opens', () => {
  for (let n = 0; n < FLOWS; n += 1) {
    const frame = udp({ src: FAR, dst: A, from: '10.0.0.9', to: '10.0.0.1' }, { sport: 1 + n, dport: 9 });
    world.receive({ vni: VNI, from: HOST }, frame);
  }
  assert.ok(open(a, 100, 3000) >= FLOOR);
});

test('a record that was ended rests before it is taken again', () => {
  world.close();
  start(8);
  const frame = (n: number): Buffer => tcp(toFar(a), { sport: n, dport: 80, flags: TCP.syn });
  for (let n = 1; n <= 7; n += 1) assert.equal(world.send(a, frame(n)).verdict, `overlay ${VNI} ${HOST}`);
  assert.equal(world.send(a, frame(8)).verdict, 'drop flow_table', 'number 0 is nobody’s');
  purge(1, a.vif);
  assert.equal(world.audit().live, 0);
  assert.equal(world.send(a, frame(9)).verdict, 'drop flow_table');
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 250);
  assert.equal(world.send(a, frame(9)).verdict, `overlay ${VNI} ${HOST}`);
});

/** Returns how many flows it ended. */
function purge(kind: number, number: number): number {
  const context = Uint32Array.of(kind, number, 0);
  assert.equal(world.program('purge_flows').call(new Uint8Array(context.buffer)), 0);
  return context[2] ?? 0;
}

test('who opens and closes one connection in turn, in both directions, uses one record', () => {
  world.close();
  start(16);
  for (let n = 0; n < 20; n += 1) {
    assert.equal(world.send(a, tcp(ab, { sport: 1000, dport: 80, flags: TCP.syn })).verdict, 'vif b');
    assert.equal(world.send(b, tcp(ba, { sport: 80, dport: 1000, flags: TCP.rst | TCP.ack })).verdict, 'vif a');
    assert.equal(world.send(b, tcp(ba, { sport: 80, dport: 1000, flags: TCP.syn })).verdict, 'vif a');
  }
  assert.deepEqual(world.audit(), { tuples: 2, counted: 1, live: 1, owned: 2 });
});

test('a purge ends the flows that name a VIF or a network, and no others', () => {
  const lone = world.addGuest('lone', { mac: A, ip: '10.0.0.1', vni: OTHER, project: 3 });
  const mate = world.addGuest('mate', { mac: B, ip: '10.0.0.2', vni: OTHER, project: 3 });
  world.send(a, udp(ab, { sport: 1, dport: 2 }));
  world.send(greedy, udp(toFar(greedy), { sport: 1, dport: 2 }));
  world.send(lone, udp(ab, { sport: 1, dport: 2 }));
  world.send(mate, udp(ba, { sport: 5, dport: 6 }));
  assert.equal(purge(1, b.vif), 1, 'the receiver');
  assert.equal(purge(1, b.vif), 0);
  assert.equal(purge(2, world.net(OTHER)), 2);
  assert.deepEqual(
    world.ways().map(({ tuple }) => [tuple.sportBe, tuple.dportBe]),
    [
      [1, 2],
      [2, 1],
    ],
  );
  world.send(a, udp(ab, { sport: 9, dport: 9 }));
  assert.equal(purge(1, greedy.vif), 1);
  assert.equal(purge(4, 0), 0, 'what it does not know');
  assert.equal(purge(3, 0), 1);
  assert.deepEqual(world.audit(), { tuples: 0, counted: 0, live: 0, owned: 0 });
});

test('flows whose time is over are collected without a packet, and uncounted', async () => {
  world.send(a, udp(ab, { sport: 1, dport: 2 }));
  world.send(greedy, udp(toFar(greedy), { sport: 1, dport: 2 }));
  assert.deepEqual(world.audit(), { tuples: 4, counted: 2, live: 2, owned: 3 });
  world.changeWays((way) => ({ ...way, expiresNs: 0n }));
  assert.equal(world.program('start_collection').call(), 0);
  assert.equal(world.program('start_collection').call(), 0, 'also when it runs already');
  const deadline = performance.now() + 60_000;
  while (world.audit().live > 0 && performance.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, 50));
  assert.deepEqual(world.audit(), { tuples: 0, counted: 0, live: 0, owned: 0 });
});

test('two CPUs that make, follow and end the same flows at once leave a sound table', async () => {
  world.close();
  start(96);
  const deadline = performance.now() + 4000;
  assert.equal(world.program('start_collection').call(), 0);
  while (performance.now() < deadline) {
    await Promise.all([
      world.runAside('from_hammer', a, tcp(ab, { sport: 1000, dport: 80, flags: TCP.syn }), 0, 400_000),
      world.runAside('from_hammer', b, tcp(ba, { sport: 80, dport: 1000, flags: TCP.syn }), 2, 400_000),
    ]);
    world.raiseEpochs();
    purge(1, b.vif);
    // Purged records rest.
    await new Promise((resolve) => setTimeout(resolve, 220));
  }
  await Promise.all([
    world.runAside('from_hammer', a, tcp(ab, { sport: 1000, dport: 80, flags: TCP.syn }), 0, 400_000),
    world.runAside('from_hammer', b, tcp(ba, { sport: 80, dport: 1000, flags: TCP.syn }), 2, 400_000),
  ]);
  const { tuples, counted, live, owned } = world.audit();
  assert.ok(live > 0 && live <= 64, `${live} live`);
  assert.deepEqual({ tuples, counted, owned }, { tuples: 2 * live, counted: live, owned: 2 * live });
  world.changeWays((way) => ({ ...way, expiresNs: 0n }));
  const end = performance.now() + 60_000;
  while (world.audit().live > 0 && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 50));
  assert.deepEqual(world.audit(), { tuples: 0, counted: 0, live: 0, owned: 0 });
});
