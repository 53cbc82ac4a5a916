import { CableError, type SliceKey } from '@cable/model';
import type { Slice } from '../slices/slice.ts';
import type { Differing } from '../slices/slice-buckets.ts';
import type { SliceStore } from '../slices/slice-store.ts';

type Asked = { readonly of: number; isAnswered: boolean };

/** Slices that a client holds in a state of which no log knows: it is asked for digests of their buckets, and is sent those that differ. */
export class Comparisons {
  readonly #store: SliceStore;
  readonly #asked = new Map<SliceKey, Asked>();
  readonly #differing = new Map<SliceKey, Differing>();
  #heardAt = performance.now();

  constructor(store: SliceStore) {
    this.#store = store;
  }

  /** Number of slices of which it is not known yet what the client lacks. */
  get open(): number {
    return this.#asked.size;
  }

  /** True while it is not known yet what the client lacks of the slice. */
  has(key: SliceKey): boolean {
    return this.#asked.has(key);
  }

  /** For how long an answer has been waited for; 0: none is. */
  waitedMs(): number {
    return this.#asked.size === 0 ? 0 : performance.now() - this.#heardAt;
  }

  ask(key: SliceKey, of: number): void {
    this.#asked.set(key, { of, isAnswered: false });
    this.#heardAt = performance.now();
  }

  /** Takes an answer; `onDue`: called when it is known what the client lacks, unless it is not asked any more. Throws `InvalidInput`. */
  async answer(slice: Slice | undefined, key: SliceKey, digests: readonly number[], onDue: () => void): Promise<void> {
    const asked = this.#asked.get(key);
    if (asked === undefined || asked.isAnswered) return;
    if (digests.length !== asked.of) {
      throw new CableError('InvalidInput', `Malformed line of a host stream: digests are not ${asked.of} numbers.`);
    }
    asked.isAnswered = true;
    this.#heardAt = performance.now();
    const differing = slice && (await this.#store.differing(slice, digests));
    if (this.#asked.get(key) !== asked) return;
    this.#asked.delete(key);
    if (differing !== undefined) this.#differing.set(key, differing);
    onDue();
  }

  /** What the client lacks of the slice, once; undefined: all of it, or that is not known. */
  take(key: SliceKey): Differing | undefined {
    const differing = this.#differing.get(key);
    this.#differing.delete(key);
    return differing;
  }

  /** The client is sent all of the slice, or none. */
  forget(key: SliceKey): void {
    this.#asked.delete(key);
    this.#differing.delete(key);
  }

  clear(): void {
    this.#asked.clear();
    this.#differing.clear();
  }
}
