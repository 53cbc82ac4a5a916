import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger, sleep } from '@cable/kit';
import type { Store } from '../contract.ts';
import { startEtcd, startEtcdCluster } from '../testing/etcd-server.ts';
import { startGrpcRelay } from '../testing/grpc-relay.ts';
import { eventsOf, watchUntil } from '../testing/watching.ts';
import { openEtcd } from './etcd-store.ts';

/** Steps of each kind of work after which nobody is held up. */
const STEPS = 20;

type Working = {
  /** Resolves when each kind of work has made some more steps. */
  goesOn(): Promise<void>;
  stop(): Promise<void>;
};

async function until(isTrue: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (!isTrue()) {
    assert(performance.now() < deadline, `in vain: ${what}`);
    await sleep(10);
  }
}

/** Writes, watches, reads and keeps a lease alive, each as fast as it goes. */
async function startWorking(store: Store, prefix: string): Promise<Working> {
  const end = new AbortController();
  const lease = await store.grantLease(60);
  const fromRevision = (await store.list(prefix)).revision + 1;
  const steps = { write: 0, watch: 0, read: 0, keepAlive: 0 };
  const write = async (): Promise<void> => {
    for (let n = 0; !end.signal.aborted; n += 1) {
      const key = `${prefix}${n}`;
      const { ok } = await store.txn([{ kind: 'absent', key }], [{ kind: 'put', key, value: '' }]);
      assert(ok);
      steps.write += 1;
    }
  };
  const watch = async (): Promise<void> => {
    for await (const _ of store.watch(prefix, { fromRevision, signal: end.signal })) steps.watch += 1;
  };
  const repeat = async (kind: 'read' | 'keepAlive', call: () => Promise<unknown>): Promise<void> => {
    while (!end.signal.aborted) {
      await call();
      steps[kind] += 1;
      await sleep(20);
    }
  };
  const read = repeat('read', () => store.list(`${prefix}1`));
  const keepAlive = repeat('keepAlive', () => store.keepAlive(lease));
  const working = Promise.all([write(), watch(), read, keepAlive]);
  return {
    goesOn: async () => {
      const before = { ...steps };
      for (const kind of ['write', 'watch', 'read', 'keepAlive'] as const)
        await until(() => steps[kind] >= before[kind] + STEPS, `steps of ${kind}`);
    },
    stop: async () => {
      end.abort();
      await working;
    },
  };
}

test('etcd: a member that stops, each in turn, holds up nobody until it goes on', { timeout: 240_000 }, async (t) => {
  const members = await startEtcdCluster();
  for (const member of members) t.after(() => member.remove());
  const store = await openEtcd({ endpoints: members.map(({ endpoint }) => endpoint), log: silentLogger() });
  t.after(() => store.close());
  for (const member of members) {
    const working = await startWorking(store, `/${member.endpoint}/`);
    await working.goesOn();
    await member.signal('SIGSTOP');
    await working.goesOn();
    await member.signal('SIGCONT');
    await working.goesOn();
    await working.stop();
  }
});

test('etcd: a watch that falls silent is opened again, and has no gap', { timeout: 120_000 }, async (t) => {
  const server = await startEtcd();
  t.after(() => server.remove());
  const relay = await startGrpcRelay(server.endpoint);
  t.after(() => relay.remove());
  const store = await openEtcd({ endpoints: [relay.endpoint], log: silentLogger() });
  t.after(() => store.close());
  const write = (n: number) => store.txn([], [{ kind: 'put', key: `/w/${n}`, value: '' }]);
  const { revision } = await write(0);
  for (const prefix of ['/w/', '/']) {
    let isRead = false;
    const read = watchUntil(store, prefix, revision, (batches) => {
      isRead ||= eventsOf(batches).length > 0;
      return eventsOf(batches).some((event) => event.kind === 'put' && event.kv.key === `/w/${prefix}/last`);
    });
    while (!isRead) await sleep(10);
    const before = relay.watches();
    relay.muteWatches();
    for (let n = 1; n < 10; n += 1) await write(n);
    await store.txn([], [{ kind: 'put', key: `/w/${prefix}/last`, value: '' }]);
    const keys = eventsOf(await read).map((event) => (event.kind === 'put' ? event.kv.key : ''));
    assert(keys.filter((key) => key.startsWith('/w/')).length >= 11);
    assert(relay.watches() > before);
  }
});

test('etcd: a watch of keys that nobody writes is left alone, and so is one that is not read', {
  timeout: 120_000,
}, async (t) => {
  const server = await startEtcd();
  t.after(() => server.remove());
  const relay = await startGrpcRelay(server.endpoint);
  t.after(() => relay.remove());
  const store = await openEtcd({ endpoints: [relay.endpoint], log: silentLogger() });
  t.after(() => store.close());
  const abort = new AbortController();
  const { revision } = await store.txn([], [{ kind: 'put', key: '/busy/0', value: '' }]);
  const idle = watchUntil(store, '/idle/', revision, () => true);
  const slow = (async () => {
    for await (const _ of store.watch('/', { fromRevision: revision, signal: abort.signal })) await sleep(300);
  })();
  for (let n = 1; n < 60; n += 1) {
    await store.txn([], [{ kind: 'put', key: `/busy/${n}`, value: '' }]);
    await sleep(50);
  }
  assert.equal(relay.watches(), 2);
  await store.txn([], [{ kind: 'put', key: '/idle/0', value: '' }]);
  await idle;
  abort.abort();
  await slow;
});

test('etcd: health tells for how long nothing was answered', { timeout: 120_000 }, async (t) => {
  const server = await startEtcd();
  t.after(() => server.remove());
  const store = await openEtcd({ endpoints: [server.endpoint], log: silentLogger() });
  t.after(() => store.close());
  /** The last answer came after that time. */
  const isAnsweredSince = (ms: number): boolean => performance.now() - store.health().answeredAgoMs > ms;
  const opened = performance.now();
  await until(() => isAnsweredSince(opened), 'a probe is answered, though nothing is asked for');
  await server.signal('SIGSTOP');
  // What it has answered before is read.
  await sleep(100);
  const stopped = performance.now();
  await sleep(1500);
  assert(!isAnsweredSince(stopped));
  await server.signal('SIGCONT');
  const asked = performance.now();
  await store.get('/any');
  assert(isAnsweredSince(asked));
});
