import { randomBytes } from 'node:crypto';
import { type Logger, NoRoomError } from '@cable/kit';
import type {
  CallOptions,
  Compare,
  KeyValue,
  ListPage,
  Op,
  Store,
  StoreEvent,
  StoreHealth,
  TxnResult,
  WatchBatch,
  WatchOptions,
} from '../contract.ts';
import { StoreError } from '../errors.ts';
import { checkKey, checkTtl, checkTxn, checkWatch, PAGE_KEYS, watchedKeys } from '../limits.ts';
import { notSent, pendingError, whenOver } from '../waiting.ts';
import { makeDirectory, unusableDirectory } from './directory.ts';
import { Draft } from './draft.ts';
import { LmdbFiles } from './files.ts';
import { LeaseClock } from './leases.ts';
import { takeLock } from './lock.ts';
import { decodeEvent } from './records.ts';

export type LmdbOptions = {
  /** A directory; made (mode 0700) when it is not there. */
  readonly path: string;
  readonly log: Logger;
  /** How many revisions watches may lag behind before they get `compacted`. Default 100,000. */
  readonly historyRevisions?: number;
};

/** One thing to do in order with all other writes. `run` may throw; it then has changed nothing. */
type Job = { readonly run: (draft: Draft) => unknown; settle(error: unknown, result: unknown): void };

/** Transactions committed together at most; bounds how long the event loop is held. */
const MAX_GROUP = 256;
/** Revisions forgotten per commit at most, beside as many as were added. */
const TRIM_STEP = 256;
const WATCH_STEP = 256;
/** Keys that are known to be there, at most: a network is compared by the create of each of its ports. */
const MAX_PRESENT = 4096;

/** Opens the embedded store. Throws `locked` when another process has it open, `full` or `unusable` when the directory cannot be used. */
export function openLmdb(options: LmdbOptions): Store {
  const { path } = options;
  makeDirectory(path);
  try {
    return openIn(options, takeLock(path));
  } catch (err) {
    throw unusableDirectory(path, err);
  }
}

function openIn(options: LmdbOptions, lock: { release(): void }): Store {
  try {
    return new LmdbStore(options, new LmdbFiles(options.path), lock);
  } catch (err) {
    lock.release();
    throw err;
  }
}

/**
 * The store on LMDB. Writers queue; whatever has queued while a commit was on its way to the disk is worked out as one draft and
 * committed as one LMDB transaction. Watches read the history kept in the file, woken by commits.
 */
class LmdbStore implements Store {
  readonly #files: LmdbFiles;
  readonly #lock: { release(): void };
  readonly #log: Logger;
  readonly #path: string;
  readonly #keep: number;
  readonly #leases: LeaseClock;
  readonly #waiters = new Set<() => void>();
  readonly #jobs = new Set<Job>();
  /** Keys of the committed state that were looked for and found: nobody else writes to the file. */
  readonly #present = new Set<string>();
  #draining: Promise<void> | undefined;
  #closed = false;
  /** When the first commit was begun of those that have failed, or are on their way; undefined: the last is done. */
  #silentSinceMs: number | undefined;
  #revision: number;
  #floor: number;
  /** The oldest revision that may still be in the file. */
  #first: number;

  constructor(options: LmdbOptions, files: LmdbFiles, lock: { release(): void }) {
    this.#files = files;
    this.#lock = lock;
    this.#log = options.log;
    this.#path = options.path;
    this.#keep = options.historyRevisions ?? 100_000;
    const { revision, floor } = files.position();
    this.#revision = revision;
    this.#floor = floor;
    this.#first = files.firstRevision() ?? revision + 1;
    this.#leases = new LeaseClock(() => this.#endLeases());
    for (const { lease, ttlSeconds } of files.leases()) this.#leases.start(lease, ttlSeconds);
  }

  async get(key: string): Promise<KeyValue | undefined> {
    checkKey(key);
    this.#open();
    return this.#files.get(key);
  }

  async list(prefix: string): Promise<ListPage> {
    checkKey(prefix, 'prefix');
    this.#open();
    return { revision: this.#files.position().revision, kvs: [...this.#files.list(prefix)] };
  }

  async *listPages(prefix: string): AsyncGenerator<ListPage> {
    checkKey(prefix, 'prefix');
    this.#open();
    const snapshot = this.#files.snapshot();
    try {
      const { revision } = snapshot.position();
      let from = prefix;
      for (;;) {
        const kvs = [...snapshot.list(prefix, from, PAGE_KEYS)];
        yield { revision, kvs };
        const last = kvs.at(-1);
        if (last === undefined || kvs.length < PAGE_KEYS) return;
        if (this.#closed) throw new StoreError('closed', 'the store is closed');
        from = `${last.key}\u0000`;
      }
    } finally {
      snapshot.end();
    }
  }

  async txn(compares: readonly Compare[], ops: readonly Op[], options: CallOptions = {}): Promise<TxnResult> {
    checkTxn(compares, ops);
    return await this.#do((draft) => draft.txn(compares, ops), options);
  }

  async *watch(prefix: string, options: WatchOptions): AsyncGenerator<WatchBatch> {
    checkWatch(prefix, options.below);
    const isWatched = watchedKeys(prefix, options.below);
    let next = Math.max(1, options.fromRevision);
    while (!options.signal.aborted) {
      this.#open();
      const floor = this.#files.position().floor;
      if (next < floor) {
        throw new StoreError('compacted', `history before revision ${floor} is gone; revision ${next} was asked for`);
      }
      const steps = this.#files.history(next, WATCH_STEP);
      const last = steps.at(-1);
      if (last === undefined) {
        await this.#changed(next, options.signal);
        continue;
      }
      const events = steps.flatMap(({ revision, entries }) =>
        entries.filter(([key]) => isWatched(key)).map((entry): StoreEvent => decodeEvent(revision, entry)),
      );
      next = last.revision + 1;
      yield { revision: last.revision, events };
    }
  }

  async grantLease(ttlSeconds: number): Promise<string> {
    checkTtl(ttlSeconds);
    const lease = randomBytes(8).toString('hex');
    await this.#do((draft) => draft.leases.set(lease, ttlSeconds));
    return lease;
  }

  async keepAlive(lease: string): Promise<boolean> {
    return await this.#do((draft) => {
      const ttlSeconds = draft.leaseTtl(lease);
      if (ttlSeconds === undefined) return false;
      this.#leases.start(lease, ttlSeconds);
      return true;
    });
  }

  async revokeLease(lease: string): Promise<void> {
    await this.#do((draft) => draft.revoke(lease));
  }

  async compact(revision: number): Promise<void> {
    await this.#do((draft) => {
      if (!Number.isSafeInteger(revision) || revision > draft.revision) {
        throw new StoreError('invalid', `revision ${revision} cannot be compacted; the last is ${draft.revision}`);
      }
      this.#floor = Math.max(this.#floor, revision);
    });
    while (this.#first < this.#floor) await this.#do(() => undefined);
  }

  health(): StoreHealth {
    return { answeredAgoMs: this.#silentSinceMs === undefined ? 0 : performance.now() - this.#silentSinceMs };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#leases.stop();
    await this.#draining;
    this.#wakeWatches();
    await this.#files.close();
    this.#lock.release();
  }

  #open(): void {
    if (this.#closed) throw new StoreError('closed', 'the store is closed');
    this.#files.refresh();
  }

  /** Options end it while it waits for the commit of others; what is settled then is settled. */
  #do<T>(run: (draft: Draft) => T, options: CallOptions = {}): Promise<T> {
    if (this.#closed) throw new StoreError('closed', 'the store is closed');
    return new Promise<T>((resolve, reject) => {
      let stop = (): void => undefined;
      const settle = (error: unknown, result: unknown): void => {
        stop();
        if (error === null) resolve(result as T);
        else reject(error);
      };
      const job: Job = { run, settle };
      this.#jobs.add(job);
      stop = whenOver(options.signal, options.deadlineMs, (why) => {
        if (this.#jobs.delete(job)) settle(notSent(why), undefined);
        else if (why === 'late') settle(pendingError(), undefined);
      });
      this.#draining ??= this.#drain();
    });
  }

  #takeJobs(): readonly Job[] {
    const jobs: Job[] = [];
    for (const job of this.#jobs) {
      if (jobs.length === MAX_GROUP) break;
      this.#jobs.delete(job);
      jobs.push(job);
    }
    return jobs;
  }

  async #drain(): Promise<void> {
    // Let the writers of this event turn join the first group.
    await Promise.resolve();
    while (this.#jobs.size > 0) await this.#commitGroup(this.#takeJobs());
    this.#draining = undefined;
  }

  async #commitGroup(jobs: readonly Job[]): Promise<void> {
    this.#files.refresh();
    const floorBefore = this.#files.position().floor;
    const draft = new Draft({
      revision: this.#revision,
      get: (key) => this.#files.get(key),
      has: (key) => this.#has(key),
      keys: (prefix) => this.#files.keys(prefix),
      keysBetween: (from, to) => this.#files.keysBetween(from, to),
      leaseTtl: (lease) => this.#leases.ttl(lease),
      leaseKeys: (lease) => this.#files.leaseKeys(lease),
    });
    const outcomes = jobs.map((job) => attempt(job, draft));
    try {
      if (!draft.isEmpty || this.#floor !== floorBefore || this.#first < this.#floor) await this.#commit(draft);
    } catch (err) {
      this.#present.clear();
      // What only deletes has room where the others have none.
      if (err instanceof NoRoomError && jobs.length > 1) {
        for (const job of jobs) await this.#commitGroup([job]);
        return;
      }
      const error = commitError(err, this.#path);
      if (error.code === 'full') this.#silentSinceMs = undefined;
      else this.#log.error({ err: error }, 'store commit failed');
      for (const job of jobs) job.settle(error, undefined);
      return;
    }
    outcomes.forEach(({ error, result }, index) => {
      jobs[index]?.settle(error, result);
    });
  }

  #has(key: string): boolean {
    if (this.#present.has(key)) return true;
    if (!this.#files.has(key)) return false;
    if (this.#present.size === MAX_PRESENT) this.#present.clear();
    this.#present.add(key);
    return true;
  }

  async #commit(draft: Draft): Promise<void> {
    const floor = Math.max(this.#floor, draft.revision - this.#keep + 1);
    const trimTo = Math.min(floor, this.#first + draft.history.size + TRIM_STEP);
    this.#silentSinceMs ??= performance.now();
    await this.#files.commit(draft, { revision: draft.revision, floor }, this.#first, trimTo);
    this.#silentSinceMs = undefined;
    for (const [key, kv] of draft.records) if (kv === null) this.#present.delete(key);
    this.#revision = draft.revision;
    this.#floor = floor;
    this.#first = Math.max(this.#first, trimTo);
    for (const [lease, ttlSeconds] of draft.leases) {
      if (ttlSeconds === null) this.#leases.remove(lease);
      else this.#leases.start(lease, ttlSeconds);
    }
    this.#wakeWatches();
  }

  #endLeases(): void {
    if (this.#closed) return;
    this.#do((draft) => {
      for (const lease of this.#leases.due()) {
        draft.revoke(lease);
        this.#log.info({ lease }, 'lease ended');
      }
    }).catch((err: unknown) => {
      this.#log.warn({ err }, 'ended leases could not be removed, will retry');
      setTimeout(() => this.#endLeases(), 1000).unref();
    });
  }

  /** Resolves when history may have reached the revision, or the watch or the store ends. */
  #changed(next: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (this.#closed || signal.aborted || this.#revision >= next) return resolve();
      const wake = (): void => {
        this.#waiters.delete(wake);
        signal.removeEventListener('abort', wake);
        resolve();
      };
      this.#waiters.add(wake);
      signal.addEventListener('abort', wake, { once: true });
    });
  }

  #wakeWatches(): void {
    for (const wake of [...this.#waiters]) wake();
  }
}

function attempt(job: Job, draft: Draft): { readonly error: unknown; readonly result: unknown } {
  try {
    return { error: null, result: job.run(draft) };
  } catch (error) {
    return { error, result: undefined };
  }
}

function commitError(err: unknown, path: string): StoreError {
  const reason = err instanceof Error ? err.message : String(err);
  if (err instanceof NoRoomError) {
    const what = `--store: the disk of ${path} is full (${reason}): nothing was written; make room on it`;
    return new StoreError('full', what, err);
  }
  return new StoreError(
    'unavailable',
    `--store: could not write to the disk of ${path} (${reason}): see whether it works`,
    err,
  );
}
