import type { Resource } from '../declaration.ts';
import { flavorResource, serviceProfileResource } from '../resources/flavor.ts';

/** Who provides a service, chosen by name. */
export const flavorsExtension = {
  alias: 'flavors',
  name: 'Neutron Service Flavors',
  description: 'Names by which users choose who provides a service.',
  updated: '2026-11-28T00:00:00-00:00',
  requires: ['service-type'],
  resources: [serviceProfileResource, flavorResource] as readonly Resource[],
} as const;

/** The same of routers. */
export const l3FlavorsExtension = {
  alias: 'l3-flavors',
  name: 'Router Flavor Extension',
  description: 'Routers are made of a flavor.',
  updated: '2026-11-28T00:00:00-00:00',
  requires: ['flavors', 'router'],
  attributes: {
    router: {
      flavor_id: {
        type: 'uuid',
        nullable: true,
        write: 'create',
        default: null,
        filter: false,
        reference: { type: 'flavor', onDelete: 'restrict' },
        example: null,
        description:
          'The flavor that it was made of, which names who provides it; null: none, so the default provider.',
      },
    },
  },
} as const;
