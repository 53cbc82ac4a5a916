import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '@cable/kit';
import { GatewayKeeper } from '../resources/gateway-keeper.ts';
import { assertInvariants, type Harness, refused, startHarness } from '../testing/harness.ts';
import { MEMBER } from '../testing/outside.ts';

/** Hosts on physnet1, by name and zone. */
async function register({ server }: Harness, zones: Readonly<Record<string, string>>): Promise<void> {
  for (const [at, [host, availabilityZone]] of Object.entries(zones).entries()) {
    const bridgeMappings = { physnet1: 'eth1' };
    await server.plane.register(host, {
      ...{ underlay: `192.0.2.${at + 1}`, agentVersion: '1', availabilityZone, bridgeMappings },
    });
  }
}

async function setUp({ send }: Harness, host: string, up: boolean): Promise<void> {
  const [agent] = (await send('GET', `/v2.0/agents?host=${host}`)).body['agents'] ?? [];
  await send('PUT', `/v2.0/agents/${agent?.['id']}`, { agent: { admin_state_up: up } });
}

test('zones are listed by resource, and are unavailable when all their agents are set down', async (t) => {
  const harness = await startHarness(t);
  const { server, send } = harness;
  await register(harness, { h1: 'az1', h2: 'az1', h3: 'az2' });
  await send('PUT', '/cable/v1/hosts/h3/set_gateway', { gateway: false });
  const list = async (query = '') => {
    const rows = (await send('GET', `/v2.0/availability_zones${query}`)).body['availability_zones'] ?? [];
    return rows.map((one) => `${one['name']} ${one['resource']} ${one['state']}`).sort();
  };
  assert.deepEqual(await list(), ['az1 network available', 'az1 router available', 'az2 network available']);
  await setUp(harness, 'h1', false);
  await setUp(harness, 'h3', false);
  assert.deepEqual(await list(), ['az1 network available', 'az1 router available', 'az2 network unavailable']);
  assert.deepEqual(await list('?resource=router'), ['az1 router available']);
  assert.deepEqual(await list('?name=az2&state=unavailable'), ['az2 network unavailable']);
  assert.deepEqual(await list('?state=available&name=az2'), []);
  const keys = Object.keys((await send('GET', '/v2.0/availability_zones')).body['availability_zones']?.[0] ?? {});
  assert.deepEqual(keys.sort(), ['name', 'resource', 'state']);
  await assertInvariants(server);
});

test('hints name zones that are there', async (t) => {
  const harness = await startHarness(t);
  const { server, send, create } = harness;
  await register(harness, { h1: 'az1', h2: 'az2' });
  await send('PUT', '/cable/v1/hosts/h2/set_gateway', { gateway: false });
  for (const type of ['network', 'router']) {
    const post = (hints: unknown) => send('POST', `/v2.0/${type}s`, { [type]: { availability_zone_hints: hints } });
    assert.deepEqual((await create(type, {}))['availability_zone_hints'], []);
    assert.deepEqual((await create(type, { availability_zone_hints: ['az1'] }))['availability_zone_hints'], ['az1']);
    const message = await refused(post(['az1', 'az3']), 404, 'AvailabilityZoneNotFound');
    assert.equal(message, 'AvailabilityZone az3 could not be found.');
    await refused(post(['az1', 'az1']), 400, 'HTTPBadRequest');
    await refused(post('az1'), 400, 'HTTPBadRequest');
    await refused(post([7]), 400, 'HTTPBadRequest');
    const many = Array.from({ length: 40 }, (_, n) => `zone-${n}`);
    assert.match(await refused(post(many), 400, 'InvalidInput'), /Too many availability_zone_hints/);
    const { id } = await create(type, {});
    const put = send('PUT', `/v2.0/${type}s/${id}`, { [type]: { availability_zone_hints: ['az1'] } });
    await refused(put, 400, 'HTTPBadRequest');
  }
  await create('network', { availability_zone_hints: ['az2'] });
  const router = { router: { availability_zone_hints: ['az2'] } };
  await refused(send('POST', '/v2.0/routers', router), 404, 'AvailabilityZoneNotFound');
  await assertInvariants(server);
});

test('a network is in the zones of the hosts that have ports of it', async (t) => {
  const harness = await startHarness(t);
  const { server, send, create } = harness;
  await register(harness, { h1: 'az2', h2: 'az1', h3: 'az3' });
  const network = await create('network', {});
  const zones = async () => {
    const shown = (await send('GET', `/v2.0/networks/${network['id']}`)).body['network'];
    return shown?.['availability_zones'];
  };
  assert.deepEqual(await zones(), []);
  const port = (host: string) => create('port', { network_id: network['id'], 'binding:host_id': host });
  await port('h1');
  await port('');
  await port('elsewhere');
  assert.deepEqual(await zones(), ['az2']);
  for (let n = 0; n < 70; n += 1) await port('h1');
  await port('h2');
  assert.deepEqual(await zones(), ['az1', 'az2'], 'beyond the first ports too');
  await assertInvariants(server);
});

test('a gateway and its standbys are on hosts of its router’s zones, whose agents are up', async (t) => {
  const harness = await startHarness(t);
  const { server, send, create } = harness;
  await register(harness, { h1: 'az1', h2: 'az1', h3: 'az2', h4: 'az2' });
  const external = await create('network', {
    ...{ 'router:external': true, 'provider:network_type': 'flat', 'provider:physical_network': 'physnet1' },
  });
  await create('subnet', { network_id: external['id'], cidr: '203.0.113.0/24', ip_version: 4 });
  const stop = new AbortController();
  t.after(() => stop.abort());
  const keeper = new GatewayKeeper({ ...server.deps, log: silentLogger(), signal: stop.signal });
  const gateway = { external_gateway_info: { network_id: external['id'] } };
  const at = async (id: unknown) => {
    const port = server.tables.of('port').by('device_id', String(id))[0];
    const router = (await send('GET', `/v2.0/routers/${id}`)).body['router'];
    return { on: port?.['binding:host_id'], standbys: port?.standby_hosts, zones: router?.['availability_zones'] };
  };
  const { id } = await create('router', { ...gateway, availability_zone_hints: ['az2'] }, MEMBER);
  const first = await at(id);
  const other = first.on === 'h3' ? 'h4' : 'h3';
  assert.match(String(first.on), /^h[34]$/);
  assert.deepEqual([first.standbys, first.zones], [[other], ['az2']]);
  await keeper.round();
  assert.deepEqual(await at(id), first, 'it stays');
  await setUp(harness, String(first.on), false);
  await keeper.round();
  assert.deepEqual(await at(id), { on: other, standbys: [], zones: ['az2'] });
  await setUp(harness, other, false);
  await keeper.round();
  assert.deepEqual(await at(id), { on: other, standbys: [], zones: ['az2'] }, 'no other is in its zone');
  await setUp(harness, String(first.on), true);
  await keeper.round();
  assert.equal((await at(id)).on, first.on);
  const anywhere = await create('router', gateway, MEMBER);
  assert.equal((await at(anywhere['id'])).standbys?.length, 2);
  const alone = await create('router', {}, MEMBER);
  assert.deepEqual((await at(alone['id'])).zones, []);
  await assertInvariants(server);
});
