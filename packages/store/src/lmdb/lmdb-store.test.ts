import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { silentLogger } from '@cable/kit';
import { sourceProgram } from '@cable/kit/testing';
import type { Store } from '../contract.ts';
import { StoreError } from '../errors.ts';
import { contractSuite } from '../testing/contract-suite.ts';
import { eventsOf, watchUntil } from '../testing/watching.ts';
import { LmdbFiles } from './files.ts';
import { openLmdb } from './lmdb-store.ts';

const dir = mkdtempSync(join(tmpdir(), 'cable-store-'));
after(() => rmSync(dir, { recursive: true }));
const open = (name: string, historyRevisions?: number): Store =>
  openLmdb({
    path: join(dir, name),
    log: silentLogger(),
    ...(historyRevisions === undefined ? {} : { historyRevisions }),
  });

contractSuite(
  'lmdb',
  async () => open('suite'),
  async (t) => openLmdb({ path: join(mountSmall(t, '24m'), 'store'), log: silentLogger() }),
);

/** A file system of its own, of this size. */
function mountSmall(t: TestContext, size: string): string {
  const mount = mkdtempSync(join(tmpdir(), `cable-full-${process.pid}-`));
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'cable-test', mount]);
  t.after(() => {
    execFileSync('umount', ['--lazy', mount]);
    rmSync(mount, { recursive: true });
  });
  return mount;
}

test('lmdb: without room for a new store the opening is refused, with the directory and the remedy', (t) => {
  const mount = mountSmall(t, '9m');
  const path = join(mount, 'store');
  const opening = (): unknown => openLmdb({ path, log: silentLogger() });
  const refusal = {
    code: 'full',
    message: /^--store: no room in the directory .*\/store \(.*\): make room, or choose/,
  };
  writeFileSync(join(mount, 'large'), Buffer.alloc(4 << 20));
  assert.throws(opening, refusal);
  rmSync(path, { recursive: true });
  assert.throws(() => writeFileSync(join(mount, 'all'), Buffer.alloc(9 << 20)), { code: 'ENOSPC' });
  assert.throws(opening, refusal);
});

test('lmdb: a path that cannot be a directory is refused at once, with the remedy', { timeout: 60_000 }, () => {
  writeFileSync(join(dir, 'file'), '');
  for (const path of ['/proc/store/here', join(dir, 'file'), join(dir, 'file/below')]) {
    assert.throws(() => openLmdb({ path, log: silentLogger() }), {
      code: 'unusable',
      message: /--store: cannot use the directory .*: choose another/,
    });
  }
});

/** Runs the writer until it has printed so many keys, kills it with SIGKILL, and gives every key it printed. */
async function killedWriter(path: string, count: number): Promise<readonly string[]> {
  const script = fileURLToPath(new URL('../testing/writer.ts', import.meta.url));
  const child = spawn(process.execPath, [...sourceProgram(script), path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const kill = (): void => void child.kill('SIGKILL');
  process.on('exit', kill);
  const exited = once(child, 'exit');
  const keys: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    keys.push(line);
    if (keys.length === count) kill();
  }
  await exited;
  process.off('exit', kill);
  return keys;
}

test('lmdb: kill -9 loses no acknowledged write, halves no transaction, and leaves no lock', {
  timeout: 60_000,
}, async () => {
  const acknowledged: string[] = [];
  for (const count of [50, 400, 1500]) {
    const keys = await killedWriter(join(dir, 'killed'), count);
    assert(keys.length >= count);
    acknowledged.push(...keys);
    const store = open('killed');
    const { kvs, revision } = await store.list('/acknowledged/');
    const found = new Set(kvs.map((kv) => kv.key));
    assert.deepEqual(
      acknowledged.filter((key) => !found.has(key)),
      [],
    );
    const twins = await store.list('/twin/');
    assert.deepEqual(
      twins.kvs.map((kv) => kv.key),
      kvs.map((kv) => `/twin${kv.key}`),
    );
    // The history agrees with the keys.
    const batches = await watchUntil(store, '/acknowledged/', 1, (got) => (got.at(-1)?.revision ?? 0) >= revision);
    assert.deepEqual(new Set(eventsOf(batches).map((event) => (event.kind === 'put' ? event.kv.key : ''))), found);
    await store.close();
  }
});

test('lmdb: after kill -9, leases run on from the next start', { timeout: 60_000 }, async () => {
  await killedWriter(join(dir, 'leased'), 20);
  const store = open('leased');
  const from = (await store.list('/leased')).revision + 1;
  assert(await store.get('/leased'));
  await watchUntil(store, '/leased', from, (got) => eventsOf(got).length > 0);
  assert.equal(await store.get('/leased'), undefined);
  await store.close();
});

test('lmdb: keys, history, leases and compaction survive a restart', async () => {
  const first = open('restart');
  const lease = await first.grantLease(60);
  await first.txn([], [{ kind: 'put', key: '/a', value: '1', lease }]);
  const result = await first.txn([], [{ kind: 'put', key: '/b', value: '1' }]);
  await first.compact(result.revision);
  await first.close();

  const second = open('restart');
  assert.equal((await second.list('/')).revision, result.revision);
  assert.equal((await second.get('/a'))?.lease, lease);
  assert.equal(await second.keepAlive(lease), true);
  await assert.rejects(
    watchUntil(second, '/', result.revision - 1, () => true),
    { code: 'compacted' },
  );
  const batches = await watchUntil(second, '/', result.revision, () => true);
  assert.deepEqual(
    eventsOf(batches).map((event) => (event.kind === 'put' ? event.kv.key : '')),
    ['/b'],
  );
  await second.revokeLease(lease);
  assert.equal(await second.get('/a'), undefined);
  await second.close();
});

test('lmdb: a store that is open is refused to a second opener, by name and pid, until it is closed', async () => {
  const first = open('lock');
  assert.throws(
    () => open('lock'),
    (err) => err instanceof StoreError && err.code === 'locked' && err.message.includes(`process ${process.pid};`),
  );
  await first.close();
  // A lock file left by a process that is gone does not block.
  writeFileSync(join(dir, 'lock', 'cable.lock'), '4194303\n');
  await open('lock').close();
});

test('lmdb: history is bounded: a watch that lags too far gets compacted, the keys stay', async () => {
  const store = open('bounded', 50);
  for (let i = 0; i < 200; i += 1) await store.txn([], [{ kind: 'put', key: `/k/${i}`, value: '' }]);
  const { revision, kvs } = await store.list('/k/');
  assert.equal(kvs.length, 200);
  const first = revision - 49;
  await assert.rejects(
    watchUntil(store, '/', first - 1, () => true),
    { code: 'compacted' },
  );
  const batches = await watchUntil(store, '/', first, (got) => (got.at(-1)?.revision ?? 0) === revision);
  assert.equal(eventsOf(batches).length, 50);
  await store.close();
});

test('lmdb: a full disk refuses writes, however large, ends nothing, keeps what was acknowledged and lets it be deleted', {
  timeout: 60_000,
}, async (t) => {
  // Large enough that LMDB's report of a refused write would be too long for its buffer.
  const mount = mountSmall(t, '128m');
  const store = openLmdb({ path: join(mount, 'store'), log: silentLogger() });
  const keys: string[] = [];
  let refused = 0;
  const put = async (key: string, characters: number): Promise<void> => {
    try {
      await store.txn([], [{ kind: 'put', key, value: 'v'.repeat(characters) }]);
      keys.push(key);
    } catch (err) {
      assert(err instanceof StoreError && err.code === 'full' && err.retryable);
      assert.match(err.message, /^--store: the disk of .* is full \(No space left: .*\): .* make room on it$/);
      refused += 1;
    }
  };
  for (let i = 0; refused < 100; i += 1) {
    const characters = refused === 0 ? 500_000 : ([100, 3000, 20_000, 120_000][i % 4] ?? 0);
    await put(`/k/${String(i).padStart(4, '0')}`, characters);
  }
  const { kvs } = await store.list('/k/');
  assert.deepEqual(
    kvs.map((kv) => kv.key),
    keys,
  );
  for (const key of keys.splice(0, 10)) await store.txn([], [{ kind: 'delete', key }]);
  assert.equal((await store.list('/k/')).kvs.length, keys.length);
  execFileSync('mount', ['-o', 'remount,size=256m', mount]);
  const before = refused;
  await put('/l/again', 100_000);
  assert.equal(refused, before);
  await store.close();
});

test('lmdb: writers that wait together are committed together', { timeout: 60_000 }, async (t) => {
  const store = open('group');
  const commit = t.mock.method(LmdbFiles.prototype, 'commit');
  const commits = async (writers: number, each: number): Promise<number> => {
    const before = commit.mock.callCount();
    await Promise.all(
      Array.from({ length: writers }, async (_, w) => {
        for (let i = 0; i < each; i += 1) await store.txn([], [{ kind: 'put', key: `/${w}/${i}`, value: 'v' }]);
      }),
    );
    return commit.mock.callCount() - before;
  };
  assert.equal(await commits(1, 50), 50);
  const together = await commits(50, 20);
  assert(together <= 100, `1000 writes made ${together} commits`);
  await store.close();
});

test('lmdb: a commit that takes longer than the deadline is not waited for', { timeout: 60_000 }, async (t) => {
  const store = open('slow');
  const { commit } = LmdbFiles.prototype;
  let goOn = (): void => undefined;
  const slow = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  t.mock.method(LmdbFiles.prototype, 'commit', async function (this: LmdbFiles, ...given: Parameters<typeof commit>) {
    await slow;
    return await commit.apply(this, given);
  });
  const write = (key: string, options = {}): Promise<unknown> =>
    store.txn([], [{ kind: 'put', key, value: '' }], options);
  // It is begun before any timer can say that its time is over.
  const deadlineMs = performance.now() + 100;
  const first = assert.rejects(write('/first', { deadlineMs }), { code: 'pending' });
  const second = assert.rejects(write('/second', { deadlineMs: deadlineMs + 1 }), { code: 'pending' });
  await new Promise(setImmediate);
  await assert.rejects(write('/third', { deadlineMs: performance.now() + 20 }), { code: 'not-sent' });
  await first;
  await second;
  goOn();
  await write('/after');
  assert.deepEqual(
    (await store.list('/')).kvs.map(({ key }) => key),
    ['/after', '/first', '/second'],
  );
  await store.close();
});
