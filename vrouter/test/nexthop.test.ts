import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import {
  CB_ROUTE_F_GATEWAY,
  CB_ROUTE_NEXTHOP,
  CB_ROUTE_SEVERAL,
  CB_VIF_F_ADMIN_UP,
  MAPS,
} from '../../packages/agent/src/bpf/abi.gen.ts';
import { addExternal, addGateway } from './outside.ts';
import { arp, type Ipv4, macBytes, TCP, tcp, udp } from './packet.ts';
import { addr, type Guest, OPEN_FLAGS, World } from './world.ts';

const [INSIDE, BEHIND, EXTERNAL] = [100, 101, 900];
const VRF = 6;
const NOBODY = new Uint8Array(16);
const [R1, R2, G] = ['02:00:00:00:01:fe', '02:00:00:00:02:fe', '02:00:00:00:09:fe'];
/** Flows that are sent: enough that none of a few next hops gets none, or all. */
const FLOWS = 96;
const AWAY = '192.0.2.9';

let world: World;
let a: Guest;
let hops: readonly Guest[];

type Hop = {
  readonly net: number;
  readonly ip: string;
  readonly mac: string;
  readonly flags?: number;
  readonly own?: string;
};

/** As the agent writes them. */
function setHops(cidr: string, list: readonly Hop[]): void {
  const [base = '', length = ''] = cidr.split('/');
  const key = { prefixlen: 32 + 96 + Number(length), vrf: VRF, addr: addr(base) };
  const hop = list.map(({ net, ip, mac, flags = 0, own }) => ({
    ...{ kind: CB_ROUTE_NEXTHOP, flags, net: world.net(net), mtuBytes: 1450, mac: macBytes(mac) },
    ...{ nexthop: addr(ip), own: own === undefined ? NOBODY : addr(own), outside: 0 },
  }));
  world.write(MAPS.cb_next_1, key, { count: hop.length, hop });
  world.write(MAPS.cb_route_2, key, {
    ...{ kind: CB_ROUTE_SEVERAL, flags: 0, net: 0, mtuBytes: key.prefixlen - 32, mac: Buffer.alloc(6) },
    ...{ nexthop: addr(base), own: NOBODY, outside: 0 },
  });
  world.raiseEpochs();
}

const inside = (guest: Guest): Hop => ({ net: BEHIND, ip: guest.ip, mac: R2 });

const toThere = (): Ipv4 => ({ src: a.mac, dst: R1, from: a.ip, to: '172.20.1.1' });

/** Where each flow goes, by its source port. */
function ways(): Map<number, string> {
  const found = new Map<number, string>();
  for (let at = 0; at < FLOWS; at += 1) {
    found.set(at, world.send(a, udp(toThere(), { sport: 1000 + at, dport: 53 })).verdict);
  }
  return found;
}

const counts = (found: ReadonlyMap<number, string>): Record<string, number> => {
  const all: Record<string, number> = {};
  for (const where of found.values()) all[where] = (all[where] ?? 0) + 1;
  return all;
};

const moved = (one: ReadonlyMap<number, string>, other: ReadonlyMap<number, string>): string[] =>
  [...one].filter(([flow, where]) => other.get(flow) !== where).map(([, where]) => where);

before(() => {
  world = new World();
  a = world.addGuest('a', { mac: '02:00:00:00:01:0a', ip: '10.1.0.5', vni: INSIDE });
  hops = [1, 2, 3].map((n) =>
    world.addGuest(`h${n}`, { mac: `02:00:00:00:02:0${n}`, ip: `10.2.0.1${n}`, vni: BEHIND, flags: OPEN_FLAGS }),
  );
  world.addRouterInterface(VRF, { vni: INSIDE, cidr: '10.1.0.0/24', ip: '10.1.0.254', mac: R1 });
  world.addRouterInterface(VRF, { vni: BEHIND, cidr: '10.2.0.0/24', ip: '10.2.0.254', mac: R2 });
});

after(() => world.close());

beforeEach(() => world.forgetFlows());

describe('a destination with several next hops', () => {
  test('gives each its share of the flows, and all packets of a flow to one', () => {
    setHops('172.20.0.0/16', hops.map(inside));
    const first = ways();
    assert.deepEqual(Object.keys(counts(first)).sort(), ['vif h1', 'vif h2', 'vif h3']);
    for (const count of Object.values(counts(first))) assert.ok(count > FLOWS / 8, JSON.stringify(counts(first)));
    assert.deepEqual(ways(), first, 'established');
    world.raiseEpochs();
    assert.deepEqual(ways(), first, 'decided anew');
    world.forgetFlows();
    assert.deepEqual(ways(), first, 'and by whoever decides');
    const sent = world.send(a, udp(toThere(), { sport: 1000, dport: 53 }));
    assert.match(sent.packet, new RegExp(`^${R2} > 02:00:00:00:02:0\\d ip 10.1.0.5 > 172.20.1.1 ttl 63`));
  });

  test('one that goes takes its own flows along and no others, and gets new ones alone when it comes back', () => {
    setHops('172.20.0.0/16', hops.map(inside));
    const first = ways();
    setHops(
      '172.20.0.0/16',
      [hops[0], hops[2]].flatMap((one) => (one === undefined ? [] : [inside(one)])),
    );
    const less = ways();
    assert.deepEqual([...new Set(moved(first, less))], ['vif h2']);
    assert.equal(counts(less)['vif h2'], undefined);
    setHops('172.20.0.0/16', hops.map(inside));
    assert.deepEqual(ways(), less, 'flows stay where they are');
    world.forgetFlows();
    assert.deepEqual(ways(), first);
  });

  test('an address that nobody has any more, and a VIF that passes nothing, is as one that went', () => {
    setHops('172.20.0.0/16', hops.map(inside));
    const first = ways();
    const [, gone, down] = hops;
    assert.ok(gone !== undefined && down !== undefined);
    world.erase(MAPS.cb_ep_2, { net: world.net(BEHIND), addr: addr(gone.ip) });
    world.raiseEpochs();
    const less = ways();
    assert.deepEqual([...new Set(moved(first, less))], ['vif h2']);
    const isDown = { mac: down.mac, ip: down.ip, vni: BEHIND, flags: OPEN_FLAGS & ~CB_VIF_F_ADMIN_UP };
    world.setGuest(down, isDown);
    world.raiseEpochs();
    assert.deepEqual(counts(ways()), { 'vif h1': FLOWS });
    world.setGuest(gone, { mac: gone.mac, ip: gone.ip, vni: BEHIND, flags: OPEN_FLAGS });
    world.setGuest(down, { mac: down.mac, ip: down.ip, vni: BEHIND, flags: OPEN_FLAGS });
    world.raiseEpochs();
    assert.deepEqual(counts(ways()), { 'vif h1': FLOWS }, 'flows stay where they are');
    world.forgetFlows();
    assert.deepEqual(ways(), first);
  });

  test('nobody can be reached: dropped, with the reason of the one that would be taken', () => {
    setHops('172.20.0.0/16', [
      { net: BEHIND, ip: '10.2.0.77', mac: R2 },
      { net: BEHIND, ip: '10.2.0.78', mac: R2 },
    ]);
    assert.deepEqual(counts(ways()), { 'drop no_endpoint': FLOWS });
    assert.equal(world.audit().live, 0);
  });

  test('a route by one next hop that gets a second keeps its connections', () => {
    const [only, second] = hops;
    assert.ok(only !== undefined && second !== undefined);
    world.addRoute(VRF, '172.20.0.0/16', { vni: BEHIND, mac: R2, nexthop: only.ip });
    world.raiseEpochs();
    const first = ways();
    assert.deepEqual(counts(first), { 'vif h1': FLOWS });
    setHops('172.20.0.0/16', [inside(only), inside(second)]);
    assert.deepEqual(ways(), first);
    world.forgetFlows();
    assert.ok((counts(ways())['vif h2'] ?? 0) > FLOWS / 8);
  });

  test('next hops of other hosts, and of 32 at once', () => {
    const many = Array.from({ length: 32 }, (_, n) => {
      const ip = `10.2.0.${100 + n}`;
      world.addRemote(BEHIND, ip, `02:00:00:00:03:${n.toString(16).padStart(2, '0')}`, AWAY);
      return { net: BEHIND, ip, mac: R2 };
    });
    world.addPeer(AWAY);
    setHops('172.20.0.0/16', many);
    const used = new Set<string>();
    for (let at = 0; at < FLOWS; at += 1) {
      const sent = world.send(a, tcp(toThere(), { sport: 2000 + at, dport: 80, flags: TCP.syn }));
      assert.equal(sent.verdict, `overlay ${BEHIND} ${AWAY}`);
      used.add(sent.packet.split(' ')[2] ?? '');
    }
    assert.ok(used.size > 20, `${used.size} of 32`);
  });

  test('answers of one come back by the flow', () => {
    setHops('172.20.0.0/16', hops.map(inside));
    const sent = world.send(a, udp(toThere(), { sport: 1000, dport: 53 }));
    const by = hops.find(({ name }) => sent.verdict === `vif ${name}`);
    assert.ok(by);
    const answer = { src: by.mac, dst: R2, from: '172.20.1.1', to: a.ip };
    assert.equal(world.send(by, udp(answer, { sport: 53, dport: 1000 })).verdict, 'vif a');
  });
});

describe('several next hops outside', () => {
  const TAG = 78;
  const OWN = '203.0.113.2';
  const outside = (ip: string): Hop => ({ net: EXTERNAL, ip, mac: G, flags: CB_ROUTE_F_GATEWAY, own: OWN });
  const [ONE, TWO] = ['203.0.113.101', '203.0.113.102'];
  const macOf = (ip: string): string => (ip === ONE ? '02:00:00:00:ee:01' : '02:00:00:00:ee:02');
  const answers = (ip: string): void => {
    const said = { op: 'reply', sha: macOf(ip), spa: ip, tha: G, tpa: OWN } as const;
    assert.equal(world.arriveTagged(TAG, arp({ src: macOf(ip), dst: G }, said)).verdict, 'flood 0 copies');
  };
  const forget = (ip: string): void => {
    const unknown = { learnedNs: 0n, askedNs: 0n, mac: Buffer.alloc(6) };
    world.write(MAPS.cb_neigh_1, { net: world.net(EXTERNAL), addr: addr(ip) }, unknown);
  };
  const macs = (): Record<string, number> => {
    const all: Record<string, number> = {};
    for (let at = 0; at < FLOWS; at += 1) {
      const sent = world.send(a, udp(toThere(), { sport: 1000 + at, dport: 53 }));
      const to = sent.verdict === `wire vlan ${TAG}` ? (sent.packet.split(' ')[2] ?? '') : sent.verdict;
      all[to] = (all[to] ?? 0) + 1;
    }
    return all;
  };

  before(() => {
    addExternal(world, EXTERNAL, TAG);
    const nexthop = '203.0.113.1';
    addGateway(world, { vrf: VRF, external: EXTERNAL, mac: G, ip: OWN, cidr: '203.0.113.0/24', nexthop });
    for (const ip of [ONE, TWO]) forget(ip);
    setHops('172.20.0.0/16', [outside(ONE), outside(TWO)]);
  });

  test('are asked for both, and share the flows', () => {
    for (let at = 0; at < 8; at += 1) world.send(a, udp(toThere(), { sport: 3000 + at, dport: 53 }));
    for (const ip of [ONE, TWO]) answers(ip);
    const all = macs();
    assert.deepEqual(Object.keys(all).sort(), [macOf(ONE), macOf(TWO)]);
    for (const count of Object.values(all)) assert.ok(count > FLOWS / 4, JSON.stringify(all));
  });

  test('of very many that are dead none keeps a flow from one that lives', () => {
    const dead = Array.from({ length: 19 }, (_, n) => `203.0.113.${120 + n}`);
    for (const ip of dead) forget(ip);
    setHops('172.20.0.0/16', [ONE, ...dead].map(outside));
    world.forgetFlows();
    const first = macs();
    assert.ok((first[macOf(ONE)] ?? 0) >= FLOWS - dead.length, JSON.stringify(first));
    assert.equal(first[`wire vlan ${TAG} (no_neighbour)`], dead.length, 'each was asked once');
    assert.deepEqual(macs(), { [macOf(ONE)]: FLOWS });
    world.forgetFlows();
    assert.deepEqual(macs(), { [macOf(ONE)]: FLOWS }, 'new flows go there, too');
    setHops('172.20.0.0/16', [outside(ONE), outside(TWO)]);
  });

  test('one that is silent gets nothing, and is asked again after a while', () => {
    forget(TWO);
    world.forgetFlows();
    const first = macs();
    assert.ok((first[`wire vlan ${TAG} (no_neighbour)`] ?? 0) <= 1, JSON.stringify(first));
    const asked = (ago: bigint): void => {
      const row = { net: world.net(EXTERNAL), addr: addr(TWO) };
      const now = process.hrtime.bigint();
      world.write(MAPS.cb_neigh_1, row, { learnedNs: 0n, askedNs: now - ago, mac: Buffer.alloc(6) });
      world.forgetFlows();
    };
    asked(3_000_000_000n);
    assert.deepEqual(macs(), { [macOf(ONE)]: FLOWS });
    asked(20_000_000_000n);
    const again = macs();
    assert.equal(again[`wire vlan ${TAG} (no_neighbour)`], 1, JSON.stringify(again));
    answers(TWO);
    world.forgetFlows();
    assert.ok((macs()[macOf(TWO)] ?? 0) > FLOWS / 4);
  });
});
