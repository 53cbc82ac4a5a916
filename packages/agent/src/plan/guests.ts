import type { LocalPort, NetworkHeader } from '@cable/model';
import type { GuestRecord } from '../desired.ts';
import { METADATA_ADDRESS, type PortSubnet } from './port-subnets.ts';

/** What DHCP and metadata answer the guest behind a VIF. */
export function guestRecord(
  port: LocalPort,
  network: NetworkHeader,
  subnets: readonly PortSubnet[],
  slot: number,
): GuestRecord {
  return {
    slot,
    portId: port.id,
    projectId: port.projectId,
    networkId: port.networkId,
    macAddress: port.macAddress,
    mtuBytes: network.mtuBytes,
    hostname: port.hostname,
    deviceId: port.deviceId,
    userData: port.userData,
    addresses: subnets.map(({ ipAddress, subnet }) => ({
      ipAddress,
      subnetId: subnet.id,
      cidr: subnet.cidr,
      gatewayIp: subnet.gatewayIp,
      enableDhcp: subnet.enableDhcp,
      dhcpServer: subnet.gatewayIp ?? METADATA_ADDRESS,
      dnsNameservers: subnet.dnsNameservers,
      hostRoutes: subnet.hostRoutes,
    })),
  };
}
