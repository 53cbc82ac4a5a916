import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { silentLogger } from '@cable/kit';
import { openStore, type Store } from '@cable/store';
import { assertInvariants, type Harness, harnessOf, type Json, keysLeft, startTestServer } from '../testing/harness.ts';
import { ADMIN, AS, file, install, V10, V20 } from './protons.fixture.ts';

type Servers = { readonly store: Store; readonly all: readonly Harness[] };

async function startServers(t: TestContext): Promise<Servers> {
  const directory = await mkdtemp(join(tmpdir(), `cable-protons-${process.pid}-`));
  const store = await openStore(`lmdb:${directory}`, { log: silentLogger() });
  const servers = [await startTestServer(store), await startTestServer(store), await startTestServer(store)];
  t.after(async () => {
    for (const server of servers) await server.stop();
    await store.close();
    await rm(directory, { recursive: true, force: true });
  });
  return { store, all: servers.map((server) => harnessOf(store, server)) };
}

/** Creates, changes and deletes shops through all servers until it is told to stop; answers what was refused. */
async function load(all: readonly Harness[], stop: { isSet: boolean }, versions: () => readonly string[]) {
  const refusals: string[] = [];
  let done = 0;
  const work = async (worker: number): Promise<void> => {
    for (let turn = 0; !stop.isSet; turn += 1) {
      const { send } = all[(worker + turn) % all.length] as Harness;
      const version = versions()[turn % versions().length];
      if (version === undefined) {
        await sleep(1);
        continue;
      }
      const size = version === 'v1.0' ? { size: 3, targets: '1:1,1:2' } : { volume: 3, route_targets: ['1:1', '1:2'] };
      const path = `/proton/shop/${version}/shops`;
      const made = await send(
        'POST',
        path,
        { name: `s${worker}`, ...size, ...(version === 'v1.0' ? { tenant_id: AS['x-project-id'] } : {}) },
        AS,
      );
      if (made.status !== 201) refusals.push(`${version} POST ${made.status} ${JSON.stringify(made.body)}`);
      else {
        const one = `${path}/${made.body['id']}`;
        const changed = await send('PUT', one, { name: 'other' }, AS);
        if (changed.status !== 200) refusals.push(`${version} PUT ${changed.status} ${JSON.stringify(changed.body)}`);
        if (turn % 3 === 0) await send('DELETE', one, undefined, AS);
      }
      const network = await send('POST', '/v2.0/networks', { network: { name: 'n' } }, AS);
      if (network.status !== 201) refusals.push(`network ${network.status} ${JSON.stringify(network.body)}`);
      else await send('DELETE', `/v2.0/networks/${network.body['network']?.['id']}`, undefined, AS);
      done += 1;
    }
  };
  await Promise.all([0, 1, 2, 3, 4, 5].map(work));
  return { refusals, done };
}

test('a proton is installed, upgraded and migrated under load on three servers, and removed with all that it had', async (t) => {
  const { store, all } = await startServers(t);
  const [first, second, third] = all as readonly [Harness, Harness, Harness];
  const stop = { isSet: false };
  let served: readonly string[] = [];
  const loading = load(all, stop, () => served);
  const done = await install(first, file(V10));
  assert.equal(done.status, 200, JSON.stringify(done.body));
  assert.deepEqual(
    (done.body['servers'] ?? []).map((one: Json) => one['state']),
    ['serves it', 'serves it', 'serves it'],
  );
  served = ['v1.0'];
  await sleep(1500);
  const upgraded = await install(second, file(V20));
  assert.equal(upgraded.status, 200, JSON.stringify(upgraded.body));
  served = ['v1.0', 'v2.0'];
  await sleep(1500);
  for (let left = 1; left > 0; ) {
    const step = await third.send('PUT', '/cable/v1/protons/shop/migrate', {}, ADMIN);
    assert.equal(step.status, 200, JSON.stringify(step.body));
    left = Number(step.body['left']);
  }
  served = ['v2.0'];
  await sleep(100);
  const removed = await first.send('DELETE', '/cable/v1/protons/shop/versions/1.0', undefined, ADMIN);
  assert.equal(removed.status, 200, JSON.stringify(removed.body));
  await sleep(500);
  stop.isSet = true;
  const { refusals, done: turns } = await loading;
  const isOfGone = (one: string): boolean => /^v1\.0 (?:PUT|POST) 404/.test(one);
  assert.deepEqual([...new Set(refusals.filter((one) => !isOfGone(one)))].slice(0, 5), []);
  assert.ok(turns > 50, `${turns} turns`);
  for (const { send } of all) {
    for (const shop of (await send('GET', '/proton/shop/v2.0/shops', undefined, ADMIN)).body['shops'] ?? [])
      assert.deepEqual([shop['volume'], shop['route_targets']], [3, ['1:1', '1:2']]);
  }
  await assertInvariants(first.server);
  const gone = await second.send('DELETE', '/cable/v1/protons/shop?objects=true', undefined, ADMIN);
  assert.equal(gone.status, 204, JSON.stringify(gone.body));
  for (const { send } of all) {
    for (let look = 0; look < 200 && (await send('GET', '/proton')).status !== 404; look += 1) await sleep(10);
    assert.equal((await send('GET', '/proton')).status, 404);
  }
  assert.deepEqual(await keysLeft(store), []);
});
