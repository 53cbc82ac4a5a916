/** What Octavia's network driver sends: found by running that of Octavia 11 (Zed) on a server. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refused, startHarness } from '../testing/harness.ts';

test('an address that is given with more than Neutron knows of it is taken, as in Neutron', async (t) => {
  const { create, send } = await startHarness(t);
  const network = await create('network', { 'router:external': true });
  const on = (cidr: string) => create('subnet', { network_id: network['id'], cidr, ip_version: 4 });
  const [subnet, other] = [await on('10.0.0.0/24'), await on('10.0.1.0/24')];
  const port = await create('port', { network_id: network['id'], fixed_ips: [{ subnet_id: subnet['id'] }] });
  const [first] = port['fixed_ips'] as readonly object[];
  // The driver gives back what it was shown, with an empty place for the subnet itself.
  const fixedIps = [{ ...first, subnet: null }, { subnet_id: other['id'] }];
  const added = await send('PUT', `/v2.0/ports/${port['id']}`, { port: { fixed_ips: fixedIps } });
  assert.equal(added.status, 200, JSON.stringify(added.body));
  assert.deepEqual(added.body['port']?.['fixed_ips'], [first, { subnet_id: other['id'], ip_address: '10.0.1.2' }]);
  const gateway = { network_id: network['id'], external_fixed_ips: [{ subnet_id: subnet['id'], subnet: null }] };
  const made = await send('POST', '/v2.0/routers', { router: { external_gateway_info: gateway } });
  const address = { subnet_id: subnet['id'], ip_address: '10.0.0.3' };
  assert.deepEqual(made.body['router']?.['external_gateway_info']?.['external_fixed_ips'], [address]);
  // What only says what Neutron does not know says nothing.
  const unknown = { network_id: network['id'], fixed_ips: [{ subnet: subnet['id'] }] };
  await refused(send('POST', '/v2.0/ports', { port: unknown }), 400, 'InvalidInput');
  await refused(
    send('POST', '/v2.0/ports', { port: { network_id: network['id'], allowed_address_pairs: [{ ip: '10.0.0.9' }] } }),
    400,
    'HTTPBadRequest',
  );
});
