/** Frames that nobody should send. More of them: `npm run fuzz:vrouter -- --frames`. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ofAll } from '@cable/kit/testing';
import { arp, BROADCAST, type Ipv4, udp } from '../packet.ts';
import type { Cloud } from './cloud.ts';
import { drawFrames } from './draw-frames.ts';
import { brokenInvariant } from './invariants.ts';
import { assertReached } from './reached.ts';
import { Rig } from './rig.ts';
import { findDifference } from './search.ts';

const ALL_CASES = 800;
const CASES = ofAll(200, ALL_CASES);

let rig: Rig;

before(() => {
  rig = new Rig();
});

after(() => rig.close());

/** What must have come so often at the least, or the frames are too wild, or too tame. */
const REACHED = {
  port: 200,
  host: 50,
  copies: 100,
  agent: 100,
  'drop malformed': 1000,
  'drop unsupported_ethertype': 1000,
  'drop spoofed_ip': 200,
  'drop spoofed_mac': 100,
  'drop spoofed_arp': 50,
  'drop invalid_state': 50,
  'drop fragment': 20,
};

test('whatever guests, hosts and the agent send, it ends as promised, passes no false source and crosses to no other tenant', (t) => {
  const { text, packets, outcomes } = findDifference(rig, { seed: 1, cases: CASES, draw: drawFrames });
  assert.equal(text, undefined, text);
  t.diagnostic(`${packets} frames; ${outcomes}`);
  assertReached(outcomes, REACHED, CASES / ALL_CASES);
});

const A = '02:00:00:00:00:0a';
const B = '02:00:00:00:00:0b';
const cloud: Cloud = {
  networks: ['red', 'other'].map((name) => ({
    name,
    mtuBytes: 1450,
    snooped: true,
    subnets: [{ cidr: '10.0.0.0/24', dhcp: true }],
  })),
  routers: [],
  peerings: [],
  balancers: [],
  groups: [],
  ports: [
    { name: 'a', network: 'red', mac: A, addresses: ['10.0.0.1'], pairs: [{ mac: B, cidr: '10.0.0.64/26' }] },
    { name: 'b', network: 'other', mac: B, addresses: ['10.0.0.2'], pairs: [] },
  ].map((port) => ({
    ...port,
    ...{
      host: undefined,
      kind: 'vm',
      adminUp: true,
      portSecurity: true,
      stateless: false,
      groups: [],
      programmed: true,
    },
  })),
  peers: ['h1'],
};
const own: Ipv4 = { src: A, dst: B, from: '10.0.0.1', to: '10.0.0.2' };
const ports = { sport: 68, dport: 67 };
const probe = (sha: string, spa: string): Buffer =>
  arp({ src: A, dst: BROADCAST }, { op: 'request', sha, spa, tpa: '10.0.0.2' });
const packet = { kind: 'raw', hex: '' } as const;

for (const [what, frame, port, broken] of [
  ['its own addresses', udp(own, ports), 'a', undefined],
  ['an allowed pair', udp({ ...own, src: B, from: '10.0.0.127' }, ports), 'a', undefined],
  [
    'the address after the pair',
    udp({ ...own, src: B, from: '10.0.0.128' }, ports),
    'a',
    "a source that is not a's passed",
  ],
  ['another address', udp({ ...own, from: '10.0.0.9' }, ports), 'a', "a source that is not a's passed"],
  [
    'its own addresses, to another tenant',
    udp(own, ports),
    'b',
    'from network red it came to other, to which no router leads',
  ],
  ['ARP of its own', probe(A, '10.0.0.1'), 'a', undefined],
  ['a probe', probe(A, '0.0.0.0'), 'a', undefined],
  ['ARP for another', probe(A, '10.0.0.2'), 'a', "a source that is not a's passed"],
  ['ARP with another MAC inside', probe(B, '10.0.0.1'), 'a', "a source that is not a's passed"],
] as const) {
  test(`the judge of frames says of ${what}: ${broken ?? 'nothing'}`, () => {
    const outcome = { kind: 'port', port, handover: 'vif', frame } as const;
    assert.equal(brokenInvariant(cloud, { kind: 'send', port: 'a', packet }, frame, outcome), broken);
  });
}

test('the judge of frames knows that DHCP is asked from an address that was lost, and of whom the agent must take it', () => {
  const frame = udp({ ...own, from: '10.0.0.9' }, ports);
  const step = { kind: 'send', port: 'a', packet } as const;
  assert.equal(brokenInvariant(cloud, step, frame, { kind: 'agent', port: 'a', frame }), undefined);
  assert.equal(brokenInvariant(cloud, step, frame, { kind: 'agent', port: 'b', frame }), 'the agent took a for b');
});

test('the judge of frames knows hosts', () => {
  const frame = udp(own, ports);
  const from = (host: string | undefined, port: string): string | undefined =>
    brokenInvariant(cloud, { kind: 'receive', tunnel: { network: 'red', from: host }, packet }, frame, {
      ...{ kind: 'port', port, handover: 'vif', frame },
    });
  assert.equal(from('h1', 'a'), undefined);
  assert.equal(from('h1', 'b'), 'from network red it came to other');
  assert.equal(from('h2', 'a'), 'what is from no peer passed');
  assert.equal(from(undefined, 'a'), 'what is from no peer passed');
});
