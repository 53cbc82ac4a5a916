import { SortedList } from './sorted-list.ts';

/** Where the rows of one key are: alone, a few, or many. The first costs nothing besides the key; of many each costs a third of what it would in a set. */
type Slots = number | number[] | SortedList<number>;

/** Most slots of a key that are kept as they came. */
const LIST_MAX = 64;

const ascending = (a: number, b: number): number => a - b;

/** One index of a table: which slots (numbers of rows) stand under which key. Adding or removing one costs the same however many there are. */
export class SlotIndex {
  readonly #keys = new Map<string, Slots>();

  /** Number of slots under the key. */
  count(key: string): number {
    const slots = this.#keys.get(key);
    if (slots === undefined) return 0;
    if (typeof slots === 'number') return 1;
    return Array.isArray(slots) ? slots.length : slots.size;
  }

  /** One of the slots under the key; undefined: there is none. */
  first(key: string): number | undefined {
    const slots = this.#keys.get(key);
    if (slots === undefined || typeof slots === 'number') return slots;
    return Array.isArray(slots) ? slots[0] : slots.first();
  }

  /** Slots under the key, in portions and in no particular order. To be used up before the index changes. */
  of(key: string): Iterable<readonly number[]> {
    const slots = this.#keys.get(key);
    if (slots === undefined) return [];
    if (typeof slots === 'number') return [[slots]];
    return Array.isArray(slots) ? [slots] : slots.portions();
  }

  /** Adding a slot twice is adding it once. */
  add(key: string, slot: number): void {
    const slots = this.#keys.get(key);
    if (slots === undefined) this.#keys.set(key, slot);
    else if (typeof slots === 'number') {
      if (slots !== slot) this.#keys.set(key, [slots, slot]);
    } else if (!Array.isArray(slots)) slots.add(slot);
    else if (!slots.includes(slot)) {
      if (slots.length < LIST_MAX) slots.push(slot);
      else this.#keys.set(key, sortedListOf([...slots, slot]));
    }
  }

  /** Removing what is not there does nothing. */
  remove(key: string, slot: number): void {
    const slots = this.#keys.get(key);
    if (slots === slot) this.#keys.delete(key);
    else if (Array.isArray(slots)) this.#removeFromList(key, slots, slot);
    else if (slots instanceof SortedList) {
      slots.remove(slot);
      if (slots.size <= LIST_MAX / 2) this.#keys.set(key, [...slots.portions()].flat());
    }
  }

  #removeFromList(key: string, slots: number[], slot: number): void {
    const at = slots.indexOf(slot);
    if (at < 0) return;
    const last = slots.pop();
    if (last !== undefined && at < slots.length) slots[at] = last;
    const [only] = slots;
    if (slots.length === 1 && only !== undefined) this.#keys.set(key, only);
  }
}

function sortedListOf(slots: readonly number[]): SortedList<number> {
  const list = new SortedList<number>(ascending);
  for (const slot of slots) list.add(slot);
  return list;
}
