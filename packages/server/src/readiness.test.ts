/** `/readyz` of whole servers, on real stores that fail. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { silentLogger } from '@cable/kit';
import { openStore, type Store } from '@cable/store';
import { startTestEtcd, type TestEtcd } from './hosts/etcd.fixture.ts';
import type { CableServer } from './server.ts';
import {
  assertInvariants,
  harnessOf,
  keysLeft,
  refused,
  type Send,
  senderOf,
  startHarness,
  startTestServer,
} from './testing/harness.ts';
import { mountSmall } from './testing/small-disk.ts';

/** Names of the checks that fail. */
async function unready(send: Send): Promise<readonly string[]> {
  const { status, body } = await send('GET', '/readyz');
  const names = [...(body['unready'] ?? [])].map((one) => String(one['name']));
  assert.deepEqual([status, String(body['ready'])], names.length === 0 ? [200, 'true'] : [503, 'false']);
  if (status === 503) assert.equal(String(body['NeutronError']?.['type']), 'ServiceUnavailable');
  return names;
}

async function untilUnready(send: Send, wanted: readonly string[]): Promise<void> {
  const until = performance.now() + 60_000;
  for (;;) {
    const found = await unready(send);
    if (found.join() === wanted.join()) return;
    assert.ok(performance.now() < until, `${found.join()} in place of ${wanted.join()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

type OnEtcd = {
  readonly etcd: TestEtcd;
  readonly store: Store;
  readonly server: CableServer;
  readonly send: Send;
};

async function onEtcd(t: TestContext, quotaBytes?: number): Promise<OnEtcd> {
  const etcd = await startTestEtcd(quotaBytes);
  const store = await etcd.open();
  const server = await startTestServer(store);
  t.after(async () => {
    etcd.signal('SIGCONT');
    await server.stop();
    await store.close();
    await etcd.remove();
  });
  return { etcd, store, server, send: senderOf(server) };
}

test('a server whose etcd is paused is not ready meanwhile, and ready again after it', async (t) => {
  const { etcd, send } = await onEtcd(t);
  await untilUnready(send, []);
  etcd.signal('SIGSTOP');
  await untilUnready(send, ['store']);
  assert.equal((await send('GET', '/healthz')).status, 200);
  etcd.signal('SIGCONT');
  await untilUnready(send, []);
});

function gateway({ url }: TestEtcd, path: string, body: object): Promise<Response> {
  return fetch(`${url}/v3/${path}`, { method: 'POST', body: JSON.stringify(body) });
}

/** Others write to the same etcd until it has reached its quota. */
async function fill(etcd: TestEtcd): Promise<void> {
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  const put = { key: base64('other'), value: base64('x'.repeat(1_000_000)) };
  while ((await gateway(etcd, 'kv/put', put)).ok);
}

/** What an operator does then. */
async function makeRoom(etcd: TestEtcd, revision: number): Promise<void> {
  const { alarms } = (await (await gateway(etcd, 'maintenance/alarm', { action: 'GET' })).json()) as {
    alarms: object[];
  };
  for (const [path, body] of [
    ['kv/compaction', { revision, physical: true }],
    ['maintenance/defragment', {}],
    ['maintenance/alarm', { action: 'DEACTIVATE', ...alarms[0] }],
  ] as const) {
    const answer = await gateway(etcd, path, body);
    assert.ok(answer.ok, `${path}: ${await answer.text()}`);
  }
}

test('an etcd that has reached its quota takes no part of a bulk, and its server is not ready until it is in order', async (t) => {
  const { etcd, store, server, send } = await onEtcd(t, 8 << 20);
  await fill(etcd);
  // The many are nested transactions, for which alone etcd would not look at its quota.
  for (const length of [5, 200]) {
    const networks = Array.from({ length }, (_, n) => ({ name: `n${n}` }));
    await refused(send('POST', '/v2.0/networks', { networks }), 503, 'StoreFull');
  }
  assert.deepEqual(await keysLeft(store), []);
  await assertInvariants(server);
  await untilUnready(send, ['room']);
  await makeRoom(etcd, (await store.list('/cable/o/')).revision);
  await untilUnready(send, []);
});

test('a server whose disk is full is not ready until there is room again', async (t) => {
  const { path, leave } = mountSmall(t);
  const store = await openStore(`lmdb:${path}/store`, { log: silentLogger() });
  t.after(() => store.close());
  const server = await startTestServer(store);
  t.after(() => server.stop());
  const { send } = harnessOf(store, server);
  leave(5 << 20);
  await refused(send('POST', '/v2.0/networks', { network: {} }), 503, 'StoreFull');
  assert.deepEqual(await unready(send), ['room']);
  leave(20 << 20);
  // Nobody writes: the server finds out by itself.
  await untilUnready(send, []);
});

test('a server that stops is not ready from then on', async (t) => {
  const { server, send } = await startHarness(t);
  assert.deepEqual(await unready(send), []);
  const stopped = server.stop();
  assert.deepEqual(await unready(send), ['stopping']);
  await stopped;
});

test('a server that did nothing else for long is not ready for a while', async (t) => {
  const { store } = await startHarness(t);
  // For how long: event-loop.test.ts.
  const clock = { now: 0 };
  const server = await startTestServer(store, undefined, { monotonicMs: () => clock.now });
  t.after(() => server.stop());
  const send = senderOf(server);
  assert.deepEqual(await unready(send), []);
  clock.now = 1500;
  await untilUnready(send, ['loop']);
});
