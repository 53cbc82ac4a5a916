/** How networks are carried, in Neutron's words: tunnelled (vxlan), or by a physical network (vlan, flat). Each has one segment, taken once. */
import { CableError, type Host, type Network, overlayIpVersion, TUNNEL_HEADER_BYTES } from '@cable/model';
import type { Planning } from '../engine/context.ts';
import type { Claim, ClaimName } from '../engine/module.ts';
import type { Look } from '../engine/view.ts';
import { NotLoadedError } from '../not-loaded.ts';

const VNI_MAX = 16777215;
const VLAN_MAX = 4094;

/** What of a network says how it is carried, as it was given. */
export type Segment = Partial<
  Pick<Network, 'provider:network_type' | 'provider:physical_network' | 'provider:segmentation_id' | 'vni'>
>;

/** True for a network whose packets are carried between hosts in tunnels; false: by a physical network. */
export function isTunnelled(network: Segment): boolean {
  return (network['provider:network_type'] ?? 'vxlan') === 'vxlan';
}

/**
 * Segment of a new network: the VNI that was given or a free one; of a physical network what was given. Throws `InvalidInput`.
 * A network that is not tunnelled has a VNI as well: an older agent, which takes every network for one of VXLAN, carries it apart from all others.
 */
export function segmentOf(
  planning: Planning,
  given: Segment,
): Pick<Network, 'provider:segmentation_id' | 'provider:physical_network' | 'vni'> {
  const type = given['provider:network_type'] ?? 'vxlan';
  const physical = given['provider:physical_network'] ?? null;
  const id = given['provider:segmentation_id'] ?? null;
  if (type === 'vxlan') {
    if (physical !== null) throw invalid(`provider:physical_network specified for vxlan network`);
    const vni = id ?? allocateVni(planning);
    return { 'provider:segmentation_id': vni, 'provider:physical_network': null, vni: null };
  }
  if (physical === null) throw invalid(`physical_network required for ${type} provider network`);
  if (type === 'flat' && id !== null) throw invalid('segmentation_id prohibited for flat provider network');
  if (type === 'vlan' && (id === null || id > VLAN_MAX)) {
    throw invalid(
      id === null
        ? `physical network ${physical} requires that segmentation_id be specified when creating a vlan provider network`
        : `segmentation_id out of range (1 through ${VLAN_MAX})`,
    );
  }
  return { 'provider:segmentation_id': id, 'provider:physical_network': physical, vni: allocateVni(planning) };
}

/** What the network has alone: its VNI, and its place on the physical network. */
export function claimsOfSegment(network: Network): readonly Claim[] {
  const vni = vniOf(network);
  const claims = vni === null ? [] : [vniClaim(vni)];
  return isTunnelled(network) ? claims : [...claims, segmentClaim(network)];
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

function holderOfVni(look: Pick<Look, 'by'>, vni: number): string | undefined {
  const named = look.by('network', 'provider:segmentation_id', String(vni)).find(isTunnelled);
  return (named ?? look.by('network', 'vni', String(vni))[0])?.id ?? otherOfVni(look, vni);
}

/** A server may have no routers, or no taps, loaded. */
function otherOfVni(look: Pick<Look, 'by'>, vni: number): string | undefined {
  for (const [type, attribute] of [
    ['router', 'transit_vni'],
    ['tap_service', 'vni'],
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

/** The tag on the physical network, or that it has none. */
function segmentClaim(network: Network): Claim {
  const { 'provider:physical_network': physical, 'provider:segmentation_id': vlan } = network;
  const isSame = (other: Network): boolean => !isTunnelled(other) && other['provider:segmentation_id'] === vlan;
  return {
    kind: 'segment',
    value: `${physical}/${vlan ?? 'flat'}`,
    holder: (look) => look.by('network', 'provider:physical_network', String(physical)).find(isSame)?.id,
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

/** Chosen at random: with so many there is hardly ever a second try, and servers do not choose the same. */
export function allocateVni({ deps, plan }: Planning): number {
  for (let tries = 0; tries < 1000; tries += 1) {
    const vni = 1 + Math.floor(deps.random() * VNI_MAX);
    if (holderOfVni(plan, vni) !== undefined || plan.isReserved(vniName(vni))) continue;
    plan.reserve(vniName(vni));
    return vni;
  }
  throw new CableError(
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
