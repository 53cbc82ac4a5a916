/** Subnets from one pool, asked for at once, through one server and through two. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { silentLogger } from '@cable/kit';
import { openStore } from '@cable/store';
import { checkStore } from '../engine/check.ts';
import { objectKey } from '../keys.ts';
import {
  type Answer,
  assertInvariants,
  type Harness,
  harnessOf,
  type Json,
  startHarness,
  startTestServer,
} from '../testing/harness.ts';

/** Two servers on one store. */
async function startTwo(t: TestContext): Promise<readonly [Harness, Harness]> {
  const directory = await mkdtemp(join(tmpdir(), `cable-pools-${process.pid}-`));
  const store = await openStore(`lmdb:${directory}`, { log: silentLogger() });
  const servers = [await startTestServer(store), await startTestServer(store)] as const;
  t.after(async () => {
    for (const server of servers) await server.stop();
    await store.close();
    await rm(directory, { recursive: true, force: true });
  });
  return [harnessOf(store, servers[0]), harnessOf(store, servers[1])];
}

/** Networks of their own, so that they are not what the requests meet at. */
async function networks({ create }: Harness, count: number): Promise<readonly Json[]> {
  return Promise.all(Array.from({ length: count }, () => create('network', {})));
}

/** One subnet in each network, through the servers in turn, all at once. */
function take(servers: readonly Harness[], all: readonly Json[], attributes: object): Promise<readonly Answer[]> {
  return Promise.all(
    all.map((network, at) =>
      (servers[at % servers.length] as Harness).send('POST', '/v2.0/subnets', {
        subnet: { network_id: network['id'], ...attributes },
      }),
    ),
  );
}

function typesOf(answers: readonly Answer[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const { status, body } of answers) {
    const type = status === 201 ? 'made' : `${status} ${body['NeutronError']?.['type']}`;
    counts[type] = (counts[type] ?? 0) + 1;
  }
  return counts;
}

async function known(harness: Harness, ids: readonly unknown[]): Promise<void> {
  for (const id of ids) {
    const { body } = await harness.send('GET', `/v2.0/networks/${String(id)}`);
    assert.equal(body['network']?.['id'], id);
  }
}

test('two servers never give one prefix twice, and give all there are', async (t) => {
  const two = await startTwo(t);
  const pool = await two[0].create('subnetpool', {
    ...{ name: 'p', prefixes: ['10.0.0.0/24'], min_prefixlen: 29, default_prefixlen: 29 },
  });
  const all = await networks(two[0], 40);
  await known(
    two[1],
    all.map(({ id }) => id),
  );
  const answers = await take(two, all, { subnetpool_id: pool['id'] });
  assert.deepEqual(typesOf(answers), { made: 32, '409 SubnetAllocationError': 8 });
  const cidrs = answers.flatMap(({ status, body }) => (status === 201 ? [body['subnet']?.['cidr']] : []));
  assert.equal(new Set(cidrs).size, 32);
  await assertInvariants(two[1].server);
});

test('two servers never pass a project’s quota', async (t) => {
  const two = await startTwo(t);
  const pool = await two[0].create('subnetpool', {
    ...{ name: 'p', prefixes: ['10.0.0.0/16'], default_prefixlen: 28, default_quota: 160 },
  });
  const all = await networks(two[0], 24);
  await known(
    two[1],
    all.map(({ id }) => id),
  );
  const answers = await take(two, all, { subnetpool_id: pool['id'] });
  assert.deepEqual(typesOf(answers), { made: 10, '409 SubnetPoolQuotaExceeded': 14 });
});

test('a prefix is not removed beside a subnet that takes it', async (t) => {
  const two = await startTwo(t);
  const outcomes = { taken: 0, removed: 0 };
  const all = await networks(two[0], 20);
  for (const [round, network] of all.entries()) {
    const prefixes = [`10.${round}.0.0/24`];
    const pool = await two[0].create('subnetpool', { name: 'p', prefixes, default_prefixlen: 24 });
    const path = `/v2.0/subnetpools/${pool['id']}`;
    await known(two[1], [network['id']]);
    assert.equal((await two[1].send('GET', path)).status, 200);
    const [subnet, removed] = await Promise.all([
      two[round % 2]?.send('POST', '/v2.0/subnets', {
        subnet: { network_id: network['id'], subnetpool_id: pool['id'] },
      }),
      two[1]?.send('PUT', `${path}/remove_prefixes`, { prefixes }),
    ]);
    assert.ok([201, 409].includes(Number(subnet?.status)), JSON.stringify(subnet?.body));
    assert.ok([200, 400].includes(removed.status), JSON.stringify(removed.body));
    assert.notEqual(subnet?.status === 201, removed.status === 200);
    outcomes.taken += Number(subnet?.status === 201);
    outcomes.removed += Number(removed.status === 200);
  }
  assert.equal(outcomes.taken + outcomes.removed, all.length);
  await assertInvariants(two[0].server);
});

test('a pool does not come into another scope beside a router’s leg in its subnet', async (t) => {
  const two = await startTwo(t);
  const scopes = [
    await two[0].create('address_scope', { ip_version: 4 }),
    await two[0].create('address_scope', { ip_version: 4 }),
  ];
  const outcomes = { attached: 0, moved: 0 };
  for (let round = 0; round < 20; round += 1) {
    const poolOf = (at: number): Promise<Json> =>
      two[0].create('subnetpool', {
        ...{
          name: 'p',
          prefixes: [`10.${2 * round + at}.0.0/16`],
          default_prefixlen: 24,
          address_scope_id: scopes[0]?.['id'],
        },
      });
    const [first, second] = [await poolOf(0), await poolOf(1)];
    const subnets: Json[] = [];
    for (const pool of [first, second]) {
      const network = await two[0].create('network', {});
      subnets.push(await two[0].create('subnet', { network_id: network['id'], subnetpool_id: pool['id'] }));
    }
    const router = await two[0].create('router', {});
    const path = `/v2.0/routers/${router['id']}/add_router_interface`;
    assert.equal((await two[0].send('PUT', path, { subnet_id: subnets[0]?.['id'] })).status, 200);
    await known(two[1], [subnets[1]?.['network_id']]);
    const [attached, moved] = await Promise.all([
      two[round % 2]?.send('PUT', path, { subnet_id: subnets[1]?.['id'] }),
      two[1].send('PUT', `/v2.0/subnetpools/${second['id']}`, { subnetpool: { address_scope_id: scopes[1]?.['id'] } }),
    ]);
    assert.ok([200, 400].includes(Number(attached?.status)), JSON.stringify(attached?.body));
    assert.ok([200, 400].includes(moved.status), JSON.stringify(moved.body));
    assert.notEqual(attached?.status === 200, moved.status === 200);
    outcomes.attached += Number(attached?.status === 200);
    outcomes.moved += Number(moved.status === 200);
  }
  assert.equal(outcomes.attached + outcomes.moved, 20);
  await assertInvariants(two[0].server);
});

test('the check finds subnets that a pool has not, or has twice, and a network of two pools', async (t) => {
  const { create, store, server } = await startHarness(t);
  const pool = await create('subnetpool', { name: 'p', prefixes: ['10.0.0.0/24'], default_prefixlen: 26 });
  const [first, second] = await networks({ create } as Harness, 2);
  const subnet = await create('subnet', { network_id: first?.['id'], subnetpool_id: pool['id'] });
  await create('subnet', { network_id: second?.['id'], subnetpool_id: pool['id'] });
  const foundOf = async (changes: object): Promise<readonly string[]> => {
    const key = objectKey('subnet', String(subnet['id']));
    const { tenant_id: _, ...stored } = subnet as unknown as Record<string, unknown>;
    const written = await store.txn([], [{ kind: 'put', key, value: JSON.stringify({ ...stored, ...changes }) }]);
    assert.ok(written.ok && (await server.tables.waitFor(written.revision)));
    const { violations } = await checkStore(server.deps);
    return [...new Set(violations.map(({ rule }) => rule).filter((rule) => /pool/.test(rule)))];
  };
  const rule = 'subnets of a pool are of its prefixes, and do not overlap';
  assert.deepEqual(await foundOf({ cidr: '10.1.0.0/26' }), [rule]);
  assert.deepEqual(await foundOf({ cidr: '10.0.0.64/26' }), [rule]);
  assert.deepEqual(await foundOf({ network_id: second?.['id'], subnetpool_id: null }), [
    'the subnets of a network of one version of IP are of one pool or scope, or of none',
  ]);
});

test('a thousand subnets of a pool in one request are all different, and the next costs the same', async (t) => {
  const { create, send, server } = await startHarness(t);
  const pool = await create('subnetpool', { name: 'p', prefixes: ['10.0.0.0/8'], default_prefixlen: 28 });
  const network = await create('network', {});
  const subnet = { network_id: network['id'], subnetpool_id: pool['id'] };
  const table = server.tables.any('subnet');
  const { by } = table;
  let looks = 0;
  const counted: typeof by = (index, key) => {
    const rows = by.call(table, index, key);
    if (index === 'subnetpool_id') looks += rows.length;
    return rows;
  };
  Object.assign(table, { by: counted });
  for (let round = 0; round < 3; round += 1) {
    const { status, body } = await send('POST', '/v2.0/subnets', { subnets: Array(300).fill(subnet) });
    assert.equal(status, 201, JSON.stringify(body).slice(0, 300));
  }
  assert.equal(looks, 0, 'nobody looked at all subnets of the pool');
  const { body } = await send('GET', `/v2.0/subnets?subnetpool_id=${pool['id']}&fields=cidr`);
  assert.equal(new Set(body['subnets']?.map(({ cidr }) => cidr)).size, 900);
  await assertInvariants(server);
});
