import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { neighborSolicitation, solicitedNode } from './icmp6.ts';
import { arp, BROADCAST, ethernet, type Ipv4, multicastMac, TCP, tcp, udp, vlan } from './packet.ts';
import { type Guest, UPLINK_MAC, World } from './world.ts';

const [TAGGED, FLAT, OVERLAY] = [100, 200, 300];
const TAG = 42;
const A = '02:00:00:00:01:0a';
const B = '02:00:00:00:01:0b';
const F = '02:00:00:00:02:0f';
/** A machine on the wire, and one that the agent knows to be there. */
const X = '02:00:00:00:ee:01';
const REMOTE = '02:00:00:00:ee:02';
const ROUTER = '02:00:00:00:ee:fe';
const POLICY = 20;

let world: World;
let a: Guest;
let b: Guest;
let flat: Guest;

before(() => {
  world = new World();
  world.addProvider(TAGGED, { vlan: TAG });
  world.addProvider(FLAT, {});
  a = world.addGuest('a', { mac: A, ip: '10.1.0.1', vni: TAGGED, ip6: 'fd00:1::1' });
  b = world.addGuest('b', { mac: B, ip: '10.1.0.2', vni: TAGGED, policy: POLICY });
  flat = world.addGuest('flat', { mac: F, ip: '10.2.0.1', vni: FLAT });
  world.addRemote(TAGGED, '10.1.0.9', REMOTE, '192.0.2.2');
  world.setFlood(TAGGED, [{ guest: a }, { guest: b }]);
  world.setFlood(FLAT, [{ guest: flat }]);
  world.addRouterInterface(1, { vni: OVERLAY, cidr: '10.3.0.0/24', ip: '10.3.0.254', mac: ROUTER });
  world.addRouterInterface(1, { vni: TAGGED, cidr: '10.1.0.0/24', ip: '10.1.0.254', mac: ROUTER });
  world.addRule({ policy: POLICY, direction: 'ingress', protocol: 6, port: 22 });
});

after(() => world.close());

beforeEach(() => world.forgetFlows());

const ports = { sport: 1000, dport: 2000 };
const ab: Ipv4 = { src: A, dst: B, from: '10.1.0.1', to: '10.1.0.2' };
const ax: Ipv4 = { src: A, dst: X, from: '10.1.0.1', to: '10.1.0.77' };
const xa: Ipv4 = { src: X, dst: A, from: '10.1.0.77', to: '10.1.0.1' };
const xb: Ipv4 = { src: X, dst: B, from: '10.1.0.77', to: '10.1.0.2' };

test('guests of one host reach each other without the uplink', () => {
  const syn = tcp(ab, { ...ports, dport: 22, flags: TCP.syn });
  const out = world.send(a, syn);
  assert.equal(out.verdict, 'vif b');
  assert.deepEqual(Buffer.from(out.data), syn);
  assert.equal(world.send(a, udp(ab, ports)).verdict, 'drop policy_ingress');
});

test('a MAC that nobody here has is beyond the uplink, with the tag of the network', () => {
  for (const frame of [udp(ax, ports), udp(ax, ports), udp({ ...ax, dst: REMOTE, to: '10.1.0.9' }, ports)]) {
    const out = world.send(a, frame);
    assert.equal(out.verdict, `wire vlan ${TAG}`);
    assert.deepEqual(Buffer.from(out.data), frame, 'the kernel keeps the tag beside the packet');
  }
  const fx: Ipv4 = { src: F, dst: X, from: '10.2.0.1', to: '10.2.0.77' };
  assert.equal(world.send(flat, udp(fx, ports)).verdict, 'wire');
});

test('anti-spoofing and the rules hold for what leaves by the uplink', () => {
  assert.equal(world.send(a, udp({ ...ax, from: '10.1.0.66' }, ports)).verdict, 'drop spoofed_ip');
  assert.equal(world.send(a, udp({ ...ax, src: X }, ports)).verdict, 'drop spoofed_mac');
  const bx: Ipv4 = { src: B, dst: X, from: '10.1.0.2', to: '10.1.0.77' };
  assert.equal(world.send(b, udp(bx, ports)).verdict, 'drop policy_egress');
  assert.equal(world.send(a, vlan(udp(ax, ports), { id: 7 })).verdict, 'drop unsupported_ethertype');
  assert.equal(world.sendTagged(a, TAG, udp(ax, ports)).verdict, 'drop unknown_vlan');
});

test('a frame from the uplink reaches the guest whose MAC it is for, without the tag, by its rules', () => {
  const frame = udp(xa, ports);
  const out = world.arriveTagged(TAG, frame);
  assert.equal(out.verdict, 'vif a');
  assert.deepEqual(Buffer.from(out.data), frame);
  assert.equal(world.arriveTagged(TAG, udp(xb, ports)).verdict, 'drop policy_ingress');
  assert.equal(world.arriveTagged(TAG, tcp(xb, { ...ports, dport: 22, flags: TCP.syn })).verdict, 'vif b');
  assert.equal(world.arriveTagged(TAG, tcp(xb, { ...ports, dport: 22, flags: TCP.ack })).verdict, 'vif b');
  const answer = tcp({ src: B, dst: X, from: '10.1.0.2', to: '10.1.0.77' }, { sport: 22, dport: 1000, flags: TCP.ack });
  assert.equal(world.send(b, answer).verdict, `wire vlan ${TAG}`, 'the answer needs no rule');
});

test('an answer from the wire needs no rule of the receiver', () => {
  world.addRule({ policy: POLICY, direction: 'egress', protocol: 17 });
  const bx: Ipv4 = { src: B, dst: X, from: '10.1.0.2', to: '10.1.0.77' };
  assert.equal(world.send(b, udp(bx, ports)).verdict, `wire vlan ${TAG}`);
  assert.equal(world.arriveTagged(TAG, udp(xb, { sport: 2000, dport: 1000 })).verdict, 'vif b');
  assert.equal(world.arriveTagged(TAG, udp(xb, { sport: 2001, dport: 1000 })).verdict, 'drop policy_ingress');
  world.removeRule({ policy: POLICY, direction: 'egress', protocol: 17 });
});

test('what is no network’s goes on to the host as it came', () => {
  const frames = [
    udp({ ...xa, dst: UPLINK_MAC }, ports),
    udp({ ...xa, dst: X }, ports),
    ethernet({ src: X, dst: UPLINK_MAC }, 0x88cc, Buffer.alloc(64)),
    Buffer.alloc(14),
  ];
  for (const frame of frames) {
    const out = world.arrive(frame);
    assert.equal(out.verdict, 'pass');
    assert.deepEqual(Buffer.from(out.data), Buffer.from(frame));
    assert.equal(world.arriveTagged(TAG, frame).verdict, 'pass');
  }
  assert.equal(world.arriveTagged(TAG + 1, udp(xa, ports)).verdict, 'pass', 'a VLAN that no network has');
  assert.equal(world.arriveTagged(TAG, udp({ ...xa, dst: F }, ports)).verdict, 'pass', 'a MAC of another network');
  assert.equal(world.arrive(udp(xa, ports)).verdict, 'pass', 'the flat network has no such guest');
});

test('the tag of a provider is no tag of ours', () => {
  const frame = vlan(udp(xa, ports), { id: TAG, outer: true });
  assert.equal(world.arrive(frame).verdict, 'pass');
});

test('what is for all goes to the guests and on to the host, from a guest to the others and the wire', () => {
  const request = (spa: string, tpa: string, src: string): Buffer =>
    arp({ src, dst: BROADCAST }, { op: 'request', sha: src, spa, tpa });
  const group = udp({ ...xa, dst: multicastMac('224.0.0.251'), to: '224.0.0.251' }, ports);
  const before = [a, b, flat].map((guest) => world.sentTo(guest));
  const out = world.arriveTagged(TAG, request('10.1.0.77', '10.1.0.1', X));
  assert.equal(out.verdict, 'pass');
  assert.deepEqual(
    [a, b, flat].map((guest, i) => world.sentTo(guest) - (before[i] ?? 0)),
    [1, 1, 0],
  );
  assert.equal(world.arriveTagged(TAG, group).verdict, 'pass');
  assert.deepEqual(
    [a, b, flat].map((guest, i) => world.sentTo(guest) - (before[i] ?? 0)),
    [2, 1, 0],
    'by their rules',
  );
  const spanningTree = ethernet({ src: X, dst: '01:80:c2:00:00:00' }, 0x0027, Buffer.alloc(39));
  assert.equal(world.arrive(spanningTree).verdict, 'pass');
  const wire = world.sentTo('uplink');
  assert.equal(world.send(a, request('10.1.0.1', '10.1.0.77', A)).verdict, 'flood 2 copies');
  assert.equal(world.sentTo('uplink'), wire + 1);
  assert.equal(world.send(a, request('10.1.0.1', '10.1.0.9', A)).verdict, 'vif a', 'who is known is answered for');
});

test('an answer to ARP reaches the guest that asked, and its own goes to the wire', () => {
  const reply = arp({ src: X, dst: A }, { op: 'reply', sha: X, spa: '10.1.0.77', tha: A, tpa: '10.1.0.1' });
  assert.equal(world.arriveTagged(TAG, reply).verdict, 'vif a');
  const own = arp({ src: A, dst: X }, { op: 'reply', sha: A, spa: '10.1.0.1', tha: X, tpa: '10.1.0.77' });
  assert.equal(world.send(a, own).verdict, `wire vlan ${TAG}`);
  const ns = neighborSolicitation(
    {
      src: A,
      dst: multicastMac(solicitedNode('fd00:1::77')),
      from: 'fd00:1::1',
      to: solicitedNode('fd00:1::77'),
      hopLimit: 255,
    },
    { target: 'fd00:1::77', mac: A },
  );
  const wire = world.sentTo('uplink');
  assert.equal(world.send(a, ns).verdict, 'flood 2 copies');
  assert.equal(world.sentTo('uplink'), wire + 1);
});

test('who pretends on the wire to be a guest of this host is refused', () => {
  assert.equal(world.arriveTagged(TAG, udp({ ...xa, src: B }, ports)).verdict, 'drop spoofed_peer');
  assert.equal(world.arriveTagged(TAG, udp({ ...xa, from: '10.1.0.2' }, ports)).verdict, 'drop spoofed_peer');
});

test('senseless packets for a guest are dropped and counted, for the host they are left', () => {
  assert.equal(world.arriveTagged(TAG, tcp(xa, { ...ports, flags: 0 })).verdict, 'drop invalid_state');
  assert.equal(world.arriveTagged(TAG, tcp(xa, { ...ports, flags: TCP.syn | TCP.ack })).verdict, 'drop invalid_state');
  assert.equal(
    world.arriveTagged(TAG, ethernet({ src: X, dst: A }, 0x88b5, Buffer.alloc(50))).verdict,
    'drop unsupported_ethertype',
  );
  const group = tcp({ ...xa, dst: BROADCAST, to: '255.255.255.255' }, { ...ports, flags: TCP.syn | TCP.ack });
  assert.equal(world.arriveTagged(TAG, group).verdict, 'pass');
  assert.equal(world.arriveTagged(TAG, vlan(udp(xa, ports), { id: 9 })).verdict, 'drop unsupported_ethertype');
});

test('a router leads from an overlay network to a provider network', () => {
  const c = world.addGuest('c', { mac: '02:00:00:00:03:0c', ip: '10.3.0.1', vni: OVERLAY });
  const out = world.send(c, udp({ src: c.mac, dst: ROUTER, from: c.ip, to: '10.1.0.9' }, ports));
  assert.equal(out.verdict, `wire vlan ${TAG}`);
  assert.match(out.packet, new RegExp(`^${ROUTER} > ${REMOTE} ip 10.3.0.1 > 10.1.0.9 ttl 63 udp`));
});

test('an uplink that is missing drops what would leave by it', () => {
  world.addProvider(FLAT, {}, { uplink: 0 });
  const fx: Ipv4 = { src: F, dst: X, from: '10.2.0.1', to: '10.2.0.77' };
  assert.equal(world.send(flat, udp(fx, ports)).verdict, 'drop not_programmed');
  world.addProvider(FLAT, {});
  assert.equal(world.send(flat, udp(fx, ports)).verdict, 'wire');
});

test('what does not fit into the network and may not be cut is refused with an ICMP error', () => {
  const big = udp({ ...ax, dontFragment: true }, { ...ports, payload: Buffer.alloc(1480) });
  assert.equal(world.send(a, big).verdict, 'vif a (too_big)');
});
