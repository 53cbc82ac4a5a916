import { MAPS } from '../bpf/abi.gen.ts';
import type { MapSpec } from '../bpf/codec.ts';
import type { AgentMap, MapEntry } from '../desired.ts';

/** One entry for one map: what the planner's families yield. */
export type Planned = MapEntry & { readonly map: AgentMap };

export type KeyOf<M extends AgentMap> = Parameters<(typeof MAPS)[M]['key']['encode']>[0];
export type ValueOf<M extends AgentMap> = Parameters<(typeof MAPS)[M]['value']['encode']>[0];

/** Encodes an entry with the map's generated codecs. */
export function encodeEntry<M extends AgentMap>(map: M, key: KeyOf<M>, value: ValueOf<M>): Planned {
  const spec = MAPS[map] as unknown as MapSpec<KeyOf<M>, ValueOf<M>>;
  return { map, key: spec.key.text(key), value: spec.value.text(value) };
}
