/** The judge of frames, of what passes a router's gateway. Of the rest: `hostile.test.ts`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { arp, BROADCAST, type Ipv4, udp } from '../packet.ts';
import type { PacketStep } from './case.ts';
import type { Cloud, Gateway, Port } from './cloud.ts';
import { brokenInvariant } from './invariants.ts';
import type { Outcome } from './outcome.ts';

const A = '02:00:00:00:00:0a';
const B = '02:00:00:00:00:0b';
const C = '02:00:00:00:00:0c';
const GATEWAY = 'fa:16:3e:00:ee:01';
const OTHER_GATEWAY = 'fa:16:3e:00:ee:02';
const MACHINE = '02:00:00:00:ee:01';
const OWN = '203.0.113.2';
const FLOATING_OF_A = '203.0.113.10';
const FAR = '198.51.100.7';

const port = (name: string, network: string, mac: string, address: string): Port => ({
  ...{ name, network, mac, addresses: [address], host: undefined, kind: 'vm', adminUp: true, portSecurity: true },
  ...{ stateless: false, groups: [], pairs: [], programmed: true },
});
const gateway = (address: string, mac: string, more: Partial<Gateway>): Gateway => ({
  ...{ network: 'outside', cidr: '203.0.113.0/24', nextHop: '203.0.113.1', address, mac },
  ...{ floatingIps: [], forwards: [], ...more },
});

function cloudWith(snat: Gateway['snat']): Cloud {
  const networks = ['red', 'blue', 'alone', 'outside'].map((name) => ({
    ...{ name, mtuBytes: 1450, snooped: false, subnets: [{ cidr: '10.0.0.0/24', dhcp: true }] },
    ...(name === 'outside' ? { outside: {} } : {}),
  }));
  const leg = (network: string) => ({ network, cidr: '10.0.0.0/24', address: '10.0.0.254', mac: '02:00:00:00:00:fe' });
  const router = { routes: [], policies: [] };
  const own = gateway(OWN, GATEWAY, {
    floatingIps: [{ address: FLOATING_OF_A, port: 'a', fixed: '10.0.0.1' }],
    ...(snat === undefined ? {} : { snat }),
  });
  return {
    ...{ networks, groups: [], peerings: [], balancers: [], peers: [] },
    ports: [port('a', 'red', A, '10.0.0.1'), port('b', 'red', B, '10.0.0.2'), port('c', 'alone', C, '10.0.0.3')],
    routers: [
      { name: 'r', legs: [leg('red')], gateway: own, ...router },
      { name: 's', legs: [leg('blue')], gateway: gateway('203.0.113.3', OTHER_GATEWAY, { snat: RANGE }), ...router },
    ],
  };
}

const RANGE = { min: 1024, max: 65_535 };
const hidden = cloudWith(RANGE);
const open = cloudWith(undefined);
const ports = { sport: 1000, dport: 53 };
const raw = { kind: 'raw', hex: '' } as const;
const sent = (from: 'a' | 'b' | 'c'): PacketStep => ({ kind: 'send', port: from, packet: raw });
const arrived: PacketStep = { kind: 'arrive', network: 'outside', packet: raw };

const LEFT = { src: GATEWAY, dst: MACHINE, from: OWN, to: FAR };

/** What the port `of` sent, and left for outside as this. */
function outOf(cloud: Cloud, of: 'a' | 'b' | 'c', left: Ipv4): string | undefined {
  const { mac = '', addresses = [] } = cloud.ports.find(({ name }) => name === of) ?? {};
  const frame = udp({ src: mac, dst: '02:00:00:00:00:fe', from: addresses[0] ?? '', to: FAR }, ports);
  return brokenInvariant(cloud, sent(of), frame, { kind: 'wire', network: 'outside', frame: udp(left, ports) });
}

for (const [what, cloud, of, left, broken] of [
  ["a router's address", hidden, 'b', LEFT, undefined],
  ['its floating IP', hidden, 'a', { ...LEFT, from: FLOATING_OF_A }, undefined],
  [
    "another's floating IP",
    ...([hidden, 'b', { ...LEFT, from: FLOATING_OF_A }] as const),
    `it left for outside with the address ${FLOATING_OF_A}`,
  ],
  [
    'its own address, which is hidden',
    ...([hidden, 'b', { ...LEFT, from: '10.0.0.2' }] as const),
    'it left for outside with the address 10.0.0.2',
  ],
  ['its own address, which nothing hides', open, 'b', { ...LEFT, from: '10.0.0.2' }, undefined],
  [
    "another's address, which nothing hides",
    ...([open, 'b', { ...LEFT, from: '10.0.0.1' }] as const),
    'it left for outside with the address 10.0.0.1',
  ],
  ["another router's MAC", hidden, 'b', { ...LEFT, src: OTHER_GATEWAY }, 'it left for outside by no router of red'],
  ['the MAC of a router of others', hidden, 'c', LEFT, 'it left for outside by no router of alone'],
] as const) {
  test(`the judge of frames says of what leaves with ${what}: ${broken ?? 'nothing'}`, () => {
    assert.equal(outOf(cloud, of, left), broken);
  });
}

test('a question for a neighbour is judged by its own sender', () => {
  const frame = udp({ src: B, dst: '02:00:00:00:00:fe', from: '10.0.0.2', to: FAR }, ports);
  const asked = (spa: string): string | undefined =>
    brokenInvariant(hidden, sent('b'), frame, {
      ...{ kind: 'wire', network: 'outside', refusal: 'no_neighbour' },
      frame: arp({ src: GATEWAY, dst: BROADCAST }, { op: 'request', sha: GATEWAY, spa, tpa: '203.0.113.1' }),
    });
  assert.equal(asked(OWN), undefined);
  assert.equal(asked('10.0.0.2'), 'it left for outside with the address 10.0.0.2');
});

/** From a machine outside to an address, and what became of it. */
function into(cloud: Cloud, to: string, outcome: (frame: Buffer) => Outcome): string | undefined {
  const frame = udp({ src: MACHINE, dst: GATEWAY, from: FAR, to }, ports);
  return brokenInvariant(cloud, arrived, frame, outcome(frame));
}

const given =
  (name: string) =>
  (frame: Buffer): Outcome => ({ kind: 'port', port: name, handover: 'vif', frame });

test('what comes from outside comes by an address of ours, or to whom nothing hides', () => {
  assert.equal(into(hidden, FLOATING_OF_A, given('a')), undefined);
  assert.equal(into(hidden, '10.0.0.1', given('a')), 'it came by an address that is hidden');
  assert.equal(into(open, '10.0.0.1', given('a')), undefined);
  assert.equal(into(open, FLOATING_OF_A, given('c')), 'from outside it came to c, to which no router leads');
});

test('what comes from outside goes back there to its sender alone, and no group of outside is heard within', () => {
  const back = (dst: string) => (): Outcome => ({
    ...{ kind: 'wire', network: 'outside' },
    frame: udp({ ...LEFT, dst }, ports),
  });
  assert.equal(into(hidden, OWN, back(MACHINE)), undefined);
  assert.equal(into(hidden, OWN, back('02:00:00:00:ee:02')), 'what came from outside went there');
  const copies =
    (count: number) =>
    (frame: Buffer): Outcome => ({ kind: 'copies', count, frame });
  assert.equal(into(hidden, OWN, copies(0)), undefined);
  assert.equal(into(hidden, OWN, copies(1)), 'a group outside was heard within');
});
