/**
 * What the agents of one process hold. All hosts are sent the same bytes of a slice, so the simulation keeps each slice once, as the hash of its header
 * and of each item: thousands of agents fit into one process, and still resume with true digests.
 */
type Held = { header: number; readonly items: Map<string, number>; digest: number };

const MODULUS = 2 ** 48;

/** Slices by key; lines may repeat, in any order of agents. */
export class SharedSlices {
  readonly #slices = new Map<string, Held>();
  readonly #whole = new Set<string>();

  has(key: string): boolean {
    return this.#slices.has(key);
  }

  /** True when some agent has all of it. */
  isWhole(key: string): boolean {
    return this.#whole.has(key);
  }

  /** An agent is in sync, and has been sent all of these. */
  sent(keys: Iterable<string>): void {
    for (const key of keys) this.#whole.add(key);
  }

  /** Keys of all slices, but for those of single hosts. */
  keys(): readonly string[] {
    return [...this.#slices.keys()].filter((key) => !key.startsWith('host:'));
  }

  /** Digest of a slice; 0: unknown. */
  digest(key: string): number {
    return this.#slices.get(key)?.digest ?? 0;
  }

  header(key: string, hash: number): void {
    const held = this.#held(key);
    held.digest = (held.digest - held.header + hash + MODULUS) % MODULUS;
    held.header = hash;
  }

  put(key: string, item: string, hash: number): void {
    const held = this.#held(key);
    const before = held.items.get(item) ?? 0;
    if (before === hash) return;
    held.items.set(item, hash);
    held.digest = (held.digest - before + hash + MODULUS) % MODULUS;
  }

  delete(key: string, item: string): void {
    const held = this.#slices.get(key);
    const before = held?.items.get(item);
    if (held === undefined || before === undefined) return;
    held.items.delete(item);
    held.digest = (held.digest - before + MODULUS) % MODULUS;
  }

  /** The slice is about to be sent whole. */
  reset(key: string): void {
    this.#whole.delete(key);
    this.#slices.set(key, { header: 0, items: new Map(), digest: 0 });
  }

  #held(key: string): Held {
    const known = this.#slices.get(key);
    if (known !== undefined) return known;
    const held: Held = { header: 0, items: new Map(), digest: 0 };
    this.#slices.set(key, held);
    return held;
  }
}
