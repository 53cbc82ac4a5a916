import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cidrContains, type PolicyRule, parseIp, parseIpOrCidr, type Slice, type SliceKey } from '@cable/model';
import { MAPS } from '../bpf/abi.gen.ts';
import type { DesiredState } from '../desired.ts';
import { hex, parseAddress } from './address.ts';
import { createPlanner } from './plan.ts';
import { MAX_POLICY_RULES } from './policies.ts';
import {
  sampleGroup,
  sampleHost,
  sampleId,
  sampleNetwork,
  samplePolicy,
  samplePort,
  sampleRouter,
  sampleRule,
  slicesOf,
} from './sample.ts';

type Packet = { direction: 'ingress' | 'egress'; remote: string; protocol: number; port: number };

const LOCAL = {
  host: 'h1',
  slots: new Map([[sampleId('port', 5), 2]]),
  devices: new Map([[sampleId('port', 5), { name: 'tap5', ifindex: 50 }]]),
};

/** A software LPM trie lookup, as the kernel does it: the longest entry whose leading bits are the key's. */
function lpm<T>(
  desired: DesiredState,
  map: 'cb_class_1' | 'cb_rule_1',
  key: Uint8Array,
  decode: (b: Uint8Array) => T,
): T | undefined {
  const bits = (bytes: Uint8Array): string =>
    [...bytes.subarray(4)].map((b) => b.toString(2).padStart(8, '0')).join('');
  const wanted = bits(key);
  let best: { length: number; value: Uint8Array } | undefined;
  for (const entry of desired.maps[map].values()) {
    const length = new DataView(entry.key.buffer).getUint32(0, true);
    if (bits(entry.key).slice(0, length) === wanted.slice(0, length) && length > (best?.length ?? -1)) {
      best = { length, value: entry.value };
    }
  }
  return best === undefined ? undefined : decode(best.value);
}

/** What the data plane does with the planned maps. */
function allows(desired: DesiredState, packet: Packet): boolean {
  const vif = [...desired.maps.cb_vif_1.values()].map((entry) => MAPS.cb_vif_1.value.decode(entry.value))[0];
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
  slices: ReadonlyMap<SliceKey, Slice>,
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
    const group = slices.get(`group:${rule.remote.groupId}`);
    if (group?.kind !== 'group') return false;
    return group.members.some((one) => nets.includes(one.networkId) && one.addresses.some(inPrefix));
  });
}

function portMatches(rule: PolicyRule, packet: Packet): boolean {
  if (packet.protocol !== 1) return packet.port >= (rule.portMin ?? 0) && packet.port <= (rule.portMax ?? 0);
  return packet.port >> 8 === rule.portMin && (rule.portMax === null || rule.portMax === (packet.port & 255));
}

/** A deterministic random source (mulberry32). */
function createRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
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

test('planned policy maps decide as the rules say, for random rules, members and packets', () => {
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
    const slices = slicesOf(
      sampleHost('h1', [samplePort(5, { policy: 'policy:p' })]),
      sampleNetwork(1),
      sampleNetwork(2),
      sampleRouter(1, [1, 2]),
      samplePolicy('p', rules),
      ...[0, 1, 2].map((g) =>
        sampleGroup(
          `g${g}`,
          Array.from({ length: random(5) }, (_, n) => member(n)),
        ),
      ),
    );
    const desired = createPlanner('h1')(slices, LOCAL);
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
        means(rules, slices, nets, packet),
        `seed ${seed} ${JSON.stringify({ packet, rules })}`,
      );
    }
  }
});

test('a member of a network that no router joins is not a member here', () => {
  const groupRule = sampleRule(1, { remote: { kind: 'group', groupId: 'g' } });
  const slices = slicesOf(
    sampleHost('h1', [samplePort(5, { policy: 'policy:p' })]),
    sampleNetwork(1),
    samplePolicy('p', [groupRule]),
    sampleGroup('g', [{ portId: sampleId('port', 9), networkId: sampleId('net', 2), addresses: ['10.0.1.9'] }]),
  );
  const packet: Packet = { direction: 'ingress', remote: '10.0.1.9', protocol: 6, port: 80 };
  assert.equal(allows(createPlanner('h1')(slices, LOCAL), packet), false);
  const joined = new Map([...slices, ...slicesOf(sampleNetwork(2), sampleRouter(1, [1, 2]))]);
  assert.equal(allows(createPlanner('h1')(joined, LOCAL), packet), true);
});

test('a policy beyond its bound leaves the port unprogrammed, attached, with the reason', () => {
  const rules = Array.from({ length: 300 }, (_, i) =>
    sampleRule(i + 1, {
      protocol: 6,
      portMin: 1,
      portMax: 65534,
      remote: { kind: 'prefix', cidr: `10.1.${i >> 8}.${i & 255}/32` },
    }),
  );
  const wide = Array.from({ length: 20 }, (_, i) =>
    sampleRule(1000 + i, { protocol: 6, portMin: 1, portMax: 65534 - i }),
  );
  const slices = slicesOf(
    sampleHost('h1', [samplePort(5, { policy: 'policy:p' })]),
    sampleNetwork(1),
    samplePolicy('p', [...rules, ...wide]),
  );
  const desired = createPlanner('h1')(slices, LOCAL);
  assert.match(desired.errors.get(sampleId('port', 5)) ?? '', new RegExp(`more than ${MAX_POLICY_RULES} and`));
  assert.equal(desired.maps.cb_vif_1.size, 0);
  assert.equal(desired.maps.cb_rule_1.size, 0);
  assert.equal(desired.vifs.get(sampleId('port', 5))?.ifindex, 50);
});

test('one more group member adds one class entry and re-uses every other encoded entry', () => {
  const members = Array.from({ length: 50 }, (_, n) => ({
    portId: sampleId('port', 100 + n),
    networkId: sampleId('net', 1),
    addresses: [`10.0.0.${100 + n}`],
  }));
  const fixed = slicesOf(
    sampleHost('h1', [samplePort(5, { policy: 'policy:p' })]),
    sampleNetwork(1),
    samplePolicy('p', [sampleRule(1, { remote: { kind: 'group', groupId: 'g' } }), sampleRule(2, { protocol: 6 })]),
  );
  const planner = createPlanner('h1');
  const before = planner(new Map([...fixed, ...slicesOf(sampleGroup('g', members.slice(1)))]), LOCAL);
  const after = planner(new Map([...fixed, ...slicesOf(sampleGroup('g', members))]), LOCAL);
  assert.equal(after.maps.cb_class_1.size, before.maps.cb_class_1.size + 1);
  for (const map of ['cb_class_1', 'cb_rule_1'] as const) {
    for (const [id, entry] of before.maps[map]) assert.equal(after.maps[map].get(id), entry, `${map} ${id}`);
  }
  assert.ok([...after.maps.cb_class_1.keys()].some((id) => id.endsWith(hex(Uint8Array.from([10, 0, 0, 100])))));
});
