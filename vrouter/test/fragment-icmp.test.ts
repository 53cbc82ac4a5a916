import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { ICMP, type Ipv4, icmp, icmpError, ipv4, PROTO, TCP, tcp, udp } from './packet.ts';
import { type Guest, World } from './world.ts';

const VNI = 400;
const HOST = '192.0.2.9';
const A = '02:00:00:00:00:0a';
const B = '02:00:00:00:00:0b';
const PA = 6001;
const PB = 6002;

let world: World;
let a: Guest;
let b: Guest;

before(() => {
  world = new World();
  a = world.addGuest('a', { mac: A, ip: '10.0.0.1', vni: VNI, policy: PA });
  b = world.addGuest('b', { mac: B, ip: '10.0.0.2', vni: VNI, policy: PB });
  world.addPeer(HOST);
  for (const protocol of [PROTO.udp, PROTO.icmp, PROTO.tcp]) {
    world.addRule({ policy: PA, direction: 'egress', protocol });
    world.addRule({ policy: PB, direction: 'ingress', protocol });
  }
});

after(() => world.close());

beforeEach(() => world.forgetFlows());

const ab: Ipv4 = { src: A, dst: B, from: '10.0.0.1', to: '10.0.0.2' };
const ba: Ipv4 = { src: B, dst: A, from: '10.0.0.2', to: '10.0.0.1' };
const ports = { sport: 1000, dport: 2000 };
const first = udp({ ...ab, id: 9, moreFragments: true }, { ...ports, payload: Buffer.alloc(16) });
const later = (id: number, ip = ab): Buffer => ipv4({ ...ip, id, fragmentOffset: 24 }, PROTO.udp, Buffer.alloc(4, 255));

test('later fragments follow their first, and no other', () => {
  assert.equal(world.send(a, later(9)).verdict, 'drop fragment');
  assert.equal(world.send(a, first).verdict, 'vif b');
  assert.equal(world.send(a, later(9)).verdict, 'vif b');
  assert.equal(world.send(a, later(10)).verdict, 'drop fragment', 'of another packet');
  assert.equal(world.flows().length, 2, 'no flow of its own');
});

test('later fragments of an answer follow too, of its first packet and of any other', () => {
  world.send(a, udp(ab, ports));
  for (const id of [4, 5]) {
    const head = udp({ ...ba, id, moreFragments: true }, { sport: 2000, dport: 1000, payload: Buffer.alloc(16) });
    assert.equal(world.send(b, head).verdict, 'vif a');
    assert.equal(world.send(b, later(id, ba)).verdict, 'vif a');
  }
});

test('a first fragment that is dropped takes its later ones with it', () => {
  const denied = udp({ ...ba, id: 5, moreFragments: true }, { sport: 1, dport: 2, payload: Buffer.alloc(16) });
  assert.equal(world.send(b, denied).verdict, 'drop policy_egress');
  assert.equal(world.send(b, later(5, ba)).verdict, 'drop fragment');
});

test('fragments from another host follow their first', () => {
  const ip: Ipv4 = { ...ab, src: '02:00:00:00:00:77', from: '10.0.0.7' };
  const head = udp({ ...ip, id: 9, moreFragments: true }, { ...ports, payload: Buffer.alloc(16) });
  assert.equal(world.receive({ vni: VNI, from: HOST }, later(9, ip)).verdict, 'drop fragment');
  assert.equal(world.receive({ vni: VNI, from: HOST }, head).verdict, 'vif b');
  assert.equal(world.receive({ vni: VNI, from: HOST }, later(9, ip)).verdict, 'vif b');
});

test('a first fragment too short for its ports is dropped', () => {
  const short = ipv4({ ...ab, id: 1, moreFragments: true }, PROTO.udp, Buffer.alloc(4));
  assert.equal(world.send(a, short).verdict, 'drop malformed');
});

const sent = { udp: udp(ab, ports), tcp: tcp(ab, { ...ports, flags: TCP.syn }), echo: icmp(ab, { type: 8, id: 5 }) };

for (const [what, frame] of Object.entries(sent)) {
  test(`an ICMP error about a ${what} packet follows its flow back`, () => {
    const error = icmpError(ba, { type: ICMP.unreachable, code: 3 }, frame);
    assert.equal(world.send(b, error).verdict, 'drop invalid_state', 'nothing was sent yet');
    world.send(a, frame);
    assert.equal(world.send(b, error).verdict, 'vif a');
    assert.equal(world.flows().length, 2, 'and makes no flow');
  });
}

test('an ICMP error about an answer follows the flow forward', () => {
  world.send(a, udp(ab, ports));
  const reply = udp(ba, { sport: 2000, dport: 1000 });
  world.send(b, reply);
  assert.equal(world.send(a, icmpError(ab, { type: ICMP.unreachable, code: 3 }, reply)).verdict, 'vif b');
});

test('an ICMP error from another host follows the flow', () => {
  world.addRemote(VNI, '10.0.0.3', '02:00:00:00:00:33', HOST);
  const far = udp({ ...ab, dst: '02:00:00:00:00:33', to: '10.0.0.3' }, ports);
  const router: Ipv4 = { src: '02:00:00:00:00:44', dst: A, from: '10.0.0.99', to: '10.0.0.1' };
  const error = icmpError(router, { type: ICMP.timeExceeded }, far);
  assert.equal(world.receive({ vni: VNI, from: HOST }, error).verdict, 'drop invalid_state');
  world.send(a, far);
  assert.equal(world.receive({ vni: VNI, from: HOST }, error).verdict, 'vif a');
});

test('an ICMP error from a third guest is dropped: only the far end may complain of a flow', () => {
  const eve = world.addGuest('eve', { mac: '02:00:00:00:00:0e', ip: '10.0.0.66', vni: VNI, policy: PB });
  for (const protocol of [PROTO.udp, PROTO.icmp]) {
    world.addRule({ policy: PB, direction: 'egress', protocol });
    world.addRule({ policy: PA, direction: 'ingress', protocol });
  }
  const forged: Ipv4 = { src: '02:00:00:00:00:0e', dst: A, from: '10.0.0.66', to: '10.0.0.1' };
  const tooBig = { type: ICMP.unreachable, code: 4 };
  world.send(a, sent.udp);
  assert.equal(world.send(eve, icmpError(forged, tooBig, sent.udp)).verdict, 'drop invalid_state');
  world.addRemote(VNI, '10.0.0.3', '02:00:00:00:00:33', HOST);
  const far = udp({ ...ab, dst: '02:00:00:00:00:33', to: '10.0.0.3' }, ports);
  world.send(a, far);
  assert.equal(world.send(eve, icmpError(forged, tooBig, far)).verdict, 'drop invalid_state');
  const overlay = world.receive({ vni: VNI, from: HOST }, icmpError(forged, tooBig, sent.udp));
  assert.equal(overlay.verdict, 'drop invalid_state', 'b is here: nobody elsewhere may complain for it');
  assert.equal(world.send(b, icmpError(ba, tooBig, sent.udp)).verdict, 'vif a');
});

test('an ICMP error from a false source is dropped, though the packet it quotes has an established flow', () => {
  const reply = udp(ba, { sport: 2000, dport: 1000 });
  for (const frame of [sent.udp, sent.udp]) world.send(a, frame);
  for (const frame of [reply, reply]) world.send(b, frame);
  const packets = world.flows().map(({ value }) => value.packets);
  const error = { type: ICMP.unreachable, code: 3 };
  assert.equal(world.send(b, icmpError({ ...ba, from: '10.0.0.9' }, error, sent.udp)).verdict, 'drop spoofed_ip');
  assert.equal(world.send(b, icmpError(ba, error, sent.udp)).verdict, 'vif a');
  assert.deepEqual(
    world.flows().map(({ value }) => value.packets),
    packets,
    'errors are not packets of the flow',
  );
});

for (const [what, error, verdict] of [
  [
    'to another than the sender it quotes',
    icmpError({ ...ba, to: '10.0.0.9' }, { type: 3 }, sent.udp),
    'drop invalid_state',
  ],
  ['about other ports', icmpError(ba, { type: 3 }, udp(ab, { sport: 1000, dport: 2001 })), 'drop invalid_state'],
  ['with a cut quote', icmp(ba, { type: 3, payload: sent.udp.subarray(14, 30) }), 'drop malformed'],
  ['with a quote cut in its ports', icmp(ba, { type: 3, payload: sent.udp.subarray(14, 36) }), 'drop malformed'],
  ['that quotes no IP', icmp(ba, { type: 3, payload: Buffer.alloc(40) }), 'drop malformed'],
] as const) {
  test(`an ICMP error ${what}: ${verdict}`, () => {
    world.send(a, sent.udp);
    assert.equal(world.send(b, error).verdict, verdict);
  });
}
