import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LocalPort, PolicyRule } from '@cable/model';
import { cbNet, cbVif, MAPS } from '../bpf/abi.gen.ts';
import { arrayIndex, textBytes } from '../bpf/codec.ts';
import { AGENT_MAPS, type AgentMap } from '../desired.ts';
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

/** What a map holds, in the form in which it is desired. */
function heldAs(plane: FakeDataPlane, map: AgentMap): ReadonlyMap<string, string> {
  const held = new Map<string, string>();
  for (const { key, value } of plane.entries(map).values()) {
    if (map === 'cb_flood_2') held.set(desiredFlood(plane, key), value);
    else if (map !== 'cb_vif_2' && map !== 'cb_net_1') held.set(key, value);
    else if (!value.startsWith('\0'.repeat(16))) held.set(key, desiredRow(map, value));
  }
  return held;
}

function desiredRow(map: 'cb_vif_2' | 'cb_net_1', value: string): string {
  const bytes = textBytes(value);
  if (map === 'cb_vif_2') return cbVif.text({ ...cbVif.decode(bytes), epoch: 0 });
  return cbNet.text({ ...cbNet.decode(bytes), epoch: 0, floodList: 0, floodChunks: 0 });
}

function desiredFlood(plane: FakeDataPlane, key: string): string {
  const { net, list, chunk, purpose } = MAPS.cb_flood_2.key.decode(textBytes(key));
  const row = plane.entries('cb_net_1').get(arrayIndex.text(net));
  const { floodList, floodChunks } = cbNet.decode(textBytes(row?.value ?? ''));
  assert.ok(list === floodList && chunk < floodChunks, `chunk ${chunk} of list ${list} of network ${net} counts`);
  return MAPS.cb_flood_2.key.text({ net, list: 0, purpose, chunk });
}

/** Epochs of rows that somebody has, by map and number. */
function epochsOf(plane: FakeDataPlane): ReadonlyMap<string, number> {
  const epochs = new Map<string, number>();
  for (const map of ['cb_net_1', 'cb_vif_2'] as const) {
    for (const { key, value } of plane.entries(map).values()) {
      const { epoch } = (map === 'cb_vif_2' ? cbVif : cbNet).decode(textBytes(value));
      if (!value.startsWith('\0'.repeat(16))) epochs.set(`${map} ${arrayIndex.decode(textBytes(key))}`, epoch);
    }
  }
  return epochs;
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
    assert.deepEqual(heldAs(plane, map), wanted, map);
  }
}

test('everything comes in an order that the data plane accepts, and goes again to the last entry', async () => {
  const bed = createBed();
  const first = await bed.apply(cloud());
  assert.ok(first.puts > 10);
  assertAsDesired(bed);
  const commands = bed.plane.takeCommands();
  assert.match(commands[0] ?? '', /^tc filter replace dev 50 ingress bpf da enter_vif/);
  const steps = commands
    .filter((command) => /cb_(vif|net|peer|in)_/.test(command))
    .map((command) => command.split(' ')[3]);
  const two = (map: string): string[] => [map, map];
  assert.deepEqual(steps, [
    // The epoch and the fields of two networks and a VIF, what leads to them, then the epochs again.
    ...[...two('cb_net_1'), ...two('cb_net_1'), ...two('cb_vif_2'), 'cb_peer_2', 'cb_in_1'],
    ...['cb_net_1', 'cb_net_1', 'cb_vif_2'],
  ]);
  assert.match(commands.at(-1) ?? '', /cb_prog_2 revision 1 commit 1/);
  bed.plug(OWN, null);
  const last = await bed.apply([]);
  assert.equal(last.deletes, first.puts);
  assertAsDesired(bed);
  const removal = bed.plane.takeCommands();
  assert.equal(removal[0], 'bpftool map update cb_prog_2 revision 2 commit 2');
  const firstDelete = removal.findIndex((command) => command.includes('map delete'));
  const raised = removal.slice(1, firstDelete).map((command) => command.split(' ')[3]);
  assert.deepEqual(raised.slice(0, 3), ['cb_vif_2', 'cb_net_1', 'cb_net_1'], 'epochs are odd before anything goes');
  assert.deepEqual(removal.slice(-3).sort(), [
    'end flows of network 1',
    'end flows of network 2',
    'end flows of vif 1',
  ]);
  assert.equal(bed.plane.listAttached().size, 0);
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
      ...{ puts: 0, deletes: 0, raised: 0, moved: [] },
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
  assert.equal(heldAs(bed.plane, 'cb_vif_2').size, 0);
  assert.equal(bed.plane.entries('cb_tunnel_1').size, 1);
  bed.restart();
  await bed.apply([], unsynced);
  assert.equal(bed.plane.entries('cb_tunnel_1').size, 1);
  await bed.apply([]);
  assertAsDesired(bed);
});

test('epochs rise of whom a changed decision is about, and none when something is only added', async () => {
  const bed = createBed();
  const raised = async (fields: Cloud): Promise<string[]> => {
    const before = epochsOf(bed.plane);
    const { raised: count } = await bed.apply(cloud(fields));
    const rows = [...epochsOf(bed.plane)].filter(([row, epoch]) => before.has(row) && before.get(row) !== epoch);
    assert.equal(count, rows.length);
    for (const [row, epoch] of rows) assert.equal(epoch, (before.get(row) ?? 0) + 2, row);
    return rows.map(([row]) => row);
  };
  assert.deepEqual(await raised({ members: [] }), [], 'first programming');
  assert.deepEqual(await raised({}), [], 'a member more');
  assert.deepEqual(await raised({ rules: [GROUP_RULE, sampleRule(2, { protocol: 17 })] }), [], 'a rule more');
  assert.deepEqual(await raised({}), ['cb_vif_2 1'], 'a rule less');
  assert.deepEqual(await raised({ members: [] }), ['cb_vif_2 1'], 'a member less');
  assert.deepEqual(await raised({ members: [], underlay: '192.0.2.9' }), ['cb_net_1 1'], 'an endpoint moved');
  const routes = [{ destination: '10.0.1.128/25', nexthop: '10.0.0.6' }];
  const joined = ['cb_net_1 1', 'cb_net_1 2'];
  assert.deepEqual(await raised({ members: [], underlay: '192.0.2.9', routes }), joined, 'a route more');
  bed.restart();
  const more = [...routes, { destination: '10.0.1.192/26', nexthop: '10.0.0.6' }];
  const fields = { members: [], underlay: '192.0.2.9' };
  assert.deepEqual(await raised({ ...fields, routes: more }), joined, 'a route more after a restart');
});

test('a class gets its new rules before an address points at it, and loses the old ones after', async () => {
  const bed = createBed();
  await bed.apply(cloud());
  bed.plane.takeCommands();
  await bed.apply(cloud({ rules: [sampleRule(1, { protocol: 6, remote: { kind: 'prefix', cidr: '10.0.0.6/32' } })] }));
  const kinds = bed.plane.takeCommands().map((command) => command.split(' ').slice(2, 4).join(' '));
  assert.deepEqual(kinds, [
    'update cb_prog_2',
    'update cb_vif_2',
    'update cb_rule_1',
    'update cb_class_1',
    'delete cb_rule_1',
    'update cb_vif_2',
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
  const writes = bed.plane.takeCommands().filter((command) => /map (update|delete) cb_(?!prog|vif|net)/.test(command));
  assert.match(writes[0] ?? '', /delete cb_rule_1/);
});

test('a policy that nobody has any more stays until the VIF that had it has another one', async () => {
  const bed = createBed();
  await bed.apply(cloud());
  bed.plane.takeCommands();
  await bed.apply(cloud({ ports: [{ ...OWN, policy: 'policy:q' }] }));
  const commands = bed.plane.takeCommands();
  const writes = commands
    .filter((command) => /cb_(vif_2|class_1)/.test(command))
    .map((command) => command.split(' ', 4).join(' '));
  const [vif, gone] = ['bpftool map update cb_vif_2', 'bpftool map delete cb_class_1'];
  assert.deepEqual(writes, [vif, vif, gone, vif], commands.join('\n'));
  assertAsDesired(bed);
});

test('a device that vanished before it was attached is a failure of its port alone, until it is there', async () => {
  const bed = createBed();
  bed.plane.setDevice(50, false);
  const result = await bed.apply(cloud());
  assert.deepEqual([...result.ports], [OWN.id]);
  assert.match(bed.reconciler.portFailure(OWN.id) ?? '', /cannot attach to tap00000005-70: .*ENODEV/);
  assert.equal(bed.plane.entries('cb_vif_2').size, 0);
  assert.equal(bed.plane.entries('cb_in_1').size, 0);
  assert.equal(bed.plane.entries('cb_peer_2').size, 1);
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
  bed.plane.limit('cb_source_2', 7);
  await bed.apply(cloud({ rules: [GROUP_RULE, sampleRule(2, { protocol: 17 })] }));
  const result = await bed.apply(cloud({ ports: [OWN, greedy] }));
  assert.deepEqual([...result.ports], [greedy.id]);
  assert.match(
    bed.reconciler.portFailure(greedy.id) ?? '',
    /^map cb_source_2 is full \(65536 entries\): use fewer allowed address pairs/,
  );
  assert.equal(bed.reconciler.portFailure(OWN.id), undefined);
  assert.equal(
    bed.plane.entries('cb_rule_1').size,
    bed.planner.entries.of('cb_rule_1').size,
    'the revoked rule is gone',
  );
  assert.equal(heldAs(bed.plane, 'cb_vif_2').size, 1, 'a port without its sources is not programmed');
  const fewer = { ...greedy, allowedAddressPairs: greedy.allowedAddressPairs.slice(0, 3) };
  assert.deepEqual([...(await bed.apply(cloud({ ports: [OWN, fewer] }))).ports], [greedy.id]);
  assert.equal(bed.reconciler.portFailure(greedy.id), undefined);
  assertAsDesired(bed);
});

test('an entry that was refused is put when deletes of the same round made room', async () => {
  const bed = createBed();
  bed.plane.limit('cb_in_1', 1);
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
  bed.plane.failPuts('cb_peer_2', 'ENOMEM', 2);
  bed.plane.failPuts('cb_ep_2', 'ENOSPC', 1);
  await bed.apply(cloud());
  assert.equal(bed.plane.entries('cb_peer_2').size, 1);
  assert.deepEqual(
    bed.reconciler.otherFailures().map(({ map }) => map),
    ['cb_ep_2', 'cb_mac_2'],
  );
  assert.equal(bed.reconciler.unfinished, true);
  await bed.apply(cloud(), { retry: true });
  assert.deepEqual(bed.reconciler.otherFailures(), []);
  assertAsDesired(bed);
});

test('what a refused entry would replace does not stay', async () => {
  const bed = createBed();
  await bed.apply(cloud());
  bed.plane.failPuts('cb_ep_2', 'ENOMEM', 99);
  await bed.apply(cloud({ underlay: '192.0.2.9' }));
  const held = [...bed.plane.entries('cb_ep_2').keys()];
  assert.ok(
    held.every((key) => !key.endsWith('\x0a\0\0\x06')),
    'the endpoint is where it was',
  );
  bed.plane.failPuts('cb_ep_2', '', 0);
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
  const bed = createBed({ ...MAP_SIZES, cb_source_2: 10 });
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
      /^project a has half of map cb_source_2 \(5 entries\)/,
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
  assert.equal(heldAs(bed.plane, 'cb_vif_2').size, 13);
  await bed.apply(cloud({ members: [] }));
  assert.equal(heldAs(bed.plane, 'cb_vif_2').size, 13, 'other changes go on');
  bed.reconciler.prune();
  await bed.apply(cloud());
  assert.equal(bed.reconciler.unknownVifs, null);
  assertAsDesired(bed);
  bed.restart();
  await bed.apply(full);
  bed.restart();
  await bed.apply([sampleHost('h1', [OWN, ...ports.slice(0, 6)]), ...cloud().slice(1)]);
  assert.equal(bed.reconciler.unknownVifs, null, 'not most of them');
  assert.equal(heldAs(bed.plane, 'cb_vif_2').size, 7);
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
    const before = epochsOf(bed.plane).get('cb_vif_2 1') ?? 0;
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
    const after = epochsOf(bed.plane).get('cb_vif_2 1');
    assert.equal(after, before + 2, 'under the odd epoch between nothing was remembered');
    assert.equal((await bed.apply(cloud({ members: [] }))).raised, 0);
    assert.equal(epochsOf(bed.plane).get('cb_vif_2 1'), after);
    assertAsDesired(bed);
  });
}

test('a port with a device but a broken policy stays attached and unprogrammed', async () => {
  const bed = createBed();
  await bed.apply(cloud().filter(({ key }) => key !== 'policy:p'));
  assert.equal(bed.plane.listAttached().has(50), true);
  assert.equal(bed.plane.entries('cb_vif_2').size, 0);
});

test('a rule less of one policy is decided again for the ports that have it, and for no others', async () => {
  const bed = createBed();
  const ports = [OWN, samplePort(7, { policy: 'policy:q' }), samplePort(8, { policy: 'policy:p' })];
  for (const [i, port] of ports.entries()) {
    bed.plane.setDevice(50 + i, true);
    bed.plug(port, 50 + i);
  }
  await bed.apply(cloud({ ports, rules: [GROUP_RULE, sampleRule(2, { protocol: 17 })] }));
  const before = epochsOf(bed.plane);
  await bed.apply(cloud({ ports }));
  const raised = [...epochsOf(bed.plane)].filter(([row, epoch]) => before.get(row) !== epoch).map(([row]) => row);
  const idOf = (port: LocalPort | undefined): string => `cb_vif_2 ${bed.planner.vifs.get(port?.id ?? '')?.vif}`;
  assert.deepEqual(raised.sort(), [idOf(ports[0]), idOf(ports[2])].sort());
});

test('a flood list that changed is written whole beside the one that counts, then counts, then the old one goes', async () => {
  const bed = createBed();
  const away = (n: number) =>
    Array.from({ length: n }, (_, i) => sampleEndpoint(samplePort(20 + i), `x${i}`, `192.0.2.${i + 10}`));
  const slices = (n: number) => [sampleHost('h1', [OWN]), ...sampleNetwork(1, {}, away(n)), samplePolicy('p', [])];
  await bed.apply(slices(40));
  assertAsDesired(bed);
  const net = (): { readonly floodList: number; readonly floodChunks: number; readonly epoch: number } =>
    cbNet.decode(textBytes(bed.plane.entries('cb_net_1').get(arrayIndex.text(1))?.value ?? ''));
  const before = net();
  assert.equal(before.floodChunks, 2);
  bed.plane.takeCommands();
  await bed.apply(slices(41));
  const steps = bed.plane.takeCommands().filter((command) => /cb_(flood|net)/.test(command));
  assert.deepEqual(
    steps.map((command) => command.split(' ').slice(2, 4).join(' ')),
    ['update cb_flood_2', 'update cb_flood_2', 'update cb_net_1', 'delete cb_flood_2', 'delete cb_flood_2'],
  );
  assert.deepEqual([net().floodList, net().floodChunks], [1 - before.floodList, 2]);
  assert.equal(net().epoch, before.epoch, 'no flow rests on a flood list');
  assertAsDesired(bed);
  await bed.apply(slices(3));
  assert.equal(net().floodChunks, 1);
  assertAsDesired(bed);
});

test('what an agent left of a flood list when it was killed goes before the next list counts', async () => {
  const bed = createBed();
  await bed.apply(cloud());
  const list =
    1 - cbNet.decode(textBytes(bed.plane.entries('cb_net_1').get(arrayIndex.text(1))?.value ?? '')).floodList;
  const value = [...bed.plane.entries('cb_flood_2').values()][0]?.value ?? '';
  for (const chunk of [0, 1, 2]) {
    bed.plane.putEntry('cb_flood_2', { key: MAPS.cb_flood_2.key.text({ net: 1, list, purpose: 0, chunk }), value });
  }
  bed.restart();
  await bed.apply(cloud({ underlay: '192.0.2.9' }));
  assertAsDesired(bed);
});

test('a flood list that finds no room is none, until there is', async () => {
  const bed = createBed();
  await bed.apply(cloud());
  bed.plane.limit('cb_flood_2', 0);
  const moved = cloud({ underlay: '192.0.2.9' });
  await bed.apply(moved);
  assert.deepEqual(
    bed.reconciler.otherFailures().map(({ map }) => map),
    ['cb_flood_2'],
  );
  const net = bed.plane.entries('cb_net_1').get(arrayIndex.text(1))?.value ?? '';
  assert.deepEqual([cbNet.decode(textBytes(net)).floodChunks, bed.plane.entries('cb_flood_2').size], [0, 0]);
  bed.plane.limit('cb_flood_2', 1);
  await bed.apply(moved, { retry: true });
  assert.deepEqual(bed.reconciler.otherFailures(), []);
  assertAsDesired(bed);
});

for (const died of [false, true]) {
  test(`a number is given out again without flows and counters of the last owner${died ? ', also when the agent died before it ended them' : ''}`, async () => {
    const bed = createBed();
    const { purge } = bed.plane;
    await bed.apply(cloud());
    assert.match(bed.plane.takeCommands().join('\n'), /reset counters of vif 1/);
    if (died) {
      bed.plane.purge = () => {
        throw new Error('killed');
      };
    }
    await bed.apply([]);
    const gone = bed.plane.takeCommands().filter((command) => /flows of/.test(command));
    assert.equal(gone.length, died ? 0 : 3);
    bed.plane.purge = purge;
    // The planner of a bed gives no number a second time by itself: only a host loop knows that it has gone.
    for (const table of Object.values(bed.ids)) table.settle();
    if (died) bed.restart();
    bed.now.ms += 60_000;
    const other = samplePort(7, { policy: 'policy:q', networkId: sampleId('net', 2), fixedIps: [] });
    bed.plane.setDevice(51, true);
    bed.plug(other, 51);
    await bed.apply(cloud({ ports: [other] }));
    assert.equal(bed.planner.vifs.get(other.id)?.vif, 1);
    const commands = bed.plane.takeCommands().filter((command) => !command.startsWith('bpftool'));
    assert.equal(commands.includes('end flows of vif 1'), died);
    assert.equal(commands.includes('reset counters of vif 1'), true);
    assertAsDesired(bed);
  });
}
