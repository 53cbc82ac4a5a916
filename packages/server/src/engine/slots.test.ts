/** A project never has more than its quota, whoever writes, and requests far from it do not meet. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { silentLogger } from '@cable/kit';
import { openStore, type Store, type StoreEvent } from '@cable/store';
import { startTestEtcd } from '../hosts/etcd.fixture.ts';
import { OBJECTS, objectKey } from '../keys.ts';
import {
  type Answer,
  assertInvariants,
  type Harness,
  harnessOf,
  refused,
  startTestServer,
  type TestServerOptions,
} from '../testing/harness.ts';
import { SLOT } from './hidden.ts';
import { SlotBook } from './slot-book.ts';
import { QUOTA } from './slots.ts';

const PROJECT = 'p';

for (const kind of ['LMDB', 'etcd'] as const) {
  test(`two servers on ${kind} that are asked for more than the limit make exactly so many`, async (t) => {
    const servers = await startTwo(t, kind);
    await setLimit(servers[0], 15);
    const answers = await Promise.all(
      Array.from({ length: 80 }, (_, at) => createRouter(at % 2 ? servers[0] : servers[1])),
    );
    assert.deepEqual(tally(answers), { 201: 15, OverQuota: 65 });
    await assertAllWell(servers, 15);
  });

  test(`two servers on ${kind} make exactly so many under a limit that was lowered below slots that are held`, async (t) => {
    const servers = await startTwo(t, kind);
    await setLimit(servers[0], 60);
    const first = await Promise.all(
      Array.from({ length: 20 }, (_, at) => createRouter(at % 2 ? servers[0] : servers[1])),
    );
    assert.deepEqual(tally(first), { 201: 20 });
    await setLimit(servers[0], 25);
    const all = Array.from({ length: 40 }, (_, at) => createRouter(at % 2 ? servers[0] : servers[1]));
    assert.deepEqual(tally(await Promise.all(all)), { 201: 5, OverQuota: 35 });
    await assertAllWell(servers, 25);
  });

  test(`two servers on ${kind} keep to the limit while others delete and it is raised and lowered`, async (t) => {
    const servers = await startTwo(t, kind);
    await setLimit(servers[0], 10);
    const { revision } = await servers[0].store.list(objectKey(QUOTA, PROJECT));
    const watching = watchLimit(servers[0].store, revision + 1, 10);
    const work = { isOver: false };
    const workers = servers.flatMap((server) => Array.from({ length: 4 }, () => createAndDelete(server, 30)));
    const admin = changeLimit(servers[1], [25, 4, -1, 3, 12, 1, 30, 6, -1, 8], work);
    await Promise.all(workers);
    work.isOver = true;
    await admin;
    await setLimit(servers[0], LAST_LIMIT);
    const { breaches, most, creates } = await watching;
    assert.deepEqual(breaches, []);
    assert.ok(creates > 50 && most >= 4, `${creates} creates, at most ${most} at once`);
    const answers: Answer[] = [];
    for (let at = 0; at < LAST_LIMIT + 2; at += 1) answers.push(await createRouter(servers[at % 2] ?? servers[0]));
    assert.equal(answers.at(-1)?.status, 409);
    await assertAllWell(servers, LAST_LIMIT);
  });
}

test('requests far from the limit are not refused by the store for one another', async (t) => {
  const refusals = { count: 0 };
  const { harness, store } = await startOne(t, {}, (store) => counting(store, refusals));
  const other = await alongside(t, store);
  await setLimit(harness, 1000);
  const many = (servers: readonly Harness[]) =>
    Promise.all(Array.from({ length: 300 }, (_, at) => createRouter(servers[at % servers.length] ?? harness)));
  assert.deepEqual(tally(await many([harness])), { 201: 300 });
  assert.equal(refusals.count, 0);
  await setLimit(harness, 100_000_000);
  assert.deepEqual(tally(await many([harness, other])), { 201: 300 });
  assert.equal(refusals.count, 0);
});

test('without a limit an object has no slot and no key more', async (t) => {
  const { harness, store } = await startOne(t);
  const before = (await store.list('/cable/x/')).kvs;
  const router = await harness.create('router', { project_id: PROJECT });
  assert.deepEqual((await store.list('/cable/x/')).kvs, before);
  await setLimit(harness, 5);
  await harness.create('router', { project_id: PROJECT });
  assert.equal((await store.list('/cable/x/claim/slot/')).kvs.length, 1);
  await setLimit(harness, -1);
  await harness.create('router', { project_id: PROJECT });
  assert.equal((await store.list('/cable/x/claim/slot/')).kvs.length, 1);
  assert.equal(Object.keys(router).includes(SLOT), false);
});

test('objects that were there before the limit count, and each that goes makes room for one', async (t) => {
  const { harness } = await startOne(t);
  const { create, send } = harness;
  const before = [];
  for (let at = 0; at < 3; at += 1) before.push(await create('router', { project_id: PROJECT }));
  await setLimit(harness, 5);
  assert.deepEqual(tally(await Promise.all(Array.from({ length: 9 }, () => createRouter(harness)))), {
    201: 2,
    OverQuota: 7,
  });
  for (const { id } of before) {
    await send('DELETE', `/v2.0/routers/${id}`);
    assert.deepEqual(tally(await Promise.all(Array.from({ length: 3 }, () => createRouter(harness)))), {
      201: 1,
      OverQuota: 2,
    });
  }
});

test('under a lowered limit creates meet at the quota until no slot above it is held', async (t) => {
  const { harness } = await startOne(t, { random: () => 0.99 });
  const { create, send, server } = harness;
  await setLimit(harness, 10);
  const highest = await create('router', { project_id: PROJECT });
  await create('router', { project_id: PROJECT });
  assert.equal(server.tables.any('router').get(String(highest['id']))?.[SLOT], 9);
  await setLimit(harness, 5);
  const revision = () => Number(server.tables.any(QUOTA).get(PROJECT)?.['revision_number']);
  const lowered = revision();
  assert.deepEqual(tally(await Promise.all(Array.from({ length: 9 }, () => createRouter(harness)))), {
    201: 3,
    OverQuota: 6,
  });
  assert.equal(revision(), lowered + 3);
  await send('DELETE', `/v2.0/routers/${highest['id']}`);
  assert.equal((await createRouter(harness)).status, 201);
  await refused(createRouter(harness), 409, 'OverQuota');
  assert.equal(revision(), lowered + 3);
});

test('a lowered default is kept by projects without a quota of their own, which stay without', async (t) => {
  const first = await startOne(t, { quotas: { router: 10 }, random: () => 0.99 });
  for (let at = 0; at < 4; at += 1) await first.harness.create('router', { project_id: PROJECT });
  await refused(first.harness.send('DELETE', '/v2.0/quotas/p'), 404, 'TenantQuotaNotFound');
  const second = await alongside(t, first.store, { quotas: { router: 6 } });
  assert.deepEqual(tally(await Promise.all(Array.from({ length: 5 }, () => createRouter(second)))), {
    201: 2,
    OverQuota: 3,
  });
  assert.deepEqual((await second.send('GET', '/v2.0/quotas')).body, { quotas: [] });
  assert.equal((await second.send('GET', '/v2.0/quotas/p')).body['quota']?.['router'], 6);
  await refused(second.send('DELETE', '/v2.0/quotas/p'), 404, 'TenantQuotaNotFound');
});

test('a default for a type that is not counted is refused at the start', async (t) => {
  const { store } = await startOne(t);
  await assert.rejects(
    startTestServer(store, undefined, { quotas: { chassis: 1 } }),
    /--quota: chassis is not counted: give one of network, /,
  );
});

test('the book knows who holds what, and the highest, when slots move within a batch', () => {
  const book = new SlotBook();
  let tell: Parameters<Parameters<SlotBook['follow']>[0]['onChange']>[0] = () => {};
  book.follow({
    onChange: (listener) => {
      tell = listener;
      return () => {};
    },
  });
  const row = (id: string, slot?: number) => ({ id, project_id: 'p', ...(slot === undefined ? {} : { [SLOT]: slot }) });
  const change = (id: string, from?: number, to?: number) => ({
    ...{ type: 'port', id },
    before: from === undefined ? undefined : row(id, from),
    after: to === undefined ? undefined : row(id, to),
  });
  tell(1, [
    change('a', undefined, 3),
    change('b', undefined, 7),
    { type: 'port', id: 'c', before: undefined, after: row('c') },
  ]);
  assert.deepEqual([book.of('p', 'port').size, book.of('p', 'port').highest()], [2, 7]);
  tell(2, [change('d', undefined, 7), change('b', 7)]);
  assert.deepEqual([book.of('p', 'port').size, book.of('p', 'port').has(7)], [2, true]);
  tell(3, [change('d', 7)]);
  assert.equal(book.of('p', 'port').highest(), 3);
  tell(4, [change('a', 3)]);
  assert.deepEqual([book.of('p', 'port').size, book.of('p', 'port').highest(), book.of('q', 'port').size], [0, -1, 0]);
});

/** No limit of the test before has this value: it tells the watcher that nothing follows. */
const LAST_LIMIT = 17;

type Two = readonly [Harness, Harness];

/** Two servers, on etcd each with a store of its own. */
async function startTwo(t: TestContext, kind: 'LMDB' | 'etcd'): Promise<Two> {
  if (kind === 'LMDB') {
    const { harness, store } = await startOne(t);
    return [harness, await alongside(t, store)];
  }
  const etcd = await startTestEtcd();
  atEnd(t, () => etcd.remove());
  const started: Harness[] = [];
  for (let at = 0; at < 2; at += 1) {
    const store = await etcd.open();
    atEnd(t, () => store.close());
    started.push(await alongside(t, store));
  }
  const [first, second] = started;
  assert.ok(first !== undefined && second !== undefined);
  return [first, second];
}

/** A server on a new LMDB store. `wrap`: what it sees of the store. */
async function startOne(
  t: TestContext,
  options: TestServerOptions = {},
  wrap: (store: Store) => Store = (store) => store,
): Promise<{ readonly harness: Harness; readonly store: Store }> {
  const directory = await mkdtemp(join(tmpdir(), `cable-slots-${process.pid}-`));
  atEnd(t, () => rm(directory, { recursive: true, force: true }));
  const store = wrap(await openStore(`lmdb:${directory}`, { log: silentLogger() }));
  atEnd(t, () => store.close());
  return { harness: await alongside(t, store, options), store };
}

/** A server on a store that others may use; when the test ends what must hold is checked. */
async function alongside(t: TestContext, store: Store, options: TestServerOptions = {}): Promise<Harness> {
  const server = await startTestServer(store, undefined, options);
  atEnd(t, async () => {
    try {
      await assertInvariants(server);
    } finally {
      await server.stop();
    }
  });
  return harnessOf(store, server);
}

const ends = new WeakMap<TestContext, (() => Promise<unknown>)[]>();

/** What is begun last ends first. */
function atEnd(t: TestContext, end: () => Promise<unknown>): void {
  const known = ends.get(t);
  if (known !== undefined) {
    known.push(end);
    return;
  }
  const all = [end];
  ends.set(t, all);
  t.after(async () => {
    const failures: unknown[] = [];
    for (const one of all.reverse()) await one().catch((err: unknown) => failures.push(err));
    if (failures.length > 0) throw failures[0];
  });
}

/** Counts the transactions that the store refuses. */
function counting(store: Store, refusals: { count: number }): Store {
  const txn: Store['txn'] = async (...args) => {
    const result = await store.txn(...args);
    if (!result.ok) refusals.count += 1;
    return result;
  };
  return new Proxy(store, {
    get: (target, name) => {
      if (name === 'txn') return txn;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

async function setLimit({ send, server }: Harness, router: number): Promise<void> {
  const answer = await send('PUT', `/v2.0/quotas/${PROJECT}`, { quota: { router } });
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  assert.equal(server.tables.any(QUOTA).get(PROJECT)?.['router'], router);
}

function createRouter({ send }: Harness): Promise<Answer> {
  return send('POST', '/v2.0/routers', { router: { project_id: PROJECT } });
}

/** How often each outcome was: the status of success, or the name of the fault. */
function tally(answers: readonly Answer[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const { status, body } of answers) {
    const outcome = status < 300 ? String(status) : String(body['NeutronError']?.['type']);
    counts[outcome] = (counts[outcome] ?? 0) + 1;
  }
  return counts;
}

/** Creates, and deletes most of what it made, again and again. */
async function createAndDelete(harness: Harness, times: number): Promise<void> {
  const made: string[] = [];
  for (let at = 0; at < times; at += 1) {
    const { status, body } = await createRouter(harness);
    if (status === 201) made.push(String(body['router']?.['id']));
    else assert.match(String(body['NeutronError']?.['type']), /^(OverQuota|TooManyRequestsAtOnce)$/);
    if (at % 3 === 0) continue;
    const id = made.shift();
    if (id !== undefined) assert.equal((await harness.send('DELETE', `/v2.0/routers/${id}`)).status, 204);
  }
  for (const id of made) await harness.send('DELETE', `/v2.0/routers/${id}`);
}

async function changeLimit(
  harness: Harness,
  limits: readonly number[],
  work: { readonly isOver: boolean },
): Promise<void> {
  for (let at = 0; !work.isOver; at += 1) {
    await setLimit(harness, limits[at % limits.length] ?? 0);
    // Some creates pass between two changes.
    for (let wait = 0; wait < 5 && !work.isOver; wait += 1) await harness.send('GET', '/v2.0/routers');
  }
}

type Watched = { readonly breaches: readonly string[]; readonly most: number; readonly creates: number };

/** Follows the store until the last limit is set: each revision that leaves more objects than before must leave no more than the limit of then. */
async function watchLimit(store: Store, fromRevision: number, startLimit: number): Promise<Watched> {
  const routers = new Set<string>();
  const breaches: string[] = [];
  let [limit, most, creates] = [startLimit, 0, 0];
  const abort = new AbortController();
  const prefix = `${OBJECTS}router/`;
  for await (const { events, revision } of store.watch(OBJECTS, { fromRevision, signal: abort.signal })) {
    // Of the changes of one revision nobody knows the order.
    const revisions = new Map<number, StoreEvent[]>();
    for (const event of events) {
      const at = event.kind === 'put' ? event.kv.modRevision : event.modRevision;
      revisions.set(at, [...(revisions.get(at) ?? []), event]);
    }
    for (const [at, changes] of [...revisions].sort(([a], [b]) => a - b)) {
      const [count, before] = [routers.size, limit];
      for (const event of changes) {
        const key = event.kind === 'put' ? event.kv.key : event.key;
        if (event.kind === 'put' && key === objectKey(QUOTA, PROJECT))
          limit = Number(JSON.parse(event.kv.value).router);
        if (!key.startsWith(prefix)) continue;
        if (event.kind === 'delete') routers.delete(key);
        else if (!routers.has(key)) {
          routers.add(key);
          creates += 1;
        }
      }
      most = Math.max(most, routers.size);
      const allowed = limit < 0 || before < 0 ? Number.POSITIVE_INFINITY : Math.max(limit, before);
      if (routers.size > count && routers.size > allowed) breaches.push(`${routers.size} of ${allowed} at ${at}`);
    }
    if (limit === LAST_LIMIT) abort.abort();
    assert.ok(revision > 0);
  }
  return { breaches, most, creates };
}

/** So many are there, whichever server is asked. */
async function assertAllWell(servers: Two, count: number): Promise<void> {
  const newest = Math.max(...servers.map(({ server }) => server.tables.revision));
  for (const { server } of servers) {
    assert.ok(await server.tables.waitFor(newest));
    assert.equal(server.tables.any('router').size, count);
    await assertInvariants(server);
  }
}
