/** Where the rows of one key are: alone, a few, or many. The first costs nothing besides the key. */
type Slots = number | number[] | Set<number>;

/** Most slots of a key that are kept as a list: looking through it costs less than a set's memory. */
const LIST_MAX = 64;

/** One index of a table: which slots (numbers of rows) stand under which key. Adding or removing one costs the same however many there are. */
export class SlotIndex {
  readonly #keys = new Map<string, Slots>();

  /** Number of slots under the key. */
  count(key: string): number {
    const slots = this.#keys.get(key);
    if (slots === undefined) return 0;
    if (typeof slots === 'number') return 1;
    return slots instanceof Set ? slots.size : slots.length;
  }

  /** One of the slots under the key; undefined: there is none. */
  first(key: string): number | undefined {
    const slots = this.#keys.get(key);
    if (slots === undefined || typeof slots === 'number') return slots;
    return Array.isArray(slots) ? slots[0] : slots.values().next().value;
  }

  /** Slots under the key, in no particular order. To be used up before the index changes. */
  of(key: string): Iterable<number> {
    const slots = this.#keys.get(key) ?? [];
    return typeof slots === 'number' ? [slots] : slots;
  }

  /** Adding a slot twice is adding it once. */
  add(key: string, slot: number): void {
    const slots = this.#keys.get(key);
    if (slots === undefined) this.#keys.set(key, slot);
    else if (typeof slots === 'number') {
      if (slots !== slot) this.#keys.set(key, [slots, slot]);
    } else if (slots instanceof Set) slots.add(slot);
    else if (!slots.includes(slot)) {
      if (slots.length < LIST_MAX) slots.push(slot);
      else this.#keys.set(key, new Set(slots).add(slot));
    }
  }

  /** Removing what is not there does nothing. */
  remove(key: string, slot: number): void {
    const slots = this.#keys.get(key);
    if (slots === slot) this.#keys.delete(key);
    else if (slots instanceof Set) {
      slots.delete(slot);
      if (slots.size <= LIST_MAX / 2) this.#keys.set(key, [...slots]);
    } else if (Array.isArray(slots)) this.#removeFromList(key, slots, slot);
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
