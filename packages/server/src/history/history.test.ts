import assert from 'node:assert/strict';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, type TestContext, test } from 'node:test';
import { silentLogger } from '@cable/kit';
import type { StoreHistory } from '@cable/model';
import { openStore, type Store } from '@cable/store';
import { aliveKey, CLUSTER, historyMarkKey, MARKS, SERVERS, serverKey } from '../keys.ts';
import { guardStore } from './guarded-store.ts';
import { History, type HistoryDeps } from './history.ts';
import { parseMark } from './marks.ts';
import { type SnapshotStore, snapshotEtcd } from './snapshot.fixture.ts';

/** A server as far as its history goes: `seen` is what its tables would hold. */
type Server = { readonly history: History; seen: number; others: number; now: number; stop(): Promise<void> };

async function startServer(t: TestContext, store: Store, more: Partial<HistoryDeps> = {}): Promise<Server> {
  const abort = new AbortController();
  const lease = await store.grantLease(60);
  servers += 1;
  const state = { seen: 0, others: 0, now: 0 };
  const history = await History.start({
    store,
    log: silentLogger(),
    signal: abort.signal,
    monotonicMs: () => state.now,
    revision: () => state.seen,
    onOther: async () => {
      state.others += 1;
      state.seen = (await store.list('/')).revision;
    },
    presence: { kind: 'put', key: serverKey(`s${servers}`), value: '{}', lease },
    ...more,
  });
  const stop = async (): Promise<void> => {
    if (abort.signal.aborted) return;
    abort.abort();
    await history.done;
    // Of a store that a restore has closed: its lease is gone with it.
    await store.revokeLease(lease).catch(() => {});
  };
  t.after(stop);
  return Object.assign(state, { history, stop });
}

let servers = 0;
let writes = 0;

/** Some change; gives its revision. */
async function write(store: Store): Promise<number> {
  writes += 1;
  return (await store.txn([], [{ kind: 'put', key: `/cable/o/x/${writes % 3}`, value: String(writes) }])).revision;
}

type HistoryStore = HistoryDeps['store'];

function bound(store: Store): HistoryStore {
  return {
    get: (key) => store.get(key),
    list: (prefix) => store.list(prefix),
    txn: (compares, ops) => store.txn(compares, ops),
    watch: (prefix, options) => store.watch(prefix, options),
  };
}

/** `list`, and what happens between the answer of one prefix and what is made of it. */
function afterwards(store: Store, prefix: string, then: () => Promise<void>): HistoryStore['list'] {
  return async (asked) => {
    const found = await store.list(asked);
    if (asked === prefix) await then();
    return found;
  };
}

/** What happens when a server is killed: its lease ends some time later. */
async function endLease(store: Store): Promise<number> {
  const lease = await store.grantLease(60);
  await store.txn([], [{ kind: 'put', key: serverKey('gone'), value: '{}', lease }]);
  await store.revokeLease(lease);
  return (await store.list('/')).revision;
}

describe('history on LMDB', () => {
  let directory: string;
  let store: Store;
  const open = (name = 'store'): Promise<Store> => openStore(`lmdb:${join(directory, name)}`, { log: silentLogger() });

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), `cable-history-${process.pid}-`));
    store = await open();
  });
  afterEach(async () => {
    await store.close();
    await rm(directory, { recursive: true, force: true });
  });

  async function snapshot(): Promise<void> {
    await store.close();
    await cp(join(directory, 'store'), join(directory, 'snapshot'), { recursive: true });
    store = await open();
  }

  async function restore(): Promise<void> {
    await store.close();
    await rm(join(directory, 'store'), { recursive: true });
    await cp(join(directory, 'snapshot'), join(directory, 'store'), { recursive: true });
    store = await open();
  }

  test('the identity is made once and each start writes a mark that names its number', async (t) => {
    const first = await startServer(t, store);
    const second = await startServer(t, store);
    assert.equal(first.history.current.cluster, second.history.current.cluster);
    assert.match(first.history.current.mark, /^1-[0-9a-f]{16}$/);
    assert.match(second.history.current.mark, /^2-[0-9a-f]{16}$/);
    assert.equal((await store.get(CLUSTER))?.value, first.history.current.cluster);
  });

  test('what a client has seen is known after any number of restarts', async (t) => {
    const first = await startServer(t, store);
    const held = first.history.current;
    const seen = await write(store);
    await first.stop();
    for (let n = 0; n < 3; n += 1) {
      await write(store);
      const next = await startServer(t, store);
      assert.equal(await next.history.knows(held, seen), true);
      await next.stop();
    }
  });

  test('a mark, a store and a revision that the store does not have are not known', async (t) => {
    const first = await startServer(t, store);
    const { cluster, mark } = first.history.current;
    for (const other of [
      { cluster, mark: `1-${'0'.repeat(16)}` },
      { cluster, mark: `2-${'0'.repeat(16)}` },
      { cluster, mark: '' },
      { cluster, mark: '__proto__' },
      { cluster: 'another', mark },
    ] satisfies StoreHistory[]) {
      assert.equal(await first.history.knows(other, 1), false, JSON.stringify(other));
    }
  });

  test('a client that saw what a restore lost is found out, and one that did not is known', async (t) => {
    const first = await startServer(t, store);
    const held = first.history.current;
    const kept = await write(store);
    await first.stop();
    await snapshot();
    const lost = await write(store);
    await restore();
    const second = await startServer(t, store);
    assert.equal(await second.history.knows(held, kept), true);
    assert.equal(await second.history.knows(held, lost), false);
  });

  test('it is found out also when later writes have passed the old revision', async (t) => {
    const first = await startServer(t, store);
    const held = first.history.current;
    await first.stop();
    await snapshot();
    const lost = await write(store);
    await restore();
    const second = await startServer(t, store);
    for (let n = 0; n < 10; n += 1) await write(store);
    assert.equal(await second.history.knows(held, lost), false);
    const third = await startServer(t, store);
    assert.equal(await third.history.knows(held, lost), false);
  });

  test('it is found out when a mark that it holds was lost, whatever was written since', async (t) => {
    await snapshot();
    const first = await startServer(t, store);
    const held = first.history.current;
    await first.stop();
    await restore();
    const second = await startServer(t, store);
    assert.equal(await second.history.knows(held, 1), false);
  });

  test('it is found out when leases have ended in the restored store before a server started', async (t) => {
    const first = await startServer(t, store);
    const held = first.history.current;
    const kept = await write(store);
    const lease = await store.grantLease(60);
    await store.txn([], [{ kind: 'put', key: serverKey('a'), value: '{}', lease }]);
    await first.stop();
    await snapshot();
    const lost = await write(store);
    await restore();
    await store.txn([], [{ kind: 'delete', key: serverKey('a') }]);
    assert.equal((await store.list('/')).revision, lost);
    const second = await startServer(t, store);
    assert.equal(await second.history.knows(held, lost), false);
    assert.equal(await second.history.knows(held, kept), true);
  });

  test('the end of a killed server’s lease estranges nobody', async (t) => {
    const first = await startServer(t, store);
    const held = first.history.current;
    const seen = await write(store);
    await first.stop();
    await endLease(store);
    const second = await startServer(t, store);
    assert.equal(await second.history.knows(held, seen), true);
  });

  test('a server that starts beside a living one vouches for what that one has told its clients', async (t) => {
    const first = await startServer(t, store);
    const held = first.history.current;
    await store.txn([], [{ kind: 'put', key: serverKey('first'), value: '{}' }]);
    await store.txn([], [{ kind: 'put', key: aliveKey('h'), value: '{}' }]);
    const seen = (await store.txn([], [{ kind: 'delete', key: aliveKey('h') }])).revision;
    const second = await startServer(t, store);
    assert.equal(await second.history.knows(held, seen), true);
    assert.equal(await first.history.knows(held, seen), true);
  });

  test('servers that start at once estrange none of each other’s clients, and take each other for no other history', async (t) => {
    const first = await startServer(t, store);
    const held = first.history.current;
    const firstWrites = async (): Promise<void> => {
      first.seen = await write(store);
    };
    const beside = { ...bound(store), list: afterwards(store, SERVERS, firstWrites) };
    const second = await startServer(t, store, { store: beside });
    await first.history.check();
    assert.equal(first.others, 0);
    assert.equal(await first.history.knows(held, first.seen), true);
    assert.equal(await second.history.knows(held, first.seen), true);
  });

  test('a mark is written once a minute when something was written, by one server, and all follow it', async (t) => {
    const [a, b] = [await startServer(t, store), await startServer(t, store)];
    await a.history.check();
    assert.equal(a.history.current.mark, b.history.current.mark);
    for (const server of [a, b]) server.now = 61_000;
    await a.history.check();
    assert.equal((await store.list(MARKS)).kvs.length, 2, 'nothing was written, so no mark either');
    a.seen = await write(store);
    b.seen = a.seen;
    await a.history.check();
    await b.history.check();
    assert.equal((await store.list(MARKS)).kvs.length, 3);
    assert.equal(a.history.current.mark, b.history.current.mark);
  });

  test('a running server finds a restore by its mark, takes everything in anew, and refuses who held the old', async (t) => {
    const first = await startServer(t, store);
    const held = first.history.current;
    first.seen = await write(store);
    assert.equal(await first.history.knows(held, first.seen), true);
    const mark = await store.get(historyMarkKey(1));
    await store.txn([], [{ kind: 'delete', key: mark?.key ?? '' }]);
    await first.history.check();
    assert.equal(first.others, 1);
    assert.notEqual(first.history.current.mark, held.mark);
    assert.equal(await first.history.knows(held, 1), false);
    assert.equal(await first.history.knows(first.history.current, first.seen), true);
    await first.history.check();
    assert.equal(first.others, 1);
  });

  test('a running server finds a restore by the fall of the revision', async (t) => {
    const first = await startServer(t, store);
    const held = first.history.current;
    first.seen = (await write(store)) + 2;
    await first.history.check();
    assert.equal(first.others, 1);
    assert.equal(await first.history.knows(held, first.seen), false);
  });

  test('of two running servers one writes the mark of the other history and the other follows it', async (t) => {
    const [a, b] = [await startServer(t, store), await startServer(t, store)];
    await a.history.check();
    for (const server of [a, b]) server.seen = (await write(store)) + 5;
    await a.history.check();
    const between = await write(store);
    const told = a.history.current;
    await b.history.check();
    assert.deepEqual([a.others, b.others], [1, 1]);
    assert.equal(b.history.current.mark, told.mark);
    assert.equal(await b.history.knows(told, between), true);
  });

  test('a transaction that is answered with a passed revision is a fall, and nobody is known until all is taken in', async (t) => {
    const gate: { open: () => void } = { open: () => {} };
    const opened = new Promise<void>((resolve) => {
      gate.open = resolve;
    });
    const server = await startServer(t, store, { onOther: () => opened });
    const guarded = guardStore(store, { revision: () => server.seen, onFall: () => server.history.fell() });
    server.seen = await write(guarded);
    const held = server.history.current;
    assert.equal(await server.history.knows(held, server.seen), true);
    server.seen += 1;
    await write(guarded);
    assert.equal(await server.history.knows(held, server.seen), false);
    gate.open();
  });

  test('a refused transaction that tells the present revision is no fall', async () => {
    let falls = 0;
    const at = { seen: 0 };
    const guarded = guardStore(store, { revision: () => at.seen, onFall: () => (falls += 1) });
    at.seen = await write(guarded);
    await guarded.txn([{ kind: 'absent', key: CLUSTER }], []);
    await guarded.txn([{ kind: 'exists', key: CLUSTER }], [{ kind: 'put', key: '/cable/o/x/9', value: '' }]);
    assert.equal(falls, 0);
  });

  test('old marks are pruned with the writing of new ones', async (t) => {
    const old = { text: `1-${'0'.repeat(16)}` };
    const newest = { text: `50000-${'0'.repeat(16)}` };
    await store.txn(
      [],
      [
        { kind: 'put', key: historyMarkKey(1), value: JSON.stringify(old) },
        { kind: 'put', key: historyMarkKey(50_000), value: JSON.stringify(newest) },
      ],
    );
    await startServer(t, store);
    assert.equal(await store.get(historyMarkKey(1)), undefined);
    assert.deepEqual(
      (await store.list(MARKS)).kvs.map((kv) => parseMark(kv)?.number),
      [50_000, 50_001],
    );
  });
});

describe('history on etcd', () => {
  let place: SnapshotStore;
  beforeEach(async () => {
    place = await snapshotEtcd();
  });
  afterEach(() => place.remove());

  test('a restored snapshot is another history for clients that saw what it lost, also when later writes have passed it', async (t) => {
    const first = await startServer(t, await place.open());
    const store = await place.open();
    const held = first.history.current;
    const kept = await write(store);
    await place.snapshot();
    const lost = await write(store);
    await first.stop();
    await place.restore();
    const after = await place.open();
    assert.equal((await after.list('/')).revision, kept);
    const second = await startServer(t, after);
    for (let n = 0; n < 5; n += 1) await write(after);
    assert.equal(await second.history.knows(held, kept), true);
    assert.equal(await second.history.knows(held, lost), false);
  });

  test('a server that runs on through a restore finds it', async (t) => {
    const store = await place.open();
    const server = await startServer(t, store);
    const held = server.history.current;
    server.seen = await write(store);
    await place.snapshot();
    server.seen = await write(store);
    const lost = server.seen;
    await place.restore();
    const deadline = performance.now() + 60_000;
    while (server.others === 0 && performance.now() < deadline) await server.history.check().catch(() => {});
    assert.equal(await server.history.knows(held, lost), false);
    assert.equal(await server.history.knows(server.history.current, server.seen), true);
  });
});
