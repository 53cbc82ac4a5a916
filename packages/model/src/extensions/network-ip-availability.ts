import type { Resource } from '../declaration.ts';
import { networkIpAvailabilityResource } from '../resources/network-ip-availability.ts';

/** How many addresses of networks are taken. */
export const networkIpAvailabilityExtension = {
  alias: 'network-ip-availability',
  name: 'Network IP Availability',
  description: 'How many addresses of networks there are, and how many are taken.',
  updated: '2026-11-28T00:00:00-00:00',
  resources: [networkIpAvailabilityResource] as readonly Resource[],
} as const;

/** How many of the addresses are of the pools. */
export const networkIpAvailabilityDetailsExtension = {
  alias: 'network-ip-availability-details',
  name: 'Network IP Availability Details Extension',
  description: 'How many addresses of networks there are and are taken, in the prefix and in the allocation pools.',
  updated: '2025-10-31T00:00:00-00:00',
  requires: ['network-ip-availability'],
  attributes: {
    network_ip_availability: {
      ip_availability_details: {
        type: 'dict',
        computed: true,
        filter: false,
        sort: false,
        example: {
          total_ips_in_subnet: 254,
          total_ips_in_allocation_pool: 253,
          used_ips_in_subnet: 3,
          used_ips_in_allocation_pool: 2,
        },
        description:
          'Addresses of the prefixes (of IPv4 without the first and the last), those of the allocation pools, and how many of each ports have; each a whole number of any size. Each of `subnet_ip_availability` has the same.',
      },
    },
  },
} as const;
