/** Neutron's service providers through the API of a server. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refused, startHarness } from '../testing/harness.ts';

const PATH = '/v2.0/service-providers';
const READER = { 'x-project-id': 'p', 'x-roles': 'reader' };

test('routers have ours, and those of Neutron’s names; lists filter by what they are', async (t) => {
  const { send } = await startHarness(t);
  const provider = { service_type: 'L3_ROUTER_NAT', name: 'cable', default: true };
  const list = async (query: string, headers?: Record<string, string>): Promise<unknown> =>
    (await send('GET', `${PATH}${query}`, undefined, headers)).body['service_providers'];
  const named = (name: string): object => ({ service_type: 'L3_ROUTER_NAT', name, default: false });
  const all = [provider, ...['dvrha', 'dvr', 'ha', 'single_node'].map(named)];
  assert.deepEqual(await list(''), all);
  assert.deepEqual(await list('', READER), all);
  assert.deepEqual(await list('?service_type=L3_ROUTER_NAT&default=True&name=cable'), [provider]);
  assert.deepEqual(await list('?service_type=LOADBALANCERV2'), []);
  assert.deepEqual(await list('?default=False&name=ha'), [named('ha')]);
  assert.deepEqual(await list('?fields=name&default=True'), [{ name: 'cable' }]);
  assert.deepEqual(await list('', { 'x-project-id': 'p', 'x-roles': 'nobody' }), []);
  await refused(send('POST', PATH, { service_provider: {} }), 405, 'HTTPMethodNotAllowed');
});
