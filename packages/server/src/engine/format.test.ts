import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { silentLogger } from '@cable/kit';
import { BUILT_IN_REGISTRY } from '@cable/model';
import { openStore, type Store } from '@cable/store';
import { noauth } from '../http/auth.ts';
import { DERIVED, FORMAT, serverKey } from '../keys.ts';
import { type CableServer, startServer } from '../server.ts';
import { assertInvariants, harnessOf } from '../testing/harness.ts';

/** A store as a version before the form of today left it: objects whose keys are elsewhere. */
async function openOld(t: TestContext): Promise<Store> {
  const directory = await mkdtemp(join(tmpdir(), `cable-format-${process.pid}-`));
  const store = await openStore(`lmdb:${directory}`, { log: silentLogger() });
  t.after(async () => {
    await store.close();
    await rm(directory, { recursive: true, force: true });
  });
  const server = await start(store);
  const { create } = harnessOf(store, server);
  const network = await create('network', { shared: true, project_id: 'owner' });
  await create('subnet', { network_id: network['id'], cidr: '10.0.0.0/24', ip_version: 4 });
  await create('port', { network_id: network['id'], project_id: 'tenant', 'binding:host_id': 'h1' });
  await server.stop();
  await store.txn(
    [],
    [
      { kind: 'deletePrefix', prefix: DERIVED },
      { kind: 'delete', key: FORMAT },
    ],
  );
  await store.txn([], [{ kind: 'put', key: `${DERIVED}vni/77`, value: String(network['id']) }]);
  return store;
}

/** Time that a wait passes quickly. */
function start(store: Store, isStoreShared = false, monotonicMs = () => performance.now()): Promise<CableServer> {
  const settings = { underlayMtuBytes: 1500 };
  const options = { store, registry: BUILT_IN_REGISTRY, authenticate: noauth(), settings, log: silentLogger() };
  return startServer({ ...options, isStoreShared, monotonicMs });
}

test('the keys of an older store are made anew, and those of before are gone', async (t) => {
  const store = await openOld(t);
  const server = await start(store);
  t.after(() => server.stop());
  await assertInvariants(server);
  assert.ok((await store.list(DERIVED)).kvs.length >= 5);
});

test('a server that died while it made the keys is followed by one that makes them', async (t) => {
  const store = await openOld(t);
  const { txn } = store;
  let left = 4;
  store.txn = (...args) => {
    left -= 1;
    return left > 0 ? txn.apply(store, args) : Promise.reject(new Error('the server died'));
  };
  await assert.rejects(start(store), /the server died/);
  store.txn = txn;
  const server = await start(store);
  t.after(() => server.stop());
  await assertInvariants(server);
});

test('an older server that runs keeps a new one from starting, a newer store for good', async (t) => {
  const store = await openOld(t);
  await store.txn([], [{ kind: 'put', key: serverKey('old'), value: '{}' }]);
  let ms = 0;
  const fast = (): number => {
    ms += 40_000;
    return ms;
  };
  await assert.rejects(start(store, true, fast), /older version runs on it: stop all of those first/);
  await store.txn([], [{ kind: 'put', key: FORMAT, value: '99' }]);
  await assert.rejects(start(store), /newer version of Cable \(form 99/);
});
