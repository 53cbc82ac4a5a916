/** An underlay of IPv6: VXLAN over it by the vrouter itself and by the overlay device, around packets of either family. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { CB_PEER_F_UPLINK } from '../../packages/agent/src/bpf/abi.gen.ts';
import { assertLeftToHost } from './left-to-host.ts';
import { arp, BROADCAST, type Ip, type Ipv6, icmp, TCP, tcp, udp, vxlan } from './packet.ts';
import { FLOWS, type Guest, POD_FLAGS, UPLINK_MAC, World } from './world.ts';

const VNI = 0xabcde7;
const SELF = '2001:db8:ffff::1';
const PEER = '2001:db8:ffff::2';
/** Its packets are the overlay device's. */
const DEVICE_PEER = '2001:db8:ffff::3';
/** A host of an IPv4 underlay: nobody here. */
const STRANGER = '192.0.2.9';
const GATEWAY = 'fe80::1';
const [A, POD, FAR] = ['0a', '0d', '0f'].map((n) => `02:00:00:00:07:${n}`) as [string, string, string];
const NO_MAC = '00:00:00:00:00:00';

let world: World;
let a: Guest;
let pod: Guest;

before(() => {
  world = new World(8, FLOWS, { underlay: SELF });
  a = world.addGuest('a', { mac: A, ip: '10.0.0.1', ip6: '2001:db8:1::a', vni: VNI });
  pod = world.addGuest('pod', { mac: POD, ip: '10.0.0.4', ip6: '2001:db8:1::d', vni: VNI, flags: POD_FLAGS });
  world.addRemote(VNI, '10.0.0.3', FAR, PEER);
  world.addRemote(VNI, '2001:db8:1::f', FAR, PEER);
  world.addRemote(VNI, '10.0.0.9', '02:00:00:00:07:09', STRANGER);
  world.addPeer(PEER, undefined, CB_PEER_F_UPLINK);
  world.addPeer(DEVICE_PEER);
  world.addPeer(STRANGER, undefined, CB_PEER_F_UPLINK);
  world.setFlood(VNI, [{ guest: a }, { guest: pod }, { host: PEER }]);
});

after(() => world.close());

beforeEach(() => {
  world.forgetFlows();
  world.addHop(PEER, { nexthop: GATEWAY });
});

const ports = { sport: 1000, dport: 2000 };
const came: Ipv6 = { src: '02:00:00:00:ff:02', dst: UPLINK_MAC, from: PEER, to: SELF };
/** Bytes before the inner frame. */
const OUTER = 70;

const FAMILIES: readonly { name: string; toFar: Ip; toA: Ip; toPod: Ip; most: number }[] = [
  {
    name: 'IPv4',
    toFar: { src: A, dst: FAR, from: '10.0.0.1', to: '10.0.0.3' },
    toA: { src: FAR, dst: A, from: '10.0.0.3', to: '10.0.0.1' },
    toPod: { src: FAR, dst: POD, from: '10.0.0.3', to: '10.0.0.4' },
    most: 1402,
  },
  {
    name: 'IPv6',
    toFar: { src: A, dst: FAR, from: '2001:db8:1::a', to: '2001:db8:1::f' },
    toA: { src: FAR, dst: A, from: '2001:db8:1::f', to: '2001:db8:1::a' },
    toPod: { src: FAR, dst: POD, from: '2001:db8:1::f', to: '2001:db8:1::d' },
    most: 1382,
  },
];

/** The frame in the headers that this host puts on it; `out` says which source port and flow label it took. */
function wrapped(out: Uint8Array, inner: Uint8Array, trafficClass = 0): Buffer {
  const bytes = Buffer.from(out);
  const outer: Ipv6 = { src: NO_MAC, dst: NO_MAC, from: SELF, to: PEER, trafficClass };
  const flowLabel = bytes.readUInt32BE(14) & 0xfffff;
  return vxlan({ ...outer, flowLabel }, { vni: VNI, sport: bytes.readUInt16BE(54) }, inner);
}

for (const { name, toFar, toA, toPod, most } of FAMILIES) {
  describe(`${name} to another host`, () => {
    test('the outer headers are those of RFC 7348 over IPv6, without a checksum; the inner frame is as it was', () => {
      const inner = udp(toFar, ports);
      for (const pass of ['first', 'established']) {
        const out = world.send(a, inner);
        assert.equal(out.verdict, `uplink ${VNI} ${PEER}`, pass);
        assert.deepEqual(Buffer.from(out.data), wrapped(out.data, inner), pass);
        assert.equal(Buffer.from(out.data).readUInt16BE(60), 0);
      }
    });

    test('one flow has one source port and flow label, many flows have many of both', () => {
      const marks = (sport: number): readonly [number, number] => {
        const bytes = Buffer.from(world.send(a, udp(toFar, { sport, dport: 53 })).data);
        return [bytes.readUInt16BE(54), bytes.readUInt32BE(14) & 0xfffff];
      };
      assert.deepEqual(marks(7), marks(7));
      const many = Array.from({ length: 200 }, (_, i) => marks(2000 + i));
      for (const kind of [0, 1]) assert.ok(new Set(many.map((one) => one[kind])).size > 150);
    });

    for (const [inner, outer] of [
      [0x00, 0x00],
      [0x01, 0x01],
      [0x03, 0x02],
      [0xb8, 0x00],
    ] as const) {
      test(`inner traffic class ${inner} gives outer ${outer} (RFC 6040)`, () => {
        const frame = udp({ ...toFar, tos: inner, trafficClass: inner }, ports);
        const out = world.send(a, frame);
        assert.deepEqual(Buffer.from(out.data), wrapped(out.data, frame, outer));
      });
    }

    test('every length that the underlay takes goes by the uplink, what is longer by the device', () => {
      for (const size of [0, 1, 512, most - 1, most, most + 1]) {
        const frame = udp({ ...toFar, dontFragment: true }, { ...ports, payload: Buffer.alloc(size, 7) });
        const out = world.send(a, frame);
        const by = size <= most ? 'uplink' : 'overlay';
        assert.equal(out.verdict, `${by} ${VNI} ${PEER}`, `${size}`);
        if (by === 'uplink') assert.deepEqual(Buffer.from(out.data), wrapped(out.data, frame), `${size}`);
      }
    });

    test('without a known hop the device sends', () => {
      world.removeHop(PEER);
      const frame = udp(toFar, ports);
      const out = world.send(a, frame);
      assert.equal(out.verdict, `overlay ${VNI} ${PEER}`);
      assert.deepEqual(Buffer.from(out.data), frame);
    });
  });

  describe(`${name} from another host`, () => {
    for (const [what, frame, verdict] of [
      ['UDP for a tap', udp(toA, ports), 'vif a'],
      ['TCP for a pod', tcp(toPod, { ...ports, flags: TCP.syn }), 'peer pod'],
      ['UDP for a pod', udp(toPod, ports), 'peer pod'],
    ] as const) {
      test(`${what}: ${verdict}, first and established, by the uplink and by the device`, () => {
        for (const _ of [1, 2]) {
          const out = world.arrive(vxlan(came, { vni: VNI }, frame));
          assert.equal(out.verdict, verdict);
          assert.deepEqual(Buffer.from(out.data), frame);
        }
        const out = world.receive({ vni: VNI, from: PEER }, frame);
        assert.equal(out.verdict, verdict);
      });
    }

    const inner = udp(toA, ports);
    const whole = vxlan(came, { vni: VNI }, inner);
    const changed = (change: (frame: Buffer) => void): Buffer => {
      const frame = Buffer.from(whole);
      change(frame);
      return frame;
    };
    const cases: readonly (readonly [string, Uint8Array])[] = [
      ['with a checksum, which the kernel verifies', vxlan(came, { vni: VNI, checksum: true }, inner)],
      ['for another address of this host', vxlan({ ...came, to: '2001:db8:ffff::9' }, { vni: VNI }, inner)],
      ['from a host that is no peer', vxlan({ ...came, from: '2001:db8:ffff::66' }, { vni: VNI }, inner)],
      ['from a peer that is not taken here', vxlan({ ...came, from: DEVICE_PEER }, { vni: VNI }, inner)],
      ['for another MAC', vxlan({ ...came, dst: '02:00:00:00:ff:09' }, { vni: VNI }, inner)],
      ['to another port', vxlan(came, { vni: VNI, dport: 4790 }, inner)],
      [
        'with extension headers',
        vxlan({ ...came, extensions: [{ protocol: 60, body: Buffer.alloc(6) }] }, { vni: VNI }, inner),
      ],
      ['that is a fragment', vxlan({ ...came, fragment: { id: 1, more: true } }, { vni: VNI }, inner)],
      ['of another IP version', changed((frame) => frame.writeUInt8(0x45, 14))],
      ['with bytes after it', Buffer.concat([whole, Buffer.alloc(1)])],
      ['that is cut', whole.subarray(0, -1)],
      ['whose UDP length is less', changed((frame) => frame.writeUInt16BE(frame.readUInt16BE(58) - 1, 58))],
      ['without a VNI', changed((frame) => frame.writeUInt8(0, 62))],
      ['with a reserved bit', changed((frame) => frame.writeUInt8(1, 69))],
      ['with TCP for a tap', vxlan(came, { vni: VNI }, tcp(toA, { ...ports, flags: TCP.syn }))],
      [
        'with a mark of congestion, for a guest that knows none',
        vxlan({ ...came, trafficClass: 3 }, { vni: VNI }, inner),
      ],
      [
        'over IPv4',
        vxlan(
          { src: came.src, dst: UPLINK_MAC, from: STRANGER, to: '0.0.0.0', dontFragment: true },
          { vni: VNI },
          inner,
        ),
      ],
    ];
    for (const [what, frame] of cases) {
      test(`a tunnelled packet ${what} is left to the host, unchanged`, () => assertLeftToHost(world, frame));
    }

    test('a packet cut anywhere is left to the host', () => {
      for (let size = 54; size < whole.length; size++)
        assert.equal(world.arrive(whole.subarray(0, size)).verdict, 'pass');
    });

    test('each changed byte before the inner frame: left to the host, or one that says nothing of the tunnel', () => {
      // Source MAC; traffic class (its ECN field becomes "not ECN" or a mark that is none) and flow label; hop limit; outer source port.
      const idle = (at: number): boolean =>
        (at >= 6 && at < 12) || (at >= 15 && at < 18) || at === 21 || at === 54 || at === 55;
      for (let at = 0; at < OUTER; at++) {
        const { verdict } = world.arrive(changed((frame) => frame.writeUInt8((frame[at] ?? 0) ^ 0x41, at)));
        assert.equal(verdict, idle(at) ? 'vif a' : 'pass', `byte ${at}`);
      }
    });

    for (const ecn of [1, 2, 3]) {
      test(`a mark of congestion in the underlay becomes the guest's, ECN field ${ecn} (RFC 6040)`, () => {
        const before = udp({ ...toA, tos: 0xb8 | ecn, trafficClass: 0xb8 | ecn }, ports);
        const out = world.arrive(vxlan({ ...came, trafficClass: 0x23 }, { vni: VNI }, before));
        assert.equal(out.verdict, 'vif a');
        assert.deepEqual(Buffer.from(out.data), udp({ ...toA, tos: 0xbb, trafficClass: 0xbb }, ports));
      });
    }
  });
}

test('ARP, broadcast and what waits for a hop go by the device, to the same host', () => {
  const reply = arp({ src: A, dst: FAR }, { op: 'reply', sha: A, spa: '10.0.0.1', tha: FAR, tpa: '10.0.0.3' });
  assert.equal(world.send(a, reply).verdict, `overlay ${VNI} ${PEER}`);
  const before = world.sentTo('overlay');
  const all = udp({ src: A, dst: BROADCAST, from: '10.0.0.1', to: '10.0.0.255' }, ports);
  assert.equal(world.send(a, all).verdict, 'flood 2 copies');
  assert.equal(world.sentTo('overlay') - before, 1);
});

test('a host with an IPv4 address is nobody in such an underlay: nothing is sent there, nothing taken from there', () => {
  const toStranger: Ip = { src: A, dst: '02:00:00:00:07:09', from: '10.0.0.1', to: '10.0.0.9' };
  assert.equal(world.send(a, icmp(toStranger, { type: 8, id: 1 })).verdict, 'drop redirect');
});

test('nor is one with an IPv6 address where the underlay is IPv4', () => {
  const four = new World(2, FLOWS, { underlay: '192.0.2.1' });
  try {
    const guest = four.addGuest('a', { mac: A, ip: '10.0.0.1', vni: VNI });
    four.addRemote(VNI, '10.0.0.3', FAR, PEER);
    const frame = udp({ src: A, dst: FAR, from: '10.0.0.1', to: '10.0.0.3' }, ports);
    assert.equal(four.send(guest, frame).verdict, 'drop redirect');
    const all = udp({ src: A, dst: BROADCAST, from: '10.0.0.1', to: '10.0.0.255' }, ports);
    four.setFlood(VNI, [{ guest }, { host: PEER }]);
    assert.equal(four.send(guest, all).verdict, 'flood 0 copies');
  } finally {
    four.close();
  }
});
