import type { Resource } from '../declaration.ts';
import { routerPeeringResource } from '../resources/router-peering.ts';

/** Peerings of routers. */
export const cableRouterPeeringExtension = {
  alias: 'cable-router-peering',
  name: 'Peerings of routers',
  description:
    'Two routers, also of two projects, reach those of each other’s subnets that the owner of each lets through.',
  updated: '2026-11-27T00:00:00-00:00',
  requires: ['router', 'quotas'],
  resources: [routerPeeringResource] as readonly Resource[],
  columns: { quota: ['router_peering'] },
  attributes: {
    quota: {
      router_peering: {
        type: 'integer',
        write: 'update',
        minimum: -1,
        maximum: 2147483647,
        filter: false,
        sort: false,
        example: 10,
        description: 'Most peerings of routers, each side counted for its own project.',
      },
    },
  },
} as const;
