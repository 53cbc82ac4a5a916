/** Who may do what when the operator says nothing: each row is what Neutron answers to that caller. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BUILT_IN_RESOURCES } from '@cable/model';
import { credentialsOf } from './credentials.ts';
import { DEFAULT_RULES } from './defaults/all.ts';
import { BASE_RULES } from './defaults/base.ts';
import { rulesOfDeclaration } from './defaults/declared.ts';
import { credentials, rowsOf } from './policy.fixture.ts';
import { createPolicy, type Policy } from './policy.ts';
import type { DefaultsName } from './rules.ts';

const MODELS = new Map(BUILT_IN_RESOURCES.map((model) => [model.type, model]));
const POLICIES: Readonly<Record<DefaultsName, Policy>> = {
  secure: createPolicy({ rules: DEFAULT_RULES, models: BUILT_IN_RESOURCES, defaults: 'secure' }),
  zed: createPolicy({ rules: DEFAULT_RULES, models: BUILT_IN_RESOURCES, defaults: 'zed' }),
};
const SETS = ['secure', 'zed'] as const;

const MEMBER = ['member', 'reader'];
const MANAGER = ['manager', ...MEMBER];
/** Of project p, but for those whose name says another. */
const WHO = {
  admin: credentials({ roles: ['admin', ...MANAGER], projectId: 'a' }),
  manager: credentials({ roles: MANAGER }),
  member: credentials({ roles: MEMBER }),
  reader: credentials({ roles: ['reader'] }),
  'without a role': credentials({ roles: [] }),
  service: credentials({ roles: ['service'], projectId: 's' }),
  advsvc: credentials({ roles: ['advsvc'], projectId: 's' }),
  'member of q': credentials({ roles: MEMBER, projectId: 'q' }),
  'manager of q': credentials({ roles: MANAGER, projectId: 'q' }),
  'reader of q': credentials({ roles: ['reader'], projectId: 'q' }),
  'system admin': credentials({ roles: ['admin', ...MANAGER], projectId: null, systemScope: 'all' }),
  'domain admin': credentials({ roles: ['admin', ...MANAGER], projectId: null, domainId: 'd' }),
  'system reader': credentials({ roles: ['reader'], projectId: null, systemScope: 'all' }),
} as const;
type Who = keyof typeof WHO;
const ALL = Object.keys(WHO) as Who[];

/** Networks of q, who has a port of p on each. */
const ROW = rowsOf({
  network: [
    { id: 'private', project_id: 'p', shared_with: [], 'router:external': false },
    { id: 'of q', project_id: 'q', shared_with: [], 'router:external': false },
    { id: 'shared', project_id: 'q', shared_with: ['*'], 'router:external': false },
    { id: 'outside', project_id: 'q', shared_with: [], external_to: ['*'], 'router:external': true },
  ],
  security_group: [{ id: 'group', project_id: 'q' }],
  qos_policy: [
    { id: 'policy', project_id: 'q', shared_with: [] },
    { id: 'for all', project_id: 'q', shared_with: ['*'] },
  ],
  floatingip: [{ id: 'floating', project_id: 'p' }],
});

const OWN = { id: 'o', project_id: 'p' };
const on = (network_id: string): object => ({ ...OWN, network_id, device_owner: '' });
const router = { ...on('of q'), device_owner: 'network:router_interface' };

/** Those who may under the secure defaults, then under Zed's. An administrator's scope is Zed's not to ask. */
const ADMINS = { secure: ['admin'], zed: ['admin', 'system admin', 'domain admin'] } as const;
const MEMBERS_OF_P = {
  secure: ['admin', 'manager', 'member'],
  zed: [...ADMINS.zed, 'manager', 'member', 'reader', 'without a role'],
} as const;
const READERS_OF_P = { secure: [...MEMBERS_OF_P.secure, 'reader'], zed: MEMBERS_OF_P.zed } as const;
const NETWORK_MEMBERS = {
  secure: ['admin', 'service', 'member of q', 'manager of q'],
  zed: [...ADMINS.zed, 'advsvc', 'member of q', 'manager of q', 'reader of q'],
} as const;
const EVERYBODY = {
  secure: ALL.filter((who) => !/^(system|domain)/.test(who)),
  zed: ALL,
} as const;

const ROWS: readonly (readonly [string, string, object, Readonly<Record<DefaultsName, readonly Who[]>>])[] = [
  ['network', 'create_network', OWN, { secure: MEMBERS_OF_P.secure, zed: ALL }],
  ['network', 'create_network:shared', OWN, ADMINS],
  ['network', 'create_network:provider:network_type', OWN, ADMINS],
  [
    'network',
    'get_network',
    OWN,
    { secure: [...READERS_OF_P.secure, 'service', 'advsvc'], zed: [...READERS_OF_P.zed, 'advsvc'] },
  ],
  ['network', 'get_network', { ...OWN, shared_with: ['*'] }, EVERYBODY],
  ['network', 'get_network', { ...OWN, 'router:external': true, external_to: ['*'] }, EVERYBODY],
  ['network', 'get_network:provider:segmentation_id', OWN, ADMINS],
  ['network', 'update_network', { ...OWN, shared_with: ['*'] }, MEMBERS_OF_P],
  ['network', 'delete_network', OWN, MEMBERS_OF_P],
  ['subnet', 'create_subnet', on('private'), MEMBERS_OF_P],
  [
    'subnet',
    'create_subnet',
    on('shared'),
    {
      secure: ['admin', 'member of q', 'manager of q'],
      zed: [...ADMINS.zed, 'manager', 'member', 'member of q', 'manager of q', 'reader of q'],
    },
  ],
  ['subnet', 'get_subnet', on('shared'), EVERYBODY],
  ['subnet', 'get_subnet', on('private'), { secure: [...READERS_OF_P.secure, 'service'], zed: READERS_OF_P.zed }],
  [
    'subnet',
    'update_subnet',
    on('of q'),
    {
      secure: [...MEMBERS_OF_P.secure, 'member of q', 'manager of q'],
      zed: [...MEMBERS_OF_P.zed, 'member of q', 'manager of q', 'reader of q'],
    },
  ],
  ['port', 'create_port', on('private'), { secure: [...MEMBERS_OF_P.secure, 'service'], zed: ALL }],
  ['port', 'create_port', on('of q'), { secure: NETWORK_MEMBERS.secure, zed: ALL }],
  ['port', 'create_port', on('shared'), EVERYBODY],
  ['port', 'create_port:device_owner', router, NETWORK_MEMBERS],
  ['port', 'create_port:device_owner', on('shared'), EVERYBODY],
  ['port', 'create_port:mac_address', on('shared'), NETWORK_MEMBERS],
  ['port', 'create_port:fixed_ips:ip_address', on('shared'), NETWORK_MEMBERS],
  ['port', 'create_port:port_security_enabled', on('shared'), NETWORK_MEMBERS],
  [
    'port',
    'create_port:allowed_address_pairs',
    on('shared'),
    {
      secure: NETWORK_MEMBERS.secure,
      zed: NETWORK_MEMBERS.zed.filter((who) => who !== 'advsvc'),
    },
  ],
  ['port', 'create_port:binding:host_id', on('private'), { secure: ['admin', 'service'], zed: ADMINS.zed }],
  ['port', 'create_port:binding:profile', on('private'), { secure: ['service'], zed: ADMINS.zed }],
  [
    'port',
    'get_port',
    on('of q'),
    {
      secure: [...READERS_OF_P.secure, 'service', 'member of q', 'manager of q', 'reader of q'],
      zed: [...READERS_OF_P.zed, 'advsvc', 'member of q', 'manager of q', 'reader of q'],
    },
  ],
  ['port', 'get_port:binding:host_id', on('private'), { secure: ['admin', 'service'], zed: ADMINS.zed }],
  [
    'port',
    'update_port',
    on('of q'),
    { secure: [...MEMBERS_OF_P.secure, 'service'], zed: [...MEMBERS_OF_P.zed, 'advsvc'] },
  ],
  [
    'port',
    'update_port:mac_address',
    on('of q'),
    { secure: ['admin', 'service', 'manager of q'], zed: [...ADMINS.zed, 'advsvc'] },
  ],
  ['port', 'update_port:fixed_ips', on('of q'), NETWORK_MEMBERS],
  [
    'port',
    'delete_port',
    on('of q'),
    {
      secure: [...MEMBERS_OF_P.secure, 'service', 'member of q', 'manager of q'],
      zed: [...MEMBERS_OF_P.zed, 'advsvc', 'member of q', 'manager of q', 'reader of q'],
    },
  ],
  ['port', 'create_port_binding', on('private'), { secure: ['service'], zed: ADMINS.zed }],
  ['port', 'inspect_port', on('private'), READERS_OF_P],
  ['port', 'capture_port', on('private'), MEMBERS_OF_P],
  ['router', 'create_router', OWN, { secure: MEMBERS_OF_P.secure, zed: ALL }],
  ['router', 'create_router:external_gateway_info:enable_snat', OWN, ADMINS],
  ['router', 'get_router', OWN, READERS_OF_P],
  ['router', 'add_router_interface', OWN, MEMBERS_OF_P],
  ['floatingip', 'create_floatingip:floating_ip_address', OWN, { secure: ['admin', 'manager'], zed: ADMINS.zed }],
  ['floatingip', 'get_floatingip', OWN, READERS_OF_P],
  ['port_forwarding', 'create_port_forwarding', { id: 'f', project_id: 'p', floatingip_id: 'floating' }, MEMBERS_OF_P],
  ['security_group', 'get_security_group', OWN, READERS_OF_P],
  [
    'security_group_rule',
    'create_security_group_rule',
    { ...OWN, security_group_id: 'group' },
    {
      secure: ['admin', 'member of q', 'manager of q'],
      zed: [...ADMINS.zed, 'member of q', 'manager of q', 'reader of q'],
    },
  ],
  ['qos_policy', 'create_qos_policy', OWN, { secure: ['admin', 'manager'], zed: ADMINS.zed }],
  ['qos_policy', 'get_qos_policy', { ...OWN, shared_with: ['*'] }, EVERYBODY],
  [
    'qos_bandwidth_limit_rule',
    'create_qos_bandwidth_limit_rule',
    { id: 'r', project_id: 'q', qos_policy_id: 'policy' },
    {
      secure: ['admin', 'manager of q'],
      zed: ADMINS.zed,
    },
  ],
  ['quota', 'get_quota', OWN, READERS_OF_P],
  ['quota', 'update_quota', OWN, ADMINS],
  ['trunk', 'create_trunk', OWN, { secure: MEMBERS_OF_P.secure, zed: ALL }],
  ['trunk', 'get_subports_trunk', OWN, READERS_OF_P],
  ['agent', 'get_agent', { id: 'a' }, ADMINS],
  ['loadbalancer', 'create_loadbalancer', OWN, { secure: MEMBERS_OF_P.secure, zed: ALL }],
  ['loadbalancer', 'get_loadbalancer', OWN, READERS_OF_P],
];

for (const set of SETS) {
  test(`under the defaults ${set} a rule allows whom it allows in Neutron`, () => {
    for (const [type, rule, object, allowed] of ROWS) {
      assert.ok(MODELS.has(type), type);
      const found = ALL.filter((who) =>
        POLICIES[set].for(WHO[who]).allows(rule, { type, object: { ...object }, row: ROW }),
      );
      assert.deepEqual(
        found,
        ALL.filter((who) => allowed[set].includes(who)),
        `${rule} of ${JSON.stringify(object)}`,
      );
    }
  });
}

test('in a network of its cluster that is neither his nor shared with him a controller makes ports of pods alone', () => {
  const ofCluster = { shared_with: [], 'router:external': false, 'cable:cluster': 'prod' };
  const row = rowsOf({
    network: [
      { id: 'pods', project_id: 'prod.', ...ofCluster },
      { id: 'own', project_id: 'p', ...ofCluster },
    ],
  });
  const others = { cluster: 'prod' };
  const controller = credentials({ roles: ['member', 'reader', 'kubernetes'], others });
  const rules = ['', ':mac_address', ':fixed_ips', ':fixed_ips:ip_address'].map((one) => `create_port${one}`);
  for (const set of SETS) {
    const may = (network_id: string, device_owner: string): readonly string[] =>
      rules.filter((rule) => {
        const target = { type: 'port', object: { ...OWN, network_id, device_owner }, row };
        return POLICIES[set].for(controller).allows(rule, target);
      });
    for (const owner of ['kubernetes:pod', 'kubernetes:leg']) assert.deepEqual(may('pods', owner), rules);
    for (const owner of ['', 'compute:nova', 'kubernetes:node', 'network:dhcp', 'x:kubernetes:pod'])
      assert.deepEqual(may('pods', owner), [], `${set} ${owner}`);
    assert.deepEqual(may('own', ''), rules);
  }
});

test('the defaults load without a warning, each has a description, and Zed’s are said where they differ alone', () => {
  for (const set of SETS) assert.deepEqual(POLICIES[set].warnings, []);
  assert.deepEqual(
    DEFAULT_RULES.filter((rule) => !/^[A-Z].*\.$/.test(rule.description)),
    [],
  );
  assert.deepEqual(
    DEFAULT_RULES.filter(({ check, zed }) => check === zed).map(({ name }) => name),
    [],
  );
});

test('who is an administrator is so whatever his scope', () => {
  for (const set of SETS) {
    const admins = ALL.filter((who) => POLICIES[set].for(WHO[who]).isAdmin);
    assert.deepEqual(admins, ['admin', 'system admin', 'domain admin']);
  }
});

test('a token of the system or of a domain sees no object under the secure defaults, and asks for the status', () => {
  for (const who of ['system admin', 'domain admin', 'system reader'] as const) {
    const view = POLICIES.secure.for(WHO[who]);
    for (const { type } of BUILT_IN_RESOURCES) assert.equal(view.visibility(type, ROW).kind, 'none', type);
    assert.equal(view.allows('admin_api', { type: '', object: {}, row: ROW }), who !== 'system reader');
  }
});

test('lists of everybody look where indexes lead, under either set', () => {
  for (const set of SETS) {
    for (const who of ALL) {
      for (const { type } of BUILT_IN_RESOURCES) {
        assert.notEqual(POLICIES[set].for(WHO[who]).visibility(type, ROW).kind, 'scan', `${set} ${type} ${who}`);
      }
    }
  }
});

test('an operator’s rule under Zed’s defaults is not asked of administrators, under the secure ones it is', () => {
  const never = { rules: DEFAULT_RULES, models: BUILT_IN_RESOURCES, overrides: { get_network: '!' } };
  const target = { type: 'network', object: OWN, row: ROW };
  assert.equal(
    createPolicy({ ...never, defaults: 'zed' })
      .for(WHO.admin)
      .allows('get_network', target),
    true,
  );
  assert.equal(
    createPolicy({ ...never, defaults: 'secure' })
      .for(WHO.admin)
      .allows('get_network', target),
    false,
  );
});

test('rules made from declarations let a project’s members write and its readers read', () => {
  for (const set of SETS) {
    const declared = BUILT_IN_RESOURCES.flatMap((model) => rulesOfDeclaration(model, MODELS));
    const policy = createPolicy({ rules: [...BASE_RULES, ...declared], models: BUILT_IN_RESOURCES, defaults: set });
    assert.deepEqual(policy.warnings, []);
    for (const model of BUILT_IN_RESOURCES) {
      const asked = (roles: readonly string[], verb: string): boolean => {
        const target = { type: model.type, object: OWN, row: ROW };
        return policy.for(credentialsOf({ projectId: 'p', roles })).allows(`${verb}_${model.type}`, target);
      };
      const isOpen = model.adminOnly !== true;
      for (const verb of ['create', 'update', 'delete']) {
        assert.equal(asked(['member'], verb), isOpen, `${verb} ${model.type}`);
        assert.equal(asked(['reader'], verb), isOpen && set === 'zed', `${verb} ${model.type}`);
      }
      assert.equal(asked(['reader'], 'get'), isOpen, model.type);
    }
  }
});
