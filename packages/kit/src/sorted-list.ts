/** Negative: `a` comes first; 0: the same place. */
export type Compare<T> = (a: T, b: T) => number;

/** Items in order as of one moment, in portions none of which is empty. */
export type SortedItems<T> = readonly (readonly T[])[];

/** Between two items of a `SortedItems`: before item `at` of portion `portion`; behind the last one: portion number `length`, 0. */
export type Place = { readonly portion: number; readonly at: number };

/** Most items of a portion: a change copies one portion, a snapshot the list of them. */
const PORTION_MAX = 128;

/** Where every list begins. */
export const START: Place = { portion: 0, at: 0 };

/**
 * Items kept in order, of which a snapshot costs next to nothing: portions are replaced, never changed. A change costs a search and a copy of one
 * portion, an item some ten bytes.
 */
export class SortedList<T> {
  readonly #compare: Compare<T>;
  readonly #portions: (readonly T[])[] = [];
  #size = 0;

  constructor(compare: Compare<T>) {
    this.#compare = compare;
  }

  get size(): number {
    return this.#size;
  }

  /** The items as of now. */
  snapshot(): SortedItems<T> {
    return this.#portions.slice();
  }

  /** The items one by one; to be used up before the list changes. */
  *values(): IterableIterator<T> {
    for (const portion of this.#portions) yield* portion;
  }

  first(): T | undefined {
    return this.#portions[0]?.[0];
  }

  /** Puts the item in its place; one that is there already, by the order, is replaced. */
  add(item: T): void {
    const { portion, at } = this.#find(item);
    const items = this.#portions[portion];
    if (items === undefined) this.#append(item);
    else if (this.#isAt(items, at, item)) this.#portions[portion] = items.with(at, item);
    else this.#insert(portion, items.toSpliced(at, 0, item));
  }

  /** Takes the item out that has this one's place; does nothing when there is none. */
  remove(item: T): void {
    const { portion, at } = this.#find(item);
    const items = this.#portions[portion];
    if (items === undefined || !this.#isAt(items, at, item)) return;
    this.#size -= 1;
    const left = items.toSpliced(at, 1);
    if (left.length === 0) this.#portions.splice(portion, 1);
    else this.#portions[portion] = left;
    this.#join(portion - 1);
    this.#join(portion);
  }

  /** Makes one of a portion and the next when both are small: a list from which most was taken would consist of crumbs. */
  #join(portion: number): void {
    const items = this.#portions[portion];
    const next = this.#portions[portion + 1];
    if (items === undefined || next === undefined || items.length + next.length > PORTION_MAX / 2) return;
    this.#portions.splice(portion, 2, items.concat(next));
  }

  #find(item: T): Place {
    return placeIn(this.#portions, (other) => this.#compare(other, item) < 0);
  }

  #isAt(items: readonly T[], at: number, item: T): boolean {
    const other = items[at];
    return other !== undefined && this.#compare(other, item) === 0;
  }

  /** What comes in order fills portions whole. */
  #append(item: T): void {
    const last = this.#portions.length - 1;
    const items = this.#portions[last];
    this.#size += 1;
    if (items === undefined || items.length === PORTION_MAX) this.#portions.push([item]);
    else this.#portions[last] = [...items, item];
  }

  #insert(portion: number, items: readonly T[]): void {
    this.#size += 1;
    const half = PORTION_MAX / 2;
    if (items.length <= PORTION_MAX) this.#portions[portion] = items;
    else this.#portions.splice(portion, 1, items.slice(0, half), items.slice(half));
  }
}

/** The place behind every item of which `isBefore` is true; of those that follow it must be false. */
export function placeIn<T>(items: SortedItems<T>, isBefore: (item: T) => boolean): Place {
  const portion = countWhile(items, (portionItems) => isBefore(portionItems[portionItems.length - 1] as T));
  return { portion, at: countWhile(items[portion] ?? [], isBefore) };
}

/** The place behind the last item. */
export function endOf<T>(items: SortedItems<T>): Place {
  return { portion: items.length, at: 0 };
}

/** The item behind a place; undefined: it is the end. */
export function itemAt<T>(items: SortedItems<T>, { portion, at }: Place): T | undefined {
  return items[portion]?.[at];
}

/** The item before a place; undefined: it is the start. */
export function itemBefore<T>(items: SortedItems<T>, { portion, at }: Place): T | undefined {
  return at > 0 ? items[portion]?.[at - 1] : items[portion - 1]?.at(-1);
}

/** The items from one place to another, in portions. */
export function* forwards<T>(items: SortedItems<T>, from: Place, to: Place): IterableIterator<readonly T[]> {
  for (let portion = from.portion; portion <= to.portion; portion += 1) {
    const part = cut(items, portion, from, to);
    if (part.length > 0) yield part;
  }
}

/** The same, the last item first. */
export function* backwards<T>(items: SortedItems<T>, from: Place, to: Place): IterableIterator<readonly T[]> {
  for (let portion = to.portion; portion >= from.portion; portion -= 1) {
    const part = cut(items, portion, from, to);
    if (part.length > 0) yield part.toReversed();
  }
}

/** What of a portion lies between the places. */
function cut<T>(items: SortedItems<T>, portion: number, from: Place, to: Place): readonly T[] {
  const all = items[portion] ?? [];
  const start = portion === from.portion ? from.at : 0;
  const end = portion === to.portion ? to.at : all.length;
  return start === 0 && end === all.length ? all : all.slice(start, end);
}

/** How many items at the start the condition holds for; behind them it must not hold. */
function countWhile<T>(items: readonly T[], holds: (item: T) => boolean): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (holds(items[middle] as T)) low = middle + 1;
    else high = middle;
  }
  return low;
}
