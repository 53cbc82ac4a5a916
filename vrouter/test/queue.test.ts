import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { CB_DIR_EGRESS, CB_VIF_F_METER } from '../../packages/agent/src/bpf/abi.gen.ts';
import { arp, BROADCAST, type Ipv4, udp } from './packet.ts';
import { DEFAULT_FLAGS, type Guest, type Meter, POD_FLAGS, World } from './world.ts';

const VNI = 910;
const [A, B, C, FAR] = [10, 11, 12, 13].map((n) => `02:00:00:00:00:${n.toString(16).padStart(2, '0')}`) as [
  string,
  string,
  string,
  string,
];
const PEER = '192.0.2.1';
const WAITING: Meter = { bytes: { costNs: 1_000_000_000, burst: 0 }, waits: true };

let world: World;
let a: Guest;
let b: Guest;
let c: Guest;

before(() => {
  world = new World(4, undefined, { queues: true });
  a = world.addGuest('a', { mac: A, ip: '10.0.0.1', vni: VNI, flags: DEFAULT_FLAGS | CB_VIF_F_METER });
  b = world.addGuest('b', { mac: B, ip: '10.0.0.2', vni: VNI, flags: POD_FLAGS | CB_VIF_F_METER });
  c = world.addGuest('c', { mac: C, ip: '10.0.0.3', vni: VNI });
  world.addRemote(VNI, '10.0.0.9', FAR, PEER);
  world.addPeer(PEER);
  world.setFlood(VNI, [{ guest: a }, { guest: b }, { guest: c }]);
});

after(() => world.close());

beforeEach(() => {
  world.forgetFlows();
  for (const guest of [a, b]) for (const direction of ['in', 'out'] as const) world.setMeter(guest, direction, {});
});

const ab: Ipv4 = { src: A, dst: B, from: '10.0.0.1', to: '10.0.0.2' };
const cb: Ipv4 = { ...ab, src: C, from: '10.0.0.3' };
const ports = { sport: 1000, dport: 2000 };

test('what a VIF sends waits as it is, whatever it is, and is judged when it comes back', () => {
  world.setMeter(a, 'out', WAITING);
  for (const [frame, verdict] of [
    [udp(ab, ports), 'peer b'],
    [udp({ ...ab, dst: FAR, to: '10.0.0.9' }, ports), `overlay ${VNI} ${PEER}`],
    [udp({ ...ab, from: '10.0.0.66' }, ports), 'drop spoofed_ip'],
    [arp({ src: A, dst: BROADCAST }, { op: 'request', sha: A, spa: '10.0.0.1', tpa: '10.0.0.2' }), 'vif a'],
  ] as const) {
    const out = world.send(a, frame);
    assert.equal(out.verdict, 'queue a out');
    assert.deepEqual(Buffer.from(out.data), Buffer.from(frame));
    assert.equal(world.comeBack(out.data, out.mark).verdict, verdict);
  }
});

for (const [what, send] of [
  ['a guest of this host', () => world.send(c, udp(cb, ports))],
  ['another host', () => world.receive({ vni: VNI, from: PEER }, udp({ ...ab, src: FAR, from: '10.0.0.9' }, ports))],
] as const) {
  test(`what a VIF receives from ${what} waits as it is to be delivered`, () => {
    const direct = send();
    assert.equal(direct.verdict, 'peer b');
    world.setMeter(b, 'in', WAITING);
    const out = send();
    assert.equal(out.verdict, 'queue b in');
    const back = world.comeBack(out.data, out.mark);
    assert.equal(back.verdict, 'peer b');
    assert.equal(back.packet, direct.packet);
  });
}

test('a packet waits for its sender’s limit and for its receiver’s, and for neither twice', () => {
  world.setMeter(a, 'out', WAITING);
  world.setMeter(b, 'in', WAITING);
  const sent = world.send(a, udp(ab, ports));
  assert.equal(sent.verdict, 'queue a out');
  const received = world.comeBack(sent.data, sent.mark);
  assert.equal(received.verdict, 'queue b in');
  assert.equal(world.comeBack(received.data, received.mark).verdict, 'peer b');
});

test('each is counted once: from its sender when it comes, to its receiver when it goes', () => {
  world.setMeter(a, 'out', WAITING);
  world.setMeter(b, 'in', WAITING);
  const before = [world.countersOf(a).rxPackets, world.countersOf(b).txPackets];
  const sent = world.send(a, udp(ab, ports));
  const received = world.comeBack(sent.data, sent.mark);
  world.comeBack(received.data, received.mark);
  assert.deepEqual(
    [world.countersOf(a).rxPackets, world.countersOf(b).txPackets],
    before.map((count) => count + 1),
  );
});

test('a limit of packets is no matter of waiting, nor is a DSCP', () => {
  world.setMeter(a, 'out', { ...WAITING, packets: { costNs: 3_600_000_000_000, burst: 0 }, dscp: 46 });
  const out = world.send(a, udp(ab, ports));
  assert.equal(out.verdict, 'queue a out');
  assert.equal(out.data[15], 46 << 2);
  assert.equal(world.send(a, udp(ab, ports)).verdict, 'drop rate_qos');
});

test('copies of a broadcast wait for each receiver alone', () => {
  world.setMeter(b, 'in', WAITING);
  const broadcast = udp({ ...cb, dst: BROADCAST, to: '255.255.255.255' }, ports);
  const seen = world.sentTo(b);
  assert.equal(world.send(c, broadcast).verdict, 'flood 2 copies');
  assert.equal(world.sentTo(b), seen, 'not at once');
});

test('an answer of the vrouter does not wait', () => {
  world.setMeter(a, 'in', WAITING);
  const request = arp({ src: A, dst: BROADCAST }, { op: 'request', sha: A, spa: '10.0.0.1', tpa: '10.0.0.2' });
  assert.equal(world.send(a, request).verdict, 'vif a');
});

test('when the limit is taken off, packets go at once, and those that wait still come', () => {
  world.setMeter(a, 'out', WAITING);
  const out = world.send(a, udp(ab, ports));
  world.changeMeter(a, 'out', {});
  assert.equal(world.send(a, udp(ab, ports)).verdict, 'peer b');
  assert.equal(world.comeBack(out.data, out.mark).verdict, 'peer b');
});

test('what nobody sent into the queues goes nowhere: without a mark, with one of no VIF, or of one that is gone', () => {
  const frame = udp(ab, ports);
  for (const mark of [0, 1, 1000 * 2 + CB_DIR_EGRESS, 16_384, 0xffffffff]) {
    assert.equal(world.comeBack(frame, mark).verdict, 'drop not_programmed', `mark ${mark}`);
  }
});
