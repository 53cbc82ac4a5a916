import { lastOf, orderAround } from './address.ts';

/** A prefix that selectors of a policy list. `order` and `length`: as in `Prefix`. */
export type Row<T> = {
  readonly order: string;
  readonly length: number;
  /** The owner's. */
  readonly state: T;
};

/** Rows in one block of the sorted list: an insertion moves no more than so many. */
const BLOCK = 512;

/** Prefixes, found by themselves, by what they contain and by what contains them. */
export class PrefixRows<T> {
  readonly #rows = new Map<string, Row<T>>();
  /** Sorted by `order`, in blocks of at most `BLOCK`, none of them empty. */
  readonly #blocks: Row<T>[][] = [];
  /** Rows of each length of prefix. */
  readonly #lengths = new Map<number, number>();

  get size(): number {
    return this.#rows.size;
  }

  /** All are of one length: none contains another. */
  get flat(): boolean {
    return this.#lengths.size <= 1;
  }

  get(order: string): Row<T> | undefined {
    return this.#rows.get(order);
  }

  values(): Iterable<Row<T>> {
    return this.#rows.values();
  }

  add(order: string, state: T): Row<T> {
    const length = Number(order.slice(-3));
    const row = { order, length, state };
    this.#rows.set(order, row);
    this.#lengths.set(length, (this.#lengths.get(length) ?? 0) + 1);
    const at = this.#blockOf(order);
    const block = this.#blocks[at];
    if (block === undefined) {
      this.#blocks.push([row]);
      return row;
    }
    block.splice(placeIn(block, order), 0, row);
    if (block.length > BLOCK) this.#blocks.splice(at + 1, 0, block.splice(BLOCK >> 1));
    return row;
  }

  delete(row: Row<T>): void {
    const { order, length } = row;
    if (!this.#rows.delete(order)) return;
    const left = (this.#lengths.get(length) ?? 1) - 1;
    if (left === 0) this.#lengths.delete(length);
    else this.#lengths.set(length, left);
    const at = this.#blockOf(order);
    const block = this.#blocks[at];
    block?.splice(placeIn(block, order), 1);
    if (block?.length === 0) this.#blocks.splice(at, 1);
  }

  /** Rows that contain the row's prefix, itself not among them, in no order. Costs a look for each length there is. */
  *around({ order, length }: Row<T>): Generator<Row<T>> {
    for (const shorter of this.#lengths.keys()) {
      if (shorter >= length) continue;
      const row = this.#rows.get(orderAround(order, shorter));
      if (row !== undefined) yield row;
    }
  }

  /** Rows that the row's prefix contains, itself not among them, sorted. The row may have been deleted. */
  *within({ order, length }: Row<T>): Generator<Row<T>> {
    if (length === 128) return;
    const end = `${lastOf(order)}/~`;
    for (let at = this.#blockOf(order); at < this.#blocks.length; at += 1) {
      for (const row of this.#blocks[at] ?? []) {
        if (row.order <= order) continue;
        if (row.order > end) return;
        yield row;
      }
    }
  }

  /** Index of the block in which `order` stands or belongs; 0 while there is none. */
  #blockOf(order: string): number {
    let low = 0;
    let high = this.#blocks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((this.#blocks[middle]?.[0]?.order ?? '') <= order) low = middle;
      else high = middle - 1;
    }
    return Math.max(low, 0);
  }
}

/** Index of the first row that is not before `order`. */
function placeIn<T>(block: readonly Row<T>[], order: string): number {
  let low = 0;
  let high = block.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((block[middle]?.order ?? '') < order) low = middle + 1;
    else high = middle;
  }
  return low;
}
