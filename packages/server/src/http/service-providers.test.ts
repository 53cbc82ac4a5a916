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
