import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { checksum, type Ipv4, ipv4, PROTO, udp } from './packet.ts';
import { describeIpv4 } from './packet-text.ts';
import { type Guest, type Outcome, type Rule, World } from './world.ts';

const [V1, V2] = [501, 502];
const A = '02:00:00:00:01:0a';
const B = '02:00:00:00:02:0b';
const C = '02:00:00:00:02:0c';
const N = '02:00:00:00:01:0e';
const R1 = 'fa:16:3e:00:00:01';
const R2 = 'fa:16:3e:00:00:02';
const HOST = '192.0.2.7';
const POLICY = 60;
const MTU = 1200;
/** The largest size of at most 1,200 bytes. */
const SIZE = 1152;
/** The checksum is that of the whole. */
const FIRST = 'udp 1000 > 2000 BAD CHECKSUM';
const IN: Rule = { policy: POLICY, direction: 'ingress' };

let world: World;
let a: Guest;

before(() => {
  world = new World();
  a = world.addGuest('a', { mac: A, ip: '10.1.0.5', vni: V1, dhcpServer: '10.1.0.1', ip6: '2001:db8::5' });
  world.addGuest('b', { mac: B, ip: '10.2.0.5', vni: V2, policy: POLICY });
  world.addRule(IN);
  world.addRemote(V2, '10.2.0.9', C, HOST);
  world.addRemote(V1, '10.1.0.9', N, HOST);
  world.addRemote(V1, '2001:db8::9', N, HOST);
  world.addRouterInterface(1, { vni: V1, cidr: '10.1.0.0/24', ip: '10.1.0.1', mac: R1 });
  world.addRouterInterface(1, { vni: V2, cidr: '10.2.0.0/24', ip: '10.2.0.1', mac: R2, mtu: MTU });
  world.addServices(V1, ['169.254.169.254', 'fe80::a9fe:a9fe'], 1);
  world.addPeer(HOST);
});

after(() => world.close());

beforeEach(() => world.forgetFlows());

const toB: Ipv4 = { src: A, dst: R1, from: '10.1.0.5', to: '10.2.0.5', id: 77 };
const toC: Ipv4 = { ...toB, to: '10.2.0.9' };
const toN: Ipv4 = { src: A, dst: N, from: '10.1.0.5', to: '10.1.0.9', id: 77 };
const ports = { sport: 1000, dport: 2000 };
const datagram = (ip: Ipv4, bytes = 1300): Buffer => udp(ip, { ...ports, payload: Buffer.alloc(bytes, 1) });

/** The pieces that the fragmenter makes of what it was given: what a router does to it. */
function pieces({ data }: Outcome): Buffer[] {
  const packet = Buffer.from(data).subarray(14);
  const room = Math.floor((SIZE - 20) / 8) * 8;
  const body = packet.subarray(20);
  const cut: Buffer[] = [];
  for (let at = 0; at < body.length; at += room) {
    const part = body.subarray(at, at + room);
    const head = Buffer.from(packet.subarray(0, 20));
    head.writeUInt16BE(20 + part.length, 2);
    head.writeUInt16BE((at / 8) | (at + part.length < body.length ? 0x2000 : 0), 6);
    head[8] = (head[8] ?? 0) - 1;
    head.writeUInt16BE(0, 10);
    head.writeUInt16BE(checksum(head), 10);
    cut.push(Buffer.concat([data.subarray(0, 14), head, part]));
  }
  return cut;
}

test('a datagram that may be cut goes to the fragmenter, and its pieces where it would have gone', () => {
  for (const pass of ['first', 'established']) {
    const out = world.send(a, datagram(toB));
    assert.equal(out.verdict, 'fragmenter', pass);
    assert.match(describeIpv4(Buffer.from(out.data).subarray(14)), /10\.1\.0\.5 > 10\.2\.0\.5 ttl 64 udp/, 'as it was');
    const [first, second, ...others] = pieces(out).map((piece) => world.receivePiece(piece));
    assert.deepEqual([first?.verdict, second?.verdict, others.length], ['vif b', 'vif b', 0]);
    assert.equal(first?.packet, `${R2} > ${B} ip 10.1.0.5 > 10.2.0.5 ttl 63 ${FIRST}`);
    assert.equal(second?.packet, `${R2} > ${B} ip 10.1.0.5 > 10.2.0.5 ttl 63 fragment`);
  }
  assert.equal(world.ways().length, 2, 'no flow of their own');
});

test('to another host they are tunnelled', () => {
  for (const piece of pieces(world.send(a, datagram(toC))))
    assert.equal(world.receivePiece(piece).verdict, `overlay ${V2} ${HOST}`);
});

test('within a network nothing is routed: MACs and TTL stay', () => {
  for (const ttl of [1, 64, 254]) {
    const out = world.send(a, datagram({ ...toN, ttl }, 1500));
    assert.equal(out.verdict, 'fragmenter');
    const [piece = Buffer.alloc(0)] = pieces(out);
    const back = world.receivePiece(piece);
    assert.equal(back.verdict, `overlay ${V1} ${HOST}`);
    assert.equal(back.packet, `${A} > ${N} ip 10.1.0.5 > 10.1.0.9 ttl ${ttl} ${FIRST}`);
  }
});

test('the size goes along in the MAC: the largest that fits', () => {
  const sizeOf = (mtu: number): number => {
    world.addRouterInterface(1, { vni: V2, cidr: '10.2.0.0/24', ip: '10.2.0.1', mac: R2, mtu });
    world.raiseEpochs();
    const out = world.send(a, datagram(toB, 3300));
    assert.equal(out.verdict, 'fragmenter', `${mtu}`);
    const n = Buffer.from(out.data).readUInt32BE(8) >>> 26;
    return (8 + (n % 8)) << (3 + Math.floor(n / 8));
  };
  try {
    for (const [mtu, size] of [
      [68, 64],
      [72, 72],
      [576, 576],
      [1200, 1152],
      [1280, 1280],
      [1450, 1408],
      [1500, 1408],
      [3000, 2816],
    ] as const)
      assert.equal(sizeOf(mtu), size, `${mtu}`);
  } finally {
    world.addRouterInterface(1, { vni: V2, cidr: '10.2.0.0/24', ip: '10.2.0.1', mac: R2, mtu: MTU });
    world.raiseEpochs();
  }
});

test('later fragments are cut too', () => {
  assert.equal(world.send(a, datagram({ ...toB, moreFragments: true }, 800)).verdict, 'vif b');
  const later = ipv4({ ...toB, fragmentOffset: 808 }, PROTO.udp, Buffer.alloc(1300, 2));
  const out = world.send(a, later);
  assert.equal(out.verdict, 'fragmenter');
  for (const piece of pieces(out)) assert.equal(world.receivePiece(piece).verdict, 'vif b');
});

test('what may not be cut, and what has options, is refused; of a TTL that ends too that is told', () => {
  assert.equal(world.send(a, datagram({ ...toB, dontFragment: true })).verdict, 'vif a (too_big)');
  assert.equal(world.send(a, datagram({ ...toB, options: 4 })).verdict, 'drop too_big');
  assert.equal(world.send(a, datagram({ ...toB, ttl: 1 })).verdict, 'vif a (ttl_exceeded)');
});

test('what is not allowed is not cut', () => {
  world.removeRule(IN);
  assert.equal(world.send(a, datagram(toB)).verdict, 'drop policy_ingress');
  world.addRule(IN);
});

test('pieces of a flow that ended meanwhile, or that are of another, are dropped', () => {
  const out = world.send(a, datagram(toB));
  const [piece = Buffer.alloc(0)] = pieces(out);
  const other = Buffer.from(piece);
  other.writeUInt8(6, 14 + 19);
  assert.equal(world.receivePiece(other).verdict, 'drop stale_piece', 'another destination');
  const wrongLife = Buffer.from(piece);
  wrongLife.writeUInt32BE((wrongLife.readUInt32BE(8) ^ (1 << 18)) >>> 0, 8);
  assert.equal(world.receivePiece(wrongLife).verdict, 'drop stale_piece', 'a flow that had the record before');
  assert.equal(world.receivePiece(piece).verdict, 'vif b');
  world.forgetFlows();
  assert.equal(world.receivePiece(piece).verdict, 'drop stale_piece');
  assert.equal(world.receivePiece(Buffer.alloc(40)).verdict, 'drop stale_piece');
});

test('within a network errors come from the MAC of the address that tells them', () => {
  const out = world.send(a, datagram({ ...toN, dontFragment: true }, 1500));
  assert.equal(out.verdict, 'vif a (too_big)');
  assert.equal(out.packet, `${R1} > ${A} ip 10.1.0.1 > 10.1.0.5 ttl 255 icmp 3/4 id 0`);
  const ip6 = { src: A, dst: N, from: '2001:db8::5', to: '2001:db8::9' };
  const out6 = world.send(a, udp(ip6, { ...ports, payload: Buffer.alloc(1500) }));
  assert.equal(out6.verdict, 'vif a (too_big)');
  assert.match(out6.packet, /^fa:16:3e:ca:b1:e0 > 02:00:00:00:01:0a ip6 fe80::a9fe:a9fe > 2001:db8::5 /);
});
