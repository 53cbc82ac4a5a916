/** What changed, and the slice's digest before that. `item` null: the header. */
type Entry = { readonly item: string | null; readonly digest: number };

/** A slice with few items still keeps so many changes. */
const ENTRIES_MIN = 16;

const ENTRIES_MAX = 4096;

/**
 * The latest changes of a slice, deletions among them. A position is the number of changes before it; what is between a position and the end
 * brings a client from what the slice was then to what it is. A client's position is known by the digest of what it holds.
 */
export class ChangeLog {
  #entries: Entry[] = [];
  #end = 0;

  /** The position of the slice as it is. */
  get end(): number {
    return this.#end;
  }

  /** The first position that is known. */
  get start(): number {
    return this.#end - this.#entries.length;
  }

  /** `digest`: before the change. `items`: how many the slice has: beyond half of them it is sent anew as well. */
  append(item: string | null, digest: number, items: number): void {
    this.#entries.push({ item, digest });
    this.#end += 1;
    const most = Math.max(ENTRIES_MIN, Math.min(ENTRIES_MAX, items >> 1));
    if (this.#entries.length >= 2 * most) this.#entries = this.#entries.slice(-most);
  }

  /** Forgets all, so that no position before now is known: the slice came or went. */
  clear(): void {
    this.#entries = [];
    this.#end += 1;
  }

  /** The latest position at which the slice had this digest, other than the end; undefined: not known. */
  positionOf(digest: number): number | undefined {
    const index = this.#entries.findLastIndex((entry) => entry.digest === digest);
    return index < 0 ? undefined : this.start + index;
  }

  /** The slice's digest at the position; undefined: it is the end, or not known. */
  digestAt(position: number): number | undefined {
    return this.#entries[position - this.start]?.digest;
  }

  /** What changed in at most `limit` changes from the position on, each once; undefined: the position is not known. */
  itemsFrom(position: number, limit: number): ReadonlySet<string | null> | undefined {
    if (position < this.start) return undefined;
    const from = position - this.start;
    return new Set(this.#entries.slice(from, from + limit).map((entry) => entry.item));
  }
}
