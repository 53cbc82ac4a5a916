import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LocalPort, PolicyRule } from '@cable/model';
import { AGENT_MAPS } from '../desired.ts';
import {
  type SampleSlice,
  sampleEndpoint,
  sampleGroup,
  sampleHost,
  sampleId,
  sampleMac,
  sampleNetwork,
  samplePolicy,
  samplePort,
  sampleRouter,
  sampleRule,
} from '../plan/testing/sample.ts';
import { MAP_SIZES } from './room.ts';
import { createFakeDataPlane, type FakeDataPlane } from './testing/fake-data-plane.ts';
import { createReconcileBed, type ReconcileBed } from './testing/reconcile-bed.ts';

const OWN = samplePort(5, { policy: 'policy:p' });
const AWAY = samplePort(6);
const GROUP_RULE = sampleRule(1, { protocol: 6, remote: { kind: 'group', groupId: 'g' } });
const MEMBER = { portId: AWAY.id, networkId: sampleId('net', 1), addresses: ['10.0.0.6'] };

type Cloud = {
  readonly ports?: readonly LocalPort[];
  readonly rules?: readonly PolicyRule[];
  readonly members?: readonly (typeof MEMBER)[];
  readonly underlay?: string;
  readonly routes?: readonly { readonly destination: string; readonly nexthop: string }[];
};

function cloud(fields: Cloud = {}): SampleSlice[] {
  return [
    sampleHost('h1', fields.ports ?? [OWN]),
    ...sampleNetwork(1, {}, [
      sampleEndpoint(OWN, 'h1', '192.0.2.1'),
      sampleEndpoint(AWAY, 'h2', fields.underlay ?? '192.0.2.2'),
    ]),
    ...sampleNetwork(2),
    sampleRouter(1, [1, 2], { routes: fields.routes ?? [] }),
    samplePolicy('p', fields.rules ?? [GROUP_RULE]),
    samplePolicy('q', [sampleRule(9, {})]),
    sampleGroup('g', fields.members ?? [MEMBER]),
  ];
}

type Bed = ReconcileBed & { readonly plane: FakeDataPlane };

function createBed(sizes = MAP_SIZES, plane = createFakeDataPlane()): Bed {
  const bed = Object.assign(createReconcileBed(plane, sizes), { plane });
  plane.setDevice(50, true);
  bed.plug(OWN, 50);
  return bed;
}

/** The kernel holds exactly what is desired. */
function assertAsDesired({ plane, planner }: Bed): void {
  for (const map of AGENT_MAPS) {
    const wanted = new Map([...planner.entries.of(map)].map(([key, { value }]) => [key, value] as const));
    const held = new Map([...plane.entries(map)].map(([key, { value }]) => [key, value] as const));
    assert.deepEqual(held, wanted, map);
  }
}

test('everything comes in an order that the data plane accepts, and goes again to the last entry', async () => {
  const bed = createBed();
  const first = await bed.apply(cloud());
  assert.ok(first.puts > 10);
  assertAsDesired(bed);
  const commands = bed.plane.takeCommands();
  assert.match(
    commands.find((command) => !command.includes('cb_stat_1')) ?? '',
    /^tc filter replace dev 50 ingress bpf da enter_vif/,
  );
  assert.match(commands.at(-2) ?? '', /cb_vif_1/);
  assert.match(commands.at(-1) ?? '', /cb_prog_1 revision 1 commit 1/);
  bed.plug(OWN, null);
  const last = await bed.apply([]);
  assert.equal(last.deletes, first.puts);
  assertAsDesired(bed);
  const removal = bed.plane.takeCommands();
  assert.equal(removal[0], 'bpftool map update cb_prog_1 revision 2 commit 2');
  assert.deepEqual(removal.slice(-3), [
    'bpftool map update cb_conf_1 epoch 2',
    'bpftool map delete cb_stat_1 key 50',
    'delete flows of 50',
  ]);
  assert.deepEqual([...bed.plane.listStats()], [0]);
});

test('a restart with the same state writes nothing, and neither does a round without a change', async () => {
  const bed = createBed();
  await bed.apply(cloud());
  bed.plane.takeCommands();
  const state = { revision: 1, state: 7n, commit: 1 };
  for (const again of ['round', 'restart'] as const) {
    if (again === 'restart') bed.restart();
    const result = await bed.apply(cloud(), { state });
    assert.deepEqual(bed.plane.takeCommands(), [], again);
    assert.deepEqual(result, {
      ...{ puts: 0, deletes: 0, epochRaised: false, moved: [] },
      ...{ ports: new Set(), policies: new Set() },
    });
  }
});

test('without prune nothing is deleted that an earlier run may have had reason for, but what this run knows as stale is', async () => {
  const { plane, ...first } = createBed();
  await first.apply(cloud());
  const bed = createBed(MAP_SIZES, plane);
  const unsynced = { prune: false };
  assert.equal((await bed.apply([], unsynced)).deletes, 0);
  assert.equal((await bed.apply(cloud(), unsynced)).puts, 0);
  assertAsDesired(bed);
  bed.plug(OWN, null);
  assert.ok((await bed.apply(cloud(), unsynced)).deletes > 0);
  assert.equal(bed.plane.entries('cb_vif_1').size, 0);
  assert.equal(bed.plane.entries('cb_peer_1').size, 1);
  bed.restart();
  await bed.apply([], unsynced);
  assert.equal(bed.plane.entries('cb_peer_1').size, 1);
  await bed.apply([]);
  assertAsDesired(bed);
});

test('the epoch rises when a decision may change and not when something is only added', async () => {
  const bed = createBed();
  const raised = async (fields: Cloud): Promise<boolean> => (await bed.apply(cloud(fields))).epochRaised;
  assert.equal(await raised({ members: [] }), false, 'first programming');
  assert.equal(await raised({}), false, 'a member more');
  assert.equal(await raised({ rules: [GROUP_RULE, sampleRule(2, { protocol: 17 })] }), false, 'a rule more');
  assert.equal(await raised({}), true, 'a rule less');
  assert.equal(await raised({ members: [] }), true, 'a member less');
  assert.equal(await raised({ members: [], underlay: '192.0.2.9' }), true, 'an endpoint moved');
  const routes = [{ destination: '10.0.1.128/25', nexthop: '10.0.0.6' }];
  assert.equal(await raised({ members: [], underlay: '192.0.2.9', routes }), true, 'a route more');
  bed.restart();
  const more = [...routes, { destination: '10.0.1.192/26', nexthop: '10.0.0.6' }];
  assert.equal(
    await raised({ members: [], underlay: '192.0.2.9', routes: more }),
    true,
    'a route more after a restart',
  );
});

test('a class gets its new rules before an address points at it, and loses the old ones after', async () => {
  const bed = createBed();
  await bed.apply(cloud());
  bed.plane.takeCommands();
  await bed.apply(cloud({ rules: [sampleRule(1, { protocol: 6, remote: { kind: 'prefix', cidr: '10.0.0.6/32' } })] }));
  const kinds = bed.plane.takeCommands().map((command) => command.split(' ').slice(2, 4).join(' '));
  assert.deepEqual(kinds, [
    'update cb_prog_1',
    'update cb_conf_1',
    'update cb_rule_1',
    'update cb_class_1',
    'delete cb_rule_1',
    'update cb_conf_1',
  ]);
});

test('what revokes goes first: a policy that loses a rule before another port is put', async () => {
  const bed = createBed();
  const other = samplePort(7, { policy: 'policy:q' });
  bed.plane.setDevice(51, true);
  bed.plug(other, 51);
  await bed.apply(cloud({ rules: [GROUP_RULE, sampleRule(2, { protocol: 17 })] }));
  bed.plane.takeCommands();
  await bed.apply(cloud({ ports: [OWN, other] }));
  const writes = bed.plane
    .takeCommands()
    .filter((command) => /map (update|delete) cb_(?!conf|prog|stat)/.test(command));
  assert.match(writes[0] ?? '', /delete cb_rule_1/);
});

test('a policy that nobody has any more stays until the VIF that had it has another one', async () => {
  const bed = createBed();
  await bed.apply(cloud());
  bed.plane.takeCommands();
  await bed.apply(cloud({ ports: [{ ...OWN, policy: 'policy:q' }] }));
  const commands = bed.plane.takeCommands();
  const at = (pattern: RegExp): number => commands.findIndex((command) => pattern.test(command));
  assert.ok(at(/update cb_vif_1/) >= 0 && at(/update cb_vif_1/) < at(/delete cb_class_1/), commands.join('\n'));
  assertAsDesired(bed);
});

test('a device that vanished before it was attached is a failure of its port alone, until it is there', async () => {
  const bed = createBed();
  bed.plane.setDevice(50, false);
  const result = await bed.apply(cloud());
  assert.deepEqual([...result.ports], [OWN.id]);
  assert.match(bed.reconciler.portFailure(OWN.id) ?? '', /cannot attach to tap00000005-70: .*ENODEV/);
  assert.equal(bed.plane.entries('cb_vif_1').size, 0);
  assert.equal(bed.plane.entries('cb_peer_1').size, 1);
  assert.equal(bed.reconciler.unfinished, true);
  bed.plane.setDevice(50, true);
  assert.deepEqual([...(await bed.apply(cloud(), { retry: true })).ports], [OWN.id]);
  assert.equal(bed.reconciler.unfinished, false);
  assertAsDesired(bed);
});

test('a program that somebody took off comes back with the next round of its port', async () => {
  const bed = createBed();
  await bed.apply(cloud());
  bed.plane.takeCommands();
  const ports = new Set(bed.reconciler.restore(50));
  assert.deepEqual([...ports], [OWN.id]);
  await bed.apply(cloud(), { ports, state: { revision: 1, state: 7n, commit: 1 } });
  assert.deepEqual(bed.plane.takeCommands(), ['tc filter replace dev 50 ingress bpf da enter_vif']);
});

test('regression: a full map fails the port that has no room, and nothing else waits for it', async () => {
  const bed = createBed();
  const greedy = samplePort(7, {
    policy: 'policy:q',
    allowedAddressPairs: Array.from({ length: 9 }, (_, i) => ({ ipAddress: `10.9.0.${i}`, macAddress: sampleMac(7) })),
  });
  bed.plane.setDevice(51, true);
  bed.plug(greedy, 51);
  bed.plane.limit('cb_source_1', 5);
  await bed.apply(cloud({ rules: [GROUP_RULE, sampleRule(2, { protocol: 17 })] }));
  const result = await bed.apply(cloud({ ports: [OWN, greedy] }));
  assert.deepEqual([...result.ports], [greedy.id]);
  assert.match(
    bed.reconciler.portFailure(greedy.id) ?? '',
    /^map cb_source_1 is full \(65536 entries\): use fewer allowed address pairs/,
  );
  assert.equal(bed.reconciler.portFailure(OWN.id), undefined);
  assert.equal(
    bed.plane.entries('cb_rule_1').size,
    bed.planner.entries.of('cb_rule_1').size,
    'the revoked rule is gone',
  );
  assert.equal(bed.plane.entries('cb_vif_1').size, 1, 'a port without its sources is not programmed');
  const fewer = { ...greedy, allowedAddressPairs: greedy.allowedAddressPairs.slice(0, 3) };
  assert.deepEqual([...(await bed.apply(cloud({ ports: [OWN, fewer] }))).ports], [greedy.id]);
  assert.equal(bed.reconciler.portFailure(greedy.id), undefined);
  assertAsDesired(bed);
});

test('an entry that was refused is put when deletes of the same round made room', async () => {
  const bed = createBed();
  bed.plane.limit('cb_vif_1', 1);
  await bed.apply(cloud());
  const other = samplePort(7, { policy: 'policy:q' });
  bed.plane.setDevice(51, true);
  bed.plug(other, 51);
  // The old VIF's entry is of an earlier run, so it goes last.
  bed.restart();
  await bed.apply(cloud({ ports: [other] }));
  assert.equal(bed.reconciler.portFailure(other.id), undefined);
  assertAsDesired(bed);
});

test('a refused entry is tried again when asked, and at once when the kernel lacks memory for a moment', async () => {
  const bed = createBed();
  bed.plane.failPuts('cb_peer_1', 'ENOMEM', 2);
  bed.plane.failPuts('cb_ep_1', 'ENOSPC', 1);
  await bed.apply(cloud());
  assert.equal(bed.plane.entries('cb_peer_1').size, 1);
  assert.deepEqual(
    bed.reconciler.otherFailures().map(({ map }) => map),
    ['cb_ep_1', 'cb_mac_1'],
  );
  assert.equal(bed.reconciler.unfinished, true);
  await bed.apply(cloud(), { retry: true });
  assert.deepEqual(bed.reconciler.otherFailures(), []);
  assertAsDesired(bed);
});

test('what a refused entry would replace does not stay', async () => {
  const bed = createBed();
  await bed.apply(cloud());
  bed.plane.failPuts('cb_ep_1', 'ENOMEM', 99);
  await bed.apply(cloud({ underlay: '192.0.2.9' }));
  const held = [...bed.plane.entries('cb_ep_1').keys()];
  assert.ok(
    held.every((key) => !key.endsWith('\x0a\0\0\x06')),
    'the endpoint is where it was',
  );
  bed.plane.failPuts('cb_ep_1', '', 0);
  await bed.apply(cloud({ underlay: '192.0.2.9' }), { retry: true });
  assertAsDesired(bed);
});

test('an address that another port has now is told with the round that writes it, also after it was nobody’s', async () => {
  const bed = createBed();
  await bed.apply(cloud());
  const other = (n: number) => [
    ...cloud().filter(({ key }) => key !== `endpoints:${sampleId('net', 1)}`),
    ...sampleNetwork(1, {}, [{ ...sampleEndpoint(samplePort(n), 'h2', '192.0.2.2'), ipAddresses: ['10.0.0.6'] }]).slice(
      1,
    ),
  ];
  const told = async (slices: readonly SampleSlice[]) =>
    (await bed.apply(slices)).moved.map(({ mac }) => Buffer.from(mac).toString('hex'));
  assert.deepEqual(await told(other(7)), ['fa163e000007']);
  assert.deepEqual(await told(other(7)), []);
  assert.deepEqual(await told(cloud().filter(({ key }) => key !== `endpoints:${sampleId('net', 1)}`)), []);
  assert.deepEqual(await told(other(8)), ['fa163e000008']);
  bed.restart();
  assert.deepEqual(await told(other(9)), ['fa163e000009'], 'of what a restarted agent finds');
});

test('a policy that is refused is the failure of the policy, with map and remedy', async () => {
  const bed = createBed();
  bed.plane.limit('cb_class_1', 1);
  const members = [MEMBER, { ...MEMBER, portId: sampleId('port', 8), addresses: ['10.0.0.8'] }];
  const result = await bed.apply(cloud({ members }));
  const name = `policy:p@${sampleId('net', 1)}`;
  assert.deepEqual([...result.policies], [name]);
  assert.match(bed.reconciler.policyFailure(name) ?? '', /^map cb_class_1 is full .*: use smaller remote groups/);
  assert.equal((await bed.apply(cloud())).policies.has(name), true);
  assert.equal(bed.reconciler.policyFailure(name), undefined);
});

test('no project takes more than half of a map, also after a restart, and another finds room', async () => {
  const bed = createBed({ ...MAP_SIZES, cb_source_1: 8 });
  const port = (n: number, projectId: string, pairs: number): LocalPort =>
    samplePort(n, {
      projectId,
      policy: 'policy:p',
      allowedAddressPairs: Array.from({ length: pairs }, (_, i) => ({
        ipAddress: `10.${n}.0.${i}`,
        macAddress: sampleMac(n),
      })),
    });
  const ports = [port(5, 'a', 3), port(7, 'a', 1), port(8, 'b', 3)];
  for (const [i, one] of ports.entries()) {
    bed.plane.setDevice(50 + i, true);
    bed.plug(one, 50 + i);
  }
  for (const again of [false, true]) {
    if (again) bed.restart();
    await bed.apply(cloud({ ports }));
    assert.match(
      bed.reconciler.portFailure(sampleId('port', 7)) ?? '',
      /^project a has half of map cb_source_1 \(4 entries\)/,
    );
    assert.equal(bed.reconciler.portFailure(sampleId('port', 8)), undefined);
  }
  await bed.apply(cloud({ ports: ports.slice(1) }));
  assert.equal(bed.reconciler.portFailure(sampleId('port', 7)), undefined);
  assertAsDesired(bed);
});

test('a host without a state of its own keeps most of its ports until it is told that they may go', async () => {
  const bed = createBed();
  const ports = Array.from({ length: 12 }, (_, n) => samplePort(100 + n, { policy: 'policy:p' }));
  for (const [n, port] of ports.entries()) {
    bed.plane.setDevice(200 + n, true);
    bed.plug(port, 200 + n);
  }
  const full = [sampleHost('h1', [OWN, ...ports]), ...cloud().slice(1)];
  bed.reconciler.prune();
  await bed.apply(full);
  bed.restart();
  await bed.apply(cloud());
  assert.deepEqual(bed.reconciler.unknownVifs, { absent: 12, of: 13 });
  assert.equal(bed.plane.entries('cb_vif_1').size, 13);
  await bed.apply(cloud({ members: [] }));
  assert.equal(bed.plane.entries('cb_vif_1').size, 13, 'other changes go on');
  bed.reconciler.prune();
  await bed.apply(cloud());
  assert.equal(bed.reconciler.unknownVifs, null);
  assertAsDesired(bed);
  bed.restart();
  await bed.apply(full);
  bed.restart();
  await bed.apply([sampleHost('h1', [OWN, ...ports.slice(0, 6)]), ...cloud().slice(1)]);
  assert.equal(bed.reconciler.unknownVifs, null, 'not most of them');
  assert.equal(bed.plane.entries('cb_vif_1').size, 7);
});

test('a round that may not write attaches programs and leaves the maps as they are', async () => {
  const bed = createBed();
  await bed.apply(cloud(), { write: false });
  assert.equal(bed.plane.listAttached().has(50), true);
  for (const map of AGENT_MAPS) assert.equal(bed.plane.entries(map).size, 0, map);
  assert.deepEqual(bed.plane.readProgrammed(), { revision: 0, state: 0n, commit: 0 });
  await bed.apply(cloud());
  assertAsDesired(bed);
});

for (const died of ['killed', 'failed'] as const) {
  test(`flows are decided again when the agent ${died === 'killed' ? 'was killed' : 'failed'} between a revocation and the epoch`, async () => {
    const bed = createBed();
    await bed.apply(cloud());
    const before = bed.plane.readEpoch();
    const { deleteEntry } = bed.plane;
    bed.plane.deleteEntry = (map, entry) => {
      deleteEntry(map, entry);
      throw new Error('the end');
    };
    await assert.rejects(bed.apply(cloud({ members: [] })), /the end/);
    assert.equal(bed.plane.readProgrammed().commit, 2, 'an older state must not be put over what is begun');
    bed.plane.deleteEntry = deleteEntry;
    if (died === 'killed') bed.restart();
    await bed.apply(cloud({ members: [] }));
    const after = bed.plane.readEpoch();
    assert.ok(
      after > before + 1,
      `${after} is not above ${before + 1}, which flows may have by a decision of meanwhile`,
    );
    assert.equal((await bed.apply(cloud({ members: [] }))).epochRaised, false);
    assert.equal(bed.plane.readEpoch(), after);
    assertAsDesired(bed);
  });
}

test('a port with a device but a broken policy stays attached and unprogrammed', async () => {
  const bed = createBed();
  await bed.apply(cloud().filter(({ key }) => key !== 'policy:p'));
  assert.equal(bed.plane.listAttached().has(50), true);
  assert.equal(bed.plane.entries('cb_vif_1').size, 0);
});
