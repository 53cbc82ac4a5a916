/** What each of many may ask: requests a second, by a bucket that fills up again, and requests under way. */
import { BoundedMap } from '../identity/bounded-map.ts';

/** What one may ask. Infinity: any number. */
export type Share = {
  /** Requests a second, in the long run. */
  readonly rate: number;
  /** Requests at once, after a while without any. */
  readonly burst: number;
  /** Requests under way. */
  readonly inFlight: number;
};

/** A share without limits. */
export const ANY_SHARE: Share = { rate: Infinity, burst: Infinity, inFlight: Infinity };

/** Why a request is refused, and after how long another may be let in. */
export type Refused = { readonly refused: 'rate' | 'in_flight'; readonly afterMs: number };

/** A request that was let in. Both are idempotent. */
export type Pass = {
  /** It is not under way any more. */
  readonly leave: () => void;
  /** It was none that counts: also what it took of the bucket comes back. */
  readonly giveBack: () => void;
};

type Bucket = { tokens: number; atMs: number; share: Share };

/** How long who has as many under way as it may is told to wait: it is not known when one ends. */
const IN_FLIGHT_AFTER_MS = 1000;

/** By name. Of those that have asked nothing for the longest nothing is known beyond `kept`; they begin with a full bucket. */
export class Shares {
  readonly #now: () => number;
  readonly #buckets: BoundedMap<Bucket>;
  /** Only of those that have some. */
  readonly #inFlight = new Map<string, number>();

  /** `now`: milliseconds of a monotonic clock. */
  constructor(kept: number, now: () => number) {
    this.#buckets = new BoundedMap(kept);
    this.#now = now;
  }

  /** Of how many something is kept. */
  get size(): number {
    return this.#buckets.size;
  }

  enter(name: string, share: Share): Pass | Refused {
    const inFlight = this.#inFlight.get(name) ?? 0;
    if (inFlight >= share.inFlight) return { refused: 'in_flight', afterMs: IN_FLIGHT_AFTER_MS };
    const bucket = Number.isFinite(share.rate) ? this.#filled(name, share) : undefined;
    if (bucket !== undefined) {
      if (bucket.tokens < 1) return { refused: 'rate', afterMs: ((1 - bucket.tokens) / share.rate) * 1000 };
      bucket.tokens -= 1;
    }
    if (share.inFlight < Infinity) this.#inFlight.set(name, inFlight + 1);
    let isIn = share.inFlight < Infinity;
    let isPaid = bucket !== undefined;
    const leave = (): void => {
      if (isIn) this.#leave(name);
      isIn = false;
    };
    const giveBack = (): void => {
      leave();
      if (isPaid && bucket !== undefined) bucket.tokens = Math.min(share.burst, bucket.tokens + 1);
      isPaid = false;
    };
    return { leave, giveBack };
  }

  /** Its bucket, with what has come into it since it was looked at last. */
  #filled(name: string, share: Share): Bucket {
    const now = this.#now();
    const bucket = this.#buckets.get(name) ?? { tokens: share.burst, atMs: now, share };
    // What came in until now came at the rate of before.
    const since = ((now - bucket.atMs) * bucket.share.rate) / 1000;
    bucket.tokens = Math.min(share.burst, bucket.tokens + since);
    bucket.atMs = now;
    bucket.share = share;
    this.#buckets.set(name, bucket);
    return bucket;
  }

  #leave(name: string): void {
    const others = (this.#inFlight.get(name) ?? 0) - 1;
    if (others > 0) this.#inFlight.set(name, others);
    else this.#inFlight.delete(name);
  }
}
