import type { Resource } from '../declaration.ts';

/** Neutron's floating IP pool: a subnet that addresses of floating IPs come from. */
export const floatingIpPoolResource: Resource = {
  name: 'floatingip_pool',
  plural: 'floatingip_pools',
  label: 'FloatingipPool',
  prefix: '/v2.0',
  path: 'floatingip_pools',
  key: 'subnet_id',
  description: 'A subnet that addresses of floating IPs come from.',
  verbs: ['list'],
  standard: false,
  stored: false,
  command: 'floatingip pool',
  columns: ['subnet_id', 'subnet_name', 'cidr', 'network_id'],
  attributes: {
    network_id: {
      type: 'uuid',
      example: '9bd0e6a4-3f0c-4f0e-9d0a-0b8f3a6c2e11',
      description: 'The external network.',
    },
    subnet_id: { type: 'uuid', example: '4f2a3c1e-8b7d-4c6f-9a1b-2d3e4f5a6b7c', description: 'The subnet.' },
    subnet_name: { type: 'string', example: 'public', description: 'Its name.' },
    tenant_id: { type: 'string', aliasOf: 'project_id', description: 'Project of who asks.' },
    project_id: {
      type: 'string',
      nullable: true,
      example: 'f0e1d2c3b4a5968778695a4b3c2d1e0f',
      description: 'Project of who asks; null: of none.',
    },
    cidr: { type: 'cidr', example: '203.0.113.0/24', description: 'Its prefix, of IPv4.' },
  },
};
