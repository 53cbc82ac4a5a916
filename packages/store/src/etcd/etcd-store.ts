import type { Logger } from '@cable/kit';
import type {
  CallOptions,
  Compare,
  KeyValue,
  ListPage,
  Op,
  Store,
  TxnResult,
  WatchBatch,
  WatchOptions,
} from '../contract.ts';
import { StoreError } from '../errors.ts';
import { checkKey, checkTtl, checkTxn, checkWatch, PAGE_KEYS } from '../limits.ts';
import { EtcdConnection } from './connection.ts';
import { KeepAliveStream } from './keep-alive.ts';
import { createMethods, type EtcdMethods } from './rpc.ts';
import { TxnGroups } from './txn-groups.ts';
import { watchPrefix } from './watch.ts';
import { decodeKeyValue, prefixEnd, revisionOf } from './wire.ts';

export type EtcdOptions = {
  /** `host:port` each; any member may be left out or be down. */
  readonly endpoints: readonly string[];
  readonly log: Logger;
  /** How long a call may take, with its retries. Default 5000. */
  readonly timeoutMs?: number;
  /** How many revisions watches may lag behind before they get `compacted`. Default 100,000. */
  readonly historyRevisions?: number;
};

/** Keys in one answer of a list: etcd counts all that remain for each, which in a store of 250,000 takes some 100 ms. */
const RANGE_KEYS: number = 8 * PAGE_KEYS;

const COMPACT_EVERY_MS = 300_000;

/** Opens the store on an etcd cluster. Throws `unavailable` when no member answers. */
export async function openEtcd(options: EtcdOptions): Promise<Store> {
  const store = new EtcdStore(options);
  try {
    await store.get('/cable');
    return store;
  } catch (err) {
    await store.close();
    throw err;
  }
}

/** The store on etcd v3. */
class EtcdStore implements Store {
  readonly #connection: EtcdConnection;
  readonly #methods: EtcdMethods;
  readonly #log: Logger;
  readonly #keepAlives: KeepAliveStream;
  readonly #groups: TxnGroups;
  readonly #compaction: NodeJS.Timeout;

  constructor(options: EtcdOptions) {
    const { endpoints, log, timeoutMs = 5000, historyRevisions = 100_000 } = options;
    this.#connection = new EtcdConnection({ endpoints, log, timeoutMs });
    this.#methods = createMethods();
    this.#log = log;
    this.#keepAlives = new KeepAliveStream(this.#connection, this.#methods);
    this.#groups = new TxnGroups((request) => this.#connection.call(this.#methods.txn, request, 'once'), timeoutMs);
    this.#compaction = setInterval(() => void this.#compactOld(historyRevisions), COMPACT_EVERY_MS);
    this.#compaction.unref();
  }

  async get(key: string): Promise<KeyValue | undefined> {
    checkKey(key);
    const answer = await this.#connection.call(this.#methods.range, { key: Buffer.from(key) }, 'repeat');
    const kv = answer.kvs[0];
    return kv === undefined ? undefined : decodeKeyValue(kv);
  }

  async list(prefix: string): Promise<ListPage> {
    checkKey(prefix, 'prefix');
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#listOnce(prefix);
      } catch (err) {
        // The revision of the first page was compacted before the last one was read.
        if (!(err instanceof StoreError && err.code === 'compacted') || attempt === 5) throw err;
      }
    }
  }

  async *listPages(prefix: string): AsyncGenerator<ListPage> {
    checkKey(prefix, 'prefix');
    const range_end = prefixEnd(prefix);
    const ask = (key: Buffer, revision: number) => {
      const request = { key, range_end, limit: RANGE_KEYS, revision };
      const asked = this.#connection.call(this.#methods.range, request, 'repeat');
      // Whoever takes the portions may leave before this one: then nobody hears that it failed.
      asked.catch(() => {});
      return asked;
    };
    let asked = ask(Buffer.from(prefix), 0);
    let revision = 0;
    for (;;) {
      const page = await asked;
      if (revision === 0) revision = revisionOf(page);
      const last = page.more ? page.kvs.at(-1) : undefined;
      // Asked for before this one is taken in: etcd and this process work at the same time.
      if (last !== undefined) asked = ask(Buffer.concat([last.key, Buffer.of(0)]), revision);
      for (let at = 0; at === 0 || at < page.kvs.length; at += PAGE_KEYS) {
        yield { revision, kvs: page.kvs.slice(at, at + PAGE_KEYS).map(decodeKeyValue) };
      }
      if (last === undefined) return;
    }
  }

  async txn(compares: readonly Compare[], ops: readonly Op[], options: CallOptions = {}): Promise<TxnResult> {
    checkTxn(compares, ops);
    const { ok, revision } = await this.#groups.txn(compares, ops, options).catch(async (err: unknown) => {
      throw await this.#refusalOf(err, ops);
    });
    return { ok, revision: revision ?? (await this.#newestRevision()) };
  }

  watch(prefix: string, options: WatchOptions): AsyncIterable<WatchBatch> {
    checkWatch(prefix, options.below);
    return watchPrefix({ connection: this.#connection, methods: this.#methods, log: this.#log }, prefix, options);
  }

  async grantLease(ttlSeconds: number): Promise<string> {
    checkTtl(ttlSeconds);
    return (await this.#connection.call(this.#methods.leaseGrant, { TTL: ttlSeconds }, 'repeat')).ID;
  }

  async keepAlive(lease: string): Promise<boolean> {
    return await this.#keepAlives.keepAlive(lease);
  }

  async revokeLease(lease: string): Promise<void> {
    try {
      await this.#connection.call(this.#methods.leaseRevoke, { ID: lease }, 'repeat');
    } catch (err) {
      if (!(err instanceof StoreError && err.code === 'lease-gone')) throw err;
    }
  }

  async compact(revision: number): Promise<void> {
    if (!Number.isSafeInteger(revision)) throw new StoreError('invalid', `revision ${revision} cannot be compacted`);
    // etcd's compaction at n keeps the state at n: to keep all events of `revision`, it is made one before.
    if (revision < 2) return;
    try {
      await this.#connection.call(this.#methods.compact, { revision: revision - 1 }, 'repeat');
    } catch (err) {
      if (!(err instanceof StoreError && err.code === 'compacted')) throw err;
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#compaction);
    this.#keepAlives.close();
    this.#connection.close();
  }

  /** The transaction that is the first to pass etcd's quota when others are on their way too may be done and be refused all the same. */
  async #refusalOf(err: unknown, ops: readonly Op[]): Promise<unknown> {
    if (!(err instanceof StoreError && err.code === 'full')) return err;
    const put = ops.find((op) => op.kind === 'put');
    const isDone = put !== undefined && (await this.get(put.key))?.value === put.value;
    return isDone ? new StoreError('unavailable', err.message, err) : err;
  }

  async #listOnce(prefix: string): Promise<ListPage> {
    const kvs: KeyValue[] = [];
    let revision = 0;
    for await (const page of this.listPages(prefix)) {
      kvs.push(...page.kvs);
      revision = page.revision;
    }
    return { revision, kvs };
  }

  async #newestRevision(): Promise<number> {
    const answer = await this.#connection.call(this.#methods.range, { key: Buffer.from('/cable') }, 'repeat');
    return revisionOf(answer);
  }

  /** Every server does this; a revision that is compacted already is no error. */
  async #compactOld(keep: number): Promise<void> {
    try {
      await this.compact((await this.#newestRevision()) - keep);
    } catch (err) {
      this.#log.warn({ err }, 'old history was not compacted, will retry');
    }
  }
}
