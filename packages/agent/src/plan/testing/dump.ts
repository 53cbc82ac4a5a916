import type { ByteText } from '../../bpf/codec.ts';
import { AGENT_MAPS, type AgentMap } from '../../desired.ts';
import type { Planner } from '../planner.ts';

/** Map, key and value as an operator would see them. */
export function hexText(map: AgentMap, key: ByteText, value: ByteText): string {
  return [map, ...[key, value].map((text) => Buffer.from(text, 'latin1').toString('hex'))].join(' ');
}

/** Everything that a planner desires, as text in one order. */
export function dumpPlan(planner: Planner): readonly string[] {
  const entries = AGENT_MAPS.flatMap((map) =>
    [...planner.entries.of(map).values()].map(
      ({ key, value, unit, projectId }) => `${hexText(map, key, value)} by ${unit.name} of ${projectId}`,
    ),
  );
  const rest = [planner.vifs, planner.hostLinks, planner.guests, planner.errors].flatMap((map, i) =>
    [...map].map((one) => `${i} ${JSON.stringify(one)}`),
  );
  return [...entries, ...rest].sort();
}
