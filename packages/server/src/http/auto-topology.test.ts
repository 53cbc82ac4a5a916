/** A project's network, made when it is asked for, through the API of a server and of two. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { silentLogger } from '@cable/kit';
import { openStore } from '@cable/store';
import {
  type Answer,
  assertInvariants,
  type Harness,
  harnessOf,
  type Json,
  refused,
  startHarness,
  startTestServer,
} from '../testing/harness.ts';

const MEMBER = { 'x-project-id': 'p', 'x-roles': 'member' };
const PATH = '/v2.0/auto-allocated-topology';

const get = ({ send }: Harness, project = 'p', headers: Record<string, string> = MEMBER): Promise<Answer> =>
  send('GET', `${PATH}/${project}`, undefined, headers);

/** A default external network and default pools of both versions of IP. */
async function defaults({ create }: Pick<Harness, 'create'>): Promise<Json> {
  const outside = await create('network', { 'router:external': true, is_default: true });
  await create('subnet', { network_id: outside['id'], cidr: '203.0.113.0/24', ip_version: 4 });
  const pool = { shared: true, is_default: true };
  await create('subnetpool', { name: 'four', prefixes: ['10.0.0.0/16'], default_prefixlen: 26, ...pool });
  await create('subnetpool', { name: 'six', prefixes: ['fd00::/48'], default_prefixlen: 64, ...pool });
  return outside;
}

test('a project gets one network, behind a router that leads outside, and the same each time', async (t) => {
  const harness = await startHarness(t);
  const { send } = harness;
  const outside = await defaults(harness);
  const dry = await send('GET', `${PATH}/p?fields=dry-run`, undefined, MEMBER);
  assert.equal(dry.body['auto_allocated_topology']?.['id'], 'dry-run=pass');
  assert.equal((await send('GET', '/v2.0/networks?name=auto_allocated_network')).body['networks']?.length, 0);
  const first = await get(harness);
  const { id, tenant_id } = first.body['auto_allocated_topology'] as Json;
  assert.deepEqual([first.status, tenant_id], [200, 'p']);
  for (const project of ['p', 'None']) {
    assert.deepEqual((await get(harness, project)).body, first.body);
  }
  assert.deepEqual((await get(harness, 'p', {})).body, first.body, 'an administrator may ask for it');
  const network = (await send('GET', `/v2.0/networks/${id}`, undefined, MEMBER)).body['network'];
  assert.deepEqual(
    [network?.['name'], network?.['admin_state_up'], network?.['subnets']?.length],
    ['auto_allocated_network', true, 2],
  );
  const [router] =
    (await send('GET', '/v2.0/routers?name=auto_allocated_router', undefined, MEMBER)).body['routers'] ?? [];
  assert.equal(router?.['external_gateway_info']?.['network_id'], outside['id']);
  const legs = await send('GET', `/v2.0/ports?device_id=${router?.['id']}&network_id=${id}`);
  assert.equal(legs.body['ports']?.length, 2);
  await harness.create('port', { network_id: id }, MEMBER);
  await assertInvariants(harness.server);
});

test('it goes as a whole, unless something is in it, and is made anew', async (t) => {
  const harness = await startHarness(t);
  const { send, create } = harness;
  await defaults(harness);
  const drop = (project = 'p', headers: Record<string, string> = MEMBER): Promise<Answer> =>
    send('DELETE', `${PATH}/${project}`, undefined, headers);
  assert.equal((await drop()).status, 204);
  const { id } = (await get(harness)).body['auto_allocated_topology'] as Json;
  const port = await create('port', { network_id: id }, MEMBER);
  await refused(drop(), 409, 'NetworkInUse');
  assert.equal((await send('GET', '/v2.0/routers', undefined, MEMBER)).body['routers']?.length, 1);
  await send('DELETE', `/v2.0/ports/${port['id']}`);
  await refused(drop('p', { 'x-project-id': 'q', 'x-roles': 'member' }), 403, 'NotAuthorized');
  assert.equal((await drop()).status, 204);
  for (const plural of ['routers', 'networks', 'ports']) {
    assert.deepEqual((await send('GET', `/v2.0/${plural}?project_id=p`)).body[plural], []);
  }
  const again = (await get(harness)).body['auto_allocated_topology'];
  assert.notEqual(again?.['id'], id);
  const [router] = (await send('GET', '/v2.0/routers', undefined, MEMBER)).body['routers'] ?? [];
  for (const leg of (await send('GET', `/v2.0/ports?device_id=${router?.['id']}`, undefined, MEMBER)).body['ports'] ??
    []) {
    await send('PUT', `/v2.0/routers/${router?.['id']}/remove_router_interface`, { port_id: leg['id'] }, MEMBER);
  }
  assert.equal((await send('DELETE', `/v2.0/routers/${router?.['id']}`, undefined, MEMBER)).status, 204);
  assert.equal((await send('DELETE', `/v2.0/networks/${again?.['id']}`, undefined, MEMBER)).status, 204);
  assert.equal((await get(harness)).status, 200, 'a network that its project deleted is none');
  await assertInvariants(harness.server);
});

test('what is missing is said, and nothing is left half made', async (t) => {
  const harness = await startHarness(t);
  const { send, create } = harness;
  const dry = (): Promise<Answer> => send('GET', `${PATH}/p?fields=dry-run`, undefined, MEMBER);
  for (const ask of [dry(), get(harness)]) {
    assert.match(await refused(ask, 409, 'AutoAllocationFailure'), /No default router:external network/);
  }
  const outside = await create('network', { 'router:external': true, is_default: true });
  assert.match(await refused(dry(), 409, 'AutoAllocationFailure'), /No default subnetpools defined/);
  await refused(get(harness), 409, 'AutoAllocationFailure');
  await create('subnetpool', { name: 'x', prefixes: ['10.0.0.0/26'], default_prefixlen: 26, is_default: true });
  await refused(get(harness), 409, 'AutoAllocationFailure');
  await send('PUT', '/v2.0/quotas/p', { quota: { router: 0 } });
  const shared = { prefixes: ['10.1.0.0/26'], default_prefixlen: 26, shared: true, is_default: true };
  const [own] = (await send('GET', '/v2.0/subnetpools')).body['subnetpools'] ?? [];
  await send('PUT', `/v2.0/subnetpools/${own?.['id']}`, { subnetpool: { is_default: false } });
  await create('subnetpool', { name: 'y', ...shared });
  await refused(get(harness), 409, 'OverQuota');
  assert.deepEqual(
    (await send('GET', '/v2.0/networks', undefined, MEMBER)).body['networks']?.map(({ id }) => id),
    [outside['id']],
  );
  await refused(send('GET', `${PATH}/q`, undefined, MEMBER), 403, 'NotAuthorized');
  await refused(send('GET', `${PATH}/p?fields=id`, undefined, MEMBER), 400, 'BadRequest');
  const second = { network: { 'router:external': true, is_default: true } };
  await refused(send('POST', '/v2.0/networks', second), 409, 'DefaultExternalNetworkExists');
  await refused(send('POST', '/v2.0/networks', { network: { is_default: true } }, MEMBER), 403, 'PolicyNotAuthorized');
  await assertInvariants(harness.server);
});

test('asked of two servers at once it is made once', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), `cable-auto-${process.pid}-`));
  const store = await openStore(`lmdb:${directory}`, { log: silentLogger() });
  const two = [harnessOf(store, await startTestServer(store)), harnessOf(store, await startTestServer(store))] as const;
  t.after(async () => {
    for (const { server } of two) await server.stop();
    await store.close();
    await rm(directory, { recursive: true, force: true });
  });
  const outside = await defaults(two[0]);
  assert.equal((await two[1].send('GET', `/v2.0/networks/${outside['id']}`)).status, 200);
  for (let round = 0; round < 6; round += 1) {
    const headers = { 'x-project-id': `p${round}`, 'x-roles': 'member' };
    const asks = Array.from({ length: 8 }, (_, at) => get(two[at % 2] as Harness, `p${round}`, headers));
    const answers = await Promise.all(asks);
    const ids = answers.map(({ status, body }) => `${status} ${body['auto_allocated_topology']?.['id']}`);
    assert.equal(new Set(ids).size, 1, ids.join());
    const made = await two[0].send('GET', `/v2.0/routers?project_id=p${round}`);
    assert.equal(made.body['routers']?.length, 1);
  }
  await assertInvariants(two[0].server);
});
