/**
 * The server's copy of the store: one indexed table a type, fed by list and watch. Reads of the API never touch the store.
 *
 *   store ──list──> diff ─┐
 *   store ──watch─> rows ─┴─> tables ──> revision ──> waiters (read-your-writes) ──> listeners (addresses, slices, status)
 *
 * A waiter is woken before the listeners are called, and goes on after them: what it does next finds the listeners up to date.
 */
import {
  type Compare,
  createBackoff,
  type IndexMaker,
  type Logger,
  sleep,
  startTurns,
  Table,
  type TableLister,
  type TableReader,
  type Turns,
} from '@cable/kit';
import type { AnyObject, ResourceModel } from '@cable/model';
import type { KeyValue, Store, StoreEvent, WatchBatch } from '@cable/store';
import { indexesOf, ordersOf } from './indexes.ts';
import { DERIVED, HOST_RUNTIME, MARKS, OBJECTS, ROOT } from './keys.ts';
import { createRowSharing, type RowSharing } from './row-sharing.ts';
import { parseObject, parseRuntime, type TableTypes } from './rows.ts';
import { storeErrorCode } from './store-errors.ts';

/** One row's change. `before` undefined: created; `after` undefined: deleted. Types: resource names, and `alive`, `server`, `vif`. */
export type TableChange = {
  readonly type: string;
  readonly id: string;
  readonly before: AnyObject | undefined;
  readonly after: AnyObject | undefined;
};

/**
 * Called after the tables have taken in everything up to `revision`; also when nothing of ours changed. While the store is listed for
 * the first time: once a portion, with revision 0. Must not throw, and must only take note: whoever wrote the change waits for it.
 */
export type ChangeListener = (revision: number, changes: readonly TableChange[]) => void;

/** A table with those rows of another for which `keep` is true; it has the other's indexes. */
export type DerivedTable = { readonly of: string; readonly keep: (row: AnyObject) => boolean };

export type TablesOptions = {
  readonly store: Pick<Store, 'listPages' | 'watch'>;
  readonly resources: readonly ResourceModel[];
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** Indexes besides the declared ones, by type. */
  readonly extraIndexes?: Readonly<Record<string, Readonly<Record<string, IndexMaker<AnyObject>>>>>;
  readonly derived?: Readonly<Record<string, DerivedTable>>;
  /** Called for each mark of the store's history that the watch tells of, before the tables have its revision. */
  readonly onMark?: (mark: KeyValue) => void;
  /** Called before the watch of the store is opened anew: the store may be another one by now. */
  readonly onReopen?: () => void;
};

type Waiter = { readonly revision: number; readonly wake: (reached: boolean) => void };
type AnyTable = Table<AnyObject, string>;
type Changes = Map<string, { type: string; id: string; before: AnyObject | undefined }>;
/** Where a key's row stands. */
type Place = { readonly type: string; readonly id: string };
type Put = Place & { readonly row: AnyObject; readonly revision: number };

/** Tables of what hosts report. */
const RUNTIME_TYPES = ['alive', 'server', 'vif'] as const;

/** How often a list begins anew because the store forgot, meanwhile, the revision it was of. */
const LIST_ATTEMPTS = 5;

/** Tables of every stored type and of what hosts report. One owner; `start` once. */
export class Tables {
  readonly #options: TablesOptions;
  readonly #resources: ReadonlyMap<string, ResourceModel>;
  readonly #tables = new Map<string, AnyTable>();
  readonly #indexNames = new Map<string, ReadonlySet<string>>();
  readonly #derived: readonly (readonly [string, DerivedTable])[];
  readonly #sharing: ReadonlyMap<string, RowSharing>;
  readonly #listeners = new Set<ChangeListener>();
  readonly #waiters = new Set<Waiter>();
  #revision = 0;
  /** Aborts the watch under way, when what it tells is void. */
  #watching = new AbortController();
  #relisting: Promise<void> = Promise.resolve();
  #done: Promise<void> = Promise.resolve();

  constructor(options: TablesOptions) {
    this.#options = options;
    this.#resources = new Map(options.resources.filter((one) => one.stored).map((one) => [one.type, one]));
    this.#sharing = new Map(Array.from(this.#resources, ([name, resource]) => [name, createRowSharing(resource)]));
    this.#derived = Object.entries(options.derived ?? {});
    for (const resource of this.#resources.values()) {
      this.#addTable(resource.type, this.#indexesFor(resource), ordersOf(resource));
    }
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
  any(type: string): TableLister<AnyObject, string> {
    const table = this.#tables.get(type);
    if (table === undefined) throw new Error(`no table ${type}`);
    return table;
  }

  /** The table of a built-in type. */
  of<T extends keyof TableTypes>(type: T): TableReader<TableTypes[T], string> {
    return this.any(type) as unknown as TableReader<TableTypes[T], string>;
  }

  /** A table without rows that has the type's indexes. Throws as `any`. */
  emptyLike(type: string): Table<AnyObject, string> {
    const resource = this.#resources.get(type);
    if (resource === undefined) throw new Error(`no table ${type}`);
    return new Table<AnyObject, string>(type, this.#indexesFor(resource));
  }

  /** True when the table has an index of that name. */
  hasIndex(type: string, index: string): boolean {
    return this.#indexNames.get(type)?.has(index) === true;
  }

  /** Store revision of an object's last write; undefined: absent. For compares. */
  modRevision(type: string, id: string): number | undefined {
    return this.#tables.get(type)?.revisionOf(id);
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
    return { ...indexesOf(resource), ...this.#options.extraIndexes?.[resource.type] };
  }

  #addTable(
    name: string,
    indexes: Readonly<Record<string, IndexMaker<AnyObject>>>,
    orders: Readonly<Record<string, Compare<AnyObject>>> = {},
  ): void {
    this.#tables.set(name, new Table<AnyObject, string>(name, indexes, orders));
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
        const from = { fromRevision: this.#revision + 1, below: DERIVED };
        for await (const batch of store.watch(ROOT, { ...from, signal: either })) {
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
      if (this.#options.signal.aborted) return;
      this.#options.log.warn({ err }, 'list of the store failed, will retry');
    }
  }

  /** Makes the tables equal to the store's content; rows that did not change cause no event. */
  async #list(isAnew = false): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#listOnce(isAnew);
      } catch (err) {
        if (storeErrorCode(err) !== 'compacted' || attempt === LIST_ATTEMPTS) throw err;
      }
    }
  }

  /**
   * Reads the store in portions. The first time they go into the tables as they come: nobody reads yet. Later the differences alone are
   * kept, and taken in in one go at the end, so that readers see the tables of one revision or of the other. `isAnew`: what is known is of another history,
   * in which the same revisions were something else.
   */
  async #listOnce(isAnew: boolean): Promise<void> {
    const isFirst = this.#revision === 0;
    const turns = startTurns();
    const gone = await this.#knownIds(turns);
    const found: Put[] = [];
    let revision = 0;
    for (const prefix of [OBJECTS, HOST_RUNTIME]) {
      for await (const page of this.#options.store.listPages(prefix)) {
        this.#options.signal.throwIfAborted();
        // The second prefix may be of a later revision: the watch then repeats a little.
        if (prefix === OBJECTS) revision = page.revision;
        const changes: Changes = new Map();
        for (const kv of page.kvs) {
          if (turns.due()) await turns.next();
          const put = this.#readPut(kv, gone, isAnew);
          if (put === undefined) continue;
          if (isFirst) this.#put(changes, put);
          else found.push(put);
        }
        if (isFirst) this.#publish(0, changes);
      }
    }
    if (isAnew) this.#revision = 0;
    const changes: Changes = new Map();
    for (const put of found) this.#put(changes, put);
    for (const [type, ids] of gone) for (const id of ids) this.#delete(changes, { type, id });
    this.#publish(revision, changes);
  }

  async #knownIds(turns: Turns): Promise<ReadonlyMap<string, Set<string>>> {
    const known = new Map<string, Set<string>>();
    for (const type of [...this.#resources.keys(), ...RUNTIME_TYPES]) {
      const ids = new Set<string>();
      for (const id of this.#tables.get(type)?.ids() ?? []) {
        if (turns.due()) await turns.next();
        ids.add(id);
      }
      known.set(type, ids);
    }
    return known;
  }

  /** A listed key's row if it is newer than the tables'; either way the key is there, so it leaves `gone`. */
  #readPut(kv: KeyValue, gone: ReadonlyMap<string, Set<string>>, isAnew: boolean): Put | undefined {
    const place = placeOf(kv.key);
    if (place === undefined) return undefined;
    const isKnown = !isAnew && this.#isKnown(place, kv.modRevision);
    const put = isKnown ? undefined : this.#parse(place, kv);
    if (put !== undefined || isKnown) gone.get(place.type)?.delete(place.id);
    return put;
  }

  #apply(batch: WatchBatch): void {
    const changes: Changes = new Map();
    for (const event of batch.events) this.#applyEvent(changes, event);
    this.#publish(batch.revision, changes);
  }

  #applyEvent(changes: Changes, event: StoreEvent): void {
    const place = placeOf(event.kind === 'put' ? event.kv.key : event.key);
    if (place === undefined) {
      if (event.kind === 'put' && event.kv.key.startsWith(MARKS)) this.#options.onMark?.(event.kv);
      return;
    }
    if (event.kind === 'put') {
      const put = this.#isKnown(place, event.kv.modRevision) ? undefined : this.#parse(place, event.kv);
      if (put !== undefined) this.#put(changes, put);
    } else if (!this.#isKnown(place, event.modRevision)) this.#delete(changes, place);
  }

  /** True when the table's row is as new as the revision: after a list of two prefixes the watch repeats a little. */
  #isKnown({ type, id }: Place, revision: number): boolean {
    return (this.#tables.get(type)?.revisionOf(id) ?? 0) >= revision;
  }

  /** The row of a key; undefined when it is none of ours, or not readable. */
  #parse(place: Place, kv: KeyValue): Put | undefined {
    const { type, id } = place;
    if (kv.key.startsWith(HOST_RUNTIME)) {
      const row = parseRuntime(kv.key.slice(HOST_RUNTIME.length), kv.value)?.row;
      return row === undefined ? undefined : { type, id, row, revision: kv.modRevision };
    }
    const resource = this.#resources.get(type);
    if (resource === undefined) return undefined;
    const row = parseObject(resource, kv.value);
    if (row?.id === id) return { type, id, row, revision: kv.modRevision };
    this.#options.log.error({ key: kv.key }, 'stored object is not readable');
    return undefined;
  }

  #put(changes: Changes, { type, id, row, revision }: Put): void {
    const table = this.#tables.get(type);
    if (table === undefined) return;
    const before = table.get(id);
    this.#sharing.get(type)?.(row, before, table);
    table.put(row.id, row, revision);
    note(changes, type, row.id, before);
    for (const [name, derived] of this.#derived) {
      if (derived.of !== type) continue;
      if (derived.keep(row)) this.#tables.get(name)?.put(row.id, row);
      else this.#tables.get(name)?.delete(row.id);
    }
  }

  #delete(changes: Changes, { type, id }: Place): void {
    const before = this.#tables.get(type)?.delete(id);
    if (before === undefined) return;
    note(changes, type, id, before);
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
    for (const waiter of [...this.#waiters]) {
      if (waiter.revision <= this.#revision) waiter.wake(true);
    }
    for (const listener of this.#listeners) listener(this.#revision, changes);
  }
}

/** What stood there before the batch counts, not what stood there between two events of it. */
function note(changes: Changes, type: string, id: string, before: AnyObject | undefined): void {
  const key = `${type}/${id}`;
  if (!changes.has(key)) changes.set(key, { type, id, before });
}

/** The place of a key that may have a row; undefined for any other. */
function placeOf(key: string): Place | undefined {
  const prefix = key.startsWith(OBJECTS) ? OBJECTS : HOST_RUNTIME;
  const slash = key.indexOf('/', prefix.length);
  if (slash < 0 || !key.startsWith(prefix)) return undefined;
  return { type: key.slice(prefix.length, slash), id: key.slice(slash + 1) };
}
