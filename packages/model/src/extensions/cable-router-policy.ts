import type { Resource } from '../declaration.ts';
import { routerPolicyResource } from '../resources/router-policy.ts';

/** Policy routes of routers. */
export const cableRouterPolicyExtension = {
  alias: 'cable-router-policy',
  name: 'Policy routes of routers',
  description:
    'What comes to a router is let go by its routes, dropped or sent to a next hop, by more than its destination.',
  updated: '2026-11-27T00:00:00-00:00',
  requires: ['router', 'quotas'],
  resources: [routerPolicyResource] as readonly Resource[],
  columns: { quota: ['router_policy'] },
  attributes: {
    quota: {
      router_policy: {
        type: 'integer',
        write: 'update',
        minimum: -1,
        maximum: 2147483647,
        filter: false,
        sort: false,
        example: 100,
        description: 'Most policy routes of routers.',
      },
    },
  },
} as const;
