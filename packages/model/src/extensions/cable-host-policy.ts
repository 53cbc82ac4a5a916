import type { Resource } from '../declaration.ts';
import { hostPolicyResource } from '../resources/host-policy.ts';

/** Policies for hosts themselves. */
export const cableHostPolicyExtension = {
  alias: 'cable-host-policy',
  name: 'Policies for hosts themselves',
  description: 'What reaches and leaves the processes of hosts, by prefixes, pods and ports.',
  updated: '2026-11-30T00:00:00-00:00',
  requires: ['cable-network-policy'],
  resources: [hostPolicyResource] as readonly Resource[],
} as const;
