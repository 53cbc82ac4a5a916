/** Entries of a map as byte text, and what makes them others. */
import type { ByteText } from './codec.ts';
import type { BpfMap } from './map.ts';

export type KeptTexts = ReadonlyMap<ByteText, ByteText>;

/** All that the map holds. */
export function textsOf(map: BpfMap): KeptTexts {
  return new Map([...map.texts()].flat().map(({ key, value }) => [key, value] as const));
}

/** Writes what is wanted and was not before. */
export function putNew(map: BpfMap, before: KeptTexts, wanted: KeptTexts): void {
  for (const [key, value] of wanted) if (before.get(key) !== value) map.update(key, value);
}

/** Deletes what was before and is not wanted. */
export function removeOthers(map: BpfMap, before: KeptTexts, wanted: KeptTexts): void {
  for (const key of before.keys()) if (!wanted.has(key)) map.delete(key);
}
