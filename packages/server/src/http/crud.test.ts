import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BUILT_IN_RESOURCES, defineResource } from '@cable/model';
import {
  type Answer,
  assertInvariants,
  deleteEverything,
  type Json,
  keysLeft,
  refused,
  startHarness,
} from '../testing/harness.ts';

test('a network is created with defaults, shown, updated and deleted', async (t) => {
  const { send, create } = await startHarness(t);
  const network = await create('network', { name: 'blue' }, { 'x-project-id': 'p1' });
  assert.equal(network['mtu'], 1450);
  assert.equal(network['tenant_id'], 'p1');
  assert.equal(network['provider:network_type'], 'vxlan');
  assert.ok(Number(network['provider:segmentation_id']) >= 1);
  assert.deepEqual(network['subnets'], []);
  const path = `/v2.0/networks/${network['id']}`;
  assert.deepEqual((await send('GET', path)).body['network'], network);
  const updated = (await send('PUT', path, { network: { name: 'green', mtu: '1400' } })).body['network'] as Json;
  assert.equal(updated['name'], 'green');
  assert.equal(updated['mtu'], 1400);
  assert.equal(updated['revision_number'], Number(network['revision_number']) + 1);
  assert.equal((await send('DELETE', path)).status, 204);
  const message = await refused(send('GET', path), 404, 'NetworkNotFound');
  assert.equal(message, `Network ${network['id']} could not be found.`);
});

test('where hosts tunnel over IPv6, a tunnel takes 70 bytes of a network, and a host with an IPv4 address is refused', async (t) => {
  const { create, send } = await startHarness(t, { overlayIpVersion: 6 });
  assert.equal((await create('network', {}))['mtu'], 1430);
  const large = send('POST', '/v2.0/networks', { network: { mtu: 1431 } });
  assert.match(await refused(large, 400, 'InvalidInput'), /Requested MTU is too big, maximum is 1430/);
  const register = (underlay: string): Promise<Answer> =>
    send('PUT', '/cable/v1/hosts/h1', { underlay, agentVersion: 'test' });
  const message = await refused(register('192.0.2.1'), 409, 'UnderlayIpVersionMismatch');
  assert.match(message, /Host h1 has the underlay address 192\.0\.2\.1, but hosts of this cloud tunnel over IPv6/);
  assert.equal((await register('2001:db8::1')).status, 204);
  const { id } = await create('port', { network_id: (await create('network', {}))['id'] });
  const mirror = { port_id: id, remote_ip: '198.51.100.9', mirror_type: 'gre', directions: { IN: 1 } };
  assert.match(
    await refused(send('POST', '/v2.0/taas/tap_mirrors', { tap_mirror: mirror }), 400, 'InvalidInput'),
    /use a tap service/,
  );
});

test('where hosts tunnel over IPv4, a host with an IPv6 address is refused', async (t) => {
  const { send } = await startHarness(t);
  const register = send('PUT', '/cable/v1/hosts/h1', { underlay: '2001:db8::1', agentVersion: 'test' });
  await refused(register, 409, 'UnderlayIpVersionMismatch');
});

test('after everything is deleted the store holds nothing', async (t) => {
  const harness = await startHarness(t);
  const { send, create, store, server } = harness;
  const network = await create('network', {});
  const subnet = await create('subnet', { network_id: network['id'], cidr: '10.0.0.0/24', ip_version: 4 });
  const other = await create('subnet', { network_id: network['id'], cidr: '10.0.1.0/24', ip_version: 4 });
  const group = await create('security_group', { name: 'web' });
  await create('security_group_rule', {
    security_group_id: group['id'],
    direction: 'ingress',
    protocol: 'tcp',
    port_range_min: 80,
    port_range_max: 80,
    remote_group_id: group['id'],
  });
  const router = await create('router', { name: 'r' });
  for (const one of [subnet, other]) {
    const path = `/v2.0/routers/${router['id']}/add_router_interface`;
    assert.equal((await send('PUT', path, { subnet_id: one['id'] })).status, 200);
  }
  await create('port', { network_id: network['id'], security_groups: [group['id']], 'binding:host_id': 'h1' });
  await create('port', { network_id: network['id'] });
  await assertInvariants(server);
  await deleteEverything(harness);
  assert.deepEqual(await keysLeft(store), []);
  await assertInvariants(server);
});

test('a resource declared by data alone has every verb', async (t) => {
  const tenant = defineResource({
    name: 'gadget',
    plural: 'gadgets',
    label: 'Gadget',
    prefix: '/example/test/v1',
    path: 'gadgets',
    description: 'Declared in this test.',
    verbs: ['list', 'show', 'create', 'update', 'delete'],
    standard: true,
    stored: true,
    attributes: {
      size: { type: 'integer', write: 'both', default: 3, maximum: 10 },
      network_id: {
        type: 'uuid',
        write: 'create',
        required: true,
        reference: { type: 'network', onDelete: 'restrict' },
      },
    },
  });
  const { send, create } = await startHarness(t, { resources: [...BUILT_IN_RESOURCES, tenant] });
  const network = await create('network', {});
  const gadget = await create('gadget', { network_id: network['id'] });
  assert.equal(gadget['size'], 3);
  const path = `/example/test/v1/gadgets/${gadget['id']}`;
  await refused(send('PUT', path, { gadget: { size: 11 } }), 400, 'HTTPBadRequest');
  assert.equal(((await send('PUT', path, { gadget: { size: 4 } })).body['gadget'] as Json)['size'], 4);
  assert.equal(((await send('GET', '/example/test/v1/gadgets?size=4')).body['gadgets'] as Json).length, 1);
  await refused(send('DELETE', `/v2.0/networks/${network['id']}`), 409, 'NetworkInUse');
  assert.equal((await send('DELETE', path)).status, 204);
  assert.equal((await send('DELETE', `/v2.0/networks/${network['id']}`)).status, 204);
});

test('bulk creates all or none', async (t) => {
  const { send, create, store } = await startHarness(t);
  const network = await create('network', {});
  await create('subnet', { network_id: network['id'], cidr: '10.0.0.0/24', ip_version: 4 });
  const ports = (count: number): object[] => Array.from({ length: count }, () => ({ network_id: network['id'] }));
  const answer = await send('POST', '/v2.0/ports', { ports: ports(100) });
  assert.equal(answer.status, 201);
  const addresses = (answer.body['ports'] as Json).map((port: Json) => port['fixed_ips']?.[0]?.['ip_address']);
  assert.equal(new Set(addresses).size, 100);
  const before = await keysLeft(store);
  const late = { network_id: network['id'], fixed_ips: [{ ip_address: addresses[7] }] };
  await refused(send('POST', '/v2.0/ports', { ports: [...ports(5), late] }), 409, 'IpAddressAlreadyAllocated');
  await refused(send('POST', '/v2.0/ports', { ports: [...ports(90), late] }), 409, 'IpAddressAlreadyAllocated');
  await refused(send('POST', '/v2.0/ports', { ports: ports(160) }), 409, 'IpAddressGenerationFailure');
  assert.deepEqual(await keysLeft(store), before);
  const twice = { network_id: network['id'], fixed_ips: [{ ip_address: '10.0.0.250' }] };
  await refused(send('POST', '/v2.0/ports', { ports: [twice, twice] }), 409, 'IpAddressAlreadyAllocated');
  assert.deepEqual(await keysLeft(store), before);
});

test('If-Match refuses a change of an object that has moved on', async (t) => {
  const { send, create } = await startHarness(t);
  const network = await create('network', {});
  const path = `/v2.0/networks/${network['id']}`;
  const match = { 'if-match': `revision_number=${network['revision_number']}` };
  assert.equal((await send('PUT', path, { network: { name: 'a' } }, match)).status, 200);
  await refused(send('PUT', path, { network: { name: 'b' } }, match), 412, 'RevisionNumberConstraintFailed');
  await refused(send('DELETE', path, undefined, match), 412, 'RevisionNumberConstraintFailed');
});

test('If-Match holds for actions on an object, its interfaces, tags and parts', async (t) => {
  const { send, create, server } = await startHarness(t);
  const network = await create('network', {});
  const subnet = await create('subnet', { network_id: network['id'], ip_version: 4, cidr: '10.0.0.0/24' });
  const router = await create('router', {});
  const path = `/v2.0/routers/${router['id']}`;
  const revision = async (): Promise<number> => Number((await send('GET', path)).body['router']?.['revision_number']);
  const actions: readonly (readonly [method: string, path: string, body: object | undefined])[] = [
    ['PUT', 'add_router_interface', { subnet_id: subnet['id'] }],
    ['PUT', 'add_extraroutes', { router: { routes: [{ destination: '192.0.2.0/24', nexthop: '10.0.0.9' }] } }],
    ['PUT', 'tags/one', undefined],
    ['PUT', 'tags', { tags: ['two'] }],
    ['DELETE', 'tags/two', undefined],
    ['PUT', 'remove_extraroutes', { router: { routes: [{ destination: '192.0.2.0/24', nexthop: '10.0.0.9' }] } }],
    ['PUT', 'remove_router_interface', { subnet_id: subnet['id'] }],
  ];
  for (const [method, action, body] of actions) {
    const now = await revision();
    const asked = (number: number) =>
      send(method, `${path}/${action}`, body, { 'if-match': `revision_number=${number}` });
    for (const other of [now - 1, now + 1]) await refused(asked(other), 412, 'RevisionNumberConstraintFailed');
    assert.equal(await revision(), now, `${action} has done nothing`);
    const { status } = await asked(now);
    assert.ok(status < 300, `${action}: ${status}`);
  }
  // Of who may not see it, it is not said what it is.
  const stranger = { 'x-project-id': 'other', 'x-roles': 'member', 'if-match': 'revision_number=99' };
  await refused(
    send('PUT', `${path}/add_router_interface`, { subnet_id: subnet['id'] }, stranger),
    404,
    'RouterNotFound',
  );
  await assertInvariants(server);
});
