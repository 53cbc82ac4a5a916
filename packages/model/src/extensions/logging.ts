import type { Resource } from '../declaration.ts';
import { loggableResource, logResource } from '../resources/log.ts';

/** Packets that hosts write down. */
export const loggingExtension = {
  alias: 'logging',
  name: 'Logging API Extension',
  description: 'Hosts write down what security groups let through, or drop, of ports.',
  updated: '2026-11-28T00:00:00-00:00',
  requires: ['security-group'],
  resources: [logResource, loggableResource] as readonly Resource[],
} as const;
