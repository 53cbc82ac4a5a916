import type { MapSpec } from '../bpf/codec.ts';
import type { AgentMap, MapEntry } from '../desired.ts';
import { AGENT_MAPS } from '../desired.ts';
import { hex } from './address.ts';

/** One entry for one map: what the planner's families yield. */
export type Planned = { readonly map: AgentMap; readonly entry: MapEntry };

/** Encodes an entry with the map's generated codecs. */
export function encodeEntry<K, V>(spec: MapSpec<K, V>, key: K, value: V): MapEntry {
  const bytes = spec.key.encode(key);
  return { id: hex(bytes), key: bytes, value: spec.value.encode(value) };
}

export type EntryMaps = Record<AgentMap, Map<string, MapEntry>>;

export function emptyMaps(): EntryMaps {
  const maps: Partial<EntryMaps> = {};
  for (const name of AGENT_MAPS) maps[name] = new Map();
  return maps as EntryMaps;
}

/** Adds an entry unless its key is taken: of two claims on a key the one planned first stands (the order of planning is fixed). */
export function claim(maps: EntryMaps, planned: Iterable<Planned>): void {
  for (const { map, entry } of planned) {
    if (!maps[map].has(entry.id)) maps[map].set(entry.id, entry);
  }
}
