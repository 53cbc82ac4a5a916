export type RateLimitOptions = {
  /** Requests that may come at once. */
  readonly burst: number;
  readonly perSecond: number;
  /** Milliseconds, monotonic. Default performance.now. */
  readonly now?: () => number;
};

/** True when one more may be had now under this key, e.g. by the guest of a VIF. */
export type RateLimit<K = number> = { take(key: K): boolean };

/** One of things that are not all alike. */
export type ChargedLimit<K = number> = RateLimit<K> & {
  /** So many more were had, whether there were so many or not: the next have to wait for them, for no longer than `burst` takes to fill. */
  charge(key: K, count: number): void;
};

/** Keys remembered at most; beyond it the bucket used longest ago is forgotten (it starts full again). */
const MAX_BUCKETS = 8192;

/** A token bucket for each key, so that one guest's flood takes no answers from another. */
export function createRateLimit<K = number>(options: RateLimitOptions): ChargedLimit<K> {
  const now = options.now ?? ((): number => performance.now());
  const buckets = new Map<K, { tokens: number; at: number }>();
  const tokensOf = (key: K, at: number): number => {
    const old = buckets.get(key) ?? { tokens: options.burst, at };
    return Math.min(options.burst, old.tokens + ((at - old.at) * options.perSecond) / 1000);
  };
  const put = (key: K, tokens: number, at: number): void => {
    buckets.delete(key);
    buckets.set(key, { tokens, at });
    if (buckets.size <= MAX_BUCKETS) return;
    const oldest = buckets.keys().next().value;
    if (oldest !== undefined) buckets.delete(oldest);
  };
  return {
    take: (key) => {
      const at = now();
      const tokens = tokensOf(key, at);
      put(key, tokens >= 1 ? tokens - 1 : tokens, at);
      return tokens >= 1;
    },
    charge: (key, count) => {
      const at = now();
      put(key, Math.max(-options.burst, tokensOf(key, at) - count), at);
    },
  };
}
