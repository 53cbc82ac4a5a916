/** Neutron's service providers through the API of a server. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refused, startHarness } from '../testing/harness.ts';

const PATH = '/v2.0/service-providers';
const READER = { 'x-project-id': 'p', 'x-roles': 'reader' };

test('routers have one provider, which lists filter by what it is', async (t) => {
  const { send } = await startHarness(t);
  const provider = { service_type: 'L3_ROUTER_NAT', name: 'cable', default: true };
  const list = async (query: string, headers?: Record<string, string>): Promise<unknown> =>
    (await send('GET', `${PATH}${query}`, undefined, headers)).body['service_providers'];
  assert.deepEqual(await list(''), [provider]);
  assert.deepEqual(await list('', READER), [provider]);
  assert.deepEqual(await list('?service_type=L3_ROUTER_NAT&default=True&name=cable'), [provider]);
  assert.deepEqual(await list('?service_type=LOADBALANCERV2'), []);
  assert.deepEqual(await list('?default=False'), []);
  assert.deepEqual(await list('?fields=name'), [{ name: 'cable' }]);
  assert.deepEqual(await list('', { 'x-project-id': 'p', 'x-roles': 'nobody' }), []);
  await refused(send('POST', PATH, { service_provider: {} }), 405, 'HTTPMethodNotAllowed');
});

test('a router of a flavor is refused, for there is one provider only', async (t) => {
  const { send } = await startHarness(t);
  const router = { flavor_id: '9bd0e6a4-3f0c-4f0e-9d0a-0b8f3a6c2e11' };
  await refused(send('POST', '/v2.0/routers', { router }), 400, 'HTTPBadRequest');
});
