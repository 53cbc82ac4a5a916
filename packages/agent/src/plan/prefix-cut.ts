import { cidrContains, type IpPrefix } from '@cable/model';

/** The fewest prefixes that have the addresses of a prefix but for those of others, which may be anywhere. In order. */
export function cutPrefix(whole: IpPrefix, holes: readonly IpPrefix[]): readonly IpPrefix[] {
  const inside = holes.filter((hole) => hole.base.version === whole.base.version && touches(whole, hole));
  if (inside.length === 0) return [whole];
  if (inside.some((hole) => hole.prefixLength <= whole.prefixLength)) return [];
  return halves(whole).flatMap((half) => cutPrefix(half, inside));
}

function touches(one: IpPrefix, other: IpPrefix): boolean {
  return cidrContains(one, other.base) || cidrContains(other, one.base);
}

function halves({ base, prefixLength }: IpPrefix): readonly IpPrefix[] {
  const length = prefixLength + 1;
  const size = 1n << BigInt((base.version === 4 ? 32 : 128) - length);
  return [
    { base, prefixLength: length },
    { base: { ...base, value: base.value + size }, prefixLength: length },
  ];
}
