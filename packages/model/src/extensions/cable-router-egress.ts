import type { Resource } from '../declaration.ts';
import { routerEgressResource } from '../resources/router-egress.ts';

/** Addresses by which some of the ports behind a router leave. */
export const cableRouterEgressExtension = {
  alias: 'cable-router-egress',
  name: 'Egress addresses of routers',
  description: 'By which addresses of a router’s gateway some of the ports behind it leave, and nobody else.',
  updated: '2026-11-29T00:00:00-00:00',
  requires: ['cable-snat', 'quotas'],
  resources: [routerEgressResource] as readonly Resource[],
  columns: { quota: ['router_egress'] },
  attributes: {
    quota: {
      router_egress: {
        type: 'integer',
        write: 'update',
        minimum: -1,
        maximum: 2147483647,
        filter: false,
        sort: false,
        example: 10,
        description: 'Most egress addresses of routers.',
      },
    },
  },
} as const;
