import type { Resource } from '../declaration.ts';

/** The types that are counted, in the order of the quota's attributes. */
export const COUNTED: readonly string[] = [
  'network',
  'subnet',
  'port',
  'router',
  'trunk',
  'security_group',
  'security_group_rule',
  'rbac_policy',
  'address_group',
];

const limit = {
  type: 'integer',
  write: 'update',
  minimum: -1,
  maximum: 2147483647,
  filter: false,
  sort: false,
} as const;

/** Neutron's quota: how many objects of each type a project may have. Each attribute but the project is a type that is counted. */
export const quotaResource: Resource = {
  name: 'quota',
  plural: 'quotas',
  label: 'TenantQuota',
  prefix: '/v2.0',
  path: 'quotas',
  description:
    'How many objects of each type a project may have; -1: any number. What is not set is as the server has it by default.',
  verbs: ['list', 'show', 'update', 'delete'],
  key: 'project_id',
  standard: false,
  stored: true,
  implied: true,
  columns: ['project_id', ...COUNTED],
  attributes: {
    project_id: {
      type: 'string',
      maxLength: 255,
      maxBytes: 255,
      indexed: true,
      shownIn: 'list',
      example: 'f0e1d2c3b4a5968778695a4b3c2d1e0f',
      description: 'The project.',
    },
    tenant_id: {
      type: 'string',
      aliasOf: 'project_id',
      shownIn: 'list',
      maxLength: 255,
      example: 'f0e1d2c3b4a5968778695a4b3c2d1e0f',
      description: 'The project.',
    },
    network: { ...limit, example: 100, description: 'Most networks.' },
    subnet: { ...limit, example: 100, description: 'Most subnets.' },
    port: { ...limit, example: 500, description: 'Most ports, those of routers among them.' },
    router: { ...limit, example: 10, description: 'Most routers.' },
    trunk: { ...limit, example: 10, description: 'Most trunks.' },
    security_group: { ...limit, example: 10, description: 'Most security groups, the default one among them.' },
    security_group_rule: {
      ...limit,
      example: 100,
      description: 'Most rules of security groups, those that a group starts with among them.',
    },
    address_group: { ...limit, example: 10, description: 'Most address groups.' },
    rbac_policy: { ...limit, example: 10, description: 'Most RBAC policies, those that shared makes among them.' },
  },
  hidden: { updated_at: { type: 'timestamp' }, revision_number: { type: 'integer' } },
};
