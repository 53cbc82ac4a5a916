import { type ExtraDhcpOption, type LocalPort, type NetworkHeader, parseExtraDhcpOption } from '@cable/model';
import type { GuestRecord } from '../desired.ts';
import { domainOf } from './advertisements.ts';
import { NODE_OWNER } from './node-port.ts';
import { METADATA_ADDRESS, type PortSubnet } from './port-subnets.ts';

/** What the guest services need to know of a port. */
export function guestPort(
  port: LocalPort,
  network: NetworkHeader,
  subnets: readonly PortSubnet[],
): Omit<GuestRecord, 'vif' | 'isHere' | 'advertisement'> {
  return {
    portId: port.id,
    projectId: port.projectId,
    networkId: port.networkId,
    macAddress: port.macAddress,
    mtuBytes: network.mtuBytes,
    hostname: port.hostname,
    deviceId: port.deviceId,
    deviceOwner: port.deviceOwner,
    ...(port.vifKind === 'host' && port.deviceOwner === NODE_OWNER ? { isNode: true as const } : {}),
    trunk: port.trunk ?? null,
    userData: port.userData,
    publicKeys: port.publicKeys ?? [],
    vendorData: port.vendorData ?? null,
    dnsDomain: domainOf(network),
    extraDhcpOptions: dhcpOptions(4, port),
    extraDhcp6Options: dhcpOptions(6, port),
    addresses: subnets.map(({ ipAddress, subnet }) => ({
      ipAddress,
      subnetId: subnet.id,
      ipVersion: subnet.ipVersion,
      cidr: subnet.cidr,
      gatewayIp: subnet.gatewayIp,
      enableDhcp: subnet.enableDhcp,
      addressMode: subnet.ipv6AddressMode ?? null,
      dhcpServer: subnet.gatewayIp ?? METADATA_ADDRESS,
      dnsNameservers: subnet.dnsNameservers,
      hostRoutes: subnet.hostRoutes,
      linkCidrs: linkCidrs(network),
    })),
  };
}

const cidrs = new WeakMap<NetworkHeader['subnets'], readonly string[]>();

/** Of all subnets of IPv4, as Neutron's DHCP tells them, so that machines of two subnets of a network meet without a router. One list for all its ports. */
function linkCidrs({ subnets }: NetworkHeader): readonly string[] {
  const known = cidrs.get(subnets);
  if (known !== undefined) return known;
  const made = subnets.flatMap(({ ipVersion, cidr }) => (ipVersion === 4 ? [cidr] : []));
  cidrs.set(subnets, made);
  return made;
}

/** The server has looked at them; what a newer one takes and this agent does not know is left out. */
function dhcpOptions(version: 4 | 6, { extraDhcpOpts = [] }: LocalPort): readonly ExtraDhcpOption[] {
  return extraDhcpOpts.flatMap(({ ipVersion, name, value }) => {
    const parsed = ipVersion === version ? parseExtraDhcpOption(version, name, value) : undefined;
    return parsed?.ok === true ? [parsed.option] : [];
  });
}
