import type { ComputedItem } from '@cable/compiler';
import type { Turns } from '@cable/kit';
import type { SliceKey } from '@cable/model';
import { ByteCache } from './byte-cache.ts';
import type { ContentMaker } from './content-maker.ts';
import type { Slice } from './slice.ts';
import type { ItemLines } from './slice-buckets.ts';
import { type Content, contentHash, contentLine, encodeLine } from './slice-lines.ts';
import type { SliceMap } from './slice-map.ts';
import { rowOfItem, type SliceWriter } from './slice-writer.ts';

/** Lines that bring a client from one position of a slice to another, `to`. */
export type Delta = {
  readonly lines: string;
  readonly to: number;
  /** No bookmark or `sync` may follow before the store has reached this revision: the tables were ahead of it. */
  readonly notBefore: number;
};

/** Lines of all of a slice, after which the client is at position `to`. */
export type Snapshot = { readonly chunks: readonly Buffer[]; readonly to: number; readonly notBefore: number };

/** Header and items, serialised; items with their keys, in no order. */
export type SliceContents = { readonly header: string; readonly items: readonly (readonly [string, string])[] };

/** Changes in one delta: their lines are made in one turn. */
const DELTA_CHANGES = 256;

const CHUNK_CHARACTERS = 1 << 16;

/** Deltas that are kept for who else asks within the same batch. */
const DELTA_BYTES = 4 << 20;

/** Bytes of whole slices that are kept: all of a large store's, or each of many hosts that come at once has them made anew. */
const SNAPSHOT_BYTES = 128 << 20;

/** A whole slice that nobody has asked for during this time is made again for the next who does. */
const KEEP_MS = 3000;

type Cached = { readonly snapshot: Snapshot; readonly bytes: number };

export type SliceBytesOptions = {
  readonly maker: ContentMaker;
  readonly writer: SliceWriter;
  /** Items of rows that cannot be computed. */
  readonly kept: SliceMap<readonly ComputedItem[]>;
  /** The tables hold everything up to it. */
  readonly revision: () => number;
  readonly turns: () => Turns;
};

/** Makes slices into lines, once for all who need the same. */
export class SliceBytes {
  readonly #options: SliceBytesOptions;
  readonly #snapshots: ByteCache<Slice, Cached>;
  readonly #deltas = new Map<Slice, Map<number, Delta>>();
  #deltaBytes = 0;
  readonly #making = new Map<Slice, Promise<Snapshot>>();

  constructor(options: SliceBytesOptions) {
    this.#options = options;
    this.#snapshots = new ByteCache({ maxBytes: SNAPSHOT_BYTES, keepMs: KEEP_MS });
  }

  /** What the next changes from a position on are; undefined: the slice no longer knows the position. The slice exists. */
  delta(slice: Slice, from: number): Delta | undefined {
    if (from < slice.log.start) return undefined;
    const made = this.#deltas.get(slice)?.get(from);
    if (made !== undefined) return made;
    const items = slice.log.itemsFrom(from, DELTA_CHANGES) ?? [];
    const content = this.#lines(slice, items);
    const to = Math.min(from + DELTA_CHANGES, slice.log.end);
    const delta = { lines: content.text, to, notBefore: content.notBefore };
    this.#keepDelta(slice, from, delta);
    return delta;
  }

  /** What streams have in common has been sent. */
  endBatch(): void {
    this.#deltas.clear();
    this.#deltaBytes = 0;
  }

  /** All of the slice as it was made before, if what has changed since is known. */
  keptSnapshot(slice: Slice): Snapshot | undefined {
    const kept = this.#snapshots.get(slice)?.snapshot;
    return kept !== undefined && kept.to >= slice.log.start ? kept : undefined;
  }

  /** All of the slice, made in turns, or made before: what has changed since follows by deltas. The slice exists when it is asked for. */
  snapshot(slice: Slice): Promise<Snapshot> {
    const kept = this.keptSnapshot(slice);
    if (kept !== undefined) return Promise.resolve(kept);
    const making = this.#making.get(slice) ?? this.#make(slice).finally(() => this.#making.delete(slice));
    this.#making.set(slice, making);
    return making;
  }

  /** Lines of these items (null: the header) as they are in the tables by now, or of their end. */
  chunk(slice: Slice, items: Iterable<string | null>): ItemLines {
    const { text, notBefore } = this.#lines(slice, items);
    return { chunk: ownBuffer(text), notBefore };
  }

  /** Header and items as they are in the tables by now, serialised; undefined: the slice does not exist. */
  async contents(slice: Slice): Promise<SliceContents | undefined> {
    const { header } = slice;
    if (header === undefined) return undefined;
    const items: [string, string][] = [];
    const turns = this.#options.turns();
    for (const item of slice.items.keys()) {
      const json = this.#content(slice, item)?.json;
      if (json !== undefined) items.push([item, json]);
      if (turns.due()) await turns.next();
    }
    return { header: header.json, items };
  }

  async #make(slice: Slice): Promise<Snapshot> {
    const turns = this.#options.turns();
    const to = slice.log.end;
    const chunks: Buffer[] = [];
    let { text, notBefore } = this.#lines(slice, [null]);
    for (const item of slice.items.keys()) {
      const line = this.#lines(slice, [item]);
      text += line.text;
      notBefore = Math.max(notBefore, line.notBefore);
      if (text.length > CHUNK_CHARACTERS) {
        chunks.push(ownBuffer(text));
        text = '';
      }
      if (turns.due()) await turns.next();
    }
    chunks.push(ownBuffer(text));
    const snapshot = { chunks, to, notBefore };
    // What one host alone needs, nobody else asks for.
    const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    if (slice.subscribers.size > 1) this.#snapshots.set(slice, { snapshot, bytes });
    return snapshot;
  }

  #lines(slice: Slice, items: Iterable<string | null>): { readonly text: string; readonly notBefore: number } {
    const key = slice.key as SliceKey;
    let text = '';
    let notBefore = 0;
    for (const item of items) {
      const held = item === null ? slice.header : slice.items.get(item);
      if (held === undefined) {
        if (item !== null) text += encodeLine({ type: 'delete', key, item, revision: slice.changedAt });
        continue;
      }
      const content = item === null ? slice.header : this.#content(slice, item);
      if (content !== undefined) text += contentLine(key, item, content);
      if (content?.hash === held.hash) continue;
      if (item !== null) this.#options.writer.sentAhead.set(slice, item, true);
      notBefore = this.#options.revision();
    }
    return { text, notBefore };
  }

  /** An item as the tables have it by now; undefined: not any more. Its hash tells whether that is compiled already. */
  #content(slice: Slice, item: string): Content | undefined {
    const { writer, revision } = this.#options;
    const compiled = slice.items.get(item);
    const fresh = writer.fresh.get(slice, item);
    if (compiled !== undefined && fresh !== undefined) return { ...compiled, json: fresh };
    const value = this.#valueOf(slice, item);
    if (value === undefined) return undefined;
    const json = JSON.stringify(value);
    const hash = contentHash(slice.key, item, json);
    return { json, hash, revision: compiled?.hash === hash ? compiled.revision : revision() };
  }

  #valueOf(slice: Slice, item: string): unknown {
    const rowId = rowOfItem(item);
    const kept = this.#options.kept.get(slice, rowId);
    if (kept !== undefined) return valueIn(kept, item);
    const made = this.#options.maker.items(slice, rowId);
    return made.ok ? valueIn(made.value, item) : undefined;
  }

  #keepDelta(slice: Slice, from: number, delta: Delta): void {
    if (this.#deltaBytes > DELTA_BYTES) this.endBatch();
    this.#deltaBytes += delta.lines.length;
    const made = this.#deltas.get(slice);
    if (made === undefined) this.#deltas.set(slice, new Map([[from, delta]]));
    else made.set(from, delta);
  }
}

/** The text's bytes, and no others: Node's shared pool would keep 8 KiB alive for each of a few hundred bytes. */
function ownBuffer(text: string): Buffer {
  const bytes = Buffer.allocUnsafeSlow(Buffer.byteLength(text));
  bytes.write(text);
  return bytes;
}

function valueIn(items: readonly ComputedItem[], key: string): unknown {
  return items.find((item) => item.key === key)?.value;
}
