/** Floating IPs on the host of their port, where the gateway of the router is on another host: who has one leaves by this host's uplink, others by the gateway. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import {
  addExternal,
  addFloating,
  addGateway,
  addWayToGateway,
  type Floating,
  removeFloating,
  routeInside,
} from './outside.ts';
import { arp, BROADCAST, ICMP, type Ipv4, icmp, icmpError, ipv4, PROTO, TCP, tcp, udp } from './packet.ts';
import { type Guest, World } from './world.ts';

const [INSIDE, OTHER, EXTERNAL, TRANSIT] = [100, 101, 900, 800];
/** The router, and its routes for floating IPs of this host; another router. */
const [VRF, EXIT, VRF2, EXIT2] = [5, 6, 7, 8];
const [A, B, C, D] = ['02:00:00:00:01:0a', '02:00:00:00:01:0b', '02:00:00:00:01:0c', '02:00:00:00:02:0d'];
const [R1, R2, GT] = ['02:00:00:00:01:fe', '02:00:00:00:02:fe', '02:00:00:00:08:fe'];
/** MACs of the floating IPs; that of the gateway, which is elsewhere. */
const [MA, MC, MD, G] = ['02:00:00:00:09:0a', '02:00:00:00:09:0c', '02:00:00:00:09:0d', '02:00:00:00:09:fe'];
const [N, X] = ['02:00:00:00:ee:01', '02:00:00:00:ee:02'];
const OUTER = '198.51.100.7';
const [FA, FC, FD, S] = ['203.0.113.10', '203.0.113.12', '203.0.113.13', '203.0.113.2'];
const GATEWAY_HOST = '192.0.2.9';
const POLICY = 31;

let world: World;
let a: Guest;
let b: Guest;
let c: Guest;
let d: Guest;
let ofA: Floating;

before(() => {
  world = new World();
  addExternal(world, EXTERNAL);
  a = world.addGuest('a', { mac: A, ip: '10.0.0.5', vni: INSIDE, policy: POLICY });
  b = world.addGuest('b', { mac: B, ip: '10.0.0.6', vni: INSIDE });
  c = world.addGuest('c', { mac: C, ip: '10.0.0.7', vni: INSIDE });
  d = world.addGuest('d', { mac: D, ip: '10.2.0.8', vni: OTHER });
  world.addRouterInterface(VRF, { vni: INSIDE, cidr: '10.0.0.0/24', ip: '10.0.0.254', mac: R1 });
  world.addRouterInterface(VRF2, { vni: OTHER, cidr: '10.2.0.0/24', ip: '10.2.0.254', mac: R2 });
  for (const [vrf, exit] of [
    [VRF, EXIT],
    [VRF2, EXIT2],
  ] as const) {
    const out = { vrf: exit, external: EXTERNAL, mac: G, ip: S, cidr: '203.0.113.0/24', nexthop: '203.0.113.1' };
    addGateway(world, { ...out, snat: false });
    addWayToGateway(world, { vrf, transit: TRANSIT, external: EXTERNAL, mac: GT });
  }
  // The router's own address is not here.
  world.removeEndpoint(EXTERNAL, S, G);
  world.addRemote(TRANSIT, '169.254.0.1', GT, GATEWAY_HOST);
  world.addPeer(GATEWAY_HOST);
  ofA = { external: EXTERNAL, ip: FA, guest: a, vrf: VRF, exit: EXIT, mac: MA };
  addFloating(world, ofA);
  addFloating(world, { ...ofA, ip: FC, guest: c, mac: MC });
  addFloating(world, { ...ofA, ip: FD, guest: d, vrf: VRF2, exit: EXIT2, mac: MD });
  world.addRule({ policy: POLICY, direction: 'egress' });
  world.addRule({ policy: POLICY, direction: 'ingress', protocol: PROTO.tcp, port: 22 });
  world.arrive(arp({ src: N, dst: MA }, { op: 'reply', sha: N, spa: '203.0.113.1', tha: MA, tpa: FA }));
});

after(() => world.close());

beforeEach(() => world.forgetFlows());

const ports = { sport: 1000, dport: 2000 };
const out = (from: Guest, router = R1): Ipv4 => ({ src: from.mac, dst: router, from: from.ip, to: OUTER });
const into = (to: string, mac: string): Ipv4 => ({ src: N, dst: mac, from: OUTER, to });
const gateway = `overlay ${TRANSIT} ${GATEWAY_HOST}`;

/** As what a row says has changed. */
function change(what: () => void): void {
  what();
  for (const net of [INSIDE, EXTERNAL]) world.raiseEpoch(net);
}

test('who has a floating IP leaves by the uplink with the MAC of that, who has none goes to the gateway', () => {
  for (const round of ['first', 'established']) {
    const sent = world.send(a, udp(out(a), ports));
    assert.equal(
      `${sent.verdict} ${sent.packet}`,
      `wire ${MA} > ${N} ip ${FA} > ${OUTER} ttl 63 udp 1000 > 2000`,
      round,
    );
    const other = world.send(b, udp(out(b), ports));
    assert.equal(
      `${other.verdict} ${other.packet}`,
      `${gateway} ${GT} > ${GT} ip ${b.ip} > ${OUTER} ttl 63 udp 1000 > 2000`,
    );
    const back = world.arrive(udp(into(FA, MA), { sport: 2000, dport: 1000 }));
    assert.equal(
      `${back.verdict} ${back.packet}`,
      `vif a ${R1} > ${A} ip ${OUTER} > ${a.ip} ttl 63 udp 2000 > 1000`,
      round,
    );
  }
});

test('from outside it leads to its port, whose rules decide', () => {
  assert.equal(world.arrive(tcp(into(FA, MA), { sport: 9, dport: 23, flags: TCP.syn })).verdict, 'drop policy_ingress');
  const syn = world.arrive(tcp(into(FA, MA), { sport: 9, dport: 22, flags: TCP.syn }));
  assert.equal(`${syn.verdict} ${syn.packet}`, `vif a ${R1} > ${A} ip ${OUTER} > ${a.ip} ttl 63 tcp 9 > 22`);
  const answer = world.send(a, tcp(out(a), { sport: 22, dport: 9, flags: TCP.syn | TCP.ack }));
  assert.equal(`${answer.verdict} ${answer.packet}`, `wire ${MA} > ${N} ip ${FA} > ${OUTER} ttl 63 tcp 22 > 9`);
  assert.equal(world.arrive(udp({ ...into(FA, MA), from: '10.0.0.6' }, ports)).verdict, 'drop reverse_path');
  for (const to of [S, b.ip, a.ip, '198.51.100.9'])
    assert.equal(
      world.arrive(udp(into(to, MA), ports)).verdict,
      'drop no_endpoint',
      `${to} does not come in by its MAC`,
    );
});

test('nobody outside sends as one behind a next hop inside, or with an address that nobody has', () => {
  const syn = { sport: 9, dport: 22, flags: TCP.syn };
  const arrives = (from: string) => world.arrive(tcp({ ...into(FA, MA), from }, syn)).verdict;
  const hop = { net: world.net(INSIDE), mac: R1, nexthop: b.ip };
  assert.equal(arrives('172.16.0.5'), 'vif a');
  change(() => routeInside(world, VRF, '172.16.0.0/16', hop));
  assert.equal(arrives('172.16.0.5'), 'drop reverse_path');
  assert.equal(arrives('172.17.0.5'), 'vif a', 'what the default route leads to comes in');
  change(() => routeInside(world, VRF, '172.16.0.0/16', { ...hop, several: true }));
  assert.equal(arrives('172.16.0.6'), 'drop reverse_path');
  for (const from of [
    '0.0.0.0',
    '0.1.2.3',
    '127.0.0.1',
    '169.254.169.254',
    '224.0.0.5',
    '240.0.0.1',
    '255.255.255.255',
  ])
    assert.equal(arrives(from), 'drop reverse_path', from);
  for (const from of ['1.0.0.1', '126.255.255.255', '128.0.0.1', '169.254.169.253', '223.255.255.255'])
    assert.equal(arrives(from), 'vif a', from);
});

test('ARP for it is answered with its own MAC, and its questions have that', () => {
  const asks = { op: 'request' as const, sha: X, spa: '203.0.113.77', tpa: FA };
  const answer = world.arrive(arp({ src: X, dst: BROADCAST }, asks));
  assert.equal(`${answer.verdict} ${answer.packet}`, `wire ${MA} > ${X} arp reply ${MA} ${FA} to ${X} 203.0.113.77`);
  assert.equal(
    world.arrive(arp({ src: X, dst: BROADCAST }, { ...asks, tpa: S })).verdict,
    'pass',
    'the gateway is elsewhere',
  );
  const question = world.send(c, udp({ ...out(c), to: '203.0.113.78' }, ports));
  assert.equal(question.verdict, 'wire (no_neighbour)');
  assert.match(question.packet, new RegExp(`^${MC} > ff:ff:ff:ff:ff:ff arp request ${MC} ${FC} to .* 203.0.113.78$`));
});

test('two of one host reach each other without the wire, of one router or of two', () => {
  for (const round of ['first', 'established']) {
    const there = world.send(a, udp({ ...out(a), to: FC }, ports));
    assert.equal(
      `${there.verdict} ${there.packet}`,
      `vif c ${R1} > ${C} ip ${FA} > ${c.ip} ttl 63 udp 1000 > 2000`,
      round,
    );
    const back = world.send(c, udp({ ...out(c), to: FA }, { sport: 2000, dport: 1000 }));
    assert.equal(
      `${back.verdict} ${back.packet}`,
      `vif a ${R1} > ${A} ip ${FC} > ${a.ip} ttl 63 udp 2000 > 1000`,
      round,
    );
  }
  const across = world.send(a, udp({ ...out(a), to: FD }, ports));
  assert.equal(`${across.verdict} ${across.packet}`, `vif d ${R2} > ${D} ip ${FA} > ${d.ip} ttl 63 udp 1000 > 2000`);
  assert.equal(world.send(b, udp({ ...out(b), to: FC }, ports)).verdict, gateway, 'who has none asks by the gateway');
  const self = world.send(c, udp({ ...out(c), to: FC }, ports));
  assert.equal(`${self.verdict} ${self.packet}`, `vif c ${R1} > ${C} ip ${FC} > ${c.ip} ttl 63 udp 1000 > 2000`);
});

test('a connection that the gateway has answered stays there when its guest gets a floating IP, others take it', () => {
  change(() => removeFloating(world, ofA));
  const answered = { sport: 1, dport: 80 };
  world.send(a, udp(out(a), answered));
  const back = { src: R1, dst: A, from: OUTER, to: a.ip };
  assert.equal(world.receive({ vni: INSIDE, from: GATEWAY_HOST }, udp(back, { sport: 80, dport: 1 })).verdict, 'vif a');
  world.send(a, udp(out(a), { sport: 2, dport: 80 }));
  change(() => addFloating(world, ofA));
  assert.equal(world.send(a, udp(out(a), answered)).verdict, gateway);
  assert.equal(world.send(a, udp(out(a), { sport: 2, dport: 80 })).verdict, 'drop nat_gone', 'nobody has answered');
  assert.equal(world.send(a, udp(out(a), { sport: 2, dport: 80 })).verdict, 'wire');
  assert.equal(world.send(a, udp(out(a), { sport: 3, dport: 80 })).verdict, 'wire');
});

test('an answer to what came by the gateway goes back there', () => {
  const came = { src: R1, dst: A, from: OUTER, to: a.ip };
  const syn = tcp(came, { sport: 9, dport: 22, flags: TCP.syn });
  assert.equal(world.receive({ vni: INSIDE, from: GATEWAY_HOST }, syn).verdict, 'vif a');
  const answer = world.send(a, tcp(out(a), { sport: 22, dport: 9, flags: TCP.syn | TCP.ack }));
  assert.equal(
    `${answer.verdict} ${answer.packet}`,
    `${gateway} ${GT} > ${GT} ip ${a.ip} > ${OUTER} ttl 63 tcp 22 > 9`,
  );
});

test('when it is taken away its connections end, and new ones go to the gateway', () => {
  world.send(a, udp(out(a), ports));
  change(() => removeFloating(world, ofA));
  assert.equal(world.send(a, udp(out(a), ports)).verdict, 'drop nat_gone');
  assert.equal(world.send(a, udp(out(a), ports)).verdict, gateway);
  change(() => addFloating(world, ofA));
});

test('a port that has left is not reached by this host any more, wherever it is', () => {
  world.addRemote(INSIDE, a.ip, A, GATEWAY_HOST);
  assert.equal(world.arrive(tcp(into(FA, MA), { sport: 9, dport: 22, flags: TCP.syn })).verdict, 'drop no_endpoint');
  assert.equal(world.audit().live, 0);
  world.setEndpoint(INSIDE, [a.ip], A, { kind: 1, guest: a });
});

test('a connection is taken up in its middle, as after a move of its port', () => {
  const sent = world.send(a, tcp(out(a), { ...ports, flags: TCP.ack }));
  assert.match(sent.packet, new RegExp(`ip ${FA} > ${OUTER} ttl 63 tcp 1000 > 2000`));
  assert.equal(world.arrive(tcp(into(FC, MC), { sport: 9, dport: 22, flags: TCP.ack })).verdict, 'vif c');
});

test('the floating IP of another is not used, with whatever source', () => {
  assert.equal(world.send(b, udp({ ...out(b), from: a.ip }, ports)).verdict, 'drop spoofed_ip');
  const open = world.addGuest('open', { mac: '02:00:00:00:01:0e', ip: '10.0.0.9', vni: INSIDE, flags: 4 });
  assert.equal(world.send(open, udp({ ...out(open), from: a.ip }, ports)).verdict, 'drop spoofed_ip');
});

test('fragments, errors and what is too large go as through a gateway', () => {
  const whole = udp(out(a), { ...ports, payload: Buffer.alloc(64, 1) }).subarray(34);
  const piece = (from: number, to: number, more: boolean): Buffer =>
    ipv4({ ...out(a), id: 7, moreFragments: more, fragmentOffset: from }, PROTO.udp, whole.subarray(from, to));
  assert.equal(world.send(a, piece(0, 40, true)).verdict, 'wire');
  assert.equal(world.send(a, piece(40, 72, false)).packet, `${MA} > ${N} ip ${FA} > ${OUTER} ttl 63 fragment`);
  const quoted = udp({ src: MA, dst: N, from: FA, to: OUTER }, ports);
  const error = world.arrive(
    icmpError({ ...into(FA, MA), from: '198.51.100.1' }, { type: ICMP.unreachable, code: 3 }, quoted),
  );
  assert.equal(`${error.verdict} ${error.packet}`, `vif a ${R1} > ${A} ip 198.51.100.1 > ${a.ip} ttl 63 icmp 3/3 id 0`);
  world.arrive(tcp(into(FA, MA), { sport: 9, dport: 22, flags: TCP.syn }));
  const late = world.arrive(tcp({ ...into(FA, MA), ttl: 1 }, { sport: 9, dport: 22, flags: TCP.ack }));
  assert.equal(
    `${late.verdict} ${late.packet}`,
    `wire (ttl_exceeded) ${MA} > ${N} ip ${S} > ${OUTER} ttl 255 icmp 11/0 id 0`,
  );
  const big = tcp(
    { ...into(FA, MA), dontFragment: true },
    { sport: 9, dport: 22, flags: TCP.ack, payload: Buffer.alloc(1450) },
  );
  assert.equal(world.arrive(big).verdict, 'wire (too_big)');
  assert.equal(world.send(a, icmp(out(a), { type: ICMP.echo, id: 7 })).verdict, 'wire');
});

test('an established packet rests on what was decided', () => {
  world.send(a, udp(out(a), ports));
  world.arrive(udp(into(FA, MA), { sport: 2000, dport: 1000 }));
  world.send(a, udp(out(a), ports));
  // Nothing is asked any more.
  removeFloating(world, ofA);
  assert.equal(world.send(a, udp(out(a), ports)).verdict, 'wire');
  assert.equal(world.arrive(udp(into(FA, MA), { sport: 2000, dport: 1000 })).verdict, 'pass', 'the MAC is nobody’s');
  addFloating(world, ofA);
});
