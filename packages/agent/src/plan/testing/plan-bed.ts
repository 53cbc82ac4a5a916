import { silentLogger } from '@cable/kit';
import type { LocalPort } from '@cable/model';
import { SlotTable } from '../../host/slots.ts';
import { vifDeviceName } from '../device-names.ts';
import { type PlanChanges, Planner, type PlannerDeps } from '../planner.ts';
import type { SampleSlice } from './sample.ts';
import { SampleState } from './sample-state.ts';

/** A planner for host `h1` over a state that a test changes. */
export type PlanBed = {
  readonly state: SampleState;
  readonly planner: Planner;
  /** There are these slices and no others. */
  plan(...slices: readonly (SampleSlice | readonly SampleSlice[])[]): Promise<PlanChanges>;
  /** The port's device comes, or is another; null: goes. */
  plug(port: LocalPort, ifindex: number | null): void;
};

export function createPlanBed(deps: Partial<PlannerDeps> = {}): PlanBed {
  const state = new SampleState();
  const slots = new SlotTable(new Map(), () => 0);
  const planner = new Planner({ host: 'h1', slices: state, devices: state, slots, log: silentLogger(), ...deps });
  return {
    state,
    planner,
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
): Promise<PlanBed> {
  const bed = createPlanBed();
  for (const [i, port] of ports.entries()) bed.plug(port, 50 + i);
  await bed.plan(...slices);
  return bed;
}
