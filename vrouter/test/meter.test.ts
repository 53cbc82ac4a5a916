import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { CB_VIF_F_METER } from '../../packages/agent/src/bpf/abi.gen.ts';
import { arp, BROADCAST, checksum, type Ipv4, type Ipv6, TCP, tcp, udp } from './packet.ts';
import { DEFAULT_FLAGS, type Guest, type Limit, type Meter, World } from './world.ts';

const VNI = 900;
const [A, B, C, FAR] = [10, 11, 12, 13].map((n) => `02:00:00:00:00:${n.toString(16).padStart(2, '0')}`) as [
  string,
  string,
  string,
  string,
];
const PEER = '192.0.2.1';

let world: World;
let a: Guest;
let b: Guest;
let c: Guest;

before(() => {
  world = new World(4);
  const flags = DEFAULT_FLAGS | CB_VIF_F_METER;
  a = world.addGuest('a', { mac: A, ip: '10.0.0.1', ip6: '2001:db8::1', vni: VNI, flags });
  b = world.addGuest('b', { mac: B, ip: '10.0.0.2', ip6: '2001:db8::2', vni: VNI, flags });
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
const ab6: Ipv6 = { src: A, dst: B, from: '2001:db8::1', to: '2001:db8::2' };
const ports = { sport: 1000, dport: 2000 };
const DROPPED = 'drop rate_qos';

/** So slow that nothing is paid while a test runs. */
const AN_HOUR_NS = 3_600_000_000_000;
const slow = (burst: number): Limit => ({ costNs: AN_HOUR_NS, burst });

/** Of bytes: a second each. */
const slowBytes = (burst: number): Limit => ({ costNs: 1_000_000_000, burst });

/** How many of these pass before one is dropped, at most `most`. */
function passing(send: () => { verdict: string }, most = 50): number {
  for (let n = 0; n < most; n++) if (send().verdict === DROPPED) return n;
  return most;
}

test('a VIF sends as many packets as its limit has at once, and one that begins a debt', () => {
  world.setMeter(a, 'out', { packets: slow(5) });
  assert.equal(
    passing(() => world.send(a, udp(ab, ports))),
    6,
  );
  assert.equal(
    passing(() => world.send(b, udp({ ...ab, src: B, dst: A, from: '10.0.0.2', to: '10.0.0.1' }, ports))),
    50,
    'the other direction has no limit',
  );
});

test('what a VIF sends is limited whatever it is: ARP, broadcast, IPv6, to another host, spoofed', () => {
  const request = arp({ src: A, dst: BROADCAST }, { op: 'request', sha: A, spa: '10.0.0.1', tpa: '10.0.0.77' });
  for (const frame of [
    request,
    udp({ ...ab, dst: BROADCAST, to: '255.255.255.255' }, ports),
    udp(ab6, ports),
    udp({ ...ab, dst: FAR, to: '10.0.0.9' }, ports),
    udp({ ...ab, from: '10.0.0.66' }, ports),
    Buffer.alloc(60),
  ]) {
    world.setMeter(a, 'out', { packets: slow(2) });
    assert.equal(
      passing(() => world.send(a, frame)),
      3,
    );
  }
});

for (const [what, send] of [
  ['a guest of this host', () => world.send(c, udp({ ...ab, src: C, from: '10.0.0.3' }, ports))],
  ['another host', () => world.receive({ vni: VNI, from: PEER }, udp({ ...ab, src: FAR, from: '10.0.0.9' }, ports))],
  [
    'ARP of a guest, passed on',
    () => world.send(c, arp({ src: C, dst: B }, { op: 'reply', sha: C, spa: '10.0.0.3', tha: B, tpa: '10.0.0.2' })),
  ],
] as const) {
  test(`what a VIF receives is limited: from ${what}`, () => {
    world.setMeter(b, 'in', { packets: slow(4) });
    const dropped = world.countersOf(b).drops.get('rate_qos') ?? 0;
    assert.equal(passing(send), 5);
    assert.equal(world.countersOf(b).drops.get('rate_qos'), dropped + 1, 'counted for the receiver');
  });
}

test('copies of a broadcast are limited for each receiver alone', () => {
  world.setMeter(b, 'in', { packets: slow(1) });
  const broadcast = udp({ ...ab, src: C, from: '10.0.0.3', dst: BROADCAST, to: '255.255.255.255' }, ports);
  const copies = Array.from({ length: 4 }, () => world.send(c, broadcast).verdict);
  assert.deepEqual(copies, ['flood 2 copies', 'flood 2 copies', 'flood 1 copies', 'flood 1 copies']);
});

test('bytes count with their Ethernet header', () => {
  const frame = udp(ab, { ...ports, payload: Buffer.alloc(958) });
  assert.equal(frame.length, 1000);
  world.setMeter(a, 'out', { bytes: slowBytes(2000) });
  assert.equal(
    passing(() => world.send(a, frame)),
    3,
  );
});

test('a packet larger than the burst passes with a full bucket', () => {
  world.setMeter(a, 'out', { bytes: slowBytes(100) });
  assert.equal(
    passing(() => world.send(a, udp(ab, { ...ports, payload: Buffer.alloc(1400) }))),
    1,
  );
});

for (const [what, ip] of [
  ['IPv4', ab],
  ['IPv6', ab6],
] as const) {
  test(`a GSO packet of ${what} counts as the packets that it becomes, with the headers of each`, () => {
    const frame = tcp(ip, { ...ports, flags: TCP.syn, payload: Buffer.alloc(2000) });
    const headers = frame.length - 2000;
    world.setMeter(a, 'out', { packets: slow(8) });
    assert.equal(
      passing(() => world.send(a, frame, 500)),
      3,
      'four each: 4, 8, 12 of 8',
    );
    world.setMeter(a, 'out', { bytes: slowBytes(2000 + 4 * headers) });
    assert.equal(
      passing(() => world.send(a, frame, 500)),
      2,
    );
    world.setMeter(a, 'out', { bytes: slowBytes(2000 + 4 * headers - 1) });
    assert.equal(
      passing(() => world.send(a, frame, 500)),
      1,
    );
  });
}

test('what is refused by one limit is not paid at the other', () => {
  world.setMeter(a, 'out', { packets: slow(1), bytes: slowBytes(1_000_000) });
  passing(() => world.send(a, udp(ab, ports)));
  for (let n = 0; n < 100; n++) world.send(a, udp(ab, { ...ports, payload: Buffer.alloc(1400) }));
  world.changeMeter(a, 'out', { bytes: slowBytes(1_000_000) });
  assert.equal(world.send(a, udp(ab, ports)).verdict, 'vif b');
});

test('a changed limit holds from the next packet on; flows stay, no packet is lost', () => {
  world.setMeter(a, 'out', { packets: slow(1) });
  assert.equal(
    passing(() => world.send(a, udp(ab, ports))),
    2,
  );
  const flows = world.ways().map(({ flow, way }) => [flow, way.stamp]);
  for (const [meter, passes] of [
    [{ packets: { costNs: AN_HOUR_NS + 1, burst: 20 } }, 21],
    [{ packets: { costNs: AN_HOUR_NS, burst: 2 } }, 3],
    [{}, 50],
  ] as [Meter, number][]) {
    world.changeMeter(a, 'out', meter);
    assert.equal(
      passing(() => world.send(a, udp(ab, ports))),
      passes,
    );
  }
  assert.deepEqual(
    world.ways().map(({ flow, way }) => [flow, way.stamp]),
    flows,
    'nothing was decided again',
  );
});

test('a larger burst alone forgives nothing, and lets more pass', () => {
  world.setMeter(a, 'out', { packets: slow(2) });
  passing(() => world.send(a, udp(ab, ports)));
  world.changeMeter(a, 'out', { packets: slow(5) });
  assert.equal(
    passing(() => world.send(a, udp(ab, ports))),
    3,
  );
});

test('without the flag of its row the limits of a VIF are not asked', () => {
  world.setMeter(a, 'out', { packets: slow(0) });
  world.setVif(a, { mac: A, ip: '10.0.0.1', vni: VNI });
  assert.equal(
    passing(() => world.send(a, udp(ab, ports))),
    50,
  );
  world.setVif(a, { mac: A, ip: '10.0.0.1', vni: VNI, flags: DEFAULT_FLAGS | CB_VIF_F_METER });
});

for (const tos of [0, 1, 2, 3, 0xb8, 0xff]) {
  test(`the DSCP is written into IPv4 and IPv6 of traffic class ${tos}, what is said of congestion stays`, () => {
    world.setMeter(a, 'out', { dscp: 46 });
    const out = world.send(a, udp({ ...ab, tos }, ports));
    assert.equal(out.verdict, 'vif b');
    assert.equal(out.data[15], (46 << 2) | (tos & 3));
    assert.equal(checksum(out.data.subarray(14, 34)), 0, 'checksum of the header');
    const six = world.send(a, udp({ ...ab6, trafficClass: tos, flowLabel: 0xabcde }, ports)).data;
    assert.equal(Buffer.from(six).readUInt32BE(14), ((6 << 28) | (((46 << 2) | (tos & 3)) << 20) | 0xabcde) >>> 0);
  });
}

test('a DSCP of 0 is written, too; of what is received nothing is', () => {
  world.setMeter(a, 'out', { dscp: 0 });
  assert.equal(world.send(a, udp({ ...ab, tos: 0xb9 }, ports)).data[15], 1);
  world.setMeter(a, 'out', {});
  assert.equal(world.send(a, udp({ ...ab, tos: 0xb9 }, ports)).data[15], 0xb9);
});

test('a mark touches no frame that is not IP', () => {
  world.setMeter(a, 'out', { dscp: 46 });
  const request = arp({ src: A, dst: BROADCAST }, { op: 'request', sha: A, spa: '10.0.0.1', tpa: '10.0.0.77' });
  const out = world.send(a, request);
  assert.equal(out.verdict, 'flood 2 copies');
  assert.deepEqual(Buffer.from(out.data), Buffer.from(request));
});
