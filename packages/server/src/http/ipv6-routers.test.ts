/** Routers between IPv6 subnets: one port for those of a network, routes, overlaps. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Answer, assertInvariants, type Harness, type Json, refused, startHarness } from '../testing/harness.ts';

type Actions = {
  readonly id: string;
  add(body: object): Promise<Answer>;
  remove(body: object): Promise<Answer>;
  put(changes: object): Promise<Answer>;
};

async function routerOf({ create, send }: Harness): Promise<Actions> {
  const router = await create('router', {});
  const path = `/v2.0/routers/${router['id']}`;
  return {
    id: String(router['id']),
    add: (body) => send('PUT', `${path}/add_router_interface`, body),
    remove: (body) => send('PUT', `${path}/remove_router_interface`, body),
    put: (changes) => send('PUT', path, { router: changes }),
  };
}

async function addressesOf({ send }: Harness, portId: unknown): Promise<readonly string[]> {
  const port = (await send('GET', `/v2.0/ports/${portId}`)).body['port'];
  return (port?.['fixed_ips'] ?? []).map((one) => String(one['ip_address']));
}

test('IPv6 subnets of a network have one port together, an IPv4 subnet has its own', async (t) => {
  const harness = await startHarness(t);
  const { create, server } = harness;
  const router = await routerOf(harness);
  const [network, elsewhere] = [await create('network', {}), await create('network', {})];
  const subnet = (of: Json, cidr: string, more: object = {}): Promise<Json> =>
    create('subnet', { network_id: of['id'], cidr, ...more });
  const v4 = await subnet(network, '10.0.0.0/24');
  const first = await subnet(network, '2001:db8:1::/64', { ipv6_ra_mode: 'slaac', ipv6_address_mode: 'slaac' });
  const second = await subnet(network, '2001:db8:2::/64', { gateway_ip: '2001:db8:2::' });
  const other = await subnet(elsewhere, '2001:db8:3::/64');
  const legs: Answer[] = [];
  for (const one of [v4, first, second, other]) legs.push(await router.add({ subnet_id: one['id'] }));
  for (const leg of legs) assert.equal(leg.status, 200, JSON.stringify(leg.body));
  const [of4, of6, again, far] = legs.map(({ body }) => String(body['port_id']));
  assert.equal(again, of6);
  assert.equal(new Set([of4, of6, far]).size, 3);
  assert.deepEqual(await addressesOf(harness, of6), ['2001:db8:1::1', '2001:db8:2::']);
  assert.deepEqual(legs[2]?.body['subnet_ids'], [second['id']]);
  assert.equal(String(legs[2]?.body['subnet_id']), String(second['id']));
  await refused(router.add({ subnet_id: second['id'] }), 400, 'BadRequest');
  for (const one of [first, second]) {
    const change = harness.send('PUT', `/v2.0/subnets/${one['id']}`, { subnet: { gateway_ip: 'fe80::1' } });
    await refused(change, 409, 'GatewayIpInUse');
    await refused(harness.send('DELETE', `/v2.0/subnets/${one['id']}`), 409, 'SubnetInUse');
  }
  await assertInvariants(server);

  const removed = await router.remove({ subnet_id: first['id'] });
  assert.deepEqual([removed.body['port_id'], removed.body['subnet_ids']], [of6, [first['id']]]);
  assert.deepEqual(await addressesOf(harness, of6), ['2001:db8:2::']);
  await refused(router.remove({ subnet_id: first['id'] }), 404, 'RouterInterfaceNotFoundForSubnet');
  await router.add({ subnet_id: first['id'] });
  const both = await router.remove({ port_id: of6 });
  assert.deepEqual(both.body['subnet_ids'], [second['id'], first['id']]);
  await refused(harness.send('GET', `/v2.0/ports/${of6}`), 404, 'PortNotFound');
  assert.deepEqual(await addressesOf(harness, of4), ['10.0.0.1']);
  await assertInvariants(server);
});

test('a port of both versions becomes an interface, and IPv6 subnets join it', async (t) => {
  const harness = await startHarness(t);
  const { create, server } = harness;
  const router = await routerOf(harness);
  const network = await create('network', {});
  const subnet = (cidr: string, more: object = {}): Promise<Json> =>
    create('subnet', { network_id: network['id'], cidr, ...more });
  await subnet('10.0.0.0/24');
  await subnet('10.0.1.0/24');
  await subnet('2001:db8:1::/64', { ipv6_ra_mode: 'slaac' });
  const given = await subnet('2001:db8:2::/64');
  const later = await subnet('2001:db8:3::/64');
  const mac = 'fa:16:3e:00:00:01';
  const fixed = ['10.0.0.9', '2001:db8:2::9', '2001:db8:2::a'].map((ip_address) => ({ ip_address }));
  const port = await create('port', { network_id: network['id'], mac_address: mac, fixed_ips: fixed });
  const added = await router.add({ port_id: port['id'] });
  assert.equal(added.status, 200, JSON.stringify(added.body));
  assert.equal(added.body['subnet_ids']?.length, 3);
  const own = ['10.0.0.9', '2001:db8:2::9', '2001:db8:2::a', '2001:db8:1:0:f816:3eff:fe00:1'];
  assert.deepEqual(await addressesOf(harness, port['id']), own);
  const joined = await router.add({ subnet_id: later['id'] });
  assert.equal(joined.body['port_id'], port['id']);
  assert.deepEqual(await addressesOf(harness, port['id']), [...own, '2001:db8:3::1']);
  await assertInvariants(server);

  const another = await create('port', { network_id: network['id'], fixed_ips: [{ ip_address: '2001:db8:2::b' }] });
  const message = await refused(router.add({ port_id: another['id'] }), 400, 'BadRequest');
  assert.match(message, /Cannot have multiple router ports with the same network id/);
  const two = [{ ip_address: '10.0.0.20' }, { ip_address: '10.0.1.20' }];
  const wide = await create('port', { network_id: network['id'], fixed_ips: two });
  await refused((await routerOf(harness)).add({ port_id: wide['id'] }), 400, 'BadRequest');
  // A subnet goes with all addresses that the leg has in it.
  assert.equal((await router.remove({ subnet_id: given['id'] })).status, 200);
  assert.deepEqual(await addressesOf(harness, port['id']), [
    '10.0.0.9',
    '2001:db8:1:0:f816:3eff:fe00:1',
    '2001:db8:3::1',
  ]);
  await assertInvariants(server);
});

test('subnets that a router cannot have: without a gateway, with one out of it, with another router', async (t) => {
  const harness = await startHarness(t);
  const { create } = harness;
  const router = await routerOf(harness);
  const network = await create('network', {});
  const subnet = async (cidr: string, more: object): Promise<object> => ({
    subnet_id: (await create('subnet', { network_id: network['id'], cidr, ...more }))['id'],
  });
  await refused(router.add(await subnet('2001:db8:1::/64', { gateway_ip: null })), 400, 'BadRequest');
  await refused(router.add(await subnet('2001:db8:2::/64', { gateway_ip: 'fe80::1' })), 400, 'InvalidIpForSubnet');
  const foreign = await subnet('2001:db8:3::/64', { ipv6_address_mode: 'slaac' });
  assert.match(await refused(router.add(foreign), 400, 'BadRequest'), /receive RAs from an external router/);
  const port = await create('port', { network_id: network['id'], fixed_ips: [] });
  assert.equal(port['fixed_ips']?.length, 1);
  await refused(router.add({ port_id: port['id'] }), 400, 'BadRequest');
});

test('overlaps and routes are looked at by version of IP', async (t) => {
  const harness = await startHarness(t);
  const { create, server } = harness;
  const router = await routerOf(harness);
  const subnet = async (cidr: string): Promise<Json> => {
    const network = await create('network', {});
    return create('subnet', { network_id: network['id'], cidr });
  };
  const wide = await subnet('2001:db8::/32');
  for (const one of [wide, await subnet('32.1.13.0/24')]) {
    assert.equal((await router.add({ subnet_id: one['id'] })).status, 200);
  }
  const within = await subnet('2001:db8:5::/64');
  assert.match(await refused(router.add({ subnet_id: within['id'] }), 400, 'BadRequest'), /overlaps with cidr/);
  const routes = (destination: string, nexthop: string): object => ({ routes: [{ destination, nexthop }] });
  const set = await router.put(routes('FD00:0::/8', '2001:DB8::0.0.0.9'));
  assert.deepEqual(set.body['router']?.['routes'], [{ destination: 'fd00::/8', nexthop: '2001:db8::9' }]);
  await refused(router.remove({ subnet_id: wide['id'] }), 409, 'RouterInterfaceInUseByRoute');
  for (const [destination, nexthop] of [
    ['10.0.0.0/8', '2001:db8::9'],
    ['fd00::/8', '32.1.13.9'],
    ['fd00::/8', 'fe80::9'],
    ['fd00::/8', '2001:db9::9'],
  ] as const) {
    await refused(router.put(routes(destination, nexthop)), 400, 'InvalidRoutes');
  }
  for (const [destination, nexthop] of [
    ['fd00::/8', '2001:db8::9%eth0'],
    ['fd00::1/8', '2001:db8::9'],
    ['::ffff:10.0.0.0/104', '2001:db8::9'],
  ] as const) {
    await refused(router.put(routes(destination, nexthop)), 400, 'HTTPBadRequest');
  }
  assert.equal((await router.put({ routes: [] })).status, 200);
  assert.equal((await router.remove({ subnet_id: wide['id'] })).status, 200);
  await assertInvariants(server);
});

test('a subnet joins its router’s IPv6 port once, whoever asks at once', async (t) => {
  const harness = await startHarness(t);
  const { create, server } = harness;
  const router = await routerOf(harness);
  const network = await create('network', {});
  const subnets: Json[] = [];
  for (let n = 1; n <= 8; n += 1) {
    subnets.push(await create('subnet', { network_id: network['id'], cidr: `2001:db8:${n}::/64` }));
  }
  const asked = [...subnets, ...subnets].map((one) => router.add({ subnet_id: one['id'] }));
  const answers = await Promise.all(asked);
  assert.deepEqual(answers.map(({ status }) => status).sort(), [...Array(8).fill(200), ...Array(8).fill(400)]);
  const ports = new Set(answers.filter(({ status }) => status === 200).map(({ body }) => String(body['port_id'])));
  assert.equal(ports.size, 1);
  assert.equal((await addressesOf(harness, [...ports][0])).length, 8);
  await assertInvariants(server);
});
