/** Negative: `a` comes first; 0: the same place. */
export type Compare<T> = (a: T, b: T) => number;

/** Items in order as of one moment, in portions none of which is empty. */
export type SortedItems<T> = readonly (readonly T[])[];

/** Between two items of a `SortedItems`: before item `at` of portion `portion`; behind the last one: portion number `length`, 0. */
export type Place = { readonly portion: number; readonly at: number };

/** Most items of a portion: the first change of one after a snapshot copies it. */
const PORTION_MAX = 128;

/** Where every list begins. */
export const START: Place = { portion: 0, at: 0 };

/** `epoch`: of the list when the items were last copied; they are in a snapshot when it is not the list's. */
type Portion<T> = { readonly items: T[]; readonly epoch: number };

/** Items kept in order, of which a snapshot costs next to nothing. A change costs a search, an item some ten bytes. */
export class SortedList<T> {
  readonly #compare: Compare<T>;
  readonly #portions: Portion<T>[] = [];
  /** Number of snapshots. */
  #epoch = 0;
  #size = 0;

  constructor(compare: Compare<T>) {
    this.#compare = compare;
  }

  get size(): number {
    return this.#size;
  }

  /** The items as of now. */
  snapshot(): SortedItems<T> {
    this.#epoch += 1;
    return this.#portions.map(({ items }) => items);
  }

  /** The items as they are, at no cost: to be used up before the list changes. */
  *portions(): IterableIterator<readonly T[]> {
    for (const { items } of this.#portions) yield items;
  }

  first(): T | undefined {
    return this.#portions[0]?.items[0];
  }

  /** The last item before the place of this one, and the first behind it; one that has its place is neither. */
  beside(item: T): readonly [before: T | undefined, behind: T | undefined] {
    const portion = this.#portionFor(item);
    const items = this.#portions[portion]?.items ?? [];
    const at = this.#placeIn(items, item);
    const next = this.#isAt(items, at, item) ? at + 1 : at;
    return [
      items[at - 1] ?? this.#portions[portion - 1]?.items.at(-1),
      items[next] ?? this.#portions[portion + 1]?.items[0],
    ];
  }

  /** Puts the item in its place; one that is there already, by the order, is replaced. */
  add(item: T): void {
    const portion = this.#portionFor(item);
    if (portion === this.#portions.length) {
      this.#append(item);
      return;
    }
    const items = this.#changeable(portion);
    const at = this.#placeIn(items, item);
    if (this.#isAt(items, at, item)) {
      items[at] = item;
      return;
    }
    items.splice(at, 0, item);
    this.#size += 1;
    if (items.length > PORTION_MAX) {
      this.#portions.splice(portion + 1, 0, { items: items.splice(PORTION_MAX / 2), epoch: this.#epoch });
    }
  }

  /** Takes the item out that has this one's place; does nothing when there is none. */
  remove(item: T): void {
    const portion = this.#portionFor(item);
    if (portion === this.#portions.length) return;
    const items = this.#changeable(portion);
    const at = this.#placeIn(items, item);
    if (!this.#isAt(items, at, item)) return;
    items.splice(at, 1);
    this.#size -= 1;
    if (items.length === 0) this.#portions.splice(portion, 1);
    this.#join(portion - 1);
    this.#join(portion);
  }

  /** Makes one of a portion and the next when both are small: a list from which most was taken would consist of crumbs. */
  #join(portion: number): void {
    const items = this.#portions[portion]?.items;
    const next = this.#portions[portion + 1]?.items;
    if (items === undefined || next === undefined || items.length + next.length > PORTION_MAX / 2) return;
    this.#portions.splice(portion, 2, { items: [...items, ...next], epoch: this.#epoch });
  }

  /** The item comes behind all: what comes in order fills portions whole. */
  #append(item: T): void {
    const last = this.#portions.length - 1;
    this.#size += 1;
    if (last < 0 || this.#portions[last]?.items.length === PORTION_MAX) {
      this.#portions.push({ items: [item], epoch: this.#epoch });
    } else this.#changeable(last).push(item);
  }

  /** The portion's items, a copy when a snapshot has them. */
  #changeable(portion: number): T[] {
    const { items, epoch } = this.#portions[portion] as Portion<T>;
    if (epoch === this.#epoch) return items;
    const copy = items.slice();
    this.#portions[portion] = { items: copy, epoch: this.#epoch };
    return copy;
  }

  /** The first portion that does not end before the item. */
  #portionFor(item: T): number {
    let low = 0;
    let high = this.#portions.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const { items } = this.#portions[middle] as Portion<T>;
      if (this.#compare(items[items.length - 1] as T, item) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #placeIn(items: readonly T[], item: T): number {
    let low = 0;
    let high = items.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#compare(items[middle] as T, item) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #isAt(items: readonly T[], at: number, item: T): boolean {
    const other = items[at];
    return other !== undefined && this.#compare(other, item) === 0;
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
