import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cidrContains, type GroupMember, type PolicyRule, parseIp, parseIpOrCidr } from '@cable/model';
import { MAPS } from '../bpf/abi.gen.ts';
import { textBytes } from '../bpf/codec.ts';
import { parseAddress } from './address.ts';
import type { Planner } from './planner.ts';
import { MAX_POLICY_RULES } from './policies.ts';
import { createPlanBed, plannedBed } from './testing/plan-bed.ts';
import { createRandom } from './testing/random.ts';
import {
  type SampleSlice,
  sampleGroup,
  sampleHost,
  sampleId,
  sampleNetwork,
  samplePolicy,
  samplePort,
  sampleRouter,
  sampleRule,
} from './testing/sample.ts';

type Packet = { direction: 'ingress' | 'egress'; remote: string; protocol: number; port: number };

const PORT = samplePort(5, { policy: 'policy:p' });

/** A software LPM trie lookup, as the kernel does it: the longest entry whose leading bits are the key's. */
function lpm<T>(
  desired: Planner,
  map: 'cb_class_1' | 'cb_rule_1',
  key: Uint8Array,
  decode: (b: Uint8Array) => T,
): T | undefined {
  const bits = (bytes: Uint8Array): string =>
    [...bytes.subarray(4)].map((b) => b.toString(2).padStart(8, '0')).join('');
  const wanted = bits(key);
  let best: { length: number; value: Uint8Array } | undefined;
  for (const entry of desired.entries.of(map).values()) {
    const bytes = textBytes(entry.key);
    const length = new DataView(bytes.buffer).getUint32(0, true);
    if (bits(bytes).slice(0, length) === wanted.slice(0, length) && length > (best?.length ?? -1)) {
      best = { length, value: textBytes(entry.value) };
    }
  }
  return best === undefined ? undefined : decode(best.value);
}

/** What the data plane does with the planned maps. */
function allows(desired: Planner, packet: Packet): boolean {
  const vif = [...desired.entries.of('cb_vif_2').values()].map(({ value }) =>
    MAPS.cb_vif_2.value.decode(textBytes(value)),
  )[0];
  assert.ok(vif);
  const addr = parseAddress(packet.remote);
  assert.ok(addr);
  const classKey = MAPS.cb_class_1.key.encode({ prefixlen: 160, policy: vif.policy, addr });
  const classId = lpm(desired, 'cb_class_1', classKey, (b) => MAPS.cb_class_1.value.decode(b).classId) ?? 0;
  const direction = packet.direction === 'ingress' ? 0 : 1;
  const ruleKey = { prefixlen: 112, policy: vif.policy, classId, direction, family: 4 };
  const key = MAPS.cb_rule_1.key.encode({ ...ruleKey, protocol: packet.protocol, portBe: packet.port });
  return lpm(desired, 'cb_rule_1', key, () => true) ?? false;
}

/** What the rules mean, straight from Neutron's definition. */
function means(
  rules: readonly PolicyRule[],
  groups: ReadonlyMap<string, readonly GroupMember[]>,
  nets: readonly string[],
  packet: Packet,
): boolean {
  const inPrefix = (cidr: string): boolean => {
    const prefix = parseIpOrCidr(cidr);
    const ip = parseIp(packet.remote);
    return prefix !== undefined && ip !== undefined && cidrContains(prefix, ip);
  };
  return rules.some((rule) => {
    if (rule.direction !== packet.direction || rule.ethertype !== 'IPv4') return false;
    if (rule.protocol !== null && rule.protocol !== packet.protocol) return false;
    if (rule.portMin !== null && !portMatches(rule, packet)) return false;
    if (rule.remote.kind === 'any') return true;
    if (rule.remote.kind === 'prefix') return inPrefix(rule.remote.cidr);
    return (groups.get(rule.remote.groupId) ?? []).some(
      (one) => nets.includes(one.networkId) && one.addresses.some(inPrefix),
    );
  });
}

function portMatches(rule: PolicyRule, packet: Packet): boolean {
  if (packet.protocol !== 1) return packet.port >= (rule.portMin ?? 0) && packet.port <= (rule.portMax ?? 0);
  return packet.port >> 8 === rule.portMin && (rule.portMax === null || rule.portMax === (packet.port & 255));
}

const CIDRS = [
  '10.0.0.0/8',
  '10.0.0.0/24',
  '10.0.0.0/30',
  '10.0.0.2/32',
  '10.0.1.0/25',
  '0.0.0.0/0',
  '10.0.0.128/25',
  '192.168.0.0/16',
];
const ADDRESSES = [
  '10.0.0.0',
  '10.0.0.2',
  '10.0.0.3',
  '10.0.0.5',
  '10.0.0.129',
  '10.0.1.7',
  '10.0.1.200',
  '10.9.9.9',
  '192.168.3.4',
  '8.8.8.8',
];

function randomRule(n: number, random: (below: number) => number): PolicyRule {
  const protocol = [null, 6, 17, 1, 47][random(5)] ?? null;
  const first = random(300);
  const ports =
    protocol === 1
      ? (
          [
            { portMin: null, portMax: null },
            { portMin: 8, portMax: null },
            { portMin: 8, portMax: 0 },
          ] as const
        )[random(3)]
      : protocol === 6 || protocol === 17
        ? (
            [
              { portMin: null, portMax: null },
              { portMin: first, portMax: first + random(200) },
            ] as const
          )[random(2)]
        : undefined;
  const remotes = [
    { kind: 'any' },
    { kind: 'prefix', cidr: CIDRS[random(CIDRS.length)] ?? '' },
    { kind: 'group', groupId: `g${random(3)}` },
  ] as const;
  return sampleRule(n, {
    direction: random(2) === 0 ? 'ingress' : 'egress',
    ethertype: random(5) === 0 ? 'IPv6' : 'IPv4',
    protocol,
    portMin: ports?.portMin ?? null,
    portMax: ports?.portMax ?? null,
    remote: remotes[random(3)] ?? { kind: 'any' },
  });
}

test('planned policy maps decide as the rules say, for random rules, members and packets', async () => {
  for (let seed = 1; seed <= 60; seed += 1) {
    const random = createRandom(seed);
    const rules = Array.from({ length: random(9) }, (_, i) => randomRule(i + 1, random));
    const member = (n: number): { portId: string; networkId: string; addresses: string[] } => ({
      portId: sampleId('port', 100 + n),
      networkId: sampleId('net', 1 + random(3)),
      addresses: [
        ADDRESSES[random(ADDRESSES.length)] ?? '',
        ...(random(4) === 0 ? [CIDRS[random(CIDRS.length)] ?? ''] : []),
      ],
    });
    const groups = new Map([0, 1, 2].map((g) => [`g${g}`, Array.from({ length: random(5) }, (_, n) => member(n))]));
    const slices = [
      sampleHost('h1', [PORT]),
      ...sampleNetwork(1),
      ...sampleNetwork(2),
      sampleRouter(1, [1, 2]),
      samplePolicy('p', rules),
      ...Array.from(groups, ([id, members]) => sampleGroup(id, members)),
    ];
    const desired = (await plannedBed(slices, [PORT])).planner;
    for (let i = 0; i < 60; i += 1) {
      const protocol = [6, 17, 1, 47, 50][random(5)] ?? 6;
      const port = protocol === 1 ? [0x0800, 0x0801, 0x0000, 0x0b00][random(4)] : protocol > 20 ? 0 : random(600);
      const packet: Packet = {
        direction: random(2) === 0 ? 'ingress' : 'egress',
        remote: ADDRESSES[random(ADDRESSES.length)] ?? '',
        protocol,
        port: port ?? 0,
      };
      const nets = [sampleId('net', 1), sampleId('net', 2)];
      assert.equal(
        allows(desired, packet),
        means(rules, groups, nets, packet),
        `seed ${seed} ${JSON.stringify({ packet, rules })}`,
      );
    }
  }
});

const GROUP_RULE = sampleRule(1, { remote: { kind: 'group', groupId: 'g' } });

test('a member of a network that no router joins is not a member here', async () => {
  const slices: readonly (SampleSlice | readonly SampleSlice[])[] = [
    sampleHost('h1', [PORT]),
    sampleNetwork(1),
    samplePolicy('p', [GROUP_RULE]),
    sampleGroup('g', [{ portId: sampleId('port', 9), networkId: sampleId('net', 2), addresses: ['10.0.1.9'] }]),
  ];
  const packet: Packet = { direction: 'ingress', remote: '10.0.1.9', protocol: 6, port: 80 };
  const bed = await plannedBed(slices, [PORT]);
  assert.equal(allows(bed.planner, packet), false);
  await bed.plan(...slices, sampleNetwork(2), sampleRouter(1, [1, 2]));
  assert.equal(allows(bed.planner, packet), true);
  await bed.plan(...slices, sampleNetwork(2), sampleRouter(1, [1, 2], { adminStateUp: false }));
  assert.equal(allows(bed.planner, packet), false);
});

test('what is added to an address group may come in, from whatever network, and what is removed may not', async () => {
  const rest = [sampleHost('h1', [PORT]), ...sampleNetwork(1), samplePolicy('p', [GROUP_RULE])];
  const from = (remote: string): Packet => ({ direction: 'ingress', remote, protocol: 6, port: 80 });
  const bed = await plannedBed([...rest, sampleGroup('g', [], ['198.51.100.0/24'])], [PORT]);
  const isLetIn = (remote: string): boolean => allows(bed.planner, from(remote));
  assert.deepEqual(['198.51.100.9', '203.0.113.9'].map(isLetIn), [true, false]);
  await bed.plan(...rest, sampleGroup('g', [], ['198.51.100.0/24', '203.0.113.9/32']));
  assert.deepEqual(['198.51.100.9', '203.0.113.9', '203.0.113.8'].map(isLetIn), [true, true, false]);
  const classes = new Set([...bed.planner.entries.of('cb_class_1').values()].map(({ value }) => value));
  assert.equal(classes.size, 1);
  await bed.plan(...rest, sampleGroup('g', [], ['203.0.113.9/32']));
  assert.deepEqual(['198.51.100.9', '203.0.113.9'].map(isLetIn), [false, true]);
  await bed.plan(...rest, sampleGroup('g', []));
  assert.equal(isLetIn('203.0.113.9'), false);
});

/** Rules that take more entries than one policy may. */
function tooMany(): PolicyRule[] {
  const rules = Array.from({ length: 300 }, (_, i) =>
    sampleRule(i + 1, {
      protocol: 6,
      portMin: 1,
      portMax: 65534,
      remote: { kind: 'prefix', cidr: `10.1.${i >> 8}.${i & 255}/32` },
    }),
  );
  const wide = Array.from({ length: 20 }, (_, i) =>
    sampleRule(1000 + i, { protocol: 100 + i, portMin: 1, portMax: 65534 }),
  );
  return [...rules, ...wide];
}

test('a policy beyond its bound leaves the port unprogrammed, attached, with the reason, until it fits', async () => {
  const rest = [sampleHost('h1', [PORT]), ...sampleNetwork(1)];
  const bed = await plannedBed([...rest, samplePolicy('p', tooMany())], [PORT]);
  assert.match(bed.planner.errors.get(PORT.id) ?? '', new RegExp(`more than ${MAX_POLICY_RULES} and`));
  assert.equal(bed.planner.entries.of('cb_vif_2').size, 0);
  assert.equal(bed.planner.entries.of('cb_rule_1').size, 0);
  assert.equal(bed.planner.vifs.get(PORT.id)?.ifindex, 50);
  await bed.plan(...rest, samplePolicy('p', tooMany().slice(0, 10)));
  assert.equal(bed.planner.errors.size, 0);
  assert.ok(bed.planner.entries.of('cb_rule_1').size > 0);
});

test('policies that do not fit the host together are refused whole, in the order of their names', async () => {
  const ports = ['a', 'b', 'c'].map((id, i) => samplePort(5 + i, { policy: `policy:${id}` }));
  const rules = (n: number): PolicyRule[] => Array.from({ length: n }, (_, i) => sampleRule(i + 1, { protocol: i }));
  const slices = (b: number): SampleSlice[] => [
    sampleHost('h1', ports),
    ...sampleNetwork(1),
    samplePolicy('c', rules(4)),
    samplePolicy('b', rules(b)),
    samplePolicy('a', rules(4)),
  ];
  const bed = createPlanBed({ policyBudget: { rules: 10, classes: 10 } });
  await bed.plan(...slices(7));
  assert.deepEqual([...bed.planner.errors.keys()], [ports[1]?.id]);
  assert.match([...bed.planner.errors.values()].join(), /policy maps are full/);
  assert.equal(bed.planner.entries.of('cb_rule_1').size, 8);
  await bed.plan(...slices(3));
  assert.deepEqual([...bed.planner.errors.keys()], [ports[2]?.id]);
});

test('one more group member adds one class entry and touches nothing else', async () => {
  const members = Array.from({ length: 50 }, (_, n) => ({
    portId: sampleId('port', 100 + n),
    networkId: sampleId('net', 1),
    addresses: [`10.0.0.${100 + n}`],
  }));
  const fixed = [
    sampleHost('h1', [PORT]),
    sampleNetwork(1),
    samplePolicy('p', [GROUP_RULE, sampleRule(2, { protocol: 6 })]),
  ];
  const bed = await plannedBed([...fixed.flat(), sampleGroup('g', members.slice(1))], [PORT]);
  const { entries } = await bed.plan(...fixed, sampleGroup('g', members));
  assert.deepEqual(
    entries.map(({ map, before }) => [map, before]),
    [['cb_class_1', undefined]],
  );
  assert.ok(entries[0]?.key.endsWith('\x0a\0\0d'));
});
