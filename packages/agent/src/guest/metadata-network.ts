import type { GuestAddress, GuestRecord } from '../desired.ts';
import { guestRoutes, nameServers } from './dhcp-options.ts';
import { containsIpv4, formatIpv4, netmaskOf, parseIpv4, parseIpv4Cidr } from './ipv4.ts';

/** A port of a machine, with or without a device yet. */
export type MachinePort = Omit<GuestRecord, 'vif' | 'advertisement'>;

/**
 * Nova's `network_data.json`, of IPv4 addresses: a link for each port of the machine, a network for each address, and the name servers of all. The
 * address that DHCP gives, the first of a port in a subnet with DHCP, is said to come from there; every other one is static.
 */
export function networkData(machine: readonly MachinePort[], nameServer: string | null): object {
  const networks = machine.flatMap((port) => {
    const addresses = ipv4Addresses(port);
    const leased = addresses.find((one) => one.enableDhcp);
    return addresses.map((address) => ({ port, address, isLeased: address === leased }));
  });
  const servers = new Set(networks.flatMap(({ address }) => nameServers(address, nameServer).map(formatIpv4)));
  return {
    links: machine.map(linkOf),
    networks: networks.map(({ port, address, isLeased }, index) => {
      const common = { id: `network${index}`, link: linkName(port), network_id: port.networkId };
      return isLeased ? { ...common, type: 'ipv4_dhcp' } : { ...common, ...staticNetwork(address, nameServer) };
    }),
    services: [...servers].map(dnsService),
  };
}

/** The addresses of a port that are of IPv4, in its order. */
export function ipv4Addresses({ addresses }: Pick<GuestRecord, 'addresses'>): readonly GuestAddress[] {
  return addresses.filter((one) => parseIpv4(one.ipAddress) !== undefined);
}

function linkName(port: MachinePort): string {
  return `tap${port.portId.slice(0, 11)}`;
}

function linkOf(port: MachinePort): object {
  return {
    id: linkName(port),
    vif_id: port.portId,
    type: 'tap',
    ethernet_mac_address: port.macAddress.toLowerCase(),
    mtu: port.mtuBytes,
  };
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
