/** Fragments from an uplink, in any order: to floating IPs, to a router's own address, and to ports of it that other hosts have. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { CB_NET_F_TRANSIT } from '../../packages/agent/src/bpf/abi.gen.ts';
import { grows } from './grows.ts';
import { addExternal, addFloating, addGateway, addRemoteBlock, setSnat } from './outside.ts';
import { arp, type Ipv4, ipv4, PROTO, udp } from './packet.ts';
import { type Guest, type Outcome, World } from './world.ts';

const [INSIDE, EXTERNAL, TRANSIT, VRF, POLICY] = [100, 900, 800, 5, 30];
const [A, B] = ['02:00:00:00:01:0a', '02:00:00:00:01:0b'];
const [R, G, N] = ['02:00:00:00:01:fe', '02:00:00:00:09:fe', '02:00:00:00:ee:01'];
const [OUTER, FLOATING, S] = ['198.51.100.7', '203.0.113.10', '203.0.113.2'];
const OTHER_HOST = '192.0.2.2';
const gateway = { vrf: VRF, external: EXTERNAL, mac: G, ip: S, cidr: '203.0.113.0/24', nexthop: '203.0.113.1' };

const into = (to: string): Ipv4 => ({ src: N, dst: G, from: OUTER, to });
const first = (to: Ipv4, id: number, sport: number, dport: number): Buffer =>
  udp({ ...to, id, moreFragments: true }, { sport, dport, payload: Buffer.alloc(16) });
const later = (to: Ipv4, id: number, n = 1): Buffer =>
  ipv4({ ...to, id, fragmentOffset: 24 * n, moreFragments: n < 3 }, PROTO.udp, Buffer.alloc(24, n));

for (const vlan of [undefined, 77]) {
  describe(vlan === undefined ? 'a flat network' : 'a network that is a VLAN', () => {
    let world: World;
    let a: Guest;
    let b: Guest;
    const arrive = (frame: Uint8Array): Outcome =>
      vlan === undefined ? world.arrive(frame) : world.arriveTagged(vlan, frame);

    before(() => {
      world = new World();
      addExternal(world, EXTERNAL, vlan);
      a = world.addGuest('a', { mac: A, ip: '10.0.0.5', vni: INSIDE, policy: POLICY });
      b = world.addGuest('b', { mac: B, ip: '10.0.0.6', vni: INSIDE });
      world.addRouterInterface(VRF, { vni: INSIDE, cidr: '10.0.0.0/24', ip: '10.0.0.254', mac: R });
      addGateway(world, gateway);
      world.addRule({ policy: POLICY, direction: 'ingress', protocol: PROTO.udp });
      addFloating(world, { external: EXTERNAL, ip: FLOATING, guest: a, vrf: VRF, mac: G });
      arrive(arp({ src: N, dst: G }, { op: 'reply', sha: N, spa: gateway.nexthop, tha: G, tpa: S }));
      world.receiveAnew();
    });

    after(() => world.close());

    beforeEach(() => world.forgetFlows());

    const fromB: Ipv4 = { src: B, dst: R, from: '10.0.0.6', to: OUTER };
    /** The port with which a connection of b left. */
    const leave = (): number => {
      const sent = world.send(b, udp(fromB, { sport: 1000, dport: 2000 }));
      assert.match(sent.verdict, /^wire/);
      return Number(/udp (\d+) >/.exec(sent.packet)?.[1]);
    };

    test('those that come backwards to a floating IP all reach its guest', async () => {
      const sent = world.sentTo(a);
      for (const n of [3, 2, 1]) assert.equal(arrive(later(into(FLOATING), 77, n)).verdict, 'wait');
      assert.equal(arrive(first(into(FLOATING), 77, 999, 53)).verdict, 'vif a');
      await grows(() => world.sentTo(a) - sent, 3, 'the three that waited');
    });

    test('those of an answer to a router’s address all reach who asked', async () => {
      const port = leave();
      const sent = world.sentTo(b);
      for (const n of [3, 1, 2]) assert.equal(arrive(later(into(S), 78, n)).verdict, 'wait');
      assert.equal(arrive(first(into(S), 78, 2000, port)).verdict, 'vif b');
      await grows(() => world.sentTo(b) - sent, 3, 'the three that waited');
    });

    test('those whose first is refused go nowhere', async () => {
      const sent = world.sentTo(b);
      assert.equal(arrive(later(into(S), 79)).verdict, 'wait');
      assert.equal(arrive(first(into(S), 79, 2000, 5)).verdict, 'drop no_endpoint');
      const port = leave();
      assert.equal(arrive(later(into(S), 80)).verdict, 'wait');
      assert.equal(arrive(first(into(S), 80, 2000, port)).verdict, 'vif b');
      await grows(() => world.sentTo(b) - sent, 1, 'the other packet’s');
    });

    test('who floods a router’s address with them takes no place of a guest’s', () => {
      const verdicts = new Set<string>();
      for (let id = 1000; id < 1100; id += 1) verdicts.add(arrive(later(into(S), id)).verdict);
      assert.deepEqual(verdicts, new Set(['wait', 'drop fragment']));
      assert.equal(arrive(later(into(FLOATING), 5000)).verdict, 'wait');
      assert.equal(world.send(b, later(fromB, 5001)).verdict, 'wait');
    });

    test('what is for nobody here is left to the host, or to who has the address', () => {
      assert.equal(arrive(later({ ...into('203.0.113.50'), dst: '02:00:00:00:77:77' }, 9)).verdict, 'pass');
    });
  });
}

test('those of an answer that another host has asked for go there', async () => {
  const world = new World();
  try {
    addExternal(world, EXTERNAL);
    world.addRouterInterface(VRF, { vni: INSIDE, cidr: '10.0.0.0/24', ip: '10.0.0.254', mac: R });
    addGateway(world, gateway);
    setSnat(world, { ...gateway, blocks: true });
    world.setFlags(TRANSIT, CB_NET_F_TRANSIT);
    addRemoteBlock(world, { external: EXTERNAL, ip: S, port: 2048, transit: TRANSIT, host: OTHER_HOST });
    world.receiveAnew();
    const relay = world.arrive(first(into(S), 80, 80, 2050)).verdict;
    assert.match(relay, new RegExp(`^overlay .* ${OTHER_HOST}$`));
    const others = world.sentTo('overlay');
    for (const n of [2, 1]) assert.equal(world.arrive(later(into(S), 81, n)).verdict, 'wait');
    assert.equal(world.arrive(first(into(S), 81, 80, 2050)).verdict, relay);
    await grows(() => world.sentTo('overlay') - others, 2, 'the two that waited');
  } finally {
    world.close();
  }
});
