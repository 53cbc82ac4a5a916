import type { ActionDeclaration, Attribute, Resource } from '../declaration.ts';

const TOPOLOGY: Readonly<Record<string, Attribute>> = {
  id: {
    type: 'string',
    example: '9bd0e6a4-3f0c-4f0e-9d0a-0b8f3a6c2e11',
    description: 'The network; dry-run=pass: it could be made.',
  },
  tenant_id: { type: 'string', example: 'f0e1d2c3b4a5968778695a4b3c2d1e0f', description: 'Its project.' },
  project_id: { type: 'string', example: 'f0e1d2c3b4a5968778695a4b3c2d1e0f', description: 'Its project.' },
};

/** What was made for a project that asked for a network, whichever. Its id is the project's. */
const topologyResource = {
  name: 'auto_allocated_topology',
  plural: 'auto_allocated_topologies',
  label: 'AutoAllocatedTopology',
  prefix: '/v2.0',
  path: 'auto-allocated-topology',
  description:
    'A network with subnets of the default pools, behind a router that leads outside: one a project, made when it is asked for.',
  verbs: [],
  standard: false,
  stored: true,
  attributes: {
    id: { type: 'string', example: 'f0e1d2c3b4a5968778695a4b3c2d1e0f', description: 'The project.' },
    network_id: {
      type: 'uuid',
      reference: { type: 'network', onDelete: 'cascade' },
      example: '9bd0e6a4-3f0c-4f0e-9d0a-0b8f3a6c2e11',
      description: 'The network.',
    },
    router_id: { type: 'uuid', example: '1c6f9a52-7e0b-4a59-8f43-6d2c9e1b7a08', description: 'The router.' },
  },
  actions: [
    {
      name: 'get_topology',
      on: 'collection',
      method: 'GET',
      path: '{project}',
      noCommand: true,
      description:
        'Gives a project its network, which is made if it has none; with fields=dry-run: says whether that could be done.',
      answer: TOPOLOGY,
      answerKey: 'auto_allocated_topology',
      rule: 'get_auto_allocated_topology',
    },
    {
      name: 'delete_topology',
      on: 'collection',
      method: 'DELETE',
      path: '{project}',
      noCommand: true,
      description: 'Deletes the network of a project, and its router.',
      status: 204,
      rule: 'delete_auto_allocated_topology',
    },
  ] as readonly ActionDeclaration[],
} as const;

/** A network for a project that asks for one, whichever. */
export const autoAllocatedTopologyExtension = {
  alias: 'auto-allocated-topology',
  name: 'Auto Allocated Topology Services',
  description: 'Gives a project a network behind a router that leads outside.',
  updated: '2026-11-28T00:00:00-00:00',
  requires: ['router', 'external-net', 'ext-gw-mode', 'default-subnetpools'],
  resources: [topologyResource] as readonly Resource[],
  attributes: {
    network: {
      is_default: {
        type: 'boolean',
        write: 'both',
        writeBy: 'admin',
        default: false,
        indexed: true,
        description:
          'Of a network that leads outside: True: routers that are made for projects lead there. There is one such network.',
      },
    },
  },
} as const;
