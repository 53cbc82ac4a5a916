import { silentLogger } from '@cable/kit';
import type { LocalPort } from '@cable/model';
import { createHostIds, type HostIds, NO_IDS } from '../../host/ids.ts';
import { vifDeviceName } from '../device-names.ts';
import { type PlanChanges, Planner, type PlannerDeps } from '../planner.ts';
import type { SampleSlice } from './sample.ts';
import { SampleState } from './sample-state.ts';

/** A planner for host `h1` over a state that a test changes. */
export type PlanBed = {
  readonly state: SampleState;
  readonly planner: Planner;
  /** Dense numbers. Those of a test's own planner deps are not here. */
  readonly ids: HostIds;
  /** The clock by which numbers rest. */
  readonly now: { ms: number };
  /** There are these slices and no others. */
  plan(...slices: readonly (SampleSlice | readonly SampleSlice[])[]): Promise<PlanChanges>;
  /** The port's device comes, or is another; null: goes. */
  plug(port: LocalPort, ifindex: number | null): void;
};

export function createPlanBed(deps: Partial<PlannerDeps> = {}): PlanBed {
  const state = new SampleState();
  const now = { ms: 0 };
  const ids = createHostIds(NO_IDS, () => now.ms);
  const planner = new Planner({ host: 'h1', slices: state, devices: state, ids, log: silentLogger(), ...deps });
  return {
    state,
    planner,
    ids,
    now,
    plan: async (...slices) => {
      state.replace(slices.flat());
      const { changes, devices } = state.take();
      return planner.update(changes, devices);
    },
    plug: (port, ifindex) => state.setDevice(vifDeviceName(port), ifindex ?? undefined),
  };
}

/** A bed with these slices in which each port's device is there: 50, 51 and so on. */
export async function plannedBed(
  slices: readonly (SampleSlice | readonly SampleSlice[])[],
  ports: readonly LocalPort[] = [],
  deps: Partial<PlannerDeps> = {},
): Promise<PlanBed> {
  const bed = createPlanBed(deps);
  for (const [i, port] of ports.entries()) bed.plug(port, 50 + i);
  await bed.plan(...slices);
  return bed;
}
