import {
  affectedHosts,
  affectedSlices,
  type CompilerTables,
  computeSlice,
  reachableSlices,
  type TableChange,
} from '@cable/compiler';
import type { SliceKey } from '@cable/model';
import { type SliceEntry, sliceEntry } from './slice-line.ts';

/** Told which of its host's slices changed, came, or went at the cache's revision. */
export type HostListener = (keys: ReadonlySet<SliceKey>) => void;

/** The slices that each change of a batch touches; a change that could not be compiled is not among them. */
export type Touched = ReadonlyMap<TableChange, ReadonlySet<SliceKey>>;

/** What a host reaches, each with the revision at which it began to. */
type Reach = Map<SliceKey, number>;

/**
 * Every slice that some registered host needs, computed once. A batch of table changes recomputes the slices it touches and the reach
 * of the hosts it may move, and nothing else.
 */
export class SliceCache {
  readonly #tables: CompilerTables;
  readonly #onError: (what: string, err: unknown) => void;
  readonly #entries = new Map<SliceKey, SliceEntry>();
  readonly #reach = new Map<string, Reach>();
  readonly #subscribers = new Map<SliceKey, Set<string>>();
  readonly #listeners = new Map<string, Set<HostListener>>();
  #revision = 0;
  /** A client with exactly this revision may have it from an earlier server, of another version, that made other slices of equal tables. */
  #loadedAt = 0;

  /** `onError`: what could not be compiled stays as it was, so that one bad object does not stop the others. */
  constructor(tables: CompilerTables, onError: (what: string, err: unknown) => void) {
    this.#tables = tables;
    this.#onError = onError;
  }

  /** Everything up to this store revision is in the slices. */
  get revision(): number {
    return this.#revision;
  }

  /** Number of slices held. */
  get size(): number {
    return this.#entries.size;
  }

  /** Computes everything from the tables; each slice counts as changed at `revision`. */
  load(revision: number): void {
    this.#revision = revision;
    this.#loadedAt = revision;
    const told = new Map<string, Set<SliceKey>>();
    for (const [host, reach] of this.#reach) told.set(host, new Set(reach.keys()));
    this.#reach.clear();
    this.#subscribers.clear();
    this.#entries.clear();
    for (const host of this.#tables.host.values()) this.#updateReach(host.id, told);
    this.#notify(told);
  }

  /** Takes over a batch of changes that the tables already hold; gives the slices that each change touches. */
  apply(revision: number, changes: readonly TableChange[]): Touched {
    this.#revision = revision;
    const touched = new Map<TableChange, ReadonlySet<SliceKey>>();
    const hosts = new Set<string>();
    for (const change of changes) {
      const survey = this.#survey(change);
      if (survey !== undefined) touched.set(change, survey.keys);
      for (const host of survey?.hosts ?? []) hosts.add(host);
    }
    const told = new Map<string, Set<SliceKey>>();
    for (const key of new Set([...touched.values()].flatMap((keys) => [...keys]))) this.#recompute(key, told);
    for (const host of hosts) this.#updateReach(host, told);
    this.#notify(told);
    return touched;
  }

  /** True for a registered host. */
  hasHost(host: string): boolean {
    return this.#reach.has(host);
  }

  /** The slice; undefined: nobody needs it, or what it is about does not exist. */
  entry(key: SliceKey): SliceEntry | undefined {
    return this.#entries.get(key);
  }

  /** Whether the host needs the slice. */
  reaches(host: string, key: SliceKey): boolean {
    return this.#reach.get(host)?.has(key) === true;
  }

  /** Keys of the host's slices that exist. */
  keys(host: string): SliceKey[] {
    return [...(this.#reach.get(host)?.keys() ?? [])].filter((key) => this.#entries.has(key));
  }

  /** Keys of the host's slices that changed, or that the host came to need, after the revision. */
  keysSince(host: string, revision: number): SliceKey[] {
    const known = revision === this.#loadedAt ? revision - 1 : revision;
    const found: SliceKey[] = [];
    for (const [key, reachedAt] of this.#reach.get(host) ?? []) {
      const entry = this.#entries.get(key);
      const changedAt = Math.max(entry?.revision ?? 0, reachedAt);
      if (entry !== undefined && changedAt > known) found.push(key);
    }
    return found;
  }

  /** Hosts that need the slice. */
  subscribers(key: SliceKey): ReadonlySet<string> {
    return this.#subscribers.get(key) ?? EMPTY;
  }

  /** Calls the listener after each batch that changes the host's state; the answer ends that. */
  subscribe(host: string, listener: HostListener): () => void {
    const listeners = this.#listeners.get(host) ?? new Set();
    this.#listeners.set(host, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.#listeners.get(host) === listeners) this.#listeners.delete(host);
    };
  }

  #notify(told: ReadonlyMap<string, ReadonlySet<SliceKey>>): void {
    for (const [host, keys] of told) for (const listener of this.#listeners.get(host) ?? []) listener(keys);
  }

  #recompute(key: SliceKey, told: Map<string, Set<SliceKey>>): void {
    const subscribers = this.#subscribers.get(key);
    if (subscribers === undefined) return;
    if (this.#refresh(key)) for (const host of subscribers) tell(told, host, key);
  }

  /** True if the slice's content is now another. */
  #refresh(key: SliceKey): boolean {
    const before = this.#entries.get(key);
    const computed = this.#attempt(key, () => ({ slice: computeSlice(this.#tables, key) }));
    if (computed === undefined) return false;
    const { slice } = computed;
    if (slice === undefined) return this.#entries.delete(key);
    const after = sliceEntry(key, this.#revision, slice, before);
    this.#entries.set(key, after);
    return after !== before;
  }

  #updateReach(host: string, told: Map<string, Set<SliceKey>>): void {
    const registered = this.#tables.host.get(host) !== undefined;
    const before = this.#reach.get(host) ?? new Map<SliceKey, number>();
    const reached = registered ? () => reachableSlices(this.#tables, host) : () => new Set<SliceKey>();
    const wanted = this.#attempt(`reach of host ${host}`, reached) ?? new Set(before.keys());
    const after: Reach = new Map();
    for (const key of wanted) {
      const reachedAt = before.get(key);
      after.set(key, reachedAt ?? this.#revision);
      if (reachedAt === undefined) this.#join(host, key, told);
    }
    for (const key of before.keys()) if (!after.has(key)) this.#leave(host, key, told);
    if (registered) this.#reach.set(host, after);
    else this.#reach.delete(host);
  }

  /** What a change may alter. When the row that was there before is the bad one, what the new row needs is at least computed. */
  #survey(change: TableChange): { readonly keys: Set<SliceKey>; readonly hosts: Set<string> } | undefined {
    const survey = (one: TableChange) => () => ({
      keys: affectedSlices(this.#tables, one),
      hosts: affectedHosts(this.#tables, one),
    });
    const what = `change of ${change.type} ${(change.after ?? change.before)?.id}`;
    return this.#attempt(what, survey(change)) ?? this.#attempt(what, survey({ ...change, before: undefined }));
  }

  #attempt<T>(what: string, make: () => T): T | undefined {
    try {
      return make();
    } catch (err) {
      this.#onError(what, err);
      return undefined;
    }
  }

  #join(host: string, key: SliceKey, told: Map<string, Set<SliceKey>>): void {
    const subscribers = this.#subscribers.get(key);
    if (subscribers === undefined) {
      this.#subscribers.set(key, new Set([host]));
      this.#refresh(key);
    } else subscribers.add(host);
    tell(told, host, key);
  }

  #leave(host: string, key: SliceKey, told: Map<string, Set<SliceKey>>): void {
    const subscribers = this.#subscribers.get(key);
    subscribers?.delete(host);
    tell(told, host, key);
    if (subscribers?.size !== 0) return;
    this.#subscribers.delete(key);
    this.#entries.delete(key);
  }
}

const EMPTY: ReadonlySet<string> = new Set();

function tell(told: Map<string, Set<SliceKey>>, host: string, key: SliceKey): void {
  const keys = told.get(host);
  if (keys === undefined) told.set(host, new Set([key]));
  else keys.add(key);
}
