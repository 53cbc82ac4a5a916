import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { addExternal, addFloating, addGateway, type Gateway, removeFloating, removeSnat, setSnat } from './outside.ts';
import { arp, BROADCAST, gre, ICMP, type Ipv4, icmp, icmpError, PROTO, sctp, TCP, tcp, udp } from './packet.ts';
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

void BROADCAST;
void X;
void removeSnat;
void setSnat;
