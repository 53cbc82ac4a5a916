import type { LocalPort, NetworkHeader, SubnetState } from '@cable/model';

/** DHCP server identifier, and gateway of last resort for service traffic, in a subnet without a gateway. */
export const METADATA_ADDRESS = '169.254.169.254';

/** Where guests, and the node's own processes, ask for names of the clusters that they reach. */
export const CLUSTER_DNS_ADDRESS = '169.254.20.10';

/** Where guests find the agent's services in IPv6. */
export const METADATA_ADDRESS6 = 'fe80::a9fe:a9fe';

/** An address of a port and the subnet that it is in. */
export type PortSubnet = { readonly ipAddress: string; readonly subnet: SubnetState };

/** The subnet of each fixed address of the port; an address whose subnet is unknown is left out. */
export function portSubnets(port: LocalPort, network: NetworkHeader): readonly PortSubnet[] {
  return port.fixedIps.flatMap(({ subnetId, ipAddress }) => {
    const subnet = network.subnets.find((one) => one.id === subnetId);
    return subnet === undefined ? [] : [{ ipAddress, subnet }];
  });
}
