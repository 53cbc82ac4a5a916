/** What tests of the hosts share: a store in a temporary directory, and how objects are written to it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger } from '@cable/kit';
import { openStore, type Store } from '@cable/store';
import { objectKey, serverKey } from '../keys.ts';

/** A store in a directory of its own; `reopen` is what a restarted server does. */
export async function openTemporaryStore(): Promise<{
  store: Store;
  reopen(): Promise<Store>;
  remove(): Promise<void>;
}> {
  const directory = await mkdtemp(join(tmpdir(), `cable-plane-${process.pid}-`));
  const open = (): Promise<Store> => openStore(`lmdb:${directory}`, { log: silentLogger() });
  const opened = { store: await open() };
  return {
    get store() {
      return opened.store;
    },
    reopen: async () => {
      await opened.store.close();
      opened.store = await open();
      return opened.store;
    },
    remove: async () => {
      await opened.store.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Fails when the promise takes longer than a test may. */
export async function within<T>(promise: Promise<T>, what: string, ms = 60_000): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: waited ${ms} ms in vain`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Writes an object as the API would; gives the revision. */
export async function putObject(
  store: Store,
  type: string,
  object: { readonly id: string; readonly [attribute: string]: unknown },
): Promise<number> {
  const result = await store.txn([], [{ kind: 'put', key: objectKey(type, object.id), value: JSON.stringify(object) }]);
  return result.revision;
}

/** Every key of Cable's with the revision of its last write, but for what servers tell of themselves once a second. */
export async function contentsOf(store: Store): Promise<ReadonlyMap<string, number>> {
  const kvs = (await store.list('/cable/')).kvs.filter(({ key }) => !key.startsWith(serverKey('')));
  return new Map(kvs.map(({ key, modRevision }) => [key, modRevision]));
}

export async function deleteObject(store: Store, type: string, id: string): Promise<number> {
  return (await store.txn([], [{ kind: 'delete', key: objectKey(type, id) }])).revision;
}

/** Changes some attributes of a stored object, as the API would. */
export async function patchObject(store: Store, type: string, id: string, more: object): Promise<void> {
  for (;;) {
    const kv = await store.get(objectKey(type, id));
    if (kv === undefined) throw new Error(`no ${type} ${id}`);
    const value = JSON.stringify({ ...JSON.parse(kv.value), ...more });
    const compare = { kind: 'modRevision', key: kv.key, revision: kv.modRevision } as const;
    if ((await store.txn([compare], [{ kind: 'put', key: kv.key, value }])).ok) return;
  }
}
