import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { assertDiskRoom } from '@cable/kit';
import { type Database, open, type RootDatabase } from 'lmdb';
import type { KeyValue } from '../contract.ts';
import type { Draft } from './draft.ts';
import { decodeRecord, encodeRecord, type LogEntry } from './records.ts';

/** `revision`: of the last transaction. `floor`: history before it is forgotten; 0: none forgotten. */
export type Position = { readonly revision: number; readonly floor: number };

/** What is left free of the disk for deletions, which may make room, and for whoever writes meanwhile. */
const RESERVE_BYTES = 8 * 1024 * 1024;

/** Pages from the root to an entry, which are written anew with it. */
const PATH_BYTES = 16 * 1024;

/** Bytes that a character of a string takes at most. */
const CHARACTER_BYTES = 3;

/** Position of a store that nobody has written to. */
const NEW: Position = { revision: 1, floor: 0 };

/** Reads of one state. */
export type Snapshot = {
  position(): Position;
  /** Keys with the prefix, from `start` on, at most `limit`. */
  list(prefix: string, start: string, limit: number): Iterable<KeyValue>;
  end(): void;
};

/**
 * The LMDB environment: which database holds what.
 * `kv` key → record · `log` revision → events · `lease` id → TTL in seconds · `leasekey` `<lease>/<key>` → '' · `meta` → position.
 *
 * A batch of writes is committed by lmdb's worker thread as one transaction; `overlappingSync` is off, so
 * that a resolved commit is on disk. Transactions with a callback are not used: every decision is made before, in a draft.
 */
export class LmdbFiles {
  readonly #path: string;
  readonly #env: RootDatabase<string, string>;
  readonly #kv: Database<string, string>;
  readonly #log: Database<LogEntry[], number>;
  readonly #lease: Database<number, string>;
  readonly #leaseKey: Database<string, string>;
  readonly #meta: Database<Position, string>;

  /** Throws when there is no store yet and the disk has no room for one. */
  constructor(path: string) {
    this.#path = path;
    if (!existsSync(this.#dataPath)) assertDiskRoom(path, RESERVE_BYTES);
    this.#env = open<string, string>({
      path,
      noSubdir: false,
      overlappingSync: false,
      // Its own grouping leaves a promise that nobody can handle when a commit fails; ours is by `batch`.
      eventTurnBatching: false,
      maxDbs: 8,
      encoding: 'string',
    });
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
    return this.#meta.get('position') ?? NEW;
  }

  get(key: string): KeyValue | undefined {
    const record = this.#kv.get(key);
    return record === undefined ? undefined : decodeRecord(key, record);
  }

  has(key: string): boolean {
    return this.#kv.doesExist(key);
  }

  *list(prefix: string): Generator<KeyValue> {
    for (const { key, value } of this.#kv.getRange({ start: prefix })) {
      if (!key.startsWith(prefix)) return;
      yield decodeRecord(key, value);
    }
  }

  /** What the last commit left, unchanged by later ones until it is ended. LMDB keeps old pages for it: not for long. */
  snapshot(): Snapshot {
    const transaction = this.#env.useReadTransaction();
    const [kv, meta] = [this.#kv, this.#meta];
    return {
      position: () => meta.get('position', { transaction }) ?? NEW,
      *list(prefix, start, limit) {
        for (const { key, value } of kv.getRange({ start, limit, transaction })) {
          if (!key.startsWith(prefix)) return;
          yield decodeRecord(key, value);
        }
      },
      end: () => transaction.done(),
    };
  }

  *keys(prefix: string): Generator<string> {
    for (const key of this.#kv.getKeys({ start: prefix })) {
      if (!key.startsWith(prefix)) return;
      yield key;
    }
  }

  *keysBetween(from: string, to: string): Generator<string> {
    yield* this.#kv.getKeys({ start: from, end: to });
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

  /**
   * Commits a draft and forgets history from `trimFrom` up to (not including) `trimTo`. Resolves when it is on disk; rejects with `NoRoomError` when the disk has no
   * room for it, before anything is written; or when the disk refuses it.
   */
  async commit(draft: Draft, position: Position, trimFrom: number, trimTo: number): Promise<void> {
    const writtenBytes = Math.min((entriesOf(draft) + Math.max(0, trimTo - trimFrom)) * PATH_BYTES, this.#fileBytes());
    assertDiskRoom(this.#path, writtenBytes + contentBytes(draft) + (adds(draft) ? RESERVE_BYTES : 0));
    const committed = this.#env.batch(() => {
      for (const [key, kv] of draft.records) this.#write(key, draft.committed(key), kv);
      for (const [revision, entries] of draft.history) settle(this.#log.put(revision, entries));
      for (const [lease, ttlSeconds] of draft.leases) {
        settle(ttlSeconds === null ? this.#lease.remove(lease) : this.#lease.put(lease, ttlSeconds));
      }
      for (let revision = trimFrom; revision < trimTo; revision += 1) settle(this.#log.remove(revision));
      settle(this.#meta.put('position', position));
    });
    try {
      await committed;
    } catch (err) {
      throw await commitErrorOf(err);
    }
  }

  /** Whatever a commit changes, it writes no more pages anew than there are. */
  #fileBytes(): number {
    return statSync(this.#dataPath).size;
  }

  get #dataPath(): string {
    return join(this.#path, 'data.mdb');
  }

  #write(key: string, before: KeyValue | undefined, kv: KeyValue | null): void {
    const lease = kv?.lease ?? null;
    if (before?.lease && before.lease !== lease) settle(this.#leaseKey.remove(`${before.lease}/${key}`));
    if (lease !== null) settle(this.#leaseKey.put(`${lease}/${key}`, ''));
    settle(kv === null ? this.#kv.remove(key) : this.#kv.put(key, encodeRecord(kv)));
  }

  async close(): Promise<void> {
    await this.#env.close();
  }
}

/** How many entries of the databases a draft writes or removes at most: a key has a record and two places under leases. */
function entriesOf({ records, history, leases }: Draft): number {
  return 3 * records.size + history.size + leases.size + 1;
}

function contentBytes({ records, history }: Draft): number {
  let characters = 0;
  for (const kv of records.values()) characters += kv?.value.length ?? 0;
  for (const entries of history.values()) {
    for (const [key, record] of entries) characters += key.length + (record?.length ?? 0);
  }
  return characters * CHARACTER_BYTES;
}

/** False: the draft deletes, and adds neither key nor lease. It may write anew what is there: an object's deletion raises the revision of what it was part of. */
function adds({ records, leases, baseRevision }: Draft): boolean {
  for (const ttlSeconds of leases.values()) if (ttlSeconds !== null) return true;
  let deletes = leases.size > 0;
  let rewrites = false;
  for (const kv of records.values()) {
    if (kv === null) deletes = true;
    else if (kv.createRevision > baseRevision) return true;
    else rewrites = true;
  }
  return rewrites && !deletes;
}

/** A failed commit rejects the batch and each of its writes: the batch is looked at, the writes need not be. */
function settle(write: Promise<boolean>): void {
  write.catch(() => undefined);
}

/** What lmdb says about why a commit failed: it rejects with an error that promises another one. */
async function commitErrorOf(err: unknown): Promise<unknown> {
  if (!(err instanceof Error && 'commitError' in err)) return err;
  return await Promise.resolve(err.commitError).then(
    () => err,
    (cause: unknown) => cause,
  );
}
