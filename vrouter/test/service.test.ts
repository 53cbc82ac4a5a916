import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { BROADCAST, bootp, ICMP, type Ipv4, icmp, icmpError, ipv4, PROTO, TCP, tcp, udp } from './packet.ts';
import { AGENT_MAC, DEFAULT_FLAGS, type Guest, OPEN_FLAGS, POD_FLAGS, SERVICE_MAC, World } from './world.ts';

const VNI = 500;
const A = '02:00:00:00:00:0a';
const B = '02:00:00:00:00:0b';
const NO_DHCP = DEFAULT_FLAGS & ~8;

let world: World;
let a: Guest;
let b: Guest;
let open: Guest;

before(() => {
  world = new World();
  // Policy 1 has no rules: services do not depend on them.
  a = world.addGuest('a', { mac: A, ip: '10.0.0.5', vni: VNI, dhcpServer: '10.0.0.1', policy: 7 });
  b = world.addGuest('b', {
    mac: B,
    ip: '10.0.0.5',
    vni: VNI + 1,
    dhcpServer: '10.0.0.1',
    policy: 7,
    flags: POD_FLAGS,
  });
  open = world.addGuest('open', { mac: '02:00:00:00:00:0c', ip: '10.0.0.7', vni: VNI, flags: OPEN_FLAGS });
  world.addServices(VNI, ['10.0.0.1', '169.254.169.254']);
});

after(() => world.close());

beforeEach(() => {
  world.forgetFlows();
  world.fillBuckets();
});

const dhcp = { sport: 68, dport: 67, payload: Buffer.alloc(300, 5) };
const discover: Ipv4 = { src: A, dst: BROADCAST, from: '0.0.0.0', to: '255.255.255.255' };
const renew: Ipv4 = { src: A, dst: SERVICE_MAC, from: '10.0.0.5', to: '10.0.0.1' };
const metadata: Ipv4 = { src: A, dst: SERVICE_MAC, from: '10.0.0.5', to: '169.254.169.254' };
const http = { sport: 40000, dport: 80, flags: TCP.syn };
const dns = { sport: 40000, dport: 53, payload: Buffer.alloc(30, 5) };
const toAgent = (guest: Guest): string => `${SERVICE_MAC} > ${AGENT_MAC} ip ${guest.service} > 198.18.0.1 ttl 64`;

for (const [what, frame, payload] of [
  ['a DHCP broadcast without an address', udp(discover, dhcp), 'udp 68 > 67'],
  ['a DHCP broadcast without a UDP checksum', udp(discover, { ...dhcp, noChecksum: true }), 'udp 68 > 67 no checksum'],
  ['a DHCP renewal to the server', udp(renew, dhcp), 'udp 68 > 67'],
  ['a DHCP renewal of an address that the port lost', udp({ ...renew, from: '10.0.0.9' }, dhcp), 'udp 68 > 67'],
  [
    'a DHCP renewal of one, to the server of its subnet',
    udp({ ...renew, from: '10.7.0.9', to: '10.7.0.1' }, dhcp),
    'udp 68 > 67',
  ],
  ['a DHCP broadcast with an address that the port lost', udp({ ...discover, from: '10.0.0.9' }, dhcp), 'udp 68 > 67'],
  ['a metadata request', tcp(metadata, http), 'tcp 40000 > 80'],
  ['a DNS question', udp(metadata, dns), 'udp 40000 > 53'],
  ['a DNS question over TCP', tcp(metadata, { ...http, dport: 53 }), 'tcp 40000 > 53'],
  [
    'a metadata segment with data',
    tcp(metadata, { ...http, flags: 24, payload: Buffer.from('GET /') }),
    'tcp 40000 > 80',
  ],
] as const) {
  test(`${what} goes to the agent from the service address, with right checksums`, () => {
    const out = world.send(a, frame);
    assert.equal(out.verdict, 'service');
    assert.equal(out.packet, `${toAgent(a)} ${payload}`);
    assert.equal(out.data.length, frame.length);
  });
}

test('guests with the same address are told apart by their service address', () => {
  const out = world.send(b, tcp({ ...metadata, src: B }, http));
  assert.equal(out.packet, `${toAgent(b)} tcp 40000 > 80`);
  assert.notEqual(a.service, b.service);
});

for (const [what, frame, verdict] of [
  ['DHCP from a false MAC', udp({ ...discover, src: B }, dhcp), 'drop spoofed_mac'],
  ['DHCP from a false MAC and address', udp({ ...renew, src: B, from: '10.0.0.9' }, dhcp), 'drop spoofed_mac'],
  [
    'DHCP from a false address and port',
    udp({ ...renew, from: '10.0.0.9', to: '10.7.0.1' }, { ...dhcp, sport: 69 }),
    'drop spoofed_ip',
  ],
  [
    'an answer of a DHCP server from a false address',
    udp({ ...renew, from: '10.0.0.9' }, { ...dhcp, sport: 67, dport: 68 }),
    'drop spoofed_ip',
  ],
  ['DHCP from its own address to a server elsewhere', udp({ ...renew, to: '10.7.0.1' }, dhcp), 'drop no_router'],
  ['an answer of a DHCP server', udp(discover, { ...dhcp, sport: 67, dport: 68 }), 'drop port_disabled_dhcp'],
  ['an answer of one from another port', udp(discover, { ...dhcp, sport: 1067, dport: 68 }), 'drop port_disabled_dhcp'],
  ['a fragment of DHCP', udp({ ...discover, moreFragments: true, id: 3 }, dhcp), 'drop service'],
  ['metadata from an address that is not the first', tcp({ ...metadata, from: '10.0.0.6' }, http), 'drop service'],
  ['DHCP with IP options', udp({ ...discover, options: 4 }, dhcp), 'drop service'],
  ['metadata with IP options', tcp({ ...metadata, options: 4 }, http), 'drop service'],
  ['DNS from an address that is not the first', udp({ ...metadata, from: '10.0.0.6' }, dns), 'drop service'],
  ['DNS from a false address', udp({ ...metadata, from: '10.0.0.9' }, dns), 'drop spoofed_ip'],
  ['DNS from a false MAC', udp({ ...metadata, src: B }, dns), 'drop spoofed_mac'],
  ['a fragment of DNS', udp({ ...metadata, moreFragments: true, id: 3 }, dns), 'drop service'],
  [
    'SCTP to the port of DNS',
    ipv4(metadata, PROTO.sctp, Buffer.from('9c400035000000000000000000', 'hex')),
    'drop service',
  ],
  ['HTTPS to the metadata address', tcp(metadata, { ...http, dport: 443 }), 'drop service'],
  ['UDP to the metadata address', udp(metadata, { sport: 1, dport: 80 }), 'drop service'],
  ['ping to the metadata address', icmp(metadata, { type: ICMP.echo }), 'drop service'],
  [
    'an address like the agent’s, which is an ordinary one here',
    tcp({ ...metadata, to: '198.18.0.1' }, http),
    'drop no_router',
  ],
  ['an address like a service address', udp({ ...metadata, to: '198.19.255.254' }, dhcp), 'drop no_router'],
] as const) {
  test(`${what}: ${verdict}`, () => {
    world.allowSource(a, A, '10.0.0.6');
    assert.equal(world.send(a, frame).verdict, verdict);
  });
}

test('an ICMP error about a DHCP answer is not DHCP', () => {
  const offer: Ipv4 = { src: SERVICE_MAC, dst: A, from: '10.0.0.1', to: '10.0.0.5' };
  const error = icmpError(renew, { type: ICMP.unreachable, code: 3 }, udp(offer, { sport: 67, dport: 68 }));
  assert.equal(world.send(a, error).verdict, 'drop no_router');
});

test('an ICMP error of the host on the service link goes to no guest', () => {
  const request: Ipv4 = { src: A, dst: A, from: a.service, to: '198.18.0.1' };
  const error = icmpError(
    fromAgent(a.service),
    { type: ICMP.unreachable, code: 3 },
    udp(request, { sport: 68, dport: 67 }),
  );
  assert.equal(world.serve(error).verdict, 'drop service');
});

test('addresses next to the service net are ordinary', () => {
  for (const to of ['198.17.255.255', '198.20.0.0'])
    assert.equal(world.send(a, tcp({ ...metadata, to }, http)).verdict, 'drop no_router');
});

test('with DHCP on, nothing of a guest goes to a client’s port, whatever it comes from', () => {
  const toClient: Ipv4 = { ...discover, from: '10.0.0.5' };
  for (const sport of [67, 1067]) {
    assert.equal(world.send(a, udp(toClient, { sport, dport: 68 })).verdict, 'drop port_disabled_dhcp');
  }
});

test('in a network without DHCP the guests have their own: client, server, and answers', () => {
  const vni = VNI + 7;
  world.turnDhcpOff(vni);
  const client = world.addGuest('client', { mac: '02:00:00:00:00:41', ip: '10.7.0.5', vni, flags: NO_DHCP });
  const server = world.addGuest('server', { mac: '02:00:00:00:00:42', ip: '10.7.0.1', vni, flags: NO_DHCP });
  world.setFlood(vni, [{ guest: client }, { guest: server }]);
  const asks: Ipv4 = { ...discover, src: client.mac };
  assert.equal(world.send(client, udp(asks, dhcp)).verdict, 'flood 1 copies');
  assert.equal(world.send(client, udp({ ...asks, src: server.mac }, dhcp)).verdict, 'drop spoofed_mac');
  assert.equal(world.send(client, udp(asks, { sport: 1068, dport: 67 })).verdict, 'drop spoofed_ip');
  assert.equal(world.send(client, udp({ ...asks, to: '10.7.0.9' }, dhcp)).verdict, 'drop spoofed_ip');
  const offer: Ipv4 = { src: server.mac, dst: client.mac, from: '10.7.0.1', to: '10.7.0.5' };
  assert.equal(world.send(server, udp(offer, { sport: 67, dport: 68 })).verdict, 'vif client');
});

test('without DHCP in its subnets a guest may run its own between guests', () => {
  world.setVif(a, { mac: A, ip: '10.0.0.5', vni: VNI, flags: NO_DHCP });
  world.setFlood(VNI, [{ guest: a }, { guest: open }]);
  assert.equal(world.send(a, udp({ ...discover, from: '10.0.0.5' }, dhcp)).verdict, 'flood 1 copies');
  world.setVif(a, { mac: A, ip: '10.0.0.5', vni: VNI, dhcpServer: '10.0.0.1', policy: 7 });
  const server: Ipv4 = { src: open.mac, dst: A, from: '10.0.0.7', to: '10.0.0.5' };
  world.addRule({ policy: 7, direction: 'ingress', protocol: 17 });
  assert.equal(world.send(open, udp(server, { sport: 67, dport: 68 })).verdict, 'vif a', 'port security is off');
  world.removeRule({ policy: 7, direction: 'ingress', protocol: 17 });
});

const fromAgent = (service: string): Ipv4 => ({
  src: '02:00:00:00:ca:b0',
  dst: '02:00:00:00:ca:b1',
  from: '198.18.0.1',
  to: service,
});

for (const [what, fields, dst, to] of [
  ['to a client with an address goes to it', { ciaddr: '10.0.0.5' }, A, '10.0.0.5'],
  ['to a client without one goes to all, on its MAC', {}, A, '255.255.255.255'],
  ['to a client that asked for broadcast goes to all', { broadcast: true }, BROADCAST, '255.255.255.255'],
  [
    'to a client with an address is unicast even if it asked for broadcast',
    { ciaddr: '10.0.0.5', broadcast: true },
    A,
    '10.0.0.5',
  ],
] as const) {
  test(`a DHCP answer ${what}`, () => {
    for (const noChecksum of [false, true]) {
      const frame = udp(fromAgent(a.service), { sport: 67, dport: 68, payload: bootp(fields), noChecksum });
      const out = world.serve(frame);
      assert.equal(out.verdict, 'vif a');
      const note = noChecksum ? ' no checksum' : '';
      assert.equal(out.packet, `${SERVICE_MAC} > ${dst} ip 10.0.0.1 > ${to} ttl 64 udp 67 > 68${note}`);
    }
  });
}

test('a DNS answer comes from 169.254.169.254', () => {
  const from = `${SERVICE_MAC} > ${B} ip 169.254.169.254 > 10.0.0.5 ttl 64`;
  const answer = world.serve(udp(fromAgent(b.service), { sport: 53, dport: 40000, payload: Buffer.from('odd') }));
  assert.deepEqual([answer.verdict, answer.packet], ['peer b', `${from} udp 53 > 40000`]);
  const segment = world.serve(tcp(fromAgent(b.service), { sport: 53, dport: 40000, flags: 18 }));
  assert.deepEqual([segment.verdict, segment.packet], ['peer b', `${from} tcp 53 > 40000`]);
});

test('DNS of a cluster is at 169.254.20.10 for who reaches one, and its answer comes from there', () => {
  const pod = world.addGuest('pod', {
    mac: '02:00:00:00:00:0d',
    ip: '10.0.0.8',
    vni: VNI,
    flags: DEFAULT_FLAGS | 0x4000,
  });
  const service = pod.service.replace(/\d+$/, (last) => String(Number(last) + 1));
  const asks: Ipv4 = { src: '02:00:00:00:00:0d', dst: SERVICE_MAC, from: '10.0.0.8', to: '169.254.20.10' };
  const question = world.send(pod, udp(asks, dns));
  assert.deepEqual(
    [question.verdict, question.packet],
    ['service', `${SERVICE_MAC} > ${AGENT_MAC} ip ${service} > 198.18.0.1 ttl 64 udp 40000 > 53`],
  );
  assert.equal(world.send(pod, tcp(asks, { ...http, dport: 53 })).verdict, 'service');
  assert.equal(world.send(pod, tcp(asks, http)).verdict, 'drop service', 'there is no metadata');
  assert.notEqual(world.send(pod, udp({ ...asks, from: '10.0.0.9' }, dns)).verdict, 'service', 'not of another');
  const answer = world.serve(udp(fromAgent(service), { sport: 53, dport: 40000, payload: Buffer.from('odd') }));
  assert.equal(answer.verdict, 'vif pod');
  assert.match(answer.packet ?? '', / ip 169\.254\.20\.10 > 10\.0\.0\.8 ttl 64 udp 53 > 40000$/);
  assert.equal(world.serve(tcp(fromAgent(service), { sport: 80, dport: 40000, flags: 18 })).verdict, 'drop service');
  const beyond = pod.service.replace(/\d+$/, (last) => String(Number(last) + 2));
  assert.equal(world.serve(udp(fromAgent(beyond), { sport: 53, dport: 40000 })).verdict, 'drop service');
  assert.equal(
    world.send(a, udp({ ...asks, src: A, from: '10.0.0.5' }, dns)).verdict,
    'drop no_router',
    'to others it is an address as any',
  );
});

test('a DNS question to another server is an ordinary packet', () => {
  assert.equal(world.send(a, udp({ ...metadata, to: '10.0.0.1' }, dns)).verdict, 'drop no_router');
});

test('a metadata answer comes from 169.254.169.254', () => {
  const out = world.serve(
    tcp(fromAgent(b.service), { sport: 80, dport: 40000, flags: 18, payload: Buffer.from('odd') }),
  );
  assert.equal(out.verdict, 'peer b');
  assert.equal(out.packet, `${SERVICE_MAC} > ${B} ip 169.254.169.254 > 10.0.0.5 ttl 64 tcp 80 > 40000`);
});

for (const [what, frame, verdict] of [
  ['from another port', udp(fromAgent('198.18.0.16'), { sport: 54, dport: 68 }), 'drop service'],
  [
    'from another address',
    udp({ ...fromAgent('198.18.0.16'), from: '198.18.0.9' }, { sport: 67, dport: 68 }),
    'drop service',
  ],
  ['to an address without a guest', udp(fromAgent('198.18.7.0'), { sport: 67, dport: 68 }), 'drop service'],
  [
    'to an address outside of the service net',
    udp({ ...fromAgent('198.18.0.16'), to: '10.0.0.5' }, { sport: 67, dport: 68 }),
    'drop service',
  ],
  [
    'too short to be DHCP',
    udp(fromAgent('198.18.0.16'), { sport: 67, dport: 68, payload: Buffer.alloc(12) }),
    'drop malformed',
  ],
] as const) {
  test(`a packet of the host on the service link ${what}: ${verdict}`, () => {
    assert.equal(world.serve(frame).verdict, verdict);
  });
}

/** How many of so many frames, sent at once, reach the agent. Meanwhile tokens come back: one every 5 ms. */
function passedOf(
  frame: Uint8Array,
  frames: number,
): { readonly passed: number; readonly refused: number; readonly ms: number } {
  const began = performance.now();
  const verdicts = Array.from({ length: frames }, () => world.send(a, frame).verdict);
  const ms = performance.now() - began;
  const passed = verdicts.filter((verdict) => verdict === 'service').length;
  return { passed, refused: verdicts.filter((verdict) => verdict === 'drop rate_service').length, ms };
}

const REFUSALS = 24;

for (const [what, frame, cost] of [
  ['DISCOVERs', udp(discover, dhcp), 1],
  ['SYNs to the metadata address', tcp(metadata, http), 10],
  ['segments of a connection', tcp(metadata, { ...http, flags: TCP.ack }), 1],
] as const) {
  test(`a burst of ${what} passes as far as the bucket reaches, and takes nothing from another guest`, () => {
    const before = world.stat(a).drops[REFUSALS] ?? 0n;
    const burst = 400 / cost;
    const { passed, refused, ms } = passedOf(frame, burst * 3);
    const cameBack = (ms * 0.2) / cost;
    assert.ok(passed >= burst && passed <= burst + cameBack + 1, `${passed} of ${burst} in ${ms} ms`);
    assert.equal(passed + refused, burst * 3);
    assert.equal((world.stat(a).drops[REFUSALS] ?? 0n) - before, BigInt(refused));
    assert.equal(world.send(b, udp({ ...discover, src: B }, dhcp)).verdict, 'service');
  });
}

test('what is refused for another reason costs nothing', () => {
  for (let i = 0; i < 1_000; i += 1) world.send(a, udp({ ...discover, src: B }, dhcp));
  for (let i = 0; i < 400; i += 1) assert.equal(world.send(a, udp(discover, dhcp)).verdict, 'service');
});

test('the bucket fills up again, by 200 a second', async () => {
  let before: number;
  do before = performance.now();
  while (world.send(a, udp(discover, dhcp)).verdict === 'service');
  // It was empty at a time between these two.
  const emptied = performance.now();
  await delay(250);
  const waited = performance.now() - emptied;
  const { passed } = passedOf(udp(discover, dhcp), 400);
  const least = Math.min(400, Math.floor(waited * 0.2));
  const most = (performance.now() - before) * 0.2 + 1;
  assert.ok(passed >= least && passed <= most, `${passed} in ${waited} ms and more`);
});

test('what passes a network that is none of the agent is not metered', () => {
  passedOf(udp(discover, dhcp), 500);
  world.setVif(a, { mac: A, ip: '10.0.0.5', vni: VNI, dhcpServer: '10.0.0.1' });
  for (let i = 0; i < 10; i += 1) {
    assert.equal(
      world.send(a, udp({ src: A, dst: open.mac, from: '10.0.0.5', to: open.ip }, { sport: 5, dport: 67 })).verdict,
      'vif open',
    );
  }
});

test('services stop for a port whose admin state is down', () => {
  world.setVif(a, { mac: A, ip: '10.0.0.5', vni: VNI, dhcpServer: '10.0.0.1', flags: DEFAULT_FLAGS & ~4 });
  assert.equal(world.send(a, udp(discover, dhcp)).verdict, 'drop admin_down');
  const frame = udp(fromAgent(a.service), { sport: 67, dport: 68, payload: bootp({}) });
  assert.equal(world.serve(frame).verdict, 'drop admin_down');
});

test("a later fragment of the host does not take the ports of another host's fragment", () => {
  const ends = { ...fromAgent(a.service), id: 9 };
  const first = udp(
    { ...ends, dst: open.mac, moreFragments: true },
    { sport: 67, dport: 68, payload: Buffer.alloc(16) },
  );
  world.addPeer('192.0.2.1');
  assert.equal(world.receive({ vni: VNI, from: '192.0.2.1' }, first).verdict, 'vif open');
  const later = ipv4({ ...ends, fragmentOffset: 24 }, PROTO.udp, Buffer.alloc(8));
  assert.equal(world.serve(later).verdict, 'drop fragment');
});
