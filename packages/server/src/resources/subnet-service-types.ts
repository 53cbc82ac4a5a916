/** Subnets for ports of some owners alone, in Neutron's rules. */
import { type AnyObject, CableError, type Port, type Subnet } from '@cable/model';
import { type Contribution, contribute } from '../engine/module.ts';
import { isAutomatic } from './subnet-modes.ts';

type Owner = Port['device_owner'];

/** As owners of ports are written: what kind, and which. Neutron knows four kinds, and takes most others by accident. */
const OWNER = /^[a-z]+:/;

/** A port of this owner takes addresses of any subnet with DHCP. */
const DHCP = 'network:dhcp';

export const subnetServiceTypesModule: Contribution<AnyObject> = contribute<Subnet>({
  check: (_view, subnet, before) => {
    const types = subnet.service_types ?? [];
    if (before?.service_types === subnet.service_types || types.length === 0) return;
    const wrong = types.find((type) => !OWNER.test(type));
    if (wrong !== undefined) {
      throw new CableError(
        'InvalidSubnetServiceType',
        `Subnet service type ${wrong} does not correspond to a valid device owner.`,
      );
    }
    if (!isAutomatic(subnet)) return;
    throw new CableError(
      'InvalidInput',
      'Invalid input for operation: service_types: every port of the network has an address of a subnet of SLAAC or dhcpv6-stateless.',
    );
  },
});

/** The subnets of which a port of the owner may have addresses, those that are for such ports first. */
export function servedSubnets(subnets: readonly Subnet[], owner: Owner): readonly Subnet[] {
  if (subnets.every((one) => typesOf(one).length === 0)) return subnets;
  const served = subnets.filter((one) => serves(one, owner));
  const isFirst = (one: Subnet): boolean => typesOf(one).length > 0;
  return [...served.filter(isFirst), ...served.filter((one) => !isFirst(one))];
}

/** A subnet that was stored before there were service types has none. */
function typesOf({ service_types: types = [] }: Partial<Subnet>): readonly string[] {
  return types;
}

function serves(subnet: Subnet, owner: Owner): boolean {
  const types = typesOf(subnet);
  return types.length === 0 || types.includes(owner) || (owner === DHCP && subnet.enable_dhcp);
}

/** A network has subnets, but none for ports of the owner. */
export function noneServes(networkId: string, owner: Owner): CableError {
  return new CableError(
    'IpAddressGenerationFailureNoMatchingSubnet',
    `No valid service subnet for the given device owner, network ${networkId}, service type ${owner}.`,
  );
}
