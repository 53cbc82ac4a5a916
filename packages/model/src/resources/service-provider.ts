import type { Resource } from '../declaration.ts';

/** Neutron's service provider: what does a kind of service. */
export const serviceProviderResource: Resource = {
  name: 'service_provider',
  plural: 'service_providers',
  label: 'ServiceProvider',
  prefix: '/v2.0',
  path: 'service-providers',
  key: 'name',
  description: 'What does a kind of service, such as routing.',
  verbs: ['list'],
  standard: false,
  stored: false,
  command: 'network service provider',
  columns: ['service_type', 'name', 'default'],
  attributes: {
    service_type: { type: 'string', example: 'L3_ROUTER_NAT', description: 'The kind of service.' },
    name: { type: 'string', maxBytes: 255, example: 'cable', description: 'Name of the provider.' },
    default: {
      type: 'boolean',
      example: true,
      description: 'True: it does the service for whoever asks for no other one.',
    },
  },
};
