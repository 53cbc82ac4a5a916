/**
 * The server's copy of the store: one indexed table a type, fed by list and watch. Reads of the API never touch the store.
 *
 *   store ──list──> diff ─┐
 *   store ──watch─> rows ─┴─> tables ──> revision ──> waiters (read-your-writes) ──> listeners (addresses, slices, status)
 *
 * A waiter is woken before the listeners are called, and goes on after them: what it does next finds the listeners up to date.
 */
import {
  createBackoff,
  type Logger,
  sleep,
  startTurns,
  type Table,
  type TableLister,
  type TableReader,
  type Turns,
} from '@cable/kit';
import type { AnyObject, ResourceModel } from '@cable/model';
import type { KeyValue, Store, StoreEvent, WatchBatch } from '@cable/store';
import { DERIVED, HOST_RUNTIME, MARKS, OBJECTS, objectPrefix, ROOT, TOMBSTONE_KEYS, TYPE_KEYS } from './keys.ts';
import { NotLoadedError } from './not-loaded.ts';
import { parseObject } from './object-text.ts';
import { covers, parseRuntime, parseTombstone, type TableTypes, TOMBSTONES, type Tombstone } from './rows.ts';
import { storeErrorCode } from './store-errors.ts';
import {
  type AnyTable,
  createTypeRows,
  type DerivedTable,
  deleteRow,
  type Extras,
  type Indexes,
  isSameShape,
  putRow,
  type TypeRows,
  tableOf,
  takeOver,
} from './type-rows.ts';

export type { DerivedTable } from './type-rows.ts';

/** One row's change. `before` undefined: created; `after` undefined: deleted. Types: resource names, and `RUNTIME_TYPES`. */
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

export type TablesOptions = {
  readonly store: Pick<Store, 'listPages' | 'watch'>;
  readonly resources: readonly ResourceModel[];
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** Indexes and orders besides the declared ones, by type. */
  readonly extra?: Readonly<Record<string, Extras>>;
  readonly derived?: Readonly<Record<string, DerivedTable>>;
  /** Called for each mark of the store's history that the watch tells of, before the tables have its revision. */
  readonly onMark?: (mark: KeyValue) => void;
  /** Called before the watch of the store is opened anew: the store may be another one by now. */
  readonly onReopen?: () => void;
};

type Waiter = { readonly revision: number; readonly wake: (reached: boolean) => void };
type Changes = Map<string, { type: string; id: string; before: AnyObject | undefined }>;
/** Where a key's row stands. */
type Place = { readonly type: string; readonly id: string };
type Put = Place & { readonly row: AnyObject; readonly revision: number };

/** Table of the types of extensions that servers have loaded at run time: rows are `LoadedType`. No declared type can have the name. */
export const LOADED_TYPES = 'loaded-type';

/** A type that every server on the store must have loaded; `id` is its name. */
export type LoadedType = { readonly id: string; readonly extension: string };

/** Tables that are none of a declared type. */
export const RUNTIME_TYPES: readonly string[] = [
  ...['alive', 'server', 'vif', 'health', 'nova', 'nova-proton', 'teller', 'heard', 'told', 'controller'],
  ...[LOADED_TYPES, TOMBSTONES],
];

/** What is listed, in this order. */
const LISTED = [OBJECTS, HOST_RUNTIME, TYPE_KEYS, TOMBSTONE_KEYS] as const;

/** Tables that are ready to take the place of those that are there. */
export type StagedTables = {
  /** What is in the table of a type that is new or has another shape; undefined: it has none, and the one that is there stays. */
  rows(type: string): Iterable<AnyObject> | undefined;
  /** Takes them, at once. False: the store was listed anew meanwhile, so they may lack something; nothing has changed. */
  commit(): boolean;
  /** Forgets them. Idempotent. */
  discard(): void;
};

/** A table that is being filled while the one of before is read. */
type Staged = {
  readonly rows: TypeRows;
  /** Revisions of deletes that came before the list told of the row, by id. */
  readonly deleted: Map<string, number>;
};

/** How often a list begins anew because the store forgot, meanwhile, the revision it was of. */
const LIST_ATTEMPTS = 5;

/** Tables of every stored type and of what hosts report. One owner; `start` once. */
export class Tables {
  readonly #options: TablesOptions;
  readonly #types = new Map<string, TypeRows>();
  /** All of them, by name. */
  readonly #tables = new Map<string, AnyTable>();
  readonly #indexNames = new Map<string, ReadonlySet<string>>();
  #staged: ReadonlyMap<string, Staged> = new Map();
  /** How often the tables were made equal to a list of the store. */
  #lists = 0;
  /** How often other types were taken. */
  #shapes = 0;
  readonly #listeners = new Set<ChangeListener>();
  readonly #waiters = new Set<Waiter>();
  #revision = 0;
  /** Aborts the watch under way, when what it tells is void. */
  #watching = new AbortController();
  #relisting: Promise<void> = Promise.resolve();
  #done: Promise<void> = Promise.resolve();

  constructor(options: TablesOptions) {
    this.#options = options;
    for (const resource of options.resources) if (resource.stored) this.#takeType(this.#emptyType(resource));
    this.#addTable('alive', {});
    this.#addTable('server', {});
    this.#addTable('vif', { host: (row) => [String(row['host'])], port_id: (row) => [String(row['port_id'])] });
    this.#addTable('health', { host: (row) => [String(row['host'])] });
    this.#addTable('nova', {});
    this.#addTable('nova-proton', {});
    this.#addTable('teller', {});
    this.#addTable('heard', {});
    this.#addTable('told', { plugin: (row) => [String(row['plugin'])] });
    this.#addTable('controller', {});
    this.#addTable(LOADED_TYPES, {});
    this.#addTable(TOMBSTONES, {});
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

  /**
   * Fills tables for the stored types that are new or have another shape, while those that are there are read and followed. They have what the store had when
   * this was called, and are kept up to date until they are taken: let the tables catch up with the store first. One at a time. Throws `StoreError`.
   */
  async stage(resources: readonly ResourceModel[]): Promise<StagedTables> {
    const stored = resources.filter((one) => one.stored);
    const other = stored.filter((one) => {
      const known = this.#types.get(one.type);
      return known === undefined || !isSameShape(known.resource, one);
    });
    const staged = new Map(
      other.map((one): [string, Staged] => [one.type, { rows: this.#emptyType(one), deleted: new Map() }]),
    );
    const lists = this.#lists;
    this.#staged = staged;
    const discard = (): void => {
      if (this.#staged === staged) this.#staged = new Map();
    };
    try {
      for (const one of staged.values()) await this.#fill(one);
    } catch (err) {
      discard();
      throw err;
    }
    const names = new Set(stored.map(({ type }) => type));
    const commit = (): boolean => {
      if (this.#staged !== staged || this.#lists !== lists) return false;
      discard();
      this.#takeStaged(staged, names);
      return true;
    };
    return { rows: (type) => staged.get(type)?.rows.table.values(), commit, discard };
  }

  /** The table of a type known only at run time. Throws `NotLoadedError` for a type that is not stored. */
  any(type: string): TableLister<AnyObject, string> {
    const table = this.#tables.get(type);
    if (table === undefined) throw new NotLoadedError(`the type ${type}`);
    return table;
  }

  /** Whether the type is loaded. */
  has(type: string): boolean {
    return this.#tables.has(type);
  }

  /** The table of a built-in type. */
  of<T extends keyof TableTypes>(type: T): TableReader<TableTypes[T], string> {
    return this.any(type) as unknown as TableReader<TableTypes[T], string>;
  }

  /** A table without rows that has the type's indexes, and the orders that are not declared. Throws as `any`. */
  emptyLike(type: string): Table<AnyObject, string> {
    const rows = this.#types.get(type);
    if (rows === undefined) throw new NotLoadedError(`the type ${type}`);
    return tableOf(type, rows.indexes, rows.extraOrders);
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

  #emptyType(resource: ResourceModel): TypeRows {
    const { extra = {}, derived = {} } = this.#options;
    return createTypeRows(resource, extra[resource.type] ?? {}, Object.entries(derived));
  }

  #takeType(rows: TypeRows): void {
    const { type } = rows.resource;
    this.#types.set(type, rows);
    for (const [name, table] of namedTables(rows)) {
      this.#tables.set(name, table);
      this.#indexNames.set(name, new Set(Object.keys(rows.indexes)));
    }
  }

  #takeStaged(staged: ReadonlyMap<string, Staged>, names: ReadonlySet<string>): void {
    this.#shapes += 1;
    for (const [type, rows] of this.#types) {
      if (names.has(type)) continue;
      this.#types.delete(type);
      for (const [name] of namedTables(rows)) {
        this.#tables.delete(name);
        this.#indexNames.delete(name);
      }
    }
    const changes: TableChange[] = [];
    for (const [type, { rows }] of staged) {
      const before = this.#types.get(type);
      const had = new Map(before === undefined ? [] : [...before.table.values()].map((row) => [row.id, row]));
      this.#takeType(before === undefined ? rows : takeOver(before, rows));
      for (const after of this.any(type).values())
        changes.push({ type, id: after.id, before: had.get(after.id), after });
    }
    // Who keeps something of rows has it of these, too.
    if (changes.length > 0) for (const listener of this.#listeners) listener(this.#revision, changes);
  }

  #addTable(name: string, indexes: Indexes): void {
    this.#tables.set(name, tableOf(name, indexes));
    this.#indexNames.set(name, new Set(Object.keys(indexes)));
  }

  /** Lists one type's objects into its staged table, over what the watch has told of them by then. */
  async #fill(staged: Staged): Promise<void> {
    const { type } = staged.rows.resource;
    const turns = startTurns();
    for (let attempt = 1; ; attempt += 1) {
      try {
        for await (const page of this.#options.store.listPages(objectPrefix(type))) {
          this.#options.signal.throwIfAborted();
          for (const kv of page.kvs) {
            if (turns.due()) await turns.next();
            this.#stagePut(staged, kv);
          }
        }
        return;
      } catch (err) {
        if (storeErrorCode(err) !== 'compacted' || attempt === LIST_ATTEMPTS) throw err;
      }
    }
  }

  #stagePut({ rows, deleted }: Staged, kv: KeyValue): void {
    const id = kv.key.slice(objectPrefix(rows.resource.type).length);
    const known = Math.max(rows.table.revisionOf(id) ?? 0, deleted.get(id) ?? 0);
    const row = known >= kv.modRevision ? undefined : this.#parseRow(rows.resource, id, kv);
    if (row === undefined || this.#isBuried(rows.resource.type, row, kv.modRevision)) return;
    putRow(rows, row, kv.modRevision);
    deleted.delete(id);
  }

  #stageEvent({ type, id }: Place, event: StoreEvent): void {
    const staged = this.#staged.get(type);
    if (staged === undefined) return;
    if (event.kind === 'put') {
      this.#stagePut(staged, event.kv);
      return;
    }
    if ((staged.rows.table.revisionOf(id) ?? 0) >= event.modRevision) return;
    deleteRow(staged.rows, id);
    staged.deleted.set(id, event.modRevision);
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
        if (await this.#listOnce(isAnew)) return;
      } catch (err) {
        if (storeErrorCode(err) !== 'compacted' || attempt === LIST_ATTEMPTS) throw err;
      }
    }
  }

  /**
   * Reads the store in portions. The first time they go into the tables as they come: nobody reads yet. Later the differences alone are
   * kept, and taken in in one go at the end, so that readers see the tables of one revision or of the other. `isAnew`: what is known is of another history,
   * in which the same revisions were something else. False: other types were taken meanwhile, so it has to be done again.
   */
  async #listOnce(isAnew: boolean): Promise<boolean> {
    const isFirst = this.#revision === 0;
    const shapes = this.#shapes;
    const turns = startTurns();
    const gone = await this.#knownIds(turns);
    const found: Put[] = [];
    let revision = 0;
    for (const prefix of LISTED) {
      for await (const page of this.#options.store.listPages(prefix)) {
        this.#options.signal.throwIfAborted();
        // What is not the first prefix may be of a later revision: the watch then repeats a little.
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
    if (shapes !== this.#shapes) return false;
    this.#lists += 1;
    if (isAnew) this.#revision = 0;
    const changes: Changes = new Map();
    for (const put of found) this.#put(changes, put);
    for (const [type, ids] of gone) for (const id of ids) this.#delete(changes, { type, id });
    this.#publish(revision, changes);
    return true;
  }

  async #knownIds(turns: Turns): Promise<ReadonlyMap<string, Set<string>>> {
    const known = new Map<string, Set<string>>();
    for (const type of [...this.#types.keys(), ...RUNTIME_TYPES]) {
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
    // Tombstones of another history say nothing of this one; its own come last.
    if (!isAnew && put !== undefined && this.#isBuried(put.type, put.row, put.revision)) return undefined;
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
    this.#stageEvent(place, event);
    if (event.kind === 'put') {
      const put = this.#isKnown(place, event.kv.modRevision) ? undefined : this.#parse(place, event.kv);
      if (put !== undefined && !this.#isBuried(put.type, put.row, put.revision)) this.#put(changes, put);
    } else if (!this.#isKnown(place, event.modRevision)) this.#delete(changes, place);
  }

  /** True when the table's row is as new as the revision: after a list of two prefixes the watch repeats a little. */
  #isKnown({ type, id }: Place, revision: number): boolean {
    return (this.#tables.get(type)?.revisionOf(id) ?? 0) >= revision;
  }

  /** True for a part of what was deleted after it was written: it is still in the store, and not there any more. */
  #isBuried(type: string, row: AnyObject, revision: number): boolean {
    const tombstones = this.#tables.get(TOMBSTONES);
    if (tombstones === undefined || tombstones.size === 0) return false;
    return ([...tombstones.values()] as unknown as readonly Tombstone[]).some((one) =>
      covers(one, tombstones.revisionOf(one.id) ?? 0, type, row, revision),
    );
  }

  /** Takes out the parts that a tombstone covers. */
  #bury(changes: Changes, { of, parts }: Tombstone, revision: number): void {
    for (const { type, attribute } of parts) {
      const table = this.#types.get(type)?.table;
      for (const { id } of table?.by(attribute, of.id) ?? []) {
        if ((table?.revisionOf(id) ?? 0) <= revision) this.#delete(changes, { type, id });
      }
    }
  }

  /** The row of a key; undefined when it is none of ours, or not readable. */
  #parse(place: Place, kv: KeyValue): Put | undefined {
    const { type, id } = place;
    if (kv.key.startsWith(HOST_RUNTIME)) {
      const row = parseRuntime(kv.key.slice(HOST_RUNTIME.length), kv.value)?.row;
      return row === undefined ? undefined : { type, id, row, revision: kv.modRevision };
    }
    if (type === LOADED_TYPES) {
      const row: LoadedType = { id, extension: kv.value };
      return { type, id, row, revision: kv.modRevision };
    }
    if (type === TOMBSTONES) {
      const row = parseTombstone(id, kv.value);
      return row === undefined ? undefined : { type, id, row, revision: kv.modRevision };
    }
    const rows = this.#types.get(type);
    const row = rows === undefined ? undefined : this.#parseRow(rows.resource, id, kv);
    return row === undefined ? undefined : { type, id, row, revision: kv.modRevision };
  }

  #parseRow(resource: ResourceModel, id: string, kv: KeyValue): AnyObject | undefined {
    const row = parseObject(resource, kv.value);
    if (row?.id === id) return row;
    this.#options.log.error({ key: kv.key }, 'stored object is not readable');
    return undefined;
  }

  #put(changes: Changes, { type, id, row, revision }: Put): void {
    const rows = this.#types.get(type);
    const before = rows === undefined ? this.#tables.get(type)?.put(id, row, revision) : putRow(rows, row, revision);
    note(changes, type, id, before);
    if (type === TOMBSTONES) this.#bury(changes, row as unknown as Tombstone, revision);
  }

  #delete(changes: Changes, { type, id }: Place): void {
    const rows = this.#types.get(type);
    const before = rows === undefined ? this.#tables.get(type)?.delete(id) : deleteRow(rows, id);
    if (before !== undefined) note(changes, type, id, before);
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

function namedTables({ resource, table, derived }: TypeRows): readonly (readonly [string, AnyTable])[] {
  return [[resource.type, table], ...Array.from(derived, ([name, one]) => [name, one.table] as const)];
}

/** The place of a key that may have a row; undefined for any other. */
function placeOf(key: string): Place | undefined {
  if (key.startsWith(TYPE_KEYS)) return { type: LOADED_TYPES, id: key.slice(TYPE_KEYS.length) };
  if (key.startsWith(TOMBSTONE_KEYS)) return { type: TOMBSTONES, id: key.slice(TOMBSTONE_KEYS.length) };
  const prefix = key.startsWith(OBJECTS) ? OBJECTS : HOST_RUNTIME;
  const slash = key.indexOf('/', prefix.length);
  if (slash < 0 || !key.startsWith(prefix)) return undefined;
  return { type: key.slice(prefix.length, slash), id: key.slice(slash + 1) };
}
