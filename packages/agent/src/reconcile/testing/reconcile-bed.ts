import { silentLogger } from '@cable/kit';
import type { PlannerDeps } from '../../plan/planner.ts';
import { createPlanBed, type PlanBed } from '../../plan/testing/plan-bed.ts';
import type { SampleSlice } from '../../plan/testing/sample.ts';
import type { DataPlane } from '../data-plane.ts';
import { type Reconciled, Reconciler, type Round } from '../reconciler.ts';
import type { MapSizes } from '../room.ts';

/** A planner and a reconciler over a data plane. */
export type ReconcileBed = PlanBed & {
  reconciler: Reconciler;
  /** There are these slices and no others: plans and reconciles. */
  apply(slices: readonly SampleSlice[], round?: Partial<Round>): Promise<Reconciled>;
  /** As after a restart of the agent with the state that it had. */
  restart(): void;
};

export function createReconcileBed(
  plane: DataPlane,
  sizes?: MapSizes,
  planning: Partial<PlannerDeps> = {},
): ReconcileBed {
  const plan = createPlanBed(planning);
  const deps = { log: silentLogger(), ...(sizes === undefined ? {} : { sizes }) };
  let revision = 0;
  let everything = true;
  const bed: ReconcileBed = {
    ...plan,
    reconciler: new Reconciler(plane, plan.planner, deps),
    apply: async (slices, round = {}) => {
      const { entries, ports } = await plan.plan(...slices);
      revision += 1;
      const all = everything ? [...ports, ...plan.planner.vifs.keys()] : ports;
      everything = false;
      const whole = { entries, ports: new Set(all), write: true, prune: true, retry: false };
      return bed.reconciler.apply({ ...whole, state: { revision, state: 7n, commit: revision }, ...round });
    },
    restart: () => {
      bed.reconciler = new Reconciler(plane, plan.planner, deps);
      everything = true;
    },
  };
  return bed;
}
