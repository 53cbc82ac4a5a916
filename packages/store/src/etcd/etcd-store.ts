import type { Logger } from '@cable/kit';
import type {
  CallOptions,
  Compare,
  KeyValue,
  ListPage,
  Op,
  Store,
  StoreHealth,
  TxnResult,
  WatchBatch,
  WatchOptions,
} from '../contract.ts';
import { StoreError } from '../errors.ts';
import { checkKey, checkTtl, checkTxn, checkWatch, PAGE_KEYS } from '../limits.ts';
import { EtcdConnection } from './connection.ts';
import { KeepAliveStream } from './keep-alive.ts';
import { LANES, Lanes } from './lanes.ts';
import { createMethods, type EtcdMethods } from './rpc.ts';
import type { EtcdTls } from './tls.ts';
import { TxnGroups } from './txn-groups.ts';
import { watchPrefix } from './watch.ts';
import { OpenWatches } from './watch-progress.ts';
import { decodeKeyValue, prefixEnd, revisionOf } from './wire.ts';

export type EtcdOptions = {
  /** `host:port` each; any member may be left out or be down. */
  readonly endpoints: readonly string[];
  /** Absent: connections are in clear. */
  readonly tls?: EtcdTls;
  readonly log: Logger;
  /** How long a call may take, with its retries. Default 5000. */
  readonly timeoutMs?: number;
  /** How many revisions watches may lag behind before they get `compacted`. Default 100,000. */
  readonly historyRevisions?: number;
  /** Keys that begin with it are the store's own (`lanes.ts`). Default `/cable/meta/lane/`. */
  readonly lanes?: string;
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
  readonly #lanes: Lanes;
  readonly #watches = new OpenWatches();
  readonly #groups: TxnGroups;
  readonly #compaction: NodeJS.Timeout;
  #closing: Promise<void> | undefined;

  constructor(options: EtcdOptions) {
    const { endpoints, tls, log, timeoutMs = 5000, historyRevisions = 100_000, lanes = LANES } = options;
    this.#methods = createMethods();
    this.#connection = new EtcdConnection({
      ...{ endpoints, methods: this.#methods, log, timeoutMs },
      ...(tls === undefined ? {} : { tls }),
    });
    this.#log = log;
    this.#keepAlives = new KeepAliveStream(this.#connection, this.#methods);
    const deps = { connection: this.#connection, methods: this.#methods, log };
    const keepAlive = (lease: string): Promise<boolean> => this.#keepAlives.keepAlive(lease);
    this.#lanes = new Lanes({ ...deps, keepAlive, prefix: lanes });
    this.#groups = new TxnGroups({ ...deps, lanes: this.#lanes, lanePrefix: lanes, watches: this.#watches });
    this.#compaction = setInterval(() => void this.#compactOld(historyRevisions), COMPACT_EVERY_MS);
    this.#compaction.unref();
  }

  async get(key: string, options: CallOptions = {}): Promise<KeyValue | undefined> {
    checkKey(key);
    const answer = await this.#connection.call(this.#methods.range, { key: Buffer.from(key) }, options);
    const kv = answer.kvs[0];
    return kv === undefined ? undefined : decodeKeyValue(kv);
  }

  async list(prefix: string, options: CallOptions = {}): Promise<ListPage> {
    checkKey(prefix, 'prefix');
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#listOnce(prefix, options);
      } catch (err) {
        // The revision of the first page was compacted before the last one was read.
        if (!(err instanceof StoreError && err.code === 'compacted') || attempt === 5) throw err;
      }
    }
  }

  listPages(prefix: string): AsyncIterable<ListPage> {
    checkKey(prefix, 'prefix');
    return this.#portions(prefix, {});
  }

  async txn(compares: readonly Compare[], ops: readonly Op[], options: CallOptions = {}): Promise<TxnResult> {
    checkTxn(compares, ops);
    const { ok, revision } = await this.#groups.txn(compares, ops, options);
    return { ok, revision: revision ?? (await this.#newestRevision()) };
  }

  watch(prefix: string, options: WatchOptions): AsyncIterable<WatchBatch> {
    checkWatch(prefix, options.below);
    const deps = { connection: this.#connection, methods: this.#methods, open: this.#watches, log: this.#log };
    return watchPrefix(deps, prefix, options);
  }

  async grantLease(ttlSeconds: number): Promise<string> {
    checkTtl(ttlSeconds);
    return (await this.#connection.call(this.#methods.leaseGrant, { TTL: ttlSeconds })).ID;
  }

  async keepAlive(lease: string): Promise<boolean> {
    return await this.#keepAlives.keepAlive(lease);
  }

  async revokeLease(lease: string): Promise<void> {
    try {
      await this.#connection.call(this.#methods.leaseRevoke, { ID: lease });
    } catch (err) {
      if (!(err instanceof StoreError && err.code === 'lease-gone')) throw err;
    }
  }

  async compact(revision: number): Promise<void> {
    if (!Number.isSafeInteger(revision)) throw new StoreError('invalid', `revision ${revision} cannot be compacted`);
    // etcd's compaction at n keeps the state at n: to keep all events of `revision`, it is made one before.
    if (revision < 2) return;
    try {
      await this.#connection.call(this.#methods.compact, { revision: revision - 1 });
    } catch (err) {
      if (!(err instanceof StoreError && err.code === 'compacted')) throw err;
    }
  }

  health(): StoreHealth {
    return { answeredAgoMs: this.#connection.answeredAgoMs };
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    clearInterval(this.#compaction);
    await this.#lanes.close();
    this.#keepAlives.close();
    this.#connection.close();
  }

  /** The options bound each answer of etcd's, and with it the time that passes without one. */
  async *#portions(prefix: string, options: CallOptions): AsyncGenerator<ListPage> {
    const range_end = prefixEnd(prefix);
    const ask = (key: Buffer, revision: number) => {
      const request = { key, range_end, limit: RANGE_KEYS, revision };
      const asked = this.#connection.call(this.#methods.range, request, options);
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

  async #listOnce(prefix: string, options: CallOptions): Promise<ListPage> {
    const kvs: KeyValue[] = [];
    let revision = 0;
    for await (const page of this.#portions(prefix, options)) {
      kvs.push(...page.kvs);
      revision = page.revision;
    }
    return { revision, kvs };
  }

  async #newestRevision(): Promise<number> {
    const answer = await this.#connection.call(this.#methods.range, { key: Buffer.from('/cable') });
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
