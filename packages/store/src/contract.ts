/** The store's contract. Revisions are etcd's: one number for the whole store, raised by every transaction that writes. */

/** One key with its value. Keys are UTF-8 text such as `/cable/o/network/<id>`; values are UTF-8 text (JSON). */
export type KeyValue = {
  readonly key: string;
  readonly value: string;
  readonly createRevision: number;
  readonly modRevision: number;
  /** Id of the lease that deletes the key when it ends; null: none. */
  readonly lease: string | null;
};

/** Keys with their values, in key order, as of one revision of the store. */
export type ListPage = { readonly revision: number; readonly kvs: readonly KeyValue[] };

/** A condition of a transaction. */
export type Compare =
  | { readonly kind: 'exists'; readonly key: string }
  | { readonly kind: 'absent'; readonly key: string }
  /** The key was last written at exactly this revision; 0: the key is absent. */
  | { readonly kind: 'modRevision'; readonly key: string; readonly revision: number }
  | { readonly kind: 'value'; readonly key: string; readonly value: string }
  /** No key starts with the prefix, but for those of `except` (default none; they may be absent). Counts as one compare, and one more for each exception. */
  | { readonly kind: 'prefixEmpty'; readonly prefix: string; readonly except?: readonly string[] }
  /** No key is at or behind `from` and before `to`, in the order of their bytes. */
  | { readonly kind: 'rangeEmpty'; readonly from: string; readonly to: string };

export type Op =
  | { readonly kind: 'put'; readonly key: string; readonly value: string; readonly lease?: string }
  /** Deleting an absent key succeeds. */
  | { readonly kind: 'delete'; readonly key: string }
  | { readonly kind: 'deletePrefix'; readonly prefix: string };

/** `ok` false: some compare did not hold, and nothing was done. `revision`: of the store when that was found; what refused it is not newer. */
export type TxnResult = { readonly ok: boolean; readonly revision: number };

/** How long a call may take. */
export type CallOptions = {
  /** Gives the call up. A transaction is given up only while it waits here: one that is on its way is answered as it turns out. */
  readonly signal?: AbortSignal;
  /** Time of `performance.now()` by which it is answered. Default: the store's own limit (etcd: 5 s from now; LMDB: none). */
  readonly deadlineMs?: number;
};

export type StoreEvent =
  | { readonly kind: 'put'; readonly kv: KeyValue }
  | { readonly kind: 'delete'; readonly key: string; readonly modRevision: number };

/**
 * All events of one or more whole transactions in order; never a part of one. `revision`: everything up to it has been delivered.
 * May be without events: other keys changed.
 */
export type WatchBatch = { readonly revision: number; readonly events: readonly StoreEvent[] };

/**
 * `answeredAgoMs`: how long ago the store last answered anything; that it has no room left is an answer. etcd is asked each second in any case. LMDB: 0, but
 * since when its last commit has been on its way, or has failed.
 */
export type StoreHealth = { readonly answeredAgoMs: number };

export type WatchOptions = {
  /** First revision wanted, inclusive; so `revision of a list + 1`. */
  readonly fromRevision: number;
  readonly signal: AbortSignal;
  /** Only keys of the prefix that sort (by their bytes) before this one. Default: all. */
  readonly below?: string;
};

/**
 * Transactions, ordered watch with resume, leases. Methods throw `StoreError`: `unavailable`, `not-sent` and `full` (retryable: nothing was done),
 * `pending` (`txn` only; retryable: it may have been done, or be done yet), `compacted` (`watch` and `listPages` only: list again), `closed`, `too-large`, `lease-gone`,
 * `invalid`. Keys have no control characters and at most `MAX_KEY_BYTES`; `''` is neither a key nor a prefix.
 */
export type Store = {
  /** The key's value, or undefined. Linearizable. Throws `unavailable` when the options end it. */
  get(key: string, options?: CallOptions): Promise<KeyValue | undefined>;
  /** Every key with the prefix, in key order, as of one revision. Throws `unavailable` when the options end it. */
  list(prefix: string, options?: CallOptions): Promise<ListPage>;
  /**
   * The same in portions of some hundreds of keys, each with the revision that all are of; at least one portion. Other work goes on
   * between them. Throws `compacted` when the store has forgotten that revision before the last portion: list again.
   */
  listPages(prefix: string): AsyncIterable<ListPage>;
  /**
   * Does all ops if every compare holds, else none. Answered only when durable. At most `MAX_TXN_OPS` compares and as many ops, one op a key, of
   * `MAX_TXN_BYTES` together. A transaction that changes nothing need not raise the revision; several that were asked for at once may have one together.
   * Throws `not-sent` when the options end it while it waits here: nothing was done.
   */
  txn(compares: readonly Compare[], ops: readonly Op[], options?: CallOptions): Promise<TxnResult>;
  /**
   * Batches in revision order, each event once, gap-free from `fromRevision`; survives reconnects; ends when the signal aborts;
   * throws `closed` when the store is closed.
   */
  watch(prefix: string, options: WatchOptions): AsyncIterable<WatchBatch>;
  /** A new lease; its keys are deleted (and watchers told) when it is not kept alive for `ttlSeconds`. After a restart of the store a lease runs for its full time again. */
  grantLease(ttlSeconds: number): Promise<string>;
  /** False: the lease is gone. */
  keepAlive(lease: string): Promise<boolean>;
  revokeLease(lease: string): Promise<void>;
  /** Forgets history before the revision; a watch from an earlier one fails with `compacted`. */
  compact(revision: number): Promise<void>;
  /** For whoever asks whether it is alive; at no cost. */
  health(): StoreHealth;
  /** Idempotent. */
  close(): Promise<void>;
};
