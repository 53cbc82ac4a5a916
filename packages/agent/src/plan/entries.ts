import type { MapSpec } from '../bpf/codec.ts';
import type { AgentMap, MapEntry } from '../desired.ts';
import { hex } from './address.ts';

/** One entry for one map: what the planner's families yield. */
export type Planned = { readonly map: AgentMap; readonly entry: MapEntry };

/** Encodes an entry with the map's generated codecs. */
export function encodeEntry<K, V>(spec: MapSpec<K, V>, key: K, value: V): MapEntry {
  return entryOf(spec.key.encode(key), spec.value.encode(value));
}

/** The entry of these bytes. */
export function entryOf(key: Uint8Array, value: Uint8Array): MapEntry {
  return { id: hex(key), key, value };
}
