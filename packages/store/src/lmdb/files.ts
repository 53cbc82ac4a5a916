import { type Database, open, type RootDatabase } from 'lmdb';
import type { KeyValue } from '../contract.ts';
import type { Draft } from './draft.ts';
import { decodeRecord, encodeRecord, type LogEntry } from './records.ts';

/** `revision`: of the last transaction. `floor`: history before it is forgotten; 0: none forgotten. */
export type Position = { readonly revision: number; readonly floor: number };

/**
 * The LMDB environment: which database holds what.
 * `kv` key → record · `log` revision → events · `lease` id → TTL in seconds · `leasekey` `<lease>/<key>` → '' · `meta` → position.
 *
 * Writes are collected in one event turn and committed by lmdb's worker thread as one transaction; `overlappingSync` is off, so
 * that a resolved commit is on disk. Transactions with a callback are not used: every decision is made before, in a draft.
 */
export class LmdbFiles {
  readonly #env: RootDatabase<string, string>;
  readonly #kv: Database<string, string>;
  readonly #log: Database<LogEntry[], number>;
  readonly #lease: Database<number, string>;
  readonly #leaseKey: Database<string, string>;
  readonly #meta: Database<Position, string>;

  constructor(path: string) {
    this.#env = open<string, string>({ path, noSubdir: false, overlappingSync: false, maxDbs: 8, encoding: 'string' });
    this.#kv = this.#env.openDB({ name: 'kv', encoding: 'string' });
    this.#log = this.#env.openDB({ name: 'log', encoding: 'msgpack' });
    this.#lease = this.#env.openDB({ name: 'lease', encoding: 'json' });
    this.#leaseKey = this.#env.openDB({ name: 'leasekey', encoding: 'string' });
    this.#meta = this.#env.openDB({ name: 'meta', encoding: 'json' });
  }

  /** Lets the next read see the last commit. Reads of one synchronous stretch see one state. */
  refresh(): void {
    this.#env.resetReadTxn();
  }

  position(): Position {
    return this.#meta.get('position') ?? { revision: 1, floor: 0 };
  }

  get(key: string): KeyValue | undefined {
    const record = this.#kv.get(key);
    return record === undefined ? undefined : decodeRecord(key, record);
  }

  *list(prefix: string): Generator<KeyValue> {
    for (const { key, value } of this.#kv.getRange({ start: prefix })) {
      if (!key.startsWith(prefix)) return;
      yield decodeRecord(key, value);
    }
  }

  *keys(prefix: string): Generator<string> {
    for (const key of this.#kv.getKeys({ start: prefix })) {
      if (!key.startsWith(prefix)) return;
      yield key;
    }
  }

  /** History from a revision on, at most `limit` revisions. */
  history(from: number, limit: number): readonly { revision: number; entries: readonly LogEntry[] }[] {
    return [...this.#log.getRange({ start: from, limit })].map(({ key, value }) => ({ revision: key, entries: value }));
  }

  /** The oldest revision of the history, or undefined when there is none. */
  firstRevision(): number | undefined {
    for (const revision of this.#log.getKeys({ limit: 1 })) return revision;
    return undefined;
  }

  leases(): readonly { lease: string; ttlSeconds: number }[] {
    return [...this.#lease.getRange()].map(({ key, value }) => ({ lease: key, ttlSeconds: value }));
  }

  *leaseKeys(lease: string): Generator<string> {
    const prefix = `${lease}/`;
    for (const entry of this.#leaseKey.getKeys({ start: prefix })) {
      if (!entry.startsWith(prefix)) return;
      yield entry.slice(prefix.length);
    }
  }

  /** Commits a draft and forgets history from `trimFrom` up to (not including) `trimTo`. Resolves when it is on disk. */
  async commit(draft: Draft, position: Position, trimFrom: number, trimTo: number): Promise<void> {
    await this.#env.batch(() => {
      for (const [key, kv] of draft.records) this.#write(key, kv);
      for (const [revision, entries] of draft.history) void this.#log.put(revision, entries);
      for (const [lease, ttlSeconds] of draft.leases) {
        if (ttlSeconds === null) void this.#lease.remove(lease);
        else void this.#lease.put(lease, ttlSeconds);
      }
      for (let revision = trimFrom; revision < trimTo; revision += 1) void this.#log.remove(revision);
      void this.#meta.put('position', position);
    });
  }

  #write(key: string, kv: KeyValue | null): void {
    const before = this.get(key);
    const lease = kv?.lease ?? null;
    if (before?.lease && before.lease !== lease) void this.#leaseKey.remove(`${before.lease}/${key}`);
    if (lease !== null) void this.#leaseKey.put(`${lease}/${key}`, '');
    if (kv === null) void this.#kv.remove(key);
    else void this.#kv.put(key, encodeRecord(kv));
  }

  async close(): Promise<void> {
    await this.#env.close();
  }
}
