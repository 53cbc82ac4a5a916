import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '@cable/kit';
import { AGENT_MAPS } from '../desired.ts';
import { createHostIds, type HostIds, NO_IDS } from '../host/ids.ts';
import type { NumberOf } from './numbers.ts';
import { firstBits } from './numbers.ts';
import { Planner } from './planner.ts';
import { dumpPlan, hexText } from './testing/dump.ts';
import type { SampleState } from './testing/sample-state.ts';
import { change, createWorld } from './testing/world.ts';

const HOST = 'h1';
const POLICY_BUDGET = { rules: 40, classes: 30 };

/** So few numbers that many names meet. */
const CROWDED: NumberOf = (name) => firstBits(name) % 3;

function plannerOf(state: SampleState, ids: HostIds, numberOf: NumberOf): Planner {
  return new Planner({
    host: HOST,
    slices: state,
    devices: state,
    ids,
    numberOf,
    policyBudget: POLICY_BUDGET,
    log: silentLogger(),
  });
}

/** What the maps shall hold, by map and key. */
function entriesOf(planner: Planner): (readonly [string, string])[] {
  return AGENT_MAPS.flatMap((map) =>
    Array.from(
      planner.entries.of(map).values(),
      ({ key, value }) => [`${map} ${key}`, hexText(map, key, value)] as const,
    ),
  );
}

/** What a planner makes of the state that has never seen another one; everything has the dense numbers that the used one gave. */
async function fresh(state: SampleState, used: Planner, numberOf: NumberOf): Promise<readonly string[]> {
  const existing = {
    vif: new Map(used.ids('vif')),
    network: new Map(used.ids('network')),
    tunnel: new Map(used.ids('tunnel')),
    project: new Map(used.ids('project')),
  };
  const ids = createHostIds(existing, () => 0);
  const planner = plannerOf(state, ids, numberOf);
  await planner.update(state.all(), []);
  for (const kind of ['vif', 'network', 'tunnel', 'project'] as const) {
    ids[kind].releaseUnclaimed();
    assert.deepEqual(new Map(ids[kind].ids), existing[kind], `${kind}: numbers that nobody has`);
  }
  return dumpPlan(planner);
}

for (const [label, numberOf] of [
  ['as they are', firstBits],
  ['that collide', CROWDED],
] as const) {
  test(`after any changes in any order and portions the plan is that of a fresh planner, with numbers ${label}`, async () => {
    let entries = 0;
    for (let seed = 1; seed <= 12; seed += 1) {
      const world = createWorld(seed, true);
      const ids = createHostIds(NO_IDS, () => 0);
      const used = plannerOf(world.state, ids, numberOf);
      const kernel = new Map<string, string>();
      for (let step = 0; step < 60; step += 1) {
        const portion = step === 0 ? 80 : 1 + world.random(4);
        for (let i = 0; i < portion; i += 1) change(world);
        const { changes, devices } = world.state.take();
        const { entries: written } = await used.update(changes, devices);
        if (step === 0) for (const one of entriesOf(used)) kernel.set(...one);
        for (const { map, key, after } of written) {
          if (after === undefined) kernel.delete(`${map} ${key}`);
          else kernel.set(`${map} ${key}`, hexText(map, key, after.value));
        }
        for (const table of Object.values(ids)) table.settle();
        const plan = dumpPlan(used);
        assert.deepEqual(plan, await fresh(world.state, used, numberOf), `seed ${seed} step ${step}`);
        const claimed = plan.filter((line) => line.startsWith('cb_')).map((line) => line.split(' by ')[0]);
        assert.deepEqual([...kernel.values()].sort(), claimed, `seed ${seed} step ${step}: changes`);
        entries += plan.length;
      }
    }
    assert.ok(entries > 5_000, `${entries} lines were compared`);
  });
}
