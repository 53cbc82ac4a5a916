import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sleep } from '@cable/kit';
import type { Op, Store } from '../contract.ts';
import { Attempts } from '../testing/attempts.ts';
import { type EtcdServer, startEtcd } from '../testing/etcd-server.ts';
import { startTcpProxy, type TcpProxy } from '../testing/tcp-proxy.ts';
import { createToldLog, type ToldLog } from '../testing/told-log.ts';
import { openEtcd } from './etcd-store.ts';
import { LANES } from './lanes.ts';

type Context = { after(fn: () => Promise<void>): void };

type Place = { readonly server: EtcdServer; readonly store: Store };

/** An etcd, and a store on it. `timeoutMs`: how long its calls may take that have no deadline. */
async function ownPlace(t: Context, timeoutMs = 5000): Promise<Place> {
  const server = await startEtcd();
  t.after(() => server.remove());
  const store = await openEtcd({ endpoints: [server.endpoint], log: createToldLog().log, timeoutMs });
  t.after(() => store.close());
  return { server, store };
}

type TwoWays = Place & { readonly first: TcpProxy; readonly second: TcpProxy; readonly told: ToldLog['told'] };

/** One etcd that has two addresses, of which the store uses the first until that fails. */
async function twoWays(t: Context): Promise<TwoWays> {
  const server = await startEtcd();
  t.after(() => server.remove());
  const [first, second] = [await startTcpProxy(server.endpoint), await startTcpProxy(server.endpoint)];
  t.after(() => first.remove());
  t.after(() => second.remove());
  const { log, told } = createToldLog();
  second.holdRequests();
  const failed = told('etcd member failed', { endpoint: second.endpoint });
  const store = await openEtcd({ endpoints: [first.endpoint, second.endpoint], log });
  t.after(() => store.close());
  await failed;
  const answers = told('etcd member answers', { endpoint: second.endpoint });
  second.release();
  await answers;
  return { server, store, first, second, told };
}

async function attemptsOn(store: Store, count: number): Promise<Attempts> {
  const attempts = new Attempts(store, '/attempts/');
  await attempts.prepare(count);
  return attempts;
}

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await sleep(10);
}

const put = (key: string, lease?: string): Op => ({ kind: 'put', key, value: 'v', ...(lease && { lease }) });

test('etcd: what was done and whose answer is lost is answered as it truly was', { timeout: 60_000 }, async (t) => {
  const { first, store } = await twoWays(t);
  const attempts = await attemptsOn(store, 420);
  first.holdAnswers();
  await attempts.tryAll(0, 420);
  assert.deepEqual(Object.keys(attempts.answers).sort(), ['done', 'refused']);
  await attempts.verify();
});

test('etcd: a request that was sent again through another member is not done when it comes late', {
  timeout: 60_000,
}, async (t) => {
  const { first, store } = await twoWays(t);
  await store.txn([], [put('/there')]);
  first.holdRequests();
  const txns = Array.from({ length: 400 }, (_, n) => store.txn([], [put(`/late/${n}`)]));
  // Several requests are on their way, each of some thousand bytes, and none has been cancelled yet.
  await until(() => first.heldBytes() > 3000);
  first.loseRequests();
  for (const { ok } of await Promise.all(txns)) assert(ok);
  assert.equal((await store.list('/late/')).kvs.length, 400);
  await store.txn([], [{ kind: 'deletePrefix', prefix: '/late/' }]);
  const before = first.answerBytes();
  first.release();
  // etcd answers to what was held back.
  await until(() => first.answerBytes() > before + 200);
  assert.deepEqual((await store.list('/late/')).kvs, []);
});

test('etcd: a wide transaction whose answer is lost is answered as it truly was', { timeout: 60_000 }, async (t) => {
  const { first, store } = await twoWays(t);
  const keys = Array.from({ length: 700 }, (_, i) => `/wide/${i}`);
  first.holdAnswers();
  const done = await store.txn(
    keys.map((key) => ({ kind: 'absent', key })),
    keys.map((key) => put(key)),
  );
  first.release();
  assert.equal(done.ok, true);
  const { kvs } = await store.list('/wide/');
  assert.equal(kvs.length, 700);
  assert(kvs.every((kv) => kv.modRevision === done.revision));
});

test('etcd: stopped with 64 creates under way and continued in time, it answers each as it was', {
  timeout: 60_000,
}, async (t) => {
  const { server, store } = await ownPlace(t);
  const attempts = await attemptsOn(store, 192);
  for (let round = 0; round < 3; round += 1) {
    const trying = attempts.tryAll(64 * round, 64 * (round + 1));
    await server.signal('SIGSTOP');
    // So that requests are without an answer for long enough to be taken back.
    await sleep(1500);
    await server.signal('SIGCONT');
    await trying;
  }
  assert.deepEqual(Object.keys(attempts.answers).sort(), ['done', 'refused']);
  await attempts.verify();
});

test('etcd: stopped for longer than the deadline, it leaves few of which nobody knows and lies of none', {
  timeout: 60_000,
}, async (t) => {
  const { server, store } = await ownPlace(t, 600_000);
  const attempts = await attemptsOn(store, 640);
  await server.signal('SIGSTOP');
  // Nothing but the deadline ends them while it is stopped.
  await attempts.tryAll(0, 640, { deadlineMs: performance.now() + 1000 });
  await server.signal('SIGCONT');
  const { pending = 0, 'not-sent': notSent = 0 } = attempts.answers;
  assert.equal(pending + notSent, 640);
  assert(pending <= 160, `${pending} are pending`);
  await store.txn([], [put('/after')]);
  await attempts.verify();
});

test('etcd: killed and restarted under transactions of all kinds, it answers none falsely', {
  timeout: 90_000,
}, async (t) => {
  const { server, store } = await ownPlace(t);
  const attempts = await attemptsOn(store, 3000);
  const trying = attempts.tryAll(0, 3000, {}, 32);
  for (let round = 0; round < 2; round += 1) {
    await attempts.until(500 * (round + 1));
    await server.signal('SIGKILL');
    server.start();
  }
  await trying;
  await attempts.verify();
});

test('etcd: whatever is held back or cut on one way and the other, no answer is false', {
  timeout: 60_000,
}, async (t) => {
  const { store, first, second } = await twoWays(t);
  const attempts = await attemptsOn(store, 20_000);
  const end = new AbortController();
  const trying = attempts.tryAll(0, 20_000, {}, 48, end.signal);
  let seed = 7;
  const random = (below: number): number => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed % below;
  };
  for (let round = 0; round < 12; round += 1) {
    const proxy = random(2) === 0 ? first : second;
    const harm = [() => proxy.holdAnswers(), () => proxy.holdRequests(), () => proxy.cut()][random(3)];
    harm?.();
    await sleep(random(600));
    if (random(4) === 0) proxy.cut();
    proxy.release();
    await sleep(random(100));
  }
  end.abort();
  await trying;
  assert((attempts.answers['done'] ?? 0) > 100);
  await attempts.verify();
});

test('etcd: one that its caller gives up when it is on its way is answered as it was', {
  timeout: 60_000,
}, async (t) => {
  const { first, store } = await twoWays(t);
  first.holdAnswers();
  const abort = new AbortController();
  const sent = store.txn([], [put('/sent')], { signal: abort.signal });
  while ((await store.get('/sent')) === undefined) await sleep(10);
  abort.abort();
  const { ok, revision } = await sent;
  first.release();
  assert.deepEqual([ok, (await store.get('/sent'))?.modRevision], [true, revision]);
});

test('etcd: lanes are few, have a lease, are left by a deletion around them, and go with their store', {
  timeout: 60_000,
}, async (t) => {
  const { server, store } = await ownPlace(t);
  const other = await openEtcd({ endpoints: [server.endpoint], log: createToldLog().log });
  await Promise.all(Array.from({ length: 2000 }, (_, n) => other.txn([], [put(`/cable/o/${n}`)])));
  for (const prefix of ['/', '/cable/meta/', LANES.slice(0, -1)])
    await store.txn([], [{ kind: 'deletePrefix', prefix }]);
  const lanes = (await store.list('/')).kvs;
  assert(lanes.length <= 8 && lanes.every(({ key, lease }) => key.startsWith(LANES) && lease !== null));
  await other.close();
  assert.equal(new Set((await store.list('/')).kvs.map(({ key }) => key.split('/')[4])).size, 1);
});

test('etcd: a lane that is taken away, with its lease or alone, costs nothing but another', {
  timeout: 60_000,
}, async (t) => {
  const { server, store } = await ownPlace(t);
  const other = await openEtcd({ endpoints: [server.endpoint], log: createToldLog().log, lanes: '/other/' });
  t.after(() => other.close());
  await store.txn([], [put('/a')]);
  const lease = await store.grantLease(60);
  for (const { key } of (await other.list(LANES)).kvs) await other.txn([], [{ kind: 'delete', key }]);
  assert.equal((await store.txn([], [put('/b', lease)])).ok, true);
  for (const { lease: ofLane } of (await other.list(LANES)).kvs) await other.revokeLease(ofLane ?? '');
  assert.equal((await store.txn([], [put('/c', lease)])).ok, true);
  for (const { lease: ofLane } of (await other.list(LANES)).kvs) await other.revokeLease(ofLane ?? '');
  await store.revokeLease(lease);
  const results = await Promise.allSettled([
    ...Array.from({ length: 30 }, (_, n) => store.txn([], [put(`/d/${n}`)])),
    store.txn([], [put('/e', lease)]),
  ]);
  assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 30);
  await assert.rejects(store.txn([], [put('/e', lease)]), { code: 'lease-gone' });
  assert.equal((await store.list('/d/')).kvs.length, 30);
});
