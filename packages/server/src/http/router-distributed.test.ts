/** `distributed` and `ha` of routers through the API of a server. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { objectKey } from '../keys.ts';
import { assertInvariants, refused, startHarness } from '../testing/harness.ts';

const MEMBER = { 'x-project-id': 'p', 'x-roles': 'member,reader' };

test('a router is distributed unless an administrator says that it is not', async (t) => {
  const { create, send } = await startHarness(t);
  assert.equal((await create('router', {}))['distributed'], true);
  assert.equal((await create('router', { distributed: null }))['distributed'], true);
  assert.equal((await create('router', { distributed: 'False' }))['distributed'], false);
  await refused(send('POST', '/v2.0/routers', { router: { distributed: 'x' } }), 400, 'InvalidInput');
  for (const distributed of [false, true, null]) {
    await refused(send('POST', '/v2.0/routers', { router: { distributed } }, MEMBER), 403, 'PolicyNotAuthorized');
  }
  const own = await create('router', {}, MEMBER);
  assert.equal(own['distributed'], undefined, 'an administrator’s matter');
  const path = `/v2.0/routers/${own['id']}`;
  await refused(send('PUT', path, { router: { distributed: true } }, MEMBER), 403, 'PolicyNotAuthorized');
  const listed = (await send('GET', '/v2.0/routers?distributed=False')).body['routers'];
  assert.equal(listed?.length, 1);
});

test('distributed is changed while the router is down, before and after', async (t) => {
  const { create, send, server } = await startHarness(t);
  const router = await create('router', {});
  const put = (changes: object): ReturnType<typeof send> =>
    send('PUT', `/v2.0/routers/${router['id']}`, { router: changes });
  assert.match(await refused(put({ distributed: false }), 400, 'BadRequest'), /admin_state_up/);
  // The alias router-admin-state-down-before-update: by a request of its own.
  await refused(put({ distributed: false, admin_state_up: false }), 400, 'BadRequest');
  assert.equal((await put({ distributed: true, name: 'same' })).status, 200);
  assert.equal((await put({ distributed: null })).status, 200);
  assert.equal((await put({ admin_state_up: false })).status, 200);
  await refused(put({ distributed: false, admin_state_up: true }), 400, 'BadRequest');
  const changed = await put({ distributed: false });
  assert.equal(changed.body['router']?.['distributed'], false, JSON.stringify(changed.body));
  const kept = await put({ distributed: null });
  assert.equal(kept.body['router']?.['distributed'], false, JSON.stringify(kept));
  await refused(put({ 'cable:snat': 'distributed' }), 400, 'BadRequest');
  assert.equal((await put({ 'cable:snat': 'leased' })).status, 200);
  assert.equal((await put({ 'cable:snat': 'distributed', distributed: true })).status, 200);
  assert.match(await refused(put({ distributed: false }), 400, 'BadRequest'), /cable:snat/);
  const both = { distributed: false, 'cable:snat': 'distributed' };
  await refused(send('POST', '/v2.0/routers', { router: both }), 400, 'BadRequest');
  await assertInvariants(server);
});

test('a router that was stored before ha was anything has standbys, and may be sent that', async (t) => {
  const { create, send, server, store } = await startHarness(t);
  const { id } = await create('router', {});
  const key = objectKey('router', String(id));
  const { ha: _, distributed: __, ...old } = JSON.parse((await store.list(key)).kvs[0]?.value ?? '');
  const { revision } = await store.txn([], [{ kind: 'put', key, value: JSON.stringify(old) }]);
  assert.equal(await server.tables.waitFor(revision, 5000), true);
  const put = (changes: object): ReturnType<typeof send> => send('PUT', `/v2.0/routers/${id}`, { router: changes });
  for (const same of [{ name: 'n' }, { ha: true, distributed: true }]) {
    assert.equal((await put(same)).status, 200, JSON.stringify(same));
  }
  assert.match(await refused(put({ ha: false }), 400, 'BadRequest'), /Cannot change HA attribute/);
  assert.equal((await put({ admin_state_up: false })).status, 200);
  assert.equal((await put({ ha: false })).body['router']?.['ha'], false);
  await assertInvariants(server);
});
