import type { Asked, Script, Subject } from '../compare-cases.ts';
import { OUTSIDE } from './routers.ts';
import { BOOLEANS, listsOf, NOBODY, PREFIXES, TEXTS, UUIDS } from './values.ts';

const LENGTHS = [26, '26', 33, 129];

export const SUBNET_POOLS: Subject = {
  name: 'subnetpools',
  path: '/subnetpools',
  key: 'subnetpool',
  before: [{ do: 'POST /address-scopes', body: { address_scope: { name: 'scope', ip_version: 4 } }, keep: 'scope' }],
  base: { name: 'pool', prefixes: ['10.8.0.0/16'] },
  attributes: {
    name: TEXTS,
    description: TEXTS,
    prefixes: listsOf(['10.8.0.0/16', '10.9.0.0/16', ...PREFIXES]),
    default_prefixlen: LENGTHS,
    min_prefixlen: LENGTHS,
    max_prefixlen: LENGTHS,
    default_quota: [10, '10'],
    shared: BOOLEANS,
    is_default: BOOLEANS,
    address_scope_id: ['$scope', ...UUIDS],
    ip_version: [4],
    tags: [['a']],
  },
  more: [
    { do: 'POST /subnetpools', body: { subnetpool: { name: 'p', prefixes: ['10.8.0.0/16'] } }, keep: 'pool' },
    ...['add_prefixes', 'remove_prefixes'].flatMap((action) =>
      [
        undefined,
        {},
        [],
        { prefixes: [] },
        { prefixes: null },
        { prefixes: ['10.9.0.0/16'] },
        { prefixes: ['x'] },
        { prefixes: ['10.8.1.0/24'] },
      ].map((body) => ({ do: `PUT /subnetpools/$pool/${action}`, body })),
    ),
  ],
};

export const ADDRESS_SCOPES: Subject = {
  name: 'address_scopes',
  path: '/address-scopes',
  key: 'address_scope',
  before: [],
  base: { name: 'scope', ip_version: 4 },
  attributes: { name: TEXTS, ip_version: [4, 6, '4', '6', 5], shared: BOOLEANS },
};

export const RBAC_POLICIES: Subject = {
  name: 'rbac_policies',
  path: '/rbac-policies',
  key: 'rbac_policy',
  before: [
    { do: 'POST /networks', body: { network: { name: 'red' } }, keep: 'red' },
    { as: 'member', do: 'POST /networks', body: { network: { name: 'green' } }, keep: 'green' },
    { do: 'POST /qos/policies', body: { policy: { name: 'gold' } }, keep: 'policy' },
  ],
  base: { object_type: 'network', object_id: '$red', action: 'access_as_shared', target_tenant: 'beta' },
  attributes: {
    object_type: [
      ...['network', 'qos_policy', 'security_group', 'address_scope', 'subnetpool', 'address_group', 'router', 'port'],
    ],
    object_id: ['$red', '$green', '$policy', ...UUIDS],
    action: ['access_as_shared', 'access_as_external', 'ACCESS_AS_SHARED'],
    target_tenant: ['alpha', '*', 'x'.repeat(255), 'admin'],
    target_project: ['alpha', '*'],
  },
  more: [
    {
      as: 'member',
      do: 'POST /rbac-policies',
      body: {
        rbac_policy: { object_type: 'network', object_id: '$green', action: 'access_as_shared', target_tenant: 'beta' },
      },
      keep: 'shared',
    },
    {
      as: 'member',
      do: 'POST /rbac-policies',
      body: {
        rbac_policy: { object_type: 'network', object_id: '$green', action: 'access_as_shared', target_tenant: 'beta' },
      },
    },
    {
      as: 'member',
      do: 'POST /rbac-policies',
      body: {
        rbac_policy: { object_type: 'network', object_id: '$green', action: 'access_as_shared', target_tenant: '*' },
      },
    },
    {
      as: 'member',
      do: 'POST /rbac-policies',
      body: {
        rbac_policy: {
          object_type: 'network',
          object_id: '$green',
          action: 'access_as_external',
          target_tenant: 'beta',
        },
      },
    },
    {
      as: 'other',
      do: 'POST /rbac-policies',
      body: {
        rbac_policy: { object_type: 'network', object_id: '$green', action: 'access_as_shared', target_tenant: 'beta' },
      },
    },
    { as: 'other', do: 'GET /networks/$green' },
    { as: 'other', do: 'GET /networks?shared=true' },
    {
      as: 'other',
      do: 'POST /subnets',
      body: { subnet: { network_id: '$green', ip_version: 4, cidr: '10.4.0.0/24' } },
    },
    { as: 'other', do: 'POST /ports', body: { port: { network_id: '$green' } }, keep: 'port' },
    { as: 'other', do: 'PUT /networks/$green', body: { network: { name: 'mine' } } },
    { as: 'other', do: 'DELETE /networks/$green' },
    { as: 'other', do: 'GET /rbac-policies/$shared' },
    { as: 'other', do: 'DELETE /rbac-policies/$shared' },
    { as: 'member', do: 'DELETE /rbac-policies/$shared' },
    { as: 'other', do: 'DELETE /ports/$port' },
    { as: 'member', do: 'DELETE /rbac-policies/$shared' },
    { as: 'other', do: 'GET /networks/$green' },
  ],
};

export const SEGMENT_RANGES: Subject = {
  name: 'network_segment_ranges',
  path: '/network-segment-ranges',
  key: 'network_segment_range',
  before: [],
  base: { name: 'range', network_type: 'vlan', physical_network: 'physnet9', minimum: 100, maximum: 200, shared: true },
  attributes: {
    name: TEXTS,
    description: TEXTS,
    network_type: ['vlan', 'vxlan', 'flat', 'gre', 'geneve', 'local', 'VLAN'],
    physical_network: ['physnet8', 'x'.repeat(65)],
    minimum: [101, '101', 201, 4095],
    maximum: [199, '199', 99, 4095],
    shared: BOOLEANS,
    project_id: ['alpha'],
    default: BOOLEANS,
  },
};

export const SEGMENTS: Subject = {
  name: 'segments',
  path: '/segments',
  key: 'segment',
  before: [{ do: 'POST /networks', body: { network: { name: 'red' } }, keep: 'red' }],
  base: { network_id: '$red', network_type: 'vlan', physical_network: 'physnet1', segmentation_id: 7 },
  attributes: {
    network_id: ['$red', ...UUIDS],
    network_type: ['vlan', 'vxlan', 'flat', 'local', 'nonsense'],
    physical_network: ['physnet1', 'x'.repeat(65)],
    segmentation_id: [8, '8', 4095, 16777216],
    name: TEXTS,
    description: TEXTS,
  },
};

export const FLAVORS: Subject = {
  name: 'flavors',
  path: '/flavors',
  key: 'flavor',
  before: [],
  base: { name: 'small', service_type: 'L3_ROUTER_NAT' },
  attributes: {
    name: TEXTS,
    description: [...TEXTS, 'x'.repeat(1024), 'x'.repeat(1025)],
    service_type: ['L3_ROUTER_NAT', 'LOADBALANCERV2', 'nonsense'],
    service_profiles: [[], [NOBODY]],
    enabled: BOOLEANS,
  },
};

export const SERVICE_PROFILES: Subject = {
  name: 'service_profiles',
  path: '/service_profiles',
  key: 'service_profile',
  before: [],
  base: { metainfo: '{}' },
  attributes: {
    description: [...TEXTS, 'x'.repeat(1025)],
    driver: ['no.such.Driver', 'x'.repeat(1025)],
    metainfo: ['{}', 'x'.repeat(4097)],
    enabled: BOOLEANS,
  },
};

export const LOGS: Subject = {
  name: 'logs',
  path: '/log/logs',
  key: 'log',
  before: [{ do: 'POST /security-groups', body: { security_group: { name: 'web' } }, keep: 'group' }],
  base: { name: 'log', resource_type: 'security_group' },
  attributes: {
    name: TEXTS,
    description: TEXTS,
    resource_type: ['security_group', 'firewall_v2', 'nonsense'],
    resource_id: ['$group', ...UUIDS],
    target_id: UUIDS,
    event: ['ALL', 'ACCEPT', 'DROP', 'all', 'REJECT'],
    enabled: BOOLEANS,
  },
};

const QUOTA_VALUES: readonly unknown[] = [5, '5', 0, -1, -2, null, '', 'x', 1.5, true, [], {}, 2147483647, 2147483648];
const QUOTAS = ['network', 'subnet', 'port', 'router', 'floatingip', 'security_group', 'rbac_policy', 'trunk', 'x'];

/** Types that have no collection to which something is added, and parts of other types. */
const ASKED: readonly Asked[] = [
  ...['alpha', 'beta', 'x', ''].flatMap((project) => [
    ...(['admin', 'member'] as const).flatMap((as) =>
      ['', '/default', '/details.json', '/x'].map((rest): Asked => ({ as, do: `GET /quotas/${project}${rest}` })),
    ),
    { as: 'member' as const, do: `PUT /quotas/${project}`, body: { quota: { port: 5 } } },
    { as: 'member' as const, do: `DELETE /quotas/${project}` },
  ]),
  { do: 'GET /quotas' },
  { as: 'member', do: 'GET /quotas' },
  ...QUOTAS.map((type): Asked => ({ do: 'PUT /quotas/beta', body: { quota: { [type]: 5 } } })),
  ...QUOTA_VALUES.map((port): Asked => ({ do: 'PUT /quotas/beta', body: { quota: { port } } })),
  ...[undefined, {}, [], { quota: null }, { quota: {} }, { quota: { project_id: 'x', port: 3 } }, { quotas: {} }].map(
    (body): Asked => ({ do: 'PUT /quotas/beta', body }),
  ),
  ...[{ do: 'GET /quotas/beta' }, { do: 'GET /quotas' }, { do: 'DELETE /quotas/beta' }, { do: 'DELETE /quotas/beta' }],
  ...['/agents', '/agents?agent_type=x', '/agents?alive=true', `/agents/${NOBODY}`, '/agents/x'].map(
    (path): Asked => ({ do: `GET ${path}` }),
  ),
  ...[
    { as: 'member' as const, do: 'GET /agents' },
    { do: 'POST /agents', body: { agent: {} } },
  ],
  ...[{ do: `PUT /agents/${NOBODY}`, body: { agent: { admin_state_up: false } } }, { do: `DELETE /agents/${NOBODY}` }],
  ...[
    'availability_zones',
    'service-providers',
    'floatingip_pools',
    'network-ip-availabilities',
    'extensions/router',
  ].map((path): Asked => ({ do: `GET /${path}` })),
  ...['availability_zones?name=x', 'extensions/x', 'x', 'networks/', `network-ip-availabilities/${NOBODY}`].map(
    (path): Asked => ({ do: `GET /${path}` }),
  ),
  ...['alpha', 'beta', 'null', 'x'].flatMap((project) =>
    (['member', 'admin'] as const).flatMap((as): readonly Asked[] => [
      { as, do: `GET /auto-allocated-topology/${project}` },
      { as, do: `GET /auto-allocated-topology/${project}?fields=dry-run` },
      { as, do: `DELETE /auto-allocated-topology/${project}` },
    ]),
  ),
  ...OUTSIDE,
  { do: 'GET /networks/$outside/dhcp-agents' },
  { do: `GET /networks/${NOBODY}/dhcp-agents` },
  { do: 'GET /floatingip_pools' },
  { do: 'GET /network-ip-availabilities/$outside' },
  ...['a', 'a b', 'é', 'x'.repeat(60), 'x'.repeat(61), 'x'.repeat(256), 'a,b', 'a.b', 'a/b', '%20', '%2F'].flatMap(
    (tag): readonly Asked[] => [
      { do: `PUT /networks/$outside/tags/${encodeURI(tag)}` },
      { do: `GET /networks/$outside/tags/${encodeURI(tag)}` },
      { do: 'GET /networks/$outside/tags' },
      { do: `DELETE /networks/$outside/tags/${encodeURI(tag)}` },
    ],
  ),
  ...[
    ...[
      undefined,
      {},
      [],
      { tags: null },
      { tags: 'a' },
      { tags: [] },
      { tags: ['a', 'a'] },
      { tags: [1] },
      { tags: [''] },
    ],
    ...[{ tags: [null] }, { tags: ['x'.repeat(61)] }, { tags: ['a,b'] }, { tags: ['a'], x: 1 }, { tags: ['A', 'a'] }],
  ].map((body): Asked => ({ do: 'PUT /networks/$outside/tags', body })),
  ...['tags=A', 'tags-any=A,x', 'not-tags=A', 'not-tags-any=x', 'tags=', 'tags=A,a'].map(
    (query): Asked => ({ do: `GET /networks?${query}` }),
  ),
  ...[{ as: 'member' as const, do: 'PUT /networks/$outside/tags/mine' }, { do: `GET /networks/${NOBODY}/tags` }],
  ...[{ do: 'GET /x/y/tags' }, { do: 'DELETE /networks/$outside/tags' }, { do: 'PUT /networks/$outside/tags/' }],
  { do: 'POST /networks', body: { networks: [{ name: 'a' }, { name: 'b', mtu: 'x' }] } },
  { do: 'POST /networks', body: { networks: [] } },
  { do: 'POST /networks', body: { networks: [null] } },
  { do: 'POST /networks', body: { networks: 'x' } },
  { do: 'POST /networks', body: { networks: [{ name: 'a' }, { name: 'b' }] } },
];

export const REST: Script = { name: 'rest', more: ASKED };
