import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { assertInvariants, type Harness, type Json, keysLeft, refused, startHarness } from '../testing/harness.ts';
import { MEMBER } from '../testing/outside.ts';

/** An external network on physnet1 with a subnet. */
async function external(
  { create }: Harness,
  cidr = '203.0.113.0/24',
  more: object = {},
  projectId = 'default',
): Promise<Json> {
  const network = await create('network', {
    project_id: projectId,
    'router:external': true,
    'provider:network_type': 'vlan',
    'provider:physical_network': 'physnet1',
    'provider:segmentation_id': 1 + Math.floor(Math.random() * 4000),
  });
  await create('subnet', { network_id: network['id'], cidr, ip_version: 4, enable_dhcp: false, ...more });
  return network;
}

async function withInside({ create, send }: Harness, router: Json, cidr: string): Promise<Json> {
  const network = await create('network', {}, MEMBER);
  const subnet = await create('subnet', { network_id: network['id'], cidr, ip_version: 4 }, MEMBER);
  const added = await send('PUT', `/v2.0/routers/${router['id']}/add_router_interface`, { subnet_id: subnet['id'] });
  assert.equal(added.status, 200, JSON.stringify(added.body));
  return subnet;
}

test('a router gets a gateway, another one, and none', async (t) => {
  const harness = await startHarness(t);
  const { send, create, server, store } = harness;
  await server.plane.register('h1', { underlay: '192.0.2.1', agentVersion: '1' });
  await server.plane.register('h2', { underlay: '192.0.2.2', agentVersion: '1', bridgeMappings: { physnet1: 'eth1' } });
  const one = await external(harness);
  const two = await external(harness, '198.51.100.0/24');
  const router = await create('router', { external_gateway_info: { network_id: one['id'] } }, MEMBER);
  const path = `/v2.0/routers/${router['id']}`;
  const info = router['external_gateway_info'];
  assert.deepEqual(
    [info?.['network_id'], info?.['enable_snat'], info?.['external_fixed_ips']?.map((ip) => ip['ip_address'])],
    [one['id'], true, ['203.0.113.2']],
  );
  const portsOf = async () => (await send('GET', `/v2.0/ports?device_id=${router['id']}`)).body['ports'] ?? [];
  const [port] = await portsOf();
  assert.deepEqual(
    [port?.['device_owner'], port?.['binding:host_id'], port?.['fixed_ips'], port?.['security_groups']],
    ['network:router_gateway', 'h2', info?.['external_fixed_ips'], []],
    'on the only host that is on the physical network',
  );
  const seen = await send('GET', `/v2.0/ports?device_id=${router['id']}`, undefined, MEMBER);
  assert.deepEqual(seen.body['ports'], [], 'the project does not see the port');
  await refused(send('DELETE', `/v2.0/ports/${port?.['id']}`), 409, 'ServicePortInUse');
  await refused(send('PUT', `/v2.0/ports/${port?.['id']}`, { port: { fixed_ips: [] } }), 409, 'ServicePortInUse');
  await refused(send('DELETE', `/v2.0/networks/${one['id']}`), 409, 'NetworkInUse');
  await assertInvariants(server);

  const put = (gateway: unknown, headers = {}) =>
    send('PUT', path, { router: { external_gateway_info: gateway } }, headers);
  const snatOff = await put({ network_id: one['id'], enable_snat: false });
  assert.equal(snatOff.body['router']?.['external_gateway_info']?.['enable_snat'], false);
  assert.deepEqual((await portsOf())[0]?.['id'], port?.['id'], 'the port stays');
  const fixed = await put({ network_id: one['id'], external_fixed_ips: [{ ip_address: '203.0.113.77' }] });
  assert.equal(fixed.body['router']?.['external_gateway_info']?.['enable_snat'], true, 'as it is by default');
  assert.deepEqual(
    (await portsOf()).map((one) => one['fixed_ips']?.[0]?.['ip_address']),
    ['203.0.113.77'],
  );
  const moved = await put({ network_id: two['id'] }, MEMBER);
  assert.equal(moved.status, 200);
  assert.deepEqual(
    (await portsOf()).map((one) => one['network_id']),
    [two['id']],
  );
  await assertInvariants(server);
  assert.equal((await send('DELETE', `/v2.0/networks/${one['id']}`)).status, 204);
  assert.equal((await put({}, MEMBER)).body['router']?.['external_gateway_info'], null);
  assert.deepEqual(await portsOf(), []);
  assert.equal((await put({ network_id: two['id'] })).status, 200);
  assert.equal((await put(null)).body['router']?.['external_gateway_info'], null);
  assert.equal((await put({ network_id: two['id'] })).status, 200);
  assert.equal((await send('DELETE', path)).status, 204, 'its gateway goes with it');
  assert.equal((await send('DELETE', `/v2.0/networks/${two['id']}`)).status, 204);
  assert.equal((await store.list('/cable/x/claim/vni/')).kvs.length, 0, 'the VNI of the transit network is free');
  assert.deepEqual(
    (await keysLeft(store)).filter((key) => /\/(port|router|network)\//.test(key)),
    [],
  );
});

test('ports of gateways and floating IPs are of no project: in nobody’s quota, and seen by the owner of their network', async (t) => {
  const harness = await startHarness(t, { quotas: { port: 2 } });
  const { send, create, server } = harness;
  const provider = { 'x-project-id': 'provider', 'x-roles': 'member' };
  const outside = await external(harness, '203.0.113.0/24', {}, 'provider');
  const gateway = { external_gateway_info: { network_id: outside['id'] } };
  for (let n = 0; n < 3; n += 1) {
    await create('router', gateway, MEMBER);
    await create('floatingip', { floating_network_id: outside['id'] }, MEMBER);
  }
  const seen = await send('GET', '/v2.0/ports', undefined, provider);
  assert.deepEqual(
    seen.body['ports']?.map((port) => [port['project_id'], port['tenant_id']]),
    Array(6).fill(['', '']),
  );
  assert.deepEqual((await send('GET', '/v2.0/ports', undefined, MEMBER)).body['ports'], []);
  assert.deepEqual((await send('GET', '/v2.0/ports?project_id=provider')).body['ports'], []);
  assert.equal((await send('GET', '/v2.0/ports?project_id=')).body['ports']?.length, 6);
  const details = await send('GET', '/v2.0/quotas/provider/details.json');
  assert.deepEqual((details.body['quota'] as Json)['port'], { limit: 2, used: 0, reserved: 0 });
  const network = await create('network', {}, provider);
  for (let n = 0; n < 2; n += 1) await create('port', { network_id: network['id'] }, provider);
  await refused(send('POST', '/v2.0/ports', { port: { network_id: network['id'] } }, provider), 409, 'OverQuota');
  await refused(
    send('POST', '/v2.0/ports', { port: { network_id: network['id'], project_id: '' } }),
    400,
    'HTTPBadRequest',
  );
  await assertInvariants(server);
});

test('who may choose what of a gateway, and which networks are seen', async (t) => {
  const harness = await startHarness(t);
  const { send, create } = harness;
  const outside = await external(harness);
  const hidden = await create('network', {});
  const post = (gateway: object, headers = MEMBER) =>
    send('POST', '/v2.0/routers', { router: { external_gateway_info: gateway } }, headers);
  assert.equal((await send('GET', `/v2.0/networks/${outside['id']}`, undefined, MEMBER)).status, 200);
  const listed = await send('GET', '/v2.0/networks?router:external=True', undefined, MEMBER);
  assert.deepEqual(
    listed.body['networks']?.map((one) => one['id']),
    [outside['id']],
  );
  await refused(
    send('GET', `/v2.0/subnets/${outside['subnets']?.[0] ?? randomUUID()}`, undefined, MEMBER),
    404,
    'SubnetNotFound',
  );
  await refused(post({ network_id: hidden['id'] }), 404, 'NetworkNotFound');
  await refused(post({ network_id: randomUUID() }), 404, 'NetworkNotFound');
  await refused(post({ network_id: outside['id'], enable_snat: false }), 403, 'PolicyNotAuthorized');
  await refused(
    post({ network_id: outside['id'], external_fixed_ips: [{ ip_address: '203.0.113.9' }] }),
    403,
    'PolicyNotAuthorized',
  );
  await refused(
    send('POST', '/v2.0/networks', { network: { 'router:external': true } }, MEMBER),
    403,
    'PolicyNotAuthorized',
  );
  await refused(
    send('POST', '/v2.0/ports', { port: { network_id: outside['id'] } }, MEMBER),
    403,
    'PolicyNotAuthorized',
  );
  await create('port', { network_id: outside['id'] });
  for (const owner of ['network:router_gateway', 'network:floatingip']) {
    const port = { network_id: outside['id'], device_owner: owner };
    await refused(send('POST', '/v2.0/ports', { port }), 400, 'BadRequest');
  }
});

test('gateways that cannot be are refused, and say why', async (t) => {
  const harness = await startHarness(t);
  const { send, create, server } = harness;
  const outside = await external(harness);
  const inside = await create('network', {});
  const router = await create('router', {});
  const path = `/v2.0/routers/${router['id']}`;
  const put = (gateway: unknown) => send('PUT', path, { router: { external_gateway_info: gateway } });
  assert.match(await refused(put({ network_id: inside['id'] }), 400, 'BadRequest'), /is not an external network/);
  assert.match(await refused(put({ enable_snat: true }), 400, 'HTTPBadRequest'), /network_id is required/);
  await refused(put({ network_id: 'x' }), 400, 'HTTPBadRequest');
  await refused(put({ network_id: outside['id'], colour: 1 }), 400, 'HTTPBadRequest');
  const at = (ip_address: string) => put({ network_id: outside['id'], external_fixed_ips: [{ ip_address }] });
  assert.match(await refused(at('203.0.113.1'), 400, 'BadRequest'), /same as the gateway IP/);
  await refused(at('192.0.2.1'), 400, 'InvalidIpForNetwork');
  await withInside(harness, router, '203.0.113.0/25');
  assert.match(await refused(put({ network_id: outside['id'] }), 400, 'BadRequest'), /overlaps with cidr/);
  const other = await create('router', { external_gateway_info: { network_id: outside['id'] } });
  const overlapping = await create('subnet', { network_id: inside['id'], cidr: '203.0.113.128/25', ip_version: 4 });
  assert.match(
    await refused(
      send('PUT', `/v2.0/routers/${other['id']}/add_router_interface`, { subnet_id: overlapping['id'] }),
      400,
      'BadRequest',
    ),
    /overlaps with cidr/,
  );
  await assertInvariants(server);
});

test('routes may lead through the gateway, and hold it', async (t) => {
  const harness = await startHarness(t);
  const { send, create, server } = harness;
  const outside = await external(harness);
  const router = await create('router', { external_gateway_info: { network_id: outside['id'] } });
  const put = (router_: object) => send('PUT', `/v2.0/routers/${router['id']}`, { router: router_ });
  const routes = [{ destination: '10.9.0.0/16', nexthop: '203.0.113.200' }];
  assert.equal((await put({ routes })).status, 200);
  await refused(put({ external_gateway_info: null }), 400, 'InvalidRoutes');
  await assertInvariants(server);
  assert.equal((await put({ routes: [], external_gateway_info: null })).status, 200);
});

test('a network stays external as long as something reaches out by it, whoever writes at once', async (t) => {
  const harness = await startHarness(t);
  const { send, create, server } = harness;
  const outside = await external(harness);
  const router = await create('router', {});
  const set = (value: boolean) =>
    send('PUT', `/v2.0/networks/${outside['id']}`, { network: { 'router:external': value } });
  const open = () =>
    send('PUT', `/v2.0/routers/${router['id']}`, {
      router: { external_gateway_info: { network_id: outside['id'] } },
    });
  assert.equal((await open()).status, 200);
  await refused(set(false), 409, 'ExternalNetworkInUse');
  await send('PUT', `/v2.0/routers/${router['id']}`, { router: { external_gateway_info: null } });
  const [first, second] = await Promise.all([open(), set(false)]);
  assert.deepEqual([first.status, second.status].sort((a, b) => a - b)[0], 200);
  assert.ok(first.status === 200 ? second.status === 409 : first.status === 400, `${first.status} ${second.status}`);
  await assertInvariants(server);
});

test('no addresses asked for are none that are asked for: a gateway has some', async (t) => {
  const harness = await startHarness(t);
  const { send, create, server } = harness;
  const network = await external(harness);
  const given = { external_gateway_info: { network_id: network['id'], external_fixed_ips: [] } };
  const router = await create('router', given);
  const taken = router['external_gateway_info']?.['external_fixed_ips'];
  assert.equal(Array.from(taken ?? []).length, 1);
  const changed = await send('PUT', `/v2.0/routers/${router['id']}`, { router: given });
  assert.deepEqual(changed.body['router']?.['external_gateway_info']?.['external_fixed_ips'], taken);
  await assertInvariants(server);
});

test('a port that a floating IP or a port forwarding leads to becomes no interface', async (t) => {
  const harness = await startHarness(t);
  const { send, create, server } = harness;
  const network = await external(harness);
  const router = await create('router', { external_gateway_info: { network_id: network['id'] } });
  const subnet = await withInside(harness, router, '10.0.0.0/24');
  const other = await create('router', {});
  const port = await create('port', { network_id: subnet['network_id'] });
  const add = (): ReturnType<typeof send> =>
    send('PUT', `/v2.0/routers/${other['id']}/add_router_interface`, { port_id: port['id'] });
  const floating = await create('floatingip', { floating_network_id: network['id'], port_id: port['id'] });
  assert.match(await refused(add(), 400, 'BadRequest'), /a floating IP leads to it/);
  await send('PUT', `/v2.0/floatingips/${floating['id']}`, { floatingip: { port_id: null } });
  const forwarding = {
    ...{ internal_port_id: port['id'], internal_ip_address: port['fixed_ips']?.[0]?.['ip_address'] },
    ...{ internal_port: 80, external_port: 80, protocol: 'tcp' },
  };
  const path = `/v2.0/floatingips/${floating['id']}/port_forwardings`;
  const made = await send('POST', path, { port_forwarding: forwarding });
  assert.equal(made.status, 201, JSON.stringify(made.body));
  assert.match(await refused(add(), 400, 'BadRequest'), /a port forwarding leads to it/);
  await send('DELETE', `${path}/${made.body['port_forwarding']?.['id']}`);
  assert.equal((await add()).status, 200);
  await assertInvariants(server);
});
