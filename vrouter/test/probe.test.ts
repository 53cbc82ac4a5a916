import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { icmp6Error } from './icmp6.ts';
import { checksum, ICMP, type Ipv4, icmp, icmpError, ipBytes, TCP, tcp, udp } from './packet.ts';
import { AGENT_MAC, type Guest, POD_FLAGS, SERVICE_MAC, World } from './world.ts';

const VNI = 500;
const A = '02:00:00:00:00:0a';
const B = '02:00:00:00:00:0b';

let world: World;
let a: Guest;
let b: Guest;

before(() => {
  world = new World();
  // Policy 7 has no rules: probes do not depend on them.
  a = world.addGuest('a', { mac: A, ip: '10.0.0.5', vni: VNI, dhcpServer: '10.0.0.1', policy: 7 });
  b = world.addGuest('b', {
    mac: B,
    ip: '10.0.0.5',
    vni: VNI + 1,
    dhcpServer: '10.0.0.1',
    policy: 7,
    flags: POD_FLAGS,
  });
  world.addServices(VNI, ['10.0.0.1', '169.254.169.254']);
});

after(() => world.close());

beforeEach(() => world.fillBuckets());

const toAgent = (guest: Guest): string => `${SERVICE_MAC} > ${AGENT_MAC} ip ${guest.service} > 198.18.0.1 ttl 64`;
const fromAgent = (service: string): Ipv4 => ({
  src: '02:00:00:00:ca:b0',
  dst: '02:00:00:00:ca:b1',
  from: '198.18.0.1',
  to: service,
});
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const metadata = { sport: 40000, dport: 80, flags: TCP.ack };
const SERVICES6 = 'fe80::a9fe:a9fe';
const probeMetadata: Ipv4 = { src: A, dst: SERVICE_MAC, from: '10.0.0.5', to: '169.254.169.254' };
const PROBE_PORT = 50_000;

for (const [what, frame, payload] of [
  ['a SYN', tcp(fromAgent('198.18.0.32'), { sport: PROBE_PORT, dport: 8080, flags: TCP.syn }), 'tcp 50000 > 8080'],
  ['a datagram', udp(fromAgent('198.18.0.32'), { sport: PROBE_PORT, dport: 53 }), 'udp 50000 > 53'],
  ['an echo request', icmp(fromAgent('198.18.0.32'), { type: ICMP.echo }), 'icmp 8/0'],
] as const) {
  test(`a probe, ${what}, comes to the guest from 169.254.169.254`, () => {
    assert.equal(b.service, '198.18.0.32');
    const out = world.serve(frame);
    assert.equal(out.verdict, 'peer b');
    assert.ok(
      out.packet.startsWith(`${SERVICE_MAC} > ${B} ip 169.254.169.254 > 10.0.0.5 ttl 64 ${payload}`),
      out.packet,
    );
  });
}

test('a probe from another port than probes have goes to no guest', () => {
  const frame = tcp(fromAgent(b.service), { sport: PROBE_PORT - 1000, dport: 8080, flags: TCP.syn });
  assert.equal(world.serve(frame).verdict, 'drop service');
});

for (const [what, frame, payload] of [
  [
    'that it listens',
    tcp(probeMetadata, { sport: 8080, dport: PROBE_PORT, flags: TCP.syn | TCP.ack }),
    'tcp 8080 > 50000',
  ],
  [
    'that it does not',
    tcp(probeMetadata, { sport: 8080, dport: PROBE_PORT, flags: TCP.rst | TCP.ack }),
    'tcp 8080 > 50000',
  ],
  ['a datagram', udp(probeMetadata, { sport: 53, dport: PROBE_PORT }), 'udp 53 > 50000'],
  ['an echo', icmp(probeMetadata, { type: ICMP.echoReply }), 'icmp 0/0'],
  [
    'that nobody hears a datagram',
    icmpError(
      probeMetadata,
      { type: ICMP.unreachable, code: 3 },
      udp({ src: SERVICE_MAC, dst: A, from: '169.254.169.254', to: '10.0.0.5' }, { sport: PROBE_PORT, dport: 53 }),
    ),
    `icmp 3/3`,
  ],
] as const) {
  test(`what a guest answers to a probe, ${what}, goes to the agent from the service address`, () => {
    const out = world.send(a, frame);
    assert.equal(out.verdict, 'service');
    assert.ok(out.packet.startsWith(`${toAgent(a)} ${payload}`), out.packet);
  });
}

test('an error about a probe quotes the probe as the agent sent it', () => {
  const sent = udp(
    { src: SERVICE_MAC, dst: A, from: '169.254.169.254', to: '10.0.0.5' },
    { sport: PROBE_PORT, dport: 53 },
  );
  const out = world.send(a, icmpError(probeMetadata, { type: ICMP.unreachable, code: 3 }, sent));
  const quoted = out.data.subarray(14 + 20 + 8, 14 + 20 + 8 + 20);
  assert.equal([...quoted.subarray(12, 16)].join('.'), '198.18.0.1');
  assert.equal([...quoted.subarray(16, 20)].join('.'), a.service);
  assert.equal(checksum(quoted), 0, 'the quoted header has a right checksum');
});

for (const [what, frame] of [
  ['begin a connection', tcp(probeMetadata, { sport: 8080, dport: PROBE_PORT, flags: TCP.syn })],
  ['answer to another port', tcp(probeMetadata, { sport: 8080, dport: 40_000, flags: TCP.syn | TCP.ack })],
  [
    'answer from another address',
    tcp({ ...probeMetadata, from: '10.0.0.6' }, { sport: 1, dport: PROBE_PORT, flags: TCP.ack }),
  ],
  ['ask for an echo', icmp(probeMetadata, { type: ICMP.echo })],
  ['answer in fragments', udp({ ...probeMetadata, moreFragments: true, id: 3 }, { sport: 1, dport: PROBE_PORT })],
  ['answer with IP options', udp({ ...probeMetadata, options: 4 }, { sport: 1, dport: PROBE_PORT })],
  [
    'tell the agent of another way',
    icmpError(
      probeMetadata,
      { type: ICMP.redirect, code: 1 },
      udp({ src: SERVICE_MAC, dst: A, from: '169.254.169.254', to: '10.0.0.5' }, { sport: PROBE_PORT, dport: 53 }),
    ),
  ],
] as const) {
  test(`a guest may not ${what} as if it was probed`, () => {
    world.allowSource(a, A, '10.0.0.6');
    assert.equal(world.send(a, frame).verdict, 'drop service');
  });
}

test('a guest cannot answer for another', () => {
  const forged = { ...probeMetadata, from: '10.0.0.9' };
  const out = world.send(a, tcp(forged, { sport: 8080, dport: PROBE_PORT, flags: TCP.syn | TCP.ack }));
  assert.match(out.verdict, /^drop/);
  const own = world.send(
    b,
    tcp({ ...probeMetadata, src: B }, { sport: 8080, dport: PROBE_PORT, flags: TCP.syn | TCP.ack }),
  );
  assert.ok(own.packet.includes(`ip ${b.service} >`), 'equal addresses are told apart');
});

test('answers to probes and what a guest asks the agent have buckets of their own', () => {
  const answer = tcp(probeMetadata, { sport: 8080, dport: PROBE_PORT, flags: TCP.ack });
  let [passed, verdict] = [0, 'service'];
  while (verdict === 'service' && passed < 100_000) {
    verdict = world.send(a, answer).verdict;
    passed += 1;
  }
  assert.ok(passed > 2000, `${passed}`);
  assert.equal(verdict, 'drop rate_service');
  const asked = tcp(probeMetadata, metadata);
  assert.equal(world.send(a, asked).verdict, 'service');
  while (world.send(a, asked).verdict === 'service');
  world.fillBuckets();
  while (world.send(a, asked).verdict === 'service');
  assert.equal(world.send(a, answer).verdict, 'service');
});

test('probes pass in IPv6, from the link-local address of the services', () => {
  const v6 = world.addGuest('six', { mac: '02:00:00:00:00:46', ip: '10.0.0.46', ip6: 'fd00::5', vni: VNI, policy: 7 });
  const service6 = `fdca:b1e0::${(v6.vif * 16).toString(16)}`;
  const down = { src: '02:00:00:00:ca:b0', dst: '02:00:00:00:ca:b1', from: 'fdca:b1e0::1', to: service6 };
  const probe = tcp(down, { sport: PROBE_PORT, dport: 8080, flags: TCP.syn });
  const came = world.serve(probe);
  assert.equal(came.verdict, 'vif six');
  assert.ok(came.packet.includes(`${SERVICES6} > fd00::5`), came.packet);
  assert.equal(
    world.serve(tcp({ ...down, to: `${service6.slice(0, -1)}f` }, { sport: PROBE_PORT, dport: 1, flags: TCP.syn }))
      .verdict,
    'drop service',
  );
  const up = { src: v6.mac, dst: SERVICE_MAC, from: 'fd00::5', to: SERVICES6 };
  const answered = world.send(v6, tcp(up, { sport: 8080, dport: PROBE_PORT, flags: TCP.syn | TCP.ack }));
  assert.equal(answered.verdict, 'service');
  assert.ok(answered.packet.includes(`${service6} > fdca:b1e0::1`), answered.packet);
  const sent = udp({ src: SERVICE_MAC, dst: v6.mac, from: SERVICES6, to: 'fd00::5' }, { sport: PROBE_PORT, dport: 53 });
  const refused = world.send(v6, icmp6Error(up, { type: 1, code: 4 }, sent));
  assert.equal(refused.verdict, 'service');
  const quoted = refused.data.subarray(14 + 40 + 8);
  assert.equal(hex(quoted.subarray(8, 24)), hex(ipBytes('fdca:b1e0::1')));
  assert.equal(hex(quoted.subarray(24, 40)), hex(ipBytes(service6)));
  assert.equal(world.send(v6, tcp(up, { sport: 8080, dport: PROBE_PORT, flags: TCP.syn })).verdict, 'drop service');
});
