import type { Subnet } from './objects.ts';

/**
 * Neutron's values of a subnet's `ipv6_ra_mode` (what router advertisements say) and `ipv6_address_mode` (how guests get their addresses).
 *
 * - `slaac`: addresses by EUI-64 from the prefix, configuration by router advertisements;
 * - `dhcpv6-stateless`: the same addresses, configuration by DHCPv6;
 * - `dhcpv6-stateful`: addresses and configuration by DHCPv6.
 */
export type Ipv6Mode = NonNullable<Subnet['ipv6_ra_mode']>;
