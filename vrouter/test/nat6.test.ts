import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { echo6, ICMP6, icmp6Error, neighborAdvertisement, neighborSolicitation, solicitedNode } from './icmp6.ts';
import { addExternal, addFloating, addGateway, type Gateway, removeSnat, setSnat } from './outside.ts';
import { type Ipv6, ipv6, multicastMac, PROTO, sctp, TCP, tcp, udp } from './packet.ts';
import { type Guest, World } from './world.ts';

const [INSIDE, EXTERNAL, VRF] = [100, 900, 5];
const [A, B, R, G] = ['02:00:00:00:01:0a', '02:00:00:00:01:0b', '02:00:00:00:01:fe', '02:00:00:00:09:fe'] as const;
const N = '02:00:00:00:ee:01';
const [FIXED, HIDDEN] = ['fd00:1::5', 'fd00:1::6'] as const;
const [OUTER, FLOATING, S, NEXT] = ['2001:db8:9::7', '2001:db8::10', '2001:db8::2', '2001:db8::1'] as const;

const gateway: Gateway = { vrf: VRF, external: EXTERNAL, mac: G, ip: S, cidr: '2001:db8::/64', nexthop: NEXT };

let world: World;
let a: Guest;
let b: Guest;

const advertisement = (target: string, mac: string, dst = G): Buffer =>
  neighborAdvertisement({ src: mac, dst, from: target, to: S, hopLimit: 255 }, { target, mac });

before(() => {
  world = new World();
  addExternal(world, EXTERNAL);
  a = world.addGuest('a', { mac: A, ip: '10.0.0.5', vni: INSIDE, ip6: FIXED });
  b = world.addGuest('b', { mac: B, ip: '10.0.0.6', vni: INSIDE, ip6: HIDDEN });
  world.addRouterInterface(VRF, { vni: INSIDE, cidr: 'fd00:1::/64', ip: 'fd00:1::1', mac: R });
  addGateway(world, gateway);
  addFloating(world, { external: EXTERNAL, ip: FLOATING, fixed: FIXED, guest: a, vrf: VRF, mac: G });
});

after(() => world.close());

beforeEach(() => world.forgetFlows());

const ports = { sport: 1000, dport: 2000 };
const fromA: Ipv6 = { src: A, dst: R, from: FIXED, to: OUTER };
const fromB: Ipv6 = { src: B, dst: R, from: HIDDEN, to: OUTER };
const into = (to: string): Ipv6 => ({ src: N, dst: G, from: OUTER, to });

test('the next hop is asked by ND, with a sound message, and learned from its answer', () => {
  const first = world.send(a, udp(fromA, ports));
  assert.equal(first.verdict, 'wire (no_neighbour)');
  const [group, mac] = [solicitedNode(NEXT), multicastMac(solicitedNode(NEXT))];
  const expected = neighborSolicitation(
    { src: G, dst: mac, from: FLOATING, to: group, hopLimit: 255 },
    { target: NEXT, mac: G },
  );
  assert.deepEqual(Buffer.from(first.data).subarray(0, expected.length), expected);
  assert.ok(
    Buffer.from(first.data)
      .subarray(expected.length)
      .every((byte) => byte === 0),
  );
  assert.equal(world.arrive(advertisement(NEXT, N)).verdict, 'flood 0 copies');
  assert.equal(world.send(a, udp(fromA, ports)).verdict, 'wire');
});

test('a floating IPv6 address is translated both ways', () => {
  for (const [frame, text] of [
    [udp(fromA, ports), 'udp 1000 > 2000'],
    [tcp(fromA, { ...ports, flags: TCP.syn }), 'tcp 1000 > 2000'],
    [echo6(fromA, { id: 7 }), 'icmp6 128/0'],
    [sctp(fromA, ports), 'sctp 1000 > 2000'],
  ] as const) {
    for (const round of ['first', 'established'])
      assert.equal(world.send(a, frame).packet, `${G} > ${N} ip6 ${FLOATING} > ${OUTER} hop limit 63 ${text}`, round);
  }
  const got = world.arrive(udp(into(FLOATING), { sport: 2000, dport: 1000 }));
  assert.equal(got.verdict, 'vif a');
  assert.equal(got.packet, `${R} > ${A} ip6 ${OUTER} > ${FIXED} hop limit 63 udp 2000 > 1000`);
});

test('nobody outside sends with an address that nobody has', () => {
  for (const from of ['::', '::1', '::ffff:a00:5']) {
    const { verdict } = world.arrive(udp({ ...into(FLOATING), from }, ports));
    assert.equal(verdict, from.includes('ffff') ? 'drop malformed' : 'drop reverse_path', from);
  }
});

test('who has none leaves with a port of the router, or without translation if the router has no address for it', () => {
  const sent = world.send(b, udp(fromB, ports));
  const port = Number(/udp (\d+) > 2000$/.exec(sent.packet)?.[1]);
  assert.equal(sent.packet, `${G} > ${N} ip6 ${S} > ${OUTER} hop limit 63 udp ${port} > 2000`);
  const got = world.arrive(udp(into(S), { sport: 2000, dport: port }));
  assert.equal(got.packet, `${R} > ${B} ip6 ${OUTER} > ${HIDDEN} hop limit 63 udp 2000 > 1000`);
  const echo = world.send(b, echo6(fromB, { id: 1000 }));
  const id = Buffer.from(echo.data).readUInt16BE(58);
  assert.equal(echo.packet, `${G} > ${N} ip6 ${S} > ${OUTER} hop limit 63 icmp6 128/0`);
  const back = world.arrive(echo6(into(S), { id, reply: true }));
  assert.equal(back.packet, `${R} > ${B} ip6 ${OUTER} > ${HIDDEN} hop limit 63 icmp6 129/0`);
  assert.equal(Buffer.from(back.data).readUInt16BE(58), 1000);
  removeSnat(world, VRF);
  world.raiseEpoch(EXTERNAL);
  assert.equal(world.send(b, udp(fromB, ports)).verdict, 'drop nat_gone');
  assert.equal(
    world.send(b, udp(fromB, ports)).packet,
    `${G} > ${N} ip6 ${HIDDEN} > ${OUTER} hop limit 63 udp 1000 > 2000`,
  );
  setSnat(world, gateway);
  world.raiseEpoch(EXTERNAL);
});

test('errors are translated, with the packet that they quote', () => {
  const port = Number(/udp (\d+) > 2000$/.exec(world.send(b, udp(fromB, ports)).packet)?.[1]);
  const quoted = udp({ src: G, dst: N, from: S, to: OUTER }, { ...ports, sport: port });
  const got = world.arrive(
    icmp6Error({ ...into(S), from: '2001:db8:7::1' }, { type: ICMP6.tooBig, word: 1300 }, quoted),
  );
  assert.equal(got.verdict, 'vif b');
  assert.equal(got.packet, `${R} > ${B} ip6 2001:db8:7::1 > ${HIDDEN} hop limit 63 icmp6 2/0`);
  assert.deepEqual(Buffer.from(got.data).subarray(62), udp(fromB, ports).subarray(14));
});

test('later fragments are translated', () => {
  const whole = udp(fromB, { ...ports, payload: Buffer.alloc(64, 1) }).subarray(54);
  const piece = (from: number, to: number, more: boolean): Buffer =>
    ipv6({ ...fromB, fragment: { id: 9, offset: from, more } }, PROTO.udp, whole.subarray(from, to));
  assert.equal(world.send(b, piece(0, 40, true)).verdict, 'wire');
  assert.equal(
    world.send(b, piece(40, 72, false)).packet,
    `${G} > ${N} ip6 ${S} > ${OUTER} hop limit 63 fragmented fragment`,
  );
});

test('solicitations for addresses of ours are answered on the uplink, and who asks is known', () => {
  const X = '02:00:00:00:ee:02';
  const ask = (target: string): Buffer =>
    neighborSolicitation(
      {
        src: X,
        dst: multicastMac(solicitedNode(target)),
        from: '2001:db8::77',
        to: solicitedNode(target),
        hopLimit: 255,
      },
      { target, mac: X },
    );
  for (const target of [FLOATING, S]) {
    const out = world.arrive(ask(target));
    assert.equal(out.verdict, 'wire');
    assert.equal(out.packet, `${G} > ${X} ip6 ${target} > 2001:db8::77 hop limit 255 icmp6 136/0`);
  }
  assert.equal(world.arrive(ask('2001:db8::99')).verdict, 'pass');
  const sent = world.send(a, udp({ ...fromA, to: '2001:db8::77' }, ports));
  assert.match(sent.packet, new RegExp(`^${G} > ${X} ip6 ${FLOATING}`));
});
