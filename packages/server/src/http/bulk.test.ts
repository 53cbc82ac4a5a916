/** Many objects in one request: all or none, in one transaction. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  assertInvariants,
  harnessOf,
  type Json,
  keysLeft,
  refused,
  startHarness,
  startTestServer,
} from '../testing/harness.ts';

function addressesOf(ports: Json): string[] {
  return ports.flatMap((port) => port['fixed_ips']?.map((ip) => String(ip['ip_address'])) ?? []);
}

test('many objects of one request are there at once, for whoever follows the store too', async (t) => {
  const { send, create, store } = await startHarness(t);
  const network = await create('network', {});
  await create('subnet', { network_id: network['id'], cidr: '10.0.0.0/21', ip_version: 4 });
  const ports = Array.from({ length: 1000 }, (_, n) => ({ network_id: network['id'], name: `port-${n}` }));
  const answer = await send('POST', '/v2.0/ports', { ports });
  assert.equal(answer.status, 201);
  const { kvs } = await store.list('/cable/o/port/');
  assert.equal(kvs.length, 1000);
  assert.equal(new Set(kvs.map((kv) => kv.createRevision)).size, 1);
  assert.equal(new Set(addressesOf(answer.body['ports'] as Json)).size, 1000);
});

test('more than the store takes at once is refused, with nothing done', async (t) => {
  const { send, create, store } = await startHarness(t);
  const network = await create('network', {});
  // The first brings the project's default group.
  await create('port', { network_id: network['id'] });
  const before = await keysLeft(store);
  const big = { network_id: network['id'], description: 'x'.repeat(255), name: 'y'.repeat(255) };
  const bulk = (count: number) => send('POST', '/v2.0/ports', { ports: Array.from({ length: count }, () => big) });
  const message = await refused(bulk(1000), 413, 'HTTPRequestEntityTooLarge');
  const fit = /^1000 ports .* at most (\d+) of them in one request/.exec(message)?.[1];
  assert.deepEqual(await keysLeft(store), before);
  assert.equal((await bulk(Number(fit))).status, 201);
});

test('requests for many through two servers, beside others for one, in one subnet: all are done, and no address twice', async (t) => {
  const first = await startHarness(t);
  const other = await startTestServer(first.store);
  t.after(() => other.stop());
  const second = harnessOf(first.store, other);
  const network = await first.create('network', {});
  await first.create('subnet', { network_id: network['id'], cidr: '10.0.0.0/21', ip_version: 4 });
  await other.tables.waitFor(first.server.tables.revision, 5000);
  const port = { network_id: network['id'] };
  const many = { ports: Array.from({ length: 300 }, () => port) };
  const singles = async ({ send }: typeof second): Promise<void> => {
    for (let n = 0; n < 60; n += 1) assert.equal((await send('POST', '/v2.0/ports', { port })).status, 201);
  };
  const bulks = [first, second, first, second].map(({ send }) => send('POST', '/v2.0/ports', many));
  await Promise.all([singles(first), singles(second), ...bulks]);
  for (const bulk of bulks) assert.equal((await bulk).status, 201, JSON.stringify((await bulk).body).slice(0, 300));
  const all = (await first.send('GET', '/v2.0/ports')).body['ports'] as Json;
  assert.equal(all.length, 4 * 300 + 2 * 60);
  assert.equal(new Set(addressesOf(all)).size, all.length);
  await assertInvariants(first.server);
});
