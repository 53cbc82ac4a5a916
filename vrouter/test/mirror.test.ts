import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, beforeEach, test } from 'node:test';
import { CB_STEP_MIRROR, CB_VIF_F_ADMIN_UP } from '../../packages/agent/src/bpf/abi.gen.ts';
import { removePins } from '../../packages/agent/src/bpf/pin.ts';
import {
  addMirrored,
  addMirrorPeer,
  type Direction,
  type Mirror,
  markOf,
  mirroredBy,
  setMirrors,
  type Target,
  type Term,
} from './mirrors.ts';
import { arp, BROADCAST, type Ipv4, type Ipv6, icmp, PROTO, TCP, tcp, udp } from './packet.ts';
import { AGENT_MAC, DEFAULT_FLAGS, type Guest, type Outcome, World } from './world.ts';

const [VNI, COPIES] = [940, 941];
const [A, B, C, D, FAR] = [10, 11, 12, 13, 14].map((n) => `02:00:00:00:00:${n.toString(16).padStart(2, '0')}`) as [
  string,
  string,
  string,
  string,
  string,
];
const [PEER, STRANGER, SELF, COLLECTOR] = ['192.0.2.1', '192.0.2.2', '192.0.2.100', '192.0.2.50'];
const PINS = `/sys/fs/bpf/cable-test-mirrors-${randomBytes(6).toString('hex')}`;
const DENIES = 77;

let world: World;
let a: Guest;
let b: Guest;
let watcher: Guest;

before(() => {
  world = new World(5, undefined, { mirrors: SELF, pinnedMaps: `${PINS}/maps` });
  a = addMirrored(world, 'a', { mac: A, ip: '10.0.0.1', ip6: '2001:db8::1', vni: VNI, dhcpServer: '10.0.0.254' });
  b = addMirrored(world, 'b', { mac: B, ip: '10.0.0.2', ip6: '2001:db8::2', vni: VNI });
  watcher = addMirrored(world, 'watcher', { mac: C, ip: '10.0.0.3', vni: VNI });
  world.addGuest('silent', { mac: D, ip: '10.0.0.4', vni: VNI, policy: DENIES });
  world.addRemote(VNI, '10.0.0.9', FAR, PEER);
  world.addPeer(PEER);
  world.addPeer(STRANGER, []);
  world.setFlood(VNI, [{ guest: a }, { guest: b }]);
});

after(() => {
  world.close();
  removePins(PINS);
});

beforeEach(() => {
  world.forgetFlows();
  for (const guest of [a, b, watcher]) mirrorsOf(guest, [], []);
});

const ab: Ipv4 = { src: A, dst: B, from: '10.0.0.1', to: '10.0.0.2' };
const ba: Ipv4 = { src: B, dst: A, from: '10.0.0.2', to: '10.0.0.1' };
const ab6: Ipv6 = { src: A, dst: B, from: '2001:db8::1', to: '2001:db8::2' };
const toFar: Ipv4 = { ...ab, dst: FAR, to: '10.0.0.9' };
const fromFar: Ipv4 = { src: FAR, dst: A, from: '10.0.0.9', to: '10.0.0.1' };
const ports = { sport: 1000, dport: 2000 };
const request = arp({ src: A, dst: BROADCAST }, { op: 'request', sha: A, spa: '10.0.0.1', tpa: '10.0.0.2' });

function mirrorsOf(guest: Guest, out: readonly Mirror[], received: readonly Mirror[]): void {
  setMirrors(world, guest, 'out', out);
  setMirrors(world, guest, 'in', received);
}

const here = (number: number, more: Partial<Mirror> = {}): Mirror => ({ number, to: { guest: watcher }, ...more });

/** Copies that the watcher got while this ran. */
function copies(run: () => void): number {
  const seen = world.sentTo(watcher);
  run();
  return world.sentTo(watcher) - seen;
}

test('a frame with a tag within its tag is not copied: to the watcher it would be one of its VLAN', () => {
  const frame = udp(ab, ports);
  const tag = Buffer.from([0x81, 0, 0, 200]);
  const within = Buffer.concat([frame.subarray(0, 12), tag, frame.subarray(12)]);
  mirrorsOf(a, [here(1)], []);
  const lost = mirroredBy(world, 1).lost;
  assert.equal(
    copies(() => assert.equal(world.sendTagged(a, 0, within).verdict, 'drop unsupported_ethertype')),
    0,
  );
  assert.equal(mirroredBy(world, 1).lost, lost + 1n);
  assert.equal(
    copies(() => assert.equal(world.sendTagged(a, 0, frame).verdict, 'vif b')),
    1,
    'of priority alone',
  );
});

for (const [what, frame, verdict] of [
  ['to a guest of this host', udp(ab, ports), 'vif b'],
  ['IPv6', udp(ab6, ports), 'vif b'],
  ['to another host', udp(toFar, ports), `overlay ${VNI} ${PEER}`],
  ['to a guest that lets nothing in', udp({ ...ab, dst: D, to: '10.0.0.4' }, ports), 'drop policy_ingress'],
  ['with another’s address', udp({ ...ab, from: '10.0.0.66' }, ports), 'drop spoofed_ip'],
  ['ARP', request, 'vif a'],
  ['broadcast', udp({ ...ab, dst: BROADCAST, to: '255.255.255.255' }, ports), 'flood 1 copies'],
  ['no packet at all', Buffer.alloc(60), 'drop unsupported_ethertype'],
  ['half a header', udp(ab, ports).subarray(0, 36), 'drop malformed'],
] as const) {
  test(`what a VIF sends is copied, and fares as without a mirror: ${what}`, () => {
    const without = world.send(a, frame);
    assert.equal(without.verdict, verdict);
    world.forgetFlows();
    mirrorsOf(a, [here(1)], []);
    let sent: Outcome | undefined;
    assert.equal(
      copies(() => {
        sent = world.send(a, frame);
      }),
      1,
    );
    assert.equal(sent?.verdict, verdict);
    assert.deepEqual(sent?.data, without.data);
    assert.equal(mirroredBy(world, 1).packets, 1n);
    assert.equal(mirroredBy(world, 1).bytes, BigInt(frame.length));
  });
}

for (const [what, send, verdict] of [
  ['from a guest of this host', () => world.send(b, udp(ba, ports)), 'vif a'],
  ['from another host', () => world.receive({ vni: VNI, from: PEER }, udp(fromFar, ports)), 'vif a'],
  ['a broadcast', () => world.send(b, udp({ ...ba, dst: BROADCAST, to: '255.255.255.255' }, ports)), 'flood 1 copies'],
  ['an answer of the vrouter', () => world.send(a, request), 'vif a'],
  [
    'an answer of the agent',
    () =>
      world.serve(
        udp(
          { src: AGENT_MAC, dst: AGENT_MAC, from: '198.18.0.1', to: a.service },
          { sport: 67, dport: 68, payload: Buffer.alloc(300) },
        ),
      ),
    'vif a',
  ],
] as const) {
  test(`what a VIF receives is copied: ${what}`, () => {
    mirrorsOf(a, [], [here(1)]);
    assert.equal(
      copies(() => assert.equal(send().verdict, verdict)),
      1,
    );
    assert.equal(mirroredBy(world, 1).packets, 1n);
  });
}

test('what a VIF is refused is not copied: only what it receives', () => {
  mirrorsOf(a, [], [here(1)]);
  assert.equal(
    copies(() => assert.match(world.send(b, udp({ ...ba, from: '10.0.0.66' }, ports)).verdict, /^drop/)),
    0,
  );
});

test('a copy is not copied again: by a mirror of who watches, in a ring, by both directions of one mirror', () => {
  mirrorsOf(a, [here(1)], [here(1)]);
  mirrorsOf(watcher, [{ number: 2, to: { guest: a } }], [{ number: 2, to: { guest: a } }]);
  mirrorsOf(b, [here(3)], []);
  const seen = world.sentTo(a);
  assert.equal(
    copies(() => assert.equal(world.send(a, udp(ab, ports)).verdict, 'vif b')),
    1,
  );
  assert.equal(world.sentTo(a), seen);
  assert.equal(
    copies(() => assert.equal(world.send(b, udp(ba, ports)).verdict, 'vif a')),
    2,
    'what b sends, and what a receives',
  );
  assert.equal(world.sentTo(a), seen);
  assert.equal(mirroredBy(world, 2).packets, 0n);
});

test('what who watches itself sends and receives is copied as anybody’s', () => {
  mirrorsOf(watcher, [{ number: 2, to: { guest: b } }], []);
  const seen = world.sentTo(b);
  world.send(watcher, udp({ ...ab, src: C, dst: A, from: '10.0.0.3', to: '10.0.0.1' }, ports));
  assert.equal(world.sentTo(b), seen + 1);
});

test('each of several mirrors gets its copy', () => {
  mirrorsOf(a, [here(1), here(2), here(3), here(4)], []);
  assert.equal(
    copies(() => world.send(a, udp(ab, ports))),
    4,
  );
});

const fragments = { id: 7, moreFragments: true };
const cases: readonly (readonly [string, Term, Direction, Uint8Array, boolean])[] = [
  ['a protocol', { protocol: PROTO.udp }, 'out', udp(ab, ports), true],
  ['another protocol', { protocol: PROTO.tcp }, 'out', udp(ab, ports), false],
  ['a protocol in IPv6', { protocol: PROTO.udp }, 'out', udp(ab6, ports), true],
  ['a prefix of the receiver', { other: '10.0.0.0/30' }, 'out', udp(ab, ports), true],
  ['a prefix that it is not in', { other: '10.0.0.4/30' }, 'out', udp(ab, ports), false],
  ['a prefix, of IPv6', { other: '2001:db8::/64' }, 'out', udp(ab6, ports), true],
  ['a prefix of IPv4, IPv6 packet', { other: '0.0.0.0/0' }, 'out', udp(ab6, ports), false],
  ['a prefix of the sender', { other: '10.0.0.2/32' }, 'in', udp(ba, ports), true],
  ['the VIF’s own address is not the other end', { other: '10.0.0.1/32' }, 'in', udp(ba, ports), false],
  ['a destination port', { protocol: PROTO.udp, ports: [2000, 2000] }, 'out', udp(ab, ports), true],
  ['a source port', { ports: [900, 1000] }, 'out', udp(ab, ports), true],
  ['ports beside', { ports: [1001, 1999] }, 'out', udp(ab, ports), false],
  ['a port, of TCP', { ports: [80, 80] }, 'out', tcp(ab, { sport: 4000, dport: 80, flags: TCP.syn }), true],
  ['a port, of what has none', { ports: [0, 65535] }, 'out', icmp(ab, { type: 8, code: 0, id: 1 }), false],
  ['no IP', { protocol: PROTO.udp }, 'out', request, false],
  ['a first fragment', { ports: [2000, 2000] }, 'out', udp({ ...ab, ...fragments }, ports), true],
  [
    'a later fragment, whose ports nobody knows',
    { protocol: PROTO.udp, ports: [2000, 2000] },
    'out',
    udp({ ...ab, ...fragments, fragmentOffset: 64 }, ports),
    true,
  ],
  [
    'a port behind extension headers',
    { protocol: PROTO.udp, ports: [2000, 2000] },
    'out',
    udp(
      {
        ...ab6,
        extensions: [
          { protocol: 0, body: Buffer.alloc(6) },
          { protocol: 60, body: Buffer.alloc(14) },
        ],
      },
      ports,
    ),
    true,
  ],
  [
    'a port in a first fragment of IPv6',
    { protocol: PROTO.udp, ports: [2000, 2000] },
    'out',
    udp({ ...ab6, fragment: { id: 9, more: true } }, ports),
    true,
  ],
];

for (const [what, term, direction, frame, wanted] of cases) {
  test(`a filter ${wanted ? 'takes' : 'leaves'}: ${what}`, () => {
    mirrorsOf(a, [], []);
    setMirrors(world, a, direction, [here(1, { terms: [{ protocol: 250 }, term] })]);
    assert.equal(
      copies(() => world.send(direction === 'out' ? a : b, frame)),
      wanted ? 1 : 0,
    );
  });
}

test('what a mirror may not copy any more is counted; the packets go on', () => {
  mirrorsOf(a, [here(1, { limit: { costNs: 1_000_000_000, burst: 150 } })], []);
  const frame = udp(ab, { ...ports, payload: Buffer.alloc(58) });
  const before = world.countersOf(a).drops.get('mirror_rate') ?? 0;
  assert.equal(
    copies(() => {
      for (let n = 0; n < 5; n++) assert.equal(world.send(a, frame).verdict, 'vif b');
    }),
    2,
    '100 bytes and 100 more: one that begins a debt passes',
  );
  assert.equal(mirroredBy(world, 1).over, 3n);
  assert.equal((world.countersOf(a).drops.get('mirror_rate') ?? 0) - before, 3);
});

test('nobody who watches: copies are lost and counted, packets go on', () => {
  world.setVif(watcher, { mac: C, ip: '10.0.0.3', vni: VNI, flags: DEFAULT_FLAGS & ~CB_VIF_F_ADMIN_UP });
  mirrorsOf(a, [here(1)], []);
  assert.equal(
    copies(() => assert.equal(world.send(a, udp(ab, ports)).verdict, 'vif b')),
    0,
  );
  assert.equal(mirroredBy(world, 1).lost, 1n);
  world.setVif(watcher, { mac: C, ip: '10.0.0.3', vni: VNI });
});

/** A copy for this target as it comes out of cablem1. */
function out(to: Target, frame: Uint8Array, gsoSize = 0): Outcome {
  const mirror = { number: 70_000, to };
  mirrorsOf(a, [mirror], []);
  return world.comeOut(frame, markOf(a, 'out', mirror), gsoSize);
}

test('copies for elsewhere go into cablem0', () => {
  mirrorsOf(a, [{ number: 1, to: { host: PEER, vni: COPIES } }], []);
  const seen = world.sentTo('mirrors');
  assert.equal(world.send(a, udp(ab, ports)).verdict, 'vif b');
  assert.equal(world.sentTo('mirrors'), seen + 1);
});

test('by ERSPAN: type II, the session, numbers in sequence, the frame', () => {
  const frame = udp(ab, ports);
  const { verdict, data } = out({ erspan: COLLECTOR, session: 1000 }, frame);
  assert.equal(verdict, `collector 1000 ${COLLECTOR}`);
  const head = Buffer.from(data.subarray(14, 50));
  assert.equal(head.readUInt16BE(2), 36 + frame.length, 'length');
  assert.equal(head.readUInt16BE(6), 0x4000, 'do not fragment');
  assert.equal(head[9], PROTO.gre);
  assert.deepEqual([...head.subarray(12, 20)], [...SELF.split('.'), ...COLLECTOR.split('.')].map(Number));
  assert.deepEqual([head.readUInt16BE(20), head.readUInt16BE(22), head.readUInt32BE(24)], [0x1000, 0x88be, 0]);
  assert.deepEqual([head.readUInt32BE(28), head.readUInt32BE(32)], [0x10000000 + 1000, 0]);
  assert.deepEqual(Buffer.from(data.subarray(50)), Buffer.from(frame));
  const again = world.comeOut(frame, markOf(a, 'out', { number: 70_000, to: { guest: a } }));
  assert.equal(Buffer.from(again.data).readUInt32BE(14 + 24), 1);
});

test('by GRE: the key, the frame', () => {
  const frame = udp(ab, ports);
  const { verdict, data } = out({ gre: COLLECTOR, key: 0xabcdef01 }, frame);
  assert.equal(verdict, `collector ${0xabcdef01} ${COLLECTOR}`);
  const head = Buffer.from(data.subarray(14, 42));
  assert.deepEqual([head.readUInt16BE(20), head.readUInt16BE(22), head.readUInt32BE(24)], [0x2000, 0x6558, 0xabcdef01]);
  assert.deepEqual(Buffer.from(data.subarray(42)), Buffer.from(frame));
});

test('IPv6 and what is no IP goes to a collector, too', () => {
  const frame = udp(ab6, ports);
  const ipv6 = out({ erspan: COLLECTOR, session: 5 }, frame);
  assert.equal(ipv6.verdict, `collector 5 ${COLLECTOR}`);
  assert.deepEqual(Buffer.from(ipv6.data.subarray(50)), Buffer.from(frame));
  const first = out({ erspan: COLLECTOR, session: 5 }, request);
  assert.equal(first.verdict, `mirrored anew 5 ${COLLECTOR}`, 'received anew as what it is now');
  const second = world.comeOut(first.data, first.mark);
  assert.equal(second.verdict, `collector 5 ${COLLECTOR}`);
  assert.deepEqual(second.data, first.data);
  assert.deepEqual(Buffer.from(second.data.subarray(50)), Buffer.from(request));
});

test('a GSO packet of a kind that does not go into a tunnel is cut into segments first', () => {
  // Of a kind that nobody knows: that it is TCP cannot be said in such a run.
  const frame = tcp(ab, { sport: 1, dport: 2, flags: TCP.ack, payload: Buffer.alloc(3000) });
  const { verdict, data, mark } = out({ erspan: COLLECTOR, session: 5 }, frame, 1000);
  assert.equal(verdict, 'mirrored anew 5 0.0.0.0');
  assert.deepEqual(Buffer.from(data), Buffer.from(frame));
  assert.equal(mark, markOf(a, 'out', { number: 70_000, to: { guest: a } }));
});

test('what the way does not take is cut, and said to be in ERSPAN', () => {
  const frame = udp(ab, { ...ports, payload: Buffer.alloc(1472) });
  const { verdict, data } = out({ erspan: COLLECTOR, session: 3 }, frame);
  assert.equal(verdict, `collector 3 ${COLLECTOR}`);
  assert.equal(data.length, 14 + 1500);
  assert.equal(Buffer.from(data).readUInt16BE(16), 1500);
  assert.equal(Buffer.from(data).readUInt32BE(42), 0x10000000 + 0x400 + 3);
  assert.deepEqual(Buffer.from(data.subarray(50)), Buffer.from(frame.subarray(0, 1464)));
  assert.equal(mirroredBy(world, 70_000).cut, 1n);
  assert.equal(out({ gre: COLLECTOR, key: 3 }, frame).data.length, 14 + 1500);
});

test('a collector that no route leads to: copies are lost, and counted', () => {
  assert.equal(out({ gre: '203.0.113.9', key: 1 }, udp(ab, ports)).verdict, 'drop mirror_lost');
  assert.equal(mirroredBy(world, 70_000).lost, 1n);
  assert.equal(out({ gre: SELF, key: 1 }, udp(ab, ports)).verdict, 'drop mirror_lost', 'this host itself');
});

test('to another host: by the overlay device, with a VNI that is the mirror’s', () => {
  const frame = udp(ab, ports);
  const { verdict, data } = out({ host: PEER, vni: COPIES }, frame);
  assert.equal(verdict, `overlay ${COPIES} ${PEER}`);
  assert.deepEqual(Buffer.from(data), Buffer.from(frame));
  const long = out({ host: PEER, vni: COPIES }, udp(ab, { ...ports, payload: Buffer.alloc(1600) }));
  assert.equal(long.data.length, 1514, 'the device takes 1,500 bytes');
});

test('copies of another host go to who watches here as they are, from hosts that may, and are not copied', () => {
  addMirrorPeer(world, PEER, COPIES, watcher);
  mirrorsOf(watcher, [], [{ number: 2, to: { guest: b } }]);
  for (const frame of [udp(ab, ports), request, udp({ ...ab, from: '10.0.0.3' }, ports), Buffer.alloc(40)]) {
    const { verdict, data } = world.receive({ vni: COPIES, from: PEER }, frame);
    assert.equal(verdict, 'vif watcher');
    assert.deepEqual(Buffer.from(data), Buffer.from(frame));
  }
  assert.equal(mirroredBy(world, 2).packets, 0n);
  assert.equal(world.receive({ vni: COPIES, from: STRANGER }, udp(ab, ports)).verdict, 'drop unknown_peer');
  assert.equal(
    world.receive({ vni: COPIES, from: PEER }, udp(ab, { ...ports, payload: Buffer.alloc(1600) })).data.length,
    1464,
  );
});

test('to a VIF of this host whose device takes less: cut, beside', () => {
  const frame = udp(ab, { ...ports, payload: Buffer.alloc(1600) });
  mirrorsOf(a, [here(1)], []);
  const seen = world.sentTo('mirrors');
  assert.equal(
    copies(() => world.send(a, frame)),
    0,
  );
  assert.equal(world.sentTo('mirrors'), seen + 1);
  const { verdict, data } = world.comeOut(frame, markOf(a, 'out', here(1)));
  assert.equal(verdict, 'vif watcher');
  assert.equal(data.length, 1464);
});

test('what nobody sent into cablem0 goes nowhere', () => {
  const mirror = { number: 70_000, to: { guest: watcher } };
  mirrorsOf(a, [mirror], []);
  const frame = udp(ab, ports);
  const mark = markOf(a, 'out', mirror);
  for (const wrong of [0, 1, 0xffffffff, markOf(a, 'in', mirror), mark ^ (1 << 20), markOf(b, 'out', mirror)])
    assert.equal(world.comeOut(frame, wrong).verdict, 'drop not_programmed', `mark ${wrong}`);
  assert.equal(world.comeOut(frame, mark).verdict, 'vif watcher');
});

test('a trace tells of the copies, and makes none', () => {
  mirrorsOf(a, [here(1), here(9, { terms: [{ protocol: PROTO.tcp }] })], []);
  setMirrors(world, b, 'in', [here(2)]);
  const seen = [world.sentTo(watcher), mirroredBy(world, 1).packets];
  const { steps } = world.trace(a, udp(ab, ports));
  const told = steps
    .filter(({ kind }) => kind === CB_STEP_MIRROR)
    .map(({ id, a: direction, b: vif }) => [id, direction, vif]);
  assert.deepEqual(told, [
    [1, 1, a.vif],
    [2, 0, b.vif],
  ]);
  assert.deepEqual([world.sentTo(watcher), mirroredBy(world, 1).packets], seen);
});
