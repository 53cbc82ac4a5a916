import { CB_MAX_PW } from '../bpf/abi.gen.ts';

/**
 * Numbers of wires on this host, by hash of their id. One that is free again is taken by another as late as may be: a frame that waits for its turn has the number of its wire, and no more.
 */
export class WireNumbers {
  readonly #numbers: Map<bigint, number>;
  readonly #taken: Set<number>;
  #last: number;

  /** `kept`: those that maps have. */
  constructor(kept: Iterable<readonly [bigint, number]> = []) {
    this.#numbers = new Map(kept);
    this.#taken = new Set(this.#numbers.values());
    this.#last = Math.max(0, ...this.#taken);
  }

  get(hash: bigint): number | undefined {
    return this.#numbers.get(hash);
  }

  /** The one that it has, or one that is free; undefined: none is. */
  take(hash: bigint): number | undefined {
    const known = this.#numbers.get(hash);
    if (known !== undefined) return known;
    if (this.#taken.size >= CB_MAX_PW - 1) return undefined;
    do this.#last = (this.#last % (CB_MAX_PW - 1)) + 1;
    while (this.#taken.has(this.#last));
    this.#numbers.set(hash, this.#last);
    this.#taken.add(this.#last);
    return this.#last;
  }

  /** Others are free. */
  keepOnly(hashes: ReadonlySet<bigint>): void {
    for (const [hash, number] of this.#numbers) {
      if (hashes.has(hash)) continue;
      this.#numbers.delete(hash);
      this.#taken.delete(number);
    }
  }
}
