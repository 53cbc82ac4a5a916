/** What rows are called. Nova names a machine's interface by its port, so a switch's port has that name; others are called as Neutron's own driver calls them, for who looks into OVN. */

export function switchName(networkId: string): string {
  return `neutron-${networkId}`;
}

export function routerName(routerId: string): string {
  return `neutron-${routerId}`;
}

export function localnetName(networkId: string): string {
  return `provnet-${networkId}`;
}

export function routerPortName(portId: string): string {
  return `lrp-${portId}`;
}

/** OVN's names of groups and sets have no hyphens. */
export function groupName(securityGroupId: string): string {
  return `cable_sg_${securityGroupId.replaceAll('-', '_')}`;
}

/** The group of all ports whose traffic is dropped where no rule allows it. */
export const DROP_GROUP = 'cable_drop';

/** Addresses of a security group's ports. */
export function membersSetName(securityGroupId: string, version: 4 | 6): string {
  return `cable_members_${version}_${securityGroupId.replaceAll('-', '_')}`;
}

/** Addresses of an address group. */
export function addressGroupSetName(addressGroupId: string, version: 4 | 6): string {
  return `cable_addresses_${version}_${addressGroupId.replaceAll('-', '_')}`;
}
