/** What Tempest sends, and a stock neutron-server answers: one case for each difference that was found by running it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertInvariants, refused, startHarness } from '../testing/harness.ts';

const OWNER = { 'x-project-id': 'owner', 'x-roles': 'member' };
const ANN = { 'x-project-id': 'ann', 'x-roles': 'member' };

test('a router’s leg takes another address of its subnet, and no other subnet', async (t) => {
  const { create, send, server } = await startHarness(t);
  const network = await create('network', {});
  const on = (cidr: string) => create('subnet', { network_id: network['id'], cidr, ip_version: 4 });
  const [subnet, other] = [await on('10.0.0.0/24'), await on('10.0.1.0/24')];
  const router = await create('router', {});
  const path = `/v2.0/routers/${router['id']}`;
  const added = await send('PUT', `${path}/add_router_interface`, { subnet_id: subnet['id'] });
  const leg = `/v2.0/ports/${added.body['port_id']}`;
  const move = (fixed: object): ReturnType<typeof send> => send('PUT', leg, { port: { fixed_ips: [fixed] } });
  const same = await move({ subnet_id: subnet['id'] });
  assert.equal(same.body['port']?.['fixed_ips']?.[0]?.['ip_address'], '10.0.0.1');
  const moved = await move({ subnet_id: subnet['id'], ip_address: '10.0.0.9' });
  assert.equal(moved.body['port']?.['fixed_ips']?.[0]?.['ip_address'], '10.0.0.9');
  await assertInvariants(server);
  // Nobody is at the gateway, so there may be none.
  const lead = (gateway: string | null) =>
    send('PUT', `/v2.0/subnets/${subnet['id']}`, { subnet: { gateway_ip: gateway } });
  assert.equal((await lead(null)).status, 200);
  assert.equal((await lead('10.0.0.1')).status, 200);
  const back = await move({ ip_address: '10.0.0.1' });
  assert.equal(back.status, 200, JSON.stringify(back.body));
  await refused(lead(null), 409, 'GatewayIpInUse');
  const routes = [{ destination: '10.9.0.0/16', nexthop: '10.0.0.7' }];
  assert.equal((await send('PUT', path, { router: { routes } })).status, 200);
  await refused(move({ subnet_id: subnet['id'], ip_address: '10.0.0.7' }), 400, 'InvalidRoutes');
  await refused(move({ subnet_id: other['id'] }), 409, 'ServicePortInUse');
  await refused(send('PUT', leg, { port: { fixed_ips: [] } }), 409, 'ServicePortInUse');
  await assertInvariants(server);
});

test('a collection may be written with underscores', async (t) => {
  const { send } = await startHarness(t);
  assert.equal((await send('GET', '/v2.0/floatingip-pools')).status, 200);
  assert.equal((await send('GET', '/v2.0/security_groups?limit=1')).status, 200);
  assert.equal((await send('GET', '/v2.0/no_such_things')).status, 404);
});

test('a tag is put whatever the body is, and QoS policies have their tags at Neutron’s place, too', async (t) => {
  const { create, send } = await startHarness(t);
  const network = await create('network', {});
  assert.equal((await send('PUT', `/v2.0/networks/${network['id']}/tags/red`, '{}')).status, 201);
  const policy = await create('qos_policy', {});
  const path = `/v2.0/policies/${policy['id']}/tags`;
  assert.deepEqual((await send('PUT', path, { tags: ['red'] })).body, { tags: ['red'] });
  assert.deepEqual((await send('GET', `/v2.0/qos/policies/${policy['id']}/tags`)).body, { tags: ['red'] });
  assert.equal((await send('GET', `/v2.0/policies/${policy['id']}`)).status, 404);
});

test('types of QoS rules are listed by name, and shown to administrators alone', async (t) => {
  const { send } = await startHarness(t);
  const { body } = await send('GET', '/v2.0/qos/rule-types');
  assert.deepEqual(Object.keys(body['rule_types']?.[0] ?? {}), ['type']);
  const shown = await send('GET', '/v2.0/qos/rule-types/bandwidth_limit');
  assert.deepEqual(Object.keys(shown.body['rule_type'] ?? {}), ['type', 'drivers']);
  await refused(send('GET', '/v2.0/qos/rule-types/bandwidth_limit', undefined, ANN), 403, 'NotAuthorized');
});

test('a project does not take off a QoS policy that is not shared with it', async (t) => {
  const { create, send } = await startHarness(t);
  const policy = await create('qos_policy', {});
  for (const type of ['network', 'port'] as const) {
    const network = await create('network', {}, OWNER);
    const object = type === 'network' ? network : await create('port', { network_id: network['id'] }, OWNER);
    const path = `/v2.0/${type}s/${object['id']}`;
    const set = (qos_policy_id: unknown, headers?: Record<string, string>): ReturnType<typeof send> =>
      send('PUT', path, { [type]: { qos_policy_id } }, headers);
    assert.equal((await set(policy['id'])).status, 200);
    await refused(set(null, OWNER), 403, 'PolicyRemoveAuthorizationError');
    const share = { object_type: 'qos_policy', object_id: policy['id'], action: 'access_as_shared' };
    const shared = await create('rbac_policy', { ...share, target_tenant: 'owner' });
    assert.equal((await set(null, OWNER)).status, 200);
    assert.equal((await send('DELETE', `/v2.0/rbac-policies/${shared['id']}`)).status, 204);
  }
});

test('use by its own project, too, keeps a QoS policy shared with every one', async (t) => {
  const { create, send } = await startHarness(t);
  const policy = await create('qos_policy', { shared: true, project_id: 'owner' });
  const network = await create('network', { qos_policy_id: policy['id'] }, OWNER);
  const path = `/v2.0/qos/policies/${policy['id']}`;
  await refused(send('PUT', path, { policy: { shared: false } }), 409, 'RbacPolicyInUse');
  assert.equal((await send('DELETE', `/v2.0/networks/${network['id']}`)).status, 204);
  assert.equal((await send('PUT', path, { policy: { shared: false } })).status, 200);
});

test('who may not change what is shared with it is told that it is not there, where Neutron does', async (t) => {
  const { create, send } = await startHarness(t);
  const group = await create('address_group', {}, OWNER);
  const share = { object_type: 'address_group', object_id: group['id'], action: 'access_as_shared' };
  await create('rbac_policy', { ...share, target_tenant: 'ann' });
  const path = `/v2.0/address-groups/${group['id']}`;
  assert.equal((await send('GET', path, undefined, ANN)).status, 200);
  await refused(send('PUT', path, { address_group: { name: 'mine' } }, ANN), 404, 'AddressGroupNotFound');
  await refused(send('DELETE', path, undefined, ANN), 403, 'PolicyNotAuthorized');
});

test('the rule of an attribute for which Neutron has no default is asked for our default', async (t) => {
  const { send } = await startHarness(t);
  const router = (ha: unknown) => send('POST', '/v2.0/routers', { router: { ha } }, OWNER);
  await refused(router(true), 403, 'PolicyNotAuthorized');
  assert.equal((await send('POST', '/v2.0/routers', { router: {} }, OWNER)).status, 201);
});

test('sub-ports that are there twice are refused before anybody is looked for', async (t) => {
  const { send } = await startHarness(t);
  const sub_ports = ['11111111-1111-4111-8111-111111111111', '22222222-2222-4222-8222-222222222222'].map((port_id) => ({
    ...{ port_id, segmentation_id: 2, segmentation_type: 'vlan' },
  }));
  const trunk = { port_id: '33333333-3333-4333-8333-333333333333', sub_ports };
  assert.match(
    await refused(send('POST', '/v2.0/trunks', { trunk }), 400, 'HTTPBadRequest'),
    /segmentation_id '2' is given twice/,
  );
});

test('a sub-port has the tag of its network where it inherits it', async (t) => {
  const { create, send, server } = await startHarness(t);
  const on = async (segment: object): Promise<unknown> => {
    const network = await create('network', segment);
    return (await create('port', { network_id: network['id'] }))['id'];
  };
  const vlan = (id: number, physical = 'physnet1'): object => ({
    ...{ 'provider:network_type': 'vlan', 'provider:physical_network': physical, 'provider:segmentation_id': id },
  });
  const inherit = (port_id: unknown): object => ({ port_id, segmentation_type: 'inherit' });
  const [parent, one, two, same] = [await on(vlan(9)), await on(vlan(7)), await on({}), await on(vlan(7, 'physnet2'))];
  const nobody = '11111111-1111-4111-8111-111111111111';
  const trunk = await create('trunk', { port_id: parent, sub_ports: [inherit(one)] });
  assert.deepEqual(trunk['sub_ports'], [{ port_id: one, segmentation_type: 'vlan', segmentation_id: 7 }]);
  const add = (sub: object): ReturnType<typeof send> =>
    send('PUT', `/v2.0/trunks/${trunk['id']}/add_subports`, { sub_ports: [sub] });
  assert.match(await refused(add(inherit(two)), 400, 'InvalidInput'), /give segmentation_type vlan/);
  await refused(add(inherit(same)), 409, 'DuplicateSubPort');
  await refused(add({ port_id: nobody, segmentation_type: 'vlan' }), 400, 'HTTPBadRequest');
  await assertInvariants(server);
});

test('a subnet is for ports of any kind of owner', async (t) => {
  const { create } = await startHarness(t);
  const network = await create('network', {});
  const on = { network_id: network['id'], ip_version: 4 };
  for (const [cidr, type] of [
    ['10.0.0.0/24', 'test:a'],
    ['10.0.1.0/24', 'test:b'],
  ] as const) {
    await create('subnet', { ...on, cidr, service_types: [type, 'network:distributed'] });
  }
  const port = await create('port', { network_id: network['id'], device_owner: 'test:b' });
  assert.match(String(port['fixed_ips']?.[0]?.['ip_address']), /^10\.0\.1\./);
});

test('security group rules name what is wrong as Neutron does', async (t) => {
  const { create, send } = await startHarness(t);
  const group = await create('security_group', {});
  const rule = (more: object): ReturnType<typeof send> =>
    send('POST', '/v2.0/security-group-rules', {
      security_group_rule: { security_group_id: group['id'], direction: 'ingress', protocol: 'tcp', ...more },
    });
  const range = { port_range_min: -16, port_range_max: 80 };
  assert.match(await refused(rule(range), 400, 'SecurityGroupInvalidPortValue'), /Invalid value for port -16/);
  await refused(rule({ remote_group_id: 'bad_group_id' }), 404, 'SecurityGroupNotFound');
});
