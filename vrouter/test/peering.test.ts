/** Peerings of routers: who reaches what of the other router, and what stays apart. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, beforeEach, describe, test } from 'node:test';
import { CB_ENDPOINT_VIP, CB_MAGLEV_SLOTS, CB_STEP_ROUTE, MAPS } from '../../packages/agent/src/bpf/abi.gen.ts';
import { removePins } from '../../packages/agent/src/bpf/pin.ts';
import { ICMP, type Ip, type Ipv4, icmp, icmpError, PROTO, TCP, tcp, udp } from './packet.ts';
import { addr, type Guest, OPEN_FLAGS, World } from './world.ts';

/** Of one project A and A2 behind router R, of another B and B2 behind router Q. A and B are let through. */
const [NET_A, NET_A2, NET_B, NET_B2] = [101, 102, 201, 202];
const [R, Q] = [6, 7];
const [R_SIDE, Q_SIDE] = [0x1f_00_00_01, 0x1f_00_00_02];
const [RA, RA2, QB, QB2] = ['fa:16:3e:00:00:01', 'fa:16:3e:00:00:02', 'fa:16:3e:00:01:01', 'fa:16:3e:00:01:02'];
const [A, A2, B, B2, C] = [
  '02:00:00:00:01:0a',
  '02:00:00:00:02:0a',
  '02:00:00:00:01:0b',
  '02:00:00:00:02:0b',
  '02:00:00:00:01:0c',
];
const HOST = '192.0.2.7';
const PINS = `/sys/fs/bpf/cable-test-peering-${randomBytes(6).toString('hex')}`;

let world: World;
let a: Guest;
let a2: Guest;
let b: Guest;
let b2: Guest;

function peer(): void {
  world.addPeering(
    R,
    R_SIDE,
    [
      { vni: NET_A, cidr: '10.1.0.0/24' },
      { vni: NET_A, cidr: 'fd01::/64' },
    ],
    [
      { vni: NET_B, cidr: '10.8.1.0/24', mac: QB, mtu: 1400 },
      { vni: NET_B, cidr: 'fd08:1::/64', mac: QB, mtu: 1400 },
    ],
  );
  world.addPeering(
    Q,
    Q_SIDE,
    [
      { vni: NET_B, cidr: '10.8.1.0/24' },
      { vni: NET_B, cidr: 'fd08:1::/64' },
    ],
    [
      { vni: NET_A, cidr: '10.1.0.0/24', mac: RA },
      { vni: NET_A, cidr: 'fd01::/64', mac: RA },
    ],
  );
  world.raiseEpochs();
}

/** Takes routes away, as an agent does that no longer has the peering, or a part of it. */
function cut(vrf: number, cidr: string): void {
  world.removeRoute(vrf, cidr);
  world.raiseEpochs();
}

before(() => {
  world = new World(8, undefined, { pinnedMaps: `${PINS}/maps` });
  a = world.addGuest('a', { mac: A, ip: '10.1.0.5', ip6: 'fd01::5', vni: NET_A });
  a2 = world.addGuest('a2', { mac: A2, ip: '10.2.0.5', ip6: 'fd02::5', vni: NET_A2 });
  b = world.addGuest('b', { mac: B, ip: '10.8.1.5', ip6: 'fd08:1::5', vni: NET_B });
  b2 = world.addGuest('b2', { mac: B2, ip: '10.8.2.5', ip6: 'fd08:2::5', vni: NET_B2 });
  world.addRemote(NET_B, '10.8.1.9', C, HOST);
  for (const [vrf, vni, v4, v6, mac] of [
    [R, NET_A, '10.1.0', 'fd01:', RA],
    [R, NET_A2, '10.2.0', 'fd02:', RA2],
    [Q, NET_B, '10.8.1', 'fd08:1:', QB],
    [Q, NET_B2, '10.8.2', 'fd08:2:', QB2],
  ] as const) {
    world.addRouterInterface(vrf, { vni, cidr: `${v4}.0/24`, ip: `${v4}.1`, mac });
    world.addRouterInterface(vrf, { vni, cidr: `${v6}:/64`, ip: `${v6}:1`, mac });
  }
  world.addPeer(HOST);
});

after(() => {
  world.close();
  removePins(PINS);
});

beforeEach(() => {
  world.forgetFlows();
  peer();
});

const toB: Ipv4 = { src: A, dst: RA, from: '10.1.0.5', to: '10.8.1.5' };
const toB6: Ip = { src: A, dst: RA, from: 'fd01::5', to: 'fd08:1::5' };
const fromB: Ipv4 = { src: B, dst: QB, from: '10.8.1.5', to: '10.1.0.5' };
const fromB6: Ip = { src: B, dst: QB, from: 'fd08:1::5', to: 'fd01::5' };
const ports = { sport: 1000, dport: 80 };
const back = { sport: 80, dport: 1000 };

describe('a peering', () => {
  test('leads from what one side lets through to what the other does, as one hop, and back', () => {
    for (const pass of ['first', 'established']) {
      const there = world.send(a, udp({ ...toB, ttl: 64 }, ports));
      assert.equal(there.verdict, 'vif b', pass);
      assert.equal(there.packet, `${QB} > ${B} ip 10.1.0.5 > 10.8.1.5 ttl 63 udp 1000 > 80`, pass);
      const answer = world.send(b, udp({ ...fromB, ttl: 64 }, back));
      assert.equal(answer.verdict, 'vif a', pass);
      assert.equal(answer.packet, `${RA} > ${A} ip 10.8.1.5 > 10.1.0.5 ttl 63 udp 80 > 1000`, pass);
      assert.equal(world.send(a, udp(toB6, ports)).verdict, 'vif b', pass);
      assert.equal(world.send(b, udp(fromB6, back)).verdict, 'vif a', pass);
    }
    assert.equal(world.send(a, tcp(toB, { sport: 5, dport: 80, flags: TCP.syn })).verdict, 'vif b');
    assert.equal(world.send(b, tcp(fromB, { sport: 80, dport: 5, flags: TCP.syn | TCP.ack })).verdict, 'vif a');
    assert.equal(world.send(a, icmp(toB, { type: ICMP.echo, id: 7 })).verdict, 'vif b');
    assert.equal(world.send(b, icmp(fromB, { type: ICMP.echoReply, id: 7 })).verdict, 'vif a');
  });

  test('leads to another host in the network of the receiver, whose MTU counts, and from there', () => {
    const out = world.send(a, udp({ ...toB, to: '10.8.1.9' }, ports));
    assert.equal(out.verdict, `overlay ${NET_B} ${HOST}`);
    assert.equal(out.packet, `${QB} > ${C} ip 10.1.0.5 > 10.8.1.9 ttl 63 udp 1000 > 80`);
    const answer = udp({ src: RA, dst: A, from: '10.8.1.9', to: '10.1.0.5' }, back);
    assert.equal(world.receive({ vni: NET_A, from: HOST }, answer).verdict, 'vif a');
    const big = udp({ ...toB, to: '10.8.1.9', dontFragment: true }, { ...ports, payload: Buffer.alloc(1390) });
    assert.equal(world.send(a, big).verdict, 'vif a (too_big)');
    const arriving = udp({ src: RA, dst: A, from: '10.8.1.9', to: '10.1.0.5' }, { sport: 9, dport: 9 });
    assert.equal(world.receive({ vni: NET_A, from: HOST }, arriving).verdict, 'vif a');
  });

  test('what one side does not let through stays apart, both ways', () => {
    for (const pass of ['first', 'again']) {
      assert.equal(
        world.send(a2, udp({ ...toB, src: A2, dst: RA2, from: a2.ip }, ports)).verdict,
        'drop peering',
        pass,
      );
      assert.equal(
        world.send(b2, udp({ ...fromB, src: B2, dst: QB2, from: b2.ip }, ports)).verdict,
        'drop peering',
        pass,
      );
      assert.equal(world.send(a, udp({ ...toB, to: b2.ip }, ports)).verdict, 'drop no_route', pass);
      assert.equal(world.send(b, udp({ ...fromB, to: a2.ip }, ports)).verdict, 'drop no_route', pass);
    }
    const six: Ip = { src: A2, dst: RA2, from: 'fd02::5', to: 'fd08:1::5' };
    assert.equal(world.send(a2, udp(six, ports)).verdict, 'drop peering');
  });

  test('no source opens it but one of what is let through, in the network that it is of', () => {
    const liar = world.addGuest('liar', { mac: '02:00:00:00:02:0e', ip: '10.2.0.9', vni: NET_A2, flags: OPEN_FLAGS });
    const lie = (from: string) => udp({ src: liar.mac, dst: RA2, from, to: b.ip }, ports);
    assert.equal(world.send(liar, lie('10.1.0.77')).verdict, 'drop reverse_path');
    assert.equal(world.send(liar, lie('10.8.1.77')).verdict, 'drop reverse_path');
    assert.equal(world.send(liar, lie('10.2.0.9')).verdict, 'drop peering');
    assert.equal(world.send(liar, lie('198.51.100.7')).verdict, 'drop peering', 'no way through for others');
    world.unplug(liar);
    const near = world.addGuest('near', { mac: '02:00:00:00:01:0e', ip: '10.1.0.9', vni: NET_A, flags: OPEN_FLAGS });
    const said = (from: string) => udp({ src: near.mac, dst: RA, from, to: b.ip }, ports);
    assert.equal(world.send(near, said('198.51.100.7')).verdict, 'drop peering');
    assert.equal(world.send(near, said('10.8.1.5')).verdict, 'drop reverse_path', 'the receiver’s own address');
    world.unplug(near);
  });

  test('ends for established flows when either side takes a subnet out, and comes again with it', () => {
    const all = [
      [R, '10.8.1.0/24', 'drop no_route', 'vif a'],
      [R_SIDE, '10.1.0.0/24', 'drop peering', 'vif a'],
      [Q, '10.1.0.0/24', 'vif b', 'drop no_route'],
      [Q_SIDE, '10.8.1.0/24', 'vif b', 'drop peering'],
    ] as const;
    for (const [vrf, cidr, there, answer] of all) {
      world.forgetFlows();
      peer();
      assert.equal(world.send(a, udp(toB, ports)).verdict, 'vif b');
      assert.equal(world.send(b, udp(fromB, back)).verdict, 'vif a');
      assert.equal(world.send(a, udp(toB6, ports)).verdict, 'vif b');
      cut(vrf, cidr);
      const text = `${vrf} ${cidr}`;
      assert.equal(world.send(a, udp(toB, ports)).verdict, there, text);
      assert.equal(world.send(b, udp(fromB, back)).verdict, answer, text);
      assert.equal(world.send(a, udp(toB6, ports)).verdict, 'vif b', `${text}: what is still let through goes on`);
    }
    peer();
    assert.equal(world.send(a, udp(toB, ports)).verdict, 'vif b');
  });

  test('leads to a virtual address, and to members that are let through alone', () => {
    const VIP = '10.8.1.100';
    world.setEndpoint(NET_B, [VIP], '02:00:00:00:01:fd', { kind: CB_ENDPOINT_VIP });
    const serve = (member: Guest, vni: number, vrf: number): void => {
      const place = { addr: addr(member.ip), pool: 1, vrf, net: world.net(vni), portBe: 8080, flags: 0 };
      world.write(MAPS.cb_member_1, { member: 5 }, place);
      world.write(
        MAPS.cb_maglev_1,
        { pool: 1, chunk: 0 },
        { member: Array.from({ length: CB_MAGLEV_SLOTS }, () => 5) },
      );
      const key = { addr: addr(VIP), net: world.net(NET_B), portBe: 80, protocol: PROTO.udp };
      world.write(MAPS.cb_svc_1, key, { pool: 1, slots: CB_MAGLEV_SLOTS, flags: 0 });
      world.raiseEpochs();
    };
    serve(b, NET_B, 0);
    for (const pass of ['first', 'established']) {
      const there = world.send(a, udp({ ...toB, to: VIP, ttl: 64 }, ports));
      assert.equal(
        `${there.verdict} ${there.packet}`,
        `vif b ${QB} > ${B} ip 10.1.0.5 > ${b.ip} ttl 63 udp 1000 > 8080`,
        pass,
      );
      const answer = world.send(b, udp({ ...fromB, ttl: 64 }, { sport: 8080, dport: 1000 }));
      assert.equal(
        `${answer.verdict} ${answer.packet}`,
        `vif a ${RA} > ${A} ip ${VIP} > 10.1.0.5 ttl 63 udp 80 > 1000`,
        pass,
      );
    }
    assert.equal(
      world.send(a2, udp({ ...toB, src: A2, dst: RA2, from: a2.ip, to: VIP }, ports)).verdict,
      'drop peering',
    );
    world.forgetFlows();
    serve(b2, NET_B2, Q);
    assert.equal(world.send(a, udp({ ...toB, to: VIP }, ports)).verdict, 'drop peering', 'a member that is kept back');
    assert.equal(world.send(b, udp({ ...fromB, src: B, dst: '02:00:00:00:01:fd', to: VIP }, ports)).verdict, 'vif b2');
    world.forgetFlows();
    serve(b, NET_B, Q);
    assert.equal(world.send(a, udp({ ...toB, to: VIP }, ports)).verdict, 'vif b');
  });

  test('errors about its packets come back by it, and none are the peer router’s', () => {
    assert.equal(world.send(a, udp(toB, ports)).verdict, 'vif b');
    const error = icmpError(fromB, { type: 3, code: 3 }, udp({ ...toB, ttl: 63 }, ports));
    assert.equal(world.send(b, error).verdict, 'vif a');
    assert.equal(world.send(a, udp({ ...toB, ttl: 1 }, ports)).verdict, 'vif a (ttl_exceeded)');
    for (const to of ['10.8.1.1', '10.8.2.1']) {
      const verdict = world.send(a, icmp({ ...toB, to }, { type: ICMP.echo, id: 9 })).verdict;
      assert.equal(verdict, to === '10.8.1.1' ? 'drop no_endpoint' : 'drop no_route', to);
    }
  });

  test('a trace says by which peering the packet goes, also when it may not', () => {
    const routes = (guest: Guest, frame: Buffer) => {
      const { steps, verdict } = world.trace(guest, frame);
      return [verdict, ...steps.filter(({ kind }) => kind === CB_STEP_ROUTE).map(({ b: by }) => by)];
    };
    assert.deepEqual(routes(a, udp(toB, ports)), ['vif b', R_SIDE]);
    assert.deepEqual(routes(a2, udp({ ...toB, src: A2, dst: RA2, from: a2.ip }, ports)), ['drop peering', R_SIDE]);
    assert.deepEqual(routes(a, udp({ ...toB, to: a2.ip }, ports)), ['vif a2', 0]);
  });
});
