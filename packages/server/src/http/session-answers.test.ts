/** What the `openstack` client asks, and a stock neutron-server answers: one case for each difference that was found by running test/openstack/session on both. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertInvariants, refused, startHarness } from '../testing/harness.ts';

const OWNER = { 'x-project-id': 'owner', 'x-roles': 'member' };

test('a floating IP’s own port has no status', async (t) => {
  const { create, send, server } = await startHarness(t);
  const network = await create('network', { 'router:external': true });
  await create('subnet', { network_id: network['id'], cidr: '172.24.4.0/24', ip_version: 4 });
  await create('floatingip', { floating_network_id: network['id'] });
  const { body } = await send('GET', '/v2.0/ports?device_owner=network:floatingip&status=N/A');
  assert.equal(body['ports']?.[0]?.['status'], 'N/A');
  await assertInvariants(server);
});

test('a network of type vlan that names no physical network is on one with a free VLAN', async (t) => {
  const { create, send, server } = await startHarness(t);
  const vlan = { 'provider:network_type': 'vlan' };
  const post = (more: object): ReturnType<typeof send> =>
    send('POST', '/v2.0/networks', { network: { ...vlan, ...more } });
  assert.match(await refused(post({}), 400, 'InvalidInput'), /physical_network required for vlan provider network/);
  for (const [physical_network, only] of [
    ['physnet1', 10],
    ['physnet2', 20],
  ] as const) {
    const range = { network_type: 'vlan', physical_network, minimum: only, maximum: only, shared: true };
    await create('network_segment_range', range);
  }
  for (const [physical, id] of [
    ['physnet1', 10],
    ['physnet2', 20],
  ]) {
    const network = await create('network', vlan);
    assert.deepEqual([network['provider:physical_network'], network['provider:segmentation_id']], [physical, id]);
  }
  await refused(post({}), 503, 'NoNetworkAvailable');
  const alone = { 'provider:segmentation_id': 7 };
  assert.match(await refused(post(alone), 400, 'InvalidInput'), /segmentation_id requires physical_network/);
  await assertInvariants(server);
});

test('a type of network that is none is refused as by Neutron’s drivers', async (t) => {
  const { send } = await startHarness(t);
  const asked = send('POST', '/v2.0/networks', { network: { 'provider:network_type': 'strange' } });
  assert.match(await refused(asked, 400, 'InvalidInput'), /network_type value 'strange' not supported\.$/);
});

test('a deletion that ports are in the way of names them', async (t) => {
  const { create, send } = await startHarness(t);
  const network = await create('network', {});
  const subnet = await create('subnet', { network_id: network['id'], cidr: '10.0.0.0/24', ip_version: 4 });
  const router = await create('router', {});
  const path = `/v2.0/routers/${router['id']}`;
  const { body } = await send('PUT', `${path}/add_router_interface`, { subnet_id: subnet['id'] });
  const leg = String(body['port_id']);
  const ofRouter = await refused(send('DELETE', path), 409, 'RouterInUse');
  assert.equal(ofRouter, `Router ${router['id']} has ports still attached: ${leg}`);
  const ofNetwork = await refused(send('DELETE', `/v2.0/networks/${network['id']}`), 409, 'NetworkInUse');
  assert.match(ofNetwork, new RegExp(`id for these ports is: ${leg}\\.$`));
});

test('a refusal has Neutron’s names of rules', async (t) => {
  const { send } = await startHarness(t);
  const asked = send('POST', '/v2.0/qos/policies', { policy: {} }, OWNER);
  assert.equal(await refused(asked, 403, 'PolicyNotAuthorized'), 'rule:create_policy is disallowed by policy');
});

test('who changes what all projects see is told that he may not, and not that it is not there', async (t) => {
  const { create, send } = await startHarness(t);
  const policy = await create('qos_policy', { shared: true });
  const asked = send('PUT', `/v2.0/qos/policies/${policy['id']}`, { policy: { name: 'mine' } }, OWNER);
  await refused(asked, 403, 'PolicyNotAuthorized');
});

test('a port is not made with security groups and without port security', async (t) => {
  const { create, send } = await startHarness(t);
  const network = await create('network', {});
  const group = await create('security_group', {});
  const port = { network_id: network['id'], port_security_enabled: false, security_groups: [group['id']] };
  const asked = send('POST', '/v2.0/ports', { port });
  await refused(asked, 400, 'PortSecurityAndIPRequiredForSecurityGroups');
  const nobody = { network_id: network['id'], mac_address: '00:00:00:00:00:00' };
  const made = send('POST', '/v2.0/ports', { port: nobody });
  assert.match(await refused(made, 400, 'HTTPBadRequest'), /^Invalid input for mac_address\. Reason: /);
});

test('every answer names its request, whatever comes of it', async (t) => {
  const { server } = await startHarness(t);
  for (const url of ['/v2.0/networks', '/v2.0/networks/none', '/nothing']) {
    const { headers } = await server.app.inject({ url });
    assert.match(String(headers['x-openstack-request-id']), /^req-[0-9a-f-]{36}$/);
  }
});

test('what is not there is said in the words of each part of Neutron', async (t) => {
  const { send } = await startHarness(t);
  const nobody = '11111111-1111-4111-8111-111111111111';
  for (const [path, type, message] of [
    ['routers', 'RouterNotFound', `Router ${nobody} could not be found`],
    ['networks', 'NetworkNotFound', `Network ${nobody} could not be found.`],
    ['security-groups', 'SecurityGroupNotFound', `Security group ${nobody} does not exist`],
    ['qos/policies', 'QosPolicyNotFound', `QoS policy ${nobody} could not be found.`],
  ])
    assert.equal(await refused(send('GET', `/v2.0/${path}/${nobody}`), 404, type ?? ''), message);
});

test('what a router and a floating IP have of ports counts, and is not refused for the quota of ports', async (t) => {
  const { create, send, server } = await startHarness(t);
  const outside = await create('network', { 'router:external': true });
  await create('subnet', { network_id: outside['id'], cidr: '172.24.4.0/24', ip_version: 4 });
  const network = await create('network', {}, OWNER);
  const subnet = await create('subnet', { network_id: network['id'], cidr: '10.0.0.0/24', ip_version: 4 }, OWNER);
  const router = await create('router', {}, OWNER);
  await send('PUT', '/v2.0/quotas/owner', { quota: { port: 1 } });
  await create('port', { network_id: network['id'] }, OWNER);
  const port = { network_id: network['id'] };
  await refused(send('POST', '/v2.0/ports', { port }, OWNER), 409, 'OverQuota');
  const path = `/v2.0/routers/${router['id']}/add_router_interface`;
  assert.equal((await send('PUT', path, { subnet_id: subnet['id'] }, OWNER)).status, 200);
  await create('floatingip', { floating_network_id: outside['id'] }, OWNER);
  const { body } = await send('GET', '/v2.0/quotas/owner/details.json');
  assert.deepEqual(body['quota']?.['port'], { limit: 1, used: 2, reserved: 0 });
  await assertInvariants(server);
});

test('what is of another version of IP than its subnet is named as by Neutron', async (t) => {
  const { create, send } = await startHarness(t);
  const network = await create('network', {});
  const post = (more: object): ReturnType<typeof send> =>
    send('POST', '/v2.0/subnets', {
      subnet: { network_id: network['id'], cidr: '10.0.0.0/24', ip_version: 4, ...more },
    });
  const server = refused(post({ dns_nameservers: ['2001:db8::53'] }), 400, 'InvalidInput');
  assert.match(await server, /dns_nameserver '2001:db8::53' does not match the ip_version '4'\.$/);
  const pool = { start: 'fd00::1', end: 'fd00::2' };
  const pools = refused(post({ allocation_pools: [pool] }), 400, 'InvalidAllocationPool');
  assert.equal(await pools, 'The allocation pool fd00::1-fd00::2 is not valid.');
  await create('subnet', { network_id: network['id'], cidr: '10.0.0.0/24', ip_version: 4 });
  const both = refused(post({ cidr: '10.0.0.128/25' }), 400, 'InvalidInput');
  assert.match(await both, /cidr: 10\.0\.0\.128\/25 for network: \S+ overlaps with another subnet\.$/);
});

test('a tag that a trunk has, and a sub-port that it has not, are told with the trunk', async (t) => {
  const { create, send } = await startHarness(t);
  const port = async (): Promise<unknown> =>
    (await create('port', { network_id: (await create('network', {}))['id'] }))['id'];
  const [parent, one, two] = [await port(), await port(), await port()];
  const sub = (port_id: unknown): object => ({ port_id, segmentation_type: 'vlan', segmentation_id: 7 });
  const { id } = await create('trunk', { port_id: parent, sub_ports: [sub(one)] });
  const change = (action: string, sub_ports: readonly object[]): ReturnType<typeof send> =>
    send('PUT', `/v2.0/trunks/${id}/${action}`, { sub_ports });
  const taken = await refused(change('add_subports', [sub(two)]), 409, 'DuplicateSubPort');
  assert.equal(taken, `segmentation_type vlan and segmentation_id 7 already in use on trunk ${id}.`);
  const gone = await refused(change('remove_subports', [{ port_id: two }]), 404, 'SubPortNotFound');
  assert.equal(gone, `SubPort ${two} on trunk ${id} could not be found.`);
});
