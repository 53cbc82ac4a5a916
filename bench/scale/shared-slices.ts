import { bucketOf } from '@cable/model';

/**
 * What the agents of one process hold. All hosts are sent the same bytes of a slice, so the simulation keeps each slice once, as the hash of its header
 * and of each item: thousands of agents fit into one process, and still resume with true digests.
 */
type Held = {
  header: number;
  readonly items: Map<string, number>;
  digest: number;
  /** Digests by bucket, as of a digest of the whole. */
  buckets?: { readonly digest: number; readonly of: number; readonly text: string };
};

const MODULUS = 2 ** 48;

/** Buckets of a slice that are sent anew, and what is in them. */
export type Renewal = { readonly of: number; readonly buckets: ReadonlySet<number>; readonly items: Set<string> };

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

  /** Digests of the slice's items by bucket, as JSON: made once for all agents that are asked. */
  bucketDigests(key: string, of: number): string {
    const held = this.#held(key);
    const digest = (held.digest - held.header + MODULUS) % MODULUS;
    if (held.buckets?.digest === digest && held.buckets.of === of) return held.buckets.text;
    const digests = Array<number>(of).fill(0);
    for (const [item, hash] of held.items) {
      const bucket = bucketOf(item, of);
      digests[bucket] = ((digests[bucket] ?? 0) + hash) % MODULUS;
    }
    held.buckets = { digest, of, text: JSON.stringify(digests) };
    return held.buckets.text;
  }

  /** These are all the items in these buckets. */
  renewed(key: string, { of, buckets, items }: Renewal): void {
    for (const item of [...(this.#slices.get(key)?.items.keys() ?? [])]) {
      if (buckets.has(bucketOf(item, of)) && !items.has(item)) this.delete(key, item);
    }
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
