/** Policy routes: who goes where by more than the destination, and what they leave alone. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, beforeEach, describe, test } from 'node:test';
import {
  CB_NET_F_EXTERNAL,
  CB_NET_F_STEER,
  CB_NET_F_TRANSIT,
  CB_STEER_REROUTE,
  CB_STEERS,
  CB_STEP_STEER,
  type CbSteer,
} from '../../packages/agent/src/bpf/abi.gen.ts';
import { removePins } from '../../packages/agent/src/bpf/pin.ts';
import { formatAddress } from '../../packages/agent/src/plan/address.ts';
import { addExternal, addFloating, addGateway } from './outside.ts';
import { ICMP, type Ip, type Ipv4, icmp, icmpError, TCP, tcp, udp } from './packet.ts';
import { type Steering, setSteers, steerOf } from './steers.ts';
import { DEFAULT_FLAGS, type Guest, OPEN_FLAGS, World } from './world.ts';

const [INSIDE, SERVERS, WALL, TRANSIT, EXTERNAL] = [101, 102, 103, 104, 900];
const [VRF, OTHER_VRF] = [6, 7];
const [R1, R2, R3, RT, RX] = [1, 2, 3, 4, 9].map((n) => `fa:16:3e:00:00:0${n}`) as [
  string,
  string,
  string,
  string,
  string,
];
const [A, B, W] = ['02:00:00:00:01:0a', '02:00:00:00:02:0b', '02:00:00:00:03:0c'];
const REMOTE_WALL = '192.0.2.7';
const PINS = `/sys/fs/bpf/cable-test-steer-${randomBytes(6).toString('hex')}`;

let world: World;
let a: Guest;
let b: Guest;
let wall: Guest;

type Match = Omit<Steering, 'way'>;

/** `nextHop`: in the network of the wall. */
function policy(id: number, action: 'allow' | 'drop' | 'reroute', match: Match = {}, nextHop?: string): CbSteer {
  return steerOf(world, id, action, {
    ...match,
    ...(nextHop === undefined ? {} : { way: { vni: WALL, mac: R3, nextHop } }),
  });
}

/** As the agent writes them, with what it raises. */
function setPolicies(policies: readonly CbSteer[], vrf = VRF): void {
  setSteers(world, vrf, policies);
  world.raiseEpochs();
}

before(() => {
  world = new World(8, undefined, { pinnedMaps: `${PINS}/maps` });
  a = world.addGuest('a', { mac: A, ip: '10.1.0.5', ip6: 'fd01::5', vni: INSIDE });
  b = world.addGuest('b', { mac: B, ip: '10.2.0.5', ip6: 'fd02::5', vni: SERVERS });
  wall = world.addGuest('wall', { mac: W, ip: '10.3.0.5', ip6: 'fd03::5', vni: WALL, flags: DEFAULT_FLAGS });
  world.allowSource(wall, W, '10.1.0.0', 24);
  world.addRemote(WALL, '10.3.0.9', W, REMOTE_WALL);
  for (const [vni, n, mac] of [
    [INSIDE, 1, R1],
    [SERVERS, 2, R2],
    [WALL, 3, R3],
  ] as const) {
    world.addRouterInterface(VRF, { vni, cidr: `10.${n}.0.0/24`, ip: `10.${n}.0.1`, mac });
    world.addRouterInterface(VRF, { vni, cidr: `fd0${n}::/64`, ip: `fd0${n}::1`, mac });
    world.setFlags(vni, CB_NET_F_STEER);
  }
});

after(() => {
  world.close();
  removePins(PINS);
});

beforeEach(() => {
  world.forgetFlows();
  setPolicies([policy(1, 'allow')]);
});

const toB: Ipv4 = { src: A, dst: R1, from: '10.1.0.5', to: '10.2.0.5' };
const toB6: Ip = { src: A, dst: R1, from: 'fd01::5', to: 'fd02::5' };
const ports = { sport: 1000, dport: 80 };

describe('a policy route', () => {
  test('matches by each of its parts, and by all of them together', () => {
    const cases: readonly (readonly [Match, boolean])[] = [
      [{}, true],
      [{ from: '10.1.0.0/24' }, true],
      [{ from: '10.1.0.4/31' }, true],
      [{ from: '10.1.0.6/31' }, false],
      [{ to: '10.2.0.5/32' }, true],
      [{ to: '10.2.0.4/32' }, false],
      [{ from: '0.0.0.0/0' }, true],
      [{ to: '::/0', family: 6 }, false],
      [{ family: 4 }, true],
      [{ family: 6 }, false],
      [{ protocol: 17 }, true],
      [{ protocol: 6 }, false],
      [{ protocol: 17, dports: { min: 80, max: 80 } }, true],
      [{ protocol: 17, dports: { min: 1, max: 79 } }, false],
      [{ protocol: 17, dports: { min: 81, max: 65_535 } }, false],
      [{ protocol: 17, sports: { min: 1000, max: 1001 } }, true],
      [{ protocol: 17, sports: { min: 1, max: 999 } }, false],
      [{ net: INSIDE }, true],
      [{ net: SERVERS }, false],
      [{ net: INSIDE, from: '10.1.0.5/32', to: '10.2.0.0/16', protocol: 17, dports: { min: 80, max: 90 } }, true],
      [{ net: INSIDE, from: '10.1.0.5/32', to: '10.2.0.0/16', protocol: 17, dports: { min: 81, max: 90 } }, false],
    ];
    for (const [match, matches] of cases) {
      setPolicies([policy(1, 'drop', match)]);
      const want = matches ? 'drop policy_route' : 'vif b';
      for (const pass of ['first', 'established'])
        assert.equal(world.send(a, udp(toB, ports)).verdict, want, `${pass} ${JSON.stringify(match)}`);
      world.forgetFlows();
    }
  });

  test('the first that matches counts, up to the last place', () => {
    const others = Array.from({ length: CB_STEERS - 1 }, (_, n) => policy(n, 'drop', { to: `10.9.${n}.0/24` }));
    setPolicies([...others, policy(99, 'drop', { to: '10.2.0.0/24' })]);
    assert.equal(world.send(a, udp(toB, ports)).verdict, 'drop policy_route');
    setPolicies([policy(1, 'allow', { to: '10.2.0.0/24' }), ...others]);
    assert.equal(world.send(a, udp(toB, ports)).verdict, 'vif b');
    setPolicies([policy(1, 'drop'), policy(2, 'allow')]);
    assert.equal(world.send(a, udp(toB, ports)).verdict, 'drop policy_route');
  });

  test('sends to its next hop, here or on another host, whatever the routes say', () => {
    setPolicies([policy(1, 'reroute', { net: INSIDE, family: 4 }, '10.3.0.5')]);
    for (const pass of ['first', 'established']) {
      const out = world.send(a, udp(toB, ports));
      assert.equal(out.verdict, 'vif wall', pass);
      assert.equal(out.packet, `${R3} > ${W} ip 10.1.0.5 > 10.2.0.5 ttl 63 udp 1000 > 80`, pass);
    }
    assert.equal(world.send(a, udp({ ...toB, to: '192.0.2.200' }, ports)).verdict, 'vif wall', 'without a route too');
    assert.equal(world.send(a, udp(toB6, ports)).verdict, 'vif b');
    setPolicies([policy(1, 'reroute', { net: INSIDE }, '10.3.0.9')]);
    assert.equal(world.send(a, udp(toB, ports)).verdict, `overlay ${WALL} ${REMOTE_WALL}`);
    setPolicies([policy(1, 'reroute', { net: INSIDE }, '10.3.0.77')]);
    assert.equal(world.send(a, udp(toB, ports)).verdict, 'drop no_endpoint');
    setPolicies([policy(1, 'reroute', { family: 6 }, 'fd03::5')]);
    const out = world.send(a, udp(toB6, ports));
    assert.equal(out.verdict, 'vif wall');
    assert.match(out.packet, new RegExp(`^${R3} > ${W} .*fd01::5 > fd02::5`));
  });

  test('what the next hop sends on goes by the routes, and its answers come back by it', () => {
    setPolicies([
      policy(1, 'reroute', { net: INSIDE, family: 4 }, '10.3.0.5'),
      policy(2, 'reroute', { net: SERVERS, to: '10.1.0.0/24' }, '10.3.0.5'),
    ]);
    world.allowSource(wall, W, '10.2.0.0', 24);
    for (const pass of ['first', 'established']) {
      assert.equal(world.send(a, udp(toB, ports)).verdict, 'vif wall', pass);
      assert.equal(world.send(wall, udp({ ...toB, src: W, dst: R3 }, ports)).verdict, 'vif b', pass);
      const answer: Ip = { src: B, dst: R2, from: '10.2.0.5', to: '10.1.0.5' };
      const back = { sport: 80, dport: 1000 };
      assert.equal(world.send(b, udp(answer, back)).verdict, 'vif wall', pass);
      assert.equal(world.send(wall, udp({ ...answer, src: W, dst: R3 }, back)).verdict, 'vif a', pass);
    }
  });

  test('is asked of an established flow once it has changed, and of nothing within a network', () => {
    const syn = tcp(toB, { sport: 1000, dport: 80, flags: TCP.syn });
    const ack = tcp(toB, { sport: 1000, dport: 80, flags: TCP.ack });
    assert.equal(world.send(a, syn).verdict, 'vif b');
    setPolicies([policy(1, 'drop', { protocol: 6, dports: { min: 80, max: 80 } })]);
    assert.equal(world.send(a, ack).verdict, 'drop policy_route');
    setPolicies([policy(1, 'reroute', { protocol: 6 }, '10.3.0.5')]);
    assert.equal(world.send(a, ack).verdict, 'vif wall');
    setPolicies([policy(1, 'allow')]);
    assert.equal(world.send(a, ack).verdict, 'vif b');
    setPolicies([policy(1, 'drop')]);
    const near = world.addGuest('near', { mac: '02:00:00:00:01:0e', ip: '10.1.0.6', vni: INSIDE });
    assert.equal(world.send(a, udp({ src: A, dst: near.mac, from: a.ip, to: near.ip }, ports)).verdict, 'vif near');
    world.unplug(near);
  });

  test('an answer is asked about by itself; an error as an answer of what it is about', () => {
    setPolicies([policy(1, 'drop', { from: '10.1.0.0/24' })]);
    const question: Ipv4 = { src: B, dst: R2, from: '10.2.0.5', to: '10.1.0.5' };
    assert.equal(world.send(b, udp(question, { sport: 80, dport: 1000 })).verdict, 'vif a');
    assert.equal(world.send(a, udp(toB, ports)).verdict, 'drop policy_route');
    const sent = udp(question, { sport: 80, dport: 1000 });
    const error = icmpError(toB, { type: ICMP.unreachable, code: 3 }, sent);
    assert.equal(world.send(a, error).verdict, 'drop policy_route');
    setPolicies([policy(1, 'drop', { protocol: 1 })]);
    assert.equal(world.send(a, error).verdict, 'vif b', 'it is of the UDP flow');
    assert.equal(world.send(a, icmp(toB, { type: ICMP.echo, id: 7 })).verdict, 'drop policy_route');
  });

  test('of another router is not asked, nor any where the network has no flag, nor of what comes by a transit network', () => {
    setPolicies([policy(1, 'drop')], OTHER_VRF);
    assert.equal(world.send(a, udp(toB, ports)).verdict, 'vif b');
    setPolicies([policy(1, 'drop')]);
    world.setFlags(INSIDE, 0);
    world.raiseEpochs();
    assert.equal(world.send(a, udp(toB, ports)).verdict, 'vif b');
    world.setFlags(INSIDE, CB_NET_F_STEER);
    world.raiseEpochs();
    assert.equal(world.send(a, udp(toB, ports)).verdict, 'drop policy_route');
    world.addRouterInterface(VRF, { vni: TRANSIT, cidr: '169.254.0.0/30', ip: '169.254.0.1', mac: RT });
    world.setFlags(TRANSIT, CB_NET_F_TRANSIT);
    world.addPeer(REMOTE_WALL, [TRANSIT]);
    const through: Ip = { src: RT, dst: RT, from: '10.1.0.77', to: '10.2.0.5' };
    assert.equal(world.receive({ vni: TRANSIT, from: REMOTE_WALL }, udp(through, ports)).verdict, 'vif b');
  });

  test('of what comes from outside knows the address behind the floating IP', () => {
    addExternal(world, EXTERNAL);
    const outside = { vrf: VRF, external: EXTERNAL, mac: RX, ip: '203.0.113.9', cidr: '203.0.113.0/24' };
    addGateway(world, { ...outside, nexthop: '203.0.113.1' });
    addFloating(world, { vrf: VRF, external: EXTERNAL, mac: RX, ip: '203.0.113.50', guest: b });
    world.setFlags(EXTERNAL, CB_NET_F_EXTERNAL | CB_NET_F_STEER);
    const frame = udp({ src: '02:00:00:00:0e:01', dst: RX, from: '203.0.113.77', to: '203.0.113.50' }, ports);
    setPolicies([policy(1, 'drop', { to: '203.0.113.50/32' })]);
    assert.equal(world.arrive(frame).verdict, 'vif b');
    setPolicies([policy(1, 'drop', { to: '10.2.0.5/32' })]);
    assert.equal(world.arrive(frame).verdict, 'drop policy_route');
  });

  test('a sender without port security still uses no address of another network', () => {
    const open = world.addGuest('open', { mac: '02:00:00:00:01:0d', ip: '10.1.0.8', vni: INSIDE, flags: OPEN_FLAGS });
    setPolicies([policy(1, 'reroute', {}, '10.3.0.5')]);
    const spoofed = udp({ src: open.mac, dst: R1, from: '10.2.0.5', to: '10.3.0.5' }, ports);
    assert.equal(world.send(open, spoofed).verdict, 'drop reverse_path');
    world.unplug(open);
  });

  test('is told of in a trace', () => {
    setPolicies([policy(0xabcd, 'reroute', { net: INSIDE }, '10.3.0.5')]);
    const { steps, verdict } = world.trace(a, udp(toB, ports));
    assert.equal(verdict, 'vif wall');
    const step = steps.find(({ kind }) => kind === CB_STEP_STEER);
    assert.deepEqual([step?.id, step?.a, step && formatAddress(step.addr)], [0xabcd, CB_STEER_REROUTE, '10.3.0.5']);
  });
});
