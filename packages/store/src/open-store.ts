import type { Logger } from '@cable/kit';
import type { Store } from './contract.ts';
import { StoreError } from './errors.ts';
import { openEtcd } from './etcd/etcd-store.ts';
import type { EtcdTls } from './etcd/tls.ts';
import { openLmdb } from './lmdb/lmdb-store.ts';

export type OpenStoreOptions = {
  readonly log: Logger;
  /** For `etcd:` alone. Absent: its connections are in clear. */
  readonly etcdTls?: EtcdTls;
};

/** Opens the store that `lmdb:PATH` or `etcd:HOST:PORT,HOST:PORT` names. Throws `unusable` for any other text, and what the store throws. */
export async function openStore(address: string, options: OpenStoreOptions): Promise<Store> {
  const colon = address.indexOf(':');
  const kind = address.slice(0, Math.max(0, colon));
  const rest = address.slice(colon + 1);
  if (kind === 'lmdb') {
    if (rest === '')
      throw new StoreError('unusable', "--store: 'lmdb:' names no directory; write lmdb:/var/lib/cable/store");
    return openLmdb({ path: rest, log: options.log });
  }
  if (kind === 'etcd') {
    const { log, etcdTls: tls } = options;
    return await openEtcd({ endpoints: parseEndpoints(address, rest), log, ...(tls === undefined ? {} : { tls }) });
  }
  throw new StoreError(
    'unusable',
    `--store: ${JSON.stringify(address)} is not understood; write lmdb:DIRECTORY or etcd:HOST:PORT,HOST:PORT`,
  );
}

function parseEndpoints(address: string, text: string): readonly string[] {
  const endpoints = text.split(',').map((one) => one.trim());
  const bad = endpoints.find((one) => !/^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):\d{1,5}$/.test(one));
  if (bad === undefined) return endpoints;
  throw new StoreError(
    'unusable',
    `--store: ${JSON.stringify(address)}: ${JSON.stringify(bad)} is not HOST:PORT; write etcd:10.0.0.1:2379,10.0.0.2:2379`,
  );
}
