/** Slices of an L3VPN, of a plain description of it: whatever table that comes from. Pure; equal descriptions give equal slices, in whatever order their parts come. */
import {
  type Endpoint,
  type EndpointsHeader,
  formatCidr,
  type NetworkHeader,
  parseIpOrCidr,
  type RouterHeader,
  type RouterInterface,
  type SubnetState,
  VPN_WIRE,
  type VpnHeader,
  type VpnPlace,
} from '@cable/model';
import { compareText } from './compiler-tables.ts';

/** What there is to know of a VPN. `segmentationId` (1..4094) and `label` are its own among all VPNs. */
export type VpnDescription = Omit<VpnHeader, 'networkId' | 'routerId'> & {
  readonly networkId: string;
  readonly routerId: string;
  readonly segmentationId: number;
  /** Kept for agents that do not know of such networks. */
  readonly vni: number;
  /** Of its network: what the underlay takes, less `vpnOverheadBytes`. */
  readonly mtuBytes: number;
  readonly subnets: readonly VpnSubnet[];
  readonly ports: readonly VpnPort[];
};

/** A prefix in which ports are. Its gateway is the VPN's router, with this MAC. */
export type VpnSubnet = SubnetState & { readonly gatewayIp: string; readonly gatewayMac: string };

/** A port that is bound. `ipAddresses`: of its subnets. */
export type VpnPort = {
  readonly id: string;
  readonly macAddress: string;
  readonly ipAddresses: readonly string[];
  readonly host: string;
  /** Null while the host has not registered. */
  readonly underlay: string | null;
};

/** Headers and items of the slices that hosts with a port of the VPN have, besides those of the ports themselves. */
export type VpnSlices = {
  readonly network: { readonly header: NetworkHeader };
  readonly endpoints: { readonly header: EndpointsHeader; readonly items: ReadonlyMap<string, Endpoint> };
  readonly router: { readonly header: RouterHeader; readonly items: ReadonlyMap<string, RouterInterface> };
  readonly vpn: { readonly header: VpnHeader; readonly items: ReadonlyMap<string, VpnPlace> };
};

/** `others`: other VPNs of the cloud, whose ports are reached from this one where they export what it imports. */
export function vpnSlices(vpn: VpnDescription, others: readonly VpnDescription[] = []): VpnSlices {
  const { id, networkId, routerId, ports } = vpn;
  const imported = others.filter((other) => other.id !== id && meets(vpn, other));
  const places = [
    ...ports.map((port) => [port.id, ownPlace(port)] as const),
    ...imported.flatMap((other) =>
      other.ports.map((port) => [`${other.id}/${port.id}`, otherPlace(port, other)] as const),
    ),
  ];
  return {
    network: { header: networkOf(vpn) },
    endpoints: { header: { networkId }, items: sorted(ports.map((port) => [port.id, endpointOf(port)])) },
    router: {
      header: { id: routerId, name: vpn.name, adminStateUp: true, routes: [] },
      items: sorted(vpn.subnets.map((subnet) => [`${subnet.id}/${subnet.gatewayIp}`, legOf(vpn, subnet)])),
    },
    vpn: { header: headerOf(vpn), items: sorted(places) },
  };
}

/** A route is imported by whoever has one of its targets (RFC 4364, 4.3.1). */
function meets(importer: VpnHeader | VpnDescription, exporter: VpnDescription): boolean {
  return exporter.exportTargets.some((target) => importer.importTargets.includes(target));
}

function headerOf({
  id,
  name,
  projectId,
  networkId,
  routerId,
  label,
  routeDistinguisher,
  ...rest
}: VpnDescription): VpnHeader {
  return {
    ...{ id, name, projectId, networkId, routerId, label, routeDistinguisher },
    importTargets: targets(rest.importTargets),
    exportTargets: targets(rest.exportTargets),
    ...(rest.bgp === undefined ? {} : { bgp: rest.bgp }),
  };
}

function targets(list: readonly string[]): readonly string[] {
  return [...new Set(list)].sort(compareText);
}

function networkOf(vpn: VpnDescription): NetworkHeader {
  const { networkId, name, projectId, vni, mtuBytes, segmentationId } = vpn;
  const subnets = vpn.subnets
    .map(({ gatewayMac: _mac, ...subnet }): SubnetState => subnet)
    .sort((a, b) => compareText(a.id, b.id));
  return {
    ...{ id: networkId, name, projectId, adminStateUp: true, vni, mtuBytes, subnets },
    wire: { physicalNetwork: VPN_WIRE, segmentationId },
  };
}

function legOf({ networkId }: VpnDescription, { id, cidr, gatewayIp, gatewayMac }: VpnSubnet): RouterInterface {
  return { portId: id, networkId, subnetId: id, cidr, ipAddress: gatewayIp, macAddress: gatewayMac };
}

function endpointOf({ id, macAddress, ipAddresses, host, underlay }: VpnPort): Endpoint {
  return { portId: id, macAddress, ipAddresses, host, underlay };
}

function ownPlace({ host, underlay, macAddress, ipAddresses }: VpnPort): VpnPlace {
  return { host, underlay, prefixes: hostPrefixes(ipAddresses), macAddress };
}

function otherPlace({ host, underlay, ipAddresses }: VpnPort, { label }: VpnDescription): VpnPlace {
  return { host, underlay, prefixes: hostPrefixes(ipAddresses), label };
}

function hostPrefixes(addresses: readonly string[]): readonly string[] {
  return addresses.flatMap((address) => {
    const prefix = parseIpOrCidr(address);
    return prefix === undefined ? [] : [formatCidr(prefix)];
  });
}

function sorted<T>(entries: readonly (readonly [string, T])[]): ReadonlyMap<string, T> {
  return new Map([...entries].sort(([a], [b]) => compareText(a, b)));
}
