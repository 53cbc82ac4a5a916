/** A port that moves on: connections with guests of a host that it came to are in the table there already, and go on when it leaves that host for a third one. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import { after, before, beforeEach, test } from 'node:test';
import {
  CB_ENDPOINT_REMOTE,
  CB_ENDPOINT_VIF,
  CB_USE_PROJECT,
  type CbCarry,
  MAPS,
} from '../../packages/agent/src/bpf/abi.gen.ts';
import { arrayIndex } from '../../packages/agent/src/bpf/codec.ts';
import {
  type CarryPrograms,
  loadCarryPrograms,
  type PutResult,
} from '../../packages/agent/src/handover/carry-programs.ts';
import { type FlowRecord, recordOf, rowOf } from '../../packages/agent/src/handover/flow-record.ts';
import { type Ipv4, udp } from './packet.ts';
import { FLOWS, type Guest, OBJECT, type Rule, World } from './world.ts';

const [BLUE, GREEN] = [820, 821];
const VRF = 3;
const [MOVER_POLICY, PEER_POLICY] = [40, 41];
const PROJECT = 7;
const [MOVER, NEAR, BEHIND, R1, R2] = ['0a', '0b', '0c', '01', '02'].map((n) => `02:00:00:00:00:${n}`) as [
  ...[string, string, string, string, string],
];
const [MOVER_IP, NEAR_IP, BEHIND_IP] = ['10.0.0.1', '10.0.0.2', '10.1.0.3'];
const [BEFORE, AFTER] = ['192.0.2.8', '192.0.2.9'];
const FUTURE_NS = process.hrtime.bigint() + 10n ** 12n;
const NOTHING = { made: 0, renewed: 0, present: 0, refused: 0 };
/** The port that moves lets nobody in, its peers send nothing of their own: what they have is what it began. */
const RULES: readonly Rule[] = [
  { policy: MOVER_POLICY, direction: 'egress' },
  { policy: PEER_POLICY, direction: 'ingress' },
];
const ports = { sport: 1000, dport: 443 };
const answers = { sport: 443, dport: 1000 };
const NAMES = {
  network: (net: number) => [BLUE, GREEN].filter((vni) => world.net(vni) === net).map(String)[0] ?? null,
  member: () => null,
};
const NUMBERS = { network: (id: string) => world.net(Number(id)), member: () => undefined };
const pins = `/sys/fs/bpf/cable-test-${randomBytes(6).toString('hex')}`;

/** The host to which it comes and that it leaves again. */
let world: World;
let carry: CarryPrograms;
let [mover, near, behind]: Guest[] = [];

before(() => {
  mkdirSync(pins);
  world = new World(8, FLOWS, { pinnedMaps: pins });
  mover = world.addGuest('mover', { mac: MOVER, ip: MOVER_IP, vni: BLUE, policy: MOVER_POLICY, project: PROJECT });
  near = world.addGuest('near', { mac: NEAR, ip: NEAR_IP, vni: BLUE, policy: PEER_POLICY });
  behind = world.addGuest('behind', { mac: BEHIND, ip: BEHIND_IP, vni: GREEN, policy: PEER_POLICY });
  world.addRouterInterface(VRF, { vni: BLUE, cidr: '10.0.0.0/24', ip: '10.0.0.254', mac: R1 });
  world.addRouterInterface(VRF, { vni: GREEN, cidr: '10.1.0.0/24', ip: '10.1.0.254', mac: R2 });
  for (const host of [BEFORE, AFTER]) world.addPeer(host);
  for (const rule of RULES) world.addRule(rule);
  carry = loadCarryPrograms({ object: OBJECT, pinnedMaps: pins, flows: FLOWS });
});

after(() => {
  carry?.close();
  world?.close();
  rmSync(pins, { recursive: true, force: true });
});

beforeEach(() => {
  const { guest } = port();
  world.setGuest(guest, { mac: MOVER, ip: MOVER_IP, vni: BLUE, policy: MOVER_POLICY, project: PROJECT });
  world.forgetFlows();
  carry.close();
  carry = loadCarryPrograms({ object: OBJECT, pinnedMaps: pins, flows: FLOWS });
  isAt(BEFORE);
});

function port() {
  assert.ok(mover !== undefined && near !== undefined && behind !== undefined);
  return { guest: mover, near, behind };
}

/** Where the network knows the port to be; null: here. */
function isAt(host: string | null): void {
  const { guest } = port();
  const where = host === null ? { kind: CB_ENDPOINT_VIF } : { kind: CB_ENDPOINT_REMOTE, remote: host };
  world.setEndpoint(BLUE, [MOVER_IP], MOVER, { ...where, guest });
  world.raiseEpochs();
}

/** What it sends to a guest of this host from elsewhere, and the answer. */
type Pair = {
  readonly asks: Ipv4;
  readonly vni: number;
  readonly peer: () => Guest;
  readonly answer: Ipv4;
  readonly own: Ipv4;
};

const DIRECT: Pair = {
  ...{ vni: BLUE, peer: () => port().near, asks: { src: MOVER, dst: NEAR, from: MOVER_IP, to: NEAR_IP } },
  answer: { src: NEAR, dst: MOVER, from: NEAR_IP, to: MOVER_IP },
  own: { src: MOVER, dst: NEAR, from: MOVER_IP, to: NEAR_IP },
};
const ROUTED: Pair = {
  ...{ vni: GREEN, peer: () => port().behind, asks: { src: R2, dst: BEHIND, from: MOVER_IP, to: BEHIND_IP } },
  answer: { src: BEHIND, dst: R2, from: BEHIND_IP, to: MOVER_IP },
  own: { src: MOVER, dst: R1, from: MOVER_IP, to: BEHIND_IP },
};
const PAIRS = { 'in one network': DIRECT, 'through a router': ROUTED };

/** The connection of the port, which is on another host, with a guest of this one, as this one knows it; and as that host tells it. */
function connect({ asks, vni, peer, answer }: Pair): FlowRecord {
  assert.equal(world.receive({ vni, from: BEFORE }, udp(asks, ports)).verdict, `vif ${peer().name}`);
  assert.equal(world.send(peer(), udp(answer, answers)).verdict, `overlay ${BLUE} ${BEFORE}`);
  const count = { packets: 1, bytes: 50, fin: false, end: null, ack: null, window: null };
  return {
    ...{ begun: true, protocol: 17, state: 'established', expiresMs: 100_000, sent: count, received: count },
    own: { address: MOVER_IP, port: ports.sport },
    peer: { address: asks.to, port: ports.dport },
    ...{ peerNetworkId: String(vni), member: null, floating: null },
  };
}

function hear(record: FlowRecord, session = 1): PutResult {
  const row = rowOf(record, port().guest.vif, NUMBERS);
  assert.ok(row !== undefined);
  return carry.putIn([row], session);
}

function takeOut(vif = port().guest.vif): CbCarry[] {
  carry.follow(vif, 'all');
  const { rows, next } = carry.takeOut({ first: 0, turn: 0, sinceNs: FUTURE_NS });
  assert.equal(next, 0);
  carry.follow(vif, 'nothing');
  return [...rows];
}

/** The device goes, and what names its number is seen to. Returns how many flows ended. */
function leave(): number {
  const { guest } = port();
  world.unplug(guest);
  const context = Uint32Array.of(1, guest.vif, 0);
  assert.equal(world.program('purge_flows').call(new Uint8Array(context.buffer)), 0);
  return context[2] ?? 0;
}

/** Flows that a VIF and the project of the port hold. */
function held(vif = port().guest.vif): number[] {
  return [vif, CB_USE_PROJECT + PROJECT].map((row) => {
    const use = world.map(MAPS.cb_use_1).lookup(arrayIndex.encode(row));
    assert.ok(use !== undefined);
    return MAPS.cb_use_1.value.decode(use).flows.reduce((sum, n) => sum + n, 0);
  });
}

for (const [how, pair] of Object.entries(PAIRS)) {
  test(`what a guest here has with it is told on when it leaves again, idle as it was: ${how}`, () => {
    const told = connect(pair);
    assert.deepEqual(hear(told), { ...NOTHING, present: 1 });
    assert.deepEqual(held(), [1, 1]);
    const rows = takeOut();
    assert.equal(rows.length, 1);
    const record = recordOf(rows[0] as CbCarry, port().guest.vif, NAMES);
    assert.ok(record !== undefined);
    const { expiresMs: _, sent: _sent, received: _received, ...same } = told;
    const { expiresMs: __, sent, received, ...now } = record;
    assert.deepEqual(now, same);
    assert.deepEqual([sent.packets, received.packets], [1, 1]);
    assert.deepEqual(hear(told, 2), { ...NOTHING, present: 1 });
    assert.deepEqual(held(), [1, 1], 'counted once');
  });

  test(`it stays with the guest here when the port has left, and the guest speaks next: ${how}`, () => {
    hear(connect(pair));
    isAt(null);
    assert.equal(world.send(port().guest, udp(pair.own, ports)).verdict, `vif ${pair.peer().name}`);
    isAt(AFTER);
    assert.equal(leave(), 0);
    assert.deepEqual(held(), [0, 0]);
    assert.deepEqual(world.audit(), { tuples: 2, counted: 1, live: 1, owned: 1 });
    assert.equal(world.send(pair.peer(), udp(pair.answer, answers)).verdict, `overlay ${BLUE} ${AFTER}`);
    assert.equal(
      world.receive({ vni: pair.vni, from: AFTER }, udp(pair.asks, ports)).verdict,
      `vif ${pair.peer().name}`,
    );
    assert.equal(world.ways().length, 2, 'one flow still');
  });

  test(`so does one that began while the port was here, whoever speaks next: ${how}`, () => {
    isAt(null);
    assert.equal(world.send(port().guest, udp(pair.own, ports)).verdict, `vif ${pair.peer().name}`);
    assert.equal(world.send(pair.peer(), udp(pair.answer, answers)).verdict, 'vif mover');
    assert.deepEqual(held(), [1, 1]);
    isAt(AFTER);
    assert.equal(leave(), 0);
    assert.deepEqual(held(), [0, 0]);
    assert.equal(world.send(pair.peer(), udp(pair.answer, answers)).verdict, `overlay ${BLUE} ${AFTER}`);
    assert.equal(
      world.receive({ vni: pair.vni, from: AFTER }, udp(pair.asks, ports)).verdict,
      `vif ${pair.peer().name}`,
    );
    assert.equal(world.ways().length, 2, 'one flow still');
  });
}

test('what a port that is no more had with a guest here ends with it', () => {
  isAt(null);
  world.send(port().guest, udp(DIRECT.own, ports));
  world.removeEndpoint(BLUE, MOVER_IP, MOVER);
  assert.equal(leave(), 1);
  assert.deepEqual(world.audit(), { tuples: 0, counted: 0, live: 0, owned: 0 });
});

test('the number of the port’s VIF is given to another: nothing of the port’s is that one’s', () => {
  hear(connect(DIRECT));
  hear(connect(ROUTED));
  isAt(null);
  // By the one a packet has passed while it was here, the other is idle.
  world.send(port().guest, udp(DIRECT.own, ports));
  isAt(AFTER);
  assert.equal(leave(), 0);
  const { guest } = port();
  world.setVif(guest, { mac: BEHIND, ip: '10.1.0.9', vni: GREEN, policy: PEER_POLICY, project: PROJECT });
  assert.deepEqual(held(), [0, 0]);
  assert.equal(takeOut().length, 0);
  assert.equal(carry.sweep(guest.vif, 9), 0);
  const context = Uint32Array.of(1, guest.vif, 0);
  world.program('purge_flows').call(new Uint8Array(context.buffer));
  assert.equal(context[2], 0, 'no record names it');
  assert.deepEqual(world.audit(), { tuples: 4, counted: 2, live: 2, owned: 2 });
});

test('two ports that come here together, and have a connection: neither’s session ends what the other’s has told', () => {
  const { near: other } = port();
  const told = connect(DIRECT);
  world.forgetFlows();
  const reverse: FlowRecord = { ...told, begun: false, own: told.peer, peer: told.own };
  world.setEndpoint(BLUE, [NEAR_IP], NEAR, { kind: CB_ENDPOINT_REMOTE, remote: BEFORE, guest: other });
  try {
    const row = rowOf(reverse, other.vif, NUMBERS);
    assert.ok(row !== undefined);
    assert.deepEqual(hear(told, 5), { ...NOTHING, made: 1 });
    assert.deepEqual(carry.putIn([row], 6), { ...NOTHING, renewed: 1 });
    assert.equal(carry.sweep(port().guest.vif, 5), 0);
    assert.equal(carry.sweep(other.vif, 6), 0);
    assert.deepEqual(world.audit(), { tuples: 2, counted: 1, live: 1, owned: 2 });
    assert.equal(takeOut().length, 1);
    assert.equal(takeOut(other.vif).length, 1);
    // The other one says no more of it: it is the port's alone.
    assert.equal(carry.sweep(other.vif, 7), 0);
    assert.deepEqual([takeOut().length, takeOut(other.vif).length], [1, 0]);
    assert.equal(carry.sweep(port().guest.vif, 8), 1);
    assert.deepEqual(world.audit(), { tuples: 0, counted: 0, live: 0, owned: 0 });
  } finally {
    world.setEndpoint(BLUE, [NEAR_IP], NEAR, { kind: CB_ENDPOINT_VIF, guest: other });
  }
});

test('one that was handed over and is idle still is known at the next host as that of its guest', () => {
  const told = connect(ROUTED);
  world.forgetFlows();
  assert.deepEqual(hear(told), { ...NOTHING, made: 1 });
  const [row] = takeOut();
  assert.equal(row === undefined ? undefined : recordOf(row, port().guest.vif, NAMES)?.peerNetworkId, String(GREEN));
});

test('a share that is full refuses the port’s part in it, and the guest’s connection stays as it is', () => {
  const told = connect(DIRECT);
  const elsewhere = (n: number): FlowRecord => ({ ...told, peer: { address: '10.0.0.77', port: 2000 + n } });
  let full = 0;
  for (let n = 0; full === 0; n += 1) full = hear(elsewhere(n)).refused;
  const before = held();
  assert.deepEqual(hear(told), { ...NOTHING, present: 1 });
  assert.deepEqual(held(), before);
  assert.equal(world.send(port().near, udp(DIRECT.answer, answers)).verdict, `overlay ${BLUE} ${BEFORE}`);
});
