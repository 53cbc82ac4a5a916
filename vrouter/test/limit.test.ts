/** QoS policies of floating IPs and of gateways of routers, where their addresses are translated. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { CB_ENDPOINT_GATEWAY, CB_NET_F_EXTERNAL, CB_NET_F_TRANSIT } from '../../packages/agent/src/bpf/abi.gen.ts';
import { changeLimit, limited, type Place, removeLimit, setLimit } from './limits.ts';
import { addExternal, addFloating, addForward, addGateway } from './outside.ts';
import { arp, checksum, type Ipv4, TCP, tcp, udp } from './packet.ts';
import { type Guest, type Limit, World } from './world.ts';

const [INSIDE, EXTERNAL, TRANSIT, VRF] = [100, 900, 800, 5];
const [R, G, N] = ['02:00:00:00:01:fe', '02:00:00:00:09:fe', '02:00:00:00:ee:01'];
const [OUTER, S, HOP, FORWARDED] = ['198.51.100.7', '203.0.113.2', '203.0.113.1', '203.0.113.99'];
const FLOATING = 40;

let world: World;
/** The first have floating IPs; the last has none. */
let guests: readonly Guest[];
let lone: Guest;

const place = (ip: string): Place => ({ external: EXTERNAL, ip });
const outer = (n: number): string => `203.0.113.${10 + n}`;

before(() => {
  world = new World(FLOATING + 2);
  addExternal(world, EXTERNAL);
  world.addRouterInterface(VRF, { vni: INSIDE, cidr: '10.0.0.0/24', ip: '10.0.0.254', mac: R });
  addGateway(world, { vrf: VRF, external: EXTERNAL, mac: G, ip: S, cidr: '203.0.113.0/24', nexthop: HOP });
  const add = (n: number): Guest =>
    world.addGuest(`g${n}`, {
      mac: `02:00:00:00:02:${(10 + n).toString(16).padStart(2, '0')}`,
      ip: `10.0.0.${10 + n}`,
      vni: INSIDE,
    });
  guests = Array.from({ length: FLOATING }, (_, n) => add(n));
  lone = add(FLOATING);
  for (const [n, guest] of guests.entries())
    addFloating(world, { external: EXTERNAL, ip: outer(n), guest, vrf: VRF, mac: G });
  addForward(world, {
    ...{ external: EXTERNAL, ip: FORWARDED, mac: G, vrf: VRF, protocol: 17, port: 2222, guest: lone, toPort: 22 },
  });
  world.arrive(arp({ src: N, dst: G }, { op: 'reply', sha: N, spa: HOP, tha: G, tpa: S }));
});

after(() => world.close());

beforeEach(() => {
  world.forgetFlows();
  for (let n = 0; n < FLOATING; n++) setLimit(world, place(outer(n)), {});
  for (const ip of [S, FORWARDED]) setLimit(world, place(ip), {});
});

const [A, B] = [0, 1];
const guest = (n: number): Guest => guests[n] ?? lone;
const ports = { sport: 1000, dport: 2000 };
const back = { sport: 2000, dport: 1000 };
const from = (one: Guest): Ipv4 => ({ src: one.mac, dst: R, from: one.ip, to: OUTER });
const to = (ip: string): Ipv4 => ({ src: N, dst: G, from: OUTER, to: ip });
const DROPPED = 'drop rate_outside';

/** So slow that nothing is paid while a test runs. */
const AN_HOUR_NS = 3_600_000_000_000;
const slow = (burst: number): Limit => ({ costNs: AN_HOUR_NS, burst });
const slowBytes = (burst: number): Limit => ({ costNs: 1_000_000_000, burst });

/** How many of these pass before one is dropped, at most `most`. */
function passing(send: () => { verdict: string }, most = 20): number {
  for (let n = 0; n < most; n++) if (send().verdict === DROPPED) return n;
  return most;
}

const leaves = (one: Guest) => () => world.send(one, udp(from(one), ports));
const enters = (ip: string) => () => world.arrive(udp(to(ip), back));

test('the limit of a floating IP counts what leaves with it and what comes to it, each by itself, and nothing else', () => {
  setLimit(world, place(outer(A)), { out: { packets: slow(4) }, in: { packets: slow(2) } });
  assert.equal(passing(leaves(guest(A))), 5);
  assert.equal(passing(enters(outer(A))), 3);
  assert.equal(passing(leaves(guest(B))), 20, 'of another floating IP');
  assert.equal(passing(enters(outer(B))), 20);
  assert.equal(passing(leaves(lone)), 20, 'with the router’s address');
  const inside = { ...from(guest(A)), dst: lone.mac, to: lone.ip };
  assert.equal(
    passing(() => world.send(guest(A), udp(inside, ports))),
    20,
    'within the network',
  );
  const { packets, over } = limited(world, place(outer(A)));
  assert.deepEqual(
    [packets, over],
    [
      [3n, 5n],
      [1n, 1n],
    ],
  );
});

test('a drop is counted for the port inside, whichever way the packet went', () => {
  setLimit(world, place(outer(A)), { out: { packets: slow(0) }, in: { packets: slow(0) } });
  const before = world.countersOf(guest(A)).drops.get('rate_outside') ?? 0;
  passing(leaves(guest(A)));
  passing(enters(outer(A)));
  assert.equal((world.countersOf(guest(A)).drops.get('rate_outside') ?? 0) - before, 2);
});

test('the gateway’s limit holds for all that have its address together, and not for floating IPs', () => {
  setLimit(world, place(S), { out: { packets: slow(6) } });
  const [c] = [world.addGuest('c', { mac: '02:00:00:00:02:c8', ip: '10.0.0.200', vni: INSIDE })];
  let n = 0;
  assert.equal(
    passing(() => leaves(n++ % 2 === 0 ? lone : c)()),
    7,
  );
  assert.equal(passing(leaves(guest(A))), 20);
  const { packets } = limited(world, place(S));
  assert.equal(packets[1], 7n);
});

test('what comes to the router’s address counts as well, by whatever port it leads inside', () => {
  const sent = world.send(lone, udp(from(lone), ports));
  const [port] = /udp (\d+) >/.exec(sent.packet)?.slice(1) ?? [];
  setLimit(world, place(S), { in: { packets: slow(3) } });
  assert.equal(
    passing(() => world.arrive(udp(to(S), { sport: 2000, dport: Number(port) }))),
    4,
  );
  setLimit(world, place(FORWARDED), { in: { packets: slow(1) }, out: { packets: slow(2) } });
  assert.equal(
    passing(() => world.arrive(udp(to(FORWARDED), { sport: 77, dport: 2222 }))),
    2,
    'a port forwarding',
  );
  assert.equal(
    passing(() => world.send(lone, udp(from(lone), { sport: 22, dport: 77 }))),
    3,
    'its answers',
  );
});

test('each of many floating IPs has its own', () => {
  for (let n = 0; n < FLOATING; n++) setLimit(world, place(outer(n)), { out: { packets: slow(n % 5) } });
  const passed = guests.map((one) => passing(leaves(one)));
  assert.deepEqual(
    passed,
    guests.map((_, n) => (n % 5) + 1),
  );
});

test('bytes are those of frames, with the headers of each packet that a GSO packet becomes', () => {
  const frame = tcp(from(guest(A)), { ...ports, flags: TCP.syn, payload: Buffer.alloc(2000) });
  const headers = frame.length - 2000;
  setLimit(world, place(outer(A)), { out: { bytes: slowBytes(2000 + 4 * headers) } });
  assert.equal(
    passing(() => world.send(guest(A), frame, 500)),
    2,
  );
  const { packets, bytes, over } = limited(world, place(outer(A)));
  assert.deepEqual([packets[1], bytes[1], over[1]], [8n, BigInt(2 * (2000 + 4 * headers)), 1n]);
});

test('a changed limit holds from the next packet on: what was used is used, flows stay, no packet is lost', () => {
  setLimit(world, place(outer(A)), { out: { packets: slow(3) } });
  assert.equal(passing(leaves(guest(A))), 4);
  const flows = world.ways().map(({ flow, way }) => [flow, way.stamp]);
  changeLimit(world, place(outer(A)), { out: { packets: slow(5) } });
  assert.equal(passing(leaves(guest(A))), 2, 'two more of a larger burst, no new bucket');
  changeLimit(world, place(outer(A)), { out: { packets: { costNs: AN_HOUR_NS + 1, burst: 9 } } });
  assert.equal(passing(leaves(guest(A))), 10, 'at another rate the bucket is full');
  changeLimit(world, place(outer(A)), {});
  assert.equal(passing(leaves(guest(A))), 20);
  assert.deepEqual(
    world.ways().map(({ flow, way }) => [flow, way.stamp]),
    flows,
    'nothing was decided again',
  );
});

test('what leaves has the DSCP, what comes has that which it had', () => {
  setLimit(world, place(outer(A)), { out: { dscp: 10 } });
  const out = world.send(guest(A), udp({ ...from(guest(A)), tos: 0xb9 }, ports));
  assert.equal(out.data[15], (10 << 2) | 1);
  assert.equal(checksum(out.data.subarray(14, 34)), 0, 'checksum of the header');
  assert.equal(world.arrive(udp({ ...to(outer(A)), tos: 0xb8 }, back)).data[15], 0xb8);
});

test('two of one gateway that meet by their floating IPs are not outside', () => {
  for (const n of [A, B]) setLimit(world, place(outer(n)), { out: { packets: slow(0) }, in: { packets: slow(0) } });
  const hairpin = { ...from(guest(A)), to: outer(B) };
  assert.equal(
    passing(() => world.send(guest(A), udp(hairpin, ports))),
    20,
  );
});

test('a guest of another host counts at the gateway’s host, by the transit network', () => {
  const [far, host, GT] = ['10.0.0.240', '192.0.2.9', '02:00:00:00:08:fe'];
  world.addRemote(INSIDE, far, '02:00:00:00:02:f0', host);
  world.addPeer(host);
  world.setEndpoint(TRANSIT, ['100.64.0.1'], GT, { kind: CB_ENDPOINT_GATEWAY, vrf: VRF });
  world.setFlags(TRANSIT, CB_NET_F_TRANSIT);
  setLimit(world, place(S), { out: { packets: slow(2) } });
  const frame = udp({ src: '02:00:00:00:08:01', dst: GT, from: far, to: OUTER }, ports);
  assert.equal(
    passing(() => world.receive({ vni: TRANSIT, from: host }, frame)),
    3,
  );
});

test('without the flag of the network nothing is asked, and without a row of the address nothing is limited', () => {
  for (const n of [A, B]) setLimit(world, place(outer(n)), { out: { packets: slow(0) } });
  removeLimit(world, place(outer(B)));
  assert.equal(passing(leaves(guest(B))), 20);
  world.setFlags(EXTERNAL, CB_NET_F_EXTERNAL);
  assert.equal(passing(leaves(guest(A))), 20);
});
