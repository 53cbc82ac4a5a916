import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CentralizedSubnet, RouterHeader } from '@cable/model';
import { CB_PEER_F_PROBE, cbPeer } from '../bpf/abi.gen.ts';
import { textBytes } from '../bpf/codec.ts';
import { showEntry } from '../show/maps.ts';
import { readNames } from '../show/names.ts';
import { createPlanBed, type PlanBed } from './testing/plan-bed.ts';
import {
  type SampleSlice,
  sampleEndpoint,
  sampleHost,
  sampleId,
  sampleNetwork,
  samplePort,
  sampleRouter,
} from './testing/sample.ts';

/** Of the network of nodes, 1: that of this host, and that of another. */
const NODE = samplePort(5, {
  ...{ vifKind: 'host', deviceOwner: 'kubernetes:node', portSecurityEnabled: false, policy: null },
});
const OTHER = sampleEndpoint(samplePort(6), 'h2', '192.0.2.2');
const HOSTS = [
  { host: 'h2', underlay: '192.0.2.2' },
  { host: 'h1', underlay: '192.0.2.1' },
];

function central(subnet: number, hosts: CentralizedSubnet['hosts'] = HOSTS): CentralizedSubnet {
  return { subnetId: sampleId('sub', subnet), hosts };
}

function shown(bed: PlanBed, map: 'cb_exit_1' | 'cb_route_2', name: string): readonly string[] {
  const reading = readNames({ host: 'h1', slices: bed.state, planner: bed.planner });
  let names = reading.next();
  while (names.done !== true) names = reading.next();
  const found = names.value;
  const rows = [...bed.planner.entries.of(map).values()].map(({ key, value }) =>
    showEntry(map, { key: textBytes(key), value: textBytes(value) }, found),
  );
  return rows.map((row) => `${row?.[name]} by ${row?.['nexthop']}`).sort();
}

/** Pods of the cluster are in network 2, legs in 3, which another router has in a VPC of its own, 4. */
function world(
  centralized: readonly CentralizedSubnet[],
  {
    ports = [NODE],
    more = {},
  }: { readonly ports?: readonly (typeof NODE)[]; readonly more?: Partial<RouterHeader> } = {},
): readonly (SampleSlice | readonly SampleSlice[])[] {
  return [
    ...[sampleHost('h1', ports), sampleNetwork(1, {}, [OTHER]), sampleNetwork(2), sampleNetwork(3), sampleNetwork(4)],
    sampleRouter(1, [1, 2, 3], { nodeEgress: true, ...(centralized.length > 0 ? { centralized } : {}), ...more }),
    sampleRouter(2, [4]),
  ];
}

test('what leaves a centralized subnet goes to the active node, all else by this host’s own', async () => {
  const places = new Map<string, string>();
  const bed = createPlanBed({ gateways: { hostOf: (id) => places.get(id), isCutOff: () => false } });
  await bed.plan(...world([central(2)]));
  const routes = (): readonly string[] =>
    shown(bed, 'cb_route_2', 'destination').filter((one) => !one.endsWith('connected'));
  assert.deepEqual(shown(bed, 'cb_exit_1', 'source'), [
    '0.0.0.0/0 by 10.0.0.5',
    '10.0.1.0/24 by 10.0.0.6',
    '::/0 by nobody',
  ]);
  assert.deepEqual(routes(), ['0.0.0.0/0 by by source', '192.0.2.2 by 10.0.0.5', '::/0 by by source']);

  places.set(sampleId('sub', 2), 'h1');
  await bed.planner.update([], [], [], [sampleId('sub', 2)], []);
  assert.equal(shown(bed, 'cb_exit_1', 'source')[1], '10.0.1.0/24 by 10.0.0.5', 'this host has taken the place');
  places.set(sampleId('sub', 2), '');
  await bed.planner.update([], [], [], [sampleId('sub', 2)], []);
  assert.equal(shown(bed, 'cb_exit_1', 'source')[1], '10.0.1.0/24 by nobody', 'by nobody, and by no other');

  await bed.plan(...world([]));
  assert.deepEqual(shown(bed, 'cb_exit_1', 'source'), []);
  assert.deepEqual(routes(), ['0.0.0.0/0 by 10.0.0.5'], 'as without any');
});

test('nodes that are none any more, and hosts that are none, lead nowhere; other routers’ ways are theirs', async () => {
  const bed = createPlanBed();
  await bed.plan(...world([central(2, [{ host: 'h9', underlay: '192.0.2.9' }]), central(3, [])]));
  assert.deepEqual(shown(bed, 'cb_exit_1', 'source').slice(1, 3), ['10.0.1.0/24 by nobody', '10.0.2.0/24 by nobody']);
  await bed.plan(...world([central(2)], { more: { routes: [{ destination: '0.0.0.0/0', nexthop: '10.0.1.9' }] } }));
  assert.ok(shown(bed, 'cb_route_2', 'destination').includes('0.0.0.0/0 by 10.0.1.9'), 'its own default route wins');
  await bed.plan(...world([central(2)], { ports: [] }));
  assert.deepEqual(shown(bed, 'cb_exit_1', 'source'), [], 'this host is no node');
});

test('a leg leaves as the subnet in which its pod is in its VPC', async () => {
  const [pod, leg] = [
    samplePort(7, {
      ...{ deviceOwner: 'kubernetes:pod', deviceId: 'uid-1:vpc0', networkId: sampleId('net', 4) },
      fixedIps: [{ subnetId: sampleId('sub', 4), ipAddress: '10.0.3.7' }],
    }),
    samplePort(8, {
      ...{ deviceOwner: 'kubernetes:leg', deviceId: 'uid-1:eth0', networkId: sampleId('net', 3) },
      fixedIps: [
        { subnetId: sampleId('sub', 3), ipAddress: '10.0.2.8' },
        { subnetId: sampleId('sub', 3), ipAddress: '2001:db8::8' },
      ],
    }),
  ];
  const bed = createPlanBed();
  const legs = async (...args: Parameters<typeof world>): Promise<readonly string[]> => {
    await bed.plan(...world(...args));
    return shown(bed, 'cb_exit_1', 'source').filter((one) => !one.includes('/0 '));
  };
  assert.deepEqual(await legs([central(4)], { ports: [NODE, pod, leg] }), ['10.0.2.8 by 10.0.0.6'], 'of IPv4 alone');
  assert.deepEqual(await legs([central(4)], { ports: [NODE, leg] }), [], 'nothing is known of its pod');
  assert.deepEqual(await legs([central(2)], { ports: [NODE, pod, leg] }), ['10.0.1.0/24 by 10.0.0.6']);
});

test('hosts that may be the way outside of a subnet are asked by all others, and ask them', async () => {
  const bed = createPlanBed();
  const probes = async (hosts: CentralizedSubnet['hosts']): Promise<number> => {
    await bed.plan(...world([central(4, hosts)]));
    const peers = [...bed.planner.entries.of('cb_peer_2').values()];
    return peers.filter(({ value }) => (cbPeer.decode(textBytes(value)).flags & CB_PEER_F_PROBE) !== 0).length;
  };
  assert.equal(await probes(HOSTS), 1);
  assert.equal(await probes(HOSTS.slice(0, 1)), 0, 'of one alone nothing is to be decided');
});
