import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { grows } from './grows.ts';
import { ICMP, type Ipv4, icmp, icmpError, ipv4, PROTO, TCP, tcp, udp } from './packet.ts';
import { type Guest, OPEN_FLAGS, World } from './world.ts';

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
  assert.equal(world.send(a, later(9)).verdict, 'wait');
  assert.equal(world.send(a, first).verdict, 'vif b');
  assert.equal(world.send(a, later(9)).verdict, 'vif b');
  assert.equal(world.send(a, later(10)).verdict, 'wait', 'of another packet');
  assert.equal(world.ways().length, 2, 'no flow of its own');
});

test('later fragments of an answer follow too, of its first packet and of any other', () => {
  world.send(a, udp(ab, ports));
  for (const id of [4, 5]) {
    const head = udp({ ...ba, id, moreFragments: true }, { sport: 2000, dport: 1000, payload: Buffer.alloc(16) });
    assert.equal(world.send(b, head).verdict, 'vif a');
    assert.equal(world.send(b, later(id, ba)).verdict, 'vif a');
  }
});

/** Six parts of one packet; the first has the ports. */
const parts = (id: number, ip = ab): Buffer[] => [
  udp({ ...ip, id, moreFragments: true }, { ...ports, payload: Buffer.alloc(16) }),
  ...[1, 2, 3, 4, 5].map((n) =>
    ipv4({ ...ip, id, fragmentOffset: 24 * n, moreFragments: n < 5 }, PROTO.udp, Buffer.alloc(24, n)),
  ),
];

for (const [what, order] of [
  ['backwards', [5, 4, 3, 2, 1, 0]],
  ['the first in the middle', [3, 1, 0, 2, 5, 4]],
  ['in order', [0, 1, 2, 3, 4, 5]],
] as const) {
  test(`fragments that come ${what} all reach the receiver`, async () => {
    world.receiveAnew();
    const before = world.sentTo(b);
    const frames = parts(77);
    const passed = order.filter((n) => world.send(a, frames[n] as Buffer).verdict === 'vif b').length;
    await grows(() => world.sentTo(b) - before + passed, 6, `${passed} at once`);
    assert.equal(world.ways().length, 2);
  });
}

test('fragments of a sub-port that come backwards reach the receiver: they are received anew with their tag', async () => {
  const sub = world.addGuest('sub', { mac: '02:00:00:00:00:0d', ip: '10.0.0.13', vni: VNI, vlan: 101, policy: PA }, a);
  world.receiveAnew();
  const before = world.sentTo(b);
  const frames = parts(79, { ...ab, src: sub.mac, from: sub.ip });
  assert.deepEqual(
    [2, 1, 0].map((n) => world.sendTagged(a, 101, frames[n] as Buffer).verdict),
    ['wait', 'wait', 'vif b'],
  );
  await grows(() => world.sentTo(b) - before, 2, 'both that waited');
});

test('fragments that wait for a first that is refused go nowhere', async () => {
  world.receiveAnew();
  const before = world.sentTo(a);
  const frames = parts(78, ba);
  assert.equal(world.send(b, frames[1] as Buffer).verdict, 'wait');
  assert.equal(world.send(b, frames[0] as Buffer).verdict, 'drop policy_egress');
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(world.sentTo(a), before);
});

test('eight wait for a guest, two seconds long, and none too large; another guest has its own', async () => {
  let id = 1000;
  const wait = (): string => {
    id += 1;
    return world.send(a, later(id)).verdict;
  };
  // Where the machine paused meanwhile for as long as they wait, there was room again; then it is done once more.
  for (let tries = 0; ; tries += 1) {
    const began = performance.now();
    const verdicts = Array.from({ length: 9 }, wait);
    const isJudged = performance.now() - began < 2000;
    await new Promise((resolve) => setTimeout(resolve, isJudged ? 0 : 2100));
    if (!isJudged && tries < 10) continue;
    assert.deepEqual(verdicts, [...Array(8).fill('wait'), 'drop fragment']);
    break;
  }
  assert.equal(world.send(b, later(1, ba)).verdict, 'wait');
  await new Promise((resolve) => setTimeout(resolve, 2100));
  assert.equal(wait(), 'wait');
  const large = ipv4({ ...ab, id: 5, fragmentOffset: 24 }, PROTO.udp, Buffer.alloc(3000));
  assert.equal(world.send(a, large).verdict, 'drop fragment');
});

test('a guest that floods first fragments costs another none of its own', () => {
  const c = world.addGuest('c', { mac: '02:00:00:00:00:0c', ip: '10.0.0.12', vni: VNI });
  assert.equal(world.send(a, first).verdict, 'vif b');
  const other: Ipv4 = { ...ab, src: c.mac, from: c.ip };
  for (let id = 0; id < 5000; id += 1)
    world.send(c, udp({ ...other, id, moreFragments: true }, { ...ports, payload: Buffer.alloc(16) }));
  assert.equal(world.send(a, later(9)).verdict, 'vif b');
});

test('sixteen packets of a guest may be on their way in fragments at once, the oldest gives way', () => {
  const head = (id: number): Buffer => udp({ ...ab, id, moreFragments: true }, { ...ports, payload: Buffer.alloc(16) });
  for (let id = 1; id <= 16; id += 1) world.send(a, head(id));
  world.send(a, head(3));
  for (let id = 1; id <= 16; id += 1) assert.equal(world.send(a, later(id)).verdict, 'vif b', String(id));
});

test('fragments from another host are kept with the receiver', () => {
  const far: Ipv4 = { src: '02:00:00:00:00:0f', dst: B, from: '10.0.0.9', to: '10.0.0.2' };
  const head = udp({ ...far, id: 3, moreFragments: true }, { ...ports, payload: Buffer.alloc(16) });
  assert.equal(world.receive({ vni: VNI, from: HOST }, head).verdict, 'vif b');
  assert.equal(world.receive({ vni: VNI, from: HOST }, later(3, far)).verdict, 'vif b');
  assert.equal(world.receive({ vni: VNI, from: HOST }, later(4, far)).verdict, 'wait');
});

test('a fragment that would lie over the TCP header of the first is dropped', () => {
  assert.equal(
    world.send(a, ipv4({ ...ab, id: 7, fragmentOffset: 8 }, PROTO.tcp, Buffer.alloc(64))).verdict,
    'drop tiny_fragment',
  );
  assert.equal(world.send(a, ipv4({ ...ab, id: 7, fragmentOffset: 8 }, PROTO.udp, Buffer.alloc(64))).verdict, 'wait');
});

test('a guest does not redirect another, unless it has no port security', () => {
  world.send(a, sent.udp);
  assert.equal(world.send(b, icmpError(ba, { type: 5, code: 1 }, sent.udp)).verdict, 'drop icmp_redirect');
  world.setVif(b, { mac: B, ip: '10.0.0.2', vni: VNI, flags: OPEN_FLAGS });
  assert.equal(world.send(b, icmpError(ba, { type: 5, code: 1 }, sent.udp)).verdict, 'vif a');
  world.setVif(b, { mac: B, ip: '10.0.0.2', vni: VNI, policy: PB });
});

test('a first fragment that is dropped takes its later ones with it', () => {
  const denied = udp({ ...ba, id: 5, moreFragments: true }, { sport: 1, dport: 2, payload: Buffer.alloc(16) });
  assert.equal(world.send(b, denied).verdict, 'drop policy_egress');
  assert.equal(world.send(b, later(5, ba)).verdict, 'wait');
});

test('fragments from another host follow their first', () => {
  const ip: Ipv4 = { ...ab, src: '02:00:00:00:00:77', from: '10.0.0.7' };
  const head = udp({ ...ip, id: 9, moreFragments: true }, { ...ports, payload: Buffer.alloc(16) });
  assert.equal(world.receive({ vni: VNI, from: HOST }, later(9, ip)).verdict, 'wait');
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
    assert.equal(world.ways().length, 2, 'and makes no flow');
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
  const overlay = (frame: Buffer): string => world.receive({ vni: VNI, from: HOST }, frame).verdict;
  assert.equal(overlay(icmpError(forged, tooBig, sent.udp)), 'drop spoofed_peer', 'eve is here');
  const elsewhere = { ...forged, src: '02:00:00:00:00:99', from: '10.0.0.99' };
  assert.equal(
    overlay(icmpError(elsewhere, tooBig, sent.udp)),
    'drop invalid_state',
    'b is here: nobody elsewhere may complain for it',
  );
  assert.equal(world.send(b, icmpError(ba, tooBig, sent.udp)).verdict, 'vif a');
});

test('an ICMP error from a false source is dropped, though the packet it quotes has an established flow', () => {
  const reply = udp(ba, { sport: 2000, dport: 1000 });
  for (const frame of [sent.udp, sent.udp]) world.send(a, frame);
  for (const frame of [reply, reply]) world.send(b, frame);
  const packets = world.ways().map(({ tally }) => tally.packets);
  const error = { type: ICMP.unreachable, code: 3 };
  assert.equal(world.send(b, icmpError({ ...ba, from: '10.0.0.9' }, error, sent.udp)).verdict, 'drop spoofed_ip');
  assert.equal(world.send(b, icmpError(ba, error, sent.udp)).verdict, 'vif a');
  assert.deepEqual(
    world.ways().map(({ tally }) => tally.packets),
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

for (const [what, quoted] of [
  ['all of its quote', 0],
  ['the ports of its quote', 20],
] as const) {
  test(`an ICMP error with ${what} behind the end of the IP packet is dropped: padding is no quote`, () => {
    world.send(a, sent.udp);
    const quote = sent.udp.subarray(14, 14 + 28);
    const short = icmp(ba, { type: 3, payload: quote.subarray(0, quoted) });
    assert.equal(world.send(b, Buffer.concat([short, quote.subarray(quoted)])).verdict, 'drop malformed');
  });
}
