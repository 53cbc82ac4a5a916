import type { Resource } from '../declaration.ts';
import { endpointSetResource, serviceResource, serviceScopeResource } from '../resources/service.ts';

/** Services of Kubernetes. */
export const cableServiceExtension = {
  alias: 'cable-service',
  name: 'Services of Kubernetes',
  description: 'Addresses of a Kubernetes cluster’s Services, and the endpoints that serve there.',
  updated: '2026-11-29T00:00:00-00:00',
  requires: ['router'],
  resources: [serviceScopeResource, serviceResource, endpointSetResource] as readonly Resource[],
} as const;
