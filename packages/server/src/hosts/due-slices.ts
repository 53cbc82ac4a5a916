import type { SliceKey } from '@cable/model';

/** So many are looked through one by one. */
const FEW = 16;

/**
 * Slices that are due to one client, each with a position of its log, in the order in which they came to be due. As a rule a stream has one or two, for some
 * milliseconds and again and again: these cost no memory of their own. (A Map makes a new table each time it becomes empty; with a
 * thousand streams that was much of what the garbage collector had to do.)
 */
export class DueSlices {
  readonly #keys: SliceKey[] = [];
  readonly #positions: number[] = [];
  /** Where the entries in the lists begin and end; what is beside them is left over. */
  #start = 0;
  #end = 0;
  /** In place of the lists, when there were many. */
  #many: Map<SliceKey, number> | undefined;

  get size(): number {
    return this.#many?.size ?? this.#end - this.#start;
  }

  has(key: SliceKey): boolean {
    return this.#many === undefined ? this.#find(key) >= 0 : this.#many.has(key);
  }

  /** The one that has been due longest, with its position. */
  first(): readonly [SliceKey, number] | undefined {
    if (this.#many !== undefined) return this.#many.entries().next().value;
    const [key, position] = [this.#keys[this.#start], this.#positions[this.#start]];
    return this.size === 0 || key === undefined || position === undefined ? undefined : [key, position];
  }

  /** A slice that is due already keeps its place in the order. */
  set(key: SliceKey, position: number): void {
    if (this.#many !== undefined) {
      this.#many.set(key, position);
      return;
    }
    const known = this.#find(key);
    if (known >= 0) this.#positions[known] = position;
    else if (this.#end < FEW) {
      this.#keys[this.#end] = key;
      this.#positions[this.#end] = position;
      this.#end += 1;
    } else this.#becomeMany().set(key, position);
  }

  delete(key: SliceKey): void {
    if (this.#many !== undefined) {
      this.#many.delete(key);
      if (this.#many.size === 0) this.#many = undefined;
      return;
    }
    const at = this.#find(key);
    if (at < 0) return;
    for (let index = at; index > this.#start; index -= 1) this.#move(index - 1, index);
    this.#start += 1;
    if (this.#start === this.#end) this.clear();
  }

  clear(): void {
    this.#many = undefined;
    this.#start = 0;
    this.#end = 0;
  }

  #find(key: SliceKey): number {
    for (let at = this.#start; at < this.#end; at += 1) if (this.#keys[at] === key) return at;
    return -1;
  }

  #move(from: number, to: number): void {
    this.#keys[to] = this.#keys[from] as SliceKey;
    this.#positions[to] = this.#positions[from] as number;
  }

  #becomeMany(): Map<SliceKey, number> {
    const many = new Map<SliceKey, number>();
    for (let at = this.#start; at < this.#end; at += 1) {
      many.set(this.#keys[at] as SliceKey, this.#positions[at] as number);
    }
    this.clear();
    this.#many = many;
    return many;
  }
}
