import type { ActionDeclaration, Resource } from '../declaration.ts';
import { agentResource } from '../resources/agent.ts';

/** Hosts as agents. */
export const agentExtension = {
  alias: 'agent',
  name: 'agent',
  description: 'The agents of hosts: whether they are alive, and whether they take anything.',
  updated: '2026-11-28T00:00:00-00:00',
  requires: ['router'],
  resources: [agentResource] as readonly Resource[],
  actions: {
    network: [scheduled('dhcp-agents', 'DHCP of a network')],
    router: [scheduled('l3-agents', 'a router')],
  } as Readonly<Record<string, readonly ActionDeclaration[]>>,
} as const;

/** Clients ask it of everything that they show, whether or not agents are scheduled. */
function scheduled(path: string, what: string): ActionDeclaration {
  return {
    name: `get_${path.replace('-', '_')}`,
    description: `Shows the agents that ${what} was scheduled to: none, for nothing is scheduled.`,
    method: 'GET',
    path,
    rule: `get_${path}`,
    answer: {
      agents: {
        type: 'list',
        items: { type: 'object', properties: { id: { type: 'uuid' } } },
        example: [],
        description: 'Always empty.',
      },
    },
    noCommand: true,
  };
}
