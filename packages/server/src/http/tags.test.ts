/** Neutron's tags through the API of a server. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BUILT_IN_RESOURCES } from '@cable/model';
import { assertInvariants, type Harness, type Json, refused, type Send, startHarness } from '../testing/harness.ts';

const MEMBER = { 'x-project-id': 'p', 'x-roles': 'member' };
const OTHER = { 'x-project-id': 'q', 'x-roles': 'member' };

/** The answer is the error, and says so. */
async function told(answer: ReturnType<Send>, status: number, type: string, message: RegExp): Promise<void> {
  assert.match(await refused(answer, status, type), message);
}

const tagsOf = async ({ send }: Harness, path: string): Promise<Json> => (await send('GET', path)).body['tags'] as Json;

const namesOf = async ({ send }: Harness, path: string): Promise<readonly string[]> =>
  ((await send('GET', path)).body['networks'] as Json).map((one) => String(one['name'])).sort();

async function networkTagged(harness: Harness, name: string, tags: readonly string[], headers = MEMBER): Promise<Json> {
  const network = await harness.create('network', { name }, headers);
  if (tags.length > 0) await harness.send('PUT', `/v2.0/networks/${network['id']}/tags`, { tags }, headers);
  return network;
}

test('the types that Neutron tags are tagged, and no others', () => {
  const tagged = BUILT_IN_RESOURCES.filter((one) => one.attributes['tags']?.extension === 'standard-attr-tag');
  const types = tagged.map(({ type }) => type);
  for (const type of ['network', 'subnet', 'port', 'router', 'floatingip', 'trunk', 'security_group', 'qos_policy']) {
    assert.ok(types.includes(type), type);
  }
  for (const type of ['security_group_rule', 'port_forwarding']) assert.ok(!types.includes(type), type);
});

test('tags are replaced, added, asked for and taken one by one', async (t) => {
  const harness = await startHarness(t);
  const { send } = harness;
  const network = await networkTagged(harness, 'n', []);
  const path = `/v2.0/networks/${network['id']}/tags`;
  assert.deepEqual(network['tags'], []);
  assert.deepEqual(await send('PUT', path, { tags: ['red', 'blue'] }), {
    status: 200,
    body: { tags: ['red', 'blue'] },
  });
  assert.deepEqual(await send('GET', path), { status: 200, body: { tags: ['red', 'blue'] } });
  assert.equal((await send('GET', `${path}/red`)).status, 204);
  await told(send('GET', `${path}/green`), 404, 'TagNotFound', /^Tag green could not be found\.$/);
  assert.deepEqual(await send('PUT', `${path}/green`), { status: 201, body: null });
  assert.deepEqual(await send('PUT', `${path}/green`), { status: 201, body: null });
  assert.deepEqual(await tagsOf(harness, path), ['red', 'blue', 'green']);
  assert.deepEqual(await send('POST', path, { tags: ['blue', 'black'] }), {
    status: 200,
    body: { tags: ['blue', 'black'] },
  });
  assert.deepEqual(await tagsOf(harness, path), ['red', 'blue', 'green', 'black']);
  assert.equal((await send('DELETE', `${path}/red`)).status, 204);
  await told(send('DELETE', `${path}/red`), 404, 'TagNotFound', /^Tag red could not be found\.$/);
  assert.deepEqual((await send('GET', `/v2.0/networks/${network['id']}`)).body['network']?.['tags'], [
    ...['blue', 'green', 'black'],
  ]);
  assert.equal((await send('DELETE', path)).status, 204);
  assert.deepEqual(await tagsOf(harness, path), []);
  await assertInvariants(harness.server);
});

test('a tag may have any characters that a path can carry', async (t) => {
  const harness = await startHarness(t);
  const network = await networkTagged(harness, 'n', []);
  const path = `/v2.0/networks/${network['id']}/tags`;
  for (const tag of ['a b', 'ä', 'x=y', '😀'.repeat(255), 'v1.2.json', 'a.b']) {
    const one = `${path}/${encodeURIComponent(tag)}`;
    assert.equal((await harness.send('PUT', one)).status, 201, tag);
    assert.equal((await harness.send('GET', one)).status, 204, tag);
    assert.equal((await harness.send('DELETE', one)).status, 204, tag);
  }
});

test('every type that can be tagged has the routes', async (t) => {
  const harness = await startHarness(t);
  const network = await harness.create('network', { name: 'n', 'router:external': true });
  const subnet = await harness.create('subnet', { network_id: network['id'], cidr: '192.0.2.0/24', ip_version: 4 });
  const port = await harness.create('port', { network_id: network['id'] });
  const made: Readonly<Record<string, Json>> = {
    ...{ networks: network, subnets: subnet, ports: port },
    routers: await harness.create('router', {}),
    floatingips: await harness.create('floatingip', { floating_network_id: network['id'] }),
    trunks: await harness.create('trunk', { port_id: port['id'] }),
    'security-groups': await harness.create('security_group', { name: 'g' }),
  };
  const policy = await harness.send('POST', '/v2.0/qos/policies', { policy: { name: 'q' } });
  const all = { ...made, 'qos/policies': policy.body['policy'] as Json };
  for (const [collection, { id }] of Object.entries(all)) {
    const path = `/v2.0/${collection}/${id}`;
    const object = Object.values((await harness.send('GET', path)).body)[0] as Json;
    assert.deepEqual(object['tags'], [], collection);
    assert.equal((await harness.send('PUT', `${path}/tags`, { tags: ['a'] })).status, 200, collection);
    const shown = Object.values((await harness.send('GET', path)).body)[0];
    assert.deepEqual(shown?.['tags'], ['a'], collection);
    assert.equal(Number(shown?.['revision_number']), Number(object['revision_number']) + 1, collection);
    const found = Object.values((await harness.send('GET', `/v2.0/${collection}?tags=a`)).body)[0];
    assert.equal((found as Json).length, 1, collection);
  }
  await assertInvariants(harness.server);
});

test('a change of tags raises the revision, and the same tags in another order do not', async (t) => {
  const harness = await startHarness(t);
  const network = await networkTagged(harness, 'n', ['a', 'b']);
  const path = `/v2.0/networks/${network['id']}`;
  const revision = async (): Promise<number> =>
    Number((await harness.send('GET', path)).body['network']?.['revision_number']);
  const before = await revision();
  await harness.send('PUT', `${path}/tags`, { tags: ['b', 'a'] });
  await harness.send('PUT', `${path}/tags/a`);
  assert.equal(await revision(), before);
  await harness.send('DELETE', `${path}/tags/a`);
  assert.equal(await revision(), before + 1);
});

test('what is no list of tags is refused in Neutron’s words', async (t) => {
  const { send, create } = await startHarness(t);
  const network = await create('network', {});
  const path = `/v2.0/networks/${network['id']}/tags`;
  const long = 'x'.repeat(256);
  const many = Array.from({ length: 51 }, (_one, at) => `t${at}`);
  const rows: readonly (readonly [unknown, RegExp])[] = [
    [{ tags: ['a', 'a'] }, /^Invalid input for operation: Duplicate items in the list: 'a'\.$/],
    [{ tags: 'a' }, /'a' is not a list\.$/],
    [{ tags: null }, /'None' is not a list\.$/],
    [{ tags: [1] }, /'1' is not a valid string\.$/],
    [{ tags: [long] }, /exceeds maximum length of 255\.$/],
    [{}, /Invalid tags body\.$/],
    [{ tag: [] }, /Invalid tags body\.$/],
    [[], /Invalid tags body\.$/],
    [{ tags: many }, /50/],
  ];
  for (const method of ['PUT', 'POST']) {
    for (const [body, message] of rows) {
      await told(send(method, path, body), 400, 'InvalidInput', message);
    }
  }
  await told(send('PUT', `${path}/${long}`), 400, 'InvalidInput', /exceeds maximum length of 255\.$/);
  await send('PUT', path, { tags: many.slice(1) });
  await told(send('PUT', `${path}/more`), 400, 'InvalidInput', /at most 50 tags/);
  await told(send('POST', path, { tags: ['more'] }), 400, 'InvalidInput', /at most 50 tags/);
});

test('what is not there, or not seen, cannot be tagged; what is another project’s is not tagged', async (t) => {
  const harness = await startHarness(t);
  const { send } = harness;
  const network = await networkTagged(harness, 'n', ['a']);
  const shared = await harness.create('network', { name: 's', shared: true });
  for (const [method, tail] of [
    ['GET', ''],
    ['PUT', ''],
    ['DELETE', ''],
    ['GET', '/a'],
    ['PUT', '/a'],
    ['DELETE', '/a'],
  ]) {
    const body = method === 'PUT' && tail === '' ? { tags: ['b'] } : undefined;
    const request = (id: string, headers: Record<string, string>): ReturnType<typeof send> =>
      send(String(method), `/v2.0/networks/${id}/tags${tail}`, body, headers);
    const gone = '11111111-2222-4333-8444-555555555555';
    const message = /^Resource networks [0-9a-f-]+ could not be found\.$/;
    await told(request(gone, MEMBER), 404, 'TagResourceNotFound', message);
    await told(request(String(network['id']), OTHER), 404, 'TagResourceNotFound', message);
    if (method === 'GET') continue;
    const rule = /^rule:(update|delete)_networks_tags is disallowed by policy$/;
    await told(request(String(shared['id']), OTHER), 403, 'PolicyNotAuthorized', rule);
  }
  assert.deepEqual((await send('GET', `/v2.0/networks/${shared['id']}/tags`, undefined, OTHER)).body, { tags: [] });
});

test('lists are filtered by tags: all, any, not all, none', async (t) => {
  const harness = await startHarness(t);
  const sets: Readonly<Record<string, readonly string[]>> = {
    ...{ none: [], red: ['red'], blue: ['blue'], both: ['red', 'blue'], three: ['red', 'blue', 'green'] },
  };
  for (const [name, tags] of Object.entries(sets)) await networkTagged(harness, name, tags);
  const rows: readonly (readonly [string, readonly string[]])[] = [
    ['tags=red', ['both', 'red', 'three']],
    ['tags=red,blue', ['both', 'three']],
    ['tags=red&tags=blue', ['both', 'three']],
    ['tags=red,blue,green', ['three']],
    ['tags=black', []],
    ['tags=', []],
    ['tags-any=red,green', ['both', 'red', 'three']],
    ['tags-any=red&tags-any=blue', ['blue', 'both', 'red', 'three']],
    ['not-tags=red', ['blue', 'none']],
    ['not-tags=red,blue', ['blue', 'none', 'red']],
    ['not-tags-any=red,blue', ['none']],
    ['not-tags-any=green', ['blue', 'both', 'none', 'red']],
    ['tags=red&not-tags-any=green', ['both', 'red']],
    ['tags-any=red,blue&not-tags=red,blue', ['blue', 'red']],
    ['tags=red&name=both', ['both']],
    ['tags=red&fields=name&sort_key=name&sort_dir=desc&limit=1', ['three']],
  ];
  for (const [query, names] of rows) assert.deepEqual(await namesOf(harness, `/v2.0/networks?${query}`), names, query);
  await told(harness.send('GET', '/v2.0/networks?not-name=a'), 400, 'HTTPBadRequest', /\['not-name'\]/);
  await told(harness.send('GET', '/v2.0/networks?name-any=a'), 400, 'HTTPBadRequest', /\['name-any'\]/);
});

test('a list by a tag looks at what has it, not at the whole table', async (t) => {
  const harness = await startHarness(t);
  const many = Array.from({ length: 300 }, (_one, at) => ({ name: `n${at}` }));
  await harness.send('POST', '/v2.0/networks', { networks: many });
  await networkTagged(harness, 'wanted', ['rare']);
  const table = harness.server.deps.tables.any('network');
  assert.equal(table.count('tags', 'rare'), 1);
  assert.deepEqual(await namesOf(harness, '/v2.0/networks?tags=rare'), ['wanted']);
});

test('ports alone are created with tags, also in bulk', async (t) => {
  const harness = await startHarness(t);
  const { send } = harness;
  const network = await harness.create('network', {});
  const port = await harness.create('port', { network_id: network['id'], tags: ['a', 'b'] });
  assert.deepEqual(port['tags'], ['a', 'b']);
  const ports = [
    { network_id: network['id'], tags: ['c'] },
    { network_id: network['id'], name: 'plain' },
  ];
  const { body } = await send('POST', '/v2.0/ports', { ports });
  assert.deepEqual(
    (body['ports'] as Json).map((one) => one['tags']),
    [['c'], []],
  );
  const early = send('POST', '/v2.0/networks', { network: { tags: ['a'] } });
  await told(early, 400, 'HTTPBadRequest', /^Attribute 'tags' not allowed in POST$/);
  const late = send('PUT', `/v2.0/ports/${port['id']}`, { port: { tags: ['a'] } });
  await told(late, 400, 'HTTPBadRequest', /^Cannot update read-only attribute tags$/);
});
