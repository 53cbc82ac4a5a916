import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { CB_VIF_F_ADMIN_UP, DROP_REASONS } from '../../packages/agent/src/bpf/abi.gen.ts';
import { arp, BROADCAST, ethernet, type Ipv4, udp } from './packet.ts';
import { DEFAULT_FLAGS, type Guest, World } from './world.ts';

const VNI = 600;
const OTHER = 601;
const PEER = '192.0.2.1';
const A = '02:00:00:00:00:0a';
const B = '02:00:00:00:00:0b';
const FAR = '02:00:00:00:00:0f';

let world: World;
let a: Guest;
let b: Guest;
let other: Guest;

before(() => {
  world = new World();
  a = world.addGuest('a', { mac: A, ip: '10.0.0.1', vni: VNI });
  b = world.addGuest('b', { mac: B, ip: '10.0.0.2', vni: VNI });
  other = world.addGuest('other', { mac: A, ip: '10.0.0.1', vni: OTHER });
  world.addRemote(VNI, '10.0.0.3', FAR, PEER);
  world.addPeer(PEER);
  world.setFlood(VNI, [{ guest: a }, { guest: b }, { host: PEER }, { host: '192.0.2.99' }]);
  world.setFlood(OTHER, [{ guest: other }]);
});

after(() => world.close());

beforeEach(() => world.forgetFlows());

const toA: Ipv4 = { src: FAR, dst: A, from: '10.0.0.3', to: '10.0.0.1' };
const ports = { sport: 1000, dport: 2000 };

test('a packet from another host reaches its guest unchanged, first and established', () => {
  const frame = udp(toA, ports);
  for (const pass of ['first', 'established']) {
    const out = world.receive({ vni: VNI, from: PEER }, frame);
    assert.equal(out.verdict, 'vif a', pass);
    assert.deepEqual(Buffer.from(out.data), frame, pass);
  }
});

test('the VNI tells equal MACs and addresses apart', () => {
  assert.equal(world.receive({ vni: OTHER, from: PEER }, udp(toA, ports)).verdict, 'vif other');
  assert.equal(world.receive({ vni: VNI, from: PEER }, udp(toA, ports)).verdict, 'vif a');
});

for (const [what, tunnel, frame, verdict] of [
  ['from a host that is no peer', { vni: VNI, from: '192.0.2.66' }, udp(toA, ports), 'drop unknown_peer'],
  ['without a tunnel', { vni: VNI }, udp(toA, ports), 'drop unknown_peer'],
  ['for a network that is not here', { vni: 999, from: PEER }, udp(toA, ports), 'drop unknown_peer'],
  [
    'to all of a network that is not here',
    { vni: 999, from: PEER },
    udp({ ...toA, dst: BROADCAST }, ports),
    'drop unknown_peer',
  ],
  ['for a MAC of another host', { vni: VNI, from: PEER }, udp({ ...toA, dst: FAR }, ports), 'drop unknown_mac'],
  ['with LLDP', { vni: VNI, from: PEER }, ethernet(toA, 0x88cc, Buffer.alloc(60)), 'drop unsupported_ethertype'],
] as const) {
  test(`a tunnelled packet ${what}: ${verdict}`, () => {
    const code = DROP_REASONS.find((one) => verdict === `drop ${one.name}`)?.code ?? 0;
    const before = world.stat().drops[code] ?? 0n;
    assert.equal(world.receive(tunnel, frame).verdict, verdict);
    assert.equal(world.stat().drops[code], before + 1n, 'counted');
  });
}

test('a peer may send only into the networks in which it has somebody', () => {
  world.addPeer('192.0.2.50', [OTHER]);
  assert.equal(world.receive({ vni: OTHER, from: '192.0.2.50' }, udp(toA, ports)).verdict, 'vif other');
  assert.equal(world.receive({ vni: VNI, from: '192.0.2.50' }, udp(toA, ports)).verdict, 'drop unknown_peer');
});

test('nobody elsewhere sends as a guest of this host, by MAC or by address', () => {
  const tunnel = { vni: VNI, from: PEER };
  assert.equal(world.receive(tunnel, udp({ ...toA, src: B }, ports)).verdict, 'drop spoofed_peer');
  assert.equal(world.receive(tunnel, udp({ ...toA, from: '10.0.0.2' }, ports)).verdict, 'drop spoofed_peer');
  assert.equal(
    world.receive({ vni: OTHER, from: PEER }, udp({ ...toA, from: '10.0.0.2' }, ports)).verdict,
    'vif other',
  );
});

test('what is too large for the network and may not be cut is refused before the tunnel, and its sender told', () => {
  const away: Ipv4 = { src: A, dst: FAR, from: '10.0.0.1', to: '10.0.0.3', dontFragment: true };
  const out = world.send(a, udp(away, { ...ports, payload: Buffer.alloc(1450 - 27) }));
  assert.equal(out.verdict, 'vif a (too_big)');
  assert.equal(out.packet, `${FAR} > ${A} ip 169.254.169.254 > 10.0.0.1 ttl 255 icmp 3/4 id 0`);
  assert.equal(Buffer.from(out.data).readUInt16BE(40), 1450);
  assert.equal(
    world.send(a, udp(away, { ...ports, payload: Buffer.alloc(1450 - 28) })).verdict,
    `overlay ${VNI} ${PEER}`,
  );
});

test('an unknown peer is refused also on an established flow', () => {
  const frame = udp(toA, ports);
  world.receive({ vni: VNI, from: PEER }, frame);
  assert.equal(world.receive({ vni: VNI, from: '192.0.2.66' }, frame).verdict, 'drop unknown_peer');
});

test('broadcast from another host goes to the guests of this one and never back', () => {
  const count = (): number[] => [a, b, other, 'overlay' as const].map((one) => world.sentTo(one));
  const before = count();
  const request = arp({ src: FAR, dst: BROADCAST }, { op: 'request', sha: FAR, spa: '10.0.0.3', tpa: '10.0.0.77' });
  assert.equal(world.receive({ vni: VNI, from: PEER }, request).verdict, 'flood 2 copies');
  const ip = udp({ ...toA, dst: BROADCAST, to: '10.0.0.255' }, ports);
  assert.equal(world.receive({ vni: VNI, from: PEER }, ip).verdict, 'flood 2 copies');
  const unknown = udp({ ...toA, dst: '02:77:00:00:00:00' }, ports);
  assert.equal(world.receive({ vni: VNI, from: PEER }, unknown).verdict, 'flood 2 copies');
  assert.deepEqual(
    count().map((n, i) => n - (before[i] ?? 0)),
    [3, 3, 0, 0],
  );
});

test('an ARP reply from another host goes to its guest', () => {
  const reply = arp({ src: FAR, dst: A }, { op: 'reply', sha: FAR, spa: '10.0.0.3', tha: A, tpa: '10.0.0.1' });
  assert.equal(world.receive({ vni: VNI, from: PEER }, reply).verdict, 'vif a');
});

test('broadcast does not reach a port whose admin state is down', () => {
  world.setVif(other, { mac: A, ip: '10.0.0.1', vni: OTHER, flags: DEFAULT_FLAGS & ~CB_VIF_F_ADMIN_UP });
  assert.equal(
    world.receive({ vni: OTHER, from: PEER }, udp({ ...toA, dst: BROADCAST }, ports)).verdict,
    'flood 0 copies',
  );
  world.setVif(other, { mac: A, ip: '10.0.0.1', vni: OTHER });
});

test('a flood list longer than one chunk is followed to its end', () => {
  const hosts = Array.from({ length: 40 }, (_, i) => ({ host: `192.0.2.${i + 1}` }));
  world.setFlood(OTHER, [{ guest: other }, ...hosts], 16);
  const before = world.sentTo('overlay');
  const frame = udp({ src: A, dst: BROADCAST, from: '10.0.0.1', to: '255.255.255.255' }, ports);
  assert.equal(world.send(other, frame).verdict, 'flood 40 copies');
  assert.equal(world.sentTo('overlay') - before, 40);
});

test('a flood list beyond the limit is cut, and that is counted', () => {
  const hosts = Array.from({ length: 70 }, (_, i) => ({ host: `192.0.3.${i + 1}` }));
  world.setFlood(OTHER, hosts, 1);
  const code = DROP_REASONS.find((one) => one.name === 'broadcast_limit')?.code ?? 0;
  const before = world.stat(other).drops[code] ?? 0n;
  const frame = udp({ src: A, dst: BROADCAST, from: '10.0.0.1', to: '255.255.255.255' }, ports);
  assert.equal(world.send(other, frame).verdict, 'flood 32 copies');
  assert.equal(world.stat(other).drops[code], before + 1n);
});

test('who floods pays for the copies, and costs another nothing', () => {
  const hosts = Array.from({ length: 999 }, (_, i) => ({ host: `192.0.${4 + (i >> 8)}.${i & 255}` }));
  world.setFlood(OTHER, [{ guest: other }, ...hosts]);
  world.setFlood(VNI, [{ guest: a }, { guest: b }]);
  const shout = { dst: BROADCAST, from: '10.0.0.1', to: '255.255.255.255' };
  const verdicts = Array.from({ length: 300 }, () => world.send(other, udp({ ...shout, src: A }, ports)).verdict);
  const passed = verdicts.filter((verdict) => verdict === 'flood 999 copies').length;
  assert.ok(passed >= 40 && passed < 200, `${passed} passed`);
  assert.ok(verdicts.includes('drop rate_flood'));
  const few = Array.from({ length: 500 }, () => world.send(a, udp({ ...shout, src: A }, ports)).verdict);
  assert.ok(few.every((verdict) => verdict === 'flood 1 copies'));
});
