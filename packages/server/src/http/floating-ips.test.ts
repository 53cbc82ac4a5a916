import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { assertInvariants, type Harness, type Json, refused, startHarness } from '../testing/harness.ts';
import { MEMBER, outsideWorld } from '../testing/outside.ts';

/** Requests about floating IPs, as the project. */
function floating({ send }: Harness) {
  const post = (attributes: object, headers = MEMBER) =>
    send('POST', '/v2.0/floatingips', { floatingip: attributes }, headers);
  const put = (id: unknown, attributes: object, headers = MEMBER) =>
    send('PUT', `/v2.0/floatingips/${id}`, { floatingip: attributes }, headers);
  const show = async (id: unknown): Promise<Json> =>
    (await send('GET', `/v2.0/floatingips/${id}`, undefined, MEMBER)).body['floatingip'] as Json;
  return { post, put, show };
}

const leadsTo = (one: Json | undefined): readonly unknown[] => [
  one?.['port_id'],
  one?.['fixed_ip_address'],
  one?.['router_id'],
];

const NOWHERE = [null, null, null];

test('a floating IP is taken, leads to a port, to another one, to none, and is given back', async (t) => {
  const harness = await startHarness(t);
  const { send, server } = harness;
  const { external, router, inside, portIn } = await outsideWorld(harness);
  const { network } = await inside('10.0.0.0/24');
  const { post, put, show } = floating(harness);
  const made = (await post({ floating_network_id: external['id'] })).body['floatingip'];
  assert.deepEqual(
    [made?.['floating_ip_address'], made?.['status'], made?.['project_id'], made?.['port_details']],
    ['203.0.113.11', 'DOWN', 'p1', null],
  );
  assert.deepEqual(leadsTo(made), NOWHERE);
  const [own] = (await send('GET', `/v2.0/ports?device_id=${made?.['id']}`)).body['ports'] ?? [];
  assert.deepEqual(
    [own?.['device_owner'], own?.['fixed_ips']?.[0]?.['ip_address'], own?.['network_id']],
    ['network:floatingip', '203.0.113.11', external['id']],
  );
  await refused(send('DELETE', `/v2.0/ports/${own?.['id']}`), 409, 'ServicePortInUse');
  await assertInvariants(server);

  const one = await portIn(network, { name: 'one' });
  const address = (port: Json): unknown => port['fixed_ips']?.[0]?.['ip_address'];
  const led = (await put(made?.['id'], { port_id: one['id'] })).body['floatingip'];
  assert.deepEqual(leadsTo(led), [one['id'], address(one), router['id']]);
  assert.deepEqual([led?.['status'], led?.['port_details']?.['name']], ['ACTIVE', 'one']);
  await assertInvariants(server);
  const found = async (query: string) => (await send('GET', `/v2.0/floatingips?${query}`)).body['floatingips']?.length;
  assert.deepEqual([await found(`port_id=${one['id']}`), await found('status=DOWN')], [1, 0]);

  const two = await portIn(network);
  const moved = (await put(made?.['id'], { port_id: two['id'] })).body['floatingip'];
  assert.deepEqual(leadsTo(moved), [two['id'], address(two), router['id']]);
  await assertInvariants(server);
  await put(made?.['id'], { description: 'of the shop' });
  assert.deepEqual(leadsTo(await show(made?.['id'])), leadsTo(moved), 'another change lets it be');
  assert.deepEqual(leadsTo((await put(made?.['id'], {})).body['floatingip']), NOWHERE, 'an update that says nothing');
  await put(made?.['id'], { port_id: one['id'] });
  assert.equal((await send('DELETE', `/v2.0/ports/${one['id']}`, undefined, MEMBER)).status, 204);
  assert.deepEqual(leadsTo(await show(made?.['id'])), NOWHERE, 'the port has gone');
  await assertInvariants(server);
  assert.equal((await send('DELETE', `/v2.0/floatingips/${made?.['id']}`, undefined, MEMBER)).status, 204);
  assert.deepEqual((await send('GET', `/v2.0/ports?device_id=${made?.['id']}`)).body['ports'], []);
  await assertInvariants(server);
});

test('many that are taken and led through one router at once are all there, then all lead elsewhere', async (t) => {
  const harness = await startHarness(t);
  const { external, inside, portIn } = await outsideWorld(harness);
  const { network } = await inside('10.0.0.0/24');
  const [outer] = (await harness.send('GET', `/v2.0/subnets?network_id=${external['id']}`)).body['subnets'] ?? [];
  const pools = { allocation_pools: [{ start: '203.0.113.10', end: '203.0.113.200' }] };
  assert.equal((await harness.send('PUT', `/v2.0/subnets/${outer?.['id']}`, { subnet: pools })).status, 200);
  const { post, put } = floating(harness);
  const ports: Json[] = [];
  for (let n = 0; n < 128; n += 1) ports.push(await portIn(network));
  const half = ports.length / 2;
  const made = await Promise.all(
    ports.slice(0, half).map(({ id }) => post({ floating_network_id: external['id'], port_id: id })),
  );
  assert.deepEqual(new Set(made.map(({ status }) => status)), new Set([201]));
  const led = await Promise.all(
    made.map(({ body }, n) => put(body['floatingip']?.['id'], { port_id: ports[half + n]?.['id'] })),
  );
  assert.deepEqual(new Set(led.map(({ status }) => status)), new Set([200]));
  await assertInvariants(harness.server);
});

test('an admin chooses the address, everybody the subnet', async (t) => {
  const harness = await startHarness(t);
  const { create } = harness;
  const { external } = await outsideWorld(harness);
  const second = await create('subnet', { network_id: external['id'], cidr: '198.51.100.0/24', ip_version: 4 });
  const { post } = floating(harness);
  const given = { floating_network_id: external['id'] };
  await refused(post({ ...given, floating_ip_address: '203.0.113.15' }), 403, 'PolicyNotAuthorized');
  const made = await create('floatingip', { ...given, floating_ip_address: '203.0.113.200' });
  assert.equal(made['floating_ip_address'], '203.0.113.200', 'outside of the pool');
  await refused(
    post({ ...given, floating_ip_address: '203.0.113.200' }, {} as never),
    409,
    'IpAddressAlreadyAllocated',
  );
  await refused(post({ ...given, floating_ip_address: '192.0.2.1' }, {} as never), 400, 'InvalidIpForNetwork');
  await refused(post({ ...given, floating_ip_address: '2001:db8::1' }, {} as never), 400, 'InvalidIpForNetwork');
  const there = await post({ ...given, subnet_id: second['id'] });
  assert.equal(there.body['floatingip']?.['floating_ip_address'], '198.51.100.2');
  await refused(post({ ...given, subnet_id: randomUUID() }), 404, 'SubnetNotFound');
});

test('what cannot be is refused, and says why', async (t) => {
  const harness = await startHarness(t);
  const { send, create, server } = harness;
  const { external, inside, portIn } = await outsideWorld(harness);
  const { network } = await inside('10.0.0.0/24');
  const { post, put } = floating(harness);
  const given = { floating_network_id: external['id'] };
  assert.match(
    await refused(post({ floating_network_id: network['id'] }), 400, 'BadRequest'),
    /is not a valid external network/,
  );
  await refused(post({ floating_network_id: randomUUID() }), 404, 'NetworkNotFound');
  await refused(post({}), 400, 'HTTPBadRequest');
  const one = await portIn(network);
  const made = (await post({ ...given, port_id: one['id'] })).body['floatingip'];
  assert.match(
    await refused(post({ ...given, port_id: one['id'] }), 409, 'FloatingIPPortAlreadyAssociated'),
    /already has a floating IP on external network/,
  );
  assert.match(await refused(post({ ...given, fixed_ip_address: '10.0.0.2' }), 400, 'BadRequest'), /without a port_id/);
  await refused(post({ ...given, port_id: randomUUID() }), 404, 'PortNotFound');
  await refused(put(made?.['id'], { fixed_ip_address: '10.0.0.99' }), 400, 'BadRequest');

  const apart = await create('network', {}, MEMBER);
  await create('subnet', { network_id: apart['id'], cidr: '10.8.0.0/24', ip_version: 4 }, MEMBER);
  const lone = await portIn(apart);
  assert.match(
    await refused(post({ ...given, port_id: lone['id'] }), 404, 'ExternalGatewayForFloatingIPNotFound'),
    /is not reachable from subnet/,
  );
  const bare = await portIn(network, { fixed_ips: [] });
  assert.match(await refused(post({ ...given, port_id: bare['id'] }), 400, 'BadRequest'), /no fixed IPv4/);
  const single = await portIn(network);
  const inSubnet = { subnet_id: single['fixed_ips']?.[0]?.['subnet_id'] };
  const double = await portIn(network, { fixed_ips: [inSubnet, inSubnet] });
  assert.match(await refused(post({ ...given, port_id: double['id'] }), 400, 'BadRequest'), /multiple fixed IPv4/);
  const fixed = double['fixed_ips']?.[1]?.['ip_address'];
  const chosen = await post({ ...given, port_id: double['id'], fixed_ip_address: fixed });
  assert.equal(chosen.body['floatingip']?.['fixed_ip_address'], fixed);
  const legs = await send('GET', '/v2.0/ports?device_owner=network:router_interface', undefined, MEMBER);
  const leg = legs.body['ports']?.[0]?.['id'];
  await refused(post({ ...given, port_id: leg }), 400, 'BadRequest');
  const foreign = await create('port', { network_id: network['id'] }, { 'x-project-id': 'p2' });
  assert.match(
    await refused(post({ ...given, port_id: foreign['id'] }), 400, 'BadRequest'),
    /associated with a different tenant/,
    'the network’s owner sees the port and yet it is another’s',
  );
  await assertInvariants(server);
});

test('what a floating IP leads through stays', async (t) => {
  const harness = await startHarness(t);
  const { send, server } = harness;
  const { external, router, inside, portIn } = await outsideWorld(harness);
  const { network, subnet } = await inside('10.0.0.0/24');
  const port = await portIn(network);
  const { post, put, show } = floating(harness);
  const made = (await post({ floating_network_id: external['id'], port_id: port['id'] })).body['floatingip'];
  const path = `/v2.0/routers/${router['id']}`;
  const detach = () => send('PUT', `${path}/remove_router_interface`, { subnet_id: subnet['id'] });
  const close = () => send('PUT', path, { router: { external_gateway_info: null } });
  await refused(detach(), 409, 'RouterInterfaceInUseByFloatingIP');
  await refused(close(), 409, 'RouterExternalGatewayInUseByFloatingIp');
  await refused(send('DELETE', path), 409, 'RouterInUse');
  await refused(send('DELETE', `/v2.0/networks/${external['id']}`), 409, 'NetworkInUse');
  const update = { port: { fixed_ips: [{ ip_address: '10.0.0.77' }] } };
  assert.equal((await send('PUT', `/v2.0/ports/${port['id']}`, update)).status, 200);
  assert.deepEqual(leadsTo(await show(made?.['id'])), NOWHERE, 'the address has gone from the port');
  await put(made?.['id'], { port_id: port['id'] });
  assert.deepEqual((await show(made?.['id']))['fixed_ip_address'], '10.0.0.77');
  await put(made?.['id'], { port_id: null });
  assert.equal((await detach()).status, 200);
  assert.equal((await close()).status, 200);
  await assertInvariants(server);
  const gone = send('DELETE', `/v2.0/networks/${external['id']}`);
  assert.equal((await gone).status, 204, 'a floating IP that leads nowhere goes with its network');
  assert.deepEqual((await send('GET', '/v2.0/floatingips')).body['floatingips'], []);
  await assertInvariants(server);
});

test('rules hold whoever writes at once', async (t) => {
  const harness = await startHarness(t);
  const { send, server } = harness;
  const { external, router, inside, portIn } = await outsideWorld(harness);
  const { network, subnet } = await inside('10.0.0.0/24');
  const { post, put } = floating(harness);
  const given = { floating_network_id: external['id'] };
  for (let round = 0; round < 4; round += 1) {
    const port = await portIn(network);
    const both = [await post(given), await post(given)].map(({ body }) => body['floatingip']?.['id']);
    const answers = await Promise.all(both.map((id) => put(id, { port_id: port['id'] })));
    assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 409], 'one address has one floating IP');
    const [kept, free] = answers[0]?.status === 200 ? both : [both[1], both[0]];
    const other = await portIn(network);
    await Promise.all([put(free, { port_id: other['id'] }), send('DELETE', `/v2.0/ports/${other['id']}`)]);
    await assertInvariants(server);
    for (const id of [kept, free]) assert.equal((await send('DELETE', `/v2.0/floatingips/${id}`)).status, 204);
    const last = await portIn(network);
    const one = (await post(given)).body['floatingip']?.['id'];
    const path = `/v2.0/routers/${router['id']}`;
    const [led, removed] = await Promise.all([
      put(one, { port_id: last['id'] }),
      send('PUT', `${path}/remove_router_interface`, { subnet_id: subnet['id'] }),
    ]);
    assert.ok((led.status === 200) !== (removed.status === 200), `${led.status} ${removed.status}`);
    await assertInvariants(server);
    await put(one, { port_id: null });
    if (removed.status === 200) await send('PUT', `${path}/add_router_interface`, { subnet_id: subnet['id'] });
    await send('DELETE', `/v2.0/floatingips/${one}`);
  }
});

test('an address outside that is none of the network, or of IPv6, is refused in Neutron’s words', async (t) => {
  const harness = await startHarness(t);
  const { external } = await outsideWorld(harness);
  const six = await harness.create('subnet', { network_id: external['id'], cidr: 'fd07::/64', ip_version: 6 });
  const { post } = floating(harness);
  const asAdmin = (more: object) =>
    harness.send('POST', '/v2.0/floatingips', { floatingip: { floating_network_id: external['id'], ...more } });
  await refused(asAdmin({ floating_ip_address: 'fd00::5' }), 400, 'InvalidIpForNetwork');
  await refused(asAdmin({ floating_ip_address: 'fd07::5' }), 400, 'ExternalIpAddressExhausted');
  await refused(post({ floating_network_id: external['id'], subnet_id: six['id'] }), 400, 'ExternalIpAddressExhausted');
});

test('addresses run out, and a project has a quota of floating IPs', async (t) => {
  const harness = await startHarness(t);
  const { send, server } = harness;
  const { external } = await outsideWorld(harness);
  const { post } = floating(harness);
  const given = { floating_network_id: external['id'] };
  assert.equal((await send('PUT', '/v2.0/quotas/p1', { quota: { floatingip: 2 } })).status, 200);
  assert.deepEqual([(await post(given)).status, (await post(given)).status], [201, 201]);
  await refused(post(given), 409, 'OverQuota');
  await send('PUT', '/v2.0/quotas/p1', { quota: { floatingip: -1 } });
  for (let taken = 3; taken < 10; taken += 1) assert.equal((await post(given)).status, 201);
  assert.match(await refused(post(given), 400, 'ExternalIpAddressExhausted'), /Unable to find any IP address/);
  await assertInvariants(server);
});
