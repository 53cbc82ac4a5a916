import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { CB_PEER_F_UPLINK, DROP_REASONS } from '../../packages/agent/src/bpf/abi.gen.ts';
import { assertLeftToHost } from './left-to-host.ts';
import { arp, BROADCAST, checksum, ethernet, type Ipv4, icmp, ipv4, TCP, tcp, udp, vxlan } from './packet.ts';
import { DEFAULT_FLAGS, FLOWS, type Guest, POD_FLAGS, UPLINK_MAC, World } from './world.ts';

const VNI = 0xabcdef;
const SELF = '192.0.2.1';
const PEER = '192.0.2.2';
/** Its packets are the overlay device's. */
const DEVICE_PEER = '192.0.2.3';
const GATEWAY = '192.0.2.254';
const A = '02:00:00:00:00:0a';
const POD = '02:00:00:00:00:0d';
const FAR = '02:00:00:00:00:0f';
const ROUTER = 'fa:16:3e:00:00:01';
const NO_MAC = '00:00:00:00:00:00';

let world: World;
let a: Guest;
let pod: Guest;

before(() => {
  world = new World(8, FLOWS, { underlay: SELF });
  a = world.addGuest('a', { mac: A, ip: '10.0.0.1', vni: VNI });
  pod = world.addGuest('pod', { mac: POD, ip: '10.0.0.4', vni: VNI, flags: POD_FLAGS });
  world.addRemote(VNI, '10.0.0.3', FAR, PEER);
  world.addPeer(PEER, undefined, CB_PEER_F_UPLINK);
  world.addPeer(DEVICE_PEER);
  world.setFlood(VNI, [{ guest: a }, { guest: pod }, { host: PEER }]);
});

after(() => world.close());

beforeEach(() => {
  world.forgetFlows();
  world.addHop(PEER, { nexthop: GATEWAY });
});

const toFar: Ipv4 = { src: A, dst: FAR, from: '10.0.0.1', to: '10.0.0.3' };
const toA: Ipv4 = { src: FAR, dst: A, from: '10.0.0.3', to: '10.0.0.1' };
const toPod: Ipv4 = { src: FAR, dst: POD, from: '10.0.0.3', to: '10.0.0.4' };
const ports = { sport: 1000, dport: 2000 };
const sent: Ipv4 = { src: NO_MAC, dst: NO_MAC, from: SELF, to: PEER, dontFragment: true };
const came: Ipv4 = { src: '02:00:00:00:ff:02', dst: UPLINK_MAC, from: PEER, to: SELF, dontFragment: true };

/** Bytes before the inner frame. */
const OUTER = 50;
const SPORT_AT = 34;

function sportOf(frame: Uint8Array): number {
  return Buffer.from(frame).readUInt16BE(SPORT_AT);
}

test('without own encapsulation every packet of the uplink is left to the host, whatever the peer says', () => {
  const kernel = new World(1);
  try {
    const guest = kernel.addGuest('a', { mac: A, ip: '10.0.0.1', vni: VNI });
    kernel.addPeer(PEER, undefined, CB_PEER_F_UPLINK);
    const frame = vxlan(came, { vni: VNI }, udp(toA, ports));
    assert.equal(kernel.arrive(frame).verdict, 'pass');
    assert.equal(kernel.receive({ vni: VNI, from: PEER }, udp(toA, ports)).verdict, `vif ${guest.name}`);
  } finally {
    kernel.close();
  }
});

describe('to another host', () => {
  test('the outer headers are those of RFC 7348, the inner frame is as it was, first and established', () => {
    const inner = udp(toFar, ports);
    for (const pass of ['first', 'established']) {
      const out = world.send(a, inner);
      assert.equal(out.verdict, `uplink ${VNI} ${PEER}`, pass);
      const sport = sportOf(out.data);
      assert.ok(sport >= 0xc000, `source port ${sport} is from the dynamic range`);
      assert.deepEqual(Buffer.from(out.data), vxlan(sent, { vni: VNI, sport }, inner), pass);
    }
  });

  test('one flow has one source port, many flows have many', () => {
    const portOf = (sport: number): number => sportOf(world.send(a, udp(toFar, { sport, dport: 53 })).data);
    assert.equal(portOf(7), portOf(7));
    const many = new Set(Array.from({ length: 200 }, (_, i) => portOf(2000 + i)));
    assert.ok(many.size > 150, `${many.size} of 200`);
  });

  for (const [inner, outer] of [
    [0x00, 0x00],
    [0x01, 0x01],
    [0x02, 0x02],
    [0x03, 0x02],
    [0xb8, 0x00],
    [0xbb, 0x02],
  ] as const) {
    test(`inner TOS ${inner} gives outer TOS ${outer} (RFC 6040)`, () => {
      const frame = udp({ ...toFar, tos: inner }, ports);
      const out = world.send(a, frame);
      const expected = vxlan({ ...sent, tos: outer }, { vni: VNI, sport: sportOf(out.data) }, frame);
      assert.deepEqual(Buffer.from(out.data), expected);
    });
  }

  test('every length that fits has right lengths and checksum; what the network does not carry is refused', () => {
    for (const size of [0, 1, 17, 512, 1421, 1422, 1423, 1424, 1500]) {
      const frame = udp({ ...toFar, dontFragment: true }, { ...ports, payload: Buffer.alloc(size, 7) });
      const out = world.send(a, frame);
      if (size <= 1422) {
        assert.deepEqual(Buffer.from(out.data), vxlan(sent, { vni: VNI, sport: sportOf(out.data) }, frame), `${size}`);
      } else {
        assert.equal(out.verdict, 'vif a (too_big)', `${size}`);
      }
    }
  });

  test('GSO of a kind that the kernel does not do in a tunnel goes by the device, unchanged', () => {
    const frame = udp(toFar, { ...ports, payload: Buffer.alloc(3000) });
    const out = world.send(a, frame, 1000);
    assert.equal(out.verdict, `overlay ${VNI} ${PEER}`);
    assert.deepEqual(Buffer.from(out.data), frame);
  });

  test('without a known hop, and for ARP and broadcast, the device sends', () => {
    const request = arp({ src: A, dst: FAR }, { op: 'request', sha: A, spa: '10.0.0.1', tpa: '10.0.0.3' });
    assert.match(world.send(a, request).verdict, /^vif a|^overlay/);
    const reply = arp({ src: A, dst: FAR }, { op: 'reply', sha: A, spa: '10.0.0.1', tha: FAR, tpa: '10.0.0.3' });
    assert.equal(world.send(a, reply).verdict, `overlay ${VNI} ${PEER}`);
    const before = world.sentTo('overlay');
    assert.equal(world.send(a, udp({ ...toFar, dst: BROADCAST, to: '10.0.0.255' }, ports)).verdict, 'flood 2 copies');
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
    assert.equal(world.stat().txPackets - before.txPackets, 1n);
  });

  test('a routed packet is rewritten first', () => {
    const vni = 77;
    world.addRouterInterface(1, { vni: VNI, cidr: '10.0.0.0/24', ip: '10.0.0.254', mac: ROUTER });
    world.addRouterInterface(1, { vni, cidr: '10.9.0.0/24', ip: '10.9.0.254', mac: ROUTER });
    world.addRemote(vni, '10.9.0.9', FAR, PEER);
    const out = world.send(a, udp({ ...toFar, dst: ROUTER, to: '10.9.0.9', ttl: 9, tos: 3 }, ports));
    const inner = udp({ ...toFar, src: ROUTER, to: '10.9.0.9', ttl: 8, tos: 3 }, ports);
    assert.deepEqual(Buffer.from(out.data), vxlan({ ...sent, tos: 2 }, { vni, sport: sportOf(out.data) }, inner));
  });
});

describe('from another host', () => {
  for (const [what, frame, verdict] of [
    ['UDP for a tap', udp(toA, ports), 'vif a'],
    ['UDP without a checksum', udp(toA, { ...ports, noChecksum: true }), 'vif a'],
    ['ping for a tap', icmp(toA, { type: 8, id: 7 }), 'vif a'],
    ['a protocol without ports', ipv4(toA, 99, Buffer.alloc(8)), 'vif a'],
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

  const inner = udp(toA, ports);
  const whole = vxlan(came, { vni: VNI }, inner);
  const changed = (change: (frame: Buffer) => void): Buffer => {
    const frame = Buffer.from(whole);
    change(frame);
    return frame;
  };
  const headed = (change: (frame: Buffer) => void): Buffer =>
    changed((frame) => {
      change(frame);
      frame.writeUInt16BE(0, 24);
      frame.writeUInt16BE(checksum(frame.subarray(14, 34)), 24);
    });
  const cases: readonly (readonly [string, Uint8Array])[] = [
    ['for another address of this host', vxlan({ ...came, to: '192.0.2.9' }, { vni: VNI }, inner)],
    ['from a host that is no peer', vxlan({ ...came, from: '192.0.2.66' }, { vni: VNI }, inner)],
    ['from a peer that is not taken here', vxlan({ ...came, from: DEVICE_PEER }, { vni: VNI }, inner)],
    ['for another MAC', vxlan({ ...came, dst: '02:00:00:00:ff:09' }, { vni: VNI }, inner)],
    ['for all', vxlan({ ...came, dst: BROADCAST }, { vni: VNI }, inner)],
    ['to another port', vxlan(came, { vni: VNI, dport: 4790 }, inner)],
    ['with IP options', vxlan({ ...came, options: 4 }, { vni: VNI }, inner)],
    ['that is a first fragment', vxlan({ ...came, moreFragments: true }, { vni: VNI }, inner)],
    ['that is a later fragment', vxlan({ ...came, fragmentOffset: 8 }, { vni: VNI }, inner)],
    ['with a wrong header checksum', changed((frame) => frame.writeUInt8(63, 22))],
    ['of another IP version', headed((frame) => frame.writeUInt8(0x65, 14))],
    ['of another protocol', headed((frame) => frame.writeUInt8(136, 23))],
    ['with bytes after it', Buffer.concat([whole, Buffer.alloc(1)])],
    ['that is cut', whole.subarray(0, -1)],
    ['whose UDP length is less', changed((frame) => frame.writeUInt16BE(frame.readUInt16BE(38) - 1, 38))],
    ['without a VNI', changed((frame) => frame.writeUInt8(0, 42))],
    ['with another flag', changed((frame) => frame.writeUInt8(0x0c, 42))],
    ['with a reserved bit', changed((frame) => frame.writeUInt8(1, 45))],
    ['with the last reserved byte', changed((frame) => frame.writeUInt8(1, 49))],
    [
      'with ARP in it',
      vxlan(came, { vni: VNI }, arp({ src: FAR, dst: A }, { op: 'reply', sha: FAR, spa: '10.0.0.3', tpa: '10.0.0.1' })),
    ],
    ['with IPv6 in it', vxlan(came, { vni: VNI }, ethernet(toA, 0x86dd, Buffer.alloc(60)))],
    ['with a VLAN tag in it', vxlan(came, { vni: VNI }, ethernet(toA, 0x8100, Buffer.alloc(60)))],
    ['for all of the network', vxlan(came, { vni: VNI }, udp({ ...toA, dst: BROADCAST }, ports))],
    ['with TCP for a tap', vxlan(came, { vni: VNI }, tcp(toA, { ...ports, flags: TCP.syn }))],
    ['with TCP for nobody here', vxlan(came, { vni: VNI }, tcp({ ...toA, dst: FAR }, { ...ports, flags: TCP.syn }))],
    ['with less than an IP header in it', vxlan(came, { vni: VNI }, ethernet(toA, 0x0800, Buffer.alloc(19)))],
    ['with nothing in it', vxlan(came, { vni: VNI }, Buffer.alloc(0))],
    ['with a mark of congestion, for a guest that knows none', vxlan({ ...came, tos: 3 }, { vni: VNI }, inner)],
  ];
  for (const [what, frame] of cases) {
    test(`a tunnelled packet ${what} is left to the host, unchanged`, () => assertLeftToHost(world, frame));
  }

  test('a peer that somebody writes without the flag is left to the host from its next packet on, and comes back with it', () => {
    assert.equal(world.arrive(whole).verdict, 'vif a');
    world.addPeer(PEER, undefined, 0);
    assert.equal(world.arrive(whole).verdict, 'pass');
    world.addPeer(PEER, undefined, CB_PEER_F_UPLINK);
    assert.equal(world.arrive(whole).verdict, 'vif a');
  });

  test('UDP that will be segmented is left to the host', () => {
    assert.equal(world.arrive(whole, 1000).verdict, 'pass');
  });

  test("the host's own traffic is left to the host, unchanged", () => {
    const host: Ipv4 = { src: came.src, dst: UPLINK_MAC, from: PEER, to: SELF };
    for (const frame of [
      tcp(host, { sport: 999, dport: 22, flags: TCP.syn }),
      udp(host, { sport: 4789, dport: 53 }),
      udp(host, { sport: 999, dport: 4789 }),
      icmp(host, { type: 8, id: 1 }),
      arp({ src: came.src, dst: BROADCAST }, { op: 'request', sha: came.src, spa: PEER, tpa: SELF }),
      ethernet({ src: came.src, dst: UPLINK_MAC }, 0x86dd, Buffer.alloc(46)),
      ethernet({ src: came.src, dst: UPLINK_MAC }, 0x88cc, Buffer.alloc(46)),
    ]) {
      const out = world.arrive(frame);
      assert.equal(out.verdict, 'pass');
      assert.deepEqual(Buffer.from(out.data), frame);
    }
  });

  test('a packet cut anywhere is left to the host', () => {
    for (let size = 34; size < whole.length; size++)
      assert.equal(world.arrive(whole.subarray(0, size)).verdict, 'pass');
  });

  test('each changed byte before the inner frame: left to the host, or one that says nothing of the tunnel', () => {
    // Source MAC; the outer source port; the outer UDP checksum, which a receiver may pass over (RFC 7348, 4.1).
    const idle = (at: number): boolean => (at >= 6 && at < 12) || at === 34 || at === 35 || at === 40 || at === 41;
    for (let at = 0; at < OUTER; at++) {
      const { verdict } = world.arrive(changed((frame) => frame.writeUInt8((frame[at] ?? 0) ^ 0x41, at)));
      assert.equal(verdict, idle(at) ? 'vif a' : 'pass', `byte ${at}`);
    }
  });

  for (const ecn of [1, 2, 3]) {
    test(`a mark of congestion in the underlay becomes the guest's, ECN field ${ecn} (RFC 6040)`, () => {
      for (let id = 0; id < 300; id++) {
        const ip = { ...toA, id: id * 219, tos: 0xb8 | ecn };
        const out = world.arrive(vxlan({ ...came, tos: 0x23 }, { vni: VNI }, udp(ip, ports)));
        assert.equal(out.verdict, 'vif a');
        assert.equal(checksum(out.data.subarray(14, 34)), 0);
        const data = Buffer.from(out.data);
        data.writeUInt16BE(0, 24);
        const expected = udp({ ...ip, tos: 0xbb }, ports);
        expected.writeUInt16BE(0, 24);
        assert.deepEqual(data, expected);
      }
    });
  }

  for (const [what, tunnel, frame, reason] of [
    ['for a MAC of another host', VNI, udp({ ...toA, dst: FAR }, ports), 'unknown_mac'],
    ['that is no IPv4', VNI, ipv4(toA, 17, Buffer.alloc(3)), 'malformed'],
  ] as const) {
    test(`a tunnelled packet ${what} is dropped and counted, as the device's would be: ${reason}`, () => {
      const code = DROP_REASONS.find(({ name }) => name === reason)?.code ?? 0;
      const before = world.stat().drops[code] ?? 0n;
      assert.equal(world.arrive(vxlan(came, { vni: tunnel }, frame)).verdict, `drop ${reason}`);
      assert.equal(world.stat().drops[code], before + 1n);
    });
  }

  test('rules are asked, and a flow begun by the guest is answered', () => {
    world.setVif(a, { mac: A, ip: '10.0.0.1', vni: VNI, policy: 5, flags: DEFAULT_FLAGS });
    world.setEndpoint(VNI, ['10.0.0.1'], A, { kind: 1, guest: a });
    world.addRule({ policy: 5, direction: 'egress' });
    try {
      assert.equal(world.arrive(vxlan(came, { vni: VNI }, inner)).verdict, 'drop policy_ingress');
      assert.equal(world.send(a, udp(toFar, { sport: 2000, dport: 1000 })).verdict, `uplink ${VNI} ${PEER}`);
      assert.equal(world.arrive(vxlan(came, { vni: VNI }, inner)).verdict, 'vif a');
    } finally {
      world.removeRule({ policy: 5, direction: 'egress' });
      world.setVif(a, { mac: A, ip: '10.0.0.1', vni: VNI });
    }
  });
});

test('what one host sends another takes, of every length', () => {
  for (const size of [0, 1, 100, 1421, 1422]) {
    const payload = Buffer.alloc(size, 3);
    const out = world.send(a, udp(toFar, { ...ports, payload }));
    const frame = Buffer.from(out.data);
    // The same bytes as the answer of the peer: addresses turned round, so that they are for this host.
    const answer = vxlan(came, { vni: VNI, sport: sportOf(frame) }, udp(toA, { sport: 2000, dport: 1000, payload }));
    const back = world.arrive(answer);
    assert.equal(back.verdict, 'vif a');
    assert.equal(frame.length, answer.length);
  }
});
