export type RateLimitOptions = {
  /** Requests that may come at once. */
  readonly burst: number;
  readonly perSecond: number;
  /** Milliseconds, monotonic. Default performance.now. */
  readonly now?: () => number;
};

/** True when one more may be had now under this key, e.g. by the guest of a VIF. */
export type RateLimit<K = number> = { take(key: K): boolean };

/** Keys remembered at most; beyond it the bucket used longest ago is forgotten (it starts full again). */
const MAX_BUCKETS = 8192;

/** A token bucket for each key, so that one guest's flood takes no answers from another. */
export function createRateLimit<K = number>(options: RateLimitOptions): RateLimit<K> {
  const now = options.now ?? ((): number => performance.now());
  const buckets = new Map<K, { tokens: number; at: number }>();
  return {
    take: (key) => {
      const at = now();
      const old = buckets.get(key) ?? { tokens: options.burst, at };
      const tokens = Math.min(options.burst, old.tokens + ((at - old.at) * options.perSecond) / 1000);
      buckets.delete(key);
      buckets.set(key, { tokens: tokens >= 1 ? tokens - 1 : tokens, at });
      if (buckets.size > MAX_BUCKETS) {
        const oldest = buckets.keys().next().value;
        if (oldest !== undefined) buckets.delete(oldest);
      }
      return tokens >= 1;
    },
  };
}
