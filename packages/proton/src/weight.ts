/** How large a value is, found out without ever looking at more of it than may be. */

export type Weight = {
  /** Values and characters of all texts and keys. */
  readonly total: number;
  readonly longestText: number;
  /** Members of a list or a map. */
  readonly longestList: number;
};

/** Of one attribute. */
export const VALUE_MAX = 65_536;

/** Of one object. */
export const OBJECT_MAX = 262_144;

const DEPTH_MAX = 32;

/** Undefined when it is heavier than `max`, or nested too deeply. */
export function weigh(value: unknown, max: number): Weight | undefined {
  const scale = { total: 0, longestText: 0, longestList: 0 };
  return fits(value, 0, max, scale) ? scale : undefined;
}

type Scale = { total: number; longestText: number; longestList: number };

function fits(value: unknown, depth: number, max: number, scale: Scale): boolean {
  scale.total += 1;
  if (depth > DEPTH_MAX) return false;
  if (typeof value === 'string') {
    scale.total += value.length;
    scale.longestText = Math.max(scale.longestText, value.length);
  }
  if (scale.total > max) return false;
  if (typeof value !== 'object' || value === null) return true;
  const members = Array.isArray(value) ? value : Object.entries(value).flat();
  scale.longestList = Math.max(scale.longestList, members.length);
  return scale.total + members.length <= max && members.every((member) => fits(member, depth + 1, max, scale));
}
