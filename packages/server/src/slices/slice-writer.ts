import type { ComputedHeader, ComputedItem, NodeKey } from '@cable/compiler';
import { Dependents, type ReadKey } from '@cable/kit';
import { Deletions } from './deletions.ts';
import type { Reach } from './reach.ts';
import { NO_REFS, RefSets } from './ref-sets.ts';
import type { Slice, Unit } from './slice.ts';
import { addHash, contentHash, subtractHash } from './slice-lines.ts';
import { SliceMap } from './slice-map.ts';

export type SliceWriterOptions = {
  readonly reach: Reach;
  /** Stamp of what changes now: the tables hold everything up to it. */
  readonly revision: () => number;
  /** An item (null: the header) has new content, came or went. Called before the log of the slice takes it in. */
  readonly onChange: (slice: Slice, item: string | null) => void;
  /** An item is to be sent again, though nothing changed. Called before the log of the slice takes it in. */
  readonly onRepeat: (slice: Slice) => void;
};

/** Takes computed headers and items into the slices: hashes, digests, logs, references, and what read what. */
export class SliceWriter {
  readonly #options: SliceWriterOptions;
  readonly #refSets = new RefSets();
  readonly #dependents = new Dependents<Unit>();
  /** Rows that read other rows, or whose items are not one with the row's id. The others need no unit. */
  readonly #units = new SliceMap<Unit>();
  /** Serialised content of what the last batch changed, until that is sent. */
  readonly fresh: SliceMap<string> = new SliceMap();
  readonly deletions: Deletions = new Deletions();
  /** Items that were sent otherwise than they are compiled, because the tables were ahead: to be sent again when they are compiled next. */
  readonly sentAhead: SliceMap<true> = new SliceMap();

  constructor(options: SliceWriterOptions) {
    this.#options = options;
  }

  /** Computations that read this when they last ran. */
  readersOf(read: ReadKey): readonly Unit[] {
    return this.#dependents.of(read);
  }

  /** The slice has this header; undefined: it does not exist, and has no items any more. */
  setHeader(slice: Slice, computed: ComputedHeader | undefined, reads: ReadonlySet<ReadKey>): void {
    this.#dependents.set(slice.headerUnit, reads);
    if (computed === undefined) this.#removeHeader(slice);
    else this.#putHeader(slice, computed);
  }

  /** The header stays as it is, though it was computed again, in vain. */
  setHeaderReads(slice: Slice, reads: ReadonlySet<ReadKey>): void {
    this.#dependents.set(slice.headerUnit, reads);
  }

  /** The row of the slice gives these items and no others. */
  setRow(slice: Slice, rowId: string, computed: readonly ComputedItem[], reads: ReadonlySet<ReadKey>): void {
    const before = this.keysOfRow(slice, rowId);
    for (const item of computed) this.#putItem(slice, item);
    for (const key of before) if (!computed.some((item) => item.key === key)) this.#removeItem(slice, key);
    this.#keepUnit(slice, rowId, computed, reads);
  }

  /** Items of the row as they are. */
  keysOfRow(slice: Slice, rowId: string): readonly string[] {
    return this.#units.get(slice, rowId)?.keys ?? (slice.items.has(rowId) ? [rowId] : []);
  }

  /** Ids of rows that the slice knows; a row may be known that gives no item. */
  *rowsOf(slice: Slice): Iterable<string> {
    for (const item of slice.items.keys()) yield rowOfItem(item);
    for (const [rowId] of this.#units.entriesOf(slice)) yield rowId;
  }

  /** Nobody needs the row's items: forgets them without a word. */
  forgetRow(slice: Slice, rowId: string): void {
    for (const key of this.keysOfRow(slice, rowId)) {
      this.#refSets.release(slice.items.get(key)?.refs ?? NO_REFS);
      slice.items.delete(key);
    }
    this.#dropUnit(slice, rowId);
  }

  /** Nobody needs the slice, whose rows are forgotten. */
  forgetSlice(slice: Slice): void {
    this.#refSets.release(slice.header?.refs ?? NO_REFS);
    this.#dependents.delete(slice.headerUnit);
    this.fresh.drop(slice);
    this.sentAhead.drop(slice);
    this.deletions.drop(slice.key);
  }

  #putHeader(slice: Slice, { value, refs }: ComputedHeader): void {
    const { header: before, key } = slice;
    const json = JSON.stringify(value);
    const hash = contentHash(key, null, json);
    const moved = this.#moveRefs(slice, before?.refs, refs);
    if (before?.hash === hash) {
      // What a hidden slice has is its references.
      if (slice.kind.hidden && moved !== before.refs) this.#note(slice, null);
      slice.header = { ...before, refs: moved };
      return;
    }
    this.#note(slice, null);
    if (before !== undefined) slice.log.append(null, slice.digest, slice.items.size);
    slice.digest = addHash(subtractHash(slice.digest, before?.hash ?? 0), hash);
    slice.header = { json, hash, revision: this.#options.revision(), refs: moved };
  }

  #removeHeader(slice: Slice): void {
    if (slice.header === undefined) return;
    this.#note(slice, null);
    this.#moveRefs(slice, slice.header.refs, []);
    slice.header = undefined;
    slice.digest = 0;
    slice.log.clear();
  }

  #putItem(slice: Slice, { key, value, refs }: ComputedItem): void {
    const json = JSON.stringify(value);
    const hash = contentHash(slice.key, key, json);
    const before = slice.items.get(key);
    if (before?.hash === hash) {
      before.refs = this.#moveRefs(slice, before.refs, refs);
      if (this.sentAhead.delete(slice, key)) this.repeat(slice, key, json);
      return;
    }
    this.#note(slice, key);
    this.sentAhead.delete(slice, key);
    if (before === undefined) this.deletions.forget(slice.key, key);
    if (!slice.isFilling) {
      this.fresh.set(slice, key, json);
      slice.log.append(key, slice.digest, slice.items.size);
    }
    slice.digest = addHash(subtractHash(slice.digest, before?.hash ?? 0), hash);
    slice.items.set(key, { hash, revision: this.#options.revision(), refs: this.#moveRefs(slice, before?.refs, refs) });
  }

  /** Has an item sent again as it is. */
  repeat(slice: Slice, key: string, json: string): void {
    this.#options.onRepeat(slice);
    this.fresh.set(slice, key, json);
    slice.log.append(key, slice.digest, slice.items.size);
  }

  #removeItem(slice: Slice, key: string): void {
    const before = slice.items.get(key);
    if (before === undefined) return;
    this.#note(slice, key);
    this.sentAhead.delete(slice, key);
    this.fresh.delete(slice, key);
    slice.items.delete(key);
    if (slice.kind.name === 'host') this.deletions.add(slice.key, key);
    slice.log.append(key, slice.digest, slice.items.size);
    slice.digest = subtractHash(slice.digest, before.hash);
    this.#moveRefs(slice, before.refs, []);
  }

  #note(slice: Slice, item: string | null): void {
    slice.changedAt = this.#options.revision();
    this.#options.onChange(slice, item);
  }

  #moveRefs(slice: Slice, before: typeof NO_REFS | undefined, keys: readonly NodeKey[]): typeof NO_REFS {
    const after = this.#refSets.acquire(keys);
    if (after !== before) {
      this.#options.reach.addRefs(slice, after.keys);
      if (before !== undefined) this.#options.reach.removeRefs(slice, before.keys);
    }
    if (before !== undefined) this.#refSets.release(before);
    return after;
  }

  #keepUnit(slice: Slice, rowId: string, computed: readonly ComputedItem[], reads: ReadonlySet<ReadKey>): void {
    const isPlain = computed.every((item) => item.key === rowId);
    if (isPlain && reads.size === 0) {
      this.#dropUnit(slice, rowId);
      return;
    }
    const unit = this.#units.get(slice, rowId) ?? { slice, rowId, keys: null };
    unit.keys = isPlain ? null : computed.map((item) => item.key);
    this.#units.set(slice, rowId, unit);
    this.#dependents.set(unit, reads);
  }

  #dropUnit(slice: Slice, rowId: string): void {
    const unit = this.#units.get(slice, rowId);
    if (unit === undefined) return;
    this.#dependents.delete(unit);
    this.#units.delete(slice, rowId);
  }
}

/** The row that an item comes from. */
export function rowOfItem(item: string): string {
  const slash = item.indexOf('/');
  return slash < 0 ? item : item.slice(0, slash);
}
