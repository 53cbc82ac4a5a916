import type { ComputedItem } from '@cable/compiler';
import type { Turns } from '@cable/kit';
import type { SliceKey } from '@cable/model';
import { ByteCache } from './byte-cache.ts';
import type { ContentMaker } from './content-maker.ts';
import type { Slice } from './slice.ts';
import { type Content, contentHash, contentLine, encodeLine } from './slice-lines.ts';
import type { SliceMap } from './slice-map.ts';
import { rowOfItem, type SliceWriter } from './slice-writer.ts';

/** Lines that bring a client from one position of a slice to another, `to`. */
export type Delta = {
  readonly line: Buffer;
  readonly to: number;
  /** No bookmark or `sync` may follow before the store has reached this revision: the tables were ahead of it. */
  readonly notBefore: number;
};

/** Lines of all of a slice, after which the client is at `position`. */
export type Snapshot = { readonly chunks: readonly Buffer[]; readonly position: number; readonly notBefore: number };

/** Header and items, serialised; items with their keys, in no order. */
export type SliceContents = { readonly header: string; readonly items: readonly (readonly [string, string])[] };

/** Changes in one delta: their lines are made in one turn. */
const DELTA_CHANGES = 256;

const CHUNK_CHARACTERS = 1 << 16;

type Cached = { readonly slice: Slice; readonly bytes: number } & (
  | { readonly kind: 'delta'; readonly delta: Delta }
  | { readonly kind: 'snapshot'; readonly snapshot: Snapshot }
);

export type SliceBytesOptions = {
  readonly maker: ContentMaker;
  readonly writer: SliceWriter;
  /** Items of rows that cannot be computed. */
  readonly kept: SliceMap<readonly ComputedItem[]>;
  /** The tables hold everything up to it. */
  readonly revision: () => number;
  readonly turns: () => Turns;
  /** Bytes of lines that are kept for who else asks for them. */
  readonly cacheBytes: number;
};

/** Makes slices into lines, once for all who need the same. */
export class SliceBytes {
  readonly #options: SliceBytesOptions;
  readonly #cache: ByteCache<Cached>;
  readonly #making = new Map<Slice, Promise<Snapshot>>();

  constructor(options: SliceBytesOptions) {
    this.#options = options;
    this.#cache = new ByteCache(options.cacheBytes);
  }

  /** What the next changes from a position on are; undefined: the slice no longer knows the position. The slice exists. */
  delta(slice: Slice, from: number): Delta | undefined {
    if (from < slice.log.start) return undefined;
    const cached = this.#cached(slice, `${slice.key} ${from}`);
    if (cached?.kind === 'delta') return cached.delta;
    const items = slice.log.itemsFrom(from, DELTA_CHANGES) ?? [];
    const content = this.#lines(slice, items);
    const to = Math.min(from + DELTA_CHANGES, slice.log.end);
    const delta = { line: Buffer.from(content.text), to, notBefore: content.notBefore };
    const bytes = delta.line.length;
    this.#cache.set(`${slice.key} ${from}`, { kind: 'delta', slice, bytes, delta });
    return delta;
  }

  /** All of the slice, made in turns, or made before: what has changed since follows by deltas. The slice exists when it is asked for. */
  snapshot(slice: Slice): Promise<Snapshot> {
    const cached = this.#cached(slice, slice.key);
    if (cached?.kind === 'snapshot' && cached.snapshot.position >= slice.log.start)
      return Promise.resolve(cached.snapshot);
    const making = this.#making.get(slice) ?? this.#make(slice).finally(() => this.#making.delete(slice));
    this.#making.set(slice, making);
    return making;
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
    const position = slice.log.end;
    const chunks: Buffer[] = [];
    let { text, notBefore } = this.#lines(slice, [null]);
    for (const item of slice.items.keys()) {
      const line = this.#lines(slice, [item]);
      text += line.text;
      notBefore = Math.max(notBefore, line.notBefore);
      if (text.length > CHUNK_CHARACTERS) {
        chunks.push(Buffer.from(text));
        text = '';
      }
      if (turns.due()) await turns.next();
    }
    chunks.push(Buffer.from(text));
    const snapshot = { chunks, position, notBefore };
    const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    this.#cache.set(slice.key, { kind: 'snapshot', slice, bytes, snapshot });
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

  #cached(slice: Slice, key: string): Cached | undefined {
    const cached = this.#cache.get(key);
    return cached?.slice === slice ? cached : undefined;
  }
}

function valueIn(items: readonly ComputedItem[], key: string): unknown {
  return items.find((item) => item.key === key)?.value;
}
