import type { Resource } from '../declaration.ts';
import { agentResource } from '../resources/agent.ts';

/** Hosts as agents. */
export const agentExtension = {
  alias: 'agent',
  name: 'agent',
  description: 'The agents of hosts: whether they are alive, and whether they take anything.',
  updated: '2026-11-28T00:00:00-00:00',
  resources: [agentResource] as readonly Resource[],
} as const;
