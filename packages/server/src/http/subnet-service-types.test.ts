/** Subnets for ports of some owners, ports without addresses, and new MACs of ports, through the API of a server. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Answer, assertInvariants, type Harness, type Json, refused, startHarness } from '../testing/harness.ts';

const MEMBER = { 'x-project-id': 'p', 'x-roles': 'member' };

/** A network whose subnets are for the owners given. */
async function networkOf({ create }: Harness, ...types: readonly (readonly string[])[]): Promise<readonly Json[]> {
  const network = await create('network', { project_id: 'p' });
  const subnets: Json[] = [];
  for (const [at, service_types] of types.entries()) {
    const subnet = { network_id: network['id'], cidr: `10.0.${at}.0/24`, ip_version: 4, service_types };
    subnets.push(await create('subnet', subnet));
  }
  return [network, ...subnets];
}

test('service types are owners of ports, which an administrator gives', async (t) => {
  const harness = await startHarness(t);
  const { send } = harness;
  const [network, subnet] = await networkOf(harness, ['compute:nova', 'network:router_gateway']);
  assert.deepEqual(subnet?.['service_types'], ['compute:nova', 'network:router_gateway']);
  const post = (attributes: object, headers = {}): Promise<Answer> =>
    send(
      'POST',
      '/v2.0/subnets',
      { subnet: { network_id: network?.['id'], ip_version: 4, cidr: '10.9.0.0/24', ...attributes } },
      headers,
    );
  const cases = [
    [{ service_types: ['foo'] }, 400, 'InvalidSubnetServiceType'],
    [{ service_types: ['compute:nova', ''] }, 400, 'InvalidSubnetServiceType'],
    [{ service_types: [1] }, 400, 'HTTPBadRequest'],
    [{ service_types: 'compute:nova' }, 400, 'HTTPBadRequest'],
    [{ service_types: ['compute:a', 'compute:a'] }, 400, 'HTTPBadRequest'],
    [{ service_types: ['compute:a'], cidr: 'fd00::/64', ip_version: 6, ipv6_ra_mode: 'slaac' }, 400, 'InvalidInput'],
  ] as const;
  for (const [attributes, status, type] of cases) await refused(post(attributes), status, type);
  await refused(post({ service_types: ['compute:a'] }, MEMBER), 403, 'PolicyNotAuthorized');
  assert.equal((await post({}, MEMBER)).status, 201);
  const put = await send('PUT', `/v2.0/subnets/${subnet?.['id']}`, { subnet: { service_types: [] } });
  assert.deepEqual(put.body['subnet']?.['service_types'], []);
});

test('a port has addresses of the subnets for its owner, and of those for all when there are none', async (t) => {
  const harness = await startHarness(t);
  const { create, send } = harness;
  const [network, plain, vms, gateways] = await networkOf(harness, [], ['compute:nova'], ['network:router_gateway']);
  const subnetOf = async (device_owner: string, fixed_ips?: object[]): Promise<unknown> => {
    const port = await create('port', { network_id: network?.['id'], device_owner, ...(fixed_ips && { fixed_ips }) });
    return port['fixed_ips']?.map((one) => one['subnet_id']);
  };
  assert.deepEqual(await subnetOf(''), [plain?.['id']]);
  assert.deepEqual(await subnetOf('compute:other'), [plain?.['id']]);
  assert.deepEqual(await subnetOf('compute:nova'), [vms?.['id']]);
  assert.deepEqual(await subnetOf('compute:nova', [{ subnet_id: plain?.['id'] }]), [plain?.['id']]);
  assert.deepEqual(await subnetOf('network:dhcp', [{ subnet_id: gateways?.['id'] }]), [gateways?.['id']]);
  const post = (fixed_ips: object[]): Promise<Answer> =>
    send('POST', '/v2.0/ports', { port: { network_id: network?.['id'], fixed_ips } });
  await refused(post([{ subnet_id: vms?.['id'] }]), 400, 'InvalidInput');
  await refused(post([{ ip_address: '10.0.1.9' }]), 400, 'InvalidIpForNetwork');
  await assertInvariants(harness.server);
});

test('a network without a subnet for the owner gives nothing, and what a port has it keeps', async (t) => {
  const harness = await startHarness(t);
  const { create, send } = harness;
  const [network, subnet] = await networkOf(harness, ['compute:nova']);
  const wish = { port: { network_id: network?.['id'] } };
  await refused(send('POST', '/v2.0/ports', wish), 409, 'IpAddressGenerationFailureNoMatchingSubnet');
  assert.deepEqual((await create('port', { ...wish.port, fixed_ips: [] }))['fixed_ips'], []);
  const port = await create('port', { ...wish.port, device_owner: 'compute:nova' });
  const types = { subnet: { service_types: ['network:floatingip'] } };
  assert.equal((await send('PUT', `/v2.0/subnets/${subnet?.['id']}`, types)).status, 200);
  const change = (attributes: object): Promise<Answer> =>
    send('PUT', `/v2.0/ports/${port['id']}`, { port: attributes });
  assert.equal((await change({ name: 'x' })).status, 200);
  const again = await change({ fixed_ips: [{ subnet_id: subnet?.['id'] }], mac_address: '02:00:00:00:00:07' });
  assert.deepEqual(again.body['port']?.['fixed_ips'], port['fixed_ips']);
});

test('gateways and floating IPs have addresses of the subnets that are for them', async (t) => {
  const harness = await startHarness(t);
  const { create } = harness;
  const [network, routers, floating] = await networkOf(harness, ['network:router_gateway'], ['network:floatingip']);
  await harness.send('PUT', `/v2.0/networks/${network?.['id']}`, { network: { 'router:external': true } });
  const router = await create('router', { external_gateway_info: { network_id: network?.['id'] } });
  const address = router['external_gateway_info']?.['external_fixed_ips']?.[0];
  assert.equal(address?.['subnet_id'], routers?.['id']);
  const one = await create('floatingip', { floating_network_id: network?.['id'] });
  assert.match(String(one['floating_ip_address']), new RegExp(`^${String(floating?.['cidr']).slice(0, 7)}`));
});

test('an update to null gives a port another MAC, and its SLAAC addresses with it', async (t) => {
  const harness = await startHarness(t);
  const { create, send } = harness;
  const network = await create('network', {});
  await create('subnet', { network_id: network['id'], cidr: 'fd00::/64', ip_version: 6, ipv6_ra_mode: 'slaac' });
  const port = await create('port', { network_id: network['id'], mac_address: null });
  assert.match(String(port['mac_address']), /^fa:16:3e:/);
  const path = `/v2.0/ports/${port['id']}`;
  const { body } = await send('PUT', path, { port: { mac_address: null } });
  assert.match(String(body['port']?.['mac_address']), /^fa:16:3e:/);
  assert.notEqual(body['port']?.['mac_address'], port['mac_address']);
  assert.notDeepEqual(body['port']?.['fixed_ips'], port['fixed_ips']);
  await send('PUT', path, { port: { 'binding:host_id': 'h' } });
  await refused(send('PUT', path, { port: { mac_address: null } }), 409, 'PortBound');
  await refused(send('PUT', path, { port: { mac_address: null } }, MEMBER), 404, 'PortNotFound');
  await assertInvariants(harness.server);
});

test('a port says whether it asked for no address', async (t) => {
  const { create, send } = await startHarness(t);
  const network = await create('network', {});
  const bare = await create('port', { network_id: network['id'] });
  await create('subnet', { network_id: network['id'], cidr: '10.0.0.0/24', ip_version: 4 });
  const some = await create('port', { network_id: network['id'] });
  const none = await create('port', { network_id: network['id'], fixed_ips: [] });
  assert.deepEqual(
    [bare, some, none].map((port) => port['ip_allocation']),
    ['immediate', 'immediate', 'none'],
  );
  const { body } = await send('GET', '/v2.0/ports?ip_allocation=none&fields=id');
  assert.deepEqual(body['ports'], [{ id: none['id'] }]);
});
