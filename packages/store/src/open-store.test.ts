import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { silentLogger } from '@cable/kit';
import { openStore } from './open-store.ts';

test('openStore opens lmdb:PATH', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'cable-store-'));
  t.after(() => rmSync(dir, { recursive: true }));
  const store = await openStore(`lmdb:${join(dir, 'deep', 'er')}`, { log: silentLogger() });
  assert.equal((await store.txn([], [{ kind: 'put', key: '/a', value: '1' }])).ok, true);
  await store.close();
});

test('openStore refuses other text and says what to write', async () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['', /write lmdb:DIRECTORY or etcd:HOST:PORT,HOST:PORT$/],
    ['/var/lib/cable', /"\/var\/lib\/cable" is not understood/],
    ['redis:localhost:1', /is not understood/],
    ['lmdb:', /names no directory/],
    ['etcd:', /"" is not HOST:PORT/],
    ['etcd:localhost', /"localhost" is not HOST:PORT/],
    ['etcd:http://a:2379', /"http:\/\/a:2379" is not HOST:PORT/],
    ['etcd:a:2379,', /"" is not HOST:PORT; write etcd:/],
  ];
  for (const [address, message] of cases) {
    await assert.rejects(openStore(address, { log: silentLogger() }), { code: 'unusable', message });
  }
});
