import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RouterPeeringState } from '@cable/model';
import { textBytes } from '../bpf/codec.ts';
import { type Row, showEntry } from '../show/maps.ts';
import { readNames } from '../show/names.ts';
import { createPlanBed, type PlanBed } from './testing/plan-bed.ts';
import {
  type SampleSlice,
  sampleEndpoint,
  sampleGroup,
  sampleHost,
  sampleId,
  sampleNetwork,
  samplePeering,
  samplePeerings,
  samplePolicy,
  samplePort,
  sampleRouter,
  sampleRule,
} from './testing/sample.ts';

/** Of project `p` here in network 1, behind router 1 with network 2, too; of another project elsewhere in networks 3 and 4, behind router 2. */
const HERE = samplePort(5, { policy: 'policy:g' });
const FAR = samplePort(6, {
  networkId: sampleId('net', 3),
  fixedIps: [{ subnetId: sampleId('sub', 3), ipAddress: '10.0.2.6' }],
});

type Shown = 'cb_route_2' | 'cb_peer_2' | 'cb_class_1';

function rowsOf({ planner, state }: PlanBed, map: Shown): readonly Row[] {
  const reading = readNames({ host: 'h1', slices: state, planner });
  let names = reading.next();
  while (names.done !== true) names = reading.next();
  const found = names.value;
  return [...planner.entries.of(map).values()].flatMap(({ key, value }) => {
    const row = showEntry(map, { key: textBytes(key), value: textBytes(value) }, found);
    return row === undefined ? [] : [row];
  });
}

async function planned(
  peerings: readonly RouterPeeringState[],
  more: readonly SampleSlice[] = [],
  isUp = true,
): Promise<PlanBed> {
  const bed = createPlanBed();
  bed.plug(HERE, 50);
  const member = { portId: FAR.id, networkId: FAR.networkId, addresses: ['10.0.2.6', '10.0.3.6'] };
  await bed.plan(
    ...[sampleHost('h1', [HERE]), sampleNetwork(1), sampleNetwork(2), sampleNetwork(4)],
    sampleNetwork(3, { mtuBytes: 1400 }, [sampleEndpoint(FAR, 'h2', '192.0.2.2')]),
    ...[sampleRouter(1, [1, 2], { adminStateUp: isUp }), samplePeerings(1, peerings)],
    samplePolicy('g', [sampleRule(1, { remote: { kind: 'group', groupId: 'x' } })]),
    sampleGroup('x', [member]),
    more,
  );
  return bed;
}

function routes(bed: PlanBed): readonly string[] {
  return rowsOf(bed, 'cb_route_2')
    .filter((row) => row['peering'] !== undefined)
    .map((row) => `${row['router']}: ${row['destination']} in ${row['network']} by ${row['peering']}`)
    .sort();
}

test('a router has routes to what its peer lets through, and a peering those of what this side does', async () => {
  const bed = await planned([samplePeering(1, [1], [3])]);
  assert.deepEqual(routes(bed), [
    'peering peering-1: 10.0.0.0/24 in net-1 by peering peering-1',
    'router-1: 10.0.2.0/24 in net-3 by peering peering-1',
  ]);
  const [route] = rowsOf(bed, 'cb_route_2').filter((row) => row['network'] === 'net-3');
  assert.deepEqual([route?.['mtu_bytes'], route?.['nexthop']], [1400, 'connected']);
});

test('of a router that is down, and of a network that is not known, nothing leads to a peer', async () => {
  assert.deepEqual(routes(await planned([samplePeering(1, [1], [3])], [], false)), []);
  assert.deepEqual(routes(await planned([samplePeering(1, [], [77])])), []);
});

test('the router’s own routes to the same destination go before', async () => {
  const own = sampleRouter(1, [1, 2], { routes: [{ destination: '10.0.2.0/24', nexthop: '10.0.1.9' }] });
  const bed = createPlanBed();
  bed.plug(HERE, 50);
  const slices = [sampleNetwork(1), sampleNetwork(2), sampleNetwork(3)];
  await bed.plan(sampleHost('h1', [HERE]), ...slices, own, samplePeerings(1, [samplePeering(1, [1], [3, 2])]));
  const shown = rowsOf(bed, 'cb_route_2').filter((row) => row['router'] === 'router-1');
  assert.deepEqual(shown.map((row) => [row['destination'], row['nexthop'], row['peering']]).sort(), [
    ['10.0.0.0/24', 'connected', undefined],
    ['10.0.1.0/24', 'connected', undefined],
    ['10.0.2.0/24', '10.0.1.9', undefined],
  ]);
});

test('hosts of a peer’s network may send into networks that are let through, and into no others', async () => {
  const peers = (bed: PlanBed): unknown => rowsOf(bed, 'cb_peer_2').map((row) => [row['host'], row['network']]);
  assert.deepEqual(peers(await planned([samplePeering(1, [1], [3])])), [['h2', 'net-1']]);
  assert.deepEqual(peers(await planned([samplePeering(1, [2], [3])])), []);
  assert.deepEqual(peers(await planned([samplePeering(1, [1], [4])])), []);
  assert.deepEqual(peers(await planned([])), []);
});

test('members of a remote group count by their addresses in what the peer lets through', async () => {
  const classed = async (own: readonly number[], there: readonly number[]): Promise<unknown> =>
    rowsOf(await planned([samplePeering(1, own, there)]), 'cb_class_1').map((row) => row['remote'] ?? row['prefix']);
  assert.deepEqual(await classed([1], [3]), ['10.0.2.6']);
  assert.deepEqual(await classed([1], [4]), []);
  assert.deepEqual(await classed([2], [3]), []);
});

test('a change of what is let through is planned as if it had always been so', async () => {
  const bed = await planned([samplePeering(1, [2], [4])]);
  const after = await planned([samplePeering(1, [1], [3])]);
  bed.state.setItem(samplePeerings(1, []).key, sampleId('peer', 1), samplePeering(1, [1], [3]));
  const { changes, devices } = bed.state.take();
  await bed.planner.update(changes, devices);
  for (const map of ['cb_route_2', 'cb_peer_2', 'cb_class_1'] as const) {
    assert.deepEqual(JSON.stringify(rowsOf(bed, map)), JSON.stringify(rowsOf(after, map)), map);
  }
});
