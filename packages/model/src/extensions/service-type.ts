import type { Resource } from '../declaration.ts';
import { serviceProviderResource } from '../resources/service-provider.ts';

/** Who provides which service. */
export const serviceTypeExtension = {
  alias: 'service-type',
  name: 'Neutron Service Type Management',
  description: 'What does each kind of service.',
  updated: '2026-11-28T00:00:00-00:00',
  requires: ['router'],
  resources: [serviceProviderResource] as readonly Resource[],
} as const;
