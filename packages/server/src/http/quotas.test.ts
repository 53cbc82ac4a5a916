/** Neutron's quotas through the API of a server. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type Attribute,
  BUILT_IN_EXTENSIONS,
  CORE_RESOURCES,
  composeRegistry,
  type ExtensionDeclaration,
  type Resource,
} from '@cable/model';
import { assertInvariants, type Harness, type Json, refused, startHarness } from '../testing/harness.ts';

const MEMBER = { 'x-project-id': 'p', 'x-roles': 'member' };
const TYPES = [
  ...[
    'network',
    'subnet',
    'port',
    'router',
    'security_group',
    'security_group_rule',
    'floatingip',
    'port_forwarding',
    'router_peering',
    'router_egress',
    'router_policy',
    'rbac_policy',
    'address_group',
    'subnetpool',
    'trunk',
  ],
  ...['loadbalancer', 'listener', 'pool', 'member', 'healthmonitor'],
];
const UNLIMITED = Object.fromEntries(TYPES.map((type) => [type, -1]));

test('a quota that is not set shows the defaults, and in no list', async (t) => {
  const { send } = await startHarness(t);
  const { body } = await send('GET', '/v2.0/quotas/p');
  assert.deepEqual(body, { quota: UNLIMITED });
  assert.deepEqual((await send('GET', '/v2.0/quotas')).body, { quotas: [] });
  await refused(send('DELETE', '/v2.0/quotas/p'), 404, 'TenantQuotaNotFound');
});

test('where projects are of tenants, Neutron’s limits hold unless the operator has others', async (t) => {
  const { send } = await startHarness(t, { tenants: true, quotas: { port: -1, router: 3 } });
  const { body } = await send('GET', '/v2.0/quotas/p');
  const wanted = { ...UNLIMITED, network: 100, subnet: 100, port: -1, router: 3, floatingip: 50 };
  assert.deepEqual(body['quota'], {
    ...wanted,
    security_group: 10,
    security_group_rule: 100,
    rbac_policy: 10,
    router_egress: 10,
  });
});

test('an update makes a quota, further ones change what they name, and a delete takes all back', async (t) => {
  const { send } = await startHarness(t);
  const set = await send('PUT', '/v2.0/quotas/p', { quota: { port: 5 } });
  assert.deepEqual([set.status, set.body['quota']?.['port'], set.body['quota']?.['network']], [200, 5, -1]);
  await send('PUT', '/v2.0/quotas/p', { quota: { network: 0 } });
  const { body } = await send('GET', '/v2.0/quotas');
  assert.deepEqual(body, { quotas: [{ project_id: 'p', tenant_id: 'p', ...UNLIMITED, port: 5, network: 0 }] });
  const unset = await send('GET', '/v2.0/quotas/p/default');
  assert.deepEqual(unset.body, { quota: UNLIMITED });
  assert.equal((await send('DELETE', '/v2.0/quotas/p')).status, 204);
  assert.deepEqual((await send('GET', '/v2.0/quotas')).body, { quotas: [] });
  assert.equal((await send('GET', '/v2.0/quotas/p')).body['quota']?.['port'], -1);
  await refused(send('DELETE', '/v2.0/quotas/p'), 404, 'TenantQuotaNotFound');
});

test('a quota takes whole numbers from -1 for types that are counted, and a project that could be one', async (t) => {
  const { send } = await startHarness(t);
  for (const quota of [{ port: -2 }, { host: 3 }, { project_id: 'q' }]) {
    await refused(send('PUT', '/v2.0/quotas/p', { quota }), 400, 'HTTPBadRequest');
  }
  for (const quota of [{ port: 1.5 }, { port: 'x' }, { port: null }]) {
    await refused(send('PUT', '/v2.0/quotas/p', { quota }), 400, 'InvalidInput');
  }
  for (const id of ['a%0Ab', 'x'.repeat(256)]) {
    await refused(send('PUT', `/v2.0/quotas/${id}`, { quota: { port: 1 } }), 400, 'HTTPBadRequest');
  }
  await refused(send('POST', '/v2.0/quotas', { quota: { port: 1 } }), 405, 'HTTPMethodNotAllowed');
});

test('a member sees the quota of its own project and changes none', async (t) => {
  const { send } = await startHarness(t);
  await send('PUT', '/v2.0/quotas/p', { quota: { port: 5 } });
  await send('PUT', '/v2.0/quotas/q', { quota: { port: 6 } });
  assert.equal((await send('GET', '/v2.0/quotas/p', undefined, MEMBER)).body['quota']?.['port'], 5);
  for (const path of ['q', 'q/default', 'q/details', 'unset']) {
    await refused(send('GET', `/v2.0/quotas/${path}`, undefined, MEMBER), 403, 'PolicyNotAuthorized');
  }
  const listed = (await send('GET', '/v2.0/quotas', undefined, MEMBER)).body['quotas'] ?? [];
  assert.deepEqual(
    listed.map((one) => one['project_id']),
    ['p'],
  );
  await refused(send('PUT', '/v2.0/quotas/p', { quota: { port: 9 } }, MEMBER), 403, 'PolicyNotAuthorized');
  await refused(send('DELETE', '/v2.0/quotas/p', undefined, MEMBER), 403, 'PolicyNotAuthorized');
  const ofOther = await refused(
    send('PUT', '/v2.0/quotas/q', { quota: { port: 9 } }, MEMBER),
    403,
    'PolicyNotAuthorized',
  );
  assert.equal(ofOther, 'rule:update_quota is disallowed by policy');
  await refused(send('DELETE', '/v2.0/quotas/q', undefined, MEMBER), 403, 'PolicyNotAuthorized');
});

test('details tell limit and use of each type, also as details.json', async (t) => {
  const { send, create } = await startHarness(t);
  await send('PUT', '/v2.0/quotas/p', { quota: { network: 5 } });
  await create('network', { project_id: 'p' });
  for (const path of ['details', 'details.json', 'details.json?x=1']) {
    const { status, body } = await send('GET', `/v2.0/quotas/p/${path}`, undefined, MEMBER);
    assert.equal(status, 200);
    assert.deepEqual(body['quota']?.['network'], { limit: 5, used: 1, reserved: 0 });
    assert.deepEqual(body['quota']?.['router'], { limit: -1, used: 0, reserved: 0 });
  }
});

test('a limit below what is used is refused when that is asked for, and nothing of the request is done', async (t) => {
  const { send, create } = await startHarness(t);
  for (let i = 0; i < 3; i += 1) await create('network', { project_id: 'p' });
  const set = (quota: object) => send('PUT', '/v2.0/quotas/p', { quota });
  const message = await refused(set({ router: 7, network: 2, check_limit: true }), 400, 'HTTPBadRequest');
  assert.equal(message, 'Quota limit 2 for network must be greater than or equal to already used 3');
  assert.deepEqual((await send('GET', '/v2.0/quotas')).body, { quotas: [] });
  for (const [quota, network] of [
    [{ network: 3, check_limit: true }, 3],
    [{ network: -1, check_limit: 'true' }, -1],
    [{ network: 2 }, 2],
    [{ network: 1, check_limit: false }, 1],
    [{ network: 0, force: true }, 0],
    // What is above its limit already is no reason against another limit, and one against the same.
    [{ port: 5, check_limit: true }, 0],
    [{ network: 0, check_limit: true }, 'refused'],
    [{ network: 0, port: 6, force: true, check_limit: true }, 'refused'],
    [{ network: 0 }, 0],
    [{ network: 0, check_limit: false }, 0],
  ] as const) {
    if (network === 'refused') {
      await refused(set(quota), 400, 'HTTPBadRequest');
      continue;
    }
    const { status, body } = await set(quota);
    assert.deepEqual([status, body['quota']?.['network']], [200, network], JSON.stringify(quota));
    assert.ok(!('check_limit' in (body['quota'] ?? {})) && !('force' in (body['quota'] ?? {})));
  }
  await refused(set({ network: 1, check_limit: 'perhaps' }), 400, 'InvalidInput');
  const { body } = await send('GET', '/v2.0/extensions/quota-check-limit');
  assert.equal(body['extension']?.['alias'], 'quota-check-limit');
});

test('a create beyond the limit is refused in Neutron’s words, and one after a delete is not', async (t) => {
  const { send, create } = await startHarness(t);
  await send('PUT', '/v2.0/quotas/p', { quota: { router: 2 } });
  const first = await create('router', { project_id: 'p' });
  await create('router', {}, MEMBER);
  const message = await refused(send('POST', '/v2.0/routers', { router: {} }, MEMBER), 409, 'OverQuota');
  assert.equal(message, "Quota exceeded for resources: ['router'].");
  await create('router', { project_id: 'another' });
  await send('DELETE', `/v2.0/routers/${first['id']}`);
  await create('router', { project_id: 'p' });
});

test('a bulk takes all that it needs or nothing', async (t) => {
  const harness = await startHarness(t);
  await harness.send('PUT', '/v2.0/quotas/p', { quota: { network: 5 } });
  await harness.create('network', { project_id: 'p' });
  const bulk = (count: number) => ({ networks: Array.from({ length: count }, () => ({ project_id: 'p' })) });
  await refused(harness.send('POST', '/v2.0/networks', bulk(5)), 409, 'OverQuota');
  assert.equal(await used(harness, 'network'), 1);
  assert.equal((await harness.send('POST', '/v2.0/networks', bulk(4))).status, 201);
  await refused(harness.send('POST', '/v2.0/networks', bulk(1)), 409, 'OverQuota');
});

test('what a request makes besides counts too: the default group, its rules, and a router’s ports', async (t) => {
  const harness = await startHarness(t);
  const { send, create } = harness;
  const network = await create('network', { project_id: 'p' });
  const subnet = { network_id: network['id'], cidr: '10.0.0.0/24', ip_version: 4, project_id: 'p' };
  const attach = { subnet_id: (await create('subnet', subnet))['id'] };
  const router = await create('router', { project_id: 'p' });
  await send('PUT', '/v2.0/quotas/p', { quota: { security_group: 1, security_group_rule: 3, port: 1 } });
  assert.deepEqual((await send('GET', '/v2.0/security-groups', undefined, MEMBER)).body, { security_groups: [] });
  await send('PUT', '/v2.0/quotas/p', { quota: { security_group_rule: 4 } });
  await create('port', { network_id: network['id'], project_id: 'p' });
  assert.deepEqual([await used(harness, 'security_group'), await used(harness, 'security_group_rule')], [1, 4]);
  const attached = await send('PUT', `/v2.0/routers/${router['id']}/add_router_interface`, attach);
  assert.deepEqual([attached.status, await used(harness, 'port')], [200, 2]);
  const [group] = (await send('GET', '/v2.0/security-groups', undefined, MEMBER)).body['security_groups'] ?? [];
  assert.ok(group?.['security_group_rules']?.every((rule) => !Object.keys(rule).some((name) => name.startsWith('_'))));
  await assertInvariants(harness.server);
});

test('an object is shared whatever the quota of RBAC policies is, and what that makes counts', async (t) => {
  const harness = await startHarness(t);
  const { send, create } = harness;
  await send('PUT', '/v2.0/quotas/p', { quota: { rbac_policy: 1 } });
  for (let n = 0; n < 3; n += 1) await create('network', { shared: true, project_id: 'p' });
  assert.equal(await used(harness, 'rbac_policy'), 3);
  const network = await create('network', {}, MEMBER);
  const policy = { object_type: 'network', object_id: network['id'], action: 'access_as_shared', target_tenant: 'q' };
  await refused(send('POST', '/v2.0/rbac-policies', { rbac_policy: policy }, MEMBER), 409, 'OverQuota');
  await assertInvariants(harness.server);
});

test('a type that an extension brings is counted when the extension adds it to the quota', async (t) => {
  const gadget: Resource = {
    ...{
      name: 'gadget',
      plural: 'gadgets',
      label: 'Gadget',
      prefix: '/v2.0',
      path: 'gadgets',
      standard: true,
      stored: true,
    },
    ...{ description: 'A thing.', verbs: ['list', 'create', 'delete'], attributes: {} },
  };
  const limit: Attribute = { type: 'integer', write: 'update', minimum: -1, description: 'Most gadgets.' };
  const extension: ExtensionDeclaration = {
    ...{ alias: 'gadgets', name: 'Gadgets', description: 'Things.', updated: '2026-01-01T00:00:00-00:00' },
    ...{ resources: [gadget], attributes: { quota: { gadget: limit } } },
  };
  const { models } = composeRegistry(CORE_RESOURCES, [...BUILT_IN_EXTENSIONS, extension]);
  const { send, create } = await startHarness(t, { resources: models });
  await send('PUT', '/v2.0/quotas/p', { quota: { gadget: 1 } });
  await create('gadget', {}, MEMBER);
  await refused(send('POST', '/v2.0/gadgets', { gadget: {} }, MEMBER), 409, 'OverQuota');
  const { body } = await send('GET', '/v2.0/quotas/p/details');
  assert.deepEqual(body['quota']?.['gadget'], { limit: 1, used: 1, reserved: 0 });
});

async function used({ send }: Pick<Harness, 'send'>, type: string): Promise<number> {
  const { body } = await send('GET', '/v2.0/quotas/p/details');
  return Number((body['quota'] as Json)[type]?.['used']);
}
