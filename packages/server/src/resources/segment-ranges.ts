/** Of which numbers (VNIs, or VLANs of a physical network) those of new networks are chosen, in Neutron's order. */
import type { NetworkSegmentRange } from '@cable/model';
import type { EngineDeps, Planning } from '../engine/context.ts';
import { objectKey, objectPrefix } from '../keys.ts';

/** Numbers that belong together: a number is taken once in it. */
export type SegmentSpace = { readonly type: 'vxlan' | 'vlan'; readonly physical: string | null };

/** For whom a number is chosen. `backend`: the plug-in that has the network; null: the vrouter. */
export type SegmentTaker = { readonly projectId: string; readonly backend: string | null };

/** True: networks of that back end have the numbers of the range, and no others. */
export function isRangeOf(range: NetworkSegmentRange, backend: string | null): boolean {
  return (range['cable:backend'] ?? null) === backend;
}

/** The type of the ranges. */
export const SEGMENT_RANGE = 'network_segment_range';

/** A range of numbers. */
type Numbers = Pick<NetworkSegmentRange, 'minimum' | 'maximum'>;

/** How many numbers are tried at random before all are looked at, and how many are looked at. */
const TRIES = 1000;
const LOOKED_AT = 1 << 16;

/** The ranges of a space, as they stand: the transaction rests on it that none comes, goes or changes. Undefined: the server knows no ranges. */
export function rangesIn({ deps, plan }: Planning, space: SegmentSpace): readonly NetworkSegmentRange[] | undefined {
  if (deps.resources.find(SEGMENT_RANGE) === undefined) return undefined;
  plan.requireEmpty(
    objectPrefix(SEGMENT_RANGE),
    [...deps.tables.of(SEGMENT_RANGE).values()].map(({ id }) => objectKey(SEGMENT_RANGE, id)),
  );
  const ranges = plan.by(SEGMENT_RANGE, 'network_type', space.type).filter((one) => isIn(space, one));
  for (const { id } of ranges) plan.rely(SEGMENT_RANGE, id);
  return ranges;
}

/** Names of the physical networks that have ranges of VLANs of the back end, in order. */
export function physicalsWithRanges({ deps }: Planning, backend: string | null): readonly string[] {
  if (deps.resources.find(SEGMENT_RANGE) === undefined) return [];
  const ranges = deps.tables
    .of(SEGMENT_RANGE)
    .by('network_type', 'vlan')
    .filter((one) => isRangeOf(one, backend));
  return [...new Set(ranges.flatMap((one) => one.physical_network ?? []))].sort();
}

/** True: an administrator made a range that the number is in. Nothing rests on it. */
export function isInGivenRange({ resources, tables }: EngineDeps, space: SegmentSpace, id: number): boolean {
  if (resources.find(SEGMENT_RANGE) === undefined) return false;
  const ranges = tables.of(SEGMENT_RANGE).by('network_type', space.type);
  return ranges.some((one) => !one.default && isIn(space, one) && contains(one, id));
}

/** The space of a range's numbers. */
export function spaceOf({ network_type, physical_network }: Spaced): SegmentSpace {
  return { type: network_type === 'vlan' ? 'vlan' : 'vxlan', physical: physical_network };
}

type Spaced = Pick<NetworkSegmentRange, 'network_type' | 'physical_network'>;

function isIn({ type, physical }: SegmentSpace, range: Spaced): boolean {
  return range.network_type === type && range.physical_network === physical;
}

/** True: the number is one of the range. */
export function contains({ minimum, maximum }: Numbers, id: number): boolean {
  return minimum <= id && id <= maximum;
}

/** True: the two have a number in common. */
export function overlap(a: Numbers, b: Numbers): boolean {
  return a.minimum <= b.maximum && b.minimum <= a.maximum;
}

/**
 * A free number: of the project's own ranges; when they have none, of those that all share, but for what is another project's. A plug-in's networks have those of ranges that it was
 * leased alone, and nobody else has these. Undefined: there is none.
 */
export function chooseNumber(
  { deps }: Planning,
  ranges: readonly NetworkSegmentRange[],
  { projectId, backend }: SegmentTaker,
  isFree: (id: number) => boolean,
): number | undefined {
  const isMine = (one: NetworkSegmentRange): boolean => isRangeOf(one, backend);
  const isOwn = (one: NetworkSegmentRange): boolean => isMine(one) && !one.shared && one.project_id === projectId;
  const others = ranges.filter((one) => !isMine(one) || (!one.shared && !isOwn(one)));
  // A range of the server's options may have numbers in common with one that was leased.
  const isOfOthers = (id: number): boolean => others.some((one) => !one.default && contains(one, id));
  const shared = ranges.filter((one) => isMine(one) && one.shared);
  return (
    choose(deps.random, ranges.filter(isOwn), isFree) ??
    choose(deps.random, shared, (id) => !isOfOthers(id) && isFree(id))
  );
}

/** At random: with so many there is hardly ever a second try, and servers do not choose the same. */
function choose(random: () => number, ranges: readonly Numbers[], isFree: (id: number) => boolean): number | undefined {
  const size = ranges.reduce((sum, { minimum, maximum }) => sum + maximum - minimum + 1, 0);
  const any = (): number => Math.floor(random() * size);
  for (let tries = 0; tries < Math.min(TRIES, size); tries += 1) {
    const id = numberAt(ranges, any());
    if (isFree(id)) return id;
  }
  const from = size === 0 ? 0 : any();
  for (let place = 0; place < Math.min(LOOKED_AT, size); place += 1) {
    const id = numberAt(ranges, (from + place) % size);
    if (isFree(id)) return id;
  }
  return undefined;
}

function numberAt(ranges: readonly Numbers[], place: number): number {
  let left = place;
  for (const { minimum, maximum } of ranges) {
    const count = maximum - minimum + 1;
    if (left < count) return minimum + left;
    left -= count;
  }
  throw new Error(`the ranges have fewer numbers than ${place + 1}`);
}
