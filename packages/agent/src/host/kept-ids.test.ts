import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '@cable/kit';
import { createPlanBed, plannedBed } from '../plan/testing/plan-bed.ts';
import {
  sampleEndpoint,
  sampleHost,
  sampleId,
  sampleNetwork,
  samplePolicy,
  samplePort,
} from '../plan/testing/sample.ts';
import { Reconciler } from '../reconcile/reconciler.ts';
import { createFakeDataPlane } from '../reconcile/testing/fake-data-plane.ts';
import { keptIds } from './kept-ids.ts';

const PORTS = [5, 6].map((n) => samplePort(n, { policy: 'policy:p', projectId: `project-${n}` }));
const AWAY = samplePort(7);
const STATE = [
  sampleHost('h1', PORTS),
  ...sampleNetwork(1, { projectId: 'project-9' }, [sampleEndpoint(AWAY, 'h2', '192.0.2.2')]),
  samplePolicy('p', []),
];

test('a new agent finds the numbers of VIFs, networks, tunnels and projects in the rows', async () => {
  const bed = await plannedBed(STATE, PORTS);
  const plane = createFakeDataPlane();
  for (const ifindex of [50, 51]) plane.setDevice(ifindex, true);
  const reconciler = new Reconciler(plane, bed.planner, { log: silentLogger() });
  const state = { revision: 1, state: 7n, commit: 1 };
  const ports = new Set(PORTS.map(({ id }) => id));
  await reconciler.apply({ entries: [], ports, write: true, prune: true, retry: false, state });
  const kept = keptIds({ plane, host: 'h1', slices: bed.state });
  for (const kind of ['vif', 'network', 'tunnel', 'project'] as const) {
    assert.deepEqual(new Map(kept[kind]), new Map(bed.ids[kind].ids), kind);
    assert.ok(kept[kind].size > 0);
  }
  const unknown = keptIds({ plane, host: 'h1', slices: createPlanBed().state });
  assert.deepEqual([unknown.vif.size, unknown.network.get(sampleId('net', 1)), unknown.project.size], [2, 1, 0]);
  bed.plug(PORTS[0] ?? AWAY, null);
  const { entries } = await bed.plan(STATE);
  await reconciler.apply({ entries, ports, write: true, prune: true, retry: false, state });
  const left = keptIds({ plane, host: 'h1', slices: bed.state });
  assert.deepEqual([...left.vif.keys()], [PORTS[1]?.id], "a row that nobody has is nobody's");
});
