import type { Resource } from '../declaration.ts';
import { floatingIpPoolResource } from '../resources/floating-ip-pool.ts';

/** Where floating IPs come from. */
export const floatingIpPoolsExtension = {
  alias: 'floatingip-pools',
  name: 'Floating IP Pools Extension',
  description: 'Subnets that addresses of floating IPs come from.',
  updated: '2026-11-28T00:00:00-00:00',
  requires: ['external-net'],
  resources: [floatingIpPoolResource] as readonly Resource[],
} as const;
