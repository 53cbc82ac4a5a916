/** How many bytes of request bodies there are at once, and whose have to give way. */

/** One body's part in the budget. */
export type BodyShare = {
  /** Asks for more bytes of it. False: there is no room; the body is to be refused. */
  take(bytes: number): boolean;
  /** It has come whole: from now on it is not cut any more. */
  keep(): void;
  /** It is needed no more. Idempotent. */
  release(): void;
};

/** Below this a body may use what is kept free of larger ones. */
const SMALL_BYTES = 64 * 1024;
/** Part of the budget that larger bodies may fill. */
const LARGE_PART = 0.75;

type Entry = { bytes: number; readonly cut: () => void };

/**
 * Bytes of bodies in flight: those that come, that wait, and that are worked on. When there is no room, the largest that is still coming gives way
 * to one that is smaller: so who holds much for long does not keep others out.
 */
export class BodyBudget {
  readonly #maxBytes: number;
  readonly #coming = new Set<Entry>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Bytes that are there now. */
  get bytes(): number {
    return this.#bytes;
  }

  /** A body begins to come. `cut`: it has to give way; it is released by then. */
  open(cut: () => void): BodyShare {
    const entry: Entry = { bytes: 0, cut };
    this.#coming.add(entry);
    let isReleased = false;
    const release = (): void => {
      if (isReleased) return;
      isReleased = true;
      this.#coming.delete(entry);
      this.#bytes -= entry.bytes;
    };
    return {
      take: (bytes) => !isReleased && this.#take(entry, bytes),
      keep: () => void this.#coming.delete(entry),
      release,
    };
  }

  #take(entry: Entry, bytes: number): boolean {
    const limit = entry.bytes + bytes > SMALL_BYTES ? this.#maxBytes * LARGE_PART : this.#maxBytes;
    while (this.#bytes + bytes > limit) {
      const largest = this.#largest();
      if (largest === undefined || largest === entry || largest.bytes <= entry.bytes) return false;
      largest.cut();
      if (this.#coming.has(largest)) throw new Error('a body that was cut was not released');
    }
    this.#bytes += bytes;
    entry.bytes += bytes;
    return true;
  }

  #largest(): Entry | undefined {
    let largest: Entry | undefined;
    for (const entry of this.#coming) if (largest === undefined || entry.bytes > largest.bytes) largest = entry;
    return largest;
  }
}
