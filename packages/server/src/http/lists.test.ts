import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Harness, type Json, refused, startHarness } from '../testing/harness.ts';

const MEMBER = { 'x-project-id': 'p1', 'x-roles': 'member' };

async function names({ send }: Harness, query: string): Promise<string> {
  const answer = await send('GET', `/v2.0/networks?${query}`);
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  return (answer.body['networks'] ?? []).map((one: Json) => String(one['name'])).join('');
}

async function withNetworks(harness: Harness): Promise<void> {
  for (const name of ['c', 'a', 'e', 'b', 'd']) {
    await harness.create('network', { name, admin_state_up: name < 'c' }, { 'x-project-id': name < 'c' ? 'p1' : 'p2' });
  }
}

test('lists are filtered by any attribute', async (t) => {
  const harness = await startHarness(t);
  await withNetworks(harness);
  assert.equal(await names(harness, 'sort_key=name&sort_dir=asc&name=a&name=e'), 'ae');
  assert.equal(await names(harness, 'sort_key=name&sort_dir=asc&admin_state_up=True'), 'ab');
  assert.equal(await names(harness, 'sort_key=name&sort_dir=asc&tenant_id=p2'), 'cde');
  assert.equal(await names(harness, 'sort_key=name&sort_dir=asc&project_id=p1&name=a'), 'a');
  assert.equal(await names(harness, 'description='), await names(harness, ''));
  assert.equal(await names(harness, 'name='), '');
  assert.equal(await names(harness, 'id=none'), '');
  assert.equal(await names(harness, 'changed_since=2001-01-01T00:00:00'), await names(harness, ''));
  assert.equal(await names(harness, 'changed_since=2101-01-01T00:00:00'), '');
  for (const odd of ['March%202001', '2001-02-30', '2001-01-01T00:00:00z', '']) {
    await refused(harness.send('GET', `/v2.0/networks?changed_since=${odd}`), 400, 'InvalidInput');
  }
  const [one] = (await harness.send('GET', '/v2.0/networks')).body['networks'] ?? [];
  const moment = String(one?.['updated_at']).slice(0, -1);
  const since = async (text: string) =>
    (await harness.send('GET', `/v2.0/networks?id=${one?.['id']}&changed_since=${text}`)).body['networks']?.length;
  assert.deepEqual([await since(moment), await since(`${moment}.5`)], [1, 0]);
});

test('lists are sorted by several keys', async (t) => {
  const harness = await startHarness(t);
  await withNetworks(harness);
  assert.equal(await names(harness, 'sort_key=name&sort_dir=desc'), 'edcba');
  assert.equal(await names(harness, 'sort_key=project_id&sort_key=name&sort_dir=desc&sort_dir=asc'), 'cdeab');
  await refused(harness.send('GET', '/v2.0/networks?sort_key=subnets&sort_dir=asc'), 400, 'HTTPBadRequest');
  await refused(harness.send('GET', '/v2.0/networks?sort_key=name&sort_dir=up'), 400, 'HTTPBadRequest');
});

test('pages are walked forwards and backwards by their links', async (t) => {
  const harness = await startHarness(t);
  await withNetworks(harness);
  const pages: string[] = [];
  let path = '/v2.0/networks?limit=2&sort_key=name&sort_dir=asc&fields=name&fields=id';
  const visit = async (): Promise<Json> => {
    const { body } = await harness.send('GET', path);
    pages.push((body['networks'] ?? []).map((one: Json) => String(one['name'])).join(''));
    return body;
  };
  const link = (body: Json, rel: string): string | undefined => {
    const found = (body['networks_links'] ?? []).find((one: Json) => String(one['rel']) === rel);
    return found === undefined ? undefined : String(found['href']).replace(/^http:\/\/[^/]*/, '');
  };
  let body = await visit();
  for (let next = link(body, 'next'); next !== undefined; next = link(body, 'next')) {
    path = next;
    body = await visit();
  }
  assert.deepEqual(pages, ['ab', 'cd', 'e']);
  const back = link(body, 'previous');
  assert.ok(back);
  path = back;
  body = await visit();
  path = link(body, 'previous') ?? '';
  await visit();
  assert.deepEqual(pages.slice(3), ['cd', 'ab']);
});

test('a list shows what an object is now, and each caller what it may see, however often it was asked for', async (t) => {
  const { send, create } = await startHarness(t);
  const network = await create('network', { name: 'a' }, { 'x-project-id': 'p1' });
  const list = async (roles: string): Promise<string> => {
    const { body } = await send('GET', '/v2.0/networks', undefined, { 'x-project-id': 'p1', 'x-roles': roles });
    const [one] = body['networks'] ?? [];
    return `${one?.['name']} ${one?.['subnets']?.length} ${one?.['provider:segmentation_id'] === undefined}`;
  };
  const lists = async (): Promise<readonly string[]> => [
    await list('admin'),
    await list('member'),
    await list('admin'),
  ];
  assert.deepEqual(await lists(), ['a 0 false', 'a 0 true', 'a 0 false']);
  await create('subnet', { network_id: network['id'], cidr: '10.0.0.0/24', ip_version: 4 });
  assert.deepEqual(await lists(), ['a 1 false', 'a 1 true', 'a 1 false']);
  await send('PUT', `/v2.0/networks/${network['id']}`, { network: { name: 'b' } });
  assert.deepEqual(await lists(), ['b 1 false', 'b 1 true', 'b 1 false']);
});

test('a page behind what is not there is refused, or the first one, as in Neutron', async (t) => {
  const { send, create } = await startHarness(t);
  const foreign = await create('network', {});
  await create('network', { name: 'own' }, MEMBER);
  for (const limit of ['-1', '', 'x']) await refused(send('GET', `/v2.0/networks?limit=${limit}`), 400, 'BadRequest');
  assert.equal((await send('GET', '/v2.0/lbaas/pools?limit=')).status, 200);
  for (const sort of ['', '&sort_key=name&sort_dir=asc', '&sort_key=description&sort_dir=asc', '&name=nobody']) {
    for (const marker of ['none', String(foreign['id'])]) {
      const path = `/v2.0/networks?limit=1&marker=${marker}${sort}`;
      await refused(send('GET', path, undefined, MEMBER), 404, 'NetworkNotFound');
    }
  }
  const group = (await send('GET', '/v2.0/security-groups', undefined, MEMBER)).body['security_groups']?.[0];
  const groups = await send('GET', '/v2.0/security-groups?limit=1&marker=none', undefined, MEMBER);
  assert.deepEqual(groups.body['security_groups']?.[0]?.['id'], group?.['id']);
  const links = await send('GET', '/v2.0/subnets?limit=1&marker=none', undefined, MEMBER);
  assert.deepEqual(links.body['subnets'], []);
  await refused(send('GET', '/v2.0/lbaas/pools?limit=1&marker=none'), 404, 'PoolNotFound');
  // What the filters leave out is a place in the order all the same.
  const ids = [];
  for (const name of ['a', 'b', 'c']) ids.push((await create('network', { name }))['id']);
  const path = `/v2.0/networks?limit=9&marker=${ids[1]}&name=a&name=c&sort_key=name`;
  for (const [direction, name] of [
    ['asc', 'c'],
    ['desc', 'a'],
  ]) {
    const { body } = await send('GET', `${path}&sort_dir=${direction}`);
    assert.deepEqual(
      body['networks']?.map((one) => one['name']),
      [name],
    );
  }
});

test('ports are found by address, subnet, group and device', async (t) => {
  const { send, create } = await startHarness(t);
  const network = await create('network', {});
  const subnet = await create('subnet', { network_id: network['id'], cidr: '10.0.0.0/24', ip_version: 4 });
  const a = await create('port', { network_id: network['id'], device_id: 'vm-a' });
  const b = await create('port', { network_id: network['id'], device_id: 'vm-b', 'binding:host_id': 'h1' });
  const found = async (query: string): Promise<readonly string[]> =>
    ((await send('GET', `/v2.0/ports?${query}`)).body['ports'] ?? [])
      .map((one: Json) => String(one['device_id']))
      .sort();
  assert.deepEqual(await found(`fixed_ips=ip_address=${a['fixed_ips']?.[0]?.['ip_address']}`), ['vm-a']);
  assert.deepEqual(await found('fixed_ips=ip_address=10.0.0.2&fixed_ips=ip_address=10.0.0.3'), ['vm-a', 'vm-b']);
  assert.deepEqual(await found(`fixed_ips=subnet_id=${subnet['id']}&fixed_ips=ip_address=10.0.0.3`), ['vm-b']);
  assert.deepEqual(await found('fixed_ips=ip_address_substr=0.0.3'), ['vm-b']);
  assert.deepEqual(await found(`security_groups=${a['security_groups']?.[0]}`), ['vm-a', 'vm-b']);
  assert.deepEqual(await found('binding:host_id=h1'), ['vm-b']);
  assert.deepEqual(await found('binding:vif_type=unbound'), ['vm-a']);
  assert.deepEqual(await found(`mac_address=${String(b['mac_address']).toUpperCase()}`), ['vm-b']);
  assert.deepEqual(await found('device_id=vm-a&device_id=vm-b&device_owner='), ['vm-a', 'vm-b']);
});

test('discovery, health, metrics and the OpenAPI document answer', async (t) => {
  const { send, server } = await startHarness(t);
  assert.equal((await send('GET', '/')).body['versions']?.[0]?.['id'], 'v2.0');
  assert.ok((await send('GET', '/v2.0/')).body['resources']?.length);
  assert.equal((await send('GET', '/v2.0/extensions/router')).body['extension']?.['alias'], 'router');
  assert.equal((await send('GET', '/healthz')).status, 200);
  assert.equal((await send('GET', '/readyz')).status, 200);
  const metrics = await server.app.inject({ method: 'GET', url: '/metrics' });
  assert.match(metrics.body, /cable_objects\{type="network"\} 0/);
  const document = (await send('GET', '/openapi.json')).body;
  assert.ok(document['paths']?.['/v2.0/routers/{id}/add_router_interface']?.['put']);
});
