import { AGENT_MAPS } from '../../desired.ts';
import { hex } from '../address.ts';
import type { Planner } from '../planner.ts';

/** Everything that a planner desires, as text in one order. */
export function dumpPlan(planner: Planner): readonly string[] {
  const entries = AGENT_MAPS.flatMap((map) =>
    [...planner.entries.of(map).values()].map(
      ({ entry, unit, projectId }) => `${map} ${entry.id} ${hex(entry.value)} by ${unit.name} of ${projectId}`,
    ),
  );
  const rest = [planner.vifs, planner.hostLinks, planner.guests, planner.errors].flatMap((map, i) =>
    [...map].map((one) => `${i} ${JSON.stringify(one)}`),
  );
  return [...entries, ...rest].sort();
}
