import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger, sleep } from '@cable/kit';
import type { Store } from '../contract.ts';
import { startEtcd, startEtcdCluster } from '../testing/etcd-server.ts';
import { startGrpcRelay } from '../testing/grpc-relay.ts';
import { eventsOf, watchUntil } from '../testing/watching.ts';
import { openEtcd } from './etcd-store.ts';

/** Generous: it is a second and a quarter, and two when etcd has to elect a leader. */
const LONGEST_MS = 4000;

/** The longest time between two calls of `beat`. */
class Pulse {
  longestMs = 0;
  #lastMs: number = performance.now();

  beat(): void {
    const now = performance.now();
    this.longestMs = Math.max(this.longestMs, now - this.#lastMs);
    this.#lastMs = now;
  }
}

/** Writes, watches, reads and keeps a lease alive, each as fast as it goes; `stop` gives the longest time that each took for a step. */
async function startWorking(
  store: Store,
  prefix: string,
): Promise<{ stop(): Promise<Readonly<Record<string, number>>> }> {
  const end = new AbortController();
  const lease = await store.grantLease(60);
  const fromRevision = (await store.list(prefix)).revision + 1;
  const pulses = { write: new Pulse(), watch: new Pulse(), read: new Pulse(), keepAlive: new Pulse() };
  const write = async (): Promise<void> => {
    for (let n = 0; !end.signal.aborted; n += 1) {
      const key = `${prefix}${n}`;
      const { ok } = await store.txn([{ kind: 'absent', key }], [{ kind: 'put', key, value: '' }]);
      assert(ok);
      pulses.write.beat();
    }
  };
  const watch = async (): Promise<void> => {
    for await (const _ of store.watch(prefix, { fromRevision, signal: end.signal })) pulses.watch.beat();
  };
  const repeat = async (pulse: Pulse, call: () => Promise<unknown>): Promise<void> => {
    while (!end.signal.aborted) {
      await call();
      pulse.beat();
      await sleep(20);
    }
  };
  const read = repeat(pulses.read, () => store.list(`${prefix}1`));
  const keepAlive = repeat(pulses.keepAlive, () => store.keepAlive(lease));
  const working = Promise.all([write(), watch(), read, keepAlive]);
  return {
    stop: async () => {
      end.abort();
      await working;
      return Object.fromEntries(Object.entries(pulses).map(([name, pulse]) => [name, Math.round(pulse.longestMs)]));
    },
  };
}

test('etcd: a member that stops, each in turn, holds up nobody for long', { timeout: 90_000 }, async (t) => {
  const members = await startEtcdCluster();
  for (const member of members) t.after(() => member.remove());
  const store = await openEtcd({ endpoints: members.map(({ endpoint }) => endpoint), log: silentLogger() });
  t.after(() => store.close());
  for (const member of members) {
    const working = await startWorking(store, `/${member.endpoint}/`);
    await sleep(500);
    await member.signal('SIGSTOP');
    await sleep(4000);
    await member.signal('SIGCONT');
    await sleep(1500);
    const longest = await working.stop();
    t.diagnostic(JSON.stringify(longest));
    for (const [what, ms] of Object.entries(longest)) assert(ms < LONGEST_MS, `${what}: ${ms} ms`);
  }
});

test('etcd: a watch that falls silent is opened again, and has no gap', { timeout: 30_000 }, async (t) => {
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
    const started = performance.now();
    for (let n = 1; n < 10; n += 1) await write(n);
    await store.txn([], [{ kind: 'put', key: `/w/${prefix}/last`, value: '' }]);
    const keys = eventsOf(await read).map((event) => (event.kind === 'put' ? event.kv.key : ''));
    assert(keys.filter((key) => key.startsWith('/w/')).length >= 11);
    assert(relay.watches() > before);
    assert(performance.now() - started < 4000);
  }
});

test('etcd: a watch of keys that nobody writes is left alone, and so is one that is not read', {
  timeout: 30_000,
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

test('etcd: health tells for how long nothing was answered', { timeout: 30_000 }, async (t) => {
  const server = await startEtcd();
  t.after(() => server.remove());
  const store = await openEtcd({ endpoints: [server.endpoint], log: silentLogger() });
  t.after(() => store.close());
  // Longer than between two probes.
  await sleep(2500);
  assert(store.health().answeredAgoMs < 2000);
  await server.signal('SIGSTOP');
  await sleep(2500);
  assert(store.health().answeredAgoMs >= 2400);
  await server.signal('SIGCONT');
  await store.get('/any');
  assert(store.health().answeredAgoMs < 1000);
});
