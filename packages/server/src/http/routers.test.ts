import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { assertInvariants, type Harness, type Json, refused, startHarness } from '../testing/harness.ts';

async function subnetOf({ create }: Harness, cidr: string, more: object = {}): Promise<Json> {
  const network = await create('network', {});
  return create('subnet', { network_id: network['id'], cidr, ip_version: 4, ...more });
}

test('an interface is added and removed by subnet', async (t) => {
  const harness = await startHarness(t);
  const { send, create, server } = harness;
  const router = await create('router', { name: 'r' }, { 'x-project-id': 'p1' });
  const subnet = await subnetOf(harness, '10.0.0.0/24');
  const path = `/v2.0/routers/${router['id']}`;
  const added = await send('PUT', `${path}/add_router_interface`, { subnet_id: subnet['id'] });
  assert.equal(added.status, 200);
  const { port_id: portId, ...rest } = added.body;
  assert.deepEqual(rest, {
    id: router['id'],
    tenant_id: 'p1',
    project_id: 'p1',
    network_id: subnet['network_id'],
    subnet_id: subnet['id'],
    subnet_ids: [subnet['id']],
  });
  const port = (await send('GET', `/v2.0/ports/${portId}`)).body['port'];
  assert.deepEqual(port?.['fixed_ips'], [{ subnet_id: subnet['id'], ip_address: '10.0.0.1' }]);
  assert.equal(port?.['device_owner'], 'network:router_interface');
  assert.equal(port?.['device_id'], router['id']);
  await refused(send('DELETE', path), 409, 'RouterInUse');
  await refused(send('DELETE', `/v2.0/ports/${portId}`), 409, 'ServicePortInUse');
  await refused(send('PUT', `/v2.0/ports/${portId}`, { port: { device_id: 'x' } }), 409, 'ServicePortInUse');
  await refused(
    send('PUT', `/v2.0/subnets/${subnet['id']}`, { subnet: { gateway_ip: '10.0.0.9' } }),
    409,
    'GatewayIpInUse',
  );
  await refused(send('PUT', `${path}/add_router_interface`, { subnet_id: subnet['id'] }), 400, 'BadRequest');
  await assertInvariants(server);
  const removed = await send('PUT', `${path}/remove_router_interface`, { subnet_id: subnet['id'] });
  assert.deepEqual(removed.body, added.body);
  await refused(send('GET', `/v2.0/ports/${portId}`), 404, 'PortNotFound');
  await refused(
    send('PUT', `${path}/remove_router_interface`, { subnet_id: subnet['id'] }),
    404,
    'RouterInterfaceNotFoundForSubnet',
  );
  assert.equal((await send('DELETE', path)).status, 204);
});

test('a router has no leg at a gateway outside of the subnet, but may have one by a port', async (t) => {
  const harness = await startHarness(t);
  const { send, create } = harness;
  const router = await create('router', {});
  const subnet = await subnetOf(harness, '10.0.0.0/24', { gateway_ip: '192.0.2.1' });
  const add = (body: object): ReturnType<typeof send> =>
    send('PUT', `/v2.0/routers/${router['id']}/add_router_interface`, body);
  await refused(add({ subnet_id: subnet['id'] }), 400, 'InvalidIpForSubnet');
  const port = await create('port', { network_id: subnet['network_id'], fixed_ips: [{ subnet_id: subnet['id'] }] });
  assert.equal((await add({ port_id: port['id'] })).status, 200);
});

test('an interface that is removed and added again has the MAC address that it had, unless somebody took it', async (t) => {
  const harness = await startHarness(t);
  const { send, create } = harness;
  const subnet = await subnetOf(harness, '10.0.0.0/24');
  const routers = [await create('router', {}), await create('router', {})];
  const add = async (router: Json | undefined): Promise<unknown> => {
    const path = `/v2.0/routers/${router?.['id']}`;
    const added = await send('PUT', `${path}/add_router_interface`, { subnet_id: subnet['id'] });
    assert.equal(added.status, 200);
    const port = (await send('GET', `/v2.0/ports/${added.body['port_id']}`)).body['port'];
    assert.equal((await send('PUT', `${path}/remove_router_interface`, { subnet_id: subnet['id'] })).status, 200);
    return port?.['mac_address'];
  };
  const [first, other] = [await add(routers[0]), await add(routers[1])];
  assert.match(String(first), /^fa:16:3e:/);
  assert.notEqual(first, other);
  assert.equal(await add(routers[0]), first);
  await create('port', { network_id: subnet['network_id'], mac_address: first });
  const another = await add(routers[0]);
  assert.notEqual(another, first);
  assert.match(String(another), /^fa:16:3e:/);
});

test('a free port becomes an interface', async (t) => {
  const harness = await startHarness(t);
  const { send, create } = harness;
  const router = await create('router', {});
  const subnet = await subnetOf(harness, '10.0.0.0/24');
  const port = await create('port', { network_id: subnet['network_id'], fixed_ips: [{ ip_address: '10.0.0.50' }] });
  const used = await create('port', { network_id: subnet['network_id'], device_id: 'vm' });
  const path = `/v2.0/routers/${router['id']}`;
  await refused(send('PUT', `${path}/add_router_interface`, { port_id: used['id'] }), 409, 'PortInUse');
  assert.equal((await send('PUT', `${path}/add_router_interface`, { port_id: port['id'] })).status, 200);
  const shown = (await send('GET', `/v2.0/ports/${port['id']}`)).body['port'];
  assert.deepEqual(shown?.['security_groups'], []);
  await refused(
    send('PUT', `${path}/remove_router_interface`, { port_id: used['id'] }),
    404,
    'RouterInterfaceNotFound',
  );
  assert.equal((await send('PUT', `${path}/remove_router_interface`, { port_id: port['id'] })).status, 200);
});

test('bad interface requests are refused', async (t) => {
  const harness = await startHarness(t);
  const { send, create } = harness;
  const router = await create('router', {});
  const path = `/v2.0/routers/${router['id']}/add_router_interface`;
  await refused(send('PUT', path, {}), 400, 'BadRequest');
  await refused(send('PUT', path, { subnet_id: randomUUID(), port_id: randomUUID() }), 400, 'BadRequest');
  await refused(send('PUT', path, { subnet_id: randomUUID() }), 404, 'SubnetNotFound');
  await refused(send('PUT', path, { colour: 1 }), 400, 'BadRequest');
  await refused(
    send('PUT', `/v2.0/routers/${randomUUID()}/add_router_interface`, { subnet_id: randomUUID() }),
    404,
    'RouterNotFound',
  );
  const bare = await subnetOf(harness, '10.1.0.0/24', { gateway_ip: null });
  await refused(send('PUT', path, { subnet_id: bare['id'] }), 400, 'BadRequest');
  const taken = await subnetOf(harness, '10.2.0.0/24');
  await create('port', { network_id: taken['network_id'], fixed_ips: [{ ip_address: '10.2.0.1' }] });
  await refused(send('PUT', path, { subnet_id: taken['id'] }), 409, 'IpAddressAlreadyAllocated');
});

test('an interface is removed by its port and a subnet of it, and by nothing else', async (t) => {
  const harness = await startHarness(t);
  const { send, create } = harness;
  const router = await create('router', {});
  const path = `/v2.0/routers/${router['id']}`;
  const [one, two] = [await subnetOf(harness, '10.1.0.0/24'), await subnetOf(harness, '10.2.0.0/24')];
  const added = await send('PUT', `${path}/add_router_interface`, { subnet_id: one['id'] });
  const port_id = added.body['port_id'];
  await send('PUT', `${path}/add_router_interface`, { subnet_id: two['id'] });
  const remove = (target: object) => send('PUT', `${path}/remove_router_interface`, target);
  const message = await refused(remove({ port_id, subnet_id: two['id'] }), 400, 'SubnetMismatchForPort');
  assert.match(message, /does not match the requested subnet/);
  await refused(remove({ port_id: randomUUID(), subnet_id: one['id'] }), 404, 'RouterInterfaceNotFound');
  await refused(remove({ subnet_id: randomUUID() }), 404, 'SubnetNotFound');
  const other = await subnetOf(harness, '10.3.0.0/24');
  await refused(remove({ subnet_id: other['id'] }), 404, 'RouterInterfaceNotFoundForSubnet');
  await refused(remove({}), 400, 'BadRequest');
  assert.equal((await remove({ port_id, subnet_id: one['id'] })).status, 200);
  await refused(remove({ port_id }), 404, 'RouterInterfaceNotFound');
});

test('of two overlapping subnets added at once, one is refused', async (t) => {
  const harness = await startHarness(t);
  const { send, create, server } = harness;
  const router = await create('router', {});
  const subnets = [await subnetOf(harness, '10.0.0.0/16'), await subnetOf(harness, '10.0.5.0/24')];
  const path = `/v2.0/routers/${router['id']}/add_router_interface`;
  const answers = await Promise.all(subnets.map((subnet) => send('PUT', path, { subnet_id: subnet['id'] })));
  assert.deepEqual(answers.map((one) => one.status).sort(), [200, 400]);
  await assertInvariants(server);
});

test('extra routes lead into attached subnets and hold their interface', async (t) => {
  const harness = await startHarness(t);
  const { send, create } = harness;
  const router = await create('router', {});
  const subnet = await subnetOf(harness, '10.0.0.0/24');
  const path = `/v2.0/routers/${router['id']}`;
  const route = { destination: '10.8.0.0/16', nexthop: '10.0.0.5' };
  await refused(send('PUT', path, { router: { routes: [route] } }), 400, 'InvalidRoutes');
  await send('PUT', `${path}/add_router_interface`, { subnet_id: subnet['id'] });
  assert.deepEqual((await send('PUT', path, { router: { routes: [route] } })).body['router']?.['routes'], [route]);
  await refused(send('PUT', path, { router: { routes: [route, route] } }), 400, 'HTTPBadRequest');
  const toItself = [{ ...route, nexthop: '10.0.0.1' }];
  assert.match(
    await refused(send('PUT', path, { router: { routes: toItself } }), 400, 'InvalidRoutes'),
    /the nexthop is used by router$/,
  );
  await refused(send('PUT', `${path}/add_extraroutes`, { router: { routes: toItself } }), 400, 'InvalidRoutes');
  await refused(
    send('PUT', `${path}/remove_router_interface`, { subnet_id: subnet['id'] }),
    409,
    'RouterInterfaceInUseByRoute',
  );
});

test('extra routes are added and removed whatever others do, several to one destination too', async (t) => {
  const { send, create, server } = await startHarness(t);
  const network = await create('network', {});
  const subnet = await create('subnet', { network_id: network['id'], cidr: '10.0.0.0/24', ip_version: 4 });
  const router = await create('router', { name: 'r' });
  const path = `/v2.0/routers/${router['id']}`;
  await send('PUT', `${path}/add_router_interface`, { subnet_id: subnet['id'] });
  const route = (n: number, hop = 9) => ({ destination: `172.16.${n}.0/24`, nexthop: `10.0.0.${hop}` });
  const change = (verb: string, ...routes: object[]) =>
    send('PUT', `${path}/${verb}_extraroutes`, { router: { routes } });
  const routes = async () => (await send('GET', path)).body['router']?.['routes'] as unknown;
  const added = await change('add', route(1), route(1, 10));
  assert.equal(added.status, 200);
  assert.deepEqual([added.body['router']?.['name'], added.body['router']?.['routes']], ['r', [route(1), route(1, 10)]]);
  await change('add', route(1, 10), route(2));
  assert.deepEqual(await routes(), [route(1), route(1, 10), route(2)], 'what is there is not added again');
  const removed = await change('remove', route(1), route(7));
  assert.deepEqual(removed.body['router']?.['routes'], [route(1, 10), route(2)], 'what is not there is passed over');
  await refused(change('add', { destination: '172.16.9.0/24', nexthop: '10.9.9.9' }), 400, 'InvalidRoutes');
  await refused(change('add', { destination: '172.16.9.0/24' }), 400, 'HTTPBadRequest');
  await refused(send('PUT', `${path}/add_extraroutes`, { routes: [route(3)] }), 400, 'HTTPBadRequest');
  await refused(
    send(
      'PUT',
      `${path}/add_extraroutes`,
      { router: { routes: [route(3)] } },
      { 'x-project-id': 'p2', 'x-roles': 'member' },
    ),
    404,
    'RouterNotFound',
  );
  const all = await Promise.all(Array.from({ length: 20 }, (_, n) => change('add', route(10 + n))));
  assert.ok(all.every(({ status }) => status === 200));
  assert.equal(((await routes()) as unknown[]).length, 22, 'none is lost');
  await refused(change('add', ...Array.from({ length: 9 }, (_, n) => route(100 + n))), 400, 'RoutesExhausted');
  assert.equal(((await routes()) as unknown[]).length, 22);
  await assertInvariants(server);
});
