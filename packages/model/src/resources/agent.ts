import type { Resource } from '../declaration.ts';

/** Neutron's view of a host, for `openstack network agent list`: one agent does everything there, so a host has one. */
export const agentResource: Resource = {
  name: 'agent',
  plural: 'agents',
  label: 'Agent',
  prefix: '/v2.0',
  path: 'agents',
  description: 'A host in Neutron’s words.',
  verbs: ['list', 'show', 'update', 'delete'],
  standard: false,
  stored: false,
  adminOnly: true,
  // `cable agent` starts the agent itself.
  command: 'network agent',
  columns: ['id', 'agent_type', 'host', 'availability_zone', 'alive', 'admin_state_up', 'binary'],
  attributes: {
    id: {
      type: 'uuid',
      computed: true,
      example: '3b1f0c9d-5a7e-8b2c-a4d6-7e8f90a1b2c3',
      description: 'Made from the host’s name.',
    },
    agent_type: { type: 'string', computed: true, example: 'Cable agent', description: 'Always Cable agent.' },
    binary: { type: 'string', computed: true, example: 'cable-agent', description: 'Name of the program.' },
    topic: { type: 'string', computed: true, example: 'N/A', description: 'Always N/A.' },
    host: { type: 'string', computed: true, example: 'node-1', description: 'Name of the host.' },
    alive: { type: 'boolean', computed: true, description: 'True while the agent reports.' },
    admin_state_up: {
      type: 'boolean',
      write: 'update',
      description:
        'False: the host takes no new ports (their binding fails), and gateways of routers leave it. What is there stays.',
    },
    description: {
      type: 'string',
      nullable: true,
      write: 'update',
      maxLength: 255,
      example: 'being repaired',
      description: 'A text for people.',
    },
    configurations: {
      type: 'dict',
      computed: true,
      example: {
        underlay: '192.0.2.11',
        agent_version: '0.1.0',
        bridge_mappings: { physnet1: 'eth1' },
        resource_provider_bandwidths: { eth1: { egress: 10000000, ingress: 10000000 } },
        tunnelled_network_rp_name: 'rp_tunnelled',
      },
      description:
        'Underlay address, version, interfaces on physical networks, and what of their bandwidth may be promised.',
    },
    created_at: {
      type: 'string',
      computed: true,
      example: '2026-11-26 12:00:00',
      description: 'Time of the first registration (UTC).',
    },
    started_at: {
      type: 'string',
      computed: true,
      example: '2026-11-26 12:00:00',
      description: 'Time when this run of the agent registered; of one that is not alive, when the host last changed.',
    },
    heartbeat_timestamp: {
      type: 'string',
      computed: true,
      example: '2026-11-26 12:00:00',
      description: 'Now, while the agent reports; else when the host last changed.',
    },
  },
};
