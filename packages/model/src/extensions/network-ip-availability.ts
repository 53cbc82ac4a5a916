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
