/** Policies that deny: what they gain may take something away, and what they lack must open nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ClusterPolicyRule, SliceKey } from '@cable/model';
import { cbVif } from '../bpf/abi.gen.ts';
import { arrayIndex, textBytes } from '../bpf/codec.ts';
import { parseAddress, parseOrder } from '../plan/address.ts';
import { type SampleSlice, sampleEndpoint, sampleId, sampleNetwork, samplePort } from '../plan/testing/sample.ts';
import { type Taken, ToldTable } from '../told/told-table.ts';
import { createFakeDataPlane } from './testing/fake-data-plane.ts';
import { createReconcileBed } from './testing/reconcile-bed.ts';
import { type Packet, verdictOf } from './testing/verdicts.ts';

const TIERS: SliceKey = 'cluster_policies:prod/-/c1';
const POLICIES: SliceKey = 'network_policies:prod/-/-/|prod/-/c1';
const EVIL: SliceKey = 'cluster_pods:prod/-/app=evil';
const OWN = samplePort(1, { networkPolicies: POLICIES, policy: null });
const PEERS = [samplePort(2), samplePort(3)];

/** Nobody may reach who is evil: of the peers those. */
function cloud(evil: readonly number[], peers = PEERS): readonly SampleSlice[] {
  const rule: ClusterPolicyRule = {
    ...{ policyId: sampleId('rule', 7), direction: 'egress', peers: [{ pods: [EVIL] }] },
    ...{ tier: 'admin', order: '0010', action: 'deny' },
  };
  const members = evil.map((n) => {
    const { id, networkId, fixedIps } = samplePort(n);
    return [id, { portId: id, networkId, addresses: fixedIps.map(({ ipAddress }) => ipAddress) }] as const;
  });
  const endpoints = peers.map((port) => sampleEndpoint(port, 'h2', '192.0.2.2'));
  return [
    ...sampleNetwork(1, {}, [sampleEndpoint(OWN, 'h1', null), ...endpoints]),
    { key: 'host:h1', header: { host: 'h1' }, items: new Map([[OWN.id, OWN]]) },
    { key: 'policy:', header: { id: '' }, items: new Map() },
    { key: POLICIES, header: { id: 'set', ingress: false, egress: false, tiers: TIERS }, items: new Map() },
    { key: TIERS, header: { id: 'tiers' }, items: new Map([['c1/0', rule]]) },
    { key: EVIL, header: { id: 'evil' }, items: new Map(members) },
  ];
}

function createBed() {
  const plane = createFakeDataPlane(() => true);
  plane.setDevice(50, true);
  const bed = createReconcileBed(plane);
  bed.plug(OWN, 50);
  const packetTo = (n: number): Packet => {
    const [mac, address] = [samplePort(1), samplePort(n)].map(({ macAddress }) => macBytes(macAddress));
    return {
      ...{ ifindex: 50, srcMac: mac ?? NONE, src: addressOf('10.0.0.1'), dstMac: address ?? NONE },
      ...{ dst: addressOf(`10.0.0.${n}`), protocol: 6, port: 80 },
    };
  };
  return {
    ...{ ...bed, plane },
    apply: bed.apply,
    reaches: (n: number): boolean => verdictOf(plane, packetTo(n)) !== undefined,
    epoch: (): number => {
      const value = plane.entries('cb_vif_2').get(arrayIndex.text(1))?.value ?? '';
      return cbVif.decode(textBytes(value)).epoch;
    },
    failure: (): string | undefined => bed.reconciler.portFailure(OWN.id),
  };
}

const NONE = new Uint8Array(6);
const macBytes = (text: string): Uint8Array => Uint8Array.from(text.split(':'), (one) => Number.parseInt(one, 16));
const addressOf = (text: string): Uint8Array => parseAddress(text) ?? new Uint8Array(16);

test('who comes to be denied is decided about anew, though nothing is taken away', async () => {
  const bed = createBed();
  await bed.apply(cloud([]));
  assert.deepEqual([bed.reaches(2), bed.reaches(3)], [true, true]);
  const before = bed.epoch();
  const { deletes, raised } = await bed.apply(cloud([2]));
  assert.deepEqual([bed.reaches(2), bed.reaches(3)], [false, true]);
  assert.equal(deletes, 0, 'it is only added');
  assert.ok(raised > 0 && bed.epoch() > before, 'and running connections end all the same');
});

test('a port passes nothing while the host has no room for an address that its policies deny', async () => {
  const bed = createBed();
  await bed.apply(cloud([]));
  bed.plane.limit('cb_class_1', 0);
  await bed.apply(cloud([2]));
  assert.deepEqual([bed.reaches(2), bed.reaches(3)], [false, false]);
  assert.match(bed.failure() ?? '', /cb_class_1/);
  await bed.apply(cloud([2]), { retry: true });
  assert.equal(bed.reaches(3), false, 'there is no room yet');
  bed.plane.limit('cb_class_1', 10);
  await bed.apply(cloud([2]), { retry: true });
  assert.deepEqual([bed.reaches(2), bed.reaches(3), bed.failure()], [false, true, undefined]);
});

test('the same of a port that comes, and of an address that nobody denies any more', async () => {
  const bed = createBed();
  bed.plane.limit('cb_class_1', 0);
  await bed.apply(cloud([2]));
  assert.equal(bed.reaches(3), false);
  assert.match(bed.failure() ?? '', /cb_class_1/);
  await bed.apply(cloud([]), { retry: true });
  assert.deepEqual([bed.reaches(2), bed.reaches(3), bed.failure()], [true, true, undefined]);
});

test('whom a policy denies is denied before there is a way to him', async () => {
  const bed = createBed();
  await bed.apply(cloud([], PEERS.slice(1)));
  const { putEntry } = bed.plane;
  const puts: string[] = [];
  bed.plane.putEntry = (map, entry) => {
    puts.push(map);
    putEntry(map, entry);
  };
  await bed.apply(cloud([2]));
  assert.equal(bed.reaches(2), false);
  assert.ok(puts.indexOf('cb_class_1') < puts.indexOf('cb_ep_2'), puts.join());
});

const NAMED: ClusterPolicyRule = {
  ...{ policyId: sampleId('rule', 8), direction: 'egress', peers: [{ pods: [], domains: ['*.example.com'] }] },
  ...{ tier: 'admin', order: '0005', action: 'allow' },
};

/** The port may send to what it was told for names, and to nobody else. */
async function createNamedBed() {
  const plane = createFakeDataPlane(() => true);
  plane.setDevice(50, true);
  const told = new ToldTable();
  const bed = createReconcileBed(plane, undefined, { told });
  bed.plug(OWN, 50);
  const slices = cloud([]).map((slice) => {
    const denial = { ...NAMED, order: '0009', peers: [{ cidr: '0.0.0.0/0', except: [] }], action: 'deny' } as const;
    return slice.key === TIERS
      ? { ...slice, items: new Map([['c1/0', NAMED] as const, ['c1/1', denial] as const]) }
      : slice;
  });
  await bed.apply(slices);
  const round = async ({ changes }: Taken) => {
    const { entries, ports } = await bed.planner.update([], [], [], [], changes);
    const state = { revision: 2, state: 7n, commit: 2 };
    return bed.reconciler.apply({ entries, ports, write: true, prune: true, retry: false, state });
  };
  const tell = (...addresses: readonly string[]) => {
    const orders = addresses.map((text) => parseOrder(text) ?? '');
    return round(told.take({ portId: OWN.id, name: 'www.example.com.', orders, untilMs: 1 }));
  };
  return { ...bed, plane, tell, forget: () => round(told.forgetPort(OWN.id)) };
}

test('what a name comes to mean is only added: nothing is decided anew until it means it no more', async () => {
  const bed = await createNamedBed();
  const before = bed.plane.entries('cb_class_1').size;
  const { puts, raised } = await bed.tell('203.0.113.1', '2001:db8::1');
  assert.ok(puts >= 2);
  assert.equal(raised, 0);
  assert.equal(bed.plane.entries('cb_class_1').size, before + 2);
  assert.equal((await bed.forget()).raised, 1);
  assert.equal(bed.plane.entries('cb_class_1').size, before);
});

test('where there is no room for what a name means, that is not let through, and the port goes on', async () => {
  const bed = await createNamedBed();
  bed.plane.limit('cb_class_1', bed.plane.entries('cb_class_1').size);
  await bed.tell('203.0.113.1');
  assert.equal(bed.reconciler.portFailure(OWN.id), undefined);
  const vif = bed.plane.entries('cb_vif_2').get(arrayIndex.text(1))?.value ?? '';
  assert.notEqual(cbVif.decode(textBytes(vif)).ifindex, 0);
});

test('regression: where there is no room for the rules of what a name means, the port goes on, too', async () => {
  const bed = await createNamedBed();
  bed.plane.limit('cb_rule_1', bed.plane.entries('cb_rule_1').size);
  const before = bed.plane.entries('cb_class_1').size;
  await bed.tell('203.0.113.1');
  assert.equal(bed.reconciler.portFailure(OWN.id), undefined);
  const vif = bed.plane.entries('cb_vif_2').get(arrayIndex.text(1))?.value ?? '';
  assert.notEqual(cbVif.decode(textBytes(vif)).ifindex, 0);
  assert.equal(bed.plane.entries('cb_class_1').size, before, 'and the address is as strangers are');
});
