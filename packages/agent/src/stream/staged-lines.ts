import { bucketOf } from '@cable/model';

/**
 * A header or an item as held: the server's hash of it, and the value. `kept`: the server left it out, and it stays for the sake of ports that it left out
 * too (`judgeRemoval`); no digest counts it.
 */
export type Held = { readonly hash: number; readonly value: object; readonly kept?: true };

/**
 * What a line says about content, whatever protocol it came by. `reset` voids what is held of a slice, `reset-buckets` items of it, `drop` the slice itself.
 * `deliberate`: items that do not follow a reset are deleted, not absent.
 */
export type ContentLine =
  | { readonly type: 'header'; readonly key: string; readonly held: Held }
  | { readonly type: 'put'; readonly key: string; readonly item: string; readonly held: Held }
  | { readonly type: 'delete'; readonly key: string; readonly item: string }
  | { readonly type: 'reset'; readonly key: string; readonly deliberate: boolean }
  | { readonly type: 'reset-buckets'; readonly key: string; readonly buckets: Buckets }
  | { readonly type: 'drop'; readonly key: string };

/** Some of so many buckets (`bucketOf`). */
export type Buckets = { readonly of: number; readonly numbers: ReadonlySet<number> };

/** What lines have said about one slice since the last applied change. */
export type StagedSlice = {
  /**
   * What of the slice is held does not count any more, only what is staged: because of a `reset`, a `reset` that deletes what it leaves out, or a
   * `drop`. Undefined: it counts.
   */
  void: 'reset' | 'deliberate' | 'drop' | undefined;
  /** While the slice counts: held items in these do not, as after a `reset`. Undefined: all do. */
  voidBuckets: Buckets | undefined;
  /** Undefined: nothing was said about it. */
  header: Held | undefined;
  /** Null: deleted. */
  items: Map<string, Held | null>;
};

/** Of a slice about which nothing was said. */
export const NOTHING_STAGED: StagedSlice = {
  void: undefined,
  voidBuckets: undefined,
  header: undefined,
  items: new Map(),
};

/** True when a held item of the slice does not count any more because of the bucket that it is in. */
export function isInVoidBucket({ voidBuckets }: StagedSlice, item: string): boolean {
  return voidBuckets?.numbers.has(bucketOf(item, voidBuckets.of)) === true;
}

/** Lines that do not count yet, folded to the last word on each slice and item. */
export class StagedLines {
  readonly #slices = new Map<string, StagedSlice>();

  add(line: ContentLine): void {
    switch (line.type) {
      case 'header':
        this.#slice(line.key).header = line.held;
        return;
      case 'put':
        this.#slice(line.key).items.set(line.item, line.held);
        return;
      case 'delete':
        this.#slice(line.key).items.set(line.item, null);
        return;
      case 'reset':
        this.voidSlice(line.key, line.deliberate ? 'deliberate' : 'reset');
        return;
      case 'reset-buckets':
        this.#voidBuckets(line.key, line.buckets);
        return;
      case 'drop':
        this.voidSlice(line.key, 'drop');
    }
  }

  /** What is held of the slice, and what was staged of it, counts no more; what was deleted is still deleted, not absent. */
  voidSlice(key: string, why: 'reset' | 'deliberate' | 'drop'): void {
    const staged = this.#slices.get(key);
    // What was absent before stays so: a later deliberate word is on what came since.
    const wasAbsent = staged?.void === 'reset' || staged?.void === 'drop';
    const items = new Map<string, null>();
    for (const [item, held] of staged?.items ?? []) if (held === null) items.set(item, null);
    this.#slices.set(key, {
      void: why === 'deliberate' && wasAbsent ? 'reset' : why,
      voidBuckets: undefined,
      header: undefined,
      items,
    });
  }

  get(key: string): StagedSlice | undefined {
    return this.#slices.get(key);
  }

  entries(): Iterable<[string, StagedSlice]> {
    return this.#slices;
  }

  clear(): void {
    this.#slices.clear();
  }

  #voidBuckets(key: string, { of, numbers }: Buckets): void {
    const staged = this.#slice(key);
    const before = staged.voidBuckets ?? { of, numbers: new Set<number>() };
    if (before.of !== of) {
      // No server says that. What it leaves out is then found by the digest.
      this.voidSlice(key, 'reset');
      return;
    }
    staged.voidBuckets = { of, numbers: new Set([...before.numbers, ...numbers]) };
    for (const [item, held] of staged.items) {
      if (held !== null && numbers.has(bucketOf(item, of))) staged.items.delete(item);
    }
  }

  #slice(key: string): StagedSlice {
    const found = this.#slices.get(key);
    if (found !== undefined) return found;
    const made: StagedSlice = { ...NOTHING_STAGED, items: new Map() };
    this.#slices.set(key, made);
    return made;
  }
}
