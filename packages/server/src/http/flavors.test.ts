/** Neutron's flavors and service profiles through the API of a server, and routers that are made of a flavor. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { assertInvariants, type Harness, type Json, refused, startHarness } from '../testing/harness.ts';

const FLAVORS = '/v2.0/flavors';
const PROFILES = '/v2.0/service_profiles';
const MEMBER = { 'x-project-id': 'p', 'x-roles': 'member,reader' };

/** A flavor of routers, and its profile. */
async function routers({ create }: Harness, flavor: object = {}, profile: object = {}): Promise<[Json, Json]> {
  const made = await create('service_profile', { driver: 'cable', ...profile });
  const given = { name: 'routers', service_type: 'L3_ROUTER_NAT', service_profiles: [made['id']], ...flavor };
  return [await create('flavor', given), made];
}

test('flavors and profiles are the administrator’s, and look as Neutron’s do', async (t) => {
  const { create, send } = await startHarness(t);
  const given = { name: 'f', service_type: 'FLAVORS', description: 'd', project_id: 'p' };
  const flavor = await create('flavor', given);
  const shown = { id: flavor['id'], name: 'f', description: 'd', service_type: 'FLAVORS' };
  assert.deepEqual(flavor, { ...shown, service_profiles: [], enabled: true });
  const profile = await create('service_profile', { driver: '', metainfo: '{"data": "value"}', tenant_id: 'p' });
  const { id } = profile;
  assert.deepEqual(profile, { id, description: '', driver: '', metainfo: '{"data": "value"}', enabled: true });
  const change = { flavor: { enabled: false, name: 'g', description: null } };
  const changed = (await send('PUT', `${FLAVORS}/${flavor['id']}`, change)).body['flavor'];
  assert.deepEqual([changed?.['enabled'], changed?.['name'], changed?.['description']], [false, 'g', null]);
  await refused(send('PUT', `${FLAVORS}/${flavor['id']}`, { flavor: { service_type: 'QOS' } }), 400, 'HTTPBadRequest');

  const listed = (await send('GET', `${FLAVORS}?name=g&enabled=False`, undefined, MEMBER)).body['flavors'];
  assert.deepEqual(
    listed?.map((one) => one['id']),
    [flavor['id']],
  );
  assert.deepEqual((await send('GET', `${FLAVORS}?id=33`)).body['flavors'], []);
  assert.deepEqual((await send('GET', PROFILES, undefined, MEMBER)).body['service_profiles'], []);
  await refused(send('GET', `${PROFILES}/${id}`, undefined, MEMBER), 404, 'ServiceProfileNotFound');
  await refused(send('POST', FLAVORS, { flavor: given }, MEMBER), 403, 'PolicyNotAuthorized');
  await refused(send('DELETE', `${FLAVORS}/${flavor['id']}`, undefined, MEMBER), 403, 'PolicyNotAuthorized');
  for (const path of [`${FLAVORS}/${flavor['id']}`, `${PROFILES}/${id}`]) {
    assert.equal((await send('DELETE', path)).status, 204);
  }
});

test('what names no provider, and services that have no flavors, are refused', async (t) => {
  const { create, send } = await startHarness(t);
  const post = (path: string, name: string, body: object): ReturnType<typeof send> =>
    send('POST', path, { [name]: body });
  await refused(post(FLAVORS, 'flavor', { service_type: 'LOADBALANCERV2' }), 400, 'InvalidServiceType');
  await refused(post(FLAVORS, 'flavor', {}), 400, 'HTTPBadRequest');
  await refused(post(PROFILES, 'service_profile', {}), 400, 'ServiceProfileEmpty');
  await refused(post(PROFILES, 'service_profile', { driver: 'ha' }), 404, 'ServiceProfileDriverNotFound');
  const profile = await create('service_profile', { driver: 'cable' });
  const path = `${PROFILES}/${profile['id']}`;
  await refused(send('PUT', path, { service_profile: { driver: 'ha' } }), 404, 'ServiceProfileDriverNotFound');
  await refused(send('PUT', path, { service_profile: { driver: '' } }), 400, 'ServiceProfileEmpty');
});

test('a profile is associated with flavors, and stays as it is meanwhile', async (t) => {
  const { create, send, server } = await startHarness(t);
  const profile = await create('service_profile', { driver: 'cable' });
  const flavor = await create('flavor', { service_type: 'L3_ROUTER_NAT' });
  const path = `${FLAVORS}/${flavor['id']}`;
  const associate = (id: unknown, headers = {}): ReturnType<typeof send> =>
    send('POST', `${path}/service_profiles`, { service_profile: { id } }, headers);
  await refused(send('GET', `${path}/next_providers`), 404, 'FlavorServiceProfileBindingNotFound');
  await refused(associate(profile['id'], MEMBER), 403, 'PolicyNotAuthorized');
  await refused(associate(randomUUID()), 404, 'ServiceProfileNotFound');
  const answer = await associate(profile['id']);
  assert.deepEqual([answer.status, answer.body], [201, { service_profile: { id: profile['id'] } }]);
  await refused(associate(profile['id']), 409, 'FlavorServiceProfileBindingExists');
  const twice = { flavor: { service_profiles: [profile['id'], profile['id']] } };
  await refused(send('PUT', path, twice), 400, 'HTTPBadRequest');
  assert.deepEqual((await send('GET', path)).body['flavor']?.['service_profiles'], [profile['id']]);
  assert.deepEqual((await send('GET', `${path}/next_providers`)).body, {
    next_providers: [{ provider: 'cable', driver: 'cable' }],
  });
  await refused(send('GET', `${path}/next_providers`, undefined, MEMBER), 403, 'PolicyNotAuthorized');

  const own = `${PROFILES}/${profile['id']}`;
  await refused(send('PUT', own, { service_profile: { enabled: false } }), 409, 'ServiceProfileInUse');
  await refused(send('DELETE', own), 409, 'ServiceProfileInUse');
  await assertInvariants(server);
  const gone = `${path}/service_profiles/${profile['id']}`;
  await refused(send('DELETE', gone, undefined, MEMBER), 403, 'PolicyNotAuthorized');
  assert.equal((await send('DELETE', gone)).status, 204);
  await refused(send('DELETE', gone), 404, 'FlavorServiceProfileBindingNotFound');
  assert.equal((await send('PUT', own, { service_profile: { enabled: false } })).status, 200);
  assert.equal((await associate(profile['id'])).status, 201);
  await refused(send('GET', `${path}/next_providers`), 503, 'ServiceProfileDisabled');
});

test('a router is made of a flavor whose provider does routers', async (t) => {
  const harness = await startHarness(t);
  const { create, send, server } = harness;
  const [flavor] = await routers(harness);
  const router = await create('router', { flavor_id: flavor['id'] }, MEMBER);
  assert.equal(router['flavor_id'], flavor['id']);
  assert.equal((await create('router', {}, MEMBER))['flavor_id'], null);
  const path = `/v2.0/routers/${router['id']}`;
  await refused(send('PUT', path, { router: { flavor_id: flavor['id'] } }), 400, 'HTTPBadRequest');
  await refused(send('DELETE', `${FLAVORS}/${flavor['id']}`), 409, 'FlavorInUse');

  const post = (id: unknown): ReturnType<typeof send> =>
    send('POST', '/v2.0/routers', { router: { flavor_id: id } }, MEMBER);
  await refused(post(randomUUID()), 404, 'FlavorNotFound');
  const other = await create('flavor', { service_type: 'FLAVORS' });
  assert.match(await refused(post(other['id']), 400, 'BadRequest'), /flavor_id.*L3_ROUTER_NAT/);
  const bare = await create('flavor', { service_type: 'L3_ROUTER_NAT' });
  await refused(post(bare['id']), 404, 'FlavorServiceProfileBindingNotFound');
  const [off] = await routers(harness, { enabled: false });
  await refused(post(off['id']), 503, 'FlavorDisabled');
  const [idle] = await routers(harness, {}, { enabled: false });
  await refused(post(idle['id']), 503, 'ServiceProfileDisabled');
  const [noted] = await routers(harness, {}, { driver: '', metainfo: 'none' });
  await refused(post(noted['id']), 404, 'ServiceProfileDriverNotFound');

  // A flavor that is disabled later changes no router that is there.
  await send('PUT', `${FLAVORS}/${flavor['id']}`, { flavor: { enabled: false } });
  assert.equal((await send('PUT', path, { router: { name: 'n' } })).status, 200);
  await assertInvariants(server);
  assert.equal((await send('DELETE', path)).status, 204);
  assert.equal((await send('DELETE', `${FLAVORS}/${flavor['id']}`)).status, 204);
});

const DRIVERS = 'neutron.services.l3_router.service_providers';

for (const [driver, ha, distributed] of [
  ['dvrha.DvrHaDriver', true, true],
  ['dvr.DvrDriver', false, true],
  ['ha.HaDriver', true, false],
  ['single_node.SingleNodeDriver', false, false],
] as const) {
  test(`a router of ${driver} has ha ${ha} and distributed ${distributed}, and keeps them`, async (t) => {
    const harness = await startHarness(t);
    const { create, send, server } = harness;
    const [flavor] = await routers(harness, {}, { driver: `${DRIVERS}.${driver}` });
    const given = { flavor_id: flavor['id'] };
    const { id } = await create('router', { ...given, admin_state_up: false }, MEMBER);
    const path = `/v2.0/routers/${id}`;
    const router = (await send('GET', path)).body['router'];
    assert.deepEqual([router?.['ha'], router?.['distributed']], [ha, distributed]);
    for (const other of [{ ha: !ha }, { distributed: !distributed }]) {
      await refused(send('PUT', path, { router: other }), 400, 'InvalidInput');
      await refused(send('POST', '/v2.0/routers', { router: { ...given, ...other } }), 400, 'InvalidInput');
    }
    assert.equal((await send('PUT', path, { router: { ha, distributed } })).status, 200);
    const same = await create('router', { ...given, ha, distributed });
    assert.deepEqual([same['ha'], same['distributed']], [ha, distributed]);
    await assertInvariants(server);
  });
}

test('a router keeps the provider that it was made of, whatever its flavor and the profile come to say', async (t) => {
  const harness = await startHarness(t);
  const { create, send, server } = harness;
  const [flavor, profile] = await routers(harness, {}, { driver: `${DRIVERS}.dvrha.DvrHaDriver` });
  const given = { flavor_id: flavor['id'], admin_state_up: false };
  const old = await create('router', given);
  const profiles = `${FLAVORS}/${flavor['id']}/service_profiles`;
  assert.equal((await send('DELETE', `${profiles}/${profile['id']}`)).status, 204);
  const single = { service_profile: { driver: `${DRIVERS}.single_node.SingleNodeDriver` } };
  assert.equal((await send('PUT', `${PROFILES}/${profile['id']}`, single)).status, 200);
  assert.equal((await send('POST', profiles, { service_profile: { id: profile['id'] } })).status, 201);
  const put = (router: Json, body: object) => send('PUT', `/v2.0/routers/${router['id']}`, { router: body });
  assert.match(await refused(put(old, { ha: false }), 400, 'InvalidInput'), /Provider dvrha does not support ha=False/);
  const young = await create('router', given);
  assert.deepEqual([young['ha'], young['distributed']], [false, false]);
  assert.match(await refused(put(young, { ha: true }), 400, 'InvalidInput'), /Provider single_node/);
  assert.equal('_provider' in young, false);
  await assertInvariants(server);
});

test('a page of flavors behind one that is not there, or not among those that are asked for, is empty', async (t) => {
  const { create, send } = await startHarness(t);
  const type = 'L3_ROUTER_NAT';
  const [a, b] = [
    await create('flavor', { name: 'a', service_type: type }),
    await create('flavor', { name: 'b', service_type: type }),
  ];
  const page = async (query: string): Promise<unknown> =>
    (await send('GET', `/v2.0/flavors?limit=5&sort_key=name&sort_dir=asc&${query}`)).body['flavors']?.map(
      (one) => one['name'],
    );
  assert.deepEqual(await page(`marker=${a['id']}`), ['b']);
  assert.deepEqual(await page('marker=none'), []);
  assert.deepEqual(await page(`name=a&marker=${b['id']}`), []);
});
