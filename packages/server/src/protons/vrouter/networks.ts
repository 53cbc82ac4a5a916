/** Networks of protons on the vrouter (`proton_network`): who is in one, and when it goes. */
import {
  type AnyObject,
  CableError,
  type PortOwner,
  type ProtonNetwork,
  TUNNEL_HEADER_BYTES,
  VPN_FIRST_LABEL,
  VPN_LAST_LABEL,
  VPN_WIRE,
} from '@cable/model';
import { complete } from '../../engine/complete.ts';
import type { Planning } from '../../engine/context.ts';
import { type Claim, type ClaimName, type Contribution, contribute, type Given } from '../../engine/module.ts';
import { chooseSlot } from '../../engine/slots.ts';
import { claimUnderKey } from '../../keys.ts';
import { allocateVni, segmentClaim, VLAN_MAX, vniClaim } from '../../resources/network-segment.ts';
import { networkIdOf } from '../port-view.ts';
import { subnetIdIn } from './overlay.ts';

export const PROTON_NETWORK = 'proton_network';
const PORT_OWNER = 'port_owner';

/** What a port has of the network that it is in. `open`: what it sends and gets passes there. */
export type InNetwork = Pick<PortOwner, 'proton_network_id' | 'open' | 'fixed_ips'>;

/** The network of a project's ports that are in none of their own: nothing passes there. It is made where there is none. */
export function projectNetwork(planning: Planning, proton: string, projectId: string): string {
  const id = networkIdOf(proton, projectId);
  if (planning.plan.get(PROTON_NETWORK, id) === undefined) {
    const { underlayMtuBytes, overlayIpVersion: version = 4 } = planning.deps.settings;
    createNetwork(planning, {
      ...{ id, proton, project_id: projectId, name: proton, kind: 'project' },
      mtu: underlayMtuBytes - TUNNEL_HEADER_BYTES[version],
    });
  }
  return id;
}

/** Writes a new network; its VNI is chosen. */
export function createNetwork(planning: Planning, given: Partial<ProtonNetwork> & Given<AnyObject>): ProtonNetwork {
  const { plan, deps } = planning;
  const start = { ...given, vni: allocateVni(planning) } as Given<AnyObject>;
  const network = complete(deps.resources.named(PROTON_NETWORK), start);
  plan.create(PROTON_NETWORK, network);
  return network as unknown as ProtonNetwork;
}

/** Writes that the port is in a network; what it has left goes if nobody else is there. */
export function moveTo(planning: Planning, portId: string, next: InNetwork): void {
  const { plan } = planning;
  const row = plan.get(PORT_OWNER, portId);
  if (row === undefined) return;
  const after = { ...row, ...next };
  if (JSON.stringify(after) === JSON.stringify(row)) return;
  plan.replace(PORT_OWNER, after as unknown as AnyObject);
  if (row.proton_network_id !== null && row.proton_network_id !== next.proton_network_id)
    leaveNetwork(planning, row.proton_network_id);
}

/** After a port has left it: the network of a project goes with its last port. Whoever leaves writes it, so that one of them is the last. */
export function leaveNetwork({ plan }: Pick<Planning, 'plan'>, id: string): void {
  const network = plan.rely(PROTON_NETWORK, id);
  if (network?.kind !== 'project') return;
  if (plan.by(PORT_OWNER, 'proton_network_id', id).length > 0) writeAgain({ plan }, network);
  else plan.delete(PROTON_NETWORK, id);
}

/** Of two plans that do this one is planned anew. */
export function writeAgain({ plan }: Pick<Planning, 'plan'>, network: ProtonNetwork): void {
  plan.replace(PROTON_NETWORK, { ...network } as unknown as AnyObject);
}

/** Addresses of a subnet have claims that begin so. */
function addressValue(subnetId: string, ip: string): string {
  return `${subnetId}.${ip}`;
}

/** Says that no port of the network but this one is in the subnet, nor comes there meanwhile. */
export function requireLast(
  { plan }: Pick<Planning, 'plan'>,
  networkId: string,
  subnetId: string,
  keys: readonly string[],
): void {
  plan.requireEmpty(claimUnderKey(PROTON_NETWORK, networkId, ADDRESS, addressValue(subnetId, '')), keys);
}

const ADDRESS = 'proton-address';
const MAC = 'proton-mac';

/** The claim on an address of a subnet, of a port or of the router. */
export function addressClaim(networkId: string, subnetId: string, ip: string): Claim {
  return {
    ...{ kind: ADDRESS, value: addressValue(subnetId, ip), under: { type: PROTON_NETWORK, id: networkId } },
    holder: (look) => {
      const port = look
        .by(PORT_OWNER, 'fixed_ips.ip_address', ip)
        .find((one) => one.open && one.proton_network_id === networkId);
      if (port !== undefined) return port.id;
      return look.get(PROTON_NETWORK, networkId)?.subnets.some((one) => one.gateway_ip === ip) === true
        ? networkId
        : undefined;
    },
    taken: () =>
      new CableError('HTTPConflict', `The address ${ip} is taken in the VPN.`, { detail: 'Choose another one.' }),
  };
}

function macClaim(networkId: string, mac: string): Claim {
  return {
    ...{ kind: MAC, value: mac, under: { type: PROTON_NETWORK, id: networkId } },
    holder: (look) => {
      const port = look.by(PORT_OWNER, 'mac_address', mac).find((one) => one.proton_network_id === networkId);
      if (port !== undefined) return port.id;
      return look.get(PROTON_NETWORK, networkId)?.subnets.some((one) => one.mac_address === mac) === true
        ? networkId
        : undefined;
    },
    taken: () =>
      new CableError('HTTPConflict', `The MAC address ${mac} is taken in the network of the port.`, {
        detail: 'Choose another one.',
        fields: { attribute: 'mac_address' },
      }),
  };
}

/** The number of a VPN, as label and as tag, is its alone. */
function numberClaims({ label, segmentation_id: tag }: ProtonNetwork): readonly Claim[] {
  if (label === null || tag === null) return [];
  return [
    segmentClaim({ 'provider:physical_network': VPN_WIRE, 'provider:segmentation_id': tag }),
    {
      ...labelName(label),
      holder: (look) => look.by(PROTON_NETWORK, 'label', String(label))[0]?.id,
      taken: () => new CableError('HTTPConflict', `Another VPN has the label ${label}.`),
    },
  ];
}

function labelName(label: number): ClaimName {
  return { kind: 'vpn-label', value: String(label) };
}

function distinguisherClaim(distinguisher: string): Claim {
  return {
    ...{ kind: 'vpn-distinguisher', value: distinguisher },
    holder: (look) => look.by(PROTON_NETWORK, 'route_distinguisher', distinguisher)[0]?.id,
    taken: () =>
      new CableError('HTTPConflict', `Another VPN has the route distinguisher ${distinguisher}.`, {
        detail: 'Choose another one: it tells prefixes of VPNs from each other.',
        fields: { attribute: 'route_distinguishers' },
      }),
  };
}

/** Label and tag for a new VPN. Throws `HTTPConflict` when all are taken. */
export function freeNumbers({ deps, plan }: Planning): Pick<ProtonNetwork, 'label' | 'segmentation_id'> {
  const isFree = (index: 'label' | 'segmentation_id', number: number, name: ClaimName): boolean =>
    plan.by(PROTON_NETWORK, index, String(number)).length === 0 && !plan.isReserved(name);
  const label = chooseSlot(VPN_LAST_LABEL - VPN_FIRST_LABEL + 1, deps.random, (slot) =>
    isFree('label', VPN_FIRST_LABEL + slot, labelName(VPN_FIRST_LABEL + slot)),
  );
  const tag = chooseSlot(VLAN_MAX, deps.random, (slot) => isFree('segmentation_id', 1 + slot, tagName(1 + slot)));
  if (label === undefined || tag === undefined) {
    throw new CableError('HTTPConflict', `There are ${VLAN_MAX} VPNs, and no more fit.`, {
      detail: 'Delete some that nobody needs.',
    });
  }
  const numbers = { label: VPN_FIRST_LABEL + label, segmentation_id: 1 + tag };
  plan.reserve(labelName(numbers.label));
  plan.reserve(tagName(numbers.segmentation_id));
  return numbers;
}

function tagName(tag: number): ClaimName {
  const { kind, value } = segmentClaim({ 'provider:physical_network': VPN_WIRE, 'provider:segmentation_id': tag });
  return { kind, value };
}

/** Networks of protons. */
export const protonNetworkModule: Contribution<AnyObject> = contribute<ProtonNetwork>({
  claims: (network) => [
    vniClaim(network.vni),
    ...numberClaims(network),
    ...(network.route_distinguisher === null ? [] : [distinguisherClaim(network.route_distinguisher)]),
    ...network.subnets.flatMap(({ id, gateway_ip, mac_address }) =>
      gateway_ip === null ? [] : [addressClaim(network.id, id, gateway_ip), macClaim(network.id, mac_address)],
    ),
  ],
});

/** Ports of protons that are in one of these: what no other port there has. */
export const portInNetworkModule: Contribution<AnyObject> = contribute<PortOwner>({
  claims: ({ proton_network_id: networkId, open, mac_address, fixed_ips }) =>
    networkId === null
      ? []
      : [
          ...(mac_address === '' ? [] : [macClaim(networkId, mac_address)]),
          ...(open
            ? fixed_ips.map(({ cidr, ip_address }) => addressClaim(networkId, subnetIdIn(networkId, cidr), ip_address))
            : []),
        ],
});
