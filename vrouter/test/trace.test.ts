/** Traces of what the reference model does not know: translation, load balancers, limits, provider networks, cutting, shared addresses. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, beforeEach, test } from 'node:test';
import { endsOf, macOf } from '../../packages/agent/src/asks/frames.ts';
import {
  CB_DIR_EGRESS,
  CB_DIR_INGRESS,
  CB_ENDPOINT_VIP,
  CB_MAGLEV_SLOTS,
  CB_STEP_COPY,
  CB_STEP_DESTINATION_BECOMES,
  CB_STEP_MEMBER,
  CB_STEP_NEIGHBOUR,
  CB_STEP_SEEK,
  CB_STEP_SOURCE_BECOMES,
  CB_STEP_WAIT,
  CB_TRACE_F_ANSWER,
  CB_VIF_F_METER,
  MAPS,
} from '../../packages/agent/src/bpf/abi.gen.ts';
import { removePins } from '../../packages/agent/src/bpf/pin.ts';
import { formatAddress } from '../../packages/agent/src/plan/address.ts';
import { addExternal, addFloating, addGateway } from './outside.ts';
import { arp, BROADCAST, ICMP, type Ipv4, icmp, macBytes, PROTO, TCP, tcp, udp } from './packet.ts';
import { addr, DEFAULT_FLAGS, type Guest, type Limit, type Traced, World } from './world.ts';

const [INSIDE, SMALL, EXTERNAL] = [100, 101, 900];
const [TAG, VRF, MTU] = [77, 5, 1200];
const [A, B, C] = ['02:00:00:00:01:0a', '02:00:00:00:01:0b', '02:00:00:00:02:0c'];
const [R1, R2, G] = ['02:00:00:00:01:fe', '02:00:00:00:02:fe', '02:00:00:00:09:fe'];
const VIP_MAC = '02:00:00:00:01:fd';
const N = '02:00:00:00:ee:01';
const [VIP, SHARED, OUTER, FLOATING, S] = ['10.0.0.100', '10.2.0.100', '198.51.100.7', '203.0.113.10', '203.0.113.2'];
const PINS = `/sys/fs/bpf/cable-test-traces-${randomBytes(6).toString('hex')}`;
/** So slow that nothing is paid while a test runs. */
const slow = (burst: number): Limit => ({ costNs: 3_600_000_000_000, burst });

let world: World;
let a: Guest;
let b: Guest;
let c: Guest;

before(() => {
  world = new World(5, undefined, { pinnedMaps: `${PINS}/maps`, queues: true });
  const flags = DEFAULT_FLAGS | CB_VIF_F_METER;
  addExternal(world, EXTERNAL, TAG);
  a = world.addGuest('a', { mac: A, ip: '10.0.0.5', vni: INSIDE, flags });
  b = world.addGuest('b', { mac: B, ip: '10.0.0.6', vni: INSIDE, dhcpServer: '10.0.0.254' });
  c = world.addGuest('c', { mac: C, ip: '10.2.0.5', vni: SMALL });
  world.addRouterInterface(VRF, { vni: INSIDE, cidr: '10.0.0.0/24', ip: '10.0.0.254', mac: R1 });
  world.addRouterInterface(VRF, { vni: SMALL, cidr: '10.2.0.0/24', ip: '10.2.0.254', mac: R2, mtu: MTU });
  addGateway(world, {
    ...{ vrf: VRF, external: EXTERNAL, mac: G, ip: S, cidr: '203.0.113.0/24', nexthop: '203.0.113.1' },
    ports: { first: 2048, last: 2048 + 8 * 64 - 1 },
  });
  addFloating(world, { external: EXTERNAL, ip: FLOATING, guest: c, vrf: VRF, mac: G });
  world.setEndpoint(INSIDE, [VIP], VIP_MAC, { kind: CB_ENDPOINT_VIP });
  world.write(
    MAPS.cb_member_1,
    { member: 11 },
    { addr: addr('10.0.0.6'), pool: 1, vrf: 0, net: world.net(INSIDE), portBe: 8080, flags: 0 },
  );
  world.write(MAPS.cb_maglev_1, { pool: 1, chunk: 0 }, { member: Array.from({ length: CB_MAGLEV_SLOTS }, () => 11) });
  const service = { addr: addr(VIP), net: world.net(INSIDE), portBe: 80, protocol: PROTO.tcp };
  world.write(MAPS.cb_svc_1, service, { pool: 1, slots: CB_MAGLEV_SLOTS, flags: 0 });
  world.addPair(SMALL, SHARED, C, { guest: c });
  world.addPair(SMALL, SHARED, '02:00:00:00:02:0d', { host: '192.0.2.7' });
  world.setShared(SMALL, SHARED);
  world.addPeer('192.0.2.7');
  world.setFlood(SMALL, [{ guest: c }]);
});

after(() => {
  world.close();
  removePins(PINS);
});

beforeEach(() => {
  world.forgetFlows();
  world.forgetHeard();
  for (const direction of ['in', 'out'] as const) world.setMeter(a, direction, {});
});

const ports = { sport: 1000, dport: 2000 };
const out = (from: Guest, router: string, to = OUTER): Ipv4 => ({ src: from.mac, dst: router, from: from.ip, to });
const learn = (): void => {
  const reply = arp({ src: N, dst: G }, { op: 'reply', sha: N, spa: '203.0.113.1', tha: G, tpa: S });
  assert.equal(world.arriveTagged(TAG, reply).verdict, 'flood 0 copies');
};

/** The trace, which has changed nothing. */
function trace(from: Guest | { outside: number }, frame: Buffer): Traced {
  const maps = world.maps();
  const traced = world.trace(from, frame);
  assert.deepEqual(world.maps(), maps, 'a trace changes nothing');
  return traced;
}

/** The same; and then the packet is sent, and ends as was said. Twice: as the first of its flow, and as one more. */
function traceAndSend(from: Guest, frame: Buffer): readonly Traced[] {
  return ['first', 'established'].map((round) => {
    const traced = trace(from, frame);
    const done = world.send(from, frame);
    assert.equal(traced.verdict, done.verdict, round);
    return traced;
  });
}

const found = ({ steps }: Traced, kind: number) => {
  const step = steps.find((one) => one.kind === kind);
  return step === undefined ? undefined : { id: step.id, a: step.a, b: step.b, addr: formatAddress(step.addr) };
};

test('an unknown machine beyond an uplink: nobody is asked, and the packet is lost', () => {
  const traced = trace(b, udp(out(b, R1), ports));
  assert.equal(traced.verdict, 'drop no_neighbour');
  assert.deepEqual(found(traced, CB_STEP_NEIGHBOUR), { id: world.net(EXTERNAL), a: 0, b: 0, addr: '203.0.113.1' });
  assert.equal(
    world.send(b, udp(out(b, R1), ports)).verdict,
    `wire vlan ${TAG} (no_neighbour)`,
    'it becomes the question',
  );
});

test('with a router’s address it leaves by the uplink, and no port is taken', () => {
  learn();
  for (const [round, traced] of traceAndSend(b, udp(out(b, R1), ports)).entries()) {
    assert.equal(traced.verdict, `wire vlan ${TAG}`);
    const source = found(traced, CB_STEP_SOURCE_BECOMES);
    assert.equal(source?.addr, S);
    assert.equal((source?.a ?? 0) >= 2048, round === 1, 'the port is known of a flow that is there');
    assert.equal(found(traced, CB_STEP_DESTINATION_BECOMES), undefined);
  }
  const [first] = traceAndSend(b, icmp(out(b, R1), { type: ICMP.echo, id: 7 }));
  assert.equal(first?.verdict, `wire vlan ${TAG}`);
});

test('a trace says when no port is free', () => {
  learn();
  const all = Array.from(
    { length: 600 },
    (_, n) => world.send(b, udp(out(b, R1), { sport: 3000 + n, dport: 2000 })).verdict,
  );
  assert.ok(all.includes('drop nat_ports'));
  assert.equal(trace(b, udp(out(b, R1), { sport: 999, dport: 2000 })).verdict, 'drop nat_ports');
});

test('by a floating IP it comes to the guest that has it, from its own address', () => {
  for (const traced of traceAndSend(b, udp(out(b, R1, FLOATING), ports))) {
    assert.equal(traced.verdict, 'vif c');
    assert.equal(found(traced, CB_STEP_DESTINATION_BECOMES)?.addr, '10.2.0.5');
  }
});

test('a load balancer gives it to a member, by the port of that', () => {
  const toVip = { src: A, dst: VIP_MAC, from: a.ip, to: VIP };
  for (const traced of traceAndSend(a, tcp(toVip, { sport: 1000, dport: 80, flags: TCP.syn }))) {
    assert.equal(traced.verdict, 'vif b');
    assert.deepEqual(found(traced, CB_STEP_DESTINATION_BECOMES), { id: 0, a: 8080, b: 0, addr: '10.0.0.6' });
  }
  world.forgetFlows();
  const traced = trace(a, tcp(toVip, { sport: 1000, dport: 80, flags: TCP.syn }));
  assert.equal(found(traced, CB_STEP_MEMBER)?.id, 11);
  const refused = trace(b, tcp({ ...toVip, src: B, from: b.ip }, { sport: 1, dport: 81, flags: TCP.syn }));
  assert.match(refused.verdict, /^vif b \(no_member\)$/);
});

/** The answer of `from` to what it was given. */
function answerTo(given: Uint8Array, from: Guest, to: string): Buffer {
  const ends = endsOf(given);
  assert.ok(ends !== undefined);
  return tcp(
    { src: from.mac, dst: to, from: ends.destination, to: ends.source },
    { sport: ends.destinationPort, dport: ends.sourcePort, flags: TCP.syn | TCP.ack },
  );
}

/** The frame comes to `receiver` and is answered by its own next hop `router`: traced there and back, and then sent; both ways end alike. */
function thereAndBack(sender: Guest, frame: Buffer, receiver: Guest, router: string): ReturnType<typeof endsOf> {
  const there = trace(sender, frame);
  assert.ok(there.began !== undefined, 'it would begin a flow');
  const maps = world.maps();
  const back = world.trace(receiver, answerTo(there.data, receiver, router), CB_TRACE_F_ANSWER, [there.began]);
  assert.deepEqual(world.maps(), maps, 'a trace changes nothing');
  assert.equal(back.began, undefined);
  const sent = world.send(sender, frame);
  assert.equal(there.verdict, sent.verdict);
  assert.equal(sent.verdict, `vif ${receiver === b ? 'b' : 'c'}`);
  const answered = world.send(receiver, answerTo(sent.data, receiver, router));
  assert.equal(back.verdict, answered.verdict);
  assert.deepEqual(endsOf(back.data), endsOf(answered.data), 'addresses and ports are the sender’s again');
  return endsOf(back.data);
}

const SYN = { sport: 1000, dport: 80, flags: TCP.syn };

test('the answer from behind a floating IP has that for its source', () => {
  const ends = thereAndBack(b, tcp(out(b, R1, FLOATING), SYN), c, R2);
  assert.deepEqual(ends, { source: FLOATING, sourcePort: 80, destination: b.ip, destinationPort: 1000 });
});

test('the answer of a member comes from the virtual address', () => {
  const frame = tcp({ src: A, dst: VIP_MAC, from: a.ip, to: VIP }, SYN);
  const ends = thereAndBack(a, frame, b, A);
  assert.deepEqual(ends, { source: VIP, sourcePort: 80, destination: a.ip, destinationPort: 1000 });
});

test('the answer to a router’s address comes to who sent with it', () => {
  learn();
  const there = trace(b, tcp(out(b, R1), SYN));
  assert.ok(there.began !== undefined);
  const [asked, answer] = there.began.tuple;
  assert.ok(asked !== undefined && answer !== undefined);
  assert.deepEqual([asked.sportBe, formatAddress(answer.dst)], [1000, S]);
  const ends = endsOf(there.data);
  assert.equal(ends?.sourcePort, answer.dportBe, 'with the port that the packet leaves with');
  assert.ok(answer.dportBe >= 2048);
});

test('an answer that is of none of these flows is as one without', () => {
  const there = trace(b, tcp(out(b, R1, FLOATING), SYN));
  assert.ok(there.began !== undefined);
  const other = { ...there.began, tuple: there.began.tuple.map((key) => ({ ...key, sportBe: 7, dportBe: 7 })) };
  const answer = answerTo(there.data, c, R2);
  const back = world.trace(c, answer, CB_TRACE_F_ANSWER, [other, other, other, other]);
  assert.equal(found(back, CB_STEP_SOURCE_BECOMES), undefined);
  const known = world.trace(c, answer, CB_TRACE_F_ANSWER, [other, other, other, there.began]);
  assert.equal(found(known, CB_STEP_SOURCE_BECOMES)?.addr, FLOATING);
});

test('a limit is judged and not paid', () => {
  const frame = udp({ src: A, dst: B, from: a.ip, to: b.ip }, ports);
  world.setMeter(a, 'out', { packets: slow(2) });
  for (let n = 0; n < 5; n++) assert.equal(trace(a, frame).verdict, 'vif b');
  while (world.send(a, frame).verdict === 'vif b');
  assert.equal(trace(a, frame).verdict, 'drop rate_qos');
  // At another cost what was used is forgiven.
  world.setMeter(a, 'out', { packets: { costNs: 1_800_000_000_000, burst: 2 } });
  assert.equal(trace(a, frame).verdict, 'vif b');
});

test('what would wait comes through, and the trace says so', () => {
  const limit = { bytes: { costNs: 1_000_000_000, burst: 2 }, waits: true };
  world.setMeter(a, 'out', limit);
  world.setMeter(a, 'in', limit);
  const sent = trace(a, udp({ src: A, dst: B, from: a.ip, to: b.ip }, ports));
  assert.deepEqual([sent.verdict, found(sent, CB_STEP_WAIT)?.a], ['vif b', CB_DIR_EGRESS]);
  const received = trace(b, udp({ src: B, dst: A, from: b.ip, to: a.ip }, ports));
  assert.deepEqual([received.verdict, found(received, CB_STEP_WAIT)?.a], ['vif a', CB_DIR_INGRESS]);
});

test('a machine outside asks who has a floating IP and the router’s address, and is answered; nobody is learned', () => {
  for (const target of [FLOATING, S]) {
    const asks = arp({ src: N, dst: BROADCAST }, { op: 'request', sha: N, spa: '203.0.113.99', tpa: target });
    const traced = trace({ outside: EXTERNAL }, asks);
    const done = world.arriveTagged(TAG, asks);
    assert.equal(traced.verdict, `wire vlan ${TAG}`);
    assert.equal(done.verdict, traced.verdict);
    assert.deepEqual(Buffer.from(macOf(traced.data) ?? []), macBytes(G));
  }
  const nobody = arp({ src: N, dst: BROADCAST }, { op: 'request', sha: N, spa: '203.0.113.99', tpa: '203.0.113.77' });
  assert.equal(trace({ outside: EXTERNAL }, nobody).verdict, 'flood 0 copies');
});

test('what comes in for a floating IP comes to the guest that has it, and the answer leaves with it', () => {
  learn();
  const frame = tcp({ src: N, dst: G, from: OUTER, to: FLOATING }, SYN);
  const there = trace({ outside: EXTERNAL }, frame);
  assert.deepEqual([there.verdict, found(there, CB_STEP_DESTINATION_BECOMES)?.addr], ['vif c', '10.2.0.5']);
  assert.ok(there.began !== undefined);
  const maps = world.maps();
  const back = world.trace(c, answerTo(there.data, c, R2), CB_TRACE_F_ANSWER, [there.began]);
  assert.deepEqual(world.maps(), maps, 'a trace changes nothing');
  const sent = world.arriveTagged(TAG, frame);
  assert.equal(sent.verdict, there.verdict);
  const answered = world.send(c, answerTo(sent.data, c, R2));
  assert.equal(back.verdict, answered.verdict);
  assert.equal(back.verdict, `wire vlan ${TAG}`);
  assert.deepEqual(endsOf(back.data), endsOf(answered.data));
  assert.deepEqual(endsOf(back.data)?.source, FLOATING);
});

test('what the rules, the routers and the network’s own addresses forbid from outside is traced as it is dropped', () => {
  const closed = '203.0.113.11';
  const e = world.addGuest('e', { mac: '02:00:00:00:02:0e', ip: '10.2.0.6', vni: SMALL, policy: 30 });
  addFloating(world, { external: EXTERNAL, ip: closed, guest: e, vrf: VRF, mac: G });
  const verdicts = [
    [OUTER, closed],
    [OUTER, '10.2.0.5'],
    ['10.0.0.5', FLOATING],
    [FLOATING, S],
    [OUTER, S],
  ].map(([from = '', to = '']) => {
    const frame = tcp({ src: N, dst: G, from, to }, SYN);
    const traced = trace({ outside: EXTERNAL }, frame);
    assert.equal(traced.verdict, world.arriveTagged(TAG, frame).verdict, `${from} to ${to}`);
    return traced.verdict;
  });
  const reasons = ['policy_ingress', 'no_route', 'reverse_path', 'spoofed_peer', 'no_endpoint'];
  assert.deepEqual(
    verdicts,
    reasons.map((reason) => `drop ${reason}`),
  );
});

test('a network without an uplink, or whose uplink is another’s, has no outside', () => {
  const frame = tcp({ src: N, dst: C, from: OUTER, to: '10.2.0.5' }, SYN);
  assert.equal(trace({ outside: SMALL }, frame).verdict, 'drop not_programmed');
});

test('what is too large for a network and may be cut goes to the fragmenter', () => {
  const frame = udp({ ...out(b, R1, c.ip), id: 77 }, { ...ports, payload: Buffer.alloc(1300) });
  for (const traced of traceAndSend(b, frame)) assert.equal(traced.verdict, 'fragmenter');
});

test('an address that several may have and nobody is known to is not asked for, nor is anybody heard', () => {
  const frame = udp(out(b, R1, SHARED), ports);
  for (let n = 0; n < 2; n++) {
    const traced = trace(b, frame);
    assert.match(traced.verdict, /^flood [1-9]/);
    assert.equal(found(traced, CB_STEP_SEEK)?.addr, SHARED);
  }
  trace(c, arp({ src: C, dst: BROADCAST }, { op: 'request', sha: C, spa: SHARED, tpa: SHARED }));
  assert.match(world.send(b, frame).verdict, /^flood [1-9]/);
});

test('a copy by an uplink is told and not sent', () => {
  world.addProvider(EXTERNAL + 1, { vlan: TAG + 1 });
  const d = world.addGuest('d', { mac: '02:00:00:00:03:0d', ip: '10.3.0.5', vni: EXTERNAL + 1 });
  const asks = arp({ src: d.mac, dst: BROADCAST }, { op: 'request', sha: d.mac, spa: d.ip, tpa: '10.3.0.9' });
  const traced = trace(d, asks);
  assert.equal(traced.verdict, 'flood 1 copies');
  assert.deepEqual(found(traced, CB_STEP_COPY), { id: 0, a: 0, b: 0, addr: '' });
});
