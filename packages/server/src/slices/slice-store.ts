/**
 * Every slice that some registered host needs, kept by item.
 *
 *   table changes ──> batch: what is touched ──> worker, in turns: compute, hash, log, references ──> listeners, followers
 *
 * A change is only noted when it comes. The worker computes from the tables as they are by then, so they may be ahead of `revision`.
 */
import type { CompilerTables, NodeKey, TableChange } from '@cable/compiler';
import type { Turns } from '@cable/kit';
import type { SliceKey } from '@cable/model';
import { Batch } from './batch.ts';
import { Pacer, startSliceTurns } from './pacer.ts';
import type { Slice } from './slice.ts';
import { type Differing, SliceBuckets } from './slice-buckets.ts';
import { type Delta, SliceBytes, type SliceContents, type Snapshot } from './slice-bytes.ts';
import { type Outcome, type Part, SliceCompiler } from './slice-compiler.ts';
import { addHash, subtractHash } from './slice-lines.ts';

/** Wait before everything is computed anew after a defect. */
const RECOVERY_MS = 1000;

/** `changed`: headers (item null) and items with new content, that came, or that went; an item's key begins with its row's id. */
export type Compiled = { readonly revision: number; readonly changed: readonly Part[] };

/** Sends slices on. Nothing is compiled while a promise is awaited. Must not reject. */
export type Follower = {
  /** Notes what is to be sent, before `revision` rises. */
  note(outcome: Outcome): Promise<void>;
  /** Sends it. */
  flush(): Promise<void>;
};

export type SliceStoreOptions = {
  readonly tables: CompilerTables;
  /** What could not be computed, and why. It stays as it was. */
  readonly onError: (what: string, err: unknown) => void;
  /** Starts the turns in which bulk work is done. Default: `startSliceTurns`. */
  readonly turns?: () => Turns;
};

type ReachListener = (host: string, key: SliceKey, needed: boolean) => void;

export class SliceStore {
  readonly #onError: (what: string, err: unknown) => void;
  readonly #turns: () => Turns;
  readonly #compiler: SliceCompiler;
  readonly #bytes: SliceBytes;
  readonly #buckets: SliceBuckets;
  readonly #pacer = new Pacer(() => this.#work());
  readonly #compiledListeners = new Set<(compiled: Compiled) => void>();
  readonly #reachListeners = new Set<ReachListener>();
  readonly #followers = new Set<Follower>();
  #batch = new Batch();
  #taken = 0;
  #revision = 0;
  #loadedAt = 0;
  #isSettled = true;

  constructor({ tables, onError, turns = startSliceTurns }: SliceStoreOptions) {
    const revision = (): number => this.#taken;
    const onReach: ReachListener = (...move) => this.#tell(this.#reachListeners, ...move);
    const compiler = new SliceCompiler({ tables, revision, onError, onReach });
    const { maker, writer, kept } = compiler;
    this.#onError = onError;
    this.#compiler = compiler;
    this.#bytes = new SliceBytes({ maker, writer, kept, revision, turns });
    this.#buckets = new SliceBuckets({ lines: (slice, items) => this.#bytes.chunk(slice, items), turns });
    this.#turns = turns;
    this.#batch.isFirst = true;
  }

  /** Everything up to this store revision is in the slices. */
  get revision(): number {
    return this.#revision;
  }

  /** The tables hold everything up to this; the slices will. */
  get taken(): number {
    return this.#taken;
  }

  /** Revision at which everything was computed last: what has not changed since has that one, or a later one. */
  get loadedAt(): number {
    return this.#loadedAt;
  }

  /** False while a batch is half compiled: what is read is then between two revisions. */
  get isSettled(): boolean {
    return this.#isSettled;
  }

  /** Number of slices, hidden ones included. */
  get size(): number {
    return this.#compiler.reach.size;
  }

  /** Takes note of changes that the tables hold already; they are compiled soon. */
  take(revision: number, changes: readonly TableChange[]): void {
    this.#taken = revision;
    for (const change of changes) this.#compiler.touch(this.#batch, change);
    this.#pacer.ask();
  }

  /** Computes everything from the tables, in turns; resolves when that is done. `revision` may be lower than before: another history. */
  load(revision: number): Promise<void> {
    this.#taken = revision;
    this.#loadedAt = revision;
    this.#batch.isAll = true;
    this.#compiler.touchAll(this.#batch);
    const done = new Promise<void>((resolve) => this.#batch.waiters.push(resolve));
    this.#pacer.ask();
    return done;
  }

  /** Compiles no more; resolves when a batch under way is done. */
  stop(): Promise<void> {
    return this.#pacer.stop();
  }

  /** Calls the listener after each batch, also after one that changed nothing. The answer ends that. */
  onCompiled(listener: (compiled: Compiled) => void): () => void {
    this.#compiledListeners.add(listener);
    return () => this.#compiledListeners.delete(listener);
  }

  /** Calls the listener when a host begins or ceases to need a slice: during a batch, before its `onCompiled`. The answer ends that. */
  onReach(listener: ReachListener): () => void {
    this.#reachListeners.add(listener);
    return () => this.#reachListeners.delete(listener);
  }

  /** Lets the follower send what each batch changes. The answer ends that. */
  follow(follower: Follower): () => void {
    this.#followers.add(follower);
    return () => this.#followers.delete(follower);
  }

  /** True for a registered host. */
  hasHost(host: string): boolean {
    return this.#compiler.reach.hasHost(host);
  }

  /** Hosts that need the slice. */
  subscribers(key: NodeKey): Iterable<string> {
    return this.#compiler.reach.slice(key)?.subscribers.keys() ?? [];
  }

  /** Whether the host needs the slice. */
  reaches(host: string, key: NodeKey): boolean {
    return this.#compiler.reach.needs(host, key);
  }

  /** Keys of the slices that the host needs and that exist. */
  *keysOf(host: string): Iterable<SliceKey> {
    for (const key of this.#compiler.reach.keysOf(host)) {
      if (this.#compiler.reach.slice(key)?.isSent === true) yield key as SliceKey;
    }
  }

  /** Sum of the digests of everything the host needs. */
  digestOf(host: string): number {
    let digest = 0;
    for (const key of this.keysOf(host)) digest = addHash(digest, this.#existing(key)?.digest ?? 0);
    return digest;
  }

  /** Where in the slice's log a client is that holds this digest; undefined: not known. */
  positionOf(key: SliceKey, digest: number): number | undefined {
    const slice = this.#existing(key);
    if (slice === undefined) return undefined;
    return slice.digest === digest ? slice.log.end : slice.log.positionOf(digest);
  }

  /** The end of the slice's log. */
  endOf(key: SliceKey): number | undefined {
    return this.#existing(key)?.log.end;
  }

  /** By how much the slice's digest has risen since the position of its log; undefined: not known. */
  digestSince(key: SliceKey, position: number): number | undefined {
    const slice = this.#existing(key);
    const before = slice?.log.digestAt(position);
    return slice === undefined || before === undefined ? undefined : subtractHash(slice.digest, before);
  }

  /** Revision of the slice's last change; 0: there is no such slice. */
  changedAt(key: NodeKey): number {
    return this.#compiler.reach.slice(key)?.changedAt ?? 0;
  }

  /** Revision at which the host began to need the slice; 0: it does not. */
  neededSince(host: string, key: NodeKey): number {
    return this.#compiler.reach.slice(key)?.subscribers.get(host) ?? 0;
  }

  /** Other slices that the slice's content refers to. */
  refsOf(key: NodeKey): Iterable<NodeKey> {
    return this.#compiler.reach.slice(key)?.refs.keys() ?? [];
  }

  /** The slice, if it exists and the host needs it. */
  neededBy(host: string, key: SliceKey): Slice | undefined {
    const slice = this.#existing(key);
    return slice?.subscribers.has(host) === true ? slice : undefined;
  }

  /** Items that were deleted of the slice, as far as it is remembered: of a host's ports alone. */
  deletedFrom(key: SliceKey): Iterable<string> {
    return this.#compiler.writer.deletions.of(key);
  }

  /** Lines for a client at a position of the slice's log; undefined: it needs the snapshot. */
  delta(slice: Slice, position: number): Delta | undefined {
    return this.#bytes.delta(slice, position);
  }

  /** Lines of the whole slice, if they were made for somebody a moment ago. */
  keptSnapshot(slice: Slice): Snapshot | undefined {
    return this.#bytes.keptSnapshot(slice);
  }

  /** Lines of the whole slice. */
  snapshot(slice: Slice): Promise<Snapshot> {
    return this.#bytes.snapshot(slice);
  }

  /** In how many buckets a client is to compare the slice whose position is not known; undefined: it is to be sent all of it. */
  bucketCountOf(key: SliceKey): number | undefined {
    const slice = this.#existing(key);
    return slice && this.#buckets.countFor(slice);
  }

  /** What a client lacks that has these digests of the slice, one a bucket; undefined: it is to be sent all of it. */
  differing(slice: Slice, digests: readonly number[]): Promise<Differing | undefined> {
    return this.#buckets.differing(slice, digests);
  }

  /** Lines of the header and of what differs: with all else that it holds the client is then at position `to`. */
  async differingSnapshot(slice: Slice, differing: Differing): Promise<Snapshot> {
    const parts = await this.#buckets.chunks(slice, differing);
    const notBefore = Math.max(...parts.map((part) => part.notBefore));
    return { chunks: parts.map((part) => part.chunk), to: differing.to, notBefore };
  }

  /** Serialised header and items, as they are by now; undefined: it does not exist. */
  async contents(key: SliceKey): Promise<SliceContents | undefined> {
    const slice = this.#existing(key);
    return slice && this.#bytes.contents(slice);
  }

  #existing(key: SliceKey): Slice | undefined {
    const slice = this.#compiler.reach.slice(key);
    return slice?.isSent === true ? slice : undefined;
  }

  /** Compiles one batch and lets it be sent. After a defect everything is computed anew. */
  async #work(): Promise<void> {
    const batch = this.#batch;
    batch.revision = this.#taken;
    this.#batch = new Batch();
    try {
      await this.#run(batch);
    } catch (err) {
      this.#onError('batch', err);
      this.#batch.waiters.push(...batch.waiters);
      this.#batch.isAll ||= batch.isAll;
      this.#compiler.touchAll(this.#batch);
      setTimeout(() => this.#pacer.ask(), RECOVERY_MS).unref();
    }
  }

  async #run(batch: Batch): Promise<void> {
    this.#isSettled = false;
    const outcome = await this.#compiler.run(batch, this.#turns());
    for (const follower of this.#followers) await follower.note(outcome);
    // What one history lacks of another was not deleted.
    if (batch.isAll) this.#compiler.writer.deletions.clear();
    this.#revision = batch.revision;
    this.#isSettled = true;
    this.#tell(this.#compiledListeners, { revision: batch.revision, changed: outcome.parts });
    for (const follower of this.#followers) await follower.flush();
    this.#compiler.writer.fresh.clear();
    this.#bytes.endBatch();
    for (const wake of batch.waiters) wake();
  }

  #tell<A extends readonly unknown[]>(listeners: Iterable<(...args: A) => void>, ...args: A): void {
    for (const listener of listeners) {
      try {
        listener(...args);
      } catch (err) {
        this.#onError('listener', err);
      }
    }
  }
}
