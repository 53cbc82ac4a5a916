/**
 * The server's copy of the store: one indexed table a type, fed by list and watch. Reads of the API never touch the store.
 *
 *   store ──list──> diff ─┐
 *   store ──watch─> rows ─┴─> tables ──> revision ──> listeners (compiler, status) ──> waiters (read-your-writes)
 */
import { createBackoff, type IndexMaker, type Logger, sleep, Table, type TableReader } from '@cable/kit';
import type { AnyObject, ResourceModel } from '@cable/model';
import type { KeyValue, Store, StoreEvent, WatchBatch } from '@cable/store';
import { indexesOf } from './indexes.ts';
import { HOST_RUNTIME, OBJECTS, ROOT } from './keys.ts';
import { parseObject, parseRuntime, type TableTypes } from './rows.ts';
import { storeErrorCode } from './store-errors.ts';

/** One row's change. `before` undefined: created; `after` undefined: deleted. Types: resource names, and `alive`, `server`, `vif`. */
export type TableChange = {
  readonly type: string;
  readonly id: string;
  readonly before: AnyObject | undefined;
  readonly after: AnyObject | undefined;
};

/** Called after the tables have taken in everything up to `revision`; also when nothing of ours changed. Must not throw. */
export type ChangeListener = (revision: number, changes: readonly TableChange[]) => void;

/** A table with those rows of another for which `keep` is true; it has the other's indexes. */
export type DerivedTable = { readonly of: string; readonly keep: (row: AnyObject) => boolean };

export type TablesOptions = {
  readonly store: Pick<Store, 'list' | 'watch'>;
  readonly resources: readonly ResourceModel[];
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** Indexes besides the declared ones, by type. */
  readonly extraIndexes?: Readonly<Record<string, Readonly<Record<string, IndexMaker<AnyObject>>>>>;
  readonly derived?: Readonly<Record<string, DerivedTable>>;
  /** Called before the watch of the store is opened anew: the store may be another one by now. */
  readonly onReopen?: () => void;
};

type Waiter = { readonly revision: number; readonly wake: (reached: boolean) => void };
type AnyTable = Table<AnyObject, string>;
type Changes = Map<string, { type: string; id: string; before: AnyObject | undefined }>;

/** Tables of every stored type and of what hosts report. One owner; `start` once. */
export class Tables {
  readonly #options: TablesOptions;
  readonly #resources: ReadonlyMap<string, ResourceModel>;
  readonly #tables = new Map<string, AnyTable>();
  readonly #indexNames = new Map<string, ReadonlySet<string>>();
  readonly #derived: readonly (readonly [string, DerivedTable])[];
  readonly #modRevisions = new Map<string, number>();
  readonly #listeners = new Set<ChangeListener>();
  readonly #waiters = new Set<Waiter>();
  #revision = 0;
  /** Aborts the watch under way, when what it tells is void. */
  #watching = new AbortController();
  #relisting: Promise<void> = Promise.resolve();
  #done: Promise<void> = Promise.resolve();

  constructor(options: TablesOptions) {
    this.#options = options;
    this.#resources = new Map(options.resources.filter((one) => one.stored).map((one) => [one.name, one]));
    this.#derived = Object.entries(options.derived ?? {});
    for (const resource of this.#resources.values()) this.#addTable(resource.name, this.#indexesFor(resource));
    for (const [name, derived] of this.#derived) {
      const source = this.#resources.get(derived.of);
      if (source !== undefined) this.#addTable(name, this.#indexesFor(source));
    }
    this.#addTable('alive', {});
    this.#addTable('server', {});
    this.#addTable('vif', { host: (row) => [String(row['host'])], port_id: (row) => [String(row['port_id'])] });
  }

  /** Everything up to this revision is in the tables; 0: not started. */
  get revision(): number {
    return this.#revision;
  }

  /** Lists once, then follows the store until the signal aborts. Throws when the first list fails. */
  async start(): Promise<void> {
    await this.#list();
    this.#done = this.#follow().finally(() => {
      for (const waiter of [...this.#waiters]) waiter.wake(false);
    });
  }

  /**
   * The store has another history: lists everything anew, whatever was known, and follows the store from there. The revision may fall. Listeners are
   * told of every row. Throws when the list fails; the tables are as before then, and nothing is followed until it is called again.
   */
  relist(): Promise<void> {
    this.#watching.abort();
    this.#relisting = this.#list(true).then(() => {
      this.#watching = new AbortController();
    });
    return this.#relisting;
  }

  /** Resolves when following has ended, after the signal aborted. */
  stopped(): Promise<void> {
    return this.#done;
  }

  /** The table of a type known only at run time. Throws for a type that is not stored. */
  any(type: string): TableReader<AnyObject, string> {
    const table = this.#tables.get(type);
    if (table === undefined) throw new Error(`no table ${type}`);
    return table;
  }

  /** The table of a built-in type. */
  of<T extends keyof TableTypes>(type: T): TableReader<TableTypes[T], string> {
    return this.any(type) as unknown as TableReader<TableTypes[T], string>;
  }

  /** True when the table has an index of that name. */
  hasIndex(type: string, index: string): boolean {
    return this.#indexNames.get(type)?.has(index) === true;
  }

  /** Store revision of an object's last write; undefined: absent. For compares. */
  modRevision(type: string, id: string): number | undefined {
    return this.#modRevisions.get(`${type}/${id}`);
  }

  /** Calls the listener after each batch; returns how to stop that. */
  onChange(listener: ChangeListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Resolves true when the tables hold everything up to the revision; false after `timeoutMs` or when the server stops. */
  waitFor(revision: number, timeoutMs = 5000): Promise<boolean> {
    if (revision <= this.#revision) return Promise.resolve(true);
    if (this.#options.signal.aborted) return Promise.resolve(false);
    return new Promise((resolve) => {
      const waiter: Waiter = {
        revision,
        wake: (reached) => {
          clearTimeout(timer);
          this.#waiters.delete(waiter);
          resolve(reached);
        },
      };
      const timer = setTimeout(() => waiter.wake(false), timeoutMs);
      this.#waiters.add(waiter);
    });
  }

  #indexesFor(resource: ResourceModel): Readonly<Record<string, IndexMaker<AnyObject>>> {
    return { ...indexesOf(resource), ...this.#options.extraIndexes?.[resource.name] };
  }

  #addTable(name: string, indexes: Readonly<Record<string, IndexMaker<AnyObject>>>): void {
    this.#tables.set(name, new Table<AnyObject, string>(name, indexes));
    this.#indexNames.set(name, new Set(Object.keys(indexes)));
  }

  async #follow(): Promise<void> {
    const { signal, store, log } = this.#options;
    const backoff = createBackoff({ minMs: 50, maxMs: 5000 });
    while (!signal.aborted) {
      await this.#relisting.catch(() => {});
      const watching = this.#watching.signal;
      try {
        const either = AbortSignal.any([signal, watching]);
        for await (const batch of store.watch(ROOT, { fromRevision: this.#revision + 1, signal: either })) {
          if (watching.aborted) break;
          backoff.reset();
          this.#apply(batch);
        }
      } catch (err) {
        if (signal.aborted) return;
        log.warn({ err, revision: this.#revision }, 'watch of the store ended, will resume');
        if (storeErrorCode(err) === 'compacted') await this.#relist();
      }
      await sleep(backoff.next(), signal);
      if (!signal.aborted) this.#options.onReopen?.();
    }
  }

  async #relist(): Promise<void> {
    try {
      await this.#list();
    } catch (err) {
      this.#options.log.warn({ err }, 'list of the store failed, will retry');
    }
  }

  /** Makes the tables equal to the store's content; rows that did not change cause no event. */
  async #list(isAnew = false): Promise<void> {
    const objects = await this.#options.store.list(OBJECTS);
    const runtime = await this.#options.store.list(HOST_RUNTIME);
    if (isAnew) {
      this.#revision = 0;
      for (const key of this.#modRevisions.keys()) this.#modRevisions.set(key, 0);
    }
    const changes: Changes = new Map();
    const gone = new Set([...this.#modRevisions.keys()]);
    for (const kv of [...objects.kvs, ...runtime.kvs]) {
      const place = this.#placeOf(kv);
      if (place === undefined) continue;
      gone.delete(`${place.type}/${place.row.id}`);
      this.#put(changes, place.type, place.row, kv.modRevision);
    }
    for (const key of gone) {
      const slash = key.indexOf('/');
      this.#delete(changes, key.slice(0, slash), key.slice(slash + 1));
    }
    this.#publish(objects.revision, changes);
  }

  #apply(batch: WatchBatch): void {
    const changes: Changes = new Map();
    for (const event of batch.events) this.#applyEvent(changes, event);
    this.#publish(batch.revision, changes);
  }

  #applyEvent(changes: Changes, event: StoreEvent): void {
    if (event.kind === 'put') {
      const place = this.#placeOf(event.kv);
      if (place !== undefined) this.#put(changes, place.type, place.row, event.kv.modRevision);
      return;
    }
    const path = pathOf(event.key);
    const slash = path?.indexOf('/') ?? -1;
    if (path === undefined || slash < 0) return;
    const [type, id] = [path.slice(0, slash), path.slice(slash + 1)];
    // After a list of two prefixes the watch repeats a little: what is newer than the event stays.
    if ((this.#modRevisions.get(path) ?? 0) < event.modRevision) this.#delete(changes, type, id);
  }

  #placeOf(kv: KeyValue): { readonly type: string; readonly row: AnyObject } | undefined {
    if (kv.key.startsWith(HOST_RUNTIME)) return parseRuntime(kv.key.slice(HOST_RUNTIME.length), kv.value);
    if (!kv.key.startsWith(OBJECTS)) return undefined;
    const type = kv.key.slice(OBJECTS.length, kv.key.indexOf('/', OBJECTS.length));
    const resource = this.#resources.get(type);
    if (resource === undefined) return undefined;
    const row = parseObject(resource, kv.value);
    if (row === undefined) this.#options.log.error({ key: kv.key }, 'stored object is not readable');
    return row === undefined ? undefined : { type, row };
  }

  #put(changes: Changes, type: string, row: AnyObject, modRevision: number): void {
    const key = `${type}/${row.id}`;
    if ((this.#modRevisions.get(key) ?? 0) >= modRevision) return;
    this.#modRevisions.set(key, modRevision);
    const before = this.#tables.get(type)?.put(row.id, row);
    if (!changes.has(key)) changes.set(key, { type, id: row.id, before });
    for (const [name, derived] of this.#derived) {
      if (derived.of !== type) continue;
      if (derived.keep(row)) this.#tables.get(name)?.put(row.id, row);
      else this.#tables.get(name)?.delete(row.id);
    }
  }

  #delete(changes: Changes, type: string, id: string): void {
    const key = `${type}/${id}`;
    this.#modRevisions.delete(key);
    const before = this.#tables.get(type)?.delete(id);
    if (before === undefined) return;
    if (!changes.has(key)) changes.set(key, { type, id, before });
    for (const [name, derived] of this.#derived) {
      if (derived.of === type) this.#tables.get(name)?.delete(id);
    }
  }

  #publish(revision: number, pending: Changes): void {
    if (revision > this.#revision) this.#revision = revision;
    const changes: TableChange[] = [];
    for (const { type, id, before } of pending.values()) {
      const after = this.#tables.get(type)?.get(id);
      if (before !== undefined || after !== undefined) changes.push({ type, id, before, after });
    }
    for (const listener of this.#listeners) listener(this.#revision, changes);
    for (const waiter of [...this.#waiters]) {
      if (waiter.revision <= this.#revision) waiter.wake(true);
    }
  }
}

/** `<type>/<id>` of a key that has a row; undefined for any other. */
function pathOf(key: string): string | undefined {
  if (key.startsWith(OBJECTS)) return key.slice(OBJECTS.length);
  return key.startsWith(HOST_RUNTIME) ? key.slice(HOST_RUNTIME.length) : undefined;
}
