/** Neutron's floating IP pools through the API of a server. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { type Json, refused, startHarness } from '../testing/harness.ts';

const PATH = '/v2.0/floatingip_pools';
const asOf = (project: string, roles = 'reader'): Record<string, string> => ({
  'x-project-id': project,
  'x-roles': roles,
});

test('the pools are the IPv4 subnets of external networks, shown as of the project that asks', async (t) => {
  const { create, send } = await startHarness(t);
  const outside = await create('network', { 'router:external': true, project_id: 'owner' });
  const inside = await create('network', { project_id: 'p', shared: true });
  const network_id = outside['id'];
  const a = await create('subnet', { network_id, name: 'a', cidr: '203.0.113.0/24', ip_version: 4 });
  const b = await create('subnet', { network_id, name: 'b', cidr: '198.51.100.0/24', ip_version: 4 });
  await create('subnet', { network_id, cidr: '2001:db8::/64', ip_version: 6 });
  await create('subnet', { network_id: inside['id'], cidr: '10.0.0.0/24', ip_version: 4 });
  const { body } = await send('GET', `${PATH}?sort_key=subnet_name&sort_dir=asc`, undefined, asOf('p'));
  const common = { network_id, tenant_id: 'p', project_id: 'p' };
  assert.deepEqual(body, {
    floatingip_pools: [
      { ...common, subnet_id: a['id'], subnet_name: 'a', cidr: '203.0.113.0/24' },
      { ...common, subnet_id: b['id'], subnet_name: 'b', cidr: '198.51.100.0/24' },
    ],
  });
});

test('pools are filtered, sorted and paged like other lists', async (t) => {
  const { create, send } = await startHarness(t);
  const { id: network_id } = await create('network', { 'router:external': true });
  const ids: string[] = [];
  for (const [at, name] of ['a', 'b', 'c'].entries()) {
    const { id } = await create('subnet', { network_id, name, cidr: `203.0.113.${at * 32}/27`, ip_version: 4 });
    ids.push(String(id));
  }
  const names = async (query: string, dir = 'asc'): Promise<readonly unknown[]> =>
    ((await send('GET', `${PATH}?sort_key=subnet_name&sort_dir=${dir}&${query}`)).body['floatingip_pools'] ?? []).map(
      (one) => one['subnet_name'],
    );
  assert.deepEqual(await names(''), ['a', 'b', 'c']);
  assert.deepEqual(await names('', 'desc'), ['c', 'b', 'a']);
  assert.deepEqual(await names('subnet_name=a&subnet_name=c'), ['a', 'c']);
  assert.deepEqual(await names('cidr=203.0.113.32/27'), ['b']);
  assert.deepEqual(await names(`subnet_id=${ids[2]}`), ['c']);
  assert.deepEqual(await names(`network_id=${network_id}`), ['a', 'b', 'c']);
  assert.deepEqual(await names(`network_id=${randomUUID()}`), []);
  assert.deepEqual(await names(`limit=1&marker=${ids[0]}`), ['b']);
  const { body } = await send('GET', `${PATH}?fields=cidr&subnet_name=a`);
  assert.deepEqual(body['floatingip_pools'], [{ cidr: '203.0.113.0/27' }]);
  await refused(send('POST', PATH, { floatingip_pool: {} }), 405, 'HTTPMethodNotAllowed');
});

test('a network that leads outside for one project is a pool of that one and of its owner', async (t) => {
  const { create, send } = await startHarness(t);
  const { id: object_id } = await create('network', { project_id: 'owner' });
  await create('subnet', { network_id: object_id, name: 'a', cidr: '203.0.113.0/24', ip_version: 4 });
  const policy = { object_type: 'network', object_id, action: 'access_as_external', target_tenant: 'p' };
  assert.equal((await send('POST', '/v2.0/rbac-policies', { rbac_policy: policy })).status, 201);
  const pools = async (headers?: Record<string, string>): Promise<readonly Json[] | undefined> =>
    (await send('GET', PATH, undefined, headers)).body['floatingip_pools'];
  assert.equal((await pools(asOf('p')))?.length, 1);
  assert.equal((await pools(asOf('owner')))?.length, 1);
  assert.equal((await pools(asOf('q')))?.length, 0);
  assert.equal((await pools(asOf('p', 'nobody')))?.length, 0);
  assert.equal((await pools())?.length, 1);
});
