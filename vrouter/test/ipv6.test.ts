/** IPv6 as IPv4: forwarding, routing, neighbours, anti-spoofing, policies, flows, errors, fragments, extension headers. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { CB_VIF_F_DHCP6, CB_VIF_F_RA } from '../../packages/agent/src/bpf/abi.gen.ts';
import {
  echo6,
  ICMP6,
  icmp6,
  icmp6Error,
  listenerReport2,
  neighborAdvertisement,
  neighborSolicitation,
  redirect6,
  routerAdvertisement,
  routerSolicitation,
  solicitedNode,
} from './icmp6.ts';
import { checksum, type Ipv6, ipv6, multicastMac, PROTO, pseudoHeader, sctp, TCP, tcp, udp } from './packet.ts';
import { describe as words } from './packet-text.ts';
import { AGENT_MAC, DEFAULT_FLAGS, type Guest, linkLocal, OPEN_FLAGS, type Rule, SERVICE_MAC, World } from './world.ts';

const [V1, V2, SMALL] = [610, 611, 612];
const HOST = '192.0.2.9';
const [A, B, C, FAR, OPEN] = ['0a', '0b', '0c', '0f', '0e'].map((n) => `02:00:00:00:06:${n}`) as [
  string,
  string,
  string,
  string,
  string,
];
const [R1, R2, R3] = ['01', '02', '03'].map((n) => `fa:16:3e:00:06:${n}`) as [string, string, string];
const [PA, PB] = [70, 71];
const [a6, b6, c6, far6, open6] = ['2001:db8:1::a', '2001:db8:1::b', '2001:db8:2::c', '2001:db8:1::f', '2001:db8:1::e'];

let world: World;
let a: Guest;
let b: Guest;
let c: Guest;
let open: Guest;

const RULES: readonly Rule[] = [
  { policy: PA, direction: 'egress', family: 6 },
  { policy: PB, direction: 'ingress', family: 6, protocol: PROTO.udp },
  { policy: PB, direction: 'ingress', family: 6, protocol: PROTO.tcp, port: 80 },
  { policy: PB, direction: 'ingress', family: 6, protocol: PROTO.icmp6, port: ICMP6.echo << 8, bits: 8 },
];

before(() => {
  world = new World();
  const router6 = linkLocal(R1);
  a = world.addGuest('a', { mac: A, ip: '10.6.0.1', ip6: a6, vni: V1, policy: PA, router6 });
  b = world.addGuest('b', { mac: B, ip: '10.6.0.2', ip6: b6, vni: V1, policy: PB, router6 });
  c = world.addGuest('c', { mac: C, ip: '10.6.1.1', ip6: c6, vni: V2 });
  open = world.addGuest('open', { mac: OPEN, ip: '10.6.0.9', ip6: open6, vni: V1, flags: OPEN_FLAGS });
  world.addRemote(V1, far6, FAR, HOST);
  world.addRouterInterface(1, { vni: V1, cidr: '2001:db8:1::/64', ip: '2001:db8:1::1', mac: R1 });
  world.addRouterInterface(1, { vni: V2, cidr: '2001:db8:2::/64', ip: '2001:db8:2::1', mac: R2 });
  world.addRouterInterface(1, { vni: SMALL, cidr: '2001:db8:3::/64', ip: '2001:db8:3::1', mac: R3, mtu: 1280 });
  world.addRemote(SMALL, '2001:db8:3::5', '02:00:00:00:06:05', HOST);
  world.addRoute(1, '::/0', { vni: V2, mac: R2, nexthop: c6 });
  world.addServices(V1, ['fe80::a9fe:a9fe'], 1);
  world.addPeer(HOST);
  world.setFlood(V1, [{ guest: a }, { guest: b }, { host: HOST }]);
  for (const rule of RULES) world.addRule(rule);
});

after(() => world.close());

beforeEach(() => world.forgetFlows());

const ab: Ipv6 = { src: A, dst: B, from: a6, to: b6 };
const ba: Ipv6 = { src: B, dst: A, from: b6, to: a6 };
const ports = { sport: 1000, dport: 2000 };
const back = { sport: 2000, dport: 1000 };

describe('forwarding', () => {
  test('within a network, first and established, and the answer without a rule', () => {
    for (const pass of ['first', 'established']) {
      const out = world.send(a, udp(ab, ports));
      assert.equal(out.verdict, 'vif b', pass);
      assert.deepEqual(Buffer.from(out.data), udp(ab, ports));
      assert.equal(world.send(b, udp(ba, back)).verdict, 'vif a', pass);
    }
    assert.equal(world.send(b, udp(ba, { sport: 2000, dport: 1001 })).verdict, 'drop policy_egress');
  });

  test('link-local addresses, too', () => {
    const there = { ...ab, from: linkLocal(A), to: linkLocal(B) };
    assert.equal(world.send(a, udp(there, ports)).verdict, 'vif b');
  });

  test('to and from another host', () => {
    assert.equal(world.send(a, udp({ ...ab, dst: FAR, to: far6 }, ports)).verdict, `overlay ${V1} ${HOST}`);
    const answer: Ipv6 = { src: FAR, dst: A, from: far6, to: a6 };
    assert.equal(world.receive({ vni: V1, from: HOST }, udp(answer, back)).verdict, 'vif a');
    assert.equal(
      world.receive({ vni: V1, from: HOST }, udp({ ...answer, from: b6 }, back)).verdict,
      'drop spoofed_peer',
    );
  });

  test('through a router: other MACs, hop limit less one; by a next hop where no subnet has it', () => {
    for (const [to, text] of [
      [c6, `${R2} > ${C} ip6 ${a6} > ${c6} hop limit 63 udp 1000 > 2000`],
      ['2001:db8:ffff::9', `${R2} > ${C} ip6 ${a6} > 2001:db8:ffff::9 hop limit 63 udp 1000 > 2000`],
    ] as const) {
      for (const pass of ['first', 'established']) {
        const out = world.send(a, udp({ ...ab, dst: R1, to }, ports));
        assert.equal(out.verdict, 'vif c', pass);
        assert.equal(out.packet, text, pass);
      }
    }
    const answer = world.send(c, udp({ src: C, dst: R2, from: c6, to: a6 }, back));
    assert.equal(answer.packet, `${R1} > ${A} ip6 ${c6} > ${a6} hop limit 63 udp 2000 > 1000`);
  });

  test('a router sends no link-local address on', () => {
    const local = { ...ab, dst: R1, from: linkLocal(A), to: c6 };
    assert.equal(world.send(a, udp(local, ports)).verdict, 'drop no_route');
    assert.equal(world.send(a, udp({ ...ab, dst: R1, to: 'fe80::77' }, ports)).verdict, 'drop no_route');
  });

  test('a gateway answers pings', () => {
    const out = world.send(a, echo6({ ...ab, dst: R1, to: '2001:db8:1::1' }, { id: 7 }));
    assert.equal(out.verdict, 'vif a');
    assert.equal(out.packet, `${R1} > ${A} ip6 2001:db8:1::1 > ${a6} hop limit 64 icmp6 129/0`);
  });

  test('IPv4 and IPv6 of one guest are two flows; rules of one family say nothing of the other', () => {
    const four = udp({ src: A, dst: B, from: '10.6.0.1', to: '10.6.0.2' }, ports);
    assert.equal(world.send(a, udp(ab, ports)).verdict, 'vif b');
    assert.equal(world.send(a, four).verdict, 'drop policy_egress');
  });

  test('an IPv4 address in an IPv6 header is none', () => {
    for (const wrong of [
      { ...ab, from: '::ffff:a06:1' },
      { ...ab, to: '::ffff:a06:2' },
      { ...ab, from: 'ff02::1' },
    ]) {
      assert.equal(world.send(open, udp({ ...wrong, src: OPEN }, ports)).verdict, 'drop malformed');
    }
  });
});

describe('errors of a router', () => {
  test('the hop limit ends here', () => {
    const sent = udp({ ...ab, dst: R1, to: c6, hopLimit: 1 }, ports);
    const out = world.send(a, sent);
    assert.equal(out.verdict, 'vif a (ttl_exceeded)');
    assert.equal(out.packet, `${R1} > ${A} ip6 ${linkLocal(R1)} > ${a6} hop limit 255 icmp6 3/0`);
    assert.deepEqual(Buffer.from(out.data).subarray(62), sent.subarray(14, 14 + 48));
  });

  for (const [what, frame] of [
    ['UDP', udp({ ...ab, dst: R1, to: '2001:db8:3::5' }, { ...ports, payload: Buffer.alloc(1300) })],
    ['TCP', tcp({ ...ab, dst: R1, to: '2001:db8:3::5' }, { ...ports, flags: TCP.syn, payload: Buffer.alloc(1300) })],
  ] as const) {
    test(`${what} too big for the next network`, () => {
      const out = world.send(a, frame);
      assert.equal(out.verdict, 'vif a (too_big)');
      assert.equal(out.packet, `${R1} > ${A} ip6 ${linkLocal(R1)} > ${a6} hop limit 255 icmp6 2/0`);
      assert.equal(Buffer.from(out.data).readUInt32BE(58), 1280);
    });
  }

  test('an error about an error is not sent', () => {
    world.send(c, udp({ src: C, dst: R2, from: c6, to: a6 }, ports));
    const error = icmp6Error(
      { ...ab, dst: R1, to: c6, hopLimit: 1 },
      { type: 1 },
      udp({ src: C, dst: R2, from: c6, to: a6 }, ports),
    );
    assert.match(world.send(a, error).verdict, /^drop /);
  });
});

const asks = (guest: Guest, from: string, target: string, over: Partial<Ipv6> = {}): Ipv6 => ({
  ...{ src: guest.mac, dst: multicastMac(solicitedNode(target)), from, to: solicitedNode(target) },
  ...over,
});

describe('neighbour discovery', () => {
  for (const [what, target, mac, flags] of [
    ['a guest of this host', b6, B, 0x60],
    ['its link-local address', linkLocal(B), B, 0x60],
    ['a guest of another host', far6, FAR, 0x60],
    ['the gateway', '2001:db8:1::1', R1, 0xe0],
    ['the services', 'fe80::a9fe:a9fe', SERVICE_MAC, 0x60],
  ] as const) {
    test(`a solicitation for ${what} is answered`, () => {
      for (const with_ of [A, undefined]) {
        const out = world.send(
          a,
          neighborSolicitation(asks(a, a6, target), with_ === undefined ? { target } : { target, mac: with_ }),
        );
        assert.equal(out.verdict, 'vif a');
        const expected = neighborAdvertisement(
          { src: mac, dst: A, from: target, to: a6 },
          { target, mac, solicited: true, override: true, router: (flags & 0x80) !== 0 },
        );
        assert.deepEqual(Buffer.from(out.data), expected, words(out.data));
      }
    });
  }

  test('whoever asks whether an address is free is told that it is not, as all are', () => {
    const out = world.send(a, neighborSolicitation(asks(a, '::', b6), { target: b6 }));
    assert.equal(out.verdict, 'vif a');
    const all: Ipv6 = { src: B, dst: multicastMac('ff02::1'), from: b6, to: 'ff02::1' };
    assert.deepEqual(Buffer.from(out.data), neighborAdvertisement(all, { target: b6, mac: B, override: true }));
  });

  test('for its own address, and for one that nobody is known to have, it goes to all', () => {
    assert.equal(world.send(a, neighborSolicitation(asks(a, '::', a6), { target: a6 })).verdict, 'flood 2 copies');
    const free = '2001:db8:1::77';
    assert.equal(
      world.send(a, neighborSolicitation(asks(a, a6, free), { target: free, mac: A })).verdict,
      'flood 2 copies',
    );
  });

  const all = { dst: multicastMac('ff02::1'), to: 'ff02::1' };
  for (const [what, frame, verdict] of [
    ['a false source address', neighborSolicitation(asks(a0(), b6, far6), { target: far6, mac: A }), 'drop spoofed_ip'],
    [
      'a false source MAC',
      neighborSolicitation(asks(a0(), a6, far6, { src: C }), { target: far6, mac: C }),
      'drop spoofed_mac',
    ],
    [
      'a MAC inside unlike its frame’s',
      neighborSolicitation(asks(a0(), a6, far6), { target: far6, mac: C }),
      'drop spoofed_nd',
    ],
    [
      'a probe from a false MAC',
      neighborSolicitation(asks(a0(), '::', far6, { src: C }), { target: far6 }),
      'drop spoofed_mac',
    ],
    [
      'a hop limit below 255',
      neighborSolicitation(asks(a0(), a6, b6, { hopLimit: 254 }), { target: b6, mac: A }),
      'drop spoofed_nd',
    ],
    ['a multicast target', neighborSolicitation(asks(a0(), a6, b6), { target: 'ff02::1', mac: A }), 'drop malformed'],
    [
      'an advertisement for another',
      neighborAdvertisement({ ...all, src: A, from: a6 }, { target: b6, mac: A, override: true }),
      'drop spoofed_nd',
    ],
    [
      'an advertisement with another’s MAC',
      neighborAdvertisement({ ...all, src: A, from: a6 }, { target: a6, mac: B }),
      'drop spoofed_nd',
    ],
    [
      'an advertisement of its own',
      neighborAdvertisement({ ...all, src: A, from: a6 }, { target: a6, mac: A, override: true }),
      'flood 2 copies',
    ],
    [
      'a router advertisement',
      routerAdvertisement({ ...all, src: A, from: linkLocal(A) }, { prefixes: [] }),
      'drop rogue_ra',
    ],
    [
      'a redirect',
      redirect6({ src: A, dst: B, from: linkLocal(A), to: b6 }, { target: a6, destination: far6 }),
      'drop icmp_redirect',
    ],
    [
      'a probe for an address that nobody is known to have, and it may not have',
      neighborSolicitation(asks(a0(), '::', '2001:db8:1::77'), { target: '2001:db8:1::77' }),
      'drop spoofed_nd',
    ],
    [
      'a probe for its own',
      neighborSolicitation(asks(a0(), '::', linkLocal(A)), { target: linkLocal(A) }),
      'flood 2 copies',
    ],
    [
      'a cut solicitation',
      icmp6({ ...asks(a0(), a6, b6), hopLimit: 255 }, { type: 135, body: Buffer.alloc(12) }),
      'drop malformed',
    ],
  ] as const) {
    test(`${what}: ${verdict}`, () => assert.equal(world.send(a, frame).verdict, verdict));
  }

  test('an advertisement behind another header, whose bytes are read as one of an address that it may have', () => {
    world.allowSource(a, A, '8800::', 16);
    const padding = { protocol: 60, body: Buffer.from([1, 4, 0, 0, 0, 0]) };
    const ip: Ipv6 = { ...all, src: A, from: a6, extensions: [padding] };
    const na = neighborAdvertisement(ip, { target: linkLocal(B), override: true });
    assert.equal(world.send(a, na).verdict, 'drop spoofed_nd');
  });

  test('a port without port security advertises what it wants', () => {
    const ra = routerAdvertisement({ src: OPEN, dst: all.dst, from: linkLocal(OPEN), to: all.to }, { prefixes: [] });
    assert.equal(world.send(open, ra).verdict, 'flood 3 copies');
  });

  test('an advertisement to one, and a router solicitation', () => {
    const na = neighborAdvertisement({ src: A, dst: B, from: a6, to: b6 }, { target: a6, mac: A, solicited: true });
    assert.equal(world.send(a, na).verdict, 'vif b');
    const rs = routerSolicitation(
      { src: A, dst: multicastMac('ff02::2'), from: linkLocal(A), to: 'ff02::2' },
      { mac: A },
    );
    assert.equal(world.send(a, rs).verdict, 'flood 2 copies');
  });

  test('multicast listeners report with a hop limit of 1, from an address of theirs or none', () => {
    const group = { src: A, dst: multicastMac('ff02::16'), to: 'ff02::16', hopLimit: 1 };
    const records = [{ type: 4, group: 'ff02::fb' }];
    assert.equal(world.send(a, listenerReport2({ ...group, from: linkLocal(A) }, records)).verdict, 'flood 2 copies');
    assert.equal(world.send(a, listenerReport2({ ...group, from: '::' }, records)).verdict, 'flood 2 copies');
    assert.equal(world.send(a, listenerReport2({ ...group, from: linkLocal(B) }, records)).verdict, 'drop spoofed_ip');
  });

  test('from another host it goes to the guests here, and never back', () => {
    const ns = neighborSolicitation(
      { src: FAR, dst: multicastMac(solicitedNode(a6)), from: far6, to: solicitedNode(a6) },
      { target: a6, mac: FAR },
    );
    assert.equal(world.receive({ vni: V1, from: HOST }, ns).verdict, 'flood 2 copies');
  });
});

/** Frames are made before the guests are. */
function a0(): Guest {
  return { name: 'a', ifindex: 0, mac: A, ip: '', vni: V1, vif: 0, service: '' };
}

describe('anti-spoofing', () => {
  for (const [what, frame, verdict] of [
    ['another’s address', udp({ ...ab, from: far6 }, ports), 'drop spoofed_ip'],
    ['another’s MAC', udp({ ...ab, src: C }, ports), 'drop spoofed_mac'],
    ['another’s link-local address', udp({ ...ab, from: linkLocal(B) }, ports), 'drop spoofed_ip'],
    ['no address', udp({ ...ab, from: '::' }, ports), 'drop spoofed_ip'],
  ] as const) {
    test(`${what}: ${verdict}`, () => assert.equal(world.send(a, frame).verdict, verdict));
  }

  test('an allowed prefix', () => {
    world.allowSource(a, A, '2001:db8:77::', 48);
    assert.equal(world.send(a, udp({ ...ab, from: '2001:db8:77:1::5' }, ports)).verdict, 'vif b');
    assert.equal(world.send(a, udp({ ...ab, from: '2001:db8:78::5' }, ports)).verdict, 'drop spoofed_ip');
  });
});

describe('policies', () => {
  for (const [what, frame, verdict] of [
    ['an allowed port', tcp(ab, { sport: 1, dport: 80, flags: TCP.syn }), 'vif b'],
    ['another port', tcp(ab, { sport: 1, dport: 81, flags: TCP.syn }), 'drop policy_ingress'],
    ['an echo request', echo6(ab, { id: 1 }), 'vif b'],
    ['another ICMPv6 query', icmp6(ab, { type: 139 }), 'drop policy_ingress'],
    ['SCTP', sctp(ab, { sport: 1, dport: 2 }), 'drop policy_ingress'],
  ] as const) {
    test(`${what}: ${verdict}`, () => assert.equal(world.send(a, frame).verdict, verdict));
  }

  test('the class of a remote prefix', () => {
    const rule: Rule = { policy: PB, direction: 'ingress', classId: 9, family: 6, protocol: PROTO.sctp };
    world.addRule(rule);
    world.addClass(PB, '2001:db8:1::/64', 9);
    try {
      assert.equal(world.send(a, sctp(ab, { sport: 1, dport: 2 })).verdict, 'vif b');
    } finally {
      world.removeRule(rule);
      world.removeClass(PB, '2001:db8:1::/64');
    }
  });

  test('multicast obeys the egress rules once and the ingress rules of each receiver', () => {
    const group = { src: A, dst: multicastMac('ff02::fb'), from: linkLocal(A), to: 'ff02::fb' };
    assert.equal(world.send(a, udp(group, { sport: 5353, dport: 5353 })).verdict, 'flood 2 copies');
    assert.equal(world.send(a, tcp(group, { sport: 1, dport: 99, flags: TCP.syn })).verdict, 'flood 1 copies');
  });
});

describe('ICMPv6 errors about a flow', () => {
  test('follow it back, of each kind', () => {
    for (const sent of [udp(ab, ports), tcp(ab, { sport: 1, dport: 80, flags: TCP.syn }), echo6(ab, { id: 3 })]) {
      assert.equal(world.send(a, sent).verdict, 'vif b');
      for (const type of [ICMP6.unreachable, ICMP6.tooBig, ICMP6.timeExceeded, ICMP6.parameterProblem]) {
        assert.equal(world.send(b, icmp6Error(ba, { type }, sent)).verdict, 'vif a', words(sent));
      }
    }
  });

  test('not without one, not to another, not about another', () => {
    const sent = udp(ab, ports);
    assert.equal(world.send(b, icmp6Error(ba, { type: 1 }, sent)).verdict, 'drop invalid_state');
    world.send(a, sent);
    assert.equal(world.send(b, icmp6Error({ ...ba, to: far6 }, { type: 1 }, sent)).verdict, 'drop invalid_state');
    assert.equal(
      world.send(b, icmp6Error(ba, { type: 1 }, udp(ab, { sport: 1000, dport: 9 }))).verdict,
      'drop invalid_state',
    );
    assert.equal(world.send(b, icmp6Error(ba, { type: 1, quoted: 30 }, sent)).verdict, 'drop malformed');
  });

  test('an echo reply needs a request', () => {
    assert.equal(world.send(b, echo6(ba, { id: 3, reply: true })).verdict, 'drop invalid_state');
    world.send(a, echo6(ab, { id: 3 }));
    assert.equal(world.send(b, echo6(ba, { id: 3, reply: true })).verdict, 'vif a');
    assert.equal(world.send(b, echo6(ba, { id: 4, reply: true })).verdict, 'drop invalid_state');
  });
});

/** What comes after the IPv6 header and its fragment header, whose checksum covers the whole. */
function udpParts(id: number): { first: Buffer; later: Buffer } {
  const whole = Buffer.alloc(8 + 1000);
  whole.writeUInt16BE(ports.sport, 0);
  whole.writeUInt16BE(ports.dport, 2);
  whole.writeUInt16BE(whole.length, 4);
  whole.writeUInt16BE(checksum(pseudoHeader(ab, PROTO.udp, whole.length), whole), 6);
  return {
    first: ipv6({ ...ab, fragment: { id, more: true } }, PROTO.udp, whole.subarray(0, 800)),
    later: ipv6({ ...ab, fragment: { id, offset: 800 } }, PROTO.udp, whole.subarray(800)),
  };
}

describe('fragments and extension headers', () => {
  test('later fragments follow their first, by 32 bits of identification', () => {
    const { first, later } = udpParts(0x12_3456);
    assert.equal(world.send(a, later).verdict, 'wait');
    assert.equal(world.send(a, first).verdict, 'vif b');
    assert.equal(world.send(a, later).verdict, 'vif b');
    assert.equal(world.send(a, udpParts(0x3456).later).verdict, 'wait');
    assert.equal(world.ways().length, 2);
  });

  test('a fragment that is the whole packet is none', () => {
    const frame = udp({ ...ab, fragment: { id: 5 } }, ports);
    assert.equal(world.send(a, frame).verdict, 'vif b');
    assert.equal(world.send(a, udpParts(5).later).verdict, 'wait');
  });

  test('neighbour discovery in fragments is dropped', () => {
    const ns = neighborSolicitation(asks(a0(), a6, b6, { fragment: { id: 1, more: true } }), { target: b6, mac: A });
    assert.equal(world.send(a, ns).verdict, 'drop fragment');
  });

  const padded = (words_: number): Buffer => Buffer.alloc(6 + 8 * words_);
  for (const [what, frame, verdict] of [
    [
      'hop-by-hop and destination options',
      udp(
        {
          ...ab,
          extensions: [
            { protocol: 0, body: padded(0) },
            { protocol: 60, body: padded(1) },
          ],
        },
        ports,
      ),
      'vif b',
    ],
    [
      'a routing header of type 0',
      udp({ ...ab, extensions: [{ protocol: 43, body: Buffer.from([0, 1, 0, 0, 0, 0]) }] }, ports),
      'drop ip_options',
    ],
    [
      'a routing header that is done',
      udp({ ...ab, extensions: [{ protocol: 43, body: Buffer.from([0, 0, 0, 0, 0, 0]) }] }, ports),
      'vif b',
    ],
    [
      'seven headers',
      udp({ ...ab, extensions: Array(7).fill({ protocol: 60, body: padded(0) }) }, ports),
      'drop malformed',
    ],
    ['headers of 200 bytes', udp({ ...ab, extensions: [{ protocol: 60, body: padded(24) }] }, ports), 'drop malformed'],
    ['a header beyond the packet', ipv6({ ...ab }, 60, Buffer.from([17, 200, 0, 0, 0, 0, 0, 0])), 'drop malformed'],
    ['no next header', ipv6(ab, 59, Buffer.alloc(0)), 'drop policy_ingress'],
    [
      'ports behind headers to a port that is not allowed',
      tcp({ ...ab, extensions: [{ protocol: 60, body: padded(0) }] }, { sport: 1, dport: 81, flags: TCP.syn }),
      'drop policy_ingress',
    ],
  ] as const) {
    test(`${what}: ${verdict}`, () => assert.equal(world.send(a, frame).verdict, verdict));
  }

  test('a payload length beyond the frame', () => {
    const frame = Buffer.from(udp(ab, ports));
    frame.writeUInt16BE(2000, 18);
    assert.equal(world.send(a, frame).verdict, 'drop malformed');
    frame.writeUInt16BE(4, 18);
    assert.equal(world.send(a, frame).verdict, 'drop malformed');
  });
});

describe('guest services', () => {
  const V = 615;
  const MAC = '02:00:00:00:06:20';
  const [own, router] = ['2001:db8:15::20', linkLocal(R3)];
  const local = linkLocal(MAC);
  const both = DEFAULT_FLAGS | CB_VIF_F_DHCP6 | CB_VIF_F_RA;
  const solicit = { src: MAC, dst: multicastMac('ff02::1:2'), from: local, to: 'ff02::1:2', hopLimit: 1 };
  const toMetadata = { src: MAC, dst: SERVICE_MAC, from: local, to: 'fe80::a9fe:a9fe' };
  const syn = { sport: 40000, dport: 80, flags: TCP.syn };
  let guest: Guest;
  let number: number;

  before(() => {
    guest = world.addGuest('client', { mac: MAC, ip: '10.6.15.1', ip6: own, vni: V, flags: both, router6: router });
    number = guest.vif * 16;
    world.addServices(V, ['fe80::a9fe:a9fe']);
  });

  const service = (index: number): string => `fdca:b1e0::${(number + index).toString(16)}`;
  const agent = 'fdca:b1e0::1';

  beforeEach(() => world.fillBuckets());

  for (const [what, frame, index, text] of [
    ['a DHCPv6 message to all servers', udp(solicit, { sport: 546, dport: 547 }), 15, 'udp 546 > 547'],
    ['metadata, from the link-local address', tcp(toMetadata, syn), 15, 'tcp 40000 > 80'],
    ['metadata, from the first address', tcp({ ...toMetadata, from: own }, syn), 0, 'tcp 40000 > 80'],
    [
      'a router solicitation',
      routerSolicitation({ src: MAC, dst: multicastMac('ff02::2'), from: local, to: 'ff02::2' }, { mac: MAC }),
      15,
      'icmp6 133/0',
    ],
  ] as const) {
    test(`${what} goes to the agent from the service address`, () => {
      const out = world.send(guest, frame);
      assert.equal(out.verdict, 'service');
      const hops = frame[21] ?? 0;
      assert.equal(
        out.packet,
        `${SERVICE_MAC} > ${AGENT_MAC} ip6 ${service(index)} > ${agent} hop limit ${hops} ${text}`,
      );
    });
  }

  const answer = (index: number): Ipv6 => ({
    src: AGENT_MAC,
    dst: '02:00:00:00:ca:b2',
    from: agent,
    to: service(index),
  });
  for (const [what, make, text] of [
    [
      'DHCPv6',
      () => udp(answer(15), { sport: 547, dport: 546 }),
      `${MAC} ip6 ${router} > ${local} hop limit 64 udp 547 > 546`,
    ],
    [
      'metadata',
      () => tcp(answer(15), { sport: 80, dport: 40000, flags: 18 }),
      `${MAC} ip6 fe80::a9fe:a9fe > ${local} hop limit 64 tcp 80 > 40000`,
    ],
    [
      'metadata for the first address',
      () => tcp(answer(0), { sport: 80, dport: 40000, flags: 18 }),
      `${MAC} ip6 fe80::a9fe:a9fe > ${own} hop limit 64 tcp 80 > 40000`,
    ],
    [
      'an advertisement',
      () => routerAdvertisement(answer(15), { prefixes: [] }),
      `33:33:00:00:00:01 ip6 ${router} > ff02::1 hop limit 255 icmp6 134/0`,
    ],
  ] as const) {
    test(`the agent's answer: ${what}`, () => {
      const out = world.serve(make());
      assert.equal(out.verdict, 'vif client');
      assert.equal(out.packet, `${SERVICE_MAC} > ${text}`);
    });
  }

  for (const [what, make] of [
    ['from another port', () => udp(answer(15), { sport: 54, dport: 546 })],
    ['from another address', () => udp({ ...answer(15), from: 'fdca:b1e0::2' }, { sport: 547, dport: 546 })],
    [
      'to an address that no VIF has',
      () => udp({ ...answer(15), to: 'fdca:b1e0::7777:0' }, { sport: 547, dport: 546 }),
    ],
    ['to an address between', () => udp(answer(7), { sport: 547, dport: 546 })],
    ['outside of the service net', () => udp({ ...answer(15), to: local }, { sport: 547, dport: 546 })],
    ['a neighbour solicitation', () => neighborSolicitation(answer(15), { target: own, mac: AGENT_MAC })],
  ] as const) {
    test(`a packet of the host on the service link ${what}: drop service`, () => {
      assert.equal(world.serve(make()).verdict, 'drop service');
    });
  }

  for (const [what, frame, verdict] of [
    ['DHCPv6 from a global address', udp({ ...solicit, from: own }, { sport: 546, dport: 547 }), 'drop service'],
    [
      'DHCPv6 from another’s address',
      udp({ ...solicit, from: linkLocal(A) }, { sport: 546, dport: 547 }),
      'drop spoofed_ip',
    ],
    [
      'a guest that acts as server',
      udp({ ...solicit, dst: B, to: linkLocal(B) }, { sport: 547, dport: 546 }),
      'drop port_disabled_dhcp',
    ],
    [
      'to a client’s port from elsewhere',
      udp({ ...solicit, dst: B, to: linkLocal(B) }, { sport: 999, dport: 546 }),
      'drop port_disabled_dhcp',
    ],
    ['HTTPS to the metadata address', tcp(toMetadata, { ...syn, dport: 443 }), 'drop service'],
    ['ping to the metadata address', echo6(toMetadata, { id: 1 }), 'drop service'],
    [
      'metadata behind extension headers',
      tcp({ ...toMetadata, extensions: [{ protocol: 60, body: Buffer.alloc(6) }] }, syn),
      'drop service',
    ],
    [
      'a router solicitation from a false MAC',
      routerSolicitation({ src: A, dst: multicastMac('ff02::2'), from: '::', to: 'ff02::2' }),
      'drop spoofed_mac',
    ],
  ] as const) {
    test(`${what}: ${verdict}`, () => assert.equal(world.send(guest, frame).verdict, verdict));
  }

  test('without them in its subnets they are ordinary packets', () => {
    world.setFlood(V, [{ guest }, { host: HOST }]);
    world.setVif(guest, { mac: MAC, ip: '10.6.15.1', ip6: own, vni: V, flags: DEFAULT_FLAGS });
    try {
      assert.equal(world.send(guest, udp(solicit, { sport: 546, dport: 547 })).verdict, 'flood 1 copies');
      const rs = routerSolicitation(
        { src: MAC, dst: multicastMac('ff02::2'), from: local, to: 'ff02::2' },
        { mac: MAC },
      );
      assert.equal(world.send(guest, rs).verdict, 'flood 1 copies');
    } finally {
      world.setVif(guest, { mac: MAC, ip: '10.6.15.1', ip6: own, vni: V, flags: both, router6: router });
    }
  });
});
