import type { Resource } from '../declaration.ts';
import { floatingIpResource } from '../resources/floating-ip.ts';

/** Floating IPs, with details of their ports. */
export const fipPortDetailsExtension = {
  alias: 'fip-port-details',
  name: 'Floating IP Port Details Extension',
  description: 'Floating IPs, with details of the ports that they lead to.',
  updated: '2026-11-26T00:00:00-00:00',
  requires: ['ext-gw-mode', 'quotas'],
  resources: [floatingIpResource] as readonly Resource[],
  columns: { quota: ['floatingip'] },
  attributes: {
    quota: {
      floatingip: {
        type: 'integer',
        write: 'update',
        minimum: -1,
        maximum: 2147483647,
        filter: false,
        sort: false,
        example: 50,
        description: 'Most floating IPs.',
      },
    },
  },
} as const;
