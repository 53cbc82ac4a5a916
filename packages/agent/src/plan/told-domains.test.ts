/** Rules that mean names: which addresses come to be allowed, and which never are. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ClusterPolicyRule, SliceKey } from '@cable/model';
import { MAPS } from '../bpf/abi.gen.ts';
import { textBytes } from '../bpf/codec.ts';
import { ToldTable } from '../told/told-table.ts';
import { parseAddress, parseOrder } from './address.ts';
import { PrefixSet } from './inside.ts';
import type { Planner } from './planner.ts';
import { createPlanBed } from './testing/plan-bed.ts';
import { createRandom } from './testing/random.ts';
import { type SampleSlice, sampleId, sampleNetwork, samplePort, sampleRouter } from './testing/sample.ts';

const TIERS: SliceKey = 'cluster_policies:prod/-/c1';
const POLICIES: SliceKey = 'network_policies:prod/-/-/|prod/-/c1';
const [ONE, TWO] = [1, 2].map((n) => samplePort(n, { networkPolicies: POLICIES, policy: null }));
const OTHER = samplePort(3, { policy: null });

const HTTPS = [{ protocol: 6, first: 443 }];

function rule(order: string, more: Partial<ClusterPolicyRule>): ClusterPolicyRule {
  return { policyId: sampleId('rule', 7), direction: 'egress', tier: 'admin', order, action: 'allow', ...more };
}

const byNames = (domains: readonly string[], more: Partial<ClusterPolicyRule> = {}): ClusterPolicyRule =>
  rule('0010', { peers: [{ pods: [], domains }], ports: HTTPS, ...more });

const DENY_ALL = rule('0020', { action: 'deny' });

function cloud(rules: readonly ClusterPolicyRule[], domainExcept: readonly string[] = []): readonly SampleSlice[] {
  const ports = [ONE, TWO, OTHER].flatMap((port) => (port === undefined ? [] : [port]));
  return [
    ...sampleNetwork(1),
    ...sampleNetwork(2),
    sampleRouter(1, [1, 2]),
    { key: 'host:h1', header: { host: 'h1' }, items: new Map(ports.map((port) => [port.id, port])) },
    { key: POLICIES, header: { id: 'set', ingress: false, egress: false, tiers: TIERS }, items: new Map() },
    { key: TIERS, header: { id: 'c1', domainExcept }, items: new Map(rules.map((one, at) => [`c1/${at}`, one])) },
    {
      key: `services:${sampleId('scope', 1)}`,
      header: { id: sampleId('scope', 1), cidrs: ['10.96.0.0/12'], routerIds: [sampleId('rtr', 1)] } as never,
      items: new Map(),
    },
  ];
}

async function bedOf(rules: readonly ClusterPolicyRule[], domainExcept: readonly string[] = []) {
  const told = new ToldTable();
  const bed = createPlanBed({ told });
  for (const [at, port] of [ONE, TWO, OTHER].entries()) if (port !== undefined) bed.plug(port, 50 + at);
  await bed.plan(...cloud(rules, domainExcept));
  const tell = async (port: typeof ONE, name: string, ...addresses: readonly string[]): Promise<void> => {
    const orders = addresses.map((text) => parseOrder(text) ?? '');
    const { changes } = told.take({ portId: port?.id ?? '', name: `${name}.`, orders, untilMs: 1000 });
    await bed.planner.update([], [], [], [], changes);
  };
  return { ...bed, told, tell, passes: (to: string, port = 443) => passes(bed.planner, to, port) };
}

/** An LPM look-up, as the kernel does it. */
function lpm(planner: Planner, map: 'cb_class_1' | 'cb_rule_1', key: Uint8Array): Uint8Array | undefined {
  const bits = (bytes: Uint8Array): string =>
    [...bytes.subarray(4)].map((one) => one.toString(2).padStart(8, '0')).join('');
  const wanted = bits(key);
  let [longest, best]: [number, Uint8Array | undefined] = [-1, undefined];
  for (const entry of planner.entries.of(map).values()) {
    const bytes = textBytes(entry.key);
    const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
    if (length > longest && bits(bytes).slice(0, length) === wanted.slice(0, length))
      [longest, best] = [length, textBytes(entry.value)];
  }
  return best;
}

/** What the data plane does with a TCP connection of a port that has the policies. */
function passes(planner: Planner, to: string, port: number): boolean {
  const policy = [...planner.policies()].map((name) => planner.numberOf('policy-use', name)).find((one) => one !== 0);
  assert(policy !== undefined);
  const addr = parseAddress(to) ?? new Uint8Array(16);
  const found = lpm(planner, 'cb_class_1', MAPS.cb_class_1.key.encode({ prefixlen: 160, policy, addr }));
  const classId = found === undefined ? 0 : MAPS.cb_class_1.value.decode(found).classId;
  const family = to.includes(':') ? 6 : 4;
  const key = { prefixlen: 112, policy, classId, direction: 1, family, protocol: 6, portBe: port };
  return lpm(planner, 'cb_rule_1', MAPS.cb_rule_1.key.encode(key)) !== undefined;
}

test('what was told for a name passes as the rule says, and nothing else', async () => {
  const bed = await bedOf([byNames(['*.example.com', 'example.org']), DENY_ALL]);
  assert.deepEqual(bed.planner.domainsOf(ONE?.id ?? ''), ['*.example.com', 'example.org']);
  assert.deepEqual(bed.planner.domainsOf(OTHER.id), []);
  assert.equal(bed.passes('203.0.113.1'), false);
  await bed.tell(ONE, 'www.example.com', '203.0.113.1', '2001:db8::1');
  await bed.tell(ONE, 'example.org', '203.0.113.2');
  for (const to of ['203.0.113.1', '2001:db8::1', '203.0.113.2']) assert.equal(bed.passes(to), true, to);
  assert.equal(bed.passes('203.0.113.1', 80), false, 'another port');
  assert.equal(bed.passes('203.0.113.3'), false, 'another address');
  await bed.tell(ONE, 'www.example.org', '203.0.113.4');
  await bed.tell(ONE, 'example.com', '203.0.113.5');
  for (const to of ['203.0.113.4', '203.0.113.5']) assert.equal(bed.passes(to), false, to);
});

test('a port that has not the policies tells nothing to those that have', async () => {
  const bed = await bedOf([byNames(['*.example.com']), DENY_ALL]);
  await bed.tell(OTHER, 'www.example.com', '203.0.113.1');
  assert.equal(bed.passes('203.0.113.1'), false);
});

test('an address counts as long as anybody who has the policies was told it', async () => {
  const bed = await bedOf([byNames(['*.example.com']), DENY_ALL]);
  await bed.tell(ONE, 'a.example.com', '203.0.113.1');
  await bed.tell(TWO, 'b.example.com', '203.0.113.1');
  const forget = async (port: typeof ONE): Promise<void> => {
    const { changes } = bed.told.forgetPort(port?.id ?? '');
    await bed.planner.update([], [], [], [], changes);
  };
  await forget(ONE);
  assert.equal(bed.passes('203.0.113.1'), true);
  await forget(TWO);
  assert.equal(bed.passes('203.0.113.1'), false);
});

test('whatever a name is said to be, it is nothing that is inside', async () => {
  const bed = await bedOf([byNames(['*.example.com']), DENY_ALL], ['192.0.2.10/32', '2001:db8:9::1/128']);
  const inside = [
    ...['10.0.0.7', '10.0.1.7', '10.96.0.1', '192.0.2.10', '2001:db8:9::1', '127.0.0.1', '169.254.169.254', '0.0.0.1'],
    ...['224.0.0.1', '255.255.255.255', '198.18.0.1', '::1', 'fe80::1', 'ff02::1', 'fdca:b1e0::1', '2002:a00:7::1'],
    ...['168.63.129.16', '100.100.100.200', 'fd00:ec2::254', 'fd20:ce::254', '64:ff9b::a83f:8110'],
    ...['64:ff9b::a00:7', '64:ff9b::c000:20a', '64:ff9b::7f00:1', '::ffff:10.0.0.7', '::10.0.0.7'],
  ];
  for (const to of inside) {
    await bed.tell(ONE, 'www.example.com', to);
    assert.equal(bed.passes(to), false, to);
  }
  for (const to of ['10.0.2.7', '192.168.1.1', '64:ff9b::808:808', '192.0.2.11']) {
    await bed.tell(ONE, 'www.example.com', to);
    assert.equal(bed.passes(to), true, to);
  }
  // A subnet that comes to be where a name has led to.
  await bed.plan(...cloud([byNames(['*.example.com']), DENY_ALL]), ...sampleNetwork(3), sampleRouter(2, [1, 3]));
  assert.equal(bed.passes('10.0.2.7'), false);
  assert.equal(bed.passes('192.168.1.1'), true);
  assert.equal(bed.passes('192.0.2.10'), true, 'it is a node no more');
});

test('a rule that comes to mean another name finds what was told for it, and lets go of the rest', async () => {
  const bed = await bedOf([byNames(['*.example.com']), DENY_ALL]);
  await bed.tell(ONE, 'www.example.com', '203.0.113.1');
  await bed.tell(ONE, 'api.example.com', '203.0.113.2');
  await bed.plan(...cloud([byNames(['api.example.com']), DENY_ALL]));
  assert.deepEqual([bed.passes('203.0.113.1'), bed.passes('203.0.113.2')], [false, true]);
  await bed.plan(...cloud([DENY_ALL]));
  assert.equal(bed.passes('203.0.113.2'), false);
  await bed.plan(...cloud([byNames(['www.example.com']), DENY_ALL]));
  assert.deepEqual([bed.passes('203.0.113.1'), bed.passes('203.0.113.2')], [true, false]);
});

test('names of a rule that denies are everybody: never all addresses of a name are known', async () => {
  const bed = await bedOf([byNames(['*.example.com'], { action: 'deny', ports: [] })]);
  assert.equal(bed.passes('203.0.113.9'), false);
});

test('only what adds to what an address may is said to', async () => {
  const evil = rule('0005', { action: 'deny', peers: [{ cidr: '203.0.113.8/32', except: [] }] });
  const bed = await bedOf([evil, byNames(['*.example.com']), DENY_ALL]);
  await bed.tell(ONE, 'www.example.com', '203.0.113.1', '203.0.113.8');
  const claims = [...bed.planner.entries.of('cb_class_1').values()];
  const marked = claims.map(({ key, onlyAllows }) => [textBytes(key).at(-1), onlyAllows]);
  assert.deepEqual(
    marked.sort(),
    [
      [1, true],
      [8, undefined],
    ].sort(),
  );
  assert.deepEqual([bed.passes('203.0.113.1'), bed.passes('203.0.113.8')], [true, false]);
});

test('regression: what is told takes nothing of the room of its policies, and is left out where it has none itself', async () => {
  const ports = Array.from({ length: 4097 }, (_, at) => ({ protocol: 17, first: 2 * at + 1 }));
  const near = rule('0005', { peers: [{ cidr: '198.51.100.0/24', except: [] }], ports: HTTPS });
  const bed = await bedOf([near, byNames(['*.example.com'], { ports }), byNames(['api.example.org']), DENY_ALL]);
  await bed.tell(ONE, 'www.example.com', '203.0.113.1', '203.0.113.2');
  await bed.tell(ONE, 'api.example.org', '203.0.113.3');
  assert.deepEqual(
    [bed.passes('203.0.113.1'), bed.passes('203.0.113.3'), bed.passes('198.51.100.1')],
    [false, true, true],
  );
  assert.equal(bed.planner.toldWithheld, 2);
  assert.deepEqual([...bed.planner.errors], []);
  const few = byNames(['*.example.com'], { ports: HTTPS });
  await bed.plan(...cloud([near, few, byNames(['api.example.org']), DENY_ALL]));
  assert.deepEqual([bed.passes('203.0.113.1'), bed.passes('203.0.113.3')], [true, true]);
  assert.equal(bed.planner.toldWithheld, 0);
});

test('what is planned depends on what was told, and not on how it came to be', async () => {
  for (let seed = 1; seed <= 8; seed += 1) {
    const random = createRandom(seed);
    const pick = <T>(list: readonly T[]): T => list[random(list.length)] as T;
    const names = ['a.example.com', 'b.example.com', 'a.example.org', 'c.a.example.com', 'else.net'];
    const addresses = ['203.0.113.1', '203.0.113.2', '198.51.100.7', '10.0.0.9', '2001:db8::5'];
    const patterns = ['*.example.com', 'a.example.com', '*.example.org', '*.a.example.com', 'b.example.com'];
    const rules = (): readonly ClusterPolicyRule[] => [
      byNames([pick(patterns)]),
      rule('0015', { peers: [{ pods: [], domains: [pick(patterns), pick(patterns)] }], ports: [{ protocol: 17 }] }),
      ...(random(2) ? [rule('0012', { action: 'deny', peers: [{ cidr: '203.0.113.0/30', except: [] }] })] : []),
      DENY_ALL,
    ];
    let now = rules();
    const bed = await bedOf(now);
    for (let step = 0; step < 25; step += 1) {
      const port = pick([ONE, TWO]);
      const what = random(10);
      if (what < 6) await bed.tell(port, pick(names), pick(addresses), pick(addresses));
      else if (what < 9) {
        const { changes } = bed.told.forget(port?.id ?? '', [parseOrder(pick(addresses)) ?? ''], 2000);
        await bed.planner.update([], [], [], [], changes);
      } else {
        now = rules();
        await bed.plan(...cloud(now));
      }
    }
    const fresh = createPlanBed({ told: bed.told });
    for (const [at, port] of [ONE, TWO, OTHER].entries()) if (port !== undefined) fresh.plug(port, 50 + at);
    await fresh.plan(...cloud(now));
    for (const map of ['cb_class_1', 'cb_rule_1'] as const) {
      const [got, wanted] = [bed.planner, fresh.planner].map((one) =>
        [...one.entries.of(map).values()].map(({ key, value }) => `${key} ${value}`).sort(),
      );
      assert.deepEqual(got, wanted, `seed ${seed}, ${map}`);
    }
  }
});

test('a set of prefixes has the addresses in them', () => {
  const set = new PrefixSet(['10.0.0.0/8', 'fd00::/16', '192.0.2.1', 'nonsense']);
  const has = (text: string): boolean => set.has(parseOrder(text) ?? '');
  assert.deepEqual(['10.1.2.3', 'fd00::1', '192.0.2.1'].map(has), [true, true, true]);
  assert.deepEqual(['11.1.2.3', 'fd01::1', '192.0.2.2', '::1'].map(has), [false, false, false, false]);
});
