/** RBAC policies: who sees and uses what others share, and when it can be taken back. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertInvariants, type Harness, type Json, refused, startHarness } from '../testing/harness.ts';

const as = (project: string): Record<string, string> => ({ 'x-project-id': project, 'x-roles': 'member' });
const [OWNER, ANN, BOB] = [as('owner'), as('ann'), as('bob')];
const FLAT = { 'provider:network_type': 'flat', 'provider:physical_network': 'physnet1' };

type Share = (object: Json, target: string, more?: object, headers?: Record<string, string>) => Promise<Json>;

function sharing({ create }: Harness): Share {
  return (object, target, more = {}, headers) =>
    create(
      'rbac_policy',
      { object_type: 'network', object_id: object['id'], action: 'access_as_shared', target_tenant: target, ...more },
      headers,
    );
}

/** IDs in a list, as one text. */
async function ids({ send }: Harness, path: string, headers?: Record<string, string>): Promise<readonly string[]> {
  const { body } = await send('GET', `/v2.0/${path}`, undefined, headers);
  return Object.values(body)
    .flat()
    .map((one) => String((one as Json)['id']));
}

test('a network that is shared with one project is seen and used by that alone', async (t) => {
  const harness = await startHarness(t);
  const { create, send, server } = harness;
  const share = sharing(harness);
  const network = await create('network', {}, OWNER);
  const subnet = await create('subnet', { network_id: network['id'], cidr: '10.0.0.0/24' }, OWNER);
  const path = `/v2.0/networks/${network['id']}`;
  const port = { port: { network_id: network['id'] } };
  await refused(send('GET', path, undefined, ANN), 404, 'NetworkNotFound');
  const policy = await share(network, 'ann', {}, OWNER);
  assert.deepEqual(Object.keys(policy).sort(), [
    'action',
    'id',
    'object_id',
    'object_type',
    'project_id',
    'target_tenant',
    'tenant_id',
  ]);
  for (const [headers, isSeen, isShared] of [
    [ANN, true, true],
    [BOB, false, false],
    [OWNER, true, false],
    [undefined, true, false],
  ] as const) {
    assert.deepEqual(await ids(harness, 'networks', headers), isSeen ? [network['id']] : []);
    assert.deepEqual(await ids(harness, 'subnets', headers), isSeen ? [subnet['id']] : []);
    assert.deepEqual(await ids(harness, 'networks?shared=True', headers), isShared ? [network['id']] : []);
    assert.deepEqual(await ids(harness, 'networks?shared=False', headers), isSeen && !isShared ? [network['id']] : []);
    if (!isSeen) continue;
    assert.equal((await send('GET', path, undefined, headers)).body['network']?.['shared'], isShared);
    assert.deepEqual((await send('GET', `${path}?fields=shared`, undefined, headers)).body['network'], {
      shared: isShared,
    });
  }
  await refused(send('POST', '/v2.0/ports', port, BOB), 404, 'NetworkNotFound');
  const made = await create('port', port.port, ANN);
  await refused(send('PUT', path, { network: { name: 'x' } }, ANN), 403, 'PolicyNotAuthorized');
  assert.match(
    await refused(send('DELETE', `/v2.0/rbac-policies/${policy['id']}`, undefined, OWNER), 409, 'RbacPolicyInUse'),
    /^RBAC policy on object .* cannot be removed because other objects depend on it\.\nDetails: /,
  );
  await assertInvariants(server);
  assert.equal((await send('DELETE', `/v2.0/ports/${made['id']}`, undefined, ANN)).status, 204);
  assert.equal((await send('DELETE', `/v2.0/rbac-policies/${policy['id']}`, undefined, OWNER)).status, 204);
  await refused(send('GET', path, undefined, ANN), 404, 'NetworkNotFound');
});

test('policies are of who made them, and only an owner or an administrator makes them', async (t) => {
  const harness = await startHarness(t);
  const { create, send } = harness;
  const share = sharing(harness);
  const network = await create('network', {}, OWNER);
  const policy = await share(network, 'ann', {}, OWNER);
  const one = `/v2.0/rbac-policies/${policy['id']}`;
  assert.deepEqual(await ids(harness, 'rbac-policies', OWNER), [policy['id']]);
  assert.deepEqual(await ids(harness, 'rbac-policies', ANN), []);
  assert.deepEqual(await ids(harness, 'rbac-policies?target_tenant=ann&object_type=network'), [policy['id']]);
  await refused(send('GET', one, undefined, ANN), 404, 'RbacPolicyNotFound');
  const body = (more: object): object => ({
    rbac_policy: {
      ...{ object_type: 'network', object_id: network['id'], action: 'access_as_shared', target_tenant: 'bob' },
      ...more,
    },
  });
  const post = (more: object, headers?: Record<string, string>) =>
    refused(send('POST', '/v2.0/rbac-policies', body(more), headers), 400, 'InvalidInput');
  assert.match(await post({}, ANN), /Only admins can manipulate policies on networks they do not own/);
  assert.match(await post({}, BOB), /there is no network/);
  assert.match(await post({ object_id: '00000000-0000-4000-8000-000000000000' }), /there is no network/);
  assert.match(await post({ object_type: 'port' }), /'port' is not a valid RBAC object type/);
  assert.match(
    await refused(
      send('POST', '/v2.0/rbac-policies', body({ action: 'access_as_queen' })),
      400,
      'InvalidActionForType',
    ),
    /Invalid action 'access_as_queen' for object type 'network'. Valid actions: access_as_shared, access_as_external/,
  );
  for (const name of ['object_type', 'object_id', 'action', 'target_tenant']) {
    await refused(send('POST', '/v2.0/rbac-policies', body({ [name]: undefined })), 400, 'HTTPBadRequest');
  }
  const all = body({ target_tenant: '*' });
  await refused(send('POST', '/v2.0/rbac-policies', all, OWNER), 403, 'PolicyNotAuthorized');
  await refused(send('PUT', one, { rbac_policy: { target_tenant: '*' } }, OWNER), 403, 'PolicyNotAuthorized');
  await refused(send('PUT', one, { rbac_policy: { action: 'x' } }, OWNER), 400, 'HTTPBadRequest');
  assert.equal((await send('POST', '/v2.0/rbac-policies', body({ object_type: ' Network ' }), OWNER)).status, 201);
  await refused(send('POST', '/v2.0/rbac-policies', body({}), OWNER), 409, 'DuplicateRbacPolicy');
  await refused(send('PUT', one, { rbac_policy: { target_tenant: 'bob' } }, OWNER), 409, 'DuplicateRbacPolicy');
  const changed = await send('PUT', one, { rbac_policy: { target_tenant: 'cyd' } }, OWNER);
  assert.equal(changed.body['rbac_policy']?.['target_tenant'], 'cyd');
  assert.deepEqual(await ids(harness, 'networks', ANN), []);
  assert.deepEqual(await ids(harness, 'networks', as('cyd')), [network['id']]);
});

test('shared of a network stands for a policy for every project', async (t) => {
  const harness = await startHarness(t);
  const { create, send, server } = harness;
  const network = await create('network', { shared: true, project_id: 'owner' });
  assert.equal(network['shared'], true);
  const path = `/v2.0/networks/${network['id']}`;
  const policies = async (): Promise<Json> =>
    (await send('GET', `/v2.0/rbac-policies?object_id=${network['id']}`)).body['rbac_policies'] as Json;
  const [policy] = await policies();
  assert.deepEqual(
    [policy?.['target_tenant'], policy?.['action'], policy?.['project_id'], policy?.['object_type']],
    ['*', 'access_as_shared', 'owner', 'network'],
  );
  const port = await create('port', { network_id: network['id'] }, ANN);
  await refused(send('PUT', path, { network: { shared: false } }), 409, 'InvalidSharedSetting');
  await refused(send('DELETE', `/v2.0/rbac-policies/${policy?.['id']}`), 409, 'RbacPolicyInUse');
  // What has a policy of its own needs none for all.
  const share = sharing(harness);
  const own = await share(network, 'ann');
  assert.equal((await send('PUT', path, { network: { shared: false } })).body['network']?.['shared'], false);
  assert.deepEqual(
    (await policies()).map((one) => one['id']),
    [own['id']],
  );
  assert.equal((await send('GET', path, undefined, ANN)).body['network']?.['shared'], true);
  assert.equal((await send('PUT', path, { network: { shared: true } })).body['network']?.['shared'], true);
  assert.equal((await send('DELETE', `/v2.0/rbac-policies/${own['id']}`)).status, 204);
  const [again] = await policies();
  const to = (target: string): ReturnType<typeof send> =>
    send('PUT', `/v2.0/rbac-policies/${again?.['id']}`, { rbac_policy: { target_tenant: target } });
  await refused(to('bob'), 409, 'RbacPolicyInUse');
  await refused(to('ann'), 409, 'RbacPolicyInUse');
  await assertInvariants(server);
  assert.equal((await send('DELETE', `/v2.0/ports/${port['id']}`)).status, 204);
  assert.equal((await to('ann')).status, 200);
  await refused(send('GET', path, undefined, BOB), 404, 'NetworkNotFound');
  await assertInvariants(server);
  assert.equal((await send('DELETE', path)).status, 204);
  assert.deepEqual(await policies(), []);
});

test('a policy that was for every project is the same one when it is for another', async (t) => {
  const harness = await startHarness(t);
  const { create, send, server } = harness;
  const network = await create('network', {}, OWNER);
  const policy = await sharing(harness)(network, 'ann');
  const path = `/v2.0/rbac-policies/${policy['id']}`;
  for (const target_tenant of ['*', 'bob', '*', 'ann']) {
    assert.equal((await send('PUT', path, { rbac_policy: { target_tenant } })).status, 200);
    assert.equal((await send('GET', path)).body['rbac_policy']?.['target_tenant'], target_tenant);
    assert.deepEqual(await ids(harness, 'rbac-policies'), [policy['id']]);
    await assertInvariants(server);
  }
  assert.equal((await send('DELETE', path)).status, 204);
});

test('a router is led into a network that others share, and is one of those who use it', async (t) => {
  const harness = await startHarness(t);
  const { create, send, server } = harness;
  const share = sharing(harness);
  const network = await create('network', {}, OWNER);
  const pools = [{ start: '10.0.0.100', end: '10.0.0.200' }];
  const within = { network_id: network['id'], cidr: '10.0.0.0/24', allocation_pools: pools };
  const subnet = await create('subnet', within, OWNER);
  const all = await share(network, '*');
  const router = await create('router', {}, ANN);
  const path = `/v2.0/routers/${router['id']}`;
  const attach = (body: object, headers = ANN) => send('PUT', `${path}/add_router_interface`, body, headers);
  const drop = (policy: Json) => send('DELETE', `/v2.0/rbac-policies/${policy['id']}`);
  const detach = async (body: object): Promise<void> =>
    assert.equal((await send('PUT', `${path}/remove_router_interface`, body, ANN)).status, 200);
  // Of what every one shares, the gateway's address is its owner's.
  await refused(attach({ subnet_id: subnet['id'] }), 400, 'BadRequest');
  const port = await create('port', { network_id: network['id'] }, ANN);
  assert.equal((await attach({ port_id: port['id'] })).status, 200);
  await refused(drop(all), 409, 'RbacPolicyInUse');
  await refused(
    send('PUT', `/v2.0/rbac-policies/${all['id']}`, { rbac_policy: { target_tenant: 'ann' } }),
    409,
    'RbacPolicyInUse',
  );
  await assertInvariants(server);
  const own = await share(network, 'ann');
  assert.equal((await drop(all)).status, 204);
  await refused(drop(own), 409, 'RbacPolicyInUse');
  await detach({ port_id: port['id'] });
  const chosen = { network_id: network['id'], fixed_ips: [{ subnet_id: subnet['id'], ip_address: '10.0.0.9' }] };
  const outOfPools = await create('port', { ...chosen, project_id: 'ann' });
  assert.match(
    await refused(attach({ port_id: outOfPools['id'] }), 400, 'BadRequest'),
    /out of the allocation pool of subnet/,
  );
  assert.equal((await send('DELETE', `/v2.0/ports/${outOfPools['id']}`)).status, 204);
  // What is shared with a project by name it may lead out of.
  assert.equal((await attach({ subnet_id: subnet['id'] })).status, 200);
  await refused(drop(own), 409, 'RbacPolicyInUse');
  await assertInvariants(server);
  await detach({ subnet_id: subnet['id'] });
  assert.equal((await drop(own)).status, 204);
  await refused(attach({ subnet_id: subnet['id'] }), 404, 'SubnetNotFound');
});

test('shared of a network is taken back over the legs of routers, as in Neutron', async (t) => {
  const { create, send, server } = await startHarness(t);
  const network = await create('network', { shared: true, project_id: 'owner' });
  await create('subnet', { network_id: network['id'], cidr: '10.0.0.0/24', project_id: 'owner' });
  const router = await create('router', {}, ANN);
  const port = await create('port', { network_id: network['id'] }, ANN);
  const [path, unshared] = [`/v2.0/networks/${network['id']}`, { network: { shared: false } }];
  await refused(send('PUT', path, unshared), 409, 'InvalidSharedSetting');
  const body = { port_id: port['id'] };
  assert.equal((await send('PUT', `/v2.0/routers/${router['id']}/add_router_interface`, body, ANN)).status, 200);
  assert.equal((await send('PUT', path, unshared)).status, 200);
  await assertInvariants(server);
});

test('a network leads outside for the projects of its policies', async (t) => {
  const harness = await startHarness(t);
  const { create, send, server } = harness;
  const share = sharing(harness);
  const network = await create('network', { ...FLAT, project_id: 'owner' });
  await create('subnet', { network_id: network['id'], cidr: '203.0.113.0/24' });
  const path = `/v2.0/networks/${network['id']}`;
  const external = { action: 'access_as_external' };
  const policy = await share(network, 'ann', external);
  const shown = async (headers?: Record<string, string>): Promise<unknown> =>
    (await send('GET', path, undefined, headers)).body['network']?.['router:external'];
  assert.equal(await shown(), true);
  assert.equal(await shown(ANN), true);
  await refused(send('GET', path, undefined, BOB), 404, 'NetworkNotFound');
  assert.deepEqual(await ids(harness, 'networks?router:external=True', BOB), []);
  const router = { router: { external_gateway_info: { network_id: network['id'] } } };
  await refused(send('POST', '/v2.0/routers', router, BOB), 404, 'NetworkNotFound');
  const made = await create('router', router.router, ANN);
  await refused(send('POST', '/v2.0/ports', { port: { network_id: network['id'] } }, ANN), 403, 'PolicyNotAuthorized');
  const policyPath = `/v2.0/rbac-policies/${policy['id']}`;
  await refused(send('DELETE', policyPath), 409, 'RbacPolicyInUse');
  await refused(send('PUT', policyPath, { rbac_policy: { target_tenant: 'bob' } }), 409, 'RbacPolicyInUse');
  await refused(send('PUT', path, { network: { 'router:external': false } }), 409, 'ExternalNetworkInUse');
  const all = await share(network, '*', external);
  assert.equal((await send('DELETE', policyPath)).status, 204);
  await refused(send('DELETE', `/v2.0/rbac-policies/${all['id']}`), 409, 'RbacPolicyInUse');
  assert.equal(await shown(BOB), true);
  await assertInvariants(server);
  assert.equal((await send('DELETE', `/v2.0/routers/${made['id']}`)).status, 204);
  assert.equal((await send('DELETE', `/v2.0/rbac-policies/${all['id']}`)).status, 204);
  assert.equal(await shown(), false);
  const isDefault = { network: { 'router:external': true, is_default: true } };
  assert.equal((await send('PUT', path, isDefault)).status, 200);
  const [wildcard] = await ids(harness, `rbac-policies?object_id=${network['id']}`);
  assert.match(
    await refused(send('DELETE', `/v2.0/rbac-policies/${wildcard}`), 409, 'RbacPolicyInUse'),
    /Default external networks must be shared to everyone/,
  );
  assert.equal((await send('PUT', path, { network: { is_default: false } })).status, 200);
  const one = await share(network, 'bob', external);
  assert.equal((await send('PUT', path, { network: { 'router:external': false } })).status, 200);
  await refused(send('GET', `/v2.0/rbac-policies/${one['id']}`), 404, 'RbacPolicyNotFound');
  assert.deepEqual(await ids(harness, 'rbac-policies'), []);
});

test('QoS policies and security groups are shared with projects, too', async (t) => {
  const harness = await startHarness(t);
  const { create, send, server } = harness;
  const share = sharing(harness);
  const network = await create('network', {}, ANN);
  const qos = await create('qos_policy', { project_id: 'owner' });
  const group = await create('security_group', { name: 'web' }, OWNER);
  assert.equal(group['shared'], false);
  const given = { qos_policy_id: qos['id'], security_groups: [group['id']], network_id: network['id'] };
  await refused(send('POST', '/v2.0/ports', { port: given }, ANN), 404, 'QosPolicyNotFound');
  const shared = [
    await share(qos, 'ann', { object_type: 'qos_policy' }),
    await share(group, 'ann', { object_type: 'security_group' }, OWNER),
  ];
  assert.deepEqual(await ids(harness, 'security-groups?shared=True', ANN), [group['id']]);
  assert.ok(!(await ids(harness, 'security-groups?shared=False', ANN)).includes(String(group['id'])));
  assert.deepEqual(await ids(harness, 'security-groups?shared=True', OWNER), []);
  assert.equal((await send('GET', `/v2.0/qos/policies/${qos['id']}`, undefined, ANN)).body['policy']?.['shared'], true);
  await refused(
    send('POST', '/v2.0/rbac-policies', {
      rbac_policy: {
        ...{ object_type: 'qos_policy', object_id: qos['id'], action: 'access_as_external', target_tenant: 'bob' },
      },
    }),
    400,
    'InvalidActionForType',
  );
  const port = await create('port', given, ANN);
  for (const policy of shared) {
    await refused(send('DELETE', `/v2.0/rbac-policies/${policy['id']}`), 409, 'RbacPolicyInUse');
  }
  const rule = { security_group_id: group['id'], direction: 'ingress' };
  await refused(
    send('POST', '/v2.0/security-group-rules', { security_group_rule: rule }, ANN),
    403,
    'PolicyNotAuthorized',
  );
  await assertInvariants(server);
  assert.equal((await send('DELETE', `/v2.0/ports/${port['id']}`)).status, 204);
  for (const policy of shared) {
    assert.equal((await send('DELETE', `/v2.0/rbac-policies/${policy['id']}`)).status, 204);
  }
  await refused(send('GET', `/v2.0/security-groups/${group['id']}`, undefined, ANN), 404, 'SecurityGroupNotFound');
});

test('an object is shared with a thousand projects one by one, and found by each', async (t) => {
  const harness = await startHarness(t);
  const { create, send } = harness;
  const network = await create('network', {}, OWNER);
  const policies = Array.from({ length: 1000 }, (_, at) => ({
    ...{ object_type: 'network', object_id: network['id'], action: 'access_as_shared', target_tenant: `p${at}` },
  }));
  const made = await send('POST', '/v2.0/rbac-policies', { rbac_policies: policies }, OWNER);
  assert.equal(made.status, 201);
  assert.equal(made.body['rbac_policies']?.length, 1000);
  assert.deepEqual(await ids(harness, 'networks', as('p999')), [network['id']]);
  const one = { rbac_policy: { ...policies[0], target_tenant: 'ann' } };
  assert.match(
    await refused(send('POST', '/v2.0/rbac-policies', one, OWNER), 409, 'HTTPConflict'),
    /is shared with 1000 projects one by one already/,
  );
  await create('port', { network_id: network['id'] }, as('p7'));
  const all = { rbac_policy: { ...policies[0], target_tenant: '*' } };
  assert.equal((await send('POST', '/v2.0/rbac-policies', all)).status, 201);
  assert.equal((await send('PUT', `/v2.0/networks/${network['id']}`, { network: { shared: false } })).status, 200);
  assert.equal((await send('DELETE', `/v2.0/networks/${network['id']}`)).status, 409);
});
