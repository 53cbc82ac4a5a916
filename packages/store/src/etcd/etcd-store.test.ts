import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { silentLogger } from '@cable/kit';
import type { Store } from '../contract.ts';
import { StoreError } from '../errors.ts';
import { contractSuite } from '../testing/contract-suite.ts';
import { type EtcdServer, startEtcd } from '../testing/etcd-server.ts';
import { eventsOf, watchUntil } from '../testing/watching.ts';
import { openEtcd } from './etcd-store.ts';

const etcd = await startEtcd();
after(() => etcd.remove());
contractSuite(
  'etcd',
  () => openEtcd({ endpoints: [etcd.endpoint], log: silentLogger() }),
  async (t) => {
    const small = await startEtcd(16 << 20);
    t.after(() => small.remove());
    return await openEtcd({ endpoints: [small.endpoint], log: silentLogger() });
  },
);

type Context = { after(fn: () => Promise<void>): void };

/** An etcd that the test may kill, and a store on it. */
async function ownEtcd(t: Context, timeoutMs: number): Promise<{ readonly server: EtcdServer; readonly store: Store }> {
  const server = await startEtcd();
  t.after(() => server.remove());
  const store = await openEtcd({ endpoints: [server.endpoint], log: silentLogger(), timeoutMs });
  t.after(() => store.close());
  return { server, store };
}

/** Writes until told to stop; gives the keys whose write was answered. */
function startWriting(store: Store): { readonly keys: string[]; stop(): Promise<void> } {
  const keys: string[] = [];
  let isStopped = false;
  const loop = async (writer: number): Promise<void> => {
    for (let i = 0; !isStopped; i += 1) {
      const key = `/w/${writer}/${i}`;
      try {
        const result = await store.txn([{ kind: 'absent', key }], [{ kind: 'put', key, value: 'v'.repeat(200) }]);
        assert(result.ok);
        keys.push(key);
      } catch (err) {
        assert(err instanceof StoreError && ['unavailable', 'pending'].includes(err.code), String(err));
      }
    }
  };
  const done = Promise.all([loop(0), loop(1), loop(2), loop(3)]);
  return {
    keys,
    stop: async () => {
      isStopped = true;
      await done;
    },
  };
}

/** Repeats a call while it is `unavailable`, for a minute. */
async function answered(call: () => Promise<void>): Promise<void> {
  const deadline = Date.now() + 60_000;
  for (;;) {
    try {
      return await call();
    } catch (err) {
      if (!(err instanceof StoreError && err.retryable) || Date.now() > deadline) throw err;
    }
  }
}

async function until(isTrue: () => boolean): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!isTrue()) {
    assert(Date.now() < deadline, 'waited for a minute');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test('etcd: killed and restarted twice under writers, it loses nothing acknowledged and the watch has no gap', {
  timeout: 90_000,
}, async (t) => {
  const { server, store } = await ownEtcd(t, 3000);
  const seen: string[] = [];
  const abort = new AbortController();
  const from = (await store.list('/')).revision + 1;
  const watching = (async () => {
    let last = 0;
    for await (const batch of store.watch('/w/', { fromRevision: from, signal: abort.signal })) {
      assert(batch.revision > last);
      last = batch.revision;
      for (const event of batch.events) seen.push(event.kind === 'put' ? event.kv.key : `-${event.key}`);
    }
  })();
  const writing = startWriting(store);
  for (let round = 1; round <= 2; round += 1) {
    const before = writing.keys.length;
    await until(() => writing.keys.length >= before + 100);
    await server.signal('SIGKILL');
    server.start();
    const restarted = writing.keys.length;
    await until(() => writing.keys.length >= restarted + 100);
  }
  await writing.stop();
  const { kvs } = await store.list('/w/');
  const stored = new Set(kvs.map((kv) => kv.key));
  assert.deepEqual(
    writing.keys.filter((key) => !stored.has(key)),
    [],
  );
  await until(() => seen.length >= stored.size);
  abort.abort();
  await watching;
  // Each write once, none missing, none twice.
  assert.equal(seen.length, stored.size);
  assert.deepEqual(new Set(seen), stored);
});

test('etcd: one that does not answer makes calls fail as unavailable in time, and is used again when it does', {
  timeout: 60_000,
}, async (t) => {
  const { server, store } = await ownEtcd(t, 500);
  await store.txn([], [{ kind: 'put', key: '/a', value: '1' }]);
  const lease = await store.grantLease(30);
  assert.equal(await store.keepAlive(lease), true);
  await server.signal('SIGSTOP');
  const txn = store.txn([], [{ kind: 'put', key: '/b', value: '1' }]);
  const calls = [
    store.get('/a', { deadlineMs: performance.now() + 100 }),
    store.list('/', { signal: AbortSignal.timeout(100) }),
    store.get('/a'),
    store.list('/'),
    store.keepAlive(lease),
  ];
  const isUnavailable = (err: unknown): boolean =>
    err instanceof StoreError && err.code === 'unavailable' && err.retryable;
  await Promise.all([
    ...calls.map((call) => assert.rejects(call, isUnavailable)),
    assert.rejects(txn, { code: 'pending', retryable: true }),
  ]);
  // All that while it was stopped.
  await server.signal('SIGCONT');
  await answered(async () => assert.equal((await store.get('/a'))?.value, '1'));
  await answered(async () => assert.equal(await store.keepAlive(lease), true));
});

test('etcd: a list in portions whose revision is compacted meanwhile says so', { timeout: 60_000 }, async () => {
  const store = await openEtcd({ endpoints: [etcd.endpoint], log: silentLogger() });
  const write = async (at: number): Promise<number> => {
    const ops = Array.from(
      { length: 128 },
      (_, i) => ({ kind: 'put', key: `/forgotten/${at}/${i}`, value: '' }) as const,
    );
    return (await store.txn([], ops)).revision;
  };
  for (let at = 0; at < 80; at += 1) await write(at);
  const list = async (): Promise<void> => {
    for await (const _portion of store.listPages('/forgotten/')) await store.compact(await write(17));
  };
  await assert.rejects(list(), { code: 'compacted' });
  assert.equal((await store.list('/forgotten/')).kvs.length, 80 * 128);
  await store.close();
});

test('etcd: members that are down are passed over', { timeout: 60_000 }, async () => {
  const store = await openEtcd({ endpoints: ['127.0.0.1:1', 'localhost:1', etcd.endpoint], log: silentLogger() });
  const result = await store.txn([], [{ kind: 'put', key: '/failover', value: '1' }]);
  const batches = await watchUntil(store, '/failover', result.revision, () => true);
  assert.equal(eventsOf(batches).length, 1);
  await store.close();
});

test('etcd: a cluster that is not there is named with the remedy', { timeout: 60_000 }, async () => {
  await assert.rejects(openEtcd({ endpoints: ['127.0.0.1:1'], log: silentLogger(), timeoutMs: 300 }), {
    code: 'unavailable',
    message: 'no etcd answers at 127.0.0.1:1: start it, or correct --store',
  });
});
