import { formatIp, ipFromBytes, parseCidr, parseIp } from '@cable/model';
import type { GuestAddress, GuestRecord } from '../desired.ts';
import { guestRoutes, nameServers } from './dhcp-options.ts';
import { containsIpv4, formatIpv4, netmaskOf, parseIpv4, parseIpv4Cidr } from './ipv4.ts';

/** A port of a machine, with or without a device yet. */
export type MachinePort = Omit<GuestRecord, 'vif' | 'isHere' | 'advertisement'>;

/**
 * Nova's `network_data.json`: a link for each port of the machine, a network for each address, and the name servers of all. The IPv4
 * address that DHCP gives, the first of a port in a subnet with DHCP, is said to come from there; every other one is static. Of IPv6 the type says the
 * subnet's address mode, and the address is always there. A trunk's sub-port is a VLAN of the link of its parent.
 */
export function networkData(machine: readonly MachinePort[], nameServer: string | null): object {
  const networks = machine.flatMap((port) => {
    const leased = ipv4Addresses(port).find((one) => one.enableDhcp);
    return port.addresses.map((address) => ({ port, address, isLeased: address === leased }));
  });
  const servers = new Set(networks.flatMap(({ address }) => serversOf(address, nameServer)));
  return {
    links: machine.map((port) => linkOf(port, machine)),
    networks: networks.map(({ port, address, isLeased }, index) => {
      const common = { id: `network${index}`, link: linkName(port), network_id: port.networkId };
      if (isLeased) return { ...common, type: 'ipv4_dhcp' };
      return { ...common, ...(address.ipVersion === 6 ? network6(address) : staticNetwork(address, nameServer)) };
    }),
    services: [...servers].map(dnsService),
  };
}

function serversOf(address: GuestAddress, nameServer: string | null): readonly string[] {
  return address.ipVersion === 6 ? servers6(address) : nameServers(address, nameServer).map(formatIpv4);
}

function servers6({ dnsNameservers }: GuestAddress): readonly string[] {
  return [...new Set(dnsNameservers.flatMap((text) => canonical6(text) ?? []))];
}

/** Nova tells routes also where router advertisements do: a guest that takes these passes them over. */
function network6(address: GuestAddress): object {
  const { addressMode, enableDhcp, gatewayIp, hostRoutes } = address;
  const isConfigured = addressMode !== null && (enableDhcp || addressMode === 'slaac');
  const routes = [...(gatewayIp === null ? [] : [{ destination: '::/0', nexthop: gatewayIp }]), ...hostRoutes].flatMap(
    ({ destination, nexthop }) => {
      const prefix = parseCidr(destination, true);
      const gateway = canonical6(nexthop);
      if (prefix?.base.version !== 6 || gateway === undefined) return [];
      return [{ network: formatIp(prefix.base), netmask: netmask6(prefix.prefixLength), gateway }];
    },
  );
  return {
    type: isConfigured ? `ipv6_${addressMode}` : 'ipv6',
    ip_address: address.ipAddress,
    netmask: netmask6(parseCidr(address.cidr, true)?.prefixLength ?? 128),
    routes,
    services: servers6(address).map(dnsService),
  };
}

function canonical6(text: string): string | undefined {
  const ip = parseIp(text);
  return ip?.version === 6 ? formatIp(ip) : undefined;
}

/** 64 gives `ffff:ffff:ffff:ffff::`. */
function netmask6(prefixLength: number): string {
  const bytes = Uint8Array.from({ length: 16 }, (_, i) => 0xff00 >> Math.max(0, Math.min(8, prefixLength - 8 * i)));
  const ip = ipFromBytes(bytes);
  return ip === undefined ? '' : formatIp(ip);
}

/** The addresses of a port that are of IPv4, in its order. */
export function ipv4Addresses({ addresses }: Pick<GuestRecord, 'addresses'>): readonly GuestAddress[] {
  return addresses.filter((one) => parseIpv4(one.ipAddress) !== undefined);
}

function linkName({ portId }: Pick<MachinePort, 'portId'>): string {
  return `tap${portId.slice(0, 11)}`;
}

function linkOf(port: MachinePort, machine: readonly MachinePort[]): object {
  const { trunk } = port;
  const parent = trunk === null ? undefined : machine.find(({ portId }) => portId === trunk.parentPortId);
  const common = { id: linkName(port), vif_id: port.portId, mtu: port.mtuBytes };
  if (trunk !== null && parent !== undefined) {
    const vlan = { vlan_id: trunk.vlan, vlan_link: linkName(parent) };
    return { ...common, type: 'vlan', ...vlan, vlan_mac_address: port.macAddress.toLowerCase() };
  }
  return { ...common, type: 'tap', ethernet_mac_address: port.macAddress.toLowerCase() };
}

function staticNetwork(address: GuestAddress, nameServer: string | null): object {
  const cidr = parseIpv4Cidr(address.cidr);
  return {
    type: 'ipv4',
    ip_address: address.ipAddress,
    netmask: formatIpv4(netmaskOf(cidr?.prefixLength ?? 32)),
    // The form has no route on the link, and clients take no next hop that they cannot reach.
    routes: guestRoutes(address)
      .filter((route) => route.nexthop !== 0)
      .filter((route) => cidr === undefined || containsIpv4(cidr, route.nexthop))
      .map((route) => ({
        network: formatIpv4(route.destination),
        netmask: formatIpv4(netmaskOf(route.prefixLength)),
        gateway: formatIpv4(route.nexthop),
      })),
    services: nameServers(address, nameServer).map(formatIpv4).map(dnsService),
  };
}

function dnsService(address: string): object {
  return { type: 'dns', address };
}
