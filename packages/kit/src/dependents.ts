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

/** Exactly these reads, and the nodes that made them: very many computations read the same few things. */
type ReadSet<N> = { readonly name: string; readonly keys: readonly ReadKey[]; nodes: N | Set<N> };

/**
 * Which computations read what, kept in both directions, so that a change finds the computations it touches by what they read when they last ran.
 * A node is an object of the owner's; it must not be a Set. Cost and memory: one entry a node, and for each set of reads one entry a read.
 */
export class Dependents<N extends object> {
  readonly #byName = new Map<string, ReadSet<N>>();
  readonly #byRead = new Map<ReadKey, ReadSet<N> | Set<ReadSet<N>>>();
  readonly #byNode = new Map<N, ReadSet<N>>();

  /** Number of nodes that read something. */
  get size(): number {
    return this.#byNode.size;
  }

  /** The node has run again and read exactly these. */
  set(node: N, reads: ReadonlySet<ReadKey>): void {
    const name = [...reads].join('\n');
    const before = this.#byNode.get(node);
    if (before?.name === name) return;
    if (before !== undefined) this.#leave(before, node);
    if (reads.size === 0) this.#byNode.delete(node);
    else this.#byNode.set(node, this.#enter(name, reads, node));
  }

  /** The node is no more. */
  delete(node: N): void {
    const before = this.#byNode.get(node);
    if (before === undefined) return;
    this.#leave(before, node);
    this.#byNode.delete(node);
  }

  /** Nodes whose last run read this. The caller may change the dependents while it iterates. */
  of(read: ReadKey): readonly N[] {
    const nodes: N[] = [];
    for (const { nodes: some } of all(this.#byRead.get(read))) for (const node of all(some)) nodes.push(node);
    return nodes;
  }

  #enter(name: string, reads: ReadonlySet<ReadKey>, node: N): ReadSet<N> {
    const known = this.#byName.get(name);
    if (known !== undefined) {
      known.nodes = withOne(known.nodes, node);
      return known;
    }
    const made: ReadSet<N> = { name, keys: [...reads], nodes: node };
    this.#byName.set(name, made);
    for (const read of reads) {
      const others = this.#byRead.get(read);
      this.#byRead.set(read, others === undefined ? made : withOne(others, made));
    }
    return made;
  }

  #leave(set: ReadSet<N>, node: N): void {
    if (set.nodes instanceof Set) {
      set.nodes.delete(node);
      if (set.nodes.size > 0) return;
    }
    this.#byName.delete(set.name);
    for (const read of set.keys) {
      const sets = this.#byRead.get(read);
      if (sets instanceof Set) sets.delete(set);
      if (!(sets instanceof Set) || sets.size === 0) this.#byRead.delete(read);
    }
  }
}

function all<T extends object>(some: T | Set<T> | undefined): Iterable<T> {
  if (some === undefined) return [];
  return some instanceof Set ? some : [some];
}

function withOne<T extends object>(some: T | Set<T>, one: T): T | Set<T> {
  return some instanceof Set ? some.add(one) : new Set([some, one]);
}
