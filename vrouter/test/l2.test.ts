import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { CB_FLOOD_BURST, CB_FLOOD_RATE, DROP_REASONS } from '../../packages/agent/src/bpf/abi.gen.ts';
import { arp, BROADCAST, ethernet, type Ipv4, ipv4, TCP, tcp, udp } from './packet.ts';
import { DEFAULT_FLAGS, type Guest, OPEN_FLAGS, POD_FLAGS, SERVICE_MAC, World } from './world.ts';

const VNI = 100;
const A = '02:00:00:00:00:0a';
const B = '02:00:00:00:00:0b';
const R = '02:00:00:00:00:0c';
const VIRTUAL = '00:00:5e:00:01:07';

let world: World;
let a: Guest;
let b: Guest;
let open: Guest;

before(() => {
  world = new World();
  a = world.addGuest('a', { mac: A, ip: '10.0.0.1', vni: VNI });
  b = world.addGuest('b', { mac: B, ip: '10.0.0.2', vni: VNI, flags: POD_FLAGS });
  open = world.addGuest('open', { mac: '02:00:00:00:00:0d', ip: '10.0.0.4', vni: VNI, flags: OPEN_FLAGS });
  world.addRemote(VNI, '10.0.0.3', R, '192.0.2.2');
  world.addServices(VNI, ['10.0.0.254', '169.254.169.254']);
  world.allowSource(a, A, '10.0.0.64', 26);
  world.allowSource(a, VIRTUAL, '10.0.0.50');
  world.setFlood(VNI, [{ guest: a }, { guest: b }, { host: '192.0.2.2' }]);
});

after(() => world.close());

beforeEach(() => world.forgetFlows());

const ab: Ipv4 = { src: A, dst: B, from: '10.0.0.1', to: '10.0.0.2' };
const ports = { sport: 1000, dport: 2000 };

function drops(guest: Guest | undefined, reason: string): bigint {
  return world.stat(guest).drops[DROP_REASONS.find((one) => one.name === reason)?.code ?? 0] ?? 0n;
}

const request = (tpa: string, over: { src?: string; sha?: string; spa?: string } = {}): Buffer =>
  arp(
    { src: over.src ?? A, dst: BROADCAST },
    { op: 'request', sha: over.sha ?? over.src ?? A, spa: over.spa ?? '10.0.0.1', tpa },
  );

for (const [what, target, mac] of [
  ['a guest of this host', '10.0.0.2', B],
  ['a guest of another host', '10.0.0.3', R],
  ['the gateway of a subnet without a router', '10.0.0.254', SERVICE_MAC],
  ['metadata', '169.254.169.254', SERVICE_MAC],
] as const) {
  test(`an ARP request for ${what} is answered`, () => {
    const out = world.send(a, request(target));
    assert.equal(out.verdict, 'vif a');
    assert.equal(out.packet, `${mac} > ${A} arp reply ${mac} ${target} to ${A} 10.0.0.1`);
  });
}

test('an ARP request of a pod goes back through its own peer', () => {
  const out = world.send(
    b,
    arp({ src: B, dst: BROADCAST }, { op: 'request', sha: B, spa: '10.0.0.2', tpa: '10.0.0.1' }),
  );
  assert.equal(out.verdict, 'peer b');
});

for (const [what, frame, verdict] of [
  ['for an address nobody is known to have is flooded', request('10.0.0.77'), 'flood 2 copies'],
  ['that announces the sender itself is flooded', request('10.0.0.1'), 'flood 2 copies'],
  ['from an allowed pair is answered', request('10.0.0.2', { src: VIRTUAL, spa: '10.0.0.50' }), 'vif a'],
  ['that probes for a duplicate is answered', request('10.0.0.2', { spa: '0.0.0.0' }), 'vif a'],
  ['that probes for its own address is flooded', request('10.0.0.1', { spa: '0.0.0.0' }), 'flood 2 copies'],
  ['that probes for one it may not have is dropped', request('10.0.0.200', { spa: '0.0.0.0' }), 'drop spoofed_arp'],
  ['with a false sender IP is dropped', request('10.0.0.2', { spa: '10.0.0.9' }), 'drop spoofed_arp'],
  ['with a sender MAC unlike its frame is dropped', request('10.0.0.2', { sha: B }), 'drop spoofed_arp'],
  ['that probes from a false MAC is dropped', request('10.0.0.2', { src: B, spa: '0.0.0.0' }), 'drop spoofed_mac'],
  ['that is cut short is dropped', request('10.0.0.2').subarray(0, 30), 'drop malformed'],
] as const) {
  test(`an ARP request ${what}`, () => assert.equal(world.send(a, frame).verdict, verdict));
}

test('an ARP reply goes to its MAC, here and on another host, and not to the gateway', () => {
  const reply = (dst: string): Buffer =>
    arp({ src: A, dst }, { op: 'reply', sha: A, spa: '10.0.0.1', tha: dst, tpa: '10.0.0.2' });
  assert.equal(world.send(a, reply(B)).verdict, 'peer b');
  assert.equal(world.send(a, reply(R)).verdict, 'overlay 100 192.0.2.2');
  assert.equal(world.send(a, reply(SERVICE_MAC)).verdict, 'drop no_router');
});

for (const [what, ip, verdict] of [
  ['its own addresses', {}, 'peer b'],
  ['an address of an allowed prefix', { from: '10.0.0.100' }, 'peer b'],
  ['the address after an allowed prefix', { from: '10.0.0.128' }, 'drop spoofed_ip'],
  ['another IP', { from: '10.0.0.3' }, 'drop spoofed_ip'],
  ['another MAC', { src: B }, 'drop spoofed_mac'],
  ['an allowed pair', { src: VIRTUAL, from: '10.0.0.50' }, 'peer b'],
  ['the MAC of an allowed pair with its own IP', { src: VIRTUAL }, 'drop spoofed_mac'],
  ['the IP of an allowed pair with its own MAC', { from: '10.0.0.50' }, 'drop spoofed_ip'],
] as const) {
  test(`a packet from ${what}: ${verdict}`, () => {
    assert.equal(world.send(a, udp({ ...ab, ...ip }, ports)).verdict, verdict);
  });
}

test('a spoofed packet is dropped though its flow is established', () => {
  assert.equal(world.send(a, udp(ab, ports)).verdict, 'peer b');
  assert.equal(world.send(a, udp({ ...ab, src: B }, ports)).verdict, 'drop spoofed_mac');
  assert.equal(
    world.send(open, udp({ ...ab, src: '02:00:00:00:00:0d' }, ports)).verdict,
    'peer b',
    'without port security anything goes',
  );
});

test('spoofed packets are counted for the VIF and by reason', () => {
  const [ip, mac] = [drops(a, 'spoofed_ip'), drops(a, 'spoofed_mac')];
  world.send(a, udp({ ...ab, from: '10.9.9.9' }, ports));
  world.send(a, udp({ ...ab, from: '10.9.9.9' }, ports));
  world.send(a, udp({ ...ab, src: B }, ports));
  assert.deepEqual([drops(a, 'spoofed_ip') - ip, drops(a, 'spoofed_mac') - mac], [2n, 1n]);
});

test('a packet in one network leaves the host or reaches the guest unchanged', () => {
  for (const [dst, to, verdict] of [
    [B, '10.0.0.2', 'peer b'],
    [R, '10.0.0.3', 'overlay 100 192.0.2.2'],
  ] as const) {
    const frame = udp({ ...ab, dst, to }, ports);
    for (const pass of ['first', 'established']) {
      const out = world.send(a, frame);
      assert.equal(out.verdict, verdict, pass);
      assert.deepEqual(Buffer.from(out.data), frame, pass);
    }
  }
});

test('counters count packets and bytes from and to a VIF', () => {
  const frame = udp(ab, ports);
  const [rx, tx] = [world.stat(a), world.stat(b)];
  world.send(a, frame);
  world.send(a, frame);
  assert.equal(world.stat(a).rxPackets - rx.rxPackets, 2n);
  assert.equal(world.stat(a).rxBytes - rx.rxBytes, BigInt(2 * frame.length));
  assert.equal(world.stat(b).txPackets - tx.txPackets, 2n);
  assert.equal(world.stat(b).txBytes - tx.txBytes, BigInt(2 * frame.length));
});

test('a packet for the sender itself goes nowhere', () => {
  assert.equal(world.send(a, udp({ ...ab, dst: A, to: '10.0.0.1' }, ports)).verdict, 'drop no_endpoint');
});

test('a packet for the gateway of a subnet without a router is dropped', () => {
  assert.equal(world.send(a, udp({ ...ab, dst: SERVICE_MAC, to: '10.1.0.1' }, ports)).verdict, 'drop no_router');
});

test('unknown unicast, broadcast and multicast reach every other guest of the network once', () => {
  for (const [dst, to] of [
    ['02:99:00:00:00:01', '10.0.0.88'],
    [BROADCAST, '255.255.255.255'],
    ['01:00:5e:00:00:fb', '224.0.0.251'],
  ] as const) {
    const sent = [a, b, open, 'overlay' as const].map((one) => world.sentTo(one));
    assert.equal(world.send(a, udp({ ...ab, dst, to }, ports)).verdict, 'flood 2 copies');
    const now = [a, b, open, 'overlay' as const].map((one) => world.sentTo(one));
    assert.deepEqual(
      now.map((n, i) => n - (sent[i] ?? 0)),
      [0, 1, 0, 1],
      `${dst}: not to the sender, to b, not off the list, once to the other host`,
    );
  }
});

test('each copy of unknown unicast, broadcast and ARP is paid from the one bucket of the sender, and none when it is empty', () => {
  const burstNs = (BigInt(CB_FLOOD_BURST) * 1_000_000_000n) / BigInt(CB_FLOOD_RATE);
  const copyNs = 1_000_000_000n / BigInt(CB_FLOOD_RATE);
  const unknown: Ipv4 = { ...ab, dst: '02:99:00:00:00:01', to: '10.0.0.88' };
  const frames = [udp(unknown, ports), udp({ ...ab, dst: BROADCAST, to: '10.0.0.255' }, ports), request('10.0.0.77')];
  for (const frame of frames) {
    world.setFloodBucket(a, 0n);
    const before_ = process.hrtime.bigint();
    assert.equal(world.send(a, frame).verdict, 'flood 2 copies');
    assert.ok(world.floodBucket(a) >= before_ + 2n * copyNs, 'both copies are paid');
    world.setFloodBucket(a, process.hrtime.bigint() + 1000n * burstNs);
    const sent = [b, 'overlay' as const].map((one) => world.sentTo(one));
    assert.equal(world.send(a, frame).verdict, 'drop rate_flood');
    assert.deepEqual(
      [b, 'overlay' as const].map((one) => world.sentTo(one)),
      sent,
    );
  }
  assert.equal(world.send(a, udp(ab, ports)).verdict, 'peer b', 'what is known costs nothing');
});

test('a flow to a MAC that nobody is known to have goes to its owner alone from when it is known', () => {
  const unknown: Ipv4 = { ...ab, dst: '02:99:00:00:00:02', to: '10.0.0.89' };
  for (const pass of ['first', 'next'])
    assert.equal(world.send(a, udp(unknown, ports)).verdict, 'flood 2 copies', pass);
  assert.equal(world.ways().length, 2, 'its answers are known');
  world.addRemote(VNI, '10.0.0.89', '02:99:00:00:00:02', '192.0.2.2');
  assert.equal(world.send(a, udp(unknown, ports)).verdict, `overlay ${VNI} 192.0.2.2`);
});

for (const [what, frame, verdict] of [
  ['LLDP', ethernet(ab, 0x88cc, Buffer.alloc(60)), 'drop unsupported_ethertype'],
  ['a VLAN tag', ethernet(ab, 0x8100, Buffer.alloc(60)), 'drop unsupported_ethertype'],
  ['an IP header length beyond the packet', mangle(udp(ab, ports), 14, 0x4f), 'drop malformed'],
  ['a cut UDP header', ipv4(ab, 17, Buffer.alloc(4)), 'drop malformed'],
  ['a cut TCP header', ipv4(ab, 6, Buffer.alloc(12)), 'drop malformed'],
  ['an IP header length below 20', mangle(udp(ab, ports), 14, 0x44), 'drop malformed'],
  ['IP version 5', mangle(udp(ab, ports), 14, 0x55), 'drop malformed'],
  ['a total length beyond the frame', mangle(udp(ab, ports), 16, 0x10), 'drop malformed'],
  ['a total length that ends before the ports', mangle(udp(ab, ports), 17, 24), 'drop malformed'],
  ['a TCP segment without any flag', tcp(ab, { ...ports, flags: 0 }), 'drop invalid_state'],
  ['a TCP segment with SYN and FIN', tcp(ab, { ...ports, flags: TCP.syn | TCP.fin }), 'drop invalid_state'],
  ['IP options and TCP', tcp({ ...ab, options: 40 }, { ...ports, flags: TCP.syn }), 'peer b'],
  ['a strict source route', routed(137, 7), 'drop ip_options'],
  ['a loose source route behind other options', routed(131, 7, 4), 'drop ip_options'],
  ['an option beyond the header', routed(7, 41), 'drop malformed'],
  ['an option without a length', routed(7, 0), 'drop malformed'],
  ['a source route behind the end of the options', routed(131, 7, 4, 0), 'peer b'],
  ['an unknown protocol', ipv4(ab, 99, Buffer.alloc(8)), 'peer b'],
] as const) {
  test(`a frame with ${what}: ${verdict}`, () => assert.equal(world.send(a, frame).verdict, verdict));
}

/** A frame with 40 bytes of options, one of which is of this type and length; `before`: what stands before it. */
function routed(type: number, length: number, skip = 0, before = 1): Buffer {
  const frame = Buffer.from(tcp({ ...ab, options: 40 }, { ...ports, flags: TCP.syn }));
  frame.fill(before, 34, 34 + skip);
  frame[34 + skip] = type;
  frame[35 + skip] = length;
  return frame;
}

function mangle(frame: Buffer, at: number, byte: number): Buffer {
  const copy = Buffer.from(frame);
  copy[at] = byte;
  return copy;
}

test('a VIF that is not programmed passes nothing, and its drops are counted', () => {
  const counted = drops(undefined, 'not_programmed');
  const c = world.addGuest('c', { mac: '02:00:00:00:00:0e', ip: '10.0.0.5', vni: VNI });
  world.unplug(c);
  assert.equal(world.send(c, request('10.0.0.2')).verdict, 'drop not_programmed');
  assert.equal(drops(undefined, 'not_programmed'), counted + 1n);
  const toC = udp({ ...ab, dst: '02:00:00:00:00:0e', to: '10.0.0.5' }, ports);
  assert.equal(world.send(a, toC).verdict, 'drop not_programmed');
});

test('a port whose admin state is down neither sends nor receives', () => {
  const options = { mac: '02:00:00:00:00:0f', ip: '10.0.0.6', vni: VNI };
  const down = world.addGuest('down', { ...options, flags: DEFAULT_FLAGS & ~4 });
  assert.equal(world.send(down, udp({ ...ab, src: options.mac, from: '10.0.0.6' }, ports)).verdict, 'drop admin_down');
  const toIt = udp({ ...ab, dst: options.mac, to: '10.0.0.6' }, ports);
  assert.equal(world.send(a, toIt).verdict, 'drop admin_down');
  world.setVif(down, options);
  assert.equal(world.send(a, toIt).verdict, 'vif down');
});

test('frames with a tag belong to the VIF of the tag, and get it back; others are dropped', () => {
  const trunk = world.addGuest('trunk', { mac: '02:00:00:00:00:20', ip: '10.0.0.20', vni: VNI });
  const sub = world.addGuest('sub', { mac: '02:00:00:00:00:21', ip: '10.0.0.21', vni: VNI, vlan: 101 }, trunk);
  const from = (guest: Guest): Ipv4 => ({ src: guest.mac, dst: A, from: guest.ip, to: '10.0.0.1' });
  for (const pass of ['first', 'established']) {
    assert.equal(world.sendTagged(trunk, 101, udp(from(sub), ports)).verdict, 'vif a', pass);
    assert.equal(world.send(trunk, udp(from(trunk), ports)).verdict, 'vif a', pass);
  }
  assert.equal(world.sendTagged(trunk, 101, udp(from(trunk), ports)).verdict, 'drop spoofed_mac');
  assert.equal(world.sendTagged(trunk, 102, udp(from(sub), ports)).verdict, 'drop unknown_vlan');
  assert.equal(world.send(trunk, udp(from(sub), ports)).verdict, 'drop spoofed_mac');
  assert.equal(world.send(a, udp({ ...ab, dst: sub.mac, to: sub.ip }, ports)).verdict, 'vif trunk vlan 101');
  assert.equal(world.send(a, udp({ ...ab, dst: trunk.mac, to: trunk.ip }, ports)).verdict, 'vif trunk');
});
