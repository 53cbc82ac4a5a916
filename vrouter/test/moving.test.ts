/** A port that moves between hosts has a VIF on both for a while: what passes on each, before and after the switch. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { CB_ENDPOINT_F_LEFT, CB_ENDPOINT_REMOTE, CB_ENDPOINT_VIF } from '../../packages/agent/src/bpf/abi.gen.ts';
import { type Ipv4, TCP, tcp, udp } from './packet.ts';
import { type Guest, World } from './world.ts';

const VNI = 700;
const HERE = '02:00:00:00:00:0a';
const MOVING = '02:00:00:00:00:0b';
const FAR = '02:00:00:00:00:0c';
/** The other host of the port that moves, and a third one. */
const OTHER = '192.0.2.2';
const THIRD = '192.0.2.3';

let world: World;
let here: Guest;
let moving: Guest;

before(() => {
  world = new World();
  here = world.addGuest('here', { mac: HERE, ip: '10.0.0.1', vni: VNI });
  moving = world.addGuest('moving', { mac: MOVING, ip: '10.0.0.2', vni: VNI, policy: 7001 });
  world.addRemote(VNI, '10.0.0.3', FAR, THIRD);
  world.addPeer(OTHER);
  world.addPeer(THIRD);
});

after(() => world.close());

beforeEach(() => world.forgetFlows());

const ports = { sport: 1000, dport: 2000 };
const toMoving: Ipv4 = { src: FAR, dst: MOVING, from: '10.0.0.3', to: '10.0.0.2' };
const fromMoving: Ipv4 = { src: MOVING, dst: HERE, from: '10.0.0.2', to: '10.0.0.1' };

/** Where the network knows the port to be. */
function place(where: { kind: number; guest?: Guest; remote?: string; flags?: number }): void {
  world.setEndpoint(VNI, ['10.0.0.2'], MOVING, where);
}

const from = (host: string, frame: Buffer): string => world.receive({ vni: VNI, from: host }, frame).verdict;

test('what still comes for a port that has left is sent on to where it is, whatever rules and flows say', () => {
  place({ kind: CB_ENDPOINT_REMOTE, guest: moving, remote: OTHER, flags: CB_ENDPOINT_F_LEFT });
  for (const frame of [
    udp(toMoving, ports),
    udp(toMoving, ports),
    tcp(toMoving, { ...ports, flags: TCP.ack }),
    tcp(toMoving, { ...ports, sport: 1001, flags: TCP.syn | TCP.ack }),
    tcp(toMoving, { ...ports, sport: 1002, flags: TCP.rst }),
  ]) {
    assert.equal(from(THIRD, frame), `overlay ${VNI} ${OTHER}`);
  }
  assert.equal(world.ways().length, 0, 'it is not this host’s flow');
});

test('a flow that the port had here is sent on, too', () => {
  place({ kind: CB_ENDPOINT_VIF, guest: moving });
  world.addRule({ policy: 7001, direction: 'ingress', protocol: 17 });
  assert.equal(from(THIRD, udp(toMoving, ports)), 'vif moving');
  place({ kind: CB_ENDPOINT_REMOTE, guest: moving, remote: OTHER, flags: CB_ENDPOINT_F_LEFT });
  world.raiseEpochs();
  assert.equal(from(THIRD, udp(toMoving, ports)), `overlay ${VNI} ${OTHER}`);
  assert.equal(
    world.send(here, udp({ ...toMoving, src: HERE, from: '10.0.0.1' }, ports)).verdict,
    `overlay ${VNI} ${OTHER}`,
  );
});

test('two hosts that each take the port to be at the other send no packet to and fro', () => {
  place({ kind: CB_ENDPOINT_REMOTE, guest: moving, remote: OTHER, flags: CB_ENDPOINT_F_LEFT });
  world.raiseEpochs();
  assert.equal(from(OTHER, udp(toMoving, ports)), 'vif moving');
});

test('a port that is to come gets what others send it here already; guests of this host send to where it is', () => {
  place({ kind: CB_ENDPOINT_REMOTE, guest: moving, remote: OTHER });
  world.raiseEpochs();
  assert.equal(from(THIRD, udp(toMoving, ports)), 'vif moving');
  assert.equal(from(THIRD, tcp(toMoving, { ...ports, flags: TCP.syn })), 'drop policy_ingress');
  const own = { ...toMoving, src: HERE, from: '10.0.0.1' };
  assert.equal(world.send(here, udp(own, { sport: 5, dport: 6 })).verdict, `overlay ${VNI} ${OTHER}`);
});

test('the other host may send as the port while it moves, a third one may not, and nobody afterwards', () => {
  place({ kind: CB_ENDPOINT_VIF, guest: moving, remote: OTHER });
  world.raiseEpochs();
  assert.equal(from(OTHER, udp(fromMoving, ports)), 'vif here');
  assert.equal(from(THIRD, udp(fromMoving, { sport: 7, dport: 8 })), 'drop spoofed_peer');
  place({ kind: CB_ENDPOINT_VIF, guest: moving });
  world.raiseEpochs();
  assert.equal(from(OTHER, udp(fromMoving, { sport: 9, dport: 10 })), 'drop spoofed_peer');
});

test('a port that has left and has no device here any more is sent on; one that is to come and has none yet is dropped', () => {
  place({ kind: CB_ENDPOINT_REMOTE, guest: moving, remote: OTHER, flags: CB_ENDPOINT_F_LEFT });
  world.unplug(moving);
  world.raiseEpoch(VNI);
  assert.equal(from(THIRD, udp(toMoving, ports)), `overlay ${VNI} ${OTHER}`);
  place({ kind: CB_ENDPOINT_REMOTE, guest: moving, remote: OTHER });
  world.raiseEpoch(VNI);
  assert.equal(from(THIRD, udp(toMoving, { sport: 11, dport: 12 })), 'drop not_programmed');
});
