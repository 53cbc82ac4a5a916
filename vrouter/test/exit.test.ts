import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import {
  CB_ROUTE_BLACKHOLE,
  CB_ROUTE_BY_SOURCE,
  CB_ROUTE_NEXTHOP,
  type CbRoute,
  MAPS,
} from '../../packages/agent/src/bpf/abi.gen.ts';
import { type Ipv4, macBytes, udp } from './packet.ts';
import { addr, type Guest, OPEN_FLAGS, World } from './world.ts';

const [PODS, OTHERS, NODES] = [101, 102, 103];
const VRF = 1;
const [R1, R2, R3] = ['fa:16:3e:00:00:01', 'fa:16:3e:00:00:02', 'fa:16:3e:00:00:03'];
const AWAY = '192.0.2.7';
const OUTSIDE = '203.0.113.1';
const NOBODY = new Uint8Array(16);
const EMPTY: CbRoute = {
  ...{ kind: 0, flags: 0, net: 0, mtuBytes: 0, mac: new Uint8Array(6) },
  ...{ nexthop: NOBODY, own: NOBODY, outside: 0 },
};

let world: World;
let pod: Guest;
let other: Guest;
let node: Guest;

function by(nexthop: string): CbRoute {
  const to = { net: world.net(NODES), mtuBytes: 1450, mac: macBytes(R3), nexthop: addr(nexthop) };
  return { ...EMPTY, kind: CB_ROUTE_NEXTHOP, ...to };
}

/** `bits`: of the source, in its 128-bit form. */
function setExit(from: string, bits: number, route: CbRoute): void {
  world.write(MAPS.cb_exit_1, { prefixlen: 32 + bits, vrf: VRF, addr: addr(from) }, route);
}

before(() => {
  world = new World();
  pod = world.addGuest('pod', { mac: '02:00:00:00:01:0a', ip: '10.1.0.5', vni: PODS });
  other = world.addGuest('other', { mac: '02:00:00:00:02:0b', ip: '10.2.0.5', vni: OTHERS });
  // A node sends on what comes from anybody.
  node = world.addGuest('node', { mac: '02:00:00:00:03:0c', ip: '10.3.0.1', vni: NODES, flags: OPEN_FLAGS });
  world.addRemote(NODES, '10.3.0.2', '02:00:00:00:03:0d', AWAY);
  world.addRouterInterface(VRF, { vni: PODS, cidr: '10.1.0.0/24', ip: '10.1.0.1', mac: R1 });
  world.addRouterInterface(VRF, { vni: OTHERS, cidr: '10.2.0.0/24', ip: '10.2.0.1', mac: R2 });
  world.addRouterInterface(VRF, { vni: NODES, cidr: '10.3.0.0/24', ip: '10.3.0.254', mac: R3 });
  world.write(
    MAPS.cb_route_2,
    { prefixlen: 32 + 96, vrf: VRF, addr: addr('0.0.0.0') },
    { ...EMPTY, kind: CB_ROUTE_BY_SOURCE },
  );
  world.addPeer(AWAY);
});

after(() => world.close());

beforeEach(() => {
  world.forgetFlows();
  setExit('0.0.0.0', 96, by(node.ip));
  setExit('10.1.0.0', 96 + 24, by('10.3.0.2'));
  world.raiseEpochs();
});

const fromPod: Ipv4 = { src: '02:00:00:00:01:0a', dst: R1, from: '10.1.0.5', to: OUTSIDE };
const ports = { sport: 1000, dport: 53 };

test('what goes outside leaves by the node that its source says, first and established', () => {
  for (const pass of ['first', 'established']) {
    assert.equal(world.send(pod, udp(fromPod, ports)).verdict, `overlay ${NODES} ${AWAY}`, pass);
    const out = world.send(other, udp({ src: other.mac, dst: R2, from: other.ip, to: OUTSIDE }, ports));
    assert.equal(out.verdict, 'vif node', pass);
  }
});

test('the answer comes from the node in the network of who asked', () => {
  world.send(pod, udp(fromPod, ports));
  const answer = udp({ src: R1, dst: pod.mac, from: OUTSIDE, to: pod.ip }, { sport: 53, dport: 1000 });
  for (const pass of ['first', 'established'])
    assert.equal(world.receive({ vni: PODS, from: AWAY }, answer).verdict, 'vif pod', pass);
});

test('what stays inside goes its way', () => {
  assert.equal(world.send(pod, udp({ ...fromPod, to: other.ip }, ports)).verdict, 'vif other');
  assert.equal(world.send(pod, udp({ ...fromPod, to: '10.3.0.1' }, ports)).verdict, 'vif node');
});

test('one address of a prefix leaves by another node, and a source without a node is dropped', () => {
  setExit(pod.ip, 128, by(node.ip));
  world.raiseEpochs();
  assert.equal(world.send(pod, udp(fromPod, ports)).verdict, 'vif node');
  setExit(pod.ip, 128, { ...EMPTY, kind: CB_ROUTE_BLACKHOLE });
  world.raiseEpochs();
  assert.equal(world.send(pod, udp(fromPod, ports)).verdict, 'drop blackhole');
  world.erase(MAPS.cb_exit_1, { prefixlen: 32 + 128, vrf: VRF, addr: addr(pod.ip) });
  world.erase(MAPS.cb_exit_1, { prefixlen: 32 + 96 + 24, vrf: VRF, addr: addr('10.1.0.0') });
  world.erase(MAPS.cb_exit_1, { prefixlen: 32 + 96, vrf: VRF, addr: addr('0.0.0.0') });
  world.raiseEpochs();
  assert.equal(world.send(pod, udp(fromPod, ports)).verdict, 'drop no_route');
});

test('on the active node what others send comes to its port, and answers go back to their hosts', () => {
  world.addRemote(PODS, '10.1.0.99', '02:00:00:00:01:99', AWAY);
  const arriving = udp({ src: R3, dst: node.mac, from: '10.1.0.99', to: OUTSIDE }, ports);
  const answer = udp({ src: node.mac, dst: R3, from: OUTSIDE, to: '10.1.0.99' }, { sport: 53, dport: 1000 });
  for (const pass of ['first', 'established']) {
    assert.equal(world.receive({ vni: NODES, from: AWAY }, arriving).verdict, 'vif node', pass);
    assert.equal(world.send(node, answer).verdict, `overlay ${PODS} ${AWAY}`, pass);
  }
});
