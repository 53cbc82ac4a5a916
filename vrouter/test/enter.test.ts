/** Dispatchers, entries, and stages: what a packet meets where programs go on in other programs. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { CB_BANK_SLOTS, CB_ENTRIES, CB_PEER_F_UPLINK, DROP_REASONS } from '../../packages/agent/src/bpf/abi.gen.ts';
import { arrayIndex } from '../../packages/agent/src/bpf/codec.ts';
import { type LoadedObject, loadObject } from '../../packages/agent/src/bpf/object.ts';
import { enterBank, fillBank } from '../../packages/agent/src/reconcile/program-slots.ts';
import { arp, BROADCAST, type Ipv4, udp, vxlan } from './packet.ts';
import { FLOWS, type Guest, OBJECT, UPLINK_MAC, World } from './world.ts';

const VNI = 700;
const A = '02:00:00:00:00:0a';
const B = '02:00:00:00:00:0b';
const ab: Ipv4 = { src: A, dst: B, from: '10.0.0.1', to: '10.0.0.2' };
const SELF = '192.0.2.1';
const PEER = '192.0.2.2';
const tunnelled = vxlan(
  { src: '02:00:00:00:ff:02', dst: UPLINK_MAC, from: PEER, to: SELF },
  { vni: VNI },
  udp({ src: '02:00:00:00:00:0f', dst: A, from: '10.0.0.3', to: '10.0.0.1' }, { sport: 1, dport: 2 }),
);
const frame = udp(ab, { sport: 1000, dport: 2000 });
const NOT_PROGRAMMED = DROP_REASONS.find(({ name }) => name === 'not_programmed')?.code ?? -1;

let world: World;
let a: Guest;
let others: LoadedObject | undefined;

beforeEach(() => {
  world = new World(8, FLOWS, { underlay: SELF });
  a = world.addGuest('a', { mac: A, ip: '10.0.0.1', vni: VNI });
  world.addGuest('b', { mac: B, ip: '10.0.0.2', vni: VNI });
});

afterEach(() => {
  others?.close();
  others = undefined;
  world.close();
});

test('a device whose entry is empty drops', () => {
  for (const name of ['enter_vif', 'enter_overlay', 'enter_service'] as const) {
    assert.equal(world.program(name).testRun({ data: frame }).verdict, 2, name);
  }
});

test('an uplink whose entry is empty leaves everything to the host, as it came', () => {
  world.addPeer(PEER, undefined, CB_PEER_F_UPLINK);
  for (const one of [tunnelled, frame]) {
    const out = world.enterUplink(one);
    assert.equal(out.verdict, 'pass');
    assert.deepEqual(Buffer.from(out.data), one);
  }
  enterBank(world.slots, 0);
  assert.equal(world.enterUplink(tunnelled).verdict, 'vif a');
  assert.equal(world.enterUplink(frame).verdict, 'pass');
});

test('with the bank entered a packet goes the way of its entry', () => {
  enterBank(world.slots, 0);
  assert.equal(world.enter(a, frame).verdict, 'vif b');
  assert.equal(world.enter(a, frame).verdict, 'vif b', 'established');
  const request = arp({ src: A, dst: BROADCAST }, { op: 'request', sha: A, spa: '10.0.0.1', tpa: '10.0.0.2' });
  assert.equal(world.enter(a, request).verdict, 'vif a');
});

test('programs whose bank is not filled drop what is not established, and count it for the VIF', () => {
  for (let slot = CB_ENTRIES; slot < CB_ENTRIES + CB_BANK_SLOTS; slot++) world.slots.delete(arrayIndex.encode(slot));
  assert.equal(world.send(a, frame).verdict, 'drop not_programmed');
  assert.equal(world.stat(a).drops[NOT_PROGRAMMED], 1n);
});

test('a program of another load does not go on with what it was not handed', () => {
  assert.equal(world.send(a, frame).verdict, 'vif b', 'before');
  world.forgetFlows();
  // Of its own maps: whatever it would do to the packet, it would do by what it has seen before.
  others = loadObject({ path: OBJECT });
  fillBank(world.slots, 0, others.programs);
  assert.equal(world.send(a, frame).verdict, 'drop not_programmed');
});
