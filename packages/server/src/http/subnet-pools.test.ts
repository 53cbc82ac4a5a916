/** Neutron's subnet pools, and subnets from them, through the API of a server. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { type Answer, assertInvariants, type Harness, type Json, refused, startHarness } from '../testing/harness.ts';

const MEMBER = { 'x-project-id': 'p', 'x-roles': 'member' };
const OTHER = { 'x-project-id': 'q', 'x-roles': 'member' };

type Sent = readonly [attributes: object, status: number, type: string];

const pool = (harness: Harness, attributes: object = {}, headers?: Record<string, string>): Promise<Json> =>
  harness.create('subnetpool', { name: 'pool', prefixes: ['10.0.0.0/16'], ...attributes }, headers);

const post = ({ send }: Pick<Harness, 'send'>, type: string, attributes: object, headers = {}): Promise<Answer> =>
  send('POST', `/v2.0/${type}s`, { [type]: attributes }, headers);

test('a pool has its prefixes in the fewest, and Neutron’s bounds', async (t) => {
  const harness = await startHarness(t);
  const four = await pool(harness, { prefixes: ['10.1.0.0/16', '10.0.0.0/16', '10.0.3.0/24'] });
  assert.deepEqual(four['prefixes'], ['10.0.0.0/15']);
  assert.deepEqual(
    [four['ip_version'], four['min_prefixlen'], four['default_prefixlen'], four['max_prefixlen']],
    [4, '8', '8', '32'],
  );
  assert.deepEqual([four['default_quota'], four['is_default'], four['shared']], [null, false, false]);
  const six = await pool(harness, { prefixes: ['fd00::/48'], min_prefixlen: 60, default_prefixlen: '64' });
  assert.deepEqual(
    [six['ip_version'], six['min_prefixlen'], six['default_prefixlen'], six['max_prefixlen']],
    [6, '60', '64', '128'],
  );
  const { body } = await harness.send('GET', '/v2.0/subnetpools?ip_version=6&fields=id');
  assert.deepEqual(body, { subnetpools: [{ id: six['id'] }] });
});

test('a pool is refused with Neutron’s errors', async (t) => {
  const harness = await startHarness(t);
  await pool(harness, { prefixes: ['10.9.0.0/16'], is_default: true });
  const cases: readonly Sent[] = [
    [{ prefixes: [] }, 400, 'EmptySubnetPoolPrefixList'],
    [{ prefixes: ['10.0.0.0/16', 'fd00::/48'] }, 400, 'PrefixVersionMismatch'],
    [{ prefixes: ['10.0.0.1'] }, 400, 'HTTPBadRequest'],
    [{ prefixes: ['10.0.0.0/16', '10.0.0.0/16'] }, 400, 'HTTPBadRequest'],
    [{ name: '' }, 400, 'HTTPBadRequest'],
    [{ min_prefixlen: 25, max_prefixlen: 24 }, 400, 'IllegalSubnetPoolPrefixBounds'],
    [{ max_prefixlen: 33 }, 400, 'IllegalSubnetPoolPrefixBounds'],
    [{ default_prefixlen: 7 }, 400, 'IllegalSubnetPoolPrefixBounds'],
    [{ default_prefixlen: 25, max_prefixlen: 24 }, 400, 'IllegalSubnetPoolPrefixBounds'],
    [{ min_prefixlen: -1 }, 400, 'HTTPBadRequest'],
    [{ min_prefixlen: 'x' }, 400, 'HTTPBadRequest'],
    [{ default_quota: -1 }, 400, 'HTTPBadRequest'],
    [{ ip_version: 4 }, 400, 'HTTPBadRequest'],
    [{ is_default: true }, 400, 'InvalidInput'],
  ];
  for (const [attributes, status, type] of cases) {
    const sent = post(harness, 'subnetpool', { name: 'x', prefixes: ['10.0.0.0/16'], ...attributes });
    await refused(sent, status, type);
  }
  await refused(post(harness, 'subnetpool', { prefixes: ['10.0.0.0/16'] }), 400, 'HTTPBadRequest');
  for (const forbidden of [{ is_default: true }, { shared: true }]) {
    const sent = post(harness, 'subnetpool', { name: 'x', prefixes: ['10.0.0.0/16'], ...forbidden }, MEMBER);
    await refused(sent, 403, 'PolicyNotAuthorized');
  }
});

test('an update adds prefixes, moves bounds and takes nothing away', async (t) => {
  const harness = await startHarness(t);
  const one = await pool(harness, { prefixes: ['10.0.0.0/24'], min_prefixlen: 24 });
  const put = (change: object): Promise<Answer> =>
    harness.send('PUT', `/v2.0/subnetpools/${one['id']}`, { subnetpool: change });
  const cases: readonly Sent[] = [
    [{ prefixes: ['10.0.1.0/24'] }, 400, 'IllegalSubnetPoolPrefixUpdate'],
    [{ prefixes: ['10.0.0.0/24', 'fd00::/64'] }, 400, 'PrefixVersionMismatch'],
    [{ prefixes: [] }, 400, 'EmptySubnetPoolPrefixList'],
    [{ max_prefixlen: 23 }, 400, 'IllegalSubnetPoolPrefixBounds'],
    [{ min_prefixlen: 25 }, 400, 'IllegalSubnetPoolPrefixBounds'],
    [{ default_prefixlen: 23 }, 400, 'IllegalSubnetPoolPrefixBounds'],
    [{ shared: true }, 400, 'HTTPBadRequest'],
  ];
  for (const [change, status, type] of cases) await refused(put(change), status, type);
  const { body } = await put({ prefixes: ['10.0.1.0/24', '10.0.0.0/24'], default_prefixlen: 26, default_quota: 512 });
  assert.deepEqual(body['subnetpool']?.['prefixes'], ['10.0.0.0/23']);
  assert.deepEqual([body['subnetpool']?.['default_prefixlen'], body['subnetpool']?.['default_quota']], ['26', 512]);
});

test('there is one default pool of each version of IP', async (t) => {
  const harness = await startHarness(t);
  const four = await pool(harness, { is_default: true });
  await pool(harness, { prefixes: ['fd00::/48'], is_default: true });
  const other = await pool(harness, { prefixes: ['10.1.0.0/16'] });
  const set = (id: unknown, is: boolean): Promise<Answer> =>
    harness.send('PUT', `/v2.0/subnetpools/${id}`, { subnetpool: { is_default: is } });
  await refused(set(other['id'], true), 400, 'InvalidInput');
  assert.equal((await set(four['id'], false)).status, 200);
  assert.equal((await set(other['id'], true)).status, 200);
  await assertInvariants(harness.server);
});

test('a subnet takes what is free: any of a length, what it names, what its gateway is in', async (t) => {
  const harness = await startHarness(t);
  const one = await pool(harness, { prefixes: ['10.0.0.0/16', '10.8.0.0/24'], default_prefixlen: 26 });
  const from = async (attributes: object): Promise<Json> =>
    harness.create('subnet', {
      network_id: (await harness.create('network', {}))['id'],
      subnetpool_id: one['id'],
      ip_version: 4,
      ...attributes,
    });
  const any = await from({});
  assert.deepEqual([any['cidr'], any['gateway_ip'], any['subnetpool_id']], ['10.8.0.0/26', '10.8.0.1', one['id']]);
  assert.deepEqual(any['allocation_pools'], [{ start: '10.8.0.2', end: '10.8.0.62' }]);
  assert.deepEqual([any['prefixlen'], any['use_default_subnetpool']], [undefined, undefined]);
  assert.equal((await from({ prefixlen: 25 }))['cidr'], '10.8.0.128/25');
  assert.equal((await from({ prefixlen: 24 }))['cidr'], '10.0.0.0/24');
  const named = await from({ cidr: '10.0.9.0/24', allocation_pools: [{ start: '10.0.9.9', end: '10.0.9.19' }] });
  assert.deepEqual([named['cidr'], named['gateway_ip']], ['10.0.9.0/24', '10.0.9.1']);
  const gateway = await from({ gateway_ip: '10.0.5.77' });
  assert.deepEqual([gateway['cidr'], gateway['gateway_ip']], ['10.0.5.64/26', '10.0.5.77']);
  assert.equal((await from({ gateway_ip: null, prefixlen: 26 }))['gateway_ip'], null);
  assert.equal((await from({ cidr: null, ip_version: undefined }))['ip_version'], 4);
  await assertInvariants(harness.server);
});

test('a subnet from a pool is refused with Neutron’s errors', async (t) => {
  const harness = await startHarness(t);
  const { create, send } = harness;
  const one = await pool(harness, { prefixes: ['10.0.0.0/24'], min_prefixlen: 25, max_prefixlen: 28 });
  const six = await pool(harness, { prefixes: ['fd00::/62'] });
  const network = await create('network', {});
  const taken = { network_id: network['id'], subnetpool_id: one['id'], cidr: '10.0.0.0/26', ip_version: 4 };
  await create('subnet', taken);
  const cases: readonly Sent[] = [
    [{ prefixlen: 24 }, 400, 'MinPrefixSubnetAllocationError'],
    [{ prefixlen: 29 }, 400, 'MaxPrefixSubnetAllocationError'],
    [{ cidr: '10.0.0.0/24' }, 400, 'MinPrefixSubnetAllocationError'],
    [{ cidr: '10.0.0.0/30' }, 400, 'MaxPrefixSubnetAllocationError'],
    [{ cidr: '10.0.0.0/27' }, 409, 'SubnetAllocationError'],
    [{ cidr: '10.1.0.0/27' }, 409, 'SubnetAllocationError'],
    [{ cidr: '10.0.0.64/27', prefixlen: 27 }, 400, 'BadRequest'],
    [{ allocation_pools: [{ start: '10.0.0.65', end: '10.0.0.66' }] }, 400, 'BadRequest'],
    [{ ip_version: 6 }, 400, 'BadRequest'],
    [{ gateway_ip: 'fd00::1' }, 400, 'InvalidInput'],
    [{ use_default_subnetpool: true }, 400, 'BadRequest'],
    [{ subnetpool_id: null }, 400, 'BadRequest'],
    [{ subnetpool_id: null, prefixlen: 26 }, 400, 'BadRequest'],
    [{ subnetpool_id: null, use_default_subnetpool: true }, 400, 'BadRequest'],
    [{ subnetpool_id: randomUUID() }, 404, 'SubnetPoolNotFound'],
    [{ subnetpool_id: 'prefix_delegation', ip_version: 6 }, 400, 'HTTPBadRequest'],
    [{ subnetpool_id: 'x' }, 400, 'HTTPBadRequest'],
    [{ prefixlen: -1 }, 400, 'HTTPBadRequest'],
  ];
  const other = await create('network', {});
  for (const [attributes, status, type] of cases) {
    const subnet = { network_id: other['id'], subnetpool_id: one['id'], ip_version: 4, ...attributes };
    await refused(post(harness, 'subnet', subnet), status, type);
  }
  const delegated = { network_id: other['id'], ip_version: 6, subnetpool_id: 'prefix_delegation' };
  assert.match(await refused(post(harness, 'subnet', delegated), 400, 'HTTPBadRequest'), /no prefix delegation/);
  for (const foreign of [{ cidr: '10.7.0.0/24' }, { subnetpool_id: (await pool(harness))['id'], prefixlen: 24 }]) {
    const subnet = { network_id: network['id'], ip_version: 4, ...foreign };
    await refused(post(harness, 'subnet', subnet), 400, 'NetworkSubnetPoolAffinityError');
  }
  assert.equal((await create('subnet', { network_id: network['id'], subnetpool_id: six['id'] }))['ip_version'], 6);
  await refused(send('DELETE', `/v2.0/subnetpools/${one['id']}`), 400, 'SubnetPoolDeleteError');
  await refused(send('PUT', `/v2.0/subnets/${randomUUID()}`, { subnet: { prefixlen: 3 } }), 400, 'HTTPBadRequest');
  await assertInvariants(harness.server);
});

test('a pool that is full gives again what was deleted', async (t) => {
  const harness = await startHarness(t);
  const { create, send } = harness;
  const one = await pool(harness, { prefixes: ['10.0.0.0/25'], default_prefixlen: 26 });
  const subnet = async (): Promise<object> => ({
    network_id: (await create('network', {}))['id'],
    subnetpool_id: one['id'],
  });
  const first = await create('subnet', await subnet());
  await create('subnet', await subnet());
  await refused(post(harness, 'subnet', await subnet()), 409, 'SubnetAllocationError');
  assert.equal((await send('DELETE', `/v2.0/networks/${first['network_id']}`)).status, 204);
  assert.equal((await create('subnet', await subnet()))['cidr'], first['cidr']);
  const networks = ((await send('GET', '/v2.0/networks?fields=id')).body['networks'] ?? []).map(({ id }) => id);
  for (const id of networks) assert.equal((await send('DELETE', `/v2.0/networks/${id}`)).status, 204);
  assert.equal((await send('DELETE', `/v2.0/subnetpools/${one['id']}`)).status, 204);
});

test('a project takes no more of a pool than its quota, and does not count what others took', async (t) => {
  const harness = await startHarness(t);
  const four = await pool(harness, { default_quota: 256, shared: true });
  const six = await pool(harness, { prefixes: ['fd00::/48'], default_quota: 2, shared: true });
  const take = async (of: Json, prefixlen: number, headers: Record<string, string>): Promise<Answer> => {
    const network = await harness.create('network', {}, headers);
    const subnet = { network_id: network['id'], subnetpool_id: of['id'], ip_version: of['ip_version'], prefixlen };
    return post(harness, 'subnet', subnet, headers);
  };
  assert.equal((await take(four, 25, MEMBER)).status, 201);
  await refused(take(four, 24, MEMBER), 409, 'SubnetPoolQuotaExceeded');
  assert.equal((await take(four, 25, MEMBER)).status, 201);
  await refused(take(four, 32, MEMBER), 409, 'SubnetPoolQuotaExceeded');
  assert.equal((await take(four, 24, OTHER)).status, 201);
  assert.equal((await take(six, 64, MEMBER)).status, 201);
  assert.equal((await take(six, 65, MEMBER)).status, 201);
  assert.equal((await take(six, 66, MEMBER)).status, 201);
  await refused(take(six, 65, MEMBER), 409, 'SubnetPoolQuotaExceeded');
  await assertInvariants(harness.server);
});

test('the default pool is that of the version of IP, and one that the caller sees', async (t) => {
  const harness = await startHarness(t);
  const network = await harness.create('network', {}, MEMBER);
  const wish = { network_id: network['id'], use_default_subnetpool: true };
  await refused(post(harness, 'subnet', { ...wish, ip_version: 4 }, MEMBER), 400, 'BadRequest');
  const four = await pool(harness, { is_default: true, default_prefixlen: 26 });
  await refused(post(harness, 'subnet', { ...wish, ip_version: 4 }, MEMBER), 400, 'BadRequest');
  await refused(post(harness, 'subnet', wish), 400, 'BadRequest');
  assert.equal((await harness.create('subnet', { ...wish, ip_version: 4 }))['subnetpool_id'], four['id']);
  const six = await pool(harness, { prefixes: ['fd00::/48'], is_default: true, shared: true });
  assert.equal((await harness.create('subnet', { ...wish, cidr: 'fd00::/64' }, MEMBER))['subnetpool_id'], six['id']);
});

test('others see a shared pool and take subnets of it; they do not change it, and see no other', async (t) => {
  const harness = await startHarness(t);
  const { send } = harness;
  const own = await pool(harness, {}, MEMBER);
  const shared = await pool(harness, { prefixes: ['10.1.0.0/16'], shared: true, default_prefixlen: 24 });
  const listed = (await send('GET', '/v2.0/subnetpools', undefined, OTHER)).body['subnetpools'] ?? [];
  assert.deepEqual(
    listed.map(({ id }) => id),
    [shared['id']],
  );
  await refused(send('GET', `/v2.0/subnetpools/${own['id']}`, undefined, OTHER), 404, 'SubnetPoolNotFound');
  const change = { subnetpool: { name: 'mine' } };
  await refused(send('PUT', `/v2.0/subnetpools/${shared['id']}`, change, OTHER), 403, 'PolicyNotAuthorized');
  await refused(
    send('PUT', `/v2.0/subnetpools/${shared['id']}/add_prefixes`, { prefixes: ['10.2.0.0/16'] }, OTHER),
    403,
    'PolicyNotAuthorized',
  );
  const network = await harness.create('network', {}, OTHER);
  const hidden = { network_id: network['id'], subnetpool_id: own['id'], ip_version: 4, prefixlen: 24 };
  await refused(post(harness, 'subnet', hidden, OTHER), 404, 'SubnetPoolNotFound');
  const taken = { network_id: network['id'], subnetpool_id: shared['id'], ip_version: 4 };
  assert.equal((await harness.create('subnet', taken, OTHER))['cidr'], '10.1.0.0/24');
});

test('prefixes are added and removed whatever others there are', async (t) => {
  const harness = await startHarness(t);
  const one = await pool(harness, { prefixes: ['10.0.0.0/24'], default_prefixlen: 26 });
  const act = (action: string, body: unknown): Promise<Answer> =>
    harness.send('PUT', `/v2.0/subnetpools/${one['id']}/${action}`, body);
  for (const action of ['add_prefixes', 'remove_prefixes']) {
    for (const body of [{}, { prefixes: [] }, { prefixes: 'x' }, { prefixes: ['x'] }, { subnetpool: {} }]) {
      await refused(act(action, body), 400, 'HTTPBadRequest');
    }
  }
  const added = await act('add_prefixes', { prefixes: ['10.0.1.0/24', '10.1.0.0/24'] });
  assert.deepEqual([added.status, added.body], [200, { prefixes: ['10.0.0.0/23', '10.1.0.0/24'] }]);
  await refused(act('add_prefixes', { prefixes: ['fd00::/64'] }), 400, 'PrefixVersionMismatch');
  const network = await harness.create('network', {});
  await harness.create('subnet', { network_id: network['id'], subnetpool_id: one['id'], cidr: '10.0.1.0/26' });
  await refused(act('remove_prefixes', { prefixes: ['10.0.1.0/24'] }), 400, 'IllegalSubnetPoolPrefixUpdate');
  assert.deepEqual((await act('remove_prefixes', { prefixes: ['10.9.0.0/24'] })).body, added.body);
  const removed = await act('remove_prefixes', { prefixes: ['10.0.0.0/24', '10.1.0.0/25'] });
  assert.deepEqual(removed.body, { prefixes: ['10.0.1.0/24', '10.1.0.128/25'] });
  const next = { network_id: (await harness.create('network', {}))['id'], subnetpool_id: one['id'], prefixlen: 25 };
  assert.equal((await harness.create('subnet', next))['cidr'], '10.0.1.128/25');
  await assertInvariants(harness.server);
});

test('a pool without prefixes gives nothing until it has some', async (t) => {
  const harness = await startHarness(t);
  const one = await pool(harness, { prefixes: ['10.0.0.0/24'], default_prefixlen: 26 });
  const act = (action: string, prefixes: string[]): Promise<Answer> =>
    harness.send('PUT', `/v2.0/subnetpools/${one['id']}/${action}`, { prefixes });
  assert.deepEqual((await act('remove_prefixes', ['10.0.0.0/8'])).body, { prefixes: [] });
  const subnet = { network_id: (await harness.create('network', {}))['id'], subnetpool_id: one['id'] };
  await refused(post(harness, 'subnet', subnet), 409, 'SubnetAllocationError');
  await refused(act('add_prefixes', ['fd00::/64']), 400, 'PrefixVersionMismatch');
  assert.equal((await act('add_prefixes', ['10.1.0.0/24'])).status, 200);
  assert.equal((await harness.create('subnet', subnet))['cidr'], '10.1.0.0/26');
});

test('subnets that are there become those of a pool', async (t) => {
  const harness = await startHarness(t);
  const { create, send } = harness;
  const network = await create('network', { shared: true }, undefined);
  const subnet = await create('subnet', { network_id: network['id'], cidr: '10.5.0.0/24', ip_version: 4 });
  await create('subnet', { network_id: network['id'], cidr: 'fd00::/64', ip_version: 6 });
  const one = await pool(harness, { prefixes: ['10.0.0.0/24'] });
  const onboard = (id: unknown, networkId: unknown, headers = {}): Promise<Answer> =>
    send('PUT', `/v2.0/subnetpools/${id}/onboard_network_subnets`, { network_id: networkId }, headers);
  const answer = await onboard(one['id'], network['id']);
  assert.deepEqual([answer.status, answer.body], [200, [{ id: subnet['id'], cidr: '10.5.0.0/24' }]]);
  assert.equal((await send('GET', `/v2.0/subnets/${subnet['id']}`)).body['subnet']?.['subnetpool_id'], one['id']);
  assert.deepEqual((await send('GET', `/v2.0/subnetpools/${one['id']}`)).body['subnetpool']?.['prefixes'], [
    '10.0.0.0/24',
    '10.5.0.0/24',
  ]);
  await refused(onboard(one['id'], network['id']), 400, 'IllegalSubnetPoolUpdate');
  await refused(onboard(one['id'], randomUUID()), 404, 'NetworkNotFound');
  const own = await pool(harness, {}, MEMBER);
  await refused(onboard(own['id'], network['id'], MEMBER), 403, 'NotAuthorized');
  const next = await pool(harness, { prefixes: ['10.6.0.0/16'] });
  assert.equal((await onboard(next['id'], network['id'])).status, 200);
  assert.equal((await send('DELETE', `/v2.0/subnetpools/${one['id']}`)).status, 204);
  await assertInvariants(harness.server);
});
