import { LongList } from '@cable/api';
import { type AnyObject, CableError, type Network, type NetworkSegmentRange } from '@cable/model';
import type { Planning } from '../engine/context.ts';
import { type Contribution, contribute } from '../engine/module.ts';
import { lookAtTables } from '../engine/plan.ts';
import { referenceKey, referencesOfType } from '../keys.ts';
import type { Tables } from '../tables.ts';
import { isTunnelled, isVlanTaken, isVniTaken, VLAN_MAX, VNI_MAX } from './network-segment.ts';
import { contains, overlap, rangesIn, SEGMENT_RANGE, type SegmentSpace, spaceOf } from './segment-ranges.ts';

/** Most of `available` that are shown: all VLANs that there are fit. */
const SHOWN = 4096;

/** Ranges of VNIs and VLANs: what a range may be, and what of it may change while networks have its numbers. */
export const networkSegmentRangeModule: Contribution<AnyObject> = contribute<NetworkSegmentRange>({
  derive: (planning, given) => {
    const range = { ...given, ...placeOf(given) } as NetworkSegmentRange;
    checkNumbers(range);
    checkOverlap(planning, range);
    // A range that all share is of no project.
    return range.shared === false ? placeOf(given) : { ...placeOf(given), project_id: null as unknown as string };
  },
  change: (planning, before, after) => {
    if (before.default) throw readOnly(before.id);
    if (before.minimum === after.minimum && before.maximum === after.maximum) return {};
    checkNumbers(after);
    checkOverlap(planning, after);
    const used = networksIn(planning, before).map(numberOf);
    // As Neutron: the lowest and the highest that networks have are to be within.
    if (used.length > 0 && (after.minimum >= Math.min(...used) || after.maximum <= Math.max(...used)))
      throw referenced(before.id);
    return {};
  },
  remove: (planning, range) => {
    if (range.default) throw readOnly(range.id);
    if (networksIn(planning, range).length > 0) throw referenced(range.id);
  },
  present: (tables, range) => ({
    used: usedOf(tables, range),
    available: new LongList(availableOf(tables, range), (id) => id),
  }),
});

/** Where the range's numbers are. Throws for a type of networks that has none here. */
function placeOf({
  network_type: type,
  physical_network: physical,
}: Partial<NetworkSegmentRange>): Pick<NetworkSegmentRange, 'physical_network'> {
  if (type !== 'vlan' && type !== 'vxlan') {
    throw new CableError(
      'NetworkSegmentRangeNetTypeNotSupported',
      `Network type ${type} does not support network segment ranges.`,
    );
  }
  if (type === 'vxlan') return { physical_network: null };
  if (physical === undefined || physical === null || physical === '') {
    throw new CableError(
      'HTTPBadRequest',
      "Bad network_segment_range request: Network type vlan requires 'physical_network' to be specified while creating new range.",
    );
  }
  return { physical_network: physical };
}

function checkNumbers({ network_type: type, minimum, maximum }: NetworkSegmentRange): void {
  const isVlan = type === 'vlan';
  const most = isVlan ? VLAN_MAX : VNI_MAX;
  const bad = [minimum, maximum].find((id) => id > most);
  if (bad === undefined && minimum <= maximum) return;
  const [code, kind] = isVlan
    ? (['NetworkVlanRangeError', 'VLAN'] as const)
    : (['NetworkTunnelRangeError', 'tunnel'] as const);
  const reason =
    bad === undefined
      ? `End of ${kind} range is less than start of ${kind} range`
      : `${bad} is not a valid ${isVlan ? 'VLAN tag' : 'vxlan identifier'}`;
  throw new CableError(code, `Invalid network ${kind} range: '${minimum}:${maximum}' - ${reason}.`);
}

/** Those of the server's options may have numbers in common with any. */
function checkOverlap(planning: Planning, range: NetworkSegmentRange): void {
  const others = (rangesIn(planning, spaceOf(range)) ?? []).filter((one) => !one.default && one.id !== range.id);
  const found = others.filter((one) => overlap(one, range)).map(({ id }) => id);
  if (found.length === 0) return;
  throw new CableError(
    'NetworkSegmentRangeOverlaps',
    `Network segment range overlaps with range(s) with id ${found.join(', ')}`,
  );
}

/** Networks that have a number of the range; the transaction rests on it that none more gets one: each network that does refers to it. */
function networksIn({ deps, plan }: Planning, range: NetworkSegmentRange): readonly Network[] {
  const networks = networksOf(deps.tables, range);
  plan.requireEmpty(
    referencesOfType(SEGMENT_RANGE, range.id, 'network'),
    networks.map(({ id }) => referenceKey(SEGMENT_RANGE, range.id, 'network', id)),
  );
  return networks;
}

function networksOf(tables: Tables, range: NetworkSegmentRange): readonly Network[] {
  const isIn = isNetworkIn(spaceOf(range));
  const all = tables.of('network');
  const size = range.maximum - range.minimum + 1;
  // A range may have millions of numbers, and a cloud many networks.
  const found =
    size > all.size
      ? [...all.values()]
      : Array.from({ length: size }, (_, place) => all.by('provider:segmentation_id', String(range.minimum + place)));
  return found.flat().filter((one) => isIn(one) && contains(range, numberOf(one)));
}

function isNetworkIn({ type, physical }: SegmentSpace): (network: Network) => boolean {
  return (network) =>
    type === 'vxlan'
      ? isTunnelled(network)
      : network['provider:network_type'] === 'vlan' && network['provider:physical_network'] === physical;
}

function numberOf(network: Network): number {
  return network['provider:segmentation_id'] ?? 0;
}

function usedOf(tables: Tables, range: NetworkSegmentRange): Readonly<Record<string, string>> {
  return Object.fromEntries(networksOf(tables, range).map((one) => [String(numberOf(one)), one.project_id]));
}

function availableOf(tables: Tables, range: NetworkSegmentRange): readonly number[] {
  const look = lookAtTables(tables);
  const { type, physical } = spaceOf(range);
  const isTaken = (id: number): boolean =>
    type === 'vxlan' ? isVniTaken(look, id) : isVlanTaken(look, String(physical), id);
  const free: number[] = [];
  for (let id = range.minimum; id <= range.maximum && free.length < SHOWN; id += 1) if (!isTaken(id)) free.push(id);
  return free;
}

function readOnly(id: string): CableError {
  return new CableError(
    'NetworkSegmentRangeDefaultReadOnly',
    `Network Segment Range ${id} is a default segment range which could not be updated or deleted.`,
  );
}

function referenced(id: string): CableError {
  return new CableError(
    'NetworkSegmentRangeReferencedByProject',
    `Network Segment Range ${id} is referenced by one or more tenant networks.`,
  );
}
