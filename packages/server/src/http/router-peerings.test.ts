/** Peerings of routers through the API of a server. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { checkStore } from '../engine/check.ts';
import { objectKey } from '../keys.ts';
import {
  type Answer,
  assertInvariants,
  type Harness,
  type Json,
  keysLeft,
  refused,
  startHarness,
} from '../testing/harness.ts';

type Headers = Record<string, string>;

const P: Headers = { 'x-project-id': 'p', 'x-roles': 'member' };
const Q: Headers = { 'x-project-id': 'q', 'x-roles': 'member' };

/** A project's router, with an interface in each of these subnets (those of IPv4 with more), and requests about its peerings. */
async function routerOf({ create, send }: Harness, headers: Headers, cidrs: readonly string[], ofIpv4: object = {}) {
  const router = await create('router', {}, headers);
  const id = String(router['id']);
  const act = (action: string, subnet: Json): Promise<Answer> =>
    send('PUT', `/v2.0/routers/${id}/${action}_router_interface`, { subnet_id: subnet['id'] }, headers);
  const subnets: Json[] = [];
  for (const cidr of cidrs) {
    const network = await create('network', {}, headers);
    const version = cidr.includes(':') ? 6 : 4;
    const given = { network_id: network['id'], cidr, ip_version: version, ...(version === 4 ? ofIpv4 : {}) };
    const subnet = await create('subnet', given, headers);
    assert.equal((await act('add', subnet)).status, 200);
    subnets.push(subnet);
  }
  const path = `/v2.0/routers/${id}/peerings`;
  const post = (fields: object, by = headers): Promise<Answer> => send('POST', path, { router_peering: fields }, by);
  const show = async (one: Json): Promise<Json> =>
    (await send('GET', `${path}/${one['id']}`, undefined, headers)).body['router_peering'] as Json;
  return {
    ...{ id, path, subnets, post, show },
    attach: (subnet: Json) => act('add', subnet),
    detach: (subnet: Json) => act('remove', subnet),
    made: async (peer: string, fields: object = {}): Promise<Json> => {
      const answer = await post({ peer_router_id: peer, ...fields });
      assert.equal(answer.status, 201, JSON.stringify(answer.body));
      return answer.body['router_peering'] as Json;
    },
    put: (one: Json, fields: object): Promise<Answer> =>
      send('PUT', `${path}/${one['id']}`, { router_peering: fields }, headers),
    remove: (one: Json): Promise<Answer> => send('DELETE', `${path}/${one['id']}`, undefined, headers),
    state: async (one: Json): Promise<unknown> => {
      const { status, peer_prefixes: prefixes } = await show(one);
      return [status, prefixes];
    },
  };
}

function ids(subnets: readonly Json[]): unknown[] {
  return subnets.map((one) => one['id']);
}

test('a peering is active once both owners have made their side, and tells of the other what that lets through alone', async (t) => {
  const harness = await startHarness(t);
  const { send, server } = harness;
  const here = await routerOf(harness, P, ['10.1.0.0/24', '10.2.0.0/24', 'fd01::/64']);
  const there = await routerOf(harness, Q, ['10.8.0.0/24', '10.9.0.0/24', 'fd08::/64']);
  const one = await here.made(there.id, { subnet_ids: ids(here.subnets.slice(0, 1)), name: 'to-q' });
  assert.deepEqual([one['status'], one['peer_prefixes'], one['project_id']], ['DOWN', [], 'p']);
  assert.match(String(one['waits_for']), new RegExp(`peering of router ${there.id} with router ${here.id}`));
  const other = await there.made(here.id, { subnet_ids: ids(there.subnets.filter((_, at) => at !== 1)) });
  assert.deepEqual(await here.state(one), ['ACTIVE', ['10.8.0.0/24', 'fd08::/64']]);
  assert.deepEqual(await there.state(other), ['ACTIVE', ['10.1.0.0/24']]);
  assert.equal((await here.show(one))['waits_for'], '');
  assert.deepEqual((await send('GET', there.path, undefined, P)).body['router_peerings'] ?? [], []);
  assert.equal((await here.put(one, { accepted_prefixes: ['10.8.0.0/16', 'FD07:0::/32'] })).status, 200);
  assert.deepEqual((await here.show(one))['accepted_prefixes'], ['10.8.0.0/16', 'fd07::/32']);
  assert.deepEqual(await here.state(one), ['ACTIVE', ['10.8.0.0/24']]);
  assert.equal((await send('PUT', `/v2.0/routers/${there.id}`, { router: { admin_state_up: false } }, Q)).status, 200);
  assert.deepEqual(await here.state(one), ['DOWN', []]);
  assert.match(String((await there.show(other))['waits_for']), /admin_state_up/);
  assert.equal((await send('PUT', `/v2.0/routers/${there.id}`, { router: { admin_state_up: true } }, Q)).status, 200);
  await assertInvariants(server);
  assert.equal((await there.remove(other)).status, 204);
  assert.deepEqual(await here.state(one), ['DOWN', []]);
  assert.deepEqual((await send('GET', `${here.path}?status=DOWN`, undefined, P)).body['router_peerings']?.length, 1);
});

test('nobody learns by a peering whether there is a router, nor makes a side for a router of others', async (t) => {
  const harness = await startHarness(t);
  const here = await routerOf(harness, P, []);
  const there = await routerOf(harness, Q, []);
  const nowhere = randomUUID();
  const [none, some] = [await here.made(nowhere), await here.made(there.id)];
  const text = (one: Json, id: string): string => String(one['waits_for']).replaceAll(id, 'X');
  assert.equal(text(none, nowhere), text(some, there.id));
  assert.deepEqual([none['status'], some['status']], ['DOWN', 'DOWN']);
  await refused(there.post({ peer_router_id: here.id }, P), 404, 'RouterNotFound');
  await assertInvariants(harness.server);
});

test('what overlaps is not in force, for either side: own subnets go first, then the older peering', async (t) => {
  const harness = await startHarness(t);
  const here = await routerOf(harness, P, ['10.1.0.0/24']);
  const same = await routerOf(harness, Q, ['10.1.0.0/25', '10.8.0.0/24']);
  const one = await here.made(same.id, { subnet_ids: ids(here.subnets) });
  const other = await same.made(here.id, { subnet_ids: ids(same.subnets) });
  assert.deepEqual(await here.state(one), ['ACTIVE', ['10.8.0.0/24']]);
  assert.deepEqual(await same.state(other), ['ACTIVE', []]);
  const late = await routerOf(harness, Q, ['10.8.0.128/25', '10.7.0.0/24']);
  const two = await here.made(late.id, { subnet_ids: ids(here.subnets) });
  await late.made(here.id, { subnet_ids: ids(late.subnets) });
  const order = [one, two].sort((a, b) =>
    String(a['created_at']) + a['id'] < String(b['created_at']) + b['id'] ? -1 : 1,
  );
  const [first, second] = await Promise.all(order.map((side) => here.state(side)));
  assert.deepEqual(
    [first, second],
    order[0] === one
      ? [
          ['ACTIVE', ['10.8.0.0/24']],
          ['ACTIVE', ['10.7.0.0/24']],
        ]
      : [
          ['ACTIVE', ['10.8.0.128/25', '10.7.0.0/24']],
          ['ACTIVE', []],
        ],
  );
  assert.equal((await same.remove(other)).status, 204);
  assert.deepEqual(await here.state(two), ['ACTIVE', ['10.8.0.128/25', '10.7.0.0/24']]);
  await assertInvariants(harness.server);
});

test('nothing of another address scope is in force, for either side', async (t) => {
  const harness = await startHarness(t);
  const { create, server } = harness;
  const scope = await create('address_scope', { name: 's', ip_version: 4, shared: true });
  const inScope = async (prefix: string): Promise<object> => {
    const given = { name: prefix, prefixes: [prefix], shared: true, address_scope_id: scope['id'] };
    return { subnetpool_id: (await create('subnetpool', given))['id'] };
  };
  const [first, second] = [await inScope('10.16.0.0/12'), await inScope('10.32.0.0/12')];
  const here = await routerOf(harness, P, ['10.16.1.0/24', 'fd01::/64'], first);
  const same = await routerOf(harness, Q, ['10.32.2.0/24', 'fd02::/64'], second);
  const none = await routerOf(harness, Q, ['10.64.3.0/24', 'fd03::/64']);
  const both = async (other: typeof none): Promise<readonly unknown[]> => {
    const one = await here.made(other.id, { subnet_ids: ids(here.subnets) });
    const back = await other.made(here.id, { subnet_ids: ids(other.subnets) });
    return [await here.state(one), await other.state(back)];
  };
  assert.deepEqual(await both(same), [
    ['ACTIVE', ['10.32.2.0/24', 'fd02::/64']],
    ['ACTIVE', ['10.16.1.0/24', 'fd01::/64']],
  ]);
  assert.deepEqual(await both(none), [
    ['ACTIVE', ['fd03::/64']],
    ['ACTIVE', ['fd01::/64']],
  ]);
  await assertInvariants(server);
});

test('what a router is not in, what is too much and what is said twice is refused', async (t) => {
  const harness = await startHarness(t);
  const { create, send } = harness;
  const here = await routerOf(harness, P, ['10.1.0.0/24']);
  const network = await create('network', {}, P);
  const away = await create('subnet', { network_id: network['id'], cidr: '10.9.0.0/24', ip_version: 4 }, P);
  const peer = randomUUID();
  const many = Array.from({ length: 65 }, (_, n) => `10.${n}.0.0/16`);
  for (const [fields, why] of [
    [{ peer_router_id: here.id }, /peer_router_id is the router itself/],
    [{ peer_router_id: peer, subnet_ids: [away['id']] }, /no interface in .* of subnet_ids: attach it first/],
    [{ peer_router_id: peer, accepted_prefixes: many }, /accepted_prefixes has more than 64/],
  ] as const) {
    assert.match(await refused(here.post(fields), 400, 'InvalidInput'), why);
  }
  await refused(here.post({ peer_router_id: peer, subnet_ids: [randomUUID()] }), 404, 'SubnetNotFound');
  await refused(here.post({ peer_router_id: peer, accepted_prefixes: ['10.0.0.0/33'] }), 400, 'HTTPBadRequest');
  await refused(here.post({}), 400, 'HTTPBadRequest');
  await refused(
    here.post({ peer_router_id: peer, subnet_ids: ids([...here.subnets, ...here.subnets]) }),
    400,
    'HTTPBadRequest',
  );
  const one = await here.made(peer, { subnet_ids: ids(here.subnets) });
  await refused(here.put(one, { peer_router_id: randomUUID() }), 400, 'HTTPBadRequest');
  await refused(here.put(one, { subnet_ids: [away['id']] }), 400, 'InvalidInput');
  const twice = await Promise.all([
    here.post({ peer_router_id: away['id'] }),
    here.post({ peer_router_id: away['id'] }),
  ]);
  assert.deepEqual(twice.map(({ status }) => status).sort(), [201, 409]);
  assert.match(await refused(here.post({ peer_router_id: peer }), 409, 'HTTPConflict'), /already/);
  const rest = Array.from({ length: 29 }, () => ({ peer_router_id: randomUUID() }));
  assert.equal((await send('POST', here.path, { router_peerings: rest }, P)).status, 201);
  const answers = await Promise.all([1, 2, 3].map(() => here.post({ peer_router_id: randomUUID() })));
  assert.deepEqual(answers.map(({ status }) => status).sort(), [201, 409, 409]);
  assert.match(JSON.stringify(answers.map(({ body }) => body)), /32 peerings, which is the most/);
  await send('PUT', '/v2.0/quotas/p', { quota: { router_peering: 32 } });
  const second = await routerOf(harness, P, []);
  await refused(second.post({ peer_router_id: peer }), 409, 'OverQuota');
  await assertInvariants(harness.server);
});

test('an interface stays as long as a peering lets its subnet through; with their router peerings go', async (t) => {
  const harness = await startHarness(t);
  const { send, store, server } = harness;
  const here = await routerOf(harness, P, ['10.1.0.0/24']);
  const there = await routerOf(harness, Q, ['10.8.0.0/24']);
  const [subnet] = here.subnets;
  assert.ok(subnet);
  const one = await here.made(there.id, { subnet_ids: [subnet['id']] });
  const other = await there.made(here.id, { subnet_ids: ids(there.subnets) });
  const told = await refused(here.detach(subnet), 409, 'RouterInterfaceInUseByPeering');
  assert.match(told, new RegExp(String(one['id'])));
  for (let round = 0; round < 12; round += 1) {
    assert.equal((await here.put(one, { subnet_ids: [] })).status, 200);
    const [gone, through]: readonly Answer[] = await Promise.all([
      here.detach(subnet),
      here.put(one, { subnet_ids: [subnet['id']] }),
    ]);
    assert.equal(
      [gone, through].filter((one) => (one?.status ?? 500) < 300).length,
      1,
      `${gone?.status} ${through?.status}`,
    );
    await assertInvariants(server);
    if (gone?.status === 200) assert.equal((await here.attach(subnet)).status, 200);
  }
  assert.equal((await here.put(one, { subnet_ids: [] })).status, 200);
  assert.equal((await here.detach(subnet)).status, 200);
  assert.equal((await send('DELETE', `/v2.0/routers/${here.id}`, undefined, P)).status, 204);
  assert.deepEqual(await there.state(other), ['DOWN', []]);
  const left = (await keysLeft(store)).filter((key) => key.includes('peering') && key.includes(here.id));
  assert.deepEqual(
    left.filter((key) => !key.includes(there.id)),
    [],
  );
  await assertInvariants(server);
});

test('the check tells of peerings that break a rule', async (t) => {
  const harness = await startHarness(t);
  const { server, store } = harness;
  const here = await routerOf(harness, P, ['10.1.0.0/24']);
  const [one, two] = [await here.made(randomUUID(), { subnet_ids: ids(here.subnets) }), await here.made(randomUUID())];
  const broken = async (object: Json, changes: object): Promise<string> => {
    const key = objectKey('router_peering', String(object['id']));
    const value = (await store.list(key)).kvs[0]?.value ?? '';
    const write = (text: string) => store.txn([], [{ kind: 'put', key, value: text }]);
    await write(JSON.stringify({ ...JSON.parse(value), ...changes }));
    const { violations } = await checkStore(server.deps);
    await write(value);
    return JSON.stringify(violations);
  };
  assert.match(await broken(one, { subnet_ids: [randomUUID()] }), /lets through what its router is in/);
  assert.match(await broken(one, { peer_router_id: here.id }), /the router itself/);
  assert.match(await broken(one, { project_id: 'q' }), /of its router’s project/);
  assert.match(await broken(two, { peer_router_id: one['peer_router_id'] }), /peering/);
  await assertInvariants(server);
});
