/** A real etcd that takes nobody in without a certificate, asked with files that change. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createServer } from 'node:tls';
import { type Logger, silentLogger, sleep } from '@cable/kit';
import { type Authority, type Identity, initAuthorities, issueWithKey, replaceFile, validityFrom } from '@cable/pki';
import { openStore, type Store } from '@cable/store';
import { openEtcdTls } from '../../packages/server/src/tls/etcd-tls.ts';
import { startSecureEtcd } from '../../packages/store/src/testing/etcd-server.ts';

const DAY_MS = 86_400_000;
const CLIENT = { kind: 'user', name: 'control-1', projectId: null, roles: [] } as const;

test('etcd that demands certificates is asked by TLS; files that change count for the next connection; what is wrong is said', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), `cable-etcd-tls-${process.pid}-`));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const path = (name: string): string => join(directory, name);
  const { authority: first } = await initAuthorities(path('first'), new Date());
  const { authority: second } = await initAuthorities(path('second'), new Date());
  const give = async (name: string, signer: Authority, identity: Identity): Promise<{ cert: string; key: string }> => {
    const places = identity.kind === 'server' ? { places: ['127.0.0.1'] } : {};
    const made = await issueWithKey(signer, { identity, ...places, validity: validityFrom(new Date(), DAY_MS) });
    await replaceFile(path(`${name}.key`), made.key);
    await replaceFile(path(`${name}.pem`), made.certificate);
    return { cert: path(`${name}.pem`), key: path(`${name}.key`) };
  };
  const ca = path('ca.pem');
  await replaceFile(ca, first.certificate);
  const member = await give('etcd', first, { kind: 'server', name: 'etcd' });
  const own = await give('own', first, CLIENT);
  const etcd = await startSecureEtcd({ ...member, ca: path('first/authority.pem') });
  t.after(() => etcd.remove());

  const stop = new AbortController();
  t.after(() => stop.abort());
  let heard = (): void => undefined;
  const log: Logger = { ...silentLogger(), info: (_fields, message) => /read anew/.test(message) && heard() };
  const address = `etcd:${etcd.endpoint}`;
  const open = async (files: Parameters<typeof openEtcdTls>[0], at = address): Promise<Store> => {
    const etcdTls = await openEtcdTls(files, { log, signal: stop.signal });
    return await openStore(at, { log: silentLogger(), etcdTls });
  };
  const store = await untilServing(() => open({ ca, own }));
  t.after(() => store.close());
  await store.txn([], [{ kind: 'put', key: '/cable/o/a/1', value: '1' }]);
  assert.equal((await store.get('/cable/o/a/1'))?.value, '1');

  const foreign = await give('foreign', second, CLIENT);
  const wrong = path('second/authority.pem');
  await assert.rejects(
    open({ ca: wrong, own }),
    /no etcd answers at .*\(unable to verify the first certificate\).*--etcd-ca or --etcd-cert/,
  );
  await assert.rejects(open({ ca, own: null }), /no etcd answers at .*--etcd-ca or --etcd-cert/);
  await assert.rejects(open({ ca, own: foreign }), /no etcd answers at .*--etcd-ca or --etcd-cert/);
  const elsewhere = address.replace('127.0.0.1', 'localhost');
  await assert.rejects(open({ ca, own }, elsewhere), /no etcd answers at localhost.*altnames/);
  const other = await issueWithKey(first, {
    ...{
      identity: { kind: 'server', name: 'other' },
      places: ['127.0.0.9'],
      validity: validityFrom(new Date(), DAY_MS),
    },
  });
  const listener = createServer({ cert: other.certificate, key: other.key, ALPNProtocols: ['h2'] });
  t.after(() => listener.close());
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  await assert.rejects(open({ ca, own }, `etcd:127.0.0.1:${port}`), /no etcd answers at .*127\.0\.0\.1 is not in/);
  await assert.rejects(openStore(address, { log: silentLogger() }), /no etcd answers at .*correct --store$/);

  // Another authority takes the place of that of both: the files first, then etcd.
  const readAnew = new Promise<void>((resolve) => {
    heard = resolve;
  });
  await replaceFile(ca, first.certificate + second.certificate);
  await readAnew;
  const readAgain = new Promise<void>((resolve) => {
    heard = resolve;
  });
  await give('own', second, CLIENT);
  await readAgain;
  assert.equal((await store.get('/cable/o/a/1'))?.value, '1');
  await etcd.signal('SIGTERM');
  await give('etcd', second, { kind: 'server', name: 'etcd' });
  await replaceFile(path('first/authority.pem'), second.certificate);
  etcd.start();
  await untilServing(() => store.get('/cable/o/a/1'));
  await store.txn([], [{ kind: 'put', key: '/cable/o/a/1', value: '2' }]);
  assert.equal((await store.get('/cable/o/a/1'))?.value, '2');
});

/** It takes a moment until etcd serves. */
async function untilServing<T>(call: () => Promise<T>): Promise<T> {
  for (let left = 100; ; left -= 1) {
    try {
      return await call();
    } catch (err) {
      if (left === 0) throw err;
      await sleep(200);
    }
  }
}
