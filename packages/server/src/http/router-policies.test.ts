/** Policy routes of routers through the API of a server. */
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

const MEMBER = { 'x-project-id': 'p', 'x-roles': 'member' };
const OTHER = { 'x-project-id': 'q', 'x-roles': 'member' };

/** A router of project p with an interface in 10.0.0.0/24 and one in 10.0.1.0/24, and requests about its policy routes. */
async function policyWorld({ create, send }: Harness) {
  const router = await create('router', {}, MEMBER);
  const attach = async (cidr: string, version = 4): Promise<Json> => {
    const network = await create('network', {}, MEMBER);
    const subnet = await create('subnet', { network_id: network['id'], cidr, ip_version: version }, MEMBER);
    const body = { subnet_id: subnet['id'] };
    assert.equal((await send('PUT', `/v2.0/routers/${router['id']}/add_router_interface`, body, MEMBER)).status, 200);
    return subnet;
  };
  const detach = (subnet: Json): Promise<Answer> =>
    send('PUT', `/v2.0/routers/${router['id']}/remove_router_interface`, { subnet_id: subnet['id'] }, MEMBER);
  const path = `/v2.0/routers/${router['id']}/policies`;
  const post = (fields: object, headers: Record<string, string> = MEMBER): Promise<Answer> =>
    send('POST', path, { router_policy: { priority: 100, action: 'drop', ...fields } }, headers);
  const made = async (fields: object): Promise<Json> => {
    const answer = await post(fields);
    assert.equal(answer.status, 201, JSON.stringify(answer.body));
    return answer.body['router_policy'] as Json;
  };
  const put = (one: Json, fields: object): Promise<Answer> =>
    send('PUT', `${path}/${one['id']}`, { router_policy: fields }, MEMBER);
  const remove = (one: Json): Promise<Answer> => send('DELETE', `${path}/${one['id']}`, undefined, MEMBER);
  return {
    router,
    attach,
    detach,
    path,
    post,
    made,
    put,
    remove,
    subnets: [await attach('10.0.0.0/24'), await attach('10.0.1.0/24')] as const,
  };
}

test('policy routes are made, changed, listed and taken away; with their router they go', async (t) => {
  const harness = await startHarness(t);
  const { send, server, store } = harness;
  const { router, detach, path, made, put, subnets } = await policyWorld(harness);
  const one = await made({
    ...{ action: 'reroute', next_hop: '10.0.1.5', subnet_id: subnets[0]['id'], protocol: 'TCP' },
    ...{
      source_ip_prefix: '10.0.0.77/25',
      destination_ip_prefix: '198.51.100.7',
      port_range_min: 80,
      port_range_max: 90,
    },
  });
  assert.deepEqual(
    ['source_ip_prefix', 'destination_ip_prefix', 'protocol', 'project_id', 'name'].map((name) => one[name]),
    ['10.0.0.0/25', '198.51.100.7/32', 'tcp', 'p', ''],
  );
  const two = await made({ priority: 7, action: 'allow' });
  assert.equal((await put(two, { priority: 8, name: 'rest' })).body['router_policy']?.['priority'], 8);
  assert.equal((await put(one, { action: 'drop', next_hop: null })).status, 200);
  assert.equal((await send('GET', `${path}?action=drop`, undefined, MEMBER)).body['router_policies']?.length, 1);
  assert.deepEqual((await send('GET', path, undefined, OTHER)).body['router_policies'] ?? [], []);
  await assertInvariants(server);
  assert.equal((await put(one, { subnet_id: null })).status, 200);
  for (const subnet of subnets) assert.equal((await detach(subnet)).status, 200);
  assert.equal((await send('DELETE', `/v2.0/routers/${router['id']}`, undefined, MEMBER)).status, 204);
  assert.deepEqual(
    (await keysLeft(store)).filter((key) => key.includes('policy')),
    [],
  );
  await assertInvariants(server);
});

test('what never matches, leads nowhere or is said twice is refused, and the remedy told', async (t) => {
  const harness = await startHarness(t);
  const { create } = harness;
  const { attach, post, made, put, subnets } = await policyWorld(harness);
  const six = await attach('fd00:1::/64', 6);
  const strange = await create('network', {}, MEMBER);
  const away = await create('subnet', { network_id: strange['id'], cidr: '10.9.0.0/24', ip_version: 4 }, MEMBER);
  const [first] = subnets;
  for (const [fields, why] of [
    [{ action: 'reroute' }, /needs next_hop/],
    [{ next_hop: '10.0.1.5' }, /next_hop is of action reroute alone/],
    [{ action: 'reroute', next_hop: '10.9.0.5' }, /next_hop 10\.9\.0\.5 is in no subnet/],
    [{ subnet_id: away['id'] }, /no interface in subnet_id/],
    [{ subnet_id: first['id'], source_ip_prefix: '10.0.1.0/24' }, /would never match/],
    [{ subnet_id: first['id'], destination_ip_prefix: 'fd00::/64' }, /is of IPv4, and the rest of IPv6/],
    [{ action: 'reroute', next_hop: '10.0.1.1' }, /next_hop 10\.0\.1\.1 is the router's own address/],
    [{ subnet_id: six['id'], action: 'reroute', next_hop: '10.0.1.5' }, /is of IPv6, and the rest of IPv4/],
    [{ source_ip_prefix: '10.0.0.0/8', destination_ip_prefix: 'fd00::/64' }, /both versions/],
    [{ protocol: 'nonsense' }, /protocol nonsense is not known/],
    [{ port_range_min: 1, port_range_max: 2 }, /needs a protocol with ports/],
    [{ protocol: 'icmp', port_range_min: 1, port_range_max: 2 }, /needs a protocol with ports/],
    [{ protocol: 'tcp', port_range_min: 1 }, /go together/],
    [{ protocol: 'tcp', source_port_range_min: 3, source_port_range_max: 2 }, /is above/],
  ] as const) {
    assert.match(await refused(post(fields), 400, 'InvalidInput'), why);
  }
  await refused(post({ priority: 40_000 }), 400, 'HTTPBadRequest');
  await refused(post({}, OTHER), 404, 'RouterNotFound');
  const one = await made({ subnet_id: first['id'], source_ip_prefix: '10.0.0.0/8' });
  assert.match(await refused(post({ priority: 100 }), 409, 'HTTPConflict'), /has priority 100 already/);
  await refused(put(one, { next_hop: '10.0.1.5' }), 400, 'InvalidInput');
  await assertInvariants(harness.server);
});

test('an interface stays as long as a policy route needs it, also for those who ask at the same time', async (t) => {
  const harness = await startHarness(t);
  const { detach, made, post, put, remove, subnets } = await policyWorld(harness);
  const [first, second] = subnets;
  const one = await made({ action: 'reroute', next_hop: '10.0.1.5', subnet_id: first['id'] });
  for (const subnet of subnets) {
    assert.match(
      await refused(detach(subnet), 409, 'RouterInterfaceInUseByPolicyRoute'),
      new RegExp(String(one['id'])),
    );
  }
  assert.equal((await remove(one)).status, 204);
  for (let round = 0; round < 12; round += 1) {
    const policy = round % 2 === 0 ? undefined : await made({});
    const hop = { action: 'reroute', next_hop: '10.0.1.5' };
    const [gone, led] = await Promise.all([detach(second), policy === undefined ? post(hop) : put(policy, hop)]);
    assert.equal([gone, led].filter(({ status }) => status < 300).length, 1, `${gone.status} ${led.status}`);
    await assertInvariants(harness.server);
    const left = led.body['router_policy'] ?? policy;
    if (left !== undefined) assert.equal((await remove(left)).status, 204);
    if (gone.status === 200) {
      assert.equal(
        (
          await harness.send(
            'PUT',
            `/v2.0/routers/${gone.body['id']}/add_router_interface`,
            { subnet_id: second['id'] },
            MEMBER,
          )
        ).status,
        200,
      );
    }
  }
});

test('a router has 64 policy routes at the most, each with a priority of its own, whoever asks; a project its quota', async (t) => {
  const harness = await startHarness(t);
  const { send } = harness;
  const { path, post } = await policyWorld(harness);
  const many = Array.from({ length: 63 }, (_, priority) => ({ priority, action: 'drop' }));
  assert.equal((await send('POST', path, { router_policies: many }, MEMBER)).status, 201);
  const answers = await Promise.all([1001, 1002, 1003].map((priority) => post({ priority })));
  assert.deepEqual(answers.map(({ status }) => status).sort(), [201, 409, 409]);
  assert.match(JSON.stringify(answers.map(({ body }) => body)), /64 policy routes, which is the most/);
  await assertInvariants(harness.server);
  const other = await policyWorld(harness);
  const twice = await Promise.all([other.post({ priority: 5 }), other.post({ priority: 5 })]);
  assert.deepEqual(twice.map(({ status }) => status).sort(), [201, 409]);
  await send('PUT', '/v2.0/quotas/p', { quota: { router_policy: 65 } });
  await refused(other.post({ priority: 6 }), 409, 'OverQuota');
});

test('the check tells of policy routes that break a rule', async (t) => {
  const harness = await startHarness(t);
  const { server, store } = harness;
  const { made } = await policyWorld(harness);
  const one = await made({ action: 'reroute', next_hop: '10.0.1.5' });
  const two = await made({ priority: 101 });
  const broken = async (object: Json, changes: object): Promise<string> => {
    const key = objectKey('router_policy', String(object['id']));
    const value = (await store.list(key)).kvs[0]?.value ?? '';
    const write = (text: string) => store.txn([], [{ kind: 'put', key, value: text }]);
    await write(JSON.stringify({ ...JSON.parse(value), ...changes }));
    const { violations } = await checkStore(server.deps);
    await write(value);
    return JSON.stringify(violations);
  };
  assert.match(await broken(one, { next_hop: '10.9.0.5' }), /policy routes lead through their router/);
  assert.match(await broken(one, { subnet_id: randomUUID() }), /policy routes lead through their router/);
  assert.match(await broken(one, { project_id: 'q' }), /of its router’s project/);
  assert.match(await broken(two, { priority: 100 }), /policy_priority/);
  await assertInvariants(server);
});

test('an interface does not take the address that a policy route leads to', async (t) => {
  const harness = await startHarness(t);
  const { send, server } = harness;
  const { router, made, remove, subnets } = await policyWorld(harness);
  const one = await made({ action: 'reroute', next_hop: '10.0.1.5' });
  const ports = await send('GET', `/v2.0/ports?device_id=${router['id']}&fixed_ips=subnet_id=${subnets[1]['id']}`);
  const leg = `/v2.0/ports/${ports.body['ports']?.[0]?.['id']}`;
  const move = (address: string) =>
    send('PUT', leg, { port: { fixed_ips: [{ subnet_id: subnets[1]['id'], ip_address: address }] } }, MEMBER);
  assert.match(await refused(move('10.0.1.5'), 400, 'InvalidInput'), /next_hop of policy route/);
  assert.equal((await move('10.0.1.9')).status, 200);
  await assertInvariants(server);
  assert.equal((await remove(one)).status, 204);
  assert.equal((await move('10.0.1.5')).status, 200);
});

test('a policy route of before that leads to its own router may be changed in other ways, and not be made anew', async (t) => {
  const harness = await startHarness(t);
  const { server, store } = harness;
  const { made, post, put } = await policyWorld(harness);
  const one = await made({ action: 'reroute', next_hop: '10.0.1.5' });
  const key = objectKey('router_policy', String(one['id']));
  const stored = JSON.parse((await store.get(key))?.value ?? '') as object;
  const own = JSON.stringify({ ...stored, next_hop: '10.0.1.1' });
  const { revision } = await store.txn([], [{ kind: 'put', key, value: own }]);
  assert.ok(await server.tables.waitFor(revision));
  assert.equal((await put(one, { priority: 101 })).status, 200);
  await refused(post({ action: 'reroute', next_hop: '10.0.1.1' }), 400, 'InvalidInput');
  assert.equal((await put(one, { next_hop: '10.0.1.5' })).status, 200);
  await refused(put(one, { next_hop: '10.0.1.1' }), 400, 'InvalidInput');
  await assertInvariants(server);
});
