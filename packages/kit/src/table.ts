/** Names the index keys of a row: a row may stand under several, or none. */
export type IndexMaker<T> = (row: T) => readonly string[];

/** What readers of a table may do. Rows are immutable values. */
export type TableReader<T, I extends string = string> = {
  readonly name: string;
  readonly size: number;
  get(id: string): T | undefined;
  values(): IterableIterator<T>;
  /** Rows under an index key, in no particular order. */
  by(index: I, key: string): readonly T[];
};

/** An in-memory table with secondary indexes. One owner writes; a row is replaced, never changed. */
export class Table<T, I extends string = never> implements TableReader<T, I> {
  readonly name: string;
  readonly #rows = new Map<string, T>();
  readonly #makers: readonly (readonly [I, IndexMaker<T>])[];
  readonly #indexes = new Map<I, Map<string, Map<string, T>>>();

  constructor(name: string, indexes: Readonly<Record<I, IndexMaker<T>>>) {
    this.name = name;
    this.#makers = (Object.keys(indexes) as I[]).map((index) => [index, indexes[index]] as const);
    for (const [index] of this.#makers) this.#indexes.set(index, new Map());
  }

  get size(): number {
    return this.#rows.size;
  }

  get(id: string): T | undefined {
    return this.#rows.get(id);
  }

  values(): IterableIterator<T> {
    return this.#rows.values();
  }

  by(index: I, key: string): readonly T[] {
    const found = this.#indexes.get(index)?.get(key);
    return found === undefined ? [] : [...found.values()];
  }

  /** Inserts or replaces; returns the row that stood there. */
  put(id: string, row: T): T | undefined {
    const before = this.delete(id);
    this.#rows.set(id, row);
    for (const [index, make] of this.#makers) {
      for (const key of make(row)) this.#bucket(index, key).set(id, row);
    }
    return before;
  }

  /** Deleting an absent row succeeds and returns undefined. */
  delete(id: string): T | undefined {
    const row = this.#rows.get(id);
    if (row === undefined) return undefined;
    this.#rows.delete(id);
    for (const [index, make] of this.#makers) {
      for (const key of make(row)) this.#unindex(index, key, id);
    }
    return row;
  }

  #bucket(index: I, key: string): Map<string, T> {
    const keys = this.#indexes.get(index) ?? new Map<string, Map<string, T>>();
    this.#indexes.set(index, keys);
    const bucket = keys.get(key) ?? new Map<string, T>();
    keys.set(key, bucket);
    return bucket;
  }

  #unindex(index: I, key: string, id: string): void {
    const keys = this.#indexes.get(index);
    const bucket = keys?.get(key);
    bucket?.delete(id);
    if (bucket?.size === 0) keys?.delete(key);
  }
}
