/** Neutron's values of `ipv6_ra_mode` and `ipv6_address_mode`. */
export type { Ipv6Mode } from '@cable/model';
