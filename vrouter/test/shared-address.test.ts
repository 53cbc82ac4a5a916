import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { neighborAdvertisement, neighborSolicitation } from './icmp6.ts';
import { arp, BROADCAST, type Ipv4, udp } from './packet.ts';
import { type Guest, linkLocal, OPEN_FLAGS, type Rule, World } from './world.ts';

const [V1, V2] = [601, 602];
const HOST = '192.0.2.7';
const ROUTING = '192.0.2.8';
const C = '02:00:00:00:01:0c';
const M1 = '02:00:00:00:02:01';
const M2 = '02:00:00:00:02:02';
const FAR = '02:00:00:00:02:03';
const OPEN = '02:00:00:00:02:04';
const STRANGER = '02:00:00:00:02:06';
const WIDE = '02:00:00:00:02:05';
const R1 = 'fa:16:3e:00:00:01';
const R2 = 'fa:16:3e:00:00:02';
const SEEKER = '02:ca:00:00:00:01';
const VIP = '10.2.0.100';
const VIP6 = '2001:db8:2::100';
const POLICY = 61;
const IN: Rule = { policy: POLICY, direction: 'ingress' };

let world: World;
let client: Guest;
let m1: Guest;
let m2: Guest;
let open: Guest;
let wide: Guest;

before(() => {
  world = new World();
  client = world.addGuest('client', { mac: C, ip: '10.1.0.5', vni: V1, ip6: '2001:db8:1::5' });
  m1 = world.addGuest('m1', { mac: M1, ip: '10.2.0.1', vni: V2, ip6: '2001:db8:2::1' });
  m2 = world.addGuest('m2', { mac: M2, ip: '10.2.0.2', vni: V2, ip6: '2001:db8:2::2', policy: POLICY });
  open = world.addGuest('open', { mac: OPEN, ip: '10.2.0.4', vni: V2, flags: OPEN_FLAGS });
  wide = world.addGuest('wide', { mac: WIDE, ip: '10.2.0.5', vni: V2 });
  world.allowSource(wide, WIDE, '10.2.0.0', 24);
  world.addRule(IN);
  for (const [vni, net, mac] of [
    [V1, 1, R1],
    [V2, 2, R2],
  ] as const) {
    world.addRouterInterface(1, { vni, cidr: `10.${net}.0.0/16`, ip: `10.${net}.0.254`, mac });
    world.addRouterInterface(1, { vni, cidr: `2001:db8:${net}::/64`, ip: `2001:db8:${net}::ff`, mac });
  }
  world.addPeer(HOST);
  world.addPeer(ROUTING);
  for (const ip of [VIP, VIP6]) {
    world.addPair(V2, ip, M1, { guest: m1 });
    world.addPair(V2, ip, M2, { guest: m2 });
    world.addPair(V2, ip, FAR, { host: HOST });
    world.setShared(V2, ip);
  }
  world.setFlood(V2, [{ guest: m1 }, { guest: m2 }, { guest: open }, { host: HOST }]);
  world.setAnnounce(V2, [ROUTING]);
});

after(() => world.close());

beforeEach(() => {
  world.forgetFlows();
  world.forgetHeard();
});

const ports = { sport: 1000, dport: 2000 };
const toVip: Ipv4 = { src: C, dst: R1, from: '10.1.0.5', to: VIP };
const garp = (mac: string, spa = VIP, sha = mac, tpa = spa): Buffer =>
  arp({ src: mac, dst: BROADCAST }, { op: 'request', sha, spa, tpa });

/** An unsolicited advertisement, to all. */
const announce6 = (mac: string): Buffer =>
  neighborAdvertisement(
    { src: mac, dst: '33:33:00:00:00:01', from: VIP6, to: 'ff02::1' },
    { target: VIP6, mac, override: true },
  );

test('nobody is known to have it: who has it is asked of all, once a second, and the answer is heard', () => {
  const before_ = world.countersOf(client).drops.get('no_endpoint') ?? 0;
  const out = world.send(client, udp(toVip, { ...ports, payload: Buffer.alloc(1400, 0xaa) }));
  assert.equal(out.verdict, 'flood 5 copies', 'three guests, a host with a port there, one without');
  assert.equal(out.packet, `${SEEKER} > ${BROADCAST} arp request ${SEEKER} 0.0.0.0 to 00:00:00:00:00:00 ${VIP}`);
  assert.ok(
    Buffer.from(out.data)
      .subarray(42)
      .every((byte) => byte === 0),
    'nothing of the packet goes along',
  );
  assert.equal(world.countersOf(client).drops.get('no_endpoint'), before_ + 1);
  world.setSought(V2, VIP, true);
  assert.equal(world.send(client, udp(toVip, ports)).verdict, 'drop no_endpoint');
  world.setSought(V2, VIP, false);
  assert.equal(world.send(client, udp(toVip, ports)).verdict, 'flood 5 copies');
  const answer = arp({ src: M2, dst: SEEKER }, { op: 'reply', sha: M2, spa: VIP, tha: SEEKER, tpa: '0.0.0.0' });
  assert.equal(world.send(m2, answer).verdict, 'flood 4 copies', 'hosts that only route there hear it too');
  assert.equal(world.send(client, udp(toVip, ports)).verdict, 'vif m2');
});

test('in IPv6 it is asked by a solicitation from an address: without one it would end the probe of who is about to have it', () => {
  const to = { src: C, dst: R1, from: '2001:db8:1::5', to: VIP6 };
  const out = world.send(client, udp(to, { ...ports, payload: Buffer.alloc(40, 0xaa) }));
  assert.equal(out.verdict, 'flood 5 copies');
  const asked = neighborSolicitation(
    { src: SEEKER, dst: '33:33:ff:00:01:00', from: linkLocal(SEEKER), to: 'ff02::1:ff00:100' },
    { target: VIP6, mac: SEEKER },
  );
  assert.deepEqual(Buffer.from(out.data).subarray(0, asked.length), asked);
  assert.ok(
    Buffer.from(out.data)
      .subarray(asked.length)
      .every((byte) => byte === 0),
  );
  const answer = neighborAdvertisement(
    { src: M1, dst: SEEKER, from: VIP6, to: linkLocal(SEEKER) },
    { target: VIP6, mac: M1, solicited: true, override: true },
  );
  assert.equal(world.send(m1, answer).verdict, 'flood 4 copies', 'hosts that only route there hear it too');
  assert.equal(world.send(client, udp(to, ports)).verdict, 'vif m1');
});

test('whether it is free asks only who may have it: to who is about to have it the question says that another is, too', () => {
  const probe = (mac: string): Buffer => garp(mac, '0.0.0.0', mac, VIP);
  const probe6 = (mac: string): Buffer =>
    neighborSolicitation({ src: mac, dst: '33:33:ff:00:01:00', from: '::', to: 'ff02::1:ff00:100' }, { target: VIP6 });
  assert.match(world.send(m1, probe(M1)).verdict, /^flood/);
  assert.match(world.send(m1, probe6(M1)).verdict, /^flood/);
  const stranger = world.addGuest('stranger', { mac: STRANGER, ip: '10.2.0.6', vni: V2, ip6: '2001:db8:2::6' });
  assert.equal(world.send(stranger, probe(STRANGER)).verdict, 'drop spoofed_arp');
  assert.equal(world.send(stranger, probe6(STRANGER)).verdict, 'drop spoofed_nd');
  world.send(m1, garp(M1));
  assert.equal(world.send(stranger, probe(STRANGER)).verdict, 'drop spoofed_arp', 'also while somebody has it');
});

test('the only port that may have it is reached unheard', () => {
  world.setShared(V2, VIP, { guest: m1, mac: M1 });
  const out = world.send(client, udp(toVip, ports));
  assert.equal(out.verdict, 'vif m1');
  assert.equal(out.packet, `${R2} > ${M1} ip 10.1.0.5 > ${VIP} ttl 63 udp 1000 > 2000`);
  world.setShared(V2, VIP);
});

test('who claims it has it, and who claims it next; all who know of it are told, those too who only route there', () => {
  assert.equal(world.send(m1, garp(M1)).verdict, 'flood 4 copies', 'two guests, a host with a port there, one without');
  assert.deepEqual(world.heard(), { [VIP]: `${M1} at m1` });
  assert.equal(world.send(client, udp(toVip, ports)).verdict, 'vif m1');
  world.send(m2, garp(M2));
  assert.equal(world.send(client, udp(toVip, { ...ports, sport: 1001 })).verdict, 'vif m2');
  assert.match(world.receive({ vni: V2, from: HOST }, garp(FAR)).verdict, /^flood/);
  assert.deepEqual(world.heard(), { [VIP]: `${FAR} at ${HOST}` });
  assert.equal(world.send(client, udp(toVip, { ...ports, sport: 1002 })).verdict, `overlay ${V2} ${HOST}`);
});

test('an announcement of an address of its own goes to those of the network alone', () => {
  assert.equal(world.send(m1, garp(M1, m1.ip)).verdict, 'flood 3 copies');
});

test('a connection follows within a second, and is judged by the rules of the new holder', () => {
  world.send(m1, garp(M1));
  assert.equal(world.send(client, udp(toVip, ports)).verdict, 'vif m1');
  world.send(m2, garp(M2));
  assert.equal(world.send(client, udp(toVip, ports)).verdict, 'vif m1', 'its way is as fresh as that');
  world.age(2);
  assert.equal(world.send(client, udp(toVip, ports)).verdict, 'vif m2');
  assert.equal(world.ways().length, 2, 'the same flow');
  world.send(m1, garp(M1));
  world.removeRule(IN);
  world.age(2);
  assert.equal(world.send(client, udp(toVip, ports)).verdict, 'vif m1');
  world.send(m2, garp(M2));
  world.age(2);
  assert.equal(world.send(client, udp(toVip, ports)).verdict, 'drop policy_ingress');
  world.addRule(IN);
});

test('claims of ports that may not have it change nothing and go no further', () => {
  world.send(m1, garp(M1));
  const claims: readonly (readonly [string, string])[] = [
    ['without port security', world.send(open, garp(OPEN)).verdict],
    ['with a pair wider than an address', world.send(wide, garp(WIDE)).verdict],
    ['of another host, for a port that has no such pair', world.receive({ vni: V2, from: HOST }, garp(OPEN)).verdict],
    ['of another host, for a port of this one', world.receive({ vni: V2, from: HOST }, garp(M1)).verdict],
    ['of a host that has no such port', world.receive({ vni: V2, from: ROUTING }, garp(FAR)).verdict],
  ];
  for (const [who, verdict] of claims) assert.equal(verdict, 'drop foreign_vip', who);
  assert.equal(world.send(m2, garp(M2, VIP, M1)).verdict, 'drop spoofed_arp');
  assert.deepEqual(world.heard(), { [VIP]: `${M1} at m1` });
});

test('what was heard counts only as long as that port may have the address', () => {
  world.send(m1, garp(M1));
  assert.equal(world.send(client, udp(toVip, ports)).verdict, 'vif m1');
  world.removePair(V2, VIP, M1, { guest: m1 });
  world.age(2);
  assert.match(world.send(client, udp(toVip, ports)).verdict, /^flood/, 'it is sought');
  world.addPair(V2, VIP, M1, { guest: m1 });
  world.receive({ vni: V2, from: HOST }, garp(FAR));
  world.removePair(V2, VIP, FAR, { host: HOST });
  assert.match(world.send(client, udp(toVip, ports)).verdict, /^flood/, 'it is sought');
  world.addPair(V2, VIP, FAR, { host: HOST });
});

test('its answers, and what it begins itself, pass', () => {
  world.send(m1, garp(M1));
  world.send(client, udp(toVip, ports));
  const back: Ipv4 = { src: M1, dst: R2, from: VIP, to: '10.1.0.5' };
  assert.equal(world.send(m1, udp(back, { sport: 2000, dport: 1000 })).verdict, 'vif client');
  assert.equal(world.send(m1, udp(back, { sport: 7, dport: 8 })).verdict, 'vif client');
});

test('a question by which an address moves goes to all, and the next is answered', () => {
  const asks = arp({ src: M1, dst: BROADCAST }, { op: 'request', sha: M1, spa: VIP, tpa: '10.2.0.254' });
  assert.equal(world.send(m1, asks).verdict, 'flood 4 copies');
  assert.equal(world.send(m1, asks).verdict, 'vif m1');
  const solicits = neighborSolicitation(
    { src: M1, dst: '33:33:ff:00:00:ff', from: VIP6, to: 'ff02::1:ff00:ff' },
    { target: '2001:db8:2::ff', mac: M1 },
  );
  assert.equal(world.send(m1, solicits).verdict, 'flood 4 copies');
  assert.equal(world.send(m1, solicits).verdict, 'vif m1');
});

test('ARP for it is asked of all, as of any address that is not known', () => {
  world.send(m1, garp(M1));
  const request = arp({ src: M2, dst: BROADCAST }, { op: 'request', sha: M2, spa: m2.ip, tpa: VIP });
  assert.match(world.send(m2, request).verdict, /^flood/);
});

test('in IPv6 an advertisement says it, and a solicitation from it', () => {
  const six: Readonly<Record<string, string>> = { [VIP6]: `${M1} at m1` };
  world.send(m1, announce6(M1));
  assert.deepEqual(world.heard(), six);
  const to = { src: C, dst: R1, from: '2001:db8:1::5', to: VIP6 };
  assert.equal(world.send(client, udp(to, ports)).verdict, 'vif m1');
  world.send(
    m2,
    neighborSolicitation(
      { src: M2, dst: '33:33:ff:00:00:ff', from: VIP6, to: 'ff02::1:ff00:ff' },
      { target: '2001:db8:2::ff', mac: M2 },
    ),
  );
  assert.deepEqual(world.heard(), { [VIP6]: `${M2} at m2` });
  assert.equal(world.send(open, announce6(OPEN)).verdict, 'drop foreign_vip');
  assert.equal(world.receive({ vni: V2, from: HOST }, announce6(OPEN)).verdict, 'drop foreign_vip');
  world.receive({ vni: V2, from: HOST }, announce6(FAR));
  assert.deepEqual(world.heard(), { [VIP6]: `${FAR} at ${HOST}` });
});

test('a host that only routes into the network hears, and passes nothing on', () => {
  world.setFlood(V2, []);
  assert.equal(world.receive({ vni: V2, from: HOST }, garp(FAR)).verdict, 'flood 0 copies');
  assert.equal(world.send(client, udp(toVip, ports)).verdict, `overlay ${V2} ${HOST}`);
  assert.equal(world.receive({ vni: V2, from: HOST }, garp(FAR, '10.2.0.77')).verdict, 'drop unknown_vni');
  world.setFlood(V2, [{ guest: m1 }, { guest: m2 }, { guest: open }, { host: HOST }]);
});
