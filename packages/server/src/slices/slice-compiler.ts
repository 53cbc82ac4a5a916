import {
  type CompilerTables,
  type ComputedItem,
  isSent,
  type NodeKey,
  type TableChange,
  touchedReads,
} from '@cable/compiler';
import { Dependents, type ReadKey, type Turns } from '@cable/kit';
import type { SliceKey } from '@cable/model';
import type { Batch } from './batch.ts';
import { ContentMaker, tablesBefore } from './content-maker.ts';
import { Reach } from './reach.ts';
import type { Slice } from './slice.ts';
import { SliceMap } from './slice-map.ts';
import { SliceWriter } from './slice-writer.ts';

/** A header (item null) or an item. */
export type Part = { readonly key: SliceKey; readonly item: string | null };

/** What a batch did. */
export type Outcome = {
  /** Parts with new content, that came, or that went. */
  readonly parts: readonly Part[];
  /** Slices that changed, each with the position in its log before that. */
  readonly slices: ReadonlyMap<NodeKey, number>;
  /** What hosts began or ceased to need. */
  readonly needs: ReadonlyMap<string, ReadonlySet<SliceKey>>;
};

export type SliceCompilerOptions = {
  readonly tables: CompilerTables;
  /** The tables hold everything up to it. */
  readonly revision: () => number;
  readonly onError: (what: string, err: unknown) => void;
  readonly onReach: (host: string, key: SliceKey, needed: boolean) => void;
};

/** Computes what batches touch, and what hosts come to need because of that. One batch at a time. */
export class SliceCompiler {
  readonly maker: ContentMaker;
  readonly reach: Reach;
  readonly writer: SliceWriter;
  /** Of rows that cannot be computed: the items they gave before. */
  readonly kept: SliceMap<readonly ComputedItem[]> = new SliceMap();
  readonly #options: SliceCompilerOptions;
  readonly #sources = new Dependents<Slice>();
  readonly #created: Slice[] = [];
  readonly #abandoned = new Set<Slice>();
  #batch: Batch | undefined;
  #parts: Part[] = [];
  #slices = new Map<NodeKey, number>();
  #needs = new Map<string, Set<SliceKey>>();

  constructor(options: SliceCompilerOptions) {
    const { tables, revision } = options;
    this.#options = options;
    this.maker = new ContentMaker(tables);
    this.reach = new Reach({
      revision,
      onCreate: (slice) => {
        this.#sources.set(slice, slice.sources);
        this.#created.push(slice);
      },
      onMove: (host, slice, needed) => this.#moved(host, slice, needed),
      onAbandon: (slice) => this.#abandoned.add(slice),
    });
    this.writer = new SliceWriter({
      reach: this.reach,
      revision,
      onChange: (slice, item) => this.#changed(slice, item),
      onRepeat: (slice) => this.#noteSlice(slice),
    });
  }

  /** Notes in the batch what a change touches. Looks things up and computes nothing. */
  touch(batch: Batch, change: TableChange): void {
    const reads = touchedReads(change, this.#options.onError);
    if (reads === undefined) return;
    batch.remember(change);
    if (change.type === 'host') batch.hosts.add(reads.rowId);
    for (const read of [reads.row, ...reads.indexes]) {
      for (const { slice, rowId } of this.writer.readersOf(read)) batch.touch(slice, rowId);
    }
    for (const read of reads.indexes) {
      for (const slice of this.#sources.of(read)) batch.touch(slice, reads.rowId);
    }
  }

  /** Notes in the batch that everything is to be computed. */
  touchAll(batch: Batch): void {
    for (const host of this.reach.hosts()) batch.hosts.add(host);
    for (const host of this.#options.tables.host.values()) batch.hosts.add(host.id);
    for (const slice of this.reach.slices()) batch.touchWhole(slice);
  }

  /** Computes what the batch touches; then its slices are those of the tables. */
  async run(batch: Batch, turns: Turns): Promise<Outcome> {
    this.#batch = batch;
    for (const host of batch.hosts) {
      this.#updateHost(host);
      if (turns.due()) await turns.next();
    }
    for (const [slice, touched] of batch.slices) {
      if (this.reach.slice(slice.key) !== slice) continue;
      if (touched.whole) await this.#computeWhole(slice, turns);
      else if (touched.header) await this.#computeHeader(slice, turns);
      if (!touched.whole) await this.#computeRows(slice, touched.rows, turns);
    }
    await this.#follow(turns);
    await this.reach.release(turns);
    await this.#forgetAbandoned(turns);
    return this.#takeOutcome();
  }

  #takeOutcome(): Outcome {
    const outcome: Outcome = { parts: this.#parts, slices: this.#slices, needs: this.#needs };
    this.#parts = [];
    this.#slices = new Map();
    this.#needs = new Map();
    return outcome;
  }

  #updateHost(host: string): void {
    if (this.#options.tables.host.get(host) === undefined) this.reach.removeHost(host);
    else this.reach.addHost(host);
  }

  /** Until what hosts came to need is computed, and what that refers to. */
  async #follow(turns: Turns): Promise<void> {
    await this.reach.follow(turns);
    for (let slice = this.#created.pop(); slice !== undefined; slice = this.#created.pop()) {
      await this.#computeWhole(slice, turns);
      await this.reach.follow(turns);
    }
  }

  async #computeWhole(slice: Slice, turns: Turns): Promise<void> {
    const existed = slice.header !== undefined;
    await this.#computeHeader(slice, turns);
    if (!existed || slice.header === undefined) return;
    await this.#computeRows(slice, this.#allRows(slice), turns);
  }

  /** Those that it has items of, and those that it may have some of. */
  #allRows(slice: Slice): ReadonlySet<string> {
    return new Set([...this.writer.rowsOf(slice), ...this.maker.rowIds(slice)]);
  }

  /** True: they are others than before. */
  #takeSources(slice: Slice, sources: readonly string[]): boolean {
    const { moreSources: before } = slice;
    if (before.length === sources.length && before.every((one, at) => one === sources[at])) return false;
    slice.moreSources = sources;
    this.#sources.set(slice, slice.sources);
    return true;
  }

  /** With a header that comes all items come, with one that goes they go. */
  async #computeHeader(slice: Slice, turns: Turns): Promise<void> {
    const made = this.maker.header(slice);
    if (!made.ok) {
      this.#options.onError(`header of ${slice.key}`, made.err);
      this.writer.setHeaderReads(slice, made.reads);
      return;
    }
    const existed = slice.header !== undefined;
    if (made.value === undefined && existed) await this.#removeRows(slice, turns);
    this.writer.setHeader(slice, made.value, made.reads);
    const isMoved = this.#takeSources(slice, made.value?.sources ?? []);
    if (made.value !== undefined && !existed) await this.#fill(slice, turns);
    else if (isMoved) await this.#computeRows(slice, this.#allRows(slice), turns);
  }

  /** Nobody has anything of the slice yet: how it came to be is not logged. */
  async #fill(slice: Slice, turns: Turns): Promise<void> {
    slice.isFilling = true;
    await this.#computeRows(slice, this.maker.rowIds(slice), turns);
    slice.isFilling = false;
    slice.log.clear();
  }

  async #computeRows(slice: Slice, rowIds: Iterable<string>, turns: Turns): Promise<void> {
    if (slice.header === undefined) return;
    for (const rowId of rowIds) {
      this.#computeRow(slice, rowId);
      if (turns.due()) await turns.next();
    }
  }

  #computeRow(slice: Slice, rowId: string): void {
    const made = this.maker.items(slice, rowId);
    if (made.ok) {
      this.kept.delete(slice, rowId);
      this.writer.setRow(slice, rowId, made.value, made.reads);
      return;
    }
    this.#options.onError(`item ${rowId} of ${slice.key}`, made.err);
    this.#keepRow(slice, rowId, made.reads);
  }

  /** The row cannot be computed: it gives what it gave before. */
  #keepRow(slice: Slice, rowId: string, reads: ReadonlySet<ReadKey>): void {
    const kept = this.kept.get(slice, rowId) ?? this.#itemsBefore(slice, rowId);
    this.writer.setRow(slice, rowId, kept, reads);
    this.kept.set(slice, rowId, kept);
  }

  #itemsBefore(slice: Slice, rowId: string): readonly ComputedItem[] {
    const tables = tablesBefore(this.#options.tables, this.#batch?.before ?? new Map());
    const made = new ContentMaker(tables).items(slice, rowId);
    return made.ok ? made.value : [];
  }

  async #removeRows(slice: Slice, turns: Turns): Promise<void> {
    for (const rowId of this.writer.rowsOf(slice)) {
      this.kept.delete(slice, rowId);
      this.writer.setRow(slice, rowId, [], NO_READS);
      if (turns.due()) await turns.next();
    }
  }

  async #forgetAbandoned(turns: Turns): Promise<void> {
    for (const slice of this.#abandoned) {
      this.#abandoned.delete(slice);
      if (slice.subscribers.size > 0) continue;
      this.reach.forget(slice);
      this.#sources.delete(slice);
      for (const rowId of this.writer.rowsOf(slice)) {
        this.writer.forgetRow(slice, rowId);
        if (turns.due()) await turns.next();
      }
      this.writer.forgetSlice(slice);
      this.kept.drop(slice);
    }
  }

  #moved(host: string, slice: Slice, needed: boolean): void {
    if (!isSent(slice.key)) return;
    const keys = this.#needs.get(host);
    if (keys === undefined) this.#needs.set(host, new Set([slice.key]));
    else keys.add(slice.key);
    this.#options.onReach(host, slice.key, needed);
  }

  #changed(slice: Slice, item: string | null): void {
    this.#noteSlice(slice);
    if (this.#batch?.isFirst !== true && isSent(slice.key)) this.#parts.push({ key: slice.key, item });
  }

  #noteSlice(slice: Slice): void {
    if (!this.#slices.has(slice.key)) this.#slices.set(slice.key, slice.log.end);
  }
}

const NO_READS: ReadonlySet<ReadKey> = new Set();
