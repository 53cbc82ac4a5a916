import type { Slice } from './slice.ts';

/** Values of some slices by key, for what most slices have nothing of. */
export class SliceMap<V> {
  readonly #values = new Map<Slice, Map<string, V>>();

  get(slice: Slice, key: string): V | undefined {
    return this.#values.get(slice)?.get(key);
  }

  has(slice: Slice, key: string): boolean {
    return this.#values.get(slice)?.has(key) === true;
  }

  set(slice: Slice, key: string, value: V): void {
    const values = this.#values.get(slice);
    if (values === undefined) this.#values.set(slice, new Map([[key, value]]));
    else values.set(key, value);
  }

  /** True if there was such a value. */
  delete(slice: Slice, key: string): boolean {
    const values = this.#values.get(slice);
    if (values?.delete(key) !== true) return false;
    if (values.size === 0) this.#values.delete(slice);
    return true;
  }

  entriesOf(slice: Slice): Iterable<[string, V]> {
    return this.#values.get(slice) ?? [];
  }

  slices(): Iterable<Slice> {
    return this.#values.keys();
  }

  drop(slice: Slice): void {
    this.#values.delete(slice);
  }

  clear(): void {
    this.#values.clear();
  }
}
