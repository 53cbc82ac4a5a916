/** Neutron's values of `ipv6_ra_mode` and `ipv6_address_mode`. */
export type Ipv6Mode = 'slaac' | 'dhcpv6-stateless' | 'dhcpv6-stateful';
