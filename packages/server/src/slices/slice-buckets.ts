import { startTurns, type Turns } from '@cable/kit';
import { bucketOf, MAX_SLICE_BUCKETS } from '@cable/model';
import { ByteCache } from './byte-cache.ts';
import type { Slice } from './slice.ts';
import { addHash } from './slice-lines.ts';

/** Buckets in which a client lacks something; the rest of its items is as the slice was at position `to` of its log, or as it was later. */
export type Differing = { readonly of: number; readonly buckets: readonly number[]; readonly to: number };

/** Lines of some items, as bytes. `notBefore`: see `Delta`. */
export type ItemLines = { readonly chunk: Buffer; readonly notBefore: number };

/** A slice with fewer items is sent anew sooner than compared. */
const LEAST_ITEMS = 512;

/** A missed item costs this many lines, a compared slice a number for so many items. */
const ITEMS_A_BUCKET = 32;

/** A division costs some eleven bytes an item. */
const DIVISION_BYTES = 32 << 20;
const BYTES_AN_ITEM = 11;

const LINE_BYTES = 32 << 20;

const KEEP_MS = 3000;

/** Items of a slice by bucket, as they were at position `to` of its log, or later. */
type Division = {
  readonly to: number;
  readonly items: readonly (readonly string[])[];
  readonly digests: Float64Array;
  readonly bytes: number;
};

export type SliceBucketsOptions = {
  /** Lines of items as they are by now. */
  readonly lines: (slice: Slice, items: Iterable<string | null>) => ItemLines;
  readonly turns?: () => Turns;
};

/** Slices by buckets, for clients that hold something of which no log knows: divided once, and made into lines once, for all who ask at about the same time. */
export class SliceBuckets {
  readonly #lines: SliceBucketsOptions['lines'];
  readonly #turns: () => Turns;
  readonly #divisions = new ByteCache<Slice, Division>({ maxBytes: DIVISION_BYTES, keepMs: KEEP_MS });
  readonly #dividing = new Map<Slice, Promise<Division>>();
  /** By the list of a bucket's items, which is of one division alone. */
  readonly #chunks = new ByteCache<readonly string[], ItemLines & { readonly bytes: number }>({
    maxBytes: LINE_BYTES,
    keepMs: KEEP_MS,
  });

  constructor({ lines, turns = startTurns }: SliceBucketsOptions) {
    this.#lines = lines;
    this.#turns = turns;
  }

  /** In how many buckets a client is to compare the slice; undefined: it is too small for that. */
  countFor(slice: Slice): number | undefined {
    if (slice.items.size < LEAST_ITEMS) return undefined;
    const known = this.#kept(slice);
    if (known !== undefined) return known.items.length;
    return Math.min(MAX_SLICE_BUCKETS, 2 ** Math.ceil(Math.log2(slice.items.size / ITEMS_A_BUCKET)));
  }

  /** What a client with these digests, one a bucket, lacks; undefined: so much that it is to be sent all of it. */
  async differing(slice: Slice, digests: readonly number[]): Promise<Differing | undefined> {
    const { to, digests: own } = await this.#divide(slice, digests.length);
    const buckets: number[] = [];
    for (const [bucket, digest] of digests.entries()) if (digest !== own[bucket]) buckets.push(bucket);
    return buckets.length > digests.length / 2 ? undefined : { of: digests.length, buckets, to };
  }

  /** Lines of the header and of what is in these buckets. */
  async chunks(slice: Slice, { of, buckets }: Differing): Promise<readonly ItemLines[]> {
    const { items } = await this.#divide(slice, of);
    const turns = this.#turns();
    const chunks = [this.#lines(slice, [null])];
    for (const bucket of buckets) {
      chunks.push(this.#chunkOf(slice, items[bucket] ?? []));
      if (turns.due()) await turns.next();
    }
    return chunks;
  }

  /** The slice's division, unless its log has forgotten what changed since. */
  #kept(slice: Slice): Division | undefined {
    const kept = this.#divisions.get(slice);
    return kept !== undefined && kept.to >= slice.log.start ? kept : undefined;
  }

  async #divide(slice: Slice, of: number): Promise<Division> {
    const kept = this.#kept(slice);
    if (kept?.items.length === of) return kept;
    const dividing = this.#dividing.get(slice);
    if (dividing !== undefined) {
      await dividing;
      return this.#divide(slice, of);
    }
    const made = this.#makeDivision(slice, of).finally(() => this.#dividing.delete(slice));
    this.#dividing.set(slice, made);
    return await made;
  }

  async #makeDivision(slice: Slice, of: number): Promise<Division> {
    const to = slice.log.end;
    const items = Array.from({ length: of }, (): string[] => []);
    const digests = new Float64Array(of);
    const turns = this.#turns();
    for (const [item, { hash }] of slice.items) {
      const bucket = bucketOf(item, of);
      items[bucket]?.push(item);
      digests[bucket] = addHash(digests[bucket] ?? 0, hash);
      if (turns.due()) await turns.next();
    }
    const division = { to, items, digests, bytes: BYTES_AN_ITEM * slice.items.size };
    this.#divisions.set(slice, division);
    return division;
  }

  #chunkOf(slice: Slice, items: readonly string[]): ItemLines {
    const made = this.#chunks.get(items);
    if (made !== undefined) return made;
    const { chunk, notBefore } = this.#lines(slice, items);
    this.#chunks.set(items, { chunk, notBefore, bytes: chunk.length });
    return { chunk, notBefore };
  }
}
