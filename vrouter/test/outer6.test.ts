/** IPv6 of guests by own encapsulation, both ways: as IPv4 (`outer.test.ts`), around which the same headers are. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { CB_PEER_F_UPLINK, DROP_REASONS } from '../../packages/agent/src/bpf/abi.gen.ts';
import {
  echo6,
  ICMP6,
  icmp6Error,
  listenerReport,
  neighborAdvertisement,
  neighborSolicitation,
  routerAdvertisement,
  solicitedNode,
} from './icmp6.ts';
import { assertLeftToHost } from './left-to-host.ts';
import { ethernet, type Ipv4, type Ipv6, ipv6, multicastMac, PROTO, sctp, TCP, tcp, udp, vxlan } from './packet.ts';
import { DEFAULT_FLAGS, FLOWS, type Guest, POD_FLAGS, UPLINK_MAC, World } from './world.ts';

const VNI = 0xabcde6;
const FAR_VNI = 78;
const SELF = '192.0.2.1';
const PEER = '192.0.2.2';
const GATEWAY = '192.0.2.254';
const [A, POD, FAR] = ['0a', '0d', '0f'].map((n) => `02:00:00:00:06:${n}`) as [string, string, string];
const [ROUTER, FAR_ROUTER] = ['fa:16:3e:00:06:01', 'fa:16:3e:00:06:02'];
const NO_MAC = '00:00:00:00:00:00';
const [a6, pod6, far6, behind6] = ['2001:db8:1::a', '2001:db8:1::d', '2001:db8:1::f', '2001:db8:9::9'];

let world: World;
let a: Guest;
let pod: Guest;

before(() => {
  world = new World(8, FLOWS, { underlay: SELF });
  a = world.addGuest('a', { mac: A, ip: '10.0.0.1', ip6: a6, vni: VNI });
  pod = world.addGuest('pod', { mac: POD, ip: '10.0.0.4', ip6: pod6, vni: VNI, flags: POD_FLAGS });
  world.addRemote(VNI, far6, FAR, PEER);
  world.addRouterInterface(1, { vni: VNI, cidr: '2001:db8:1::/64', ip: '2001:db8:1::1', mac: ROUTER });
  world.addRouterInterface(1, {
    ...{ vni: FAR_VNI, cidr: '2001:db8:9::/64', ip: '2001:db8:9::1', mac: FAR_ROUTER, mtu: 1280 },
  });
  world.addRemote(FAR_VNI, behind6, FAR, PEER);
  world.addPeer(PEER, undefined, CB_PEER_F_UPLINK);
  world.setFlood(VNI, [{ guest: a }, { guest: pod }, { host: PEER }]);
});

after(() => world.close());

beforeEach(() => {
  world.forgetFlows();
  world.addHop(PEER, { nexthop: GATEWAY });
});

const toFar: Ipv6 = { src: A, dst: FAR, from: a6, to: far6 };
const toA: Ipv6 = { src: FAR, dst: A, from: far6, to: a6 };
const toPod: Ipv6 = { ...toA, dst: POD, to: pod6 };
const ports = { sport: 1000, dport: 2000 };
const sent: Ipv4 = { src: NO_MAC, dst: NO_MAC, from: SELF, to: PEER, dontFragment: true };
const came: Ipv4 = { src: '02:00:00:00:ff:02', dst: UPLINK_MAC, from: PEER, to: SELF, dontFragment: true };

const sportOf = (frame: Uint8Array): number => Buffer.from(frame).readUInt16BE(34);

/** The frame in the headers that this host puts on it; `out` says which source port it took. */
function wrapped(out: Uint8Array, inner: Uint8Array, tos = 0, vni = VNI): Buffer {
  return vxlan({ ...sent, tos }, { vni, sport: sportOf(out) }, inner);
}

describe('to another host', () => {
  for (const [what, inner] of [
    ['UDP', udp(toFar, ports)],
    ['TCP', tcp(toFar, { ...ports, flags: TCP.syn })],
    ['SCTP', sctp(toFar, ports)],
    ['a ping', echo6(toFar, { id: 7 })],
    ['a protocol without ports', ipv6(toFar, 99, Buffer.alloc(8))],
    [
      'a packet with extension headers',
      udp({ ...toFar, extensions: [{ protocol: 60, body: Buffer.alloc(6) }] }, ports),
    ],
    ['a first fragment', udp({ ...toFar, fragment: { id: 5, more: true } }, ports)],
  ] as const) {
    test(`${what}: the outer headers are those of RFC 7348, the inner frame is as it was, first and established`, () => {
      for (const pass of ['first', 'established']) {
        const out = world.send(a, inner);
        assert.equal(out.verdict, `uplink ${VNI} ${PEER}`, pass);
        assert.ok(sportOf(out.data) >= 0xc000);
        assert.deepEqual(Buffer.from(out.data), wrapped(out.data, inner), pass);
      }
    });
  }

  test('a later fragment follows its first', () => {
    const body = Buffer.alloc(64, 9);
    world.send(a, udp({ ...toFar, fragment: { id: 6, more: true } }, { ...ports, payload: body }));
    const later = ipv6({ ...toFar, fragment: { id: 6, offset: 72 } }, PROTO.udp, body);
    const out = world.send(a, later);
    assert.equal(out.verdict, `uplink ${VNI} ${PEER}`);
    assert.deepEqual(Buffer.from(out.data), wrapped(out.data, later));
  });

  test('one flow has one source port, many flows have many', () => {
    const portOf = (sport: number): number => sportOf(world.send(a, udp(toFar, { sport, dport: 53 })).data);
    assert.equal(portOf(7), portOf(7));
    const many = new Set(Array.from({ length: 200 }, (_, i) => portOf(2000 + i)));
    assert.ok(many.size > 150, `${many.size} of 200`);
  });

  for (const [trafficClass, tos] of [
    [0x00, 0x00],
    [0x01, 0x01],
    [0x02, 0x02],
    [0x03, 0x02],
    [0xb8, 0x00],
    [0xbb, 0x02],
  ] as const) {
    test(`inner traffic class ${trafficClass} gives outer TOS ${tos} (RFC 6040)`, () => {
      const frame = udp({ ...toFar, trafficClass, flowLabel: 0xfffff }, ports);
      const out = world.send(a, frame);
      assert.deepEqual(Buffer.from(out.data), wrapped(out.data, frame, tos));
    });
  }

  test('every length that fits has right lengths and checksum; of what the network does not carry the sender is told', () => {
    for (const size of [0, 1, 17, 512, 1401, 1402, 1403, 1404, 1500]) {
      const frame = udp(toFar, { ...ports, payload: Buffer.alloc(size, 7) });
      const out = world.send(a, frame);
      if (size <= 1402) assert.deepEqual(Buffer.from(out.data), wrapped(out.data, frame), `${size}`);
      else assert.equal(out.verdict, 'vif a (too_big)', `${size}`);
    }
  });

  test('what is routed has another hop limit; what the other network does not carry is Packet Too Big to the sender, with its MTU', () => {
    const routed = (size: number): Ipv6 & { payload: Buffer } => ({
      ...{ ...toFar, dst: ROUTER, to: behind6, hopLimit: 9, trafficClass: 3 },
      payload: Buffer.alloc(size, 1),
    });
    const fits = routed(1232);
    const out = world.send(a, udp(fits, { ...ports, payload: fits.payload }));
    const inner = udp({ ...fits, src: FAR_ROUTER, dst: FAR, hopLimit: 8 }, { ...ports, payload: fits.payload });
    assert.deepEqual(Buffer.from(out.data), wrapped(out.data, inner, 2, FAR_VNI));
    const large = routed(1233);
    const refused = world.send(a, udp(large, { ...ports, payload: large.payload }));
    assert.equal(refused.verdict, 'vif a (too_big)');
    assert.equal(refused.data[54], ICMP6.tooBig);
    assert.equal(Buffer.from(refused.data).readUInt32BE(58), 1280);
  });

  test('GSO of a kind that the kernel does not do in a tunnel goes by the device, unchanged', () => {
    const frame = udp(toFar, { ...ports, payload: Buffer.alloc(3000) });
    const out = world.send(a, frame, 1000);
    assert.equal(out.verdict, `overlay ${VNI} ${PEER}`);
    assert.deepEqual(Buffer.from(out.data), frame);
  });

  test('without a known hop, and for what goes to all, the device sends', () => {
    const question = neighborSolicitation(
      { src: A, dst: multicastMac(solicitedNode('2001:db8:1::77')), from: a6, to: solicitedNode('2001:db8:1::77') },
      { target: '2001:db8:1::77', mac: A },
    );
    const before = world.sentTo('overlay');
    assert.equal(world.send(a, question).verdict, 'flood 2 copies');
    assert.equal(world.sentTo('overlay') - before, 1);
    world.removeHop(PEER);
    const frame = udp(toFar, ports);
    const out = world.send(a, frame);
    assert.equal(out.verdict, `overlay ${VNI} ${PEER}`);
    assert.deepEqual(Buffer.from(out.data), frame);
  });

  test('the guest’s bytes are counted, without the headers put on', () => {
    const before = world.stat();
    const frame = udp(toFar, ports);
    world.send(a, frame);
    assert.equal(world.stat().txBytes - before.txBytes, BigInt(frame.length));
  });
});

describe('from another host', () => {
  for (const [what, frame, verdict] of [
    ['UDP for a tap', udp(toA, ports), 'vif a'],
    ['ping for a tap', echo6(toA, { id: 7 }), 'vif a'],
    ['SCTP for a tap', sctp(toA, ports), 'vif a'],
    ['a protocol without ports', ipv6(toA, 99, Buffer.alloc(8)), 'vif a'],
    ['TCP for a pod', tcp(toPod, { ...ports, flags: TCP.syn }), 'peer pod'],
    ['UDP for a pod', udp(toPod, ports), 'peer pod'],
  ] as const) {
    test(`${what}: ${verdict}, first and established, with or without an outer checksum`, () => {
      for (const sum of [false, false, true]) {
        const before = world.stat();
        const out = world.arrive(vxlan(came, { vni: VNI, checksum: sum }, frame));
        assert.equal(out.verdict, verdict);
        assert.deepEqual(Buffer.from(out.data), frame);
        assert.equal(world.stat().rxBytes - before.rxBytes, BigInt(frame.length));
      }
    });
  }

  test('an error about what a guest sent comes to it, as from the device, and one about nothing does not', () => {
    const sentFrame = udp(toFar, { ...ports, payload: Buffer.alloc(1300) });
    const error = (about: Uint8Array): Buffer =>
      vxlan(came, { vni: VNI }, icmp6Error(toA, { type: ICMP6.tooBig, word: 1280 }, about));
    assert.equal(world.arrive(error(sentFrame)).verdict, 'drop invalid_state');
    world.send(a, sentFrame);
    assert.equal(world.arrive(error(sentFrame)).verdict, 'vif a');
  });

  const inner = udp(toA, ports);
  const cases: readonly (readonly [string, Uint8Array])[] = [
    ['that is a first fragment', udp({ ...toA, fragment: { id: 1, more: true } }, ports)],
    ['that is a later fragment', ipv6({ ...toA, fragment: { id: 1, offset: 64 } }, PROTO.udp, Buffer.alloc(64))],
    ['with extension headers', udp({ ...toA, extensions: [{ protocol: 60, body: Buffer.alloc(6) }] }, ports)],
    ['that asks for a neighbour', neighborSolicitation(toA, { target: a6, mac: FAR })],
    ['that says who a neighbour is', neighborAdvertisement(toA, { target: far6, mac: FAR, solicited: true })],
    ['that advertises a router', routerAdvertisement(toA, {})],
    ['for a group', listenerReport({ ...toA, dst: '33:33:00:00:00:16', to: 'ff02::16' }, { group: 'ff02::16' })],
    ['with TCP for a tap', tcp(toA, { ...ports, flags: TCP.syn })],
    ['with TCP for nobody here', tcp({ ...toA, dst: FAR }, { ...ports, flags: TCP.syn })],
    ['with less than an IP header', ethernet(toA, 0x86dd, Buffer.alloc(39, 0x60))],
    ['with an IP header and nothing else', ethernet(toA, 0x86dd, inner.subarray(14, 54))],
  ];
  for (const [what, frame] of cases) {
    test(`a tunnelled packet ${what} is left to the host, unchanged`, () =>
      assertLeftToHost(world, vxlan(came, { vni: VNI }, frame)));
  }

  test('a mark of congestion for a guest that knows none is left to the host, UDP that will be segmented too', () => {
    assert.equal(world.arrive(vxlan({ ...came, tos: 3 }, { vni: VNI }, inner)).verdict, 'pass');
    assert.equal(world.arrive(vxlan(came, { vni: VNI }, inner), 1000).verdict, 'pass');
  });

  for (const ecn of [1, 2, 3]) {
    test(`a mark of congestion in the underlay becomes the guest's, ECN field ${ecn} (RFC 6040)`, () => {
      const ip = { ...toA, trafficClass: 0xb8 | ecn, flowLabel: 0xabcde };
      const out = world.arrive(vxlan({ ...came, tos: 0x23 }, { vni: VNI }, udp(ip, ports)));
      assert.equal(out.verdict, 'vif a');
      assert.deepEqual(Buffer.from(out.data), udp({ ...ip, trafficClass: 0xbb }, ports));
    });
  }

  test('a packet cut anywhere is left to the host', () => {
    const whole = vxlan(came, { vni: VNI }, inner);
    for (let size = 34; size < whole.length; size++)
      assert.equal(world.arrive(whole.subarray(0, size)).verdict, 'pass');
  });

  for (const [what, frame, reason] of [
    ['for a MAC of another host', udp({ ...toA, dst: FAR }, ports), 'unknown_mac'],
    ['from an address of this host', udp({ ...toA, from: pod6 }, ports), 'spoofed_peer'],
    ['from an IPv4 address', udp({ ...toA, from: '0:0:0:0:0:ffff:a00:3' }, ports), 'malformed'],
    ['from a group', udp({ ...toA, from: 'ff02::1' }, ports), 'malformed'],
    ['whose payload is longer than it', longer(inner), 'malformed'],
    ['of another IP version', version(inner, 5), 'malformed'],
    ['without room for its ports', ipv6(toA, PROTO.udp, Buffer.alloc(3)), 'malformed'],
  ] as const) {
    test(`a tunnelled packet ${what} is dropped and counted, as the device's would be: ${reason}`, () => {
      const code = DROP_REASONS.find(({ name }) => name === reason)?.code ?? 0;
      const before = world.stat().drops[code] ?? 0n;
      assert.equal(world.arrive(vxlan(came, { vni: VNI }, frame)).verdict, `drop ${reason}`);
      assert.equal(world.stat().drops[code], before + 1n);
      assert.equal(world.receive({ vni: VNI, from: PEER }, frame).verdict, `drop ${reason}`);
    });
  }

  test('rules are asked, and a flow begun by the guest is answered', () => {
    world.setVif(a, { mac: A, ip: '10.0.0.1', ip6: a6, vni: VNI, policy: 5, flags: DEFAULT_FLAGS });
    world.setEndpoint(VNI, [a6], A, { kind: 1, guest: a });
    world.addRule({ policy: 5, direction: 'egress', family: 6 });
    try {
      assert.equal(world.arrive(vxlan(came, { vni: VNI }, inner)).verdict, 'drop policy_ingress');
      assert.equal(world.send(a, udp(toFar, { sport: 2000, dport: 1000 })).verdict, `uplink ${VNI} ${PEER}`);
      assert.equal(world.arrive(vxlan(came, { vni: VNI }, inner)).verdict, 'vif a');
    } finally {
      world.removeRule({ policy: 5, direction: 'egress', family: 6 });
      world.setVif(a, { mac: A, ip: '10.0.0.1', ip6: a6, vni: VNI });
    }
  });

  test('a flow has one record whichever way its packets come: from the uplink, from the device', () => {
    world.send(pod, udp({ ...toFar, src: POD, from: pod6 }, ports));
    const back = udp(toPod, { sport: 2000, dport: 1000 });
    assert.equal(world.arrive(vxlan(came, { vni: VNI }, back)).verdict, 'peer pod');
    assert.equal(world.receive({ vni: VNI, from: PEER }, back).verdict, 'peer pod');
    assert.equal(world.audit().live, 1);
  });
});

function longer(frame: Uint8Array): Buffer {
  const bytes = Buffer.from(frame);
  bytes.writeUInt16BE(bytes.readUInt16BE(18) + 1, 18);
  return bytes;
}

function version(frame: Uint8Array, number: number): Buffer {
  const bytes = Buffer.from(frame);
  bytes[14] = (number << 4) | ((bytes[14] ?? 0) & 0xf);
  return bytes;
}
