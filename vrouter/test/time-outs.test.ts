/** Time-outs of flows by protocol and state: what is built in, what an operator chooses, and what becomes of flows that an earlier load gave more time. */
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import type { FlowTimeouts } from '../../packages/agent/src/flow-timeouts.ts';
import { type Ipv4, icmp, ipv4, PROTO, TCP, tcp, udp } from './packet.ts';
import { type Guest, World } from './world.ts';

const VNI = 800;
const [A, B] = ['02:00:00:00:00:0a', '02:00:00:00:00:0b'] as const;
const ab: Ipv4 = { src: A, dst: B, from: '10.0.0.1', to: '10.0.0.2' };
const ba: Ipv4 = { src: B, dst: A, from: '10.0.0.2', to: '10.0.0.1' };

let world: World;
let a: Guest;
let b: Guest;

function start(flowTimeouts: FlowTimeouts): void {
  world = new World(4, 64, { flowTimeouts });
  a = world.addGuest('a', { mac: A, ip: '10.0.0.1', vni: VNI, project: 1 });
  b = world.addGuest('b', { mac: B, ip: '10.0.0.2', vni: VNI, project: 1 });
}

afterEach(() => world.close());

/** Sends packets of a flow, each from its end; gives the seconds that all flows have left, rounded, and ends them. */
function left(...packets: readonly (readonly [from: Guest, frame: Buffer])[]): number {
  for (const [from, frame] of packets) assert.match(world.send(from, frame).verdict, /^vif [ab]$/);
  const found = world.ways().map(({ way }) => way.expiresNs);
  const [expires = 0n] = found;
  assert.ok(found.length > 0 && found.every((one) => one === expires), 'both directions have the same time');
  // The vrouter's clock is coarse.
  const seconds = Math.round(Number(expires - process.hrtime.bigint()) / 1e9);
  assert.equal(world.program('purge_flows').call(new Uint8Array(Uint32Array.of(3, 0, 0).buffer)), 0);
  return seconds;
}

let sport = 1000;

/** Of a connection in each state, and of other protocols. */
function all(): Readonly<Record<string, number>> {
  sport += 10;
  const syn = [a, tcp(ab, { sport, dport: 80, flags: TCP.syn, seq: 1 })] as const;
  const answered = [b, tcp(ba, { sport: 80, dport: sport, flags: TCP.syn | TCP.ack, seq: 1, ack: 2 })] as const;
  const fin = [a, tcp(ab, { sport, dport: 80, flags: TCP.fin | TCP.ack, seq: 2, ack: 2 })] as const;
  const finBack = [b, tcp(ba, { sport: 80, dport: sport, flags: TCP.fin | TCP.ack, seq: 2, ack: 3 })] as const;
  const asked = [a, udp(ab, { sport, dport: 53 })] as const;
  return {
    tcp_new: left(syn),
    tcp_established: left(syn, answered),
    tcp_closing: left(syn, answered, fin),
    tcp_closed: left(syn, answered, fin, finBack),
    'tcp_picked-up': left([a, tcp(ab, { sport, dport: 80, flags: TCP.ack, seq: 7, ack: 7 })]),
    udp_new: left(asked),
    udp_established: left(asked, [b, udp(ba, { sport: 53, dport: sport })]),
    icmp: left([a, icmp(ab, { type: 8, id: sport })]),
    other: left([a, ipv4(ab, PROTO.gre, Buffer.alloc(8))]),
  };
}

const BUILT_IN = {
  ...{ tcp_new: 120, tcp_established: 432_000, tcp_closing: 120, tcp_closed: 1, 'tcp_picked-up': 300 },
  ...{ udp_new: 30, udp_established: 180, icmp: 30, other: 600 },
};

test('flows have the time that is built in, or what was chosen, by protocol and state', () => {
  start({});
  assert.deepEqual(all(), BUILT_IN);
  world.close();
  const chosen = Object.fromEntries(Object.keys(BUILT_IN).map((name, n) => [name, 7000 + n]));
  start(chosen);
  assert.deepEqual(all(), chosen);
  world.close();
  start({ udp_new: 10 });
  assert.deepEqual(all(), { ...BUILT_IN, udp_new: 10 });
});

test('a packet raises the time of a flow once a second, and of one with little time once an eighth of it: no silence that is shorter ends it', () => {
  start({ icmp: 1, udp_new: 4, other: 60 });
  const kept = (frame: Buffer): number => {
    world.forgetFlows();
    assert.equal(world.send(a, frame).verdict, 'vif b');
    return Number((world.ways()[0]?.way.expiresNs ?? 0n) - (world.ways()[0]?.way.refreshNs ?? 0n)) / 1e9;
  };
  assert.equal(kept(icmp(ab, { type: 8, id: 7 })), 0.875);
  assert.equal(kept(udp(ab, { sport: 6, dport: 53 })), 3.5);
  assert.equal(kept(ipv4(ab, PROTO.gre, Buffer.alloc(8))), 59);
});

test('a flow that was given more time than there is now has no more than that from the next look on', async () => {
  start({ tcp_established: 7200 });
  const open = (): void => {
    world.send(a, tcp(ab, { sport: 5, dport: 80, flags: TCP.syn, seq: 1 }));
    world.send(b, tcp(ba, { sport: 80, dport: 5, flags: TCP.syn | TCP.ack, seq: 1, ack: 2 }));
    world.send(a, udp(ab, { sport: 6, dport: 53 }));
  };
  open();
  const least = world.ways().map(({ way }) => way.expiresNs);
  world.changeWays((way) => ({ ...way, expiresNs: way.expiresNs + 400_000_000_000_000n }));
  assert.equal(world.program('start_collection').call(), 0);
  const expires = (): readonly bigint[] => world.ways().map(({ way }) => way.expiresNs);
  const deadline = performance.now() + 60_000;
  const isCapped = (all: readonly bigint[]): boolean =>
    all.every((one, n) => one >= (least[n] ?? 0n) && one < (least[n] ?? 0n) + 100_000_000_000n);
  while (!isCapped(expires()) && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 50));
  assert.ok(isCapped(expires()));
  assert.equal(world.audit().live, 2, 'none has ended');
});
