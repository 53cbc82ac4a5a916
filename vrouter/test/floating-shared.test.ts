/** A floating IP of an address that two machines share (VRRP), at the host of the gateway: it leads to whichever has the address, here or on another host. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { CB_ENDPOINT_GATEWAY, CB_NET_F_TRANSIT } from '../../packages/agent/src/bpf/abi.gen.ts';
import { addExternal, addFloating, addGateway, type Floating } from './outside.ts';
import { arp, BROADCAST, type Ipv4, TCP, tcp, udp } from './packet.ts';
import { type Guest, World } from './world.ts';

const [INSIDE, TRANSIT, EXTERNAL] = [100, 800, 900];
const VRF = 5;
const [M1, M2, M3, FAR] = ['02:00:00:00:01:01', '02:00:00:00:01:02', '02:00:00:00:01:03', '02:00:00:00:01:04'];
const [R, G, GT] = ['02:00:00:00:01:fe', '02:00:00:00:09:fe', '02:00:00:00:08:fe'];
const [FM, N] = ['02:00:00:00:09:0f', '02:00:00:00:ee:01'];
const HOST = '192.0.2.7';
const VIP = '10.0.0.100';
const [F, S, OUTER] = ['203.0.113.10', '203.0.113.2', '198.51.100.7'];

let world: World;
let m1: Guest;
let m2: Guest;
let other: Guest;

before(() => {
  world = new World();
  addExternal(world, EXTERNAL);
  m1 = world.addGuest('m1', { mac: M1, ip: '10.0.0.1', vni: INSIDE });
  m2 = world.addGuest('m2', { mac: M2, ip: '10.0.0.2', vni: INSIDE });
  other = world.addGuest('other', { mac: M3, ip: '10.0.0.3', vni: INSIDE });
  world.addRouterInterface(VRF, { vni: INSIDE, cidr: '10.0.0.0/24', ip: '10.0.0.254', mac: R });
  world.addPeer(HOST);
  for (const [mac, who] of [
    [M1, { guest: m1 }],
    [M2, { guest: m2 }],
    [FAR, { host: HOST }],
  ] as const)
    world.addPair(INSIDE, VIP, mac, who);
  world.setShared(INSIDE, VIP);
  world.setFlood(INSIDE, [{ guest: m1 }, { guest: m2 }, { guest: other }, { host: HOST }]);
  const out = { cidr: '203.0.113.0/24', nexthop: '203.0.113.1' };
  addGateway(world, { vrf: VRF, external: EXTERNAL, mac: G, ip: S, ...out });
  world.setEndpoint(TRANSIT, ['100.64.0.1'], GT, { kind: CB_ENDPOINT_GATEWAY, vrf: VRF });
  world.setFlags(TRANSIT, CB_NET_F_TRANSIT);
  // Nobody's in particular: what leads from it comes by the transit network, and from those who are here by their own.
  const nobody = { ...m1, vif: 0, ip: VIP };
  const floating: Floating = { external: EXTERNAL, ip: F, guest: nobody, vrf: VRF, mac: FM, exit: VRF };
  addFloating(world, floating);
  addFloating(world, { ...floating, guest: { ...nobody, vni: TRANSIT } });
  world.arrive(arp({ src: N, dst: G }, { op: 'reply', sha: N, spa: '203.0.113.1', tha: G, tpa: S }));
});

after(() => world.close());

beforeEach(() => {
  world.forgetFlows();
  world.forgetHeard();
});

const says = (mac: string): Buffer =>
  arp({ src: mac, dst: BROADCAST }, { op: 'request', sha: mac, spa: VIP, tpa: VIP });
const into: Ipv4 = { src: N, dst: FM, from: OUTER, to: F };
const syn = (sport: number): Buffer => tcp(into, { sport, dport: 80, flags: TCP.syn });
const synAck = (src: string, dport: number, dst = R): Buffer =>
  tcp({ src, dst, from: VIP, to: OUTER }, { sport: 80, dport, flags: TCP.syn | TCP.ack });
const left = `${FM} > ${N} ip ${F} > ${OUTER}`;

test('it leads to who has the address, whose answers leave with it, on whichever host that is', () => {
  world.send(m1, says(M1));
  for (const round of ['first', 'established', 'decided again']) {
    if (round === 'decided again') world.raiseEpochs();
    assert.equal(world.arrive(syn(1001)).verdict, 'vif m1', round);
    const got = world.send(m1, synAck(M1, 1001));
    assert.equal(`${got.verdict} ${got.packet}`, `wire ${left} ttl 63 tcp 80 > 1001`, round);
  }
  world.send(m2, says(M2));
  assert.equal(world.arrive(syn(1002)).verdict, 'vif m2');
  assert.equal(world.send(m2, synAck(M2, 1002)).packet, `${left} ttl 63 tcp 80 > 1002`);
  world.receive({ vni: INSIDE, from: HOST }, says(FAR));
  assert.equal(world.arrive(syn(1003)).verdict, `overlay ${INSIDE} ${HOST}`);
  const answer = world.receive({ vni: TRANSIT, from: HOST }, synAck(R, 1003, GT));
  assert.equal(answer.packet, `${left} ttl 63 tcp 80 > 1003`);
  world.send(m1, says(M1));
  assert.equal(world.arrive(syn(1004)).verdict, 'vif m1', 'and back');
  assert.equal(world.send(m1, synAck(M1, 1004)).packet, `${left} ttl 63 tcp 80 > 1004`);
});

test('pings go on while it moves between hosts, however often', () => {
  const ask = (): string => world.arrive(udp(into, { sport: 7, dport: 53 })).verdict;
  const at = { sport: 53, dport: 7 };
  for (const round of [1, 2]) {
    world.send(m1, says(M1));
    world.raiseEpochs();
    assert.equal(ask(), 'vif m1', `here ${round}`);
    const here = world.send(m1, udp({ src: M1, dst: R, from: VIP, to: OUTER }, at));
    assert.equal(here.packet, `${left} ttl 63 udp 53 > 7`, `here ${round}`);
    world.receive({ vni: INSIDE, from: HOST }, says(FAR));
    world.raiseEpochs();
    assert.equal(ask(), `overlay ${INSIDE} ${HOST}`, `there ${round}`);
    const there = world.receive({ vni: TRANSIT, from: HOST }, udp({ src: R, dst: GT, from: VIP, to: OUTER }, at));
    assert.equal(there.packet, `${left} ttl 63 udp 53 > 7`, `there ${round}`);
  }
});

test('who has the address leaves with it, and who may not send from that does not', () => {
  world.send(m1, says(M1));
  const opened = world.send(m1, udp({ src: M1, dst: R, from: VIP, to: OUTER }, { sport: 1, dport: 2 }));
  assert.equal(opened.packet, `${left} ttl 63 udp 1 > 2`);
  const own = world.send(m1, udp({ src: M1, dst: R, from: m1.ip, to: OUTER }, { sport: 1, dport: 2 }));
  assert.match(own.packet, new RegExp(`^${G} > ${N} ip ${S} > ${OUTER}`));
  const forged = udp({ src: M3, dst: R, from: VIP, to: OUTER }, { sport: 1, dport: 2 });
  assert.equal(world.send(other, forged).verdict, 'drop spoofed_ip');
});
