import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '@cable/kit';
import type { PolicyRule, Slice, SliceKey } from '@cable/model';
import type { DesiredState } from '../desired.ts';
import { createPlanner } from '../plan/plan.ts';
import {
  sampleEndpoint,
  sampleGroup,
  sampleHost,
  sampleId,
  sampleNetwork,
  samplePolicy,
  samplePort,
  sampleRouter,
  sampleRule,
  slicesOf,
} from '../plan/sample.ts';
import { createFakeDataPlane } from './fake-data-plane.ts';
import { Reconciler } from './reconciler.ts';

const OWN = samplePort(5, { policy: 'policy:p' });
const AWAY = samplePort(6);
const GROUP_RULE = sampleRule(1, { protocol: 6, remote: { kind: 'group', groupId: 'g' } });
const MEMBER = { portId: AWAY.id, networkId: sampleId('net', 1), addresses: ['10.0.0.6'] };

function cloud(
  fields: { rules?: readonly PolicyRule[]; members?: (typeof MEMBER)[]; underlay?: string } = {},
): Map<SliceKey, Slice> {
  return slicesOf(
    sampleHost('h1', [OWN]),
    sampleNetwork(1, {
      endpoints: [sampleEndpoint(OWN, 'h1', '192.0.2.1'), sampleEndpoint(AWAY, 'h2', fields.underlay ?? '192.0.2.2')],
    }),
    sampleNetwork(2),
    sampleRouter(1, [1, 2]),
    samplePolicy('p', fields.rules ?? [GROUP_RULE]),
    sampleGroup('g', fields.members ?? [MEMBER]),
  );
}

function planned(slices: Map<SliceKey, Slice>, ifindex: number | null = 50): DesiredState {
  const devices = new Map(ifindex === null ? [] : [[OWN.id, { name: 'tap5', ifindex }] as const]);
  return createPlanner('h1')(slices, { host: 'h1', slots: new Map([[OWN.id, 2]]), devices });
}

const EMPTY = (): DesiredState => planned(new Map());
const PRUNE = { prune: true };

test('everything comes in an order that the data plane accepts, and goes again to the last entry', async () => {
  const plane = createFakeDataPlane();
  plane.setDevice(50, true);
  const reconciler = new Reconciler(plane, silentLogger());
  const first = await reconciler.apply(planned(cloud()), PRUNE);
  assert.ok(first.puts > 10);
  const commands = plane.takeCommands();
  assert.match(commands[0] ?? '', /^tc filter replace dev 50 ingress bpf da from_vif/);
  assert.match(commands.at(-1) ?? '', /cb_vif_1/);
  plane.setDevice(50, false);
  const last = await reconciler.apply(EMPTY(), PRUNE);
  assert.equal(last.deletes, first.puts);
  assert.deepEqual(plane.takeCommands().slice(-3), [
    'bpftool map update cb_conf_1 epoch 2',
    'bpftool map delete cb_stat_1 key 50',
    'delete flows of 50',
  ]);
  assert.deepEqual([...plane.listStats()], [0]);
});

test('a restart with the same state writes nothing', async () => {
  const plane = createFakeDataPlane();
  plane.setDevice(50, true);
  await new Reconciler(plane, silentLogger()).apply(planned(cloud()), PRUNE);
  plane.takeCommands();
  const again = await new Reconciler(plane, silentLogger()).apply(planned(cloud()), PRUNE);
  assert.deepEqual(plane.takeCommands(), []);
  assert.deepEqual(again, { puts: 0, deletes: 0, epochRaised: false, failures: new Map() });
});

test('without prune nothing is deleted that an earlier run may have had reason for, but what this run knows as stale is', async () => {
  const plane = createFakeDataPlane();
  plane.setDevice(50, true);
  await new Reconciler(plane, silentLogger()).apply(planned(cloud()), PRUNE);
  const restarted = new Reconciler(plane, silentLogger());
  assert.equal((await restarted.apply(EMPTY(), { prune: false })).deletes, 0);
  assert.equal((await restarted.apply(planned(cloud()), { prune: false })).puts, 0);
  assert.ok((await restarted.apply(planned(cloud(), null), { prune: false })).deletes > 0);
  assert.equal(plane.readMap('cb_vif_1').size, 0);
  assert.equal(plane.readMap('cb_peer_1').size, 1);
  await restarted.apply(EMPTY(), PRUNE);
  assert.equal(plane.readMap('cb_peer_1').size, 0);
});

test('the epoch rises when a decision may change and not when something is only added', async () => {
  const plane = createFakeDataPlane();
  plane.setDevice(50, true);
  const reconciler = new Reconciler(plane, silentLogger());
  const raised = async (slices: Map<SliceKey, Slice>): Promise<boolean> =>
    (await reconciler.apply(planned(slices), PRUNE)).epochRaised;
  assert.equal(await raised(cloud({ members: [] })), false, 'first programming');
  assert.equal(await raised(cloud()), false, 'a member more');
  const more = [GROUP_RULE, sampleRule(2, { protocol: 17 })];
  assert.equal(await raised(cloud({ rules: more })), false, 'a rule more');
  assert.equal(await raised(cloud()), true, 'a rule less');
  assert.equal(await raised(cloud({ members: [] })), true, 'a member less');
  assert.equal(await raised(cloud({ members: [], underlay: '192.0.2.9' })), true, 'an endpoint moved');
  const routed = cloud({ members: [], underlay: '192.0.2.9' });
  const routes = [{ destination: '10.0.1.128/25', nexthop: '10.0.0.6' }];
  assert.equal(
    await raised(new Map([...routed, ...slicesOf(sampleRouter(1, [1, 2], { routes }))])),
    true,
    'a route more',
  );
});

test('a class gets its new rules before an address points at it, and loses the old ones after', async () => {
  const plane = createFakeDataPlane();
  plane.setDevice(50, true);
  const reconciler = new Reconciler(plane, silentLogger());
  await reconciler.apply(planned(cloud()), PRUNE);
  plane.takeCommands();
  const prefixRule = sampleRule(1, { protocol: 6, remote: { kind: 'prefix', cidr: '10.0.0.6/32' } });
  await reconciler.apply(planned(cloud({ rules: [prefixRule] })), PRUNE);
  const kinds = plane.takeCommands().map((command) => command.split(' ').slice(2, 4).join(' '));
  assert.deepEqual(kinds, [
    'update cb_conf_1',
    'update cb_rule_1',
    'update cb_class_1',
    'delete cb_rule_1',
    'update cb_conf_1',
  ]);
});

test('a device that vanished before it was attached is a failure of its port alone', async () => {
  const plane = createFakeDataPlane();
  const reconciler = new Reconciler(plane, silentLogger());
  const result = await reconciler.apply(planned(cloud()), PRUNE);
  assert.match(result.failures.get(OWN.id) ?? '', /cannot attach to tap5: .*ENODEV/);
  assert.equal(plane.readMap('cb_vif_1').size, 0);
  assert.equal(plane.readMap('cb_peer_1').size, 1);
  plane.setDevice(50, true);
  assert.equal((await reconciler.apply(planned(cloud()), PRUNE)).failures.size, 0);
  assert.equal(plane.readMap('cb_vif_1').size, 1);
});

test('after a refused write the next round starts from what the kernel really holds', async () => {
  const plane = createFakeDataPlane();
  plane.setDevice(50, true);
  const reconciler = new Reconciler(plane, silentLogger());
  plane.failWrites('cb_ep_1');
  await assert.rejects(reconciler.apply(planned(cloud()), PRUNE), /E2BIG/);
  plane.failWrites(undefined);
  await reconciler.apply(planned(cloud()), PRUNE);
  for (const map of ['cb_ep_1', 'cb_vif_1', 'cb_rule_1'] as const) {
    assert.deepEqual([...plane.readMap(map).keys()].sort(), [...planned(cloud()).maps[map].keys()].sort());
  }
});

for (const died of ['killed', 'refused'] as const) {
  test(`flows are decided again when the agent was ${died} between a revocation and the epoch`, async () => {
    const plane = createFakeDataPlane();
    plane.setDevice(50, true);
    const broken = { ...plane };
    const reconciler = new Reconciler(broken, silentLogger());
    await reconciler.apply(planned(cloud()), PRUNE);
    const before = plane.readEpoch();
    broken.deleteEntry = (map, entry) => {
      plane.deleteEntry(map, entry);
      throw new Error('the end');
    };
    const revoked = cloud({ members: [] });
    await assert.rejects(reconciler.apply(planned(revoked), PRUNE), /the end/);
    broken.deleteEntry = plane.deleteEntry;
    const next = died === 'killed' ? new Reconciler(plane, silentLogger()) : reconciler;
    await next.apply(planned(revoked), PRUNE);
    const after = plane.readEpoch();
    assert.ok(
      after > before + 1,
      `${after} is not above ${before + 1}, which flows may have by a decision of meanwhile`,
    );
    assert.equal((await next.apply(planned(revoked), PRUNE)).epochRaised, false);
    assert.equal(plane.readEpoch(), after);
  });
}

test('a port with a device but a broken policy stays attached and unprogrammed', async () => {
  const plane = createFakeDataPlane();
  plane.setDevice(50, true);
  const slices = cloud();
  slices.delete('policy:p');
  await new Reconciler(plane, silentLogger()).apply(planned(slices), PRUNE);
  assert.equal(plane.listAttached().has(50), true);
  assert.equal(plane.readMap('cb_vif_1').size, 0);
});
