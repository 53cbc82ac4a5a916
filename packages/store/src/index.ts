export type * from './contract.ts';
export type { StoreErrorCode } from './errors.ts';
export { StoreError } from './errors.ts';
export { LANES } from './etcd/lanes.ts';
export type { EtcdCertificates, EtcdTls } from './etcd/tls.ts';
export { MAX_KEY_BYTES, MAX_TXN_BYTES, MAX_TXN_OPS, txnBytes } from './limits.ts';
export type { OpenStoreOptions } from './open-store.ts';
export { openStore } from './open-store.ts';
