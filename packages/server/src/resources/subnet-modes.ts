/** `ipv6_ra_mode` and `ipv6_address_mode` of subnets: Neutron's rules. */
import { CableError, type Subnet } from '@cable/model';
import { prefixOf } from './subnet-range.ts';

type Modes = Pick<Subnet, 'ipv6_ra_mode' | 'ipv6_address_mode'>;

/** An EUI-64 address has so many bits of its own (RFC 4862 §5.5.3). */
const EUI64_PREFIX_LENGTH = 64;

/** Most bits of a prefix in which DHCP has something to give out, by version of IP. */
const LONGEST_DHCP_PREFIX = { 4: 30, 6: 126 } as const;

/** True when each port of the network has the EUI-64 address of its MAC in the subnet, and no other one. */
export function isAutomatic({ ipv6_ra_mode: ra, ipv6_address_mode: address }: Modes): boolean {
  return [ra, address].some((mode) => mode === 'slaac' || mode === 'dhcpv6-stateless');
}

/** True when router advertisements come from elsewhere: a router of Cable's would contradict them. */
export function hasForeignRouter({ ipv6_ra_mode: ra, ipv6_address_mode: address }: Modes): boolean {
  return ra === null && address !== null;
}

/** Modes and DHCP of a new subnet, or of a changed one. */
export function checkModes(subnet: Subnet, before: Subnet | undefined): void {
  const { ip_version: version, ipv6_ra_mode: ra, ipv6_address_mode: address, enable_dhcp: dhcp } = subnet;
  if (version === 4) {
    for (const name of ['ipv6_ra_mode', 'ipv6_address_mode'] as const) {
      if (subnet[name] !== null) throw invalid(`${name} is not valid when ip_version is 4`);
    }
    checkDhcp(subnet, before);
    return;
  }
  const hasModes = ra !== null || address !== null;
  if (hasModes && !dhcp) {
    throw invalid(
      before === undefined
        ? 'ipv6_ra_mode or ipv6_address_mode cannot be set when enable_dhcp is set to False'
        : 'Cannot disable enable_dhcp with ipv6 attributes set',
    );
  }
  if (ra !== null && address !== null && ra !== address) {
    throw invalid(
      `ipv6_ra_mode set to '${ra}' with ipv6_address_mode set to '${address}' is not valid. ` +
        'If both attributes are set, they must be the same value',
    );
  }
  const { prefixLength } = prefixOf(subnet.cidr);
  if (isAutomatic(subnet) && prefixLength !== EUI64_PREFIX_LENGTH) {
    throw invalid(
      `Invalid CIDR ${subnet.cidr} for IPv6 address mode. OpenStack uses the EUI-64 address format, which requires the prefix to be /64`,
    );
  }
  checkDhcp(subnet, before);
}

/** As Neutron asks it: when DHCP comes to be on. */
function checkDhcp({ cidr, enable_dhcp: dhcp, ip_version: version }: Subnet, before: Subnet | undefined): void {
  if (!dhcp || before?.enable_dhcp === true) return;
  if (prefixOf(cidr).prefixLength <= LONGEST_DHCP_PREFIX[version]) return;
  throw invalid('Subnet has a prefix length that is incompatible with DHCP service enabled');
}

function invalid(reason: string): CableError {
  return new CableError('InvalidInput', `Invalid input for operation: ${reason}.`);
}
