/** Names what a computation read: a row, or the rows under an index key. Made by `rowRead` and `indexRead`. */
export type ReadKey = string;

/** The row with this id in the table. */
export function rowRead(table: string, id: string): ReadKey {
  return `${table}\0${id}`;
}

/** The rows of the table under this key of the index. */
export function indexRead(table: string, index: string, key: string): ReadKey {
  return `${table}\0${index}\0${key}`;
}

type Entry<N> = { key: ReadKey; nodes: N | Set<N> };

/**
 * Which computations read what, kept in both directions, so that a change finds the computations it touches by what they read when they last ran.
 * A node is an object of the owner's; it must not be a Set. Cost and memory: one entry for each (node, read).
 */
export class Dependents<N extends object> {
  readonly #byRead = new Map<ReadKey, Entry<N>>();
  readonly #byNode = new Map<N, readonly Entry<N>[]>();

  /** Number of nodes that read something. */
  get size(): number {
    return this.#byNode.size;
  }

  /** The node has run again and read exactly these. */
  set(node: N, reads: ReadonlySet<ReadKey>): void {
    const before = this.#byNode.get(node);
    if (before !== undefined && before.length === reads.size && before.every(({ key }) => reads.has(key))) return;
    for (const entry of before ?? []) if (!reads.has(entry.key)) this.#remove(entry, node);
    if (reads.size === 0) {
      this.#byNode.delete(node);
      return;
    }
    this.#byNode.set(
      node,
      Array.from(reads, (read) => this.#add(read, node)),
    );
  }

  /** The node is no more. */
  delete(node: N): void {
    for (const entry of this.#byNode.get(node) ?? []) this.#remove(entry, node);
    this.#byNode.delete(node);
  }

  /** Nodes whose last run read this. The caller may change the dependents while it iterates. */
  of(read: ReadKey): readonly N[] {
    const nodes = this.#byRead.get(read)?.nodes;
    if (nodes === undefined) return [];
    return nodes instanceof Set ? [...nodes] : [nodes];
  }

  #add(key: ReadKey, node: N): Entry<N> {
    const entry = this.#byRead.get(key);
    if (entry === undefined) {
      const made: Entry<N> = { key, nodes: node };
      this.#byRead.set(key, made);
      return made;
    }
    if (entry.nodes instanceof Set) entry.nodes.add(node);
    else if (entry.nodes !== node) entry.nodes = new Set([entry.nodes, node]);
    return entry;
  }

  #remove(entry: Entry<N>, node: N): void {
    const { key, nodes } = entry;
    if (!(nodes instanceof Set)) {
      if (nodes === node && this.#byRead.get(key) === entry) this.#byRead.delete(key);
      return;
    }
    nodes.delete(node);
    if (nodes.size === 0) this.#byRead.delete(key);
  }
}
