import type { Op, Store, TxnResult } from '@cable/store';

export type GuardOptions = {
  /** The highest revision that this server has seen. */
  readonly revision: () => number;
  /** A transaction was answered with a revision that the store had passed already: it has another history. */
  readonly onFall: () => void;
};

/** The same store; the revision of each transaction's answer is compared with what had been seen when it was sent. */
export function guardStore(store: Store, { revision, onFall }: GuardOptions): Store {
  return {
    get: (key, options) => store.get(key, options),
    list: (prefix, options) => store.list(prefix, options),
    listPages: (prefix) => store.listPages(prefix),
    watch: (prefix, options) => store.watch(prefix, options),
    grantLease: (ttlSeconds) => store.grantLease(ttlSeconds),
    keepAlive: (lease) => store.keepAlive(lease),
    revokeLease: (lease) => store.revokeLease(lease),
    compact: (below) => store.compact(below),
    health: () => store.health(),
    close: () => store.close(),
    txn: async (compares, ops, options) => {
      const seen = revision();
      const result = await store.txn(compares, ops, options);
      if (fell(result, ops, seen)) onFall();
      return result;
    },
  };
}

function fell(result: TxnResult, ops: readonly Op[], seen: number): boolean {
  const isWrite = result.ok && ops.some((op) => op.kind === 'put');
  return isWrite ? result.revision <= seen : result.revision < seen;
}
