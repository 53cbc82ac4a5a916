import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { CB_ENDPOINT_GATEWAY, CB_NET_F_TRANSIT } from '../../packages/agent/src/bpf/abi.gen.ts';
import { arrayIndex } from '../../packages/agent/src/bpf/codec.ts';
import {
  addExternal,
  addFloating,
  addForward,
  addGateway,
  blackhole,
  type Forward,
  type Gateway,
  removeFloating,
  removeForward,
  removeSnat,
  setSnat,
} from './outside.ts';
import { arp, BROADCAST, gre, ICMP, type Ipv4, icmp, icmpError, ipv4, PROTO, sctp, TCP, tcp, udp } from './packet.ts';
import { type Guest, OPEN_FLAGS, World } from './world.ts';

const [INSIDE, OTHER, EXTERNAL] = [100, 101, 900];
const TAG = 77;
const VRF = 5;
const A = '02:00:00:00:01:0a';
const B = '02:00:00:00:01:0b';
const OPEN = '02:00:00:00:01:0c';
const C = '02:00:00:00:02:0c';
/** The router's MACs: inside, in the other network, outside. */
const [R1, R2, G] = ['02:00:00:00:01:fe', '02:00:00:00:02:fe', '02:00:00:00:09:fe'];
/** The next hop outside, and a machine on the external network. */
const N = '02:00:00:00:ee:01';
const X = '02:00:00:00:ee:02';
const OUTER = '198.51.100.7';
const [FA, FC] = ['203.0.113.10', '203.0.113.12'];
const S = '203.0.113.2';
const POLICY = 30;

const gateway: Gateway = {
  ...{ vrf: VRF, external: EXTERNAL, mac: G, ip: S, cidr: '203.0.113.0/24', nexthop: '203.0.113.1' },
  ports: { first: 2048, last: 2048 + 8 * 64 - 1 },
};

let world: World;
let a: Guest;
let b: Guest;
let c: Guest;
let open: Guest;

/** What the next hop says of itself. */
const reply = (over: { sha?: string; spa?: string } = {}): Buffer =>
  arp({ src: N, dst: G }, { op: 'reply', sha: over.sha ?? N, spa: over.spa ?? '203.0.113.1', tha: G, tpa: S });

before(() => {
  world = new World();
  addExternal(world, EXTERNAL, TAG);
  a = world.addGuest('a', { mac: A, ip: '10.0.0.5', vni: INSIDE, policy: POLICY });
  b = world.addGuest('b', { mac: B, ip: '10.0.0.6', vni: INSIDE });
  open = world.addGuest('open', { mac: OPEN, ip: '10.0.0.7', vni: INSIDE, flags: OPEN_FLAGS });
  c = world.addGuest('c', { mac: C, ip: '10.2.0.5', vni: OTHER });
  world.addRouterInterface(VRF, { vni: INSIDE, cidr: '10.0.0.0/24', ip: '10.0.0.254', mac: R1 });
  world.addRouterInterface(VRF, { vni: OTHER, cidr: '10.2.0.0/24', ip: '10.2.0.254', mac: R2 });
  addGateway(world, gateway);
  addFloating(world, { external: EXTERNAL, ip: FA, guest: a, vrf: VRF, mac: G });
  addFloating(world, { external: EXTERNAL, ip: FC, guest: c, vrf: VRF, mac: G });
  world.addRule({ policy: POLICY, direction: 'egress' });
  world.addRule({ policy: POLICY, direction: 'ingress', protocol: PROTO.tcp, port: 22 });
  assert.equal(world.arriveTagged(TAG, reply()).verdict, 'flood 0 copies');
});

after(() => world.close());

beforeEach(() => world.forgetFlows());

const ports = { sport: 1000, dport: 2000 };
const out = (from: Guest, router: string): Ipv4 => ({ src: from.mac, dst: router, from: from.ip, to: OUTER });
const fromA = (): Ipv4 => out(a, R1);
const fromB = (): Ipv4 => out(b, R1);
const into = (to: string): Ipv4 => ({ src: N, dst: G, from: OUTER, to });
const wire = `wire vlan ${TAG}`;
const arrive = (frame: Uint8Array) => world.arriveTagged(TAG, frame);

describe('a floating IP', () => {
  for (const [what, frame, text] of [
    ['TCP', () => tcp(fromA(), { ...ports, flags: TCP.syn }), 'tcp 1000 > 2000'],
    ['UDP', () => udp(fromA(), ports), 'udp 1000 > 2000'],
    ['UDP without a checksum', () => udp(fromA(), { ...ports, noChecksum: true }), 'udp 1000 > 2000 no checksum'],
    ['ICMP', () => icmp(fromA(), { type: ICMP.echo, id: 7 }), 'icmp 8/0 id 7'],
    ['SCTP', () => sctp(fromA(), ports), 'sctp 1000 > 2000'],
    ['GRE', () => gre(fromA(), { type: 0x0800 }), 'gre 0x800'],
  ] as const) {
    test(`is the source of ${what} that leaves`, () => {
      for (const round of ['first', 'established']) {
        const sent = world.send(a, frame());
        assert.equal(sent.verdict, wire, round);
        assert.equal(sent.packet, `${G} > ${N} ip ${FA} > ${OUTER} ttl 63 ${text}`, round);
      }
    });
  }

  test('answers come back to the guest, which needs no rule for them', () => {
    world.send(a, udp(fromA(), ports));
    for (const round of ['first', 'established']) {
      const got = arrive(udp(into(FA), { sport: 2000, dport: 1000 }));
      assert.equal(got.verdict, 'vif a', round);
      assert.equal(got.packet, `${R1} > ${A} ip ${OUTER} > 10.0.0.5 ttl 63 udp 2000 > 1000`, round);
    }
    assert.equal(world.send(a, icmp(fromA(), { type: ICMP.echo, id: 7 })).verdict, wire);
    const echo = arrive(icmp(into(FA), { type: ICMP.echoReply, id: 7 }));
    assert.equal(echo.packet, `${R1} > ${A} ip ${OUTER} > 10.0.0.5 ttl 63 icmp 0/0 id 7`);
  });

  test('from outside the rules of the guest decide, by its own address and the outer peer', () => {
    assert.equal(arrive(udp(into(FA), ports)).verdict, 'drop policy_ingress');
    const syn = arrive(tcp(into(FA), { sport: 999, dport: 22, flags: TCP.syn }));
    assert.equal(syn.verdict, 'vif a');
    assert.equal(syn.packet, `${R1} > ${A} ip ${OUTER} > 10.0.0.5 ttl 63 tcp 999 > 22`);
    const answer = world.send(a, tcp(fromA(), { sport: 22, dport: 999, flags: TCP.syn | TCP.ack }));
    assert.equal(answer.verdict, wire);
    assert.equal(answer.packet, `${G} > ${N} ip ${FA} > ${OUTER} ttl 63 tcp 22 > 999`);
    assert.equal(arrive(tcp(into(FA), { sport: 999, dport: 22, flags: TCP.ack })).verdict, 'vif a');
    world.addClass(POLICY, `${OUTER}/32`, 9);
    world.addRule({ policy: POLICY, direction: 'ingress', classId: 9, protocol: PROTO.udp, port: 53 });
    world.raiseEpochs();
    assert.equal(arrive(udp(into(FA), { sport: 1, dport: 53 })).verdict, 'vif a', 'a rule for the outer peer');
    assert.equal(
      arrive(udp({ ...into(FA), from: '198.51.100.8' }, { sport: 1, dport: 53 })).verdict,
      'drop policy_ingress',
    );
    world.removeClass(POLICY, `${OUTER}/32`);
  });

  test('a stranger’s answers, resets and errors reach nobody', () => {
    world.send(a, tcp(fromA(), { ...ports, flags: TCP.syn }));
    const answer = { sport: 2000, dport: 1000, flags: TCP.syn | TCP.ack };
    assert.equal(arrive(tcp({ ...into(FA), from: '198.51.100.9' }, answer)).verdict, 'drop invalid_state');
    assert.equal(arrive(tcp(into(FA), { ...answer, dport: 1001 })).verdict, 'drop invalid_state');
    assert.equal(arrive(tcp(into(FC), answer)).verdict, 'drop invalid_state');
    assert.equal(arrive(tcp(into(FA), { ...answer, flags: TCP.rst | TCP.ack, ack: 77 })).verdict, 'drop tcp_window');
    const quoted = udp({ src: G, dst: N, from: FA, to: OUTER }, { sport: 5, dport: 6 });
    assert.equal(arrive(icmpError(into(FA), { type: ICMP.unreachable }, quoted)).verdict, 'drop invalid_state');
    assert.equal(arrive(tcp(into(FA), answer)).verdict, 'vif a');
  });

  test('the outside cannot send as one of ours, nor as somebody behind the router', () => {
    for (const from of [FC, S]) assert.equal(arrive(udp({ ...into(FA), from }, ports)).verdict, 'drop spoofed_peer');
    assert.equal(arrive(udp({ ...into(FA), from: '10.0.0.6' }, ports)).verdict, 'drop reverse_path');
    assert.equal(
      arrive(udp({ ...into('10.0.0.6') }, ports)).verdict,
      'drop no_route',
      'who hides is not reached by his own address',
    );
    assert.equal(
      arrive(udp({ ...into('198.51.100.200') }, ports)).verdict,
      'drop no_route',
      'no way from outside to outside',
    );
  });

  test('an address that is not the guest’s does not leave as the floating IP of another', () => {
    assert.equal(world.send(b, udp({ ...fromB(), from: a.ip }, ports)).verdict, 'drop spoofed_ip');
    const forged: Ipv4 = { src: OPEN, dst: R1, from: a.ip, to: OUTER };
    assert.equal(world.send(open, udp(forged, ports)).verdict, 'drop spoofed_ip', 'without port security');
    assert.equal(world.send(open, udp({ ...forged, from: FA }, ports)).verdict, 'drop reverse_path');
  });

  test('when it is taken away its connections end', () => {
    world.send(a, udp(fromA(), ports));
    const floating = { external: EXTERNAL, ip: FA, guest: a, vrf: VRF, mac: G };
    removeFloating(world, floating);
    world.raiseEpoch(EXTERNAL);
    assert.equal(world.send(a, udp(fromA(), ports)).verdict, 'drop nat_gone');
    const anew = world.send(a, udp(fromA(), ports));
    assert.match(anew.packet, new RegExp(`ip ${S} > ${OUTER}`), 'by the router’s address');
    assert.equal(arrive(udp(into(FA), { sport: 2000, dport: 1000 })).verdict, 'drop no_route');
    addFloating(world, floating);
    world.raiseEpoch(EXTERNAL);
    assert.match(
      world.send(a, udp(fromA(), ports)).packet,
      new RegExp(`ip ${S} > `),
      'a connection keeps its translation',
    );
    assert.match(world.send(a, udp(fromA(), { ...ports, sport: 1 })).packet, new RegExp(`ip ${FA} > `));
  });

  test('where the router hides nobody its guest is reached by its own address too, and keeps the connections that it had', () => {
    const floating = { external: EXTERNAL, ip: FA, guest: a, vrf: VRF, mac: G };
    removeSnat(world, VRF);
    world.raiseEpoch(EXTERNAL);
    try {
      const answer = { sport: 22, dport: 999, flags: TCP.syn | TCP.ack };
      assert.equal(arrive(tcp(into(a.ip), { sport: 999, dport: 22, flags: TCP.syn })).verdict, 'vif a');
      for (const round of ['first', 'established'])
        assert.equal(
          world.send(a, tcp(fromA(), answer)).packet,
          `${G} > ${N} ip ${a.ip} > ${OUTER} ttl 63 tcp 22 > 999`,
          round,
        );
      removeFloating(world, floating);
      world.raiseEpoch(EXTERNAL);
      assert.match(world.send(a, udp(fromA(), ports)).packet, new RegExp(`ip ${a.ip} > `));
      addFloating(world, floating);
      world.raiseEpoch(EXTERNAL);
      assert.match(world.send(a, udp(fromA(), ports)).packet, new RegExp(`ip ${a.ip} > `), 'it keeps its address');
      assert.match(world.send(a, udp(fromA(), { ...ports, sport: 1 })).packet, new RegExp(`ip ${FA} > `), 'others');
    } finally {
      setSnat(world, gateway);
      world.raiseEpoch(EXTERNAL);
    }
  });

  test('what would become packets of another connection gives way to that, unless it opens one', () => {
    const first = { sport: 999, dport: 22, flags: TCP.ack };
    removeSnat(world, VRF);
    world.raiseEpoch(EXTERNAL);
    try {
      // By its floating IP, and by its own address.
      for (const [other, own] of [
        [FC, c.ip],
        [c.ip, FC],
      ] as const) {
        world.forgetFlows();
        assert.equal(world.send(b, udp({ ...fromB(), to: other }, ports)).verdict, 'vif c', other);
        assert.equal(world.send(b, udp({ ...fromB(), to: own }, ports)).verdict, 'drop nat_ports', own);
        assert.equal(world.send(b, udp({ ...fromB(), to: other }, ports)).verdict, 'vif c', other);
        world.age(200);
        assert.equal(world.send(b, udp({ ...fromB(), to: own }, ports)).verdict, 'vif c', `${own}, later`);
      }
      assert.equal(world.send(b, tcp({ ...fromB(), to: FA }, first)).verdict, 'vif a');
      assert.equal(world.send(b, tcp({ ...fromB(), to: a.ip }, { ...first, flags: TCP.syn })).verdict, 'vif a');
      assert.equal(world.send(b, tcp({ ...fromB(), to: FA }, first)).verdict, 'drop nat_ports');
    } finally {
      setSnat(world, gateway);
      world.raiseEpoch(EXTERNAL);
    }
  });

  test('who gets a floating IP waits for no connection that another has left behind', () => {
    const [ofA, ofB] = [a, b].map((guest) => ({ external: EXTERNAL, ip: FA, guest, vrf: VRF, mac: G })) as [
      Parameters<typeof addFloating>[1],
      Parameters<typeof addFloating>[1],
    ];
    const move = (from: typeof ofA, to: typeof ofA): void => {
      removeFloating(world, from);
      addFloating(world, to);
      for (const net of [INSIDE, EXTERNAL]) world.raiseEpoch(net);
    };
    const toA = { sport: 999, dport: 22, flags: TCP.syn };
    world.send(a, udp(fromA(), ports));
    assert.equal(arrive(tcp(into(FA), toA)).verdict, 'vif a');
    move(ofA, ofB);
    try {
      assert.equal(arrive(tcp(into(FA), { ...toA, flags: TCP.ack })).verdict, 'drop nat_gone', 'it led to another');
      assert.equal(arrive(tcp(into(FA), { ...toA, flags: TCP.ack })).verdict, 'vif b', 'and is over');
      assert.match(world.send(b, udp(fromB(), ports)).packet, new RegExp(`ip ${FA} > ${OUTER} .* udp 1000 > 2000`));
      assert.equal(arrive(udp(into(FA), { sport: 2000, dport: 1000 })).verdict, 'vif b');
      assert.match(world.send(a, udp(fromA(), ports)).packet, new RegExp(`ip ${S} > ${OUTER}`), 'the other’s is over');
    } finally {
      move(ofB, ofA);
    }
  });

  test('what goes around the router is not translated, and so no packet of a translated connection', () => {
    for (const dst of ['02:00:00:00:01:99', B]) {
      assert.equal(world.send(a, udp(fromA(), ports)).verdict, wire);
      const around = udp({ ...fromA(), dst }, ports);
      assert.equal(world.send(a, around).verdict, 'drop nat_gone', dst);
      assert.notEqual(world.send(a, around).verdict, 'drop nat_gone', dst);
      world.forgetFlows();
    }
  });

  test('while rows are written a connection does not end', () => {
    world.send(a, udp(fromA(), ports));
    const floating = { external: EXTERNAL, ip: FA, guest: a, vrf: VRF, mac: G };
    world.unsettled(() => {
      removeFloating(world, floating);
      assert.equal(world.send(a, udp(fromA(), ports)).verdict, 'drop nat_gone');
      addFloating(world, floating);
    });
    assert.equal(world.audit().live, 1);
    assert.equal(world.send(a, udp(fromA(), ports)).verdict, wire);
  });

  test('is reached by other guests, by its own guest and by itself', () => {
    const toC: Ipv4 = { src: A, dst: R1, from: a.ip, to: FC };
    for (const round of ['first', 'established']) {
      const there = world.send(a, udp(toC, ports));
      assert.equal(there.verdict, 'vif c', round);
      assert.equal(there.packet, `${R2} > ${C} ip ${FA} > ${c.ip} ttl 63 udp 1000 > 2000`);
      const back = world.send(c, udp({ src: C, dst: R2, from: c.ip, to: FA }, { sport: 2000, dport: 1000 }));
      assert.equal(back.verdict, 'vif a', round);
      assert.equal(back.packet, `${R1} > ${A} ip ${FC} > ${a.ip} ttl 63 udp 2000 > 1000`);
    }
    assert.deepEqual(world.audit(), { tuples: 2, counted: 1, live: 1, owned: 2 });
    const own = world.send(a, tcp({ ...toC, to: FA }, { sport: 1000, dport: 22, flags: TCP.syn }));
    assert.equal(own.verdict, 'vif a');
    assert.equal(own.packet, `${R1} > ${A} ip ${FA} > ${a.ip} ttl 63 tcp 1000 > 22`);
    const ownBack = world.send(a, tcp({ ...toC, to: FA }, { sport: 22, dport: 1000, flags: TCP.syn | TCP.ack }));
    assert.equal(ownBack.packet, `${R1} > ${A} ip ${FA} > ${a.ip} ttl 63 tcp 22 > 1000`);
    const hidden = world.send(b, udp({ ...fromB(), to: FC }, ports));
    assert.equal(hidden.verdict, 'vif c');
    const port = Number(/udp (\d+) > 2000/.exec(hidden.packet)?.[1]);
    assert.match(hidden.packet, new RegExp(`ip ${S} > ${c.ip}`), 'who has none comes with the router’s');
    const hiddenBack = world.send(c, udp({ src: C, dst: R2, from: c.ip, to: S }, { sport: 2000, dport: port }));
    assert.equal(hiddenBack.packet, `${R1} > ${B} ip ${FC} > ${b.ip} ttl 63 udp 2000 > 1000`);
  });

  test('a guest’s rules hold for who comes by its floating IP from within', () => {
    assert.equal(world.send(c, udp({ src: C, dst: R2, from: c.ip, to: FA }, ports)).verdict, 'drop policy_ingress');
    assert.equal(world.send(b, udp({ ...fromB(), to: FA }, ports)).verdict, 'drop policy_ingress');
  });
});

describe('ICMP errors through a translation', () => {
  test('from a router on the way, about what a guest has sent', () => {
    world.send(a, udp(fromA(), ports));
    const quoted = udp({ src: G, dst: N, from: FA, to: OUTER }, ports);
    const error = icmpError({ ...into(FA), from: '192.0.2.99' }, { type: ICMP.timeExceeded, quoted: 16 }, quoted);
    const got = arrive(error);
    assert.equal(got.verdict, 'vif a');
    assert.match(got.packet, new RegExp(`ip 192.0.2.99 > ${a.ip} ttl 63 icmp 11/0 id 0$`));
    const inner = Buffer.from(got.data).subarray(14 + 28);
    const expected = udp({ src: A, dst: R1, from: a.ip, to: OUTER }, ports);
    assert.deepEqual(inner.subarray(0, 20), expected.subarray(14, 34), 'the quoted header is the guest’s own');
    assert.deepEqual(inner.subarray(20, 28), expected.subarray(34, 42), 'its ports and checksum too');
  });

  test('from a guest, about what it was sent', () => {
    arrive(tcp(into(FA), { sport: 999, dport: 22, flags: TCP.syn }));
    const quoted = tcp({ src: R1, dst: A, from: OUTER, to: a.ip }, { sport: 999, dport: 22, flags: TCP.syn });
    const sent = world.send(a, icmpError(fromA(), { type: ICMP.unreachable, code: 3, quoted: 20 }, quoted));
    assert.equal(sent.verdict, wire);
    assert.match(sent.packet, new RegExp(`ip ${FA} > ${OUTER} ttl 63 icmp 3/3 id 0$`));
    const inner = Buffer.from(sent.data).subarray(14 + 28);
    const expected = tcp({ src: N, dst: G, from: OUTER, to: FA }, { sport: 999, dport: 22, flags: TCP.syn });
    assert.deepEqual(inner, expected.subarray(14));
  });

  test('from a router behind the address: outside it comes from that (RFC 5508)', () => {
    const seen = { src: R1, dst: OPEN, from: OUTER, to: open.ip };
    const left = world.send(open, udp(out(open, R1), ports));
    const port = portOf(left.packet);
    assert.equal(arrive(udp(into(S), { sport: 2000, dport: port })).verdict, 'vif open');
    const quoted = udp(seen, { sport: 2000, dport: 1000 });
    const error = icmpError({ ...out(open, R1), from: '10.0.0.99' }, { type: ICMP.timeExceeded }, quoted);
    const sent = world.send(open, error);
    assert.equal(sent.verdict, wire);
    assert.match(sent.packet, new RegExp(`ip ${S} > ${OUTER} ttl 63 icmp 11/0 id 0$`));
  });

  test('with a translated port or identifier', () => {
    const port = Number(/udp (\d+) > 2000/.exec(world.send(b, udp(fromB(), ports)).packet)?.[1]);
    const quoted = udp({ src: G, dst: N, from: S, to: OUTER }, { ...ports, sport: port });
    const got = arrive(icmpError(into(S), { type: ICMP.unreachable, code: 4, mtu: 1400 }, quoted));
    assert.equal(got.verdict, 'vif b');
    assert.match(got.packet, /icmp 3\/4 id 0$/);
    const expected = udp(fromB(), ports);
    assert.deepEqual(Buffer.from(got.data).subarray(42, 70), expected.subarray(14, 42));
    const id = Number(/id (\d+)/.exec(world.send(b, icmp(fromB(), { type: ICMP.echo, id: 7 })).packet)?.[1]);
    const echo = icmp({ src: G, dst: N, from: S, to: OUTER }, { type: ICMP.echo, id });
    const lost = arrive(icmpError({ ...into(S), from: '192.0.2.99' }, { type: ICMP.timeExceeded }, echo));
    assert.equal(lost.verdict, 'vif b');
    assert.match(lost.packet, /icmp 11\/0 id 0$/);
    assert.deepEqual(
      Buffer.from(lost.data).subarray(42, 70),
      icmp(fromB(), { type: ICMP.echo, id: 7 }).subarray(14, 42),
    );
  });
});

/** The port or identifier with which a packet left. */
const portOf = (packet: string): number =>
  Number(
    /(?:udp|tcp) (\d+) >|id (\d+)/
      .exec(packet)
      ?.slice(1)
      .find((x) => x !== undefined),
  );
const groups = 64;

describe('the address of a router', () => {
  for (const [what, frame, answer, own] of [
    [
      'TCP',
      (sport: number) => tcp(fromB(), { sport, dport: 80, flags: TCP.syn }),
      (port: number) => tcp(into(S), { sport: 80, dport: port, flags: TCP.syn | TCP.ack }),
      'tcp 80 > 1000',
    ],
    [
      'UDP',
      (sport: number) => udp(fromB(), { sport, dport: 80 }),
      (port: number) => udp(into(S), { sport: 80, dport: port }),
      'udp 80 > 1000',
    ],
    [
      'UDP without a checksum',
      (sport: number) => udp(fromB(), { sport, dport: 80, noChecksum: true }),
      (port: number) => udp(into(S), { sport: 80, dport: port, noChecksum: true }),
      'udp 80 > 1000 no checksum',
    ],
    [
      'ICMP',
      (id: number) => icmp(fromB(), { type: ICMP.echo, id }),
      (id: number) => icmp(into(S), { type: ICMP.echoReply, id }),
      'icmp 0/0 id 1000',
    ],
  ] as const) {
    test(`is the source of ${what}, with a port of the range`, () => {
      const sent = world.send(b, frame(1000));
      assert.equal(sent.verdict, wire);
      assert.match(sent.packet, new RegExp(`^${G} > ${N} ip ${S} > ${OUTER} ttl 63 `));
      assert.doesNotMatch(sent.packet, /BAD/);
      const port = portOf(sent.packet);
      assert.ok(port >= 2048 && port < 2048 + 8 * groups, String(port));
      for (const round of ['first', 'established']) {
        const got = arrive(answer(port));
        assert.equal(got.verdict, 'vif b', round);
        assert.equal(got.packet, `${R1} > ${B} ip ${OUTER} > ${b.ip} ttl 63 ${own}`);
        assert.equal(portOf(world.send(b, frame(1000)).packet), port, 'a flow keeps its port');
      }
      world.raiseEpochs();
      assert.equal(portOf(world.send(b, frame(1000)).packet), port, 'also when it is decided anew');
      assert.equal(arrive(answer(port)).verdict, 'vif b');
      assert.deepEqual(world.audit(), { tuples: 2, counted: 1, live: 1, owned: 1 });
    });
  }

  test('protocols whose ports cannot be changed keep them, and one guest a destination', () => {
    assert.equal(world.send(b, sctp(fromB(), ports)).packet, `${G} > ${N} ip ${S} > ${OUTER} ttl 63 sctp 1000 > 2000`);
    assert.equal(world.send(open, sctp(out(open, R1), ports)).verdict, 'drop nat_ports');
    assert.equal(arrive(sctp(into(S), { sport: 2000, dport: 1000 })).verdict, 'vif b');
    assert.equal(world.send(b, gre(fromB(), { type: 0x0800 })).verdict, wire);
    assert.equal(world.send(open, gre(out(open, R1), { type: 0x0800 })).verdict, 'drop nat_ports');
    world.age(700);
    assert.equal(world.send(open, gre(out(open, R1), { type: 0x0800 })).verdict, wire, 'after its time');
  });

  test('nobody outside reaches those behind it without a flow', () => {
    const port = portOf(world.send(b, udp(fromB(), ports)).packet);
    assert.equal(
      arrive(udp({ ...into(S), from: '198.51.100.9' }, { sport: 2000, dport: port })).verdict,
      'drop no_endpoint',
    );
    assert.equal(arrive(udp(into(S), { sport: 2001, dport: port })).verdict, 'drop no_endpoint');
    assert.equal(arrive(udp(into(S), { sport: 2000, dport: port + 1 })).verdict, 'drop no_endpoint');
    assert.equal(arrive(tcp(into(S), { sport: 2000, dport: port, flags: TCP.syn })).verdict, 'drop no_endpoint');
    assert.equal(arrive(udp(into(S), { sport: 2000, dport: port })).verdict, 'vif b');
  });

  test('a connection is not taken up in its middle: its port is not known any more', () => {
    assert.equal(world.send(b, tcp(fromB(), { ...ports, flags: TCP.ack })).verdict, 'drop invalid_state');
    assert.equal(world.send(a, tcp(fromA(), { ...ports, flags: TCP.ack })).verdict, wire, 'with a floating IP it is');
  });

  test('answers an echo request from outside and from within', () => {
    const echo = arrive(icmp(into(S), { type: ICMP.echo, id: 3 }));
    assert.equal(echo.verdict, wire);
    assert.equal(echo.packet, `${G} > ${N} ip ${S} > ${OUTER} ttl 64 icmp 0/0 id 3`);
    const own = world.send(b, icmp({ ...fromB(), to: S }, { type: ICMP.echo, id: 3 }));
    assert.equal(own.packet, `${R1} > ${B} ip ${S} > ${b.ip} ttl 64 icmp 0/0 id 3`);
  });

  test('a guest that takes all it can leaves ports to others', () => {
    const took = new Set<number>();
    let refused = 0;
    for (let n = 0; n < 6 * groups; n++) {
      const sent = world.send(b, udp(fromB(), { sport: 5000 + n, dport: 80 }));
      if (sent.verdict === wire) took.add(portOf(sent.packet));
      else {
        assert.equal(sent.verdict, 'drop nat_ports');
        refused += 1;
      }
    }
    assert.ok(refused > 0 && took.size <= groups, `${took.size} ports`);
    assert.equal(world.audit().live, took.size, 'who gets no port has no flow');
    let others = 0;
    for (let n = 0; n < groups / 4; n++) {
      const sent = world.send(open, udp(out(open, R1), { sport: 5000 + n, dport: 80 }));
      if (sent.verdict === wire) others += 1;
      assert.ok(!took.has(portOf(sent.packet)));
    }
    assert.ok(others >= groups / 4 - 2, `${others} of ${groups / 4}`);
    assert.equal(world.send(b, udp({ ...fromB(), to: '198.51.100.8' }, { sport: 1, dport: 80 })).verdict, wire);
  });

  test('connections that are over leave their ports to new ones, those that are not keep theirs', () => {
    setSnat(world, { ...gateway, ports: { first: 2048, last: 2048 + 8 * 4 - 1 } });
    const open80 = (sport: number) => world.send(b, tcp(fromB(), { sport, dport: 80, flags: TCP.syn }));
    const kept = portOf(open80(4000).packet);
    for (let n = 0; n < 40; n++) {
      const sent = open80(5000 + n);
      assert.equal(sent.verdict, wire, `connection ${n}`);
      const port = portOf(sent.packet);
      assert.notEqual(port, kept);
      const there = (flags: number) => world.send(b, tcp(fromB(), { sport: 5000 + n, dport: 80, flags })).verdict;
      const back = (flags: number) => arrive(tcp(into(S), { sport: 80, dport: port, flags })).verdict;
      assert.equal(back(TCP.syn | TCP.ack), 'vif b');
      assert.equal(there(TCP.ack), wire);
      assert.equal(there(TCP.fin | TCP.ack), wire);
      assert.equal(back(TCP.fin | TCP.ack), 'vif b');
    }
    assert.equal(arrive(tcp(into(S), { sport: 80, dport: kept, flags: TCP.syn | TCP.ack })).verdict, 'vif b');
  });

  test('a range of less than a group, and none, refuse', () => {
    for (const range of [
      { first: 2048, last: 2054 },
      { first: 9, last: 8 },
    ]) {
      setSnat(world, { ...gateway, ports: range });
      assert.equal(world.send(b, udp(fromB(), ports)).verdict, 'drop nat_ports');
    }
    setSnat(world, gateway);
    assert.equal(world.send(b, udp(fromB(), ports)).verdict, wire);
  });

  test('when it changes, or is no more, connections end', () => {
    world.send(b, udp(fromB(), ports));
    setSnat(world, { ...gateway, ip: '203.0.113.3' });
    world.raiseEpoch(EXTERNAL);
    assert.equal(world.send(b, udp(fromB(), ports)).verdict, 'drop nat_gone');
    assert.match(world.send(b, udp(fromB(), ports)).packet, / 203\.0\.113\.3 > /);
    removeSnat(world, VRF);
    world.raiseEpoch(EXTERNAL);
    assert.equal(world.send(b, udp(fromB(), ports)).verdict, 'drop nat_gone');
    const routed = world.send(b, udp(fromB(), ports));
    assert.equal(routed.packet, `${G} > ${N} ip ${b.ip} > ${OUTER} ttl 63 udp 1000 > 2000`, 'routed as it is');
    const got = arrive(udp(into(b.ip), { sport: 2000, dport: 1000 }));
    assert.equal(got.packet, `${R1} > ${B} ip ${OUTER} > ${b.ip} ttl 63 udp 2000 > 1000`);
    assert.equal(arrive(udp(into(a.ip), ports)).verdict, 'drop policy_ingress', 'the rules decide');
    setSnat(world, gateway);
    world.raiseEpoch(EXTERNAL);
    assert.equal(world.send(b, udp(fromB(), ports)).verdict, 'drop nat_gone');
  });

  test('fragments are translated, the later ones too', () => {
    const whole = udp(fromB(), { ...ports, payload: Buffer.alloc(64, 1) }).subarray(34);
    const piece = (from: number, to: number, more: boolean): Buffer =>
      ipv4({ ...fromB(), id: 77, moreFragments: more, fragmentOffset: from }, PROTO.udp, whole.subarray(from, to));
    const first = world.send(b, piece(0, 40, true));
    assert.equal(first.verdict, wire);
    const later = world.send(b, piece(40, 72, false));
    assert.equal(later.packet, `${G} > ${N} ip ${S} > ${OUTER} ttl 63 fragment`);
    const port = Buffer.from(first.data).readUInt16BE(34);
    const joined = Buffer.concat([Buffer.from(first.data).subarray(34), Buffer.from(later.data).subarray(34)]);
    const expected = udp(
      { src: G, dst: N, from: S, to: OUTER },
      { sport: port, dport: 2000, payload: Buffer.alloc(64, 1) },
    );
    assert.deepEqual(joined, expected.subarray(34), 'with the checksum of the whole');
    const back = udp(into(S), { sport: 2000, dport: port, payload: Buffer.alloc(64, 1) }).subarray(34);
    const came = (from: number, to: number, more: boolean): Buffer =>
      ipv4({ ...into(S), id: 78, moreFragments: more, fragmentOffset: from }, PROTO.udp, back.subarray(from, to));
    assert.equal(arrive(came(0, 40, true)).verdict, 'vif b');
    assert.equal(arrive(came(40, 72, false)).packet, `${R1} > ${B} ip ${OUTER} > ${b.ip} ttl 63 fragment`);
  });

  test('a segmentation-offload packet is translated as one', () => {
    world.send(b, tcp(fromB(), { ...ports, flags: TCP.syn }));
    const big = tcp(fromB(), { ...ports, flags: TCP.ack, payload: Buffer.alloc(3000) });
    const sent = world.send(b, big, 1400);
    assert.equal(sent.verdict, wire);
    assert.match(sent.packet, new RegExp(`ip ${S} > ${OUTER} ttl 63 tcp \\d+ > 2000$`));
  });

  test('what is too large, or too old, is refused before it is translated', () => {
    world.send(b, udp(fromB(), ports));
    const dying = world.send(b, udp({ ...fromB(), ttl: 1 }, ports));
    assert.equal(dying.verdict, 'vif b (ttl_exceeded)');
    const quoted = Buffer.from(dying.data).subarray(42, 62);
    assert.deepEqual(quoted, udp({ ...fromB(), ttl: 1 }, ports).subarray(14, 34));
    const big = world.send(b, udp({ ...fromB(), dontFragment: true }, { ...ports, payload: Buffer.alloc(1490) }));
    assert.equal(big.verdict, 'vif b (too_big)');
  });

  test('what is too large and may be cut is translated before, and its pieces leave as the packet would have', () => {
    world.send(b, udp(fromB(), ports));
    const big = world.send(b, udp(fromB(), { ...ports, payload: Buffer.alloc(1490) }));
    assert.equal(big.verdict, 'fragmenter');
    assert.match(big.packet, new RegExp(`ip ${S} > ${OUTER} ttl 64 udp \\d+ > 2000$`));
    const whole = world.receivePiece(big.data);
    assert.equal(whole.verdict, wire);
    const untranslated = Buffer.concat([big.data.subarray(0, 14), udp(fromB(), ports).subarray(14)]);
    assert.equal(world.receivePiece(untranslated).verdict, 'drop stale_piece');
  });
});

describe('port forwarding', () => {
  const P = '203.0.113.20';
  const common = { external: EXTERNAL, ip: P, mac: G, vrf: VRF };
  const single = (): Forward => ({ ...common, guest: c, protocol: PROTO.tcp, port: 8080, toPort: 80 });
  /** Ports 6000 to 6007 to 7000 and on; two prefixes say the same range. */
  const range = (): Forward[] =>
    [6000, 6004].map((port) => ({
      ...common,
      guest: c,
      protocol: PROTO.udp,
      port,
      bits: 14,
      first: 6000,
      toPort: 7000,
    }));

  before(() => {
    for (const forward of [single(), ...range()]) addForward(world, forward);
    addForward(world, { ...common, guest: c, protocol: PROTO.udp, port: 5000, bits: 14, toPort: 53, one: true });
    addForward(world, { ...common, guest: c, protocol: PROTO.sctp, port: 9, toPort: 9 });
    addForward(world, { ...common, guest: c, protocol: PROTO.sctp, port: 10, toPort: 11 });
  });

  test('a port leads to the guest’s, and its answers come from there', () => {
    for (const round of ['first', 'established']) {
      const flags = round === 'first' ? TCP.syn : TCP.ack;
      const got = arrive(tcp(into(P), { sport: 999, dport: 8080, flags }));
      assert.equal(got.verdict, 'vif c', round);
      assert.equal(got.packet, `${R2} > ${C} ip ${OUTER} > ${c.ip} ttl 63 tcp 999 > 80`);
      const sent = world.send(c, tcp(out(c, R2), { sport: 80, dport: 999, flags: flags | TCP.ack }));
      assert.equal(sent.packet, `${G} > ${N} ip ${P} > ${OUTER} ttl 63 tcp 8080 > 999`);
      world.raiseEpochs();
    }
  });

  test('a range leads to one of the same length, or to one port', () => {
    for (const [port, to] of [
      [6000, 7000],
      [6003, 7003],
      [6007, 7007],
      [5001, 53],
    ] as const) {
      const got = arrive(udp(into(P), { sport: port, dport: port }));
      assert.match(got.packet, new RegExp(`> ${c.ip} ttl 63 udp ${port} > ${to}$`));
      const back = world.send(c, udp(out(c, R2), { sport: to, dport: port }));
      assert.match(back.packet, new RegExp(`ip ${P} > ${OUTER} ttl 63 udp ${port} > ${port}$`));
    }
  });

  test('SCTP is forwarded to the same port, and to no other', () => {
    assert.equal(arrive(sctp(into(P), { sport: 5, dport: 9 })).verdict, 'vif c');
    assert.equal(arrive(sctp(into(P), { sport: 5, dport: 10 })).verdict, 'drop no_endpoint');
  });

  test('other ports and protocols of the address lead nowhere', () => {
    assert.equal(arrive(tcp(into(P), { sport: 9, dport: 8081, flags: TCP.syn })).verdict, 'drop no_endpoint');
    assert.equal(arrive(udp(into(P), { sport: 9, dport: 8080 })).verdict, 'drop no_endpoint');
    assert.equal(arrive(udp(into(P), { sport: 9, dport: 6008 })).verdict, 'drop no_endpoint');
    const echo = arrive(icmp(into(P), { type: ICMP.echo, id: 3 }));
    assert.equal(echo.packet, `${G} > ${N} ip ${P} > ${OUTER} ttl 64 icmp 0/0 id 3`);
  });

  test('new connections of the guest leave by its own address', () => {
    const sent = world.send(c, tcp(out(c, R2), { sport: 80, dport: 998, flags: TCP.syn }));
    assert.match(sent.packet, new RegExp(`ip ${FC} > ${OUTER} ttl 63 tcp 80 > 998`));
  });

  test('from within, by the address outside', () => {
    const there = world.send(b, tcp({ ...fromB(), to: P }, { sport: 999, dport: 8080, flags: TCP.syn }));
    assert.equal(there.verdict, 'vif c');
    assert.match(there.packet, new RegExp(`ip ${S} > ${c.ip} ttl 63 tcp \\d+ > 80$`));
    const answer = { sport: 80, dport: portOf(there.packet), flags: TCP.syn | TCP.ack };
    const back = world.send(c, tcp({ src: C, dst: R2, from: c.ip, to: S }, answer));
    assert.equal(back.packet, `${R1} > ${B} ip ${P} > ${b.ip} ttl 63 tcp 8080 > 999`);
  });

  test('when it is taken away its connections end', () => {
    arrive(tcp(into(P), { sport: 999, dport: 8080, flags: TCP.syn }));
    removeForward(world, single());
    world.raiseEpoch(EXTERNAL);
    assert.equal(
      world.send(c, tcp(out(c, R2), { sport: 80, dport: 999, flags: TCP.syn | TCP.ack })).verdict,
      'drop nat_gone',
    );
    assert.equal(world.audit().live, 0);
    addForward(world, single());
  });
});

describe('who is next on the external network', () => {
  const asked = (of: string): RegExp =>
    new RegExp(`^${G} > ff:ff:ff:ff:ff:ff arp request ${G} ${FA} to 00:00:00:00:00:00 ${of}$`);
  const toX = (): Ipv4 => ({ ...fromA(), to: '203.0.113.77' });
  const answer = (over: { sha?: string; spa?: string; op?: 'request' | 'reply'; tpa?: string } = {}): Buffer =>
    arp(
      { src: X, dst: over.op === 'request' ? BROADCAST : G },
      { op: over.op ?? 'reply', sha: over.sha ?? X, spa: over.spa ?? '203.0.113.77', tha: G, tpa: over.tpa ?? FA },
    );

  test('is asked by the first packet, which is lost, and once a second', () => {
    const first = world.send(a, udp(toX(), ports));
    assert.equal(first.verdict, `${wire} (no_neighbour)`);
    assert.match(first.packet, asked('203.0.113.77'));
    assert.ok(
      Buffer.from(first.data)
        .subarray(42)
        .every((byte) => byte === 0),
      'nothing of the guest’s packet is told to all',
    );
    assert.equal(world.send(a, udp(toX(), ports)).verdict, 'drop no_neighbour');
    assert.equal(world.audit().live, 0);
    assert.equal(arrive(answer()).verdict, 'flood 0 copies');
    const sent = world.send(a, udp(toX(), ports));
    assert.equal(sent.verdict, wire);
    assert.match(sent.packet, new RegExp(`^${G} > ${X} ip ${FA} > 203.0.113.77 ttl 63`));
  });

  test('a guest whose rules forbid the packet asks nobody', () => {
    world.removeRule({ policy: POLICY, direction: 'egress' });
    world.raiseEpochs();
    assert.equal(world.send(a, udp(toX(), ports)).verdict, 'drop policy_egress');
    world.addRule({ policy: POLICY, direction: 'egress' });
    world.raiseEpochs();
  });

  test('only who was asked, or asks for an address of ours, is learned', () => {
    arrive(answer());
    assert.equal(world.send(a, udp(toX(), ports)).verdict, `${wire} (no_neighbour)`, 'an answer to no question');
    world.forgetFlows();
    const got = arrive(answer({ op: 'request' }));
    assert.equal(got.verdict, wire);
    assert.equal(got.packet, `${G} > ${X} arp reply ${G} ${FA} to ${X} 203.0.113.77`);
    assert.equal(world.send(a, udp(toX(), ports)).verdict, wire);
    const router = arrive(answer({ op: 'request', tpa: S }));
    assert.equal(router.packet, `${G} > ${X} arp reply ${G} ${S} to ${X} 203.0.113.77`);
    assert.equal(
      arrive(answer({ op: 'request', tpa: '203.0.113.200' })).verdict,
      'pass',
      'not for an address that is not ours',
    );
  });

  test('a neighbour that moves is followed within a second, a connection too', () => {
    arrive(answer({ op: 'request' }));
    world.send(a, udp(toX(), ports));
    const moved = '02:00:00:00:ee:99';
    arrive(
      arp({ src: moved, dst: BROADCAST }, { op: 'request', sha: moved, spa: '203.0.113.77', tpa: '203.0.113.77' }),
    );
    world.changeWays((way) => ({ ...way, refreshNs: 0n }));
    assert.match(world.send(a, udp(toX(), ports)).packet, new RegExp(`^${G} > ${moved} `));
  });

  test('nobody becomes our neighbour with an address of ours, or a group’s MAC', () => {
    world.send(a, udp(toX(), ports));
    arrive(answer({ sha: '01:00:5e:00:00:01' }));
    assert.equal(world.send(a, udp(toX(), ports)).verdict, 'drop no_neighbour');
    arrive(answer({ spa: FC }));
    assert.equal(world.send(a, udp({ ...fromA(), to: FC }, ports)).verdict, 'vif c');
  });

  test('guests say nothing about the external network', () => {
    world.send(a, udp(toX(), ports));
    const lie = arp({ src: OPEN, dst: R1 }, { op: 'reply', sha: OPEN, spa: '203.0.113.77', tha: R1, tpa: FA });
    assert.equal(world.send(open, lie).verdict, 'drop no_endpoint');
    assert.equal(world.send(a, udp(toX(), ports)).verdict, 'drop no_neighbour');
  });

  test('long frames, short ones and TCP become questions too', () => {
    const frames = [
      udp({ ...toX(), to: '203.0.113.81' }, { ...ports, payload: Buffer.alloc(1300, 7) }),
      udp({ ...toX(), to: '203.0.113.82' }, { ...ports, payload: Buffer.alloc(0) }),
      tcp({ ...toX(), to: '203.0.113.83' }, { ...ports, flags: TCP.syn }),
    ];
    for (const [n, frame] of frames.entries()) {
      const sent = world.send(a, frame);
      assert.match(sent.packet, asked(`203.0.113.8${n + 1}`));
      assert.equal(sent.data.length, 76);
      assert.ok(
        Buffer.from(sent.data)
          .subarray(42)
          .every((byte) => byte === 0),
      );
    }
  });
});

describe('a packet from outside that goes no further', () => {
  test('is told of by the router’s address there', () => {
    world.send(b, udp(fromB(), ports));
    const port = portOf(world.send(b, udp(fromB(), ports)).packet);
    const big = udp({ ...into(S), dontFragment: true }, { sport: 2000, dport: port, payload: Buffer.alloc(1450) });
    const told = arrive(big);
    assert.equal(told.verdict, `${wire} (too_big)`);
    assert.equal(told.packet, `${G} > ${N} ip ${S} > ${OUTER} ttl 255 icmp 3/4 id 0`);
    assert.equal(Buffer.from(told.data).readUInt16BE(40), 1450);
    assert.deepEqual(Buffer.from(told.data).subarray(42), big.subarray(14, 42), 'as it was sent');
    const dying = arrive(udp({ ...into(FA), ttl: 1, from: '203.0.113.77' }, { sport: 2000, dport: 1000 }));
    assert.equal(dying.verdict, 'drop policy_ingress', 'what is refused anyway is not told of');
    const late = arrive(udp({ ...into(S), ttl: 1 }, { sport: 2000, dport: port }));
    assert.equal(late.packet, `${G} > ${N} ip ${S} > ${OUTER} ttl 255 icmp 11/0 id 0`);
  });
});

describe('a gateway for guests of other hosts', () => {
  const [TRANSIT, AWAY] = [800, 801];
  const [GT, R3, M] = ['02:00:00:00:08:fe', '02:00:00:00:03:fe', '02:00:00:00:03:0d'];
  const HOST = '192.0.2.9';
  const moved: Ipv4 = { src: R3, dst: GT, from: '10.3.0.13', to: OUTER };
  const receive = (frame: Uint8Array, net = TRANSIT) => world.receive({ vni: net, from: HOST }, frame);

  before(() => {
    world.addRouterInterface(VRF, { vni: AWAY, cidr: '10.3.0.0/24', ip: '10.3.0.254', mac: R3 });
    world.addRemote(AWAY, '10.3.0.13', M, HOST);
    world.addPeer(HOST);
    world.setEndpoint(TRANSIT, ['100.64.0.1'], GT, { kind: CB_ENDPOINT_GATEWAY, vrf: VRF });
  });

  test('a network that is no transit leads nowhere', () => {
    assert.equal(receive(udp(moved, ports)).verdict, 'drop unknown_mac');
  });

  test('translates what comes by the transit network, and sends answers to the guest’s host', () => {
    world.setFlags(TRANSIT, CB_NET_F_TRANSIT);
    for (const round of ['first', 'established']) {
      const sent = receive(udp(moved, ports));
      assert.equal(sent.verdict, wire, round);
      const port = portOf(sent.packet);
      assert.equal(sent.packet, `${G} > ${N} ip ${S} > ${OUTER} ttl 63 udp ${port} > 2000`);
      const got = arrive(udp(into(S), { sport: 2000, dport: port }));
      assert.equal(got.verdict, `overlay ${AWAY} ${HOST}`, round);
      assert.equal(got.packet, `${R3} > ${M} ip ${OUTER} > 10.3.0.13 ttl 63 udp 2000 > 1000`);
    }
    assert.deepEqual(world.audit(), { tuples: 2, counted: 1, live: 1, owned: 0 });
  });

  test('answers echo requests of guests of other hosts for the router’s address outside', () => {
    const echo = (over: Partial<Ipv4> = {}) => receive(icmp({ ...moved, to: S, ...over }, { type: ICMP.echo, id: 3 }));
    const answer = echo();
    assert.equal(answer.verdict, `overlay ${AWAY} ${HOST}`);
    assert.equal(answer.packet, `${R3} > ${M} ip ${S} > 10.3.0.13 ttl 64 icmp 0/0 id 3`);
    assert.equal(echo({ from: '10.3.0.99' }).verdict, 'drop no_endpoint', 'nobody is there');
    assert.equal(echo({ from: '192.0.2.77' }).verdict, 'drop no_endpoint', 'nothing leaves by it');
  });

  test('has the floating IPs of guests of other hosts, which come by the transit network', () => {
    const FM = '203.0.113.13';
    const floating = { external: EXTERNAL, ip: FM, guest: { ...a, vif: 0, vni: TRANSIT, ip: '10.3.0.13' } };
    addFloating(world, { ...floating, vrf: VRF, mac: G });
    const left = receive(udp(moved, ports));
    assert.equal(`${left.verdict} ${left.packet}`, `${wire} ${G} > ${N} ip ${FM} > ${OUTER} ttl 63 udp 1000 > 2000`);
    for (const round of ['first', 'established']) {
      const got = arrive(udp(into(FM), { sport: 4000, dport: 53 }));
      assert.equal(got.verdict, `overlay ${AWAY} ${HOST}`, round);
      assert.equal(got.packet, `${R3} > ${M} ip ${OUTER} > 10.3.0.13 ttl 63 udp 4000 > 53`);
      const answer = receive(udp(moved, { sport: 53, dport: 4000 }));
      assert.equal(answer.packet, `${G} > ${N} ip ${FM} > ${OUTER} ttl 63 udp 53 > 4000`, round);
    }
    assert.deepEqual(world.audit(), { tuples: 4, counted: 2, live: 2, owned: 0 });
    removeFloating(world, { ...floating, vrf: VRF, mac: G });
    world.raiseEpoch(EXTERNAL);
    assert.equal(receive(udp(moved, ports)).verdict, 'drop nat_gone');
    assert.match(receive(udp(moved, ports)).packet, new RegExp(`ip ${S} > `));
  });

  test('a guest of another host does not leave as the floating IP of one here', () => {
    assert.equal(receive(udp({ ...moved, from: a.ip }, ports)).verdict, wire);
    assert.match(receive(udp({ ...moved, from: a.ip }, ports)).packet, new RegExp(`ip ${S} > `));
  });
});

test('two CPUs that begin, end and reset the same connections leave no port and no count behind', async () => {
  // The tag would stay beside the packet from one run to the next.
  addExternal(world, EXTERNAL);
  const frame = tcp(fromB(), { sport: 1000, dport: 80, flags: TCP.syn });
  world.map({ name: 'hammer_head' }).update(arrayIndex.encode(0), frame.subarray(0, 54));
  for (let round = 0; round < 3; round++) {
    await Promise.all([1, 2].map(() => world.runAside('from_hammer_out', b, frame, 0, 200_000)));
    world.raiseEpochs();
  }
  const { tuples, counted, live, owned } = world.audit();
  addExternal(world, EXTERNAL, TAG);
  assert.ok(live > 0 && live <= 64, `${live} live`);
  assert.deepEqual({ tuples, counted, owned }, { tuples: 2 * live, counted: live, owned: live });
  const sources = world
    .ways()
    .filter(({ direction }) => direction === 1)
    .map(({ tuple }) => tuple.dportBe);
  assert.equal(new Set(sources).size, live, 'each has a port of its own');
});

describe('routes of a router', () => {
  test('a blackhole drops, also within the way out', () => {
    blackhole(world, VRF, '198.51.100.128/25');
    assert.equal(world.send(a, udp({ ...fromA(), to: '198.51.100.129' }, ports)).verdict, 'drop blackhole');
    assert.equal(world.send(a, udp(fromA(), ports)).verdict, wire);
  });
});
