/**
 * Prints what packets cost here, in nanoseconds of the program alone, so that a slower path is seen. Asserts only that each packet went
 * the way whose price it is said to be. Compare two builds by turns on one machine: `VROUTER_COST_RUNS` sets how often each packet is timed.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { CB_PEER_F_UPLINK, CB_VIF_F_METER } from '../../packages/agent/src/bpf/abi.gen.ts';
import { median } from './facts.ts';
import { addExternal, addFloating, addGateway } from './outside.ts';
import { arp, BROADCAST, type Ip, type Ipv4, TCP, tcp, udp, vxlan } from './packet.ts';
import { addScope, setService } from './services.ts';
import { DEFAULT_FLAGS, type Guest, SERVICE_MAC, UPLINK_MAC, World } from './world.ts';

const RUNS = Number(process.env['VROUTER_COST_RUNS'] ?? 15);
const BURST = 100_000;
const SINGLES = 200;
const VNI = 700;
const OTHER = 701;
const PEER = '192.0.2.1';
const [A, B, FAR, ROUTER, POD, METERED] = [10, 11, 12, 13, 14, 15].map(
  (n) => `02:00:00:00:00:${n.toString(16).padStart(2, '0')}`,
) as [string, string, string, string, string, string];
const METERED_FLAGS = DEFAULT_FLAGS | CB_VIF_F_METER;
const [ALLOWING, DENYING] = [5, 6];
const EXTERNAL = 900;
const [GATEWAY, NEXT] = ['02:00:00:00:09:fe', '02:00:00:00:ee:01'] as const;

let world: World;
let a: Guest;
let denied: Guest;
let hidden: Guest;

before(() => {
  world = new World(8, 131_072);
  a = world.addGuest('a', { mac: A, ip: '10.0.0.1', vni: VNI, policy: ALLOWING, dhcpServer: '10.0.0.254' });
  world.addGuest('b', { mac: B, ip: '10.0.0.2', vni: VNI, policy: ALLOWING });
  denied = world.addGuest('denied', { mac: POD, ip: '10.0.0.3', vni: VNI, policy: DENYING });
  world.addGuest('behind', { mac: B, ip: '10.1.0.2', vni: OTHER });
  world.addRemote(VNI, '10.0.0.9', FAR, PEER);
  world.addPeer(PEER);
  world.addRouterInterface(1, { vni: VNI, cidr: '10.0.0.0/24', ip: '10.0.0.254', mac: ROUTER });
  world.addRouterInterface(1, { vni: OTHER, cidr: '10.1.0.0/24', ip: '10.1.0.254', mac: ROUTER });
  hidden = world.addGuest('hidden', { mac: FAR, ip: '10.1.0.3', vni: OTHER });
  addExternal(world, EXTERNAL);
  addGateway(world, {
    vrf: 1,
    external: EXTERNAL,
    mac: GATEWAY,
    ip: '203.0.113.2',
    cidr: '203.0.113.0/24',
    nexthop: '203.0.113.1',
  });
  addFloating(world, { external: EXTERNAL, ip: '203.0.113.10', guest: a, vrf: 1, mac: GATEWAY });
  world.arrive(arp({ src: NEXT, dst: GATEWAY }, { op: 'reply', sha: NEXT, spa: '203.0.113.1', tpa: '203.0.113.2' }));
  world.addServices(VNI, ['169.254.169.254'], 1);
  for (const direction of ['ingress', 'egress'] as const) world.addRule({ policy: ALLOWING, direction });
});

after(() => world.close());

const ab: Ipv4 = { src: A, dst: B, from: '10.0.0.1', to: '10.0.0.2' };
const ports = { sport: 1000, dport: 2000 };

function burst(
  name: 'from_vif' | 'from_tunnel',
  guest: Guest | { vni: number; from: string },
  frame: Uint8Array,
): number {
  return median(Array.from({ length: RUNS }, () => world.time(name, guest, frame, BURST)));
}

/** Frames that the program changes, or whose way it remembers: one run each, the middle of many. */
function singles(guest: Guest, frame: (n: number) => Uint8Array): number {
  return median(Array.from({ length: RUNS * SINGLES + 1 }, (_, n) => world.time('from_vif', guest, frame(n))));
}

test('an established packet', (t) => {
  const say = (what: string, ns: number): void => t.diagnostic(`${what}: ${ns} ns`);
  assert.equal(world.send(a, udp(ab, ports)).verdict, 'vif b');
  say('UDP to a guest of this host', burst('from_vif', a, udp(ab, ports)));
  assert.equal(world.send(a, tcp(ab, { ...ports, flags: TCP.syn })).verdict, 'vif b');
  say('TCP to a guest of this host', burst('from_vif', a, tcp(ab, { ...ports, flags: TCP.ack })));
  const away = { ...ab, dst: FAR, to: '10.0.0.9' };
  assert.equal(world.send(a, udp(away, ports)).verdict, `overlay ${VNI} ${PEER}`);
  say('UDP to another host', burst('from_vif', a, udp(away, ports)));
  const back = { src: FAR, dst: A, from: '10.0.0.9', to: '10.0.0.1' };
  assert.equal(world.receive({ vni: VNI, from: PEER }, udp(back, ports)).verdict, 'vif a');
  say('UDP from another host, and the tunnel set', burst('from_tunnel', { vni: VNI, from: PEER }, udp(back, ports)));
  const metered = world.addGuest('metered', { mac: METERED, ip: '10.0.0.4', vni: VNI, flags: METERED_FLAGS });
  for (const direction of ['in', 'out'] as const) {
    world.setMeter(metered, direction, {
      bytes: { costNs: 1, burst: 1e12 },
      packets: { costNs: 1, burst: 1e12 },
      dscp: 46,
    });
  }
  const limited = { ...ab, src: METERED, from: '10.0.0.4' };
  assert.equal(world.send(metered, udp(limited, ports)).verdict, 'vif b');
  say('UDP of a guest with limits of bytes and packets, and a DSCP', burst('from_vif', metered, udp(limited, ports)));
  const routed = { ...ab, dst: ROUTER, to: '10.1.0.2' };
  assert.equal(world.send(a, udp(routed, ports)).verdict, 'vif behind');
  say(
    'UDP routed, one run',
    singles(a, () => udp(routed, ports)),
  );
});

test('a packet that is decided', (t) => {
  const say = (what: string, ns: number): void => t.diagnostic(`${what}: ${ns} ns`);
  const syn = (n: number): Uint8Array => tcp(ab, { sport: 1024 + (n % 60_000), dport: 80, flags: TCP.syn });
  assert.equal(world.send(a, syn(0)).verdict, 'vif b');
  say('SYN, one run', singles(a, syn));
  world.raiseEpochs();
  const first = (n: number): Uint8Array => udp(ab, { sport: 1024 + (n % 60_000), dport: 53 });
  say('first UDP packet, one run', singles(a, first));
  const refused = udp({ ...ab, src: POD, from: '10.0.0.3' }, ports);
  assert.equal(world.send(denied, refused).verdict, 'drop policy_egress');
  say('UDP that the rules refuse', burst('from_vif', denied, refused));
  const spoofed = udp({ ...ab, from: '10.0.0.99' }, ports);
  assert.equal(world.send(a, spoofed).verdict, 'drop spoofed_ip');
  say('UDP from a foreign address', burst('from_vif', a, spoofed));
});

test('a packet to a Service, of ten and of ten thousand of ten endpoints each', (t) => {
  const scope = 77;
  const ipOf = (n: number): string => `10.96.${n >> 8}.${n & 255}`;
  addScope(world, 1, scope, ['10.96.0.0/16']);
  let made = 0;
  for (const services of [10, 10_000]) {
    for (; made < services; made++) {
      // All lead to one guest: only lists and rows grow.
      const places = Array.from({ length: 10 }, (_, n) => ({ ip: '10.0.0.2', port: 1024 + made + 6000 * n }));
      for (const protocol of [6, 17]) setService(world, { scope, ip: ipOf(made), protocol, port: 80 }, places);
    }
    const to = (n: number, of: number): Ipv4 => ({ ...ab, dst: ROUTER, to: ipOf((n * 7919) % of) });
    const syn = (n: number, of: number): Uint8Array =>
      tcp(to(n, of), { sport: 1024 + (n % 60_000), dport: 80, flags: TCP.syn });
    const first = (n: number): Uint8Array => udp(to(n, 10), { sport: 1024 + (n % 60_000), dport: 80 });
    world.forgetFlows();
    assert.equal(world.send(a, syn(0, 10)).verdict, 'vif b');
    t.diagnostic(`SYN to ten of ${services} Services, one run: ${singles(a, (n) => syn(n, 10))} ns`);
    world.forgetFlows();
    t.diagnostic(`SYN to any of ${services} Services, one run: ${singles(a, (n) => syn(n, services))} ns`);
    t.diagnostic(`first UDP packet to ten of ${services} Services, one run: ${singles(a, first)} ns`);
    t.diagnostic(`established UDP, ${services} Services, one run: ${singles(a, () => first(1))} ns`);
  }
});

test('a packet that is answered or handed to the agent', (t) => {
  const say = (what: string, ns: number): void => t.diagnostic(`${what}: ${ns} ns`);
  const request = arp({ src: A, dst: BROADCAST }, { op: 'request', sha: A, spa: '10.0.0.1', tpa: '10.0.0.2' });
  assert.equal(world.send(a, request).verdict, 'vif a');
  say(
    'ARP request, one run',
    singles(a, () => request),
  );
  const metadata = tcp({ ...ab, dst: SERVICE_MAC, to: '169.254.169.254' }, { ...ports, dport: 80, flags: TCP.syn });
  assert.equal(world.send(a, metadata).verdict, 'service');
  say(
    'SYN to the metadata service, one run',
    singles(a, () => metadata),
  );
  const dying = udp({ ...ab, dst: ROUTER, to: '10.1.0.2', ttl: 1 }, ports);
  assert.equal(world.send(a, dying).verdict, 'vif a (ttl_exceeded)');
  say(
    'TTL exceeded, one run',
    singles(a, () => dying),
  );
});

test('a packet that is translated', (t) => {
  const say = (what: string, ns: number): void => t.diagnostic(`${what}: ${ns} ns`);
  const out: Ipv4 = { ...ab, dst: ROUTER, to: '198.51.100.7' };
  assert.match(world.send(a, udp(out, ports)).packet, /ip 203\.0\.113\.10 > /);
  say(
    'UDP by a floating IP, one run',
    singles(a, () => udp(out, ports)),
  );
  const behind: Ipv4 = { src: FAR, dst: ROUTER, from: '10.1.0.3', to: '198.51.100.7' };
  assert.match(world.send(hidden, udp(behind, ports)).packet, /ip 203\.0\.113\.2 > /);
  say(
    "UDP by the router's address, one run",
    singles(hidden, () => udp(behind, ports)),
  );
  const first = (n: number): Uint8Array => udp(behind, { sport: 1024 + (n % 60_000), dport: 53 });
  say("first UDP packet by the router's address, one run", singles(hidden, first));
});

test('a packet that is encapsulated here, and one whose headers are taken off', (t) => {
  const [self, peer] = ['192.0.2.2', PEER];
  const own = new World(8, 131_072, { underlay: self });
  try {
    const guest = own.addGuest('a', { mac: A, ip: '10.0.0.1', ip6: '2001:db8::1', vni: VNI });
    own.addRemote(VNI, '10.0.0.9', FAR, peer);
    own.addRemote(VNI, '2001:db8::9', FAR, peer);
    own.addPeer(peer, undefined, CB_PEER_F_UPLINK);
    own.addHop(peer, { nexthop: peer });
    const outer: Ipv4 = { src: NEXT, dst: UPLINK_MAC, from: peer, to: self };
    for (const [family, from, to] of [
      ['IPv4', '10.0.0.1', '10.0.0.9'],
      ['IPv6', '2001:db8::1', '2001:db8::9'],
    ] as const) {
      const out: Ip = { src: A, dst: FAR, from, to };
      const back: Ip = { src: FAR, dst: A, from: to, to: from };
      assert.equal(own.send(guest, udp(out, ports)).verdict, `uplink ${VNI} ${peer}`);
      const came = vxlan(outer, { vni: VNI }, udp(back, { sport: 2000, dport: 1000 }));
      assert.equal(own.arrive(came).verdict, 'vif a');
      const once = (time: () => number): number => median(Array.from({ length: RUNS * SINGLES + 1 }, time));
      const sent = once(() => own.time('from_vif', guest, udp(out, ports)));
      const taken = once(() => own.time('from_uplink', 'uplink', came));
      t.diagnostic(`UDP over ${family} to another host, one run: ${sent} ns`);
      t.diagnostic(`UDP over ${family} from another host, one run: ${taken} ns`);
    }
  } finally {
    own.close();
  }
});
