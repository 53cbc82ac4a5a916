import type { ActionDeclaration, Attribute, FormDeclaration, Resource } from '../declaration.ts';
import { l7PolicyResource, listenerResource } from '../resources/listener.ts';
import { lbProviderResource, loadBalancerResource } from '../resources/load-balancer.ts';
import { LB_COMMON_ATTRIBUTES } from '../resources/load-balancer-attributes.ts';
import { healthMonitorResource, memberResource, poolResource } from '../resources/pool.ts';

type Attributes = Readonly<Record<string, Attribute>>;

type Added = {
  readonly quota: Attributes;
  readonly loadbalancer: Attributes;
  readonly listener: Attributes;
  readonly pool: Attributes;
  readonly member: Attributes;
};

type HealthAdded = { readonly quota: Attributes; readonly pool: Attributes; readonly healthmonitor: Attributes };

/** A computed list of objects that belong to this one, each as its id. */
function ids(description: string): Attribute {
  return {
    type: 'list',
    computed: true,
    filter: false,
    items: { type: 'object', properties: { id: { type: 'uuid' } } },
    example: [{ id: '7d3f5b21-0a9c-4e8d-b6f7-1c2d3e4f5a6b' }],
    description,
  };
}

function limit(example: number, description: string): Attribute {
  const range = { minimum: -1, maximum: 2147483647 };
  return {
    type: 'integer',
    write: 'update',
    ...range,
    nullable: true,
    filter: false,
    sort: false,
    example,
    description,
  };
}

const ADDED: Added = {
  quota: {
    loadbalancer: limit(10, 'Most load balancers.'),
    listener: limit(50, 'Most listeners.'),
    pool: limit(50, 'Most pools.'),
    member: limit(500, 'Most members.'),
  },
  loadbalancer: { ...LB_COMMON_ATTRIBUTES, listeners: ids('Its listeners.'), pools: ids('Its pools.') },
  listener: {
    ...LB_COMMON_ATTRIBUTES,
    loadbalancers: ids('The load balancer.'),
    l7policies: ids('Always empty: layer 7.'),
  },
  pool: {
    ...LB_COMMON_ATTRIBUTES,
    loadbalancers: ids('The load balancer.'),
    listeners: ids('Listeners whose default pool it is.'),
    members: ids('Its members.'),
  },
  member: LB_COMMON_ATTRIBUTES,
};

const HEALTH_ADDED: HealthAdded = {
  quota: { healthmonitor: limit(50, 'Most health monitors.') },
  pool: {
    healthmonitor_id: {
      type: 'uuid',
      computed: true,
      nullable: true,
      filter: false,
      description: 'Its health monitor; null: none.',
    },
  },
  healthmonitor: { ...LB_COMMON_ATTRIBUTES, pools: ids('The pool.') },
};

const { name, admin_state_up, tags } = LB_COMMON_ATTRIBUTES;

const POOL_ACTIONS: readonly ActionDeclaration[] = [
  {
    name: 'replace_members',
    method: 'PUT',
    path: 'members',
    description:
      'Makes the members those of the list: who has address and port of one there is changed, the others go. With additive_only=true in the query none goes.',
    body: {
      members: {
        type: 'list',
        required: true,
        maxLength: 1000,
        items: { type: 'object', properties: { name, admin_state_up, tags, ...memberResource.attributes } },
        description: 'The members.',
      },
    },
    status: 202,
  },
];

/** Octavia's API: load balancers of layer 4. */
export const loadBalancerExtension = {
  alias: 'lbaasv2',
  name: 'LoadBalancing service v2',
  description: 'Load balancers of layer 4, as Octavia’s API has them.',
  updated: '2026-11-26T00:00:00-00:00',
  requires: ['quotas'],
  resources: [
    loadBalancerResource,
    listenerResource,
    poolResource,
    memberResource,
    l7PolicyResource,
    lbProviderResource,
  ] as readonly Resource[],
  attributes: ADDED as Added,
  actions: { pool: POOL_ACTIONS } as { readonly pool: readonly ActionDeclaration[] },
} as const;

/** How members are probed. */
export const loadBalancerHealthExtension = {
  alias: 'lbaasv2-health',
  name: 'Health monitors of load balancers',
  description: 'Members of pools are probed.',
  updated: '2026-11-26T00:00:00-00:00',
  requires: ['lbaasv2'],
  resources: [healthMonitorResource] as readonly Resource[],
  attributes: HEALTH_ADDED as HealthAdded,
} as const;

/** What Octavia's quotas count, in the words that they have besides for it. */
const LB_QUOTA = {
  serves: ['loadbalancer', 'listener', 'pool', 'member', 'healthmonitor'],
  also: { load_balancer: 'loadbalancer', health_monitor: 'healthmonitor' },
  actions: [],
  statuses: { update: 202, delete: 202 },
} as const;

/** Limits of load balancers at Octavia's place: the same as in Neutron's quotas. */
export const loadBalancerQuotasExtension = {
  alias: 'lbaasv2-quotas',
  name: 'Quotas of load balancers',
  description: 'How many load balancers, listeners, pools, members and health monitors a project may have.',
  updated: '2026-11-27T00:00:00-00:00',
  requires: ['lbaasv2-health'],
  forms: {
    quota: [
      { form: 'lbaas', prefix: '/v2.0/lbaas', ...LB_QUOTA },
      { form: 'lbaas-v2', prefix: '/v2/lbaas', ...LB_QUOTA },
    ],
  } as { readonly quota: readonly FormDeclaration[] },
} as const;
