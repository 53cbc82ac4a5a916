import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { silentLogger } from '@cable/kit';
import { openStore, type Store, StoreError } from '@cable/store';
import { startTestServer } from './testing/harness.ts';

/** A store whose call of that number fails, and those after it; with what of it is in use. */
function failingStore(store: Store, failAt: number): { readonly store: Store; calls(): number; watches(): number } {
  let [calls, watches] = [0, 0];
  const pass = <T>(call: () => T): T => {
    calls += 1;
    if (calls >= failAt) throw new StoreError('unavailable', 'away');
    return call();
  };
  async function* watch(...args: Parameters<Store['watch']>): AsyncGenerator<unknown> {
    watches += 1;
    try {
      yield* store.watch(...args);
    } finally {
      watches -= 1;
    }
  }
  const failing = {
    ...{
      get: async (key: string) => pass(() => store.get(key)),
      list: async (key: string) => pass(() => store.list(key)),
    },
    listPages: (prefix: string) => pass(() => store.listPages(prefix)),
    txn: async (...args: Parameters<Store['txn']>) => pass(() => store.txn(...args)),
    watch,
    grantLease: async (ttl: number) => pass(() => store.grantLease(ttl)),
    keepAlive: async (lease: string) => pass(() => store.keepAlive(lease)),
    revokeLease: async (lease: string) => pass(() => store.revokeLease(lease)),
    compact: async (revision: number) => pass(() => store.compact(revision)),
    health: () => store.health(),
    close: () => store.close(),
  } as Store;
  return { store: failing, calls: () => calls, watches: () => watches };
}

test('whatever step of a start fails, everything that was started has stopped', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), `cable-start-${process.pid}-`));
  t.after(() => rm(directory, { recursive: true, force: true }));
  let failures = 0;
  for (let failAt = 1; ; failAt += 1) {
    const real = await openStore(`lmdb:${directory}/${failAt}`, { log: silentLogger() });
    const failing = failingStore(real, failAt);
    const started = await startTestServer(failing.store).catch((err: unknown) => err);
    if (started instanceof Error) {
      failures += 1;
      assert.equal(started.message, 'away');
      assert.equal(failing.watches(), 0, `call ${failAt}`);
      const calls = failing.calls();
      // Longer than each loop waits before it tries again.
      await new Promise((resolve) => setTimeout(resolve, 150));
      assert.equal(failing.calls(), calls, `call ${failAt}`);
    } else await (started as { stop(): Promise<void> }).stop();
    await real.close();
    if (!(started instanceof Error)) break;
  }
  assert(failures > 5);
});
