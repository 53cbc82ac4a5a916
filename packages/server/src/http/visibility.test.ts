import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refused, startHarness } from '../testing/harness.ts';

const ANN = { 'x-project-id': 'ann', 'x-roles': 'member,reader' };
const BOB = { 'x-project-id': 'bob', 'x-roles': 'member' };

test('a member sees only what is its project’s, and no admin attributes', async (t) => {
  const { send, create } = await startHarness(t);
  const network = await create('network', { name: 'a' }, ANN);
  assert.equal(network['provider:segmentation_id'], undefined);
  const path = `/v2.0/networks/${network['id']}`;
  assert.equal((await send('GET', path, undefined, ANN)).status, 200);
  await refused(send('GET', path, undefined, BOB), 404, 'NetworkNotFound');
  await refused(send('PUT', path, { network: { name: 'x' } }, BOB), 404, 'NetworkNotFound');
  await refused(send('DELETE', path, undefined, BOB), 404, 'NetworkNotFound');
  assert.equal((await send('GET', '/v2.0/networks', undefined, BOB)).body['networks']?.length, 0);
  assert.equal((await send('GET', '/v2.0/networks', undefined, ANN)).body['networks']?.length, 1);
  assert.equal((await send('GET', '/v2.0/networks')).body['networks']?.length, 1);
  await refused(send('POST', '/v2.0/ports', { port: { network_id: network['id'] } }, BOB), 404, 'NetworkNotFound');
});

test('a member may not write what is the admin’s', async (t) => {
  const { send, create } = await startHarness(t);
  const network = await create('network', {}, ANN);
  const message = await refused(
    send('POST', '/v2.0/networks', { network: { shared: true } }, ANN),
    403,
    'PolicyNotAuthorized',
  );
  assert.match(message, /rule:create_network:shared/);
  const bound = { port: { network_id: network['id'], 'binding:host_id': 'h' } };
  await refused(send('POST', '/v2.0/ports', bound, ANN), 403, 'PolicyNotAuthorized');
  await refused(send('POST', '/v2.0/networks', { network: { project_id: 'bob' } }, ANN), 400, 'HTTPBadRequest');
  assert.deepEqual((await send('GET', '/cable/v1/hosts', undefined, ANN)).body['hosts'], []);
  const port = await create('port', { network_id: network['id'] }, ANN);
  await refused(
    send('PUT', `/v2.0/ports/${port['id']}`, { port: { mac_address: '02:00:00:00:00:02' } }, ANN),
    403,
    'PolicyNotAuthorized',
  );
  const machine = { 'binding:vnic_type': 'baremetal' };
  const onHost = { port: { network_id: network['id'], ...machine } };
  await refused(send('POST', '/v2.0/ports', onHost, ANN), 403, 'PolicyNotAuthorized');
  await refused(send('PUT', `/v2.0/ports/${port['id']}`, { port: machine }, ANN), 403, 'PolicyNotAuthorized');
  const normal = { port: { 'binding:vnic_type': 'normal' } };
  assert.equal((await send('PUT', `/v2.0/ports/${port['id']}`, normal, ANN)).status, 200);
  const shared = await create('network', { shared: true });
  const dhcp = { port: { network_id: shared['id'], device_owner: 'network:dhcp' } };
  await refused(send('POST', '/v2.0/ports', dhcp, ANN), 403, 'PolicyNotAuthorized');
});

test('a shared network and its subnets are everybody’s to use, not to change', async (t) => {
  const { send, create } = await startHarness(t);
  const network = await create('network', { shared: true });
  const subnet = await create('subnet', { network_id: network['id'], cidr: '10.0.0.0/24', ip_version: 4 });
  const path = `/v2.0/networks/${network['id']}`;
  assert.equal((await send('GET', path, undefined, BOB)).status, 200);
  assert.equal((await send('GET', '/v2.0/subnets', undefined, BOB)).body['subnets']?.length, 1);
  await refused(send('PUT', path, { network: { name: 'x' } }, BOB), 403, 'PolicyNotAuthorized');
  await refused(send('DELETE', `/v2.0/subnets/${subnet['id']}`, undefined, BOB), 403, 'PolicyNotAuthorized');
  const more = { subnet: { network_id: network['id'], cidr: '10.1.0.0/24', ip_version: 4 } };
  await refused(send('POST', '/v2.0/subnets', more, BOB), 403, 'PolicyNotAuthorized');
  const port = await create('port', { network_id: network['id'] }, BOB);
  const choices = [
    { mac_address: '02:00:00:00:00:02' },
    { port_security_enabled: false, security_groups: [] },
    { allowed_address_pairs: [{ ip_address: '0.0.0.0/0' }] },
    { fixed_ips: [{ ip_address: '10.0.0.77' }] },
  ];
  for (const choice of choices) {
    const wanted = { port: { network_id: network['id'], ...choice } };
    await refused(send('POST', '/v2.0/ports', wanted, BOB), 403, 'PolicyNotAuthorized');
    await refused(send('PUT', `/v2.0/ports/${port['id']}`, { port: choice }, BOB), 403, 'PolicyNotAuthorized');
  }
  const router = await create('router', {}, BOB);
  const attach = { subnet_id: subnet['id'] };
  await refused(send('PUT', `/v2.0/routers/${router['id']}/add_router_interface`, attach, BOB), 400, 'BadRequest');
  await refused(send('PUT', path, { network: { shared: false } }), 409, 'InvalidSharedSetting');
});

test('the owner of a network sees and may delete what others have on it, not change it', async (t) => {
  const { send, create } = await startHarness(t);
  const network = await create('network', {}, ANN);
  const foreign = await create('port', { network_id: network['id'], name: 'foreign' });
  const own = await create('port', { network_id: network['id'] }, ANN);
  const path = `/v2.0/ports/${foreign['id']}`;
  for (const query of ['', `?network_id=${network['id']}`]) {
    const listed = (await send('GET', `/v2.0/ports${query}`, undefined, ANN)).body['ports'] ?? [];
    assert.deepEqual(listed.map((port) => port['id']).sort(), [foreign['id'], own['id']].sort());
  }
  assert.equal((await send('GET', path, undefined, ANN)).status, 200);
  await refused(send('GET', path, undefined, BOB), 404, 'PortNotFound');
  await refused(send('PUT', path, { port: { name: 'x' } }, ANN), 403, 'PolicyNotAuthorized');
  assert.equal((await send('DELETE', path, undefined, ANN)).status, 204);
});

test('the agents’ routes, the status and the order by an admin’s attribute are the admin’s', async (t) => {
  const { send } = await startHarness(t);
  for (const [method, path] of [
    ['GET', '/cable/v1/check'],
    ['GET', '/cable/v1/status'],
    ['PUT', '/cable/v1/hosts/h'],
    ['POST', '/cable/v1/hosts/h/status'],
    ['GET', '/cable/v1/hosts/h/watch'],
  ] as const) {
    await refused(send(method, path, undefined, ANN), 403, 'PolicyNotAuthorized');
  }
  assert.equal((await send('GET', '/cable/v1/status')).status, 200);
  await refused(
    send('GET', '/v2.0/ports?sort_key=binding:host_id&sort_dir=asc', undefined, ANN),
    400,
    'HTTPBadRequest',
  );
  assert.equal((await send('GET', '/v2.0/ports?sort_key=binding:host_id&sort_dir=asc')).status, 200);
});
