import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { arp, BROADCAST, ICMP, type Ipv4, icmp, icmpError, TCP, tcp, udp } from './packet.ts';
import { type Guest, SERVICE_MAC, World } from './world.ts';

const VNI = 700;
const A = '02:00:00:00:00:0a';
const B = '02:00:00:00:00:0b';
const RUNS = 6000;

let world: World;
let a: Guest;

before(() => {
  world = new World();
  a = world.addGuest('a', { mac: A, ip: '10.0.0.1', vni: VNI, dhcpServer: '10.0.0.254' });
  const b = world.addGuest('b', { mac: B, ip: '10.0.0.2', vni: VNI });
  world.addRouterInterface(1, { vni: VNI, cidr: '10.0.0.0/24', ip: '10.0.0.254', mac: 'fa:16:3e:00:00:01' });
  world.addServices(VNI, ['169.254.169.254'], 1);
  world.addPeer('192.0.2.1');
  world.setFlood(VNI, [{ guest: a }, { guest: b }]);
});

after(() => world.close());

/** Mulberry32: the same numbers in every run. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const ab: Ipv4 = { src: A, dst: B, from: '10.0.0.1', to: '10.0.0.2' };
const ports = { sport: 1000, dport: 2000 };
const SEEDS: readonly Buffer[] = [
  udp(ab, ports),
  tcp(ab, { ...ports, flags: TCP.syn }),
  tcp({ ...ab, options: 12 }, { ...ports, flags: TCP.ack, payload: Buffer.alloc(100) }),
  icmp(ab, { type: ICMP.echo, id: 1 }),
  icmpError(ab, { type: ICMP.unreachable, code: 3 }, udp({ ...ab, from: '10.0.0.2', to: '10.0.0.1' }, ports)),
  udp({ ...ab, id: 7, moreFragments: true }, ports),
  udp({ ...ab, dst: BROADCAST, to: '255.255.255.255', from: '0.0.0.0' }, { sport: 68, dport: 67 }),
  tcp({ ...ab, dst: SERVICE_MAC, to: '169.254.169.254' }, { sport: 5, dport: 80, flags: TCP.syn }),
  udp({ ...ab, dst: SERVICE_MAC, to: '10.0.0.2', ttl: 1 }, ports),
  arp({ src: A, dst: BROADCAST }, { op: 'request', sha: A, spa: '10.0.0.1', tpa: '10.0.0.2' }),
];

/** A frame of the seeds with a few bytes changed and perhaps its end cut off. */
function mutate(next: () => number): Buffer {
  const seed = SEEDS[Math.floor(next() * SEEDS.length)] ?? Buffer.alloc(60);
  const frame = Buffer.from(seed);
  for (let n = Math.floor(next() * 4); n > 0; n--) frame[Math.floor(next() * frame.length)] = Math.floor(next() * 256);
  // The kernel itself refuses a test run of less than an Ethernet and an IP header.
  return next() < 0.2 ? frame.subarray(0, 34 + Math.floor(next() * (frame.length - 33))) : frame;
}

function ownMac(frame: Buffer): boolean {
  return frame.subarray(6, 12).toString('hex') === A.replaceAll(':', '');
}

/** UDP to the port of DHCP servers: the agent hears a client that still has an address which its port lost. */
function asksDhcp(frame: Buffer): boolean {
  return frame.readUInt16BE(12) === 0x0800 && frame[23] === 17 && frame.readUInt16BE(36) === 67;
}

/** Whether the guest may send a frame with these sources: its own, or none yet (ARP probes). */
function ownSource(frame: Buffer): boolean {
  if (!ownMac(frame)) return false;
  const at = frame.readUInt16BE(12) === 0x0806 ? 28 : 26;
  return ['0a000001', '00000000'].includes(frame.subarray(at, at + 4).toString('hex'));
}

test('whatever a guest sends, nothing passes with a source that is not its own', () => {
  const next = random(1);
  const verdicts = new Map<string, number>();
  for (let i = 0; i < RUNS; i++) {
    const frame = mutate(next);
    const { verdict } = world.send(a, frame);
    const kind = verdict
      .split(' ')
      .slice(0, verdict.startsWith('drop') ? 2 : 1)
      .join(' ');
    verdicts.set(kind, (verdicts.get(kind) ?? 0) + 1);
    if (verdict === 'service' && asksDhcp(frame)) assert.ok(ownMac(frame), `DHCP by ${frame.toString('hex')}`);
    else if (!verdict.startsWith('drop')) assert.ok(ownSource(frame), `${verdict} for ${frame.toString('hex')}`);
  }
  for (const kind of ['vif', 'service', 'flood', 'drop malformed', 'drop spoofed_ip', 'drop spoofed_mac'])
    assert.ok((verdicts.get(kind) ?? 0) > 20, `the frames reach ${kind}: ${[...verdicts].join('; ')}`);
});

test('whatever another host or the service link sends has an end', () => {
  const next = random(2);
  for (let i = 0; i < RUNS / 3; i++) {
    const frame = mutate(next);
    assert.doesNotMatch(world.receive({ vni: VNI, from: '192.0.2.1' }, frame).verdict, /overlay|service/);
    assert.match(world.serve(frame).verdict, /^drop /, 'none of these comes from the agent');
  }
});
