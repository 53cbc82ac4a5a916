import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { CB_ENDPOINT_VIF } from '../../packages/agent/src/bpf/abi.gen.ts';
import { arp, checksum, ICMP, type Ipv4, icmp, icmpError, ipv4, TCP, tcp, udp } from './packet.ts';
import { describeIpv4 } from './packet-text.ts';
import { type Guest, OPEN_FLAGS, type Rule, SERVICE_MAC, World } from './world.ts';

const V1 = 101;
const V2 = 102;
const A = '02:00:00:00:01:0a';
const B = '02:00:00:00:02:0b';
const C = '02:00:00:00:02:0c';
const R1 = 'fa:16:3e:00:00:01';
const R2 = 'fa:16:3e:00:00:02';
const HOST = '192.0.2.7';

let world: World;
let a: Guest;
let b: Guest;

before(() => {
  world = new World();
  a = world.addGuest('a', { mac: A, ip: '10.1.0.5', vni: V1, dhcpServer: '10.1.0.1' });
  b = world.addGuest('b', { mac: B, ip: '10.2.0.5', vni: V2 });
  world.addRemote(V2, '10.2.0.9', C, HOST);
  world.addRouterInterface(1, { vni: V1, cidr: '10.1.0.0/24', ip: '10.1.0.1', mac: R1 });
  world.addRouterInterface(1, { vni: V2, cidr: '10.2.0.0/24', ip: '10.2.0.1', mac: R2, mtu: 1000 });
  world.addServices(V1, ['169.254.169.254'], 1);
  world.addRoute(1, '172.16.0.0/16', { vni: V2, mac: R2, nexthop: '10.2.0.9' });
  world.addRoute(1, '172.17.0.0/16', { vni: V2, mac: R2, nexthop: '10.2.0.77' });
  world.addPeer(HOST);
});

after(() => world.close());

beforeEach(() => world.forgetFlows());

const toB: Ipv4 = { src: A, dst: R1, from: '10.1.0.5', to: '10.2.0.5' };
const toC: Ipv4 = { ...toB, to: '10.2.0.9' };
const fromB: Ipv4 = { src: B, dst: R2, from: '10.2.0.5', to: '10.1.0.5' };
const ports = { sport: 1000, dport: 2000 };
const back = { sport: 2000, dport: 1000 };

test('a packet for another subnet gets the MACs of the next hop and a TTL less one, first and established', () => {
  for (const pass of ['first', 'established']) {
    const out = world.send(a, udp({ ...toB, ttl: 64 }, ports));
    assert.equal(out.verdict, 'vif b', pass);
    assert.equal(out.packet, `${R2} > ${B} ip 10.1.0.5 > 10.2.0.5 ttl 63 udp 1000 > 2000`, pass);
  }
});

test('the IP checksum stays right for every TTL', () => {
  for (let ttl = 2; ttl < 256; ttl++) {
    const out = world.send(a, udp({ ...toB, ttl, id: ttl * 257 }, ports));
    assert.equal(out.packet, `${R2} > ${B} ip 10.1.0.5 > 10.2.0.5 ttl ${ttl - 1} udp 1000 > 2000`);
  }
});

test('the IP checksum stays right where its sum carries over', () => {
  const frameWith = (id: number): Buffer => ipv4({ ...toB, id }, 99, Buffer.alloc(8));
  const base = frameWith(0).readUInt16BE(24);
  for (const wanted of [0xfefe, 0xfeff, 0xff00, 0xff01]) {
    const frame = frameWith((base - wanted + 0xffff) % 0xffff);
    assert.equal(frame.readUInt16BE(24), wanted);
    assert.equal(world.send(a, frame).packet, `${R2} > ${B} ip 10.1.0.5 > 10.2.0.5 ttl 63 protocol 99`);
  }
});

test('a packet for a guest of another host is routed here and sent with the VNI of its network', () => {
  const out = world.send(a, udp(toC, ports));
  assert.equal(out.verdict, `overlay ${V2} ${HOST}`);
  assert.equal(out.packet, `${R2} > ${C} ip 10.1.0.5 > 10.2.0.9 ttl 63 udp 1000 > 2000`);
});

test('the answer from the same host is routed back in its own flow', () => {
  world.send(a, udp(toB, ports));
  for (const pass of ['first', 'established']) {
    const out = world.send(b, udp(fromB, back));
    assert.equal(out.verdict, 'vif a', pass);
    assert.equal(out.packet, `${R1} > ${A} ip 10.2.0.5 > 10.1.0.5 ttl 63 udp 2000 > 1000`, pass);
  }
  assert.deepEqual(
    world
      .ways()
      .map(({ vni, direction, way }) => [vni, direction, way.state])
      .sort(),
    [
      [V1, 0, 2],
      [V2, 1, 2],
    ],
  );
});

test('the answer from another host arrives in the network of the first sender', () => {
  world.send(a, udp(toC, ports));
  const answer = udp({ src: R1, dst: A, from: '10.2.0.9', to: '10.1.0.5' }, back);
  assert.equal(world.receive({ vni: V1, from: HOST }, answer).verdict, 'vif a');
  assert.deepEqual(
    world
      .ways()
      .map(({ vni, direction, way }) => [vni, direction, way.state])
      .sort(),
    [
      [V1, 0, 2],
      [V1, 1, 2],
    ],
  );
});

test('on the host of the receiver both directions are in the network of the receiver', () => {
  const arriving = udp({ src: R2, dst: B, from: '10.1.0.99', to: '10.2.0.5' }, ports);
  world.addRemote(V1, '10.1.0.99', '02:00:00:00:01:99', HOST);
  assert.equal(world.receive({ vni: V2, from: HOST }, arriving).verdict, 'vif b');
  const out = world.send(b, udp({ ...fromB, to: '10.1.0.99' }, back));
  assert.equal(out.verdict, `overlay ${V1} ${HOST}`);
  assert.equal(out.packet, `${R1} > 02:00:00:00:01:99 ip 10.2.0.5 > 10.1.0.99 ttl 63 udp 2000 > 1000`);
  assert.deepEqual(
    world
      .ways()
      .map(({ vni, direction }) => [vni, direction])
      .sort(),
    [
      [V2, 0],
      [V2, 1],
    ],
  );
});

test('the service MAC routes as the gateway does', () => {
  assert.equal(world.send(a, udp({ ...toB, dst: SERVICE_MAC }, ports)).verdict, 'vif b');
});

test('a route with a next hop sends to it', () => {
  const out = world.send(a, udp({ ...toB, to: '172.16.1.1' }, ports));
  assert.equal(out.verdict, `overlay ${V2} ${HOST}`);
  assert.equal(out.packet, `${R2} > ${C} ip 10.1.0.5 > 172.16.1.1 ttl 63 udp 1000 > 2000`);
});

for (const [what, ip, verdict] of [
  ['no route covers', { to: '8.8.8.8' }, 'drop no_route'],
  ['nobody has', { to: '10.2.0.99' }, 'drop no_endpoint'],
  ['is reached by a next hop that nobody has', { to: '172.17.0.1' }, 'drop no_endpoint'],
  ["is a router's own, with UDP", { to: '10.2.0.1' }, 'drop no_endpoint'],
] as const) {
  test(`a packet to an address that ${what}: ${verdict}`, () => {
    assert.equal(world.send(a, udp({ ...toB, ...ip }, ports)).verdict, verdict);
  });
}

for (const [what, to] of [
  ['its gateway', '10.1.0.1'],
  ["the router's address in another subnet", '10.2.0.1'],
] as const) {
  test(`an echo request to ${what} is answered`, () => {
    const out = world.send(a, icmp({ ...toB, to, ttl: 7 }, { type: ICMP.echo, id: 77, sequence: 3 }));
    assert.equal(out.verdict, 'vif a');
    assert.equal(out.packet, `${R1} > ${A} ip ${to} > 10.1.0.5 ttl 64 icmp 0/0 id 77`);
  });
}

test('a packet whose TTL ends here is answered with "time exceeded"', () => {
  for (const ttl of [1, 0]) {
    const out = world.send(a, tcp({ ...toB, ttl }, { ...ports, flags: TCP.syn }));
    assert.equal(out.verdict, 'vif a (ttl_exceeded)');
    assert.equal(out.packet, `${R1} > ${A} ip 10.1.0.1 > 10.1.0.5 ttl 255 icmp 11/0 id 0`);
  }
});

test('a packet that may not be cut and is larger than the MTU of the next network is answered with "fragmentation needed" and that MTU', () => {
  for (const to of [toB, toC]) {
    const fits = udp({ ...to, dontFragment: true }, { ...ports, payload: Buffer.alloc(1000 - 28) });
    assert.notEqual(world.send(a, fits).verdict, 'vif a (too_big)');
    const sent = udp({ ...to, dontFragment: true }, { ...ports, payload: Buffer.alloc(1000 - 27) });
    const out = world.send(a, sent);
    assert.equal(out.verdict, 'vif a (too_big)');
    assert.equal(out.packet, `${R1} > ${A} ip 10.1.0.1 > 10.1.0.5 ttl 255 icmp 3/4 id 0`);
    const message = Buffer.from(out.data).subarray(34);
    assert.equal(message.readUInt16BE(6), 1000);
    assert.equal(checksum(message), 0);
    assert.deepEqual(message.subarray(8), sent.subarray(14, 14 + 28), 'quotes the header and 8 bytes');
  }
});

test('no error is sent about an error; where there is no gateway, it comes from the address of the services', () => {
  world.send(b, udp(fromB, back));
  const error = icmpError({ ...toB, ttl: 1 }, { type: ICMP.unreachable, code: 3 }, udp(fromB, back));
  assert.equal(world.send(a, error).verdict, 'drop ttl_exceeded');
  const out = world.send(b, udp({ ...fromB, ttl: 1 }, back));
  assert.equal(out.verdict, 'vif b (ttl_exceeded)');
  assert.equal(out.packet, `${R2} > ${B} ip 169.254.169.254 > 10.2.0.5 ttl 255 icmp 11/0 id 0`);
});

test('an established routed flow obeys TTL and MTU too', () => {
  world.send(a, udp(toB, ports));
  world.send(a, udp(toB, ports));
  assert.equal(world.send(a, udp({ ...toB, ttl: 1 }, ports)).verdict, 'vif a (ttl_exceeded)');
  const big = udp({ ...toB, dontFragment: true }, { ...ports, payload: Buffer.alloc(1400) });
  assert.equal(world.send(a, big).verdict, 'vif a (too_big)');
  assert.match(describeIpv4(big.subarray(14)), /ttl 64 udp/, 'the test frame was sound');
});

test('a router takes nothing from an address that it has in another network, whoever may send from it', () => {
  const open = world.addGuest('open', { mac: '02:00:00:00:01:66', ip: '10.1.0.66', vni: V1, flags: OPEN_FLAGS });
  const from = (ip: string): Buffer => udp({ ...toB, src: open.mac, from: ip, to: '10.2.0.5' }, ports);
  assert.equal(world.send(open, from('10.2.0.77')).verdict, 'drop reverse_path');
  assert.equal(world.send(open, from('10.1.0.66')).verdict, 'vif b');
  assert.equal(world.send(open, from('192.168.9.9')).verdict, 'vif b', 'a guest that routes for others behind it');
  // An error is from who sends it, not from who would answer what it quotes.
  const quoted = udp({ ...toB, from: '10.2.0.5', to: '10.2.0.77' }, ports);
  const error = icmpError({ ...toB, src: open.mac, from: '10.1.0.66' }, { type: ICMP.unreachable }, quoted);
  assert.equal(world.send(open, error).verdict, 'drop invalid_state');
  const false_ = icmpError({ ...toB, src: open.mac, from: '10.2.0.77' }, { type: ICMP.unreachable }, quoted);
  assert.equal(world.send(open, false_).verdict, 'drop reverse_path');
});

test('a flow whose time is over, and to which answers would lead, is not in the way of a new one', () => {
  const near = world.addGuest('near', { mac: '02:00:00:00:01:0d', ip: '10.1.0.13', vni: V1 });
  world.allowSource(b, B, '10.1.0.5');
  world.raiseEpoch(b);
  const routed = world.send(b, udp({ src: B, dst: R2, from: '10.1.0.5', to: near.ip }, ports));
  assert.equal(routed.verdict, 'vif near');
  world.age(45);
  const direct = world.send(a, udp({ src: A, dst: near.mac, from: '10.1.0.5', to: near.ip }, ports));
  assert.equal(direct.verdict, 'vif near');
  const { tuples, counted, live } = world.audit();
  assert.deepEqual({ tuples, counted, live }, { tuples: 2, counted: 1, live: 1 });
});

test("ARP for a router's MAC is for nobody, whatever packet came before it", () => {
  const reply = arp({ src: A, dst: R1 }, { op: 'reply', sha: A, spa: '10.1.0.5', tha: R1, tpa: '10.1.0.1' });
  for (const before_ of ['8.8.8.8', '10.2.0.5', '10.2.0.1']) {
    world.send(a, udp({ ...toB, to: before_ }, ports));
    assert.equal(world.send(a, reply).verdict, 'drop no_endpoint', `after a packet to ${before_}`);
  }
});

/** A third guest, in the second network, that may send nothing of its own; away until it moves here. */
describe('a routed connection whose server moves, and speaks next', () => {
  const POLICY = 40;
  const M = '02:00:00:00:02:0e';
  const in_: Rule = { policy: POLICY, direction: 'ingress' };
  let mover: Guest;

  before(() => {
    mover = world.addGuest('mover', { mac: M, ip: '10.2.0.14', vni: V2, policy: POLICY });
    world.addRule(in_);
  });

  const there: Ipv4 = { src: A, dst: R1, from: '10.1.0.5', to: '10.2.0.14' };
  const fromMover: Ipv4 = { src: M, dst: R2, from: '10.2.0.14', to: '10.1.0.5' };
  const fromAway: Ipv4 = { src: R1, dst: A, from: '10.2.0.14', to: '10.1.0.5' };
  const segment = (flags: number): Buffer => tcp(there, { sport: 1000, dport: 80, flags });
  const answer = (ip: Ipv4, flags: number): Buffer => tcp(ip, { sport: 80, dport: 1000, flags });

  const away = (): void => {
    world.addRemote(V2, '10.2.0.14', M, HOST);
    world.raiseEpoch(V2);
  };
  const here = (): void => {
    world.setEndpoint(V2, ['10.2.0.14'], M, { kind: CB_ENDPOINT_VIF, guest: mover });
    world.raiseEpoch(V2);
  };

  test('onto this host', () => {
    away();
    assert.equal(world.send(a, segment(TCP.syn)).verdict, `overlay ${V2} ${HOST}`);
    assert.equal(world.receive({ vni: V1, from: HOST }, answer(fromAway, TCP.syn | TCP.ack)).verdict, 'vif a');
    assert.equal(world.send(a, segment(TCP.ack)).verdict, `overlay ${V2} ${HOST}`);
    here();
    assert.equal(world.send(mover, answer(fromMover, TCP.ack)).verdict, 'vif a');
    assert.equal(world.send(a, segment(TCP.ack)).verdict, 'vif mover');
    assert.deepEqual(
      world.ways().map(({ vni, direction, way }) => [vni, direction, way.state]),
      [
        [V1, 0, 2],
        [V2, 1, 2],
      ],
    );
  });

  test('off this host', () => {
    here();
    assert.equal(world.send(a, segment(TCP.syn)).verdict, 'vif mover');
    assert.equal(world.send(mover, answer(fromMover, TCP.syn | TCP.ack)).verdict, 'vif a');
    assert.equal(world.send(a, segment(TCP.ack)).verdict, 'vif mover');
    away();
    assert.equal(world.receive({ vni: V1, from: HOST }, answer(fromAway, TCP.ack)).verdict, 'vif a');
    assert.equal(world.send(a, segment(TCP.ack)).verdict, `overlay ${V2} ${HOST}`);
    assert.deepEqual(world.audit(), { tuples: 2, counted: 1, live: 1, owned: 2 });
  });

  test('a stranger’s answer in another network is taken for no answer', () => {
    here();
    assert.equal(world.send(a, segment(TCP.syn)).verdict, 'vif mover');
    const forged = answer({ src: '02:00:00:00:01:77', dst: A, from: '10.2.0.14', to: '10.1.0.5' }, TCP.ack);
    const stranger = world.addGuest('stranger', { mac: '02:00:00:00:01:77', ip: '10.1.0.77', vni: V1, policy: POLICY });
    assert.equal(world.send(stranger, forged).verdict, 'drop spoofed_ip');
    assert.equal(world.send(mover, answer(fromMover, TCP.syn | TCP.ack)).verdict, 'vif a');
  });
});
