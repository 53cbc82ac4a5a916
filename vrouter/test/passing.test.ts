/** What only passes this host, from other hosts to an uplink and back, has no VIF here that could be held to a share: nobody may take what others need. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import {
  CB_ENDPOINT_GATEWAY,
  CB_NET_F_TRANSIT,
  CB_USE_PASSING,
  CB_USE_PROJECT,
} from '../../packages/agent/src/bpf/abi.gen.ts';
import { addExternal, addFloating, addGateway } from './outside.ts';
import { arp, type Ipv4, ipv4, PROTO, udp } from './packet.ts';
import { type Guest, World } from './world.ts';

const FLOWS = 1024;
const [INSIDE, EXTERNAL] = [100, 900];
const HOST = '192.0.2.9';
const OUTER = '198.51.100.7';
const N = '02:00:00:00:ee:01';
/** What a purge is of: a network. */
const PURGE_NET = 2;

/** A router whose gateway is here and whose guests are at another host. */
type Behind = {
  readonly vrf: number;
  readonly project: number;
  readonly transit: number;
  readonly away: number;
  readonly mac: string;
  readonly ip: string;
  readonly fixed: string;
  readonly floating: string;
};

function behind(n: number): Behind {
  return {
    ...{ vrf: n, project: n, transit: 800 + n, away: 700 + n, mac: `02:00:00:00:09:0${n}`, ip: `203.0.113.${n}` },
    ...{ fixed: `10.${n}.0.13`, floating: `203.0.113.10${n}` },
  };
}

const [GREEDY, MODEST] = [behind(2), behind(3)];

let world: World;
let a: Guest;

beforeEach(() => {
  world = new World(8, FLOWS);
  addExternal(world, EXTERNAL);
  a = world.addGuest('a', { mac: '02:00:00:00:01:0a', ip: '10.0.0.5', vni: INSIDE, project: 1 });
  world.addRemote(INSIDE, '10.0.0.9', '02:00:00:00:01:0f', HOST);
  for (const one of [GREEDY, MODEST]) {
    const { vrf, project, transit, away, mac, ip, fixed, floating } = one;
    const leg = `02:00:00:00:0${vrf}:fe`;
    addGateway(world, { vrf, external: EXTERNAL, mac, ip, cidr: '203.0.113.0/24', nexthop: '203.0.113.254' });
    world.addRouterInterface(vrf, { vni: away, cidr: `10.${vrf}.0.0/24`, ip: `10.${vrf}.0.254`, mac: leg });
    world.addRemote(away, fixed, `02:00:00:00:0${vrf}:0d`, HOST);
    world.setEndpoint(transit, ['169.254.0.1'], gatewayOf(one), { kind: CB_ENDPOINT_GATEWAY, vrf });
    world.setFlags(transit, CB_NET_F_TRANSIT);
    const guest = { ...a, vif: 0, vni: transit, ip: `10.${vrf}.0.99` };
    addFloating(world, { external: EXTERNAL, ip: floating, guest, vrf, mac });
    for (const net of [transit, away]) world.setProject(net, project);
  }
  world.addRemote(GREEDY.away, '10.2.0.99', '02:00:00:00:02:0e', HOST);
  world.addRemote(MODEST.away, '10.3.0.99', '02:00:00:00:03:0e', HOST);
  world.addPeer(HOST);
  for (const mac of [GREEDY.mac, MODEST.mac]) {
    const said = { sha: N, spa: '203.0.113.254', tha: mac, tpa: '203.0.113.2' };
    world.arrive(arp({ src: N, dst: mac }, { op: 'reply', ...said }));
  }
});
afterEach(() => world.close());

/** MAC of the gateway in its transit network. */
const gatewayOf = ({ vrf }: Behind): string => `02:00:00:00:08:0${vrf}`;
const sent = (one: Behind, from = one.fixed): Ipv4 => ({
  ...{ src: '02:00:00:00:07:01', dst: gatewayOf(one), from, to: OUTER },
});

/** Opens so many flows of a guest of another host, to a destination each; returns how many were let through. */
function open(one: Behind, count: number): number {
  let passed = 0;
  for (let n = 0; n < count; n += 1) {
    const to = `198.51.${100 + (n >> 8)}.${n & 255}`;
    const frame = udp({ ...sent(one), to }, { sport: 1000, dport: 2000 });
    const { verdict } = world.receive({ vni: one.transit, from: HOST }, frame);
    if (verdict === 'wire') passed += 1;
    else assert.match(verdict, /^drop flow_(share|table)$/);
  }
  return passed;
}

/** The same of a machine outside, to a floating IP of a guest of another host. */
function openFromOutside(one: Behind, count: number): number {
  let passed = 0;
  for (let n = 0; n < count; n += 1) {
    const frame = udp({ src: N, dst: one.mac, from: OUTER, to: one.floating }, { sport: 1000 + n, dport: 53 });
    const { verdict } = world.arrive(frame);
    if (verdict.startsWith('overlay')) passed += 1;
    else assert.match(verdict, /^drop flow_(share|table)$/);
  }
  return passed;
}

/** New flows of a guest of this host. */
function openHere(count: number): number {
  let passed = 0;
  for (let n = 0; n < count; n += 1) {
    const frame = udp(
      { src: a.mac, dst: '02:00:00:00:01:0f', from: a.ip, to: '10.0.0.9' },
      { sport: 3000 + n, dport: 1 },
    );
    if (world.send(a, frame).verdict.startsWith('overlay')) passed += 1;
  }
  return passed;
}

for (const [what, flood] of [
  ['a guest of another host', open],
  ['a machine outside', openFromOutside],
] as const) {
  test(`${what} that opens many flows through a gateway leaves room for other projects’, and for guests here`, () => {
    const passed = flood(GREEDY, 3 * FLOWS);
    assert.ok(passed >= FLOWS / 4 && passed <= FLOWS / 2, `${passed} passed`);
    assert.equal(flood(MODEST, 100), 100, 'another router’s');
    assert.equal(openHere(100), 100, 'a guest here');
    assert.equal(world.audit().live, passed + 200);
    world.forgetFlows();
    assert.equal(flood(GREEDY, 100), 100);
  });
}

test('what it holds is given back when its flows end', () => {
  open(GREEDY, 2 * FLOWS);
  for (const net of [GREEDY.transit, EXTERNAL]) purge(net);
  assert.deepEqual(world.audit(), { tuples: 0, counted: 0, live: 0, owned: 0 });
  assert.deepEqual(
    [CB_USE_PASSING, CB_USE_PROJECT + GREEDY.project].map((row) => world.use(row).flows),
    [
      [0, 0],
      [0, 0],
    ],
  );
});

function purge(net: number): void {
  const context = Uint32Array.of(PURGE_NET, world.net(net), 0);
  assert.equal(world.program('purge_flows').call(new Uint8Array(context.buffer)), 0);
}

/** A datagram in two pieces. */
function pieces(ip: Ipv4, id: number): readonly [Buffer, Buffer] {
  const whole = udp(ip, { sport: 1000, dport: 2000, payload: Buffer.alloc(64) }).subarray(34);
  const piece = (from: number, to: number, moreFragments: boolean): Buffer =>
    ipv4({ ...ip, id, moreFragments, fragmentOffset: from }, PROTO.udp, whole.subarray(from, to));
  return [piece(0, 40, true), piece(40, 72, false)];
}

test('first fragments that nothing follows cost another router’s guests none of theirs', () => {
  const receive = (one: Behind, frame: Uint8Array) => world.receive({ vni: one.transit, from: HOST }, frame).verdict;
  const [first, later] = pieces(sent(MODEST), 7);
  assert.equal(receive(MODEST, first), 'wire');
  for (let id = 0; id < 64; id += 1) assert.equal(receive(GREEDY, pieces(sent(GREEDY), id)[0]), 'wire');
  assert.equal(receive(MODEST, later), 'wire');
  const into = ({ mac, floating }: Behind): Ipv4 => ({ src: N, dst: mac, from: OUTER, to: floating });
  const [begin, end] = pieces(into(MODEST), 8);
  assert.match(world.arrive(begin).verdict, /^overlay/);
  for (let id = 0; id < 64; id += 1) assert.match(world.arrive(pieces(into(GREEDY), id)[0]).verdict, /^overlay/);
  assert.match(world.arrive(end).verdict, /^overlay/);
});

test('who looks for machines that are not there may ask the external network only so often, for his project', () => {
  const look = (one: Behind, to: string) =>
    world.receive({ vni: one.transit, from: HOST }, udp({ ...sent(one), to }, { sport: 1, dport: 2 })).verdict;
  assert.equal(look(GREEDY, '203.0.113.70'), 'wire (no_neighbour)');
  assert.ok(world.use(CB_USE_PROJECT + GREEDY.project).floodNs > 0n, 'it is counted');
  const later = process.hrtime.bigint() + 3_600_000_000_000n;
  world.setUse(CB_USE_PROJECT + GREEDY.project, { flows: [0, 0], serviceNs: 0n, floodNs: later });
  assert.equal(look(GREEDY, '203.0.113.71'), 'drop rate_flood');
  assert.equal(look(MODEST, '203.0.113.72'), 'wire (no_neighbour)');
});
