import type { Resource } from '../declaration.ts';
import { routerResource } from '../resources/router.ts';

/** Routers between subnets. */
export const routerExtension = {
  alias: 'router',
  name: 'Neutron L3 Router',
  description: 'Routers between subnets.',
  updated: '2026-01-01T00:00:00-00:00',
  resources: [routerResource] as readonly Resource[],
} as const;
