/** How networks are carried, in Neutron's words: tunnelled (vxlan), or by a physical network (vlan, flat). Each has one segment, taken once. */
import type { Attributes } from '@cable/api';
import {
  type AnyObject,
  CableError,
  type Host,
  type Network,
  type NetworkSegmentRange,
  overlayIpVersion,
  TUNNEL_HEADER_BYTES,
  VPN_WIRE,
} from '@cable/model';
import type { Planning } from '../engine/context.ts';
import { SEGMENT_RANGE_ID } from '../engine/hidden.ts';
import type { Claim, ClaimName, Given } from '../engine/module.ts';
import type { HeldReference } from '../engine/registry.ts';
import type { Look } from '../engine/view.ts';
import { NotLoadedError } from '../not-loaded.ts';
import {
  chooseNumber,
  contains,
  isInGivenRange,
  isRangeOf,
  physicalsWithRanges,
  rangesIn,
  SEGMENT_RANGE,
  type SegmentSpace,
  type SegmentTaker,
} from './segment-ranges.ts';

/** Largest VNI, and largest VLAN. */
export const VNI_MAX = 16777215;
export const VLAN_MAX = 4094;

/** What of a network says how it is carried, as it was given. */
export type Segment = Partial<
  Pick<Network, 'provider:network_type' | 'provider:physical_network' | 'provider:segmentation_id' | 'vni'>
>;

/** True for a network whose packets are carried between hosts in tunnels; false: by a physical network. */
export function isTunnelled(network: Segment): boolean {
  return (network['provider:network_type'] ?? 'vxlan') === 'vxlan';
}

/** True for a network whose packets a physical network carries. */
export function isPhysical(network: Segment): boolean {
  return ['vlan', 'flat'].includes(network['provider:network_type'] ?? 'vxlan');
}

/** What `segmentOf` makes of what was given. */
type Derived = Pick<
  Network,
  'provider:network_type' | 'provider:segmentation_id' | 'provider:physical_network' | 'vni'
> & {
  readonly [SEGMENT_RANGE_ID]?: string;
};

/**
 * Segment of a new network: the number that was given or a free one of the ranges (`segment-ranges.ts`). Throws `InvalidInput`, and `NoNetworkAvailable`.
 * A network that is not tunnelled has a VNI as well: an older agent, which takes every network for one of VXLAN, carries it apart from all others.
 */
export function segmentOf(planning: Planning, given: Given<Network>): Derived {
  const type = given['provider:network_type'] ?? 'vxlan';
  const id = given['provider:segmentation_id'] ?? null;
  const named = given['provider:physical_network'] ?? null;
  const taker = { projectId: given.project_id, backend: given['cable:backend'] ?? null };
  if (type !== 'vlan' && type !== 'flat') {
    if (named !== null) throw invalid(`provider:physical_network specified for ${type} network`);
    const place = { 'provider:network_type': type, 'provider:physical_network': null, vni: null } as const;
    if (type === 'vxlan') return { ...place, ...numberIn(planning, VNIS, id, taker) };
    // The plug-in that has such networks numbers them itself.
    if (id !== null) throw invalid(`segmentation_id prohibited for ${type} network`);
    return { ...place, 'provider:segmentation_id': null };
  }
  const physical = named ?? (type === 'vlan' ? anyPhysical(planning, id, taker) : null);
  if (physical === null) throw invalid(`physical_network required for ${type} provider network`);
  const vni = taker.backend === null ? allocateVni(planning) : null;
  const place = { 'provider:network_type': type, 'provider:physical_network': physical, vni } as const;
  if (type === 'flat') {
    if (id !== null) throw invalid('segmentation_id prohibited for flat provider network');
    return { ...place, 'provider:segmentation_id': null };
  }
  if (id !== null && id > VLAN_MAX) throw invalid(`segmentation_id out of range (1 through ${VLAN_MAX})`);
  return { ...place, ...numberIn(planning, { type, physical }, id, taker) };
}

const CARRIAGE = ['provider:network_type', 'provider:physical_network', 'provider:segmentation_id'] as const;

/** What an update leaves as it is, though clients may say it. Throws `InvalidInput` for anything else, in Neutron's words. `given`: what the update names. */
export function sameSegment(before: Network, after: Network, given: Attributes): Partial<Network> {
  const named = CARRIAGE.filter((name) => given[name] !== undefined && given[name] !== null);
  if (named.includes('provider:segmentation_id') && before['provider:network_type'] !== 'vlan') {
    throw invalid('Only VLAN type networks can be updated.');
  }
  const changed = named.filter((name) => after[name] !== before[name]);
  if (changed.length > 0) {
    throw invalid(`Plugin does not support updating the following provider network attributes: ${changed.join(', ')}`);
  }
  const kept = CARRIAGE.filter((name) => name in given).map((name) => [name, before[name]]);
  return Object.fromEntries(kept) as Partial<Network>;
}

const VNIS: SegmentSpace = { type: 'vxlan', physical: null };

/** The first physical network, by name, with a free VLAN for a network that names neither; null: no physical network has ranges. */
function anyPhysical(planning: Planning, id: number | null, taker: SegmentTaker): string | null {
  if (id !== null) throw invalid('segmentation_id requires physical_network for VLAN provider network');
  const physicals = physicalsWithRanges(planning, taker.backend);
  const free = physicals.find((physical) => freeNumber(planning, { type: 'vlan', physical }, taker) !== undefined);
  if (free === undefined && physicals.length > 0) throw noneAvailable();
  return free ?? null;
}

/** The number, which is given or chosen, and the range of an administrator that it is in. */
function numberIn(
  planning: Planning,
  space: SegmentSpace,
  given: number | null,
  taker: SegmentTaker,
): Pick<Derived, 'provider:segmentation_id' | typeof SEGMENT_RANGE_ID> {
  const ranges = rangesIn(planning, space);
  const id = given ?? chosenNumber(planning, space, ranges, taker);
  const range = ranges?.find((one) => !one.default && contains(one, id));
  if (range !== undefined && !isRangeOf(range, taker.backend)) throw leasedToOther(id, range);
  if (range === undefined && taker.backend !== null) throw outsideLeased(id, taker.backend);
  return { 'provider:segmentation_id': id, ...(range === undefined ? {} : { [SEGMENT_RANGE_ID]: range.id }) };
}

function chosenNumber(
  planning: Planning,
  { type, physical }: SegmentSpace,
  ranges: readonly NetworkSegmentRange[] | undefined,
  taker: SegmentTaker,
): number {
  const { backend } = taker;
  if (ranges === undefined && type === 'vxlan' && backend === null) return allocateVni(planning);
  const own = (ranges ?? []).filter((one) => isRangeOf(one, backend));
  if (backend !== null && own.length === 0) throw noRange(backend, { type, physical });
  if (type === 'vlan' && own.length === 0) {
    throw invalid(
      `physical network ${physical} requires that segmentation_id be specified when creating a vlan provider network`,
    );
  }
  const id = freeNumber(planning, { type, physical }, taker, ranges);
  if (id === undefined) throw noneAvailable();
  planning.plan.reserve(nameIn({ type, physical }, id));
  return id;
}

function freeNumber(
  planning: Planning,
  space: SegmentSpace,
  taker: SegmentTaker,
  ranges = rangesIn(planning, space),
): number | undefined {
  const { plan } = planning;
  const { type, physical } = space;
  const isTaken = (id: number): boolean =>
    type === 'vxlan' ? isVniTaken(plan, id) : isVlanTaken(plan, String(physical), id);
  return chooseNumber(planning, ranges ?? [], taker, (one) => !isTaken(one) && !plan.isReserved(nameIn(space, one)));
}

function noRange(backend: string, { type, physical }: SegmentSpace): CableError {
  const where = type === 'vlan' ? ` of physical network ${physical}` : '';
  return new CableError('NoRoomInPluginRanges', `The plug-in ${backend} was leased no range of ${type}${where}.`);
}

function leasedToOther(id: number, range: NetworkSegmentRange): CableError {
  const owner = range['cable:backend'] ?? 'the vrouter';
  return new CableError(
    'NoRoomInPluginRanges',
    `provider:segmentation_id: ${id} is in range ${range.id}, whose numbers networks of ${owner} have alone.`,
  );
}

function outsideLeased(id: number, backend: string): CableError {
  return new CableError(
    'NoRoomInPluginRanges',
    `provider:segmentation_id: ${id} is in no range that was leased to the plug-in ${backend}.`,
  );
}

function nameIn({ type, physical }: SegmentSpace, id: number): ClaimName {
  return type === 'vxlan' ? vniName(id) : vlanName(String(physical), id);
}

/** The range that a network refers to by its number. */
export function rangeOfNetwork(network: Network): readonly HeldReference[] {
  const id = (network as AnyObject)[SEGMENT_RANGE_ID];
  if (typeof id !== 'string') return [];
  return [{ attribute: 'provider:segmentation_id', type: SEGMENT_RANGE, id, onDelete: 'restrict' }];
}

/** What the network has alone: its VNI, and its place on the physical network. */
export function claimsOfSegment(network: Network): readonly Claim[] {
  const vni = vniOf(network);
  const claims = vni === null ? [] : [vniClaim(vni)];
  return network['provider:physical_network'] === null ? claims : [...claims, segmentClaim(network)];
}

/** The VNI of a network, of whatever type. */
function vniOf(network: Pick<Network, 'provider:network_type' | 'provider:segmentation_id' | 'vni'>): number | null {
  return isTunnelled(network) ? network['provider:segmentation_id'] : network.vni;
}

function vniName(vni: number): ClaimName {
  return { kind: 'vni', value: String(vni) };
}

/** A VNI, of whatever: no two things have one. */
export function vniClaim(vni: number): Claim {
  return {
    ...vniName(vni),
    holder: (look) => holderOfVni(look, vni),
    taken: () =>
      new CableError('TunnelIdInUse', `Unable to create the network. The tunnel ID ${vni} is in use.`, {
        fields: { vni },
      }),
  };
}

/** True: something has the VNI. */
export function isVniTaken(look: Pick<Look, 'by'>, vni: number): boolean {
  return holderOfVni(look, vni) !== undefined;
}

/** True: a network has the VLAN of the physical network. */
export function isVlanTaken(look: Pick<Look, 'by'>, physical: string, vlan: number): boolean {
  return holderOfVlan(look, physical, vlan) !== undefined;
}

/** Null: the place of what has no tag. */
function holderOfVlan(look: Pick<Look, 'by'>, physical: string, vlan: number | null): string | undefined {
  const isSame = (other: Network): boolean => !isTunnelled(other) && other['provider:segmentation_id'] === vlan;
  const others =
    vlan === null
      ? look.by('network', 'provider:physical_network', physical)
      : look.by('network', 'provider:segmentation_id', String(vlan));
  const found = others.find((one) => one['provider:physical_network'] === physical && isSame(one));
  return (
    found?.id ?? (physical === VPN_WIRE ? look.by('proton_network', 'segmentation_id', String(vlan))[0]?.id : undefined)
  );
}

function holderOfVni(look: Pick<Look, 'by'>, vni: number): string | undefined {
  const named = look.by('network', 'provider:segmentation_id', String(vni)).find(isTunnelled);
  return (named ?? look.by('network', 'vni', String(vni))[0])?.id ?? otherOfVni(look, vni);
}

/** A server may have no routers, or no taps, loaded. VPNs and projects of protons have networks of their own. */
function otherOfVni(look: Pick<Look, 'by'>, vni: number): string | undefined {
  for (const [type, attribute] of [
    ['router', 'transit_vni'],
    ['tap_service', 'vni'],
    ['proton_network', 'vni'],
    ['pseudowire', 'vni'],
  ] as const) {
    try {
      const [found] = look.by(type, attribute, String(vni));
      if (found !== undefined) return found.id;
    } catch (err) {
      if (!(err instanceof NotLoadedError)) throw err;
    }
  }
  return undefined;
}

function vlanName(physical: string, vlan: number | null): ClaimName {
  return { kind: 'segment', value: `${physical}/${vlan ?? 'flat'}` };
}

/** The tag on the physical network, or that it has none. */
export function segmentClaim(network: Pick<Network, 'provider:physical_network' | 'provider:segmentation_id'>): Claim {
  const { 'provider:physical_network': physical, 'provider:segmentation_id': vlan } = network;
  return {
    ...vlanName(String(physical), vlan),
    holder: (look) => holderOfVlan(look, String(physical), vlan),
    taken: () =>
      vlan === null
        ? new CableError(
            'FlatNetworkInUse',
            `Unable to create the flat network. Physical network ${physical} is in use.`,
            { fields: { physical_network: physical } },
          )
        : new CableError(
            'VlanIdInUse',
            `Unable to create the network. The VLAN ${vlan} on physical network ${physical} is in use.`,
            { fields: { physical_network: physical, vlan } },
          ),
  };
}

/** A VNI for what is no network of VXLAN: none of a range that an administrator made. */
export function allocateVni({ deps, plan }: Planning): number {
  for (let tries = 0; tries < 1000; tries += 1) {
    const vni = 1 + Math.floor(deps.random() * VNI_MAX);
    if (isVniTaken(plan, vni) || plan.isReserved(vniName(vni)) || isInGivenRange(deps, VNIS, vni)) continue;
    plan.reserve(vniName(vni));
    return vni;
  }
  throw noneAvailable();
}

function noneAvailable(): CableError {
  return new CableError(
    'NoNetworkAvailable',
    'Unable to create the network. No tenant network is available for allocation.',
  );
}

function invalid(reason: string): CableError {
  return new CableError('InvalidInput', `Invalid input for operation: ${reason}.`);
}

/** The largest MTU of a tunnelled network that the host carries; null: not known. A row of before hosts told their MTU has none. */
export function carriedMtu({ underlay, underlay_mtu: underlayMtu = null }: Host): number | null {
  return underlayMtu === null ? null : underlayMtu - TUNNEL_HEADER_BYTES[overlayIpVersion(underlay)];
}
