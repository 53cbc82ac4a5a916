export type RateLimitOptions = {
  /** Requests that may come at once. */
  readonly burst: number;
  readonly perSecond: number;
  /** Milliseconds, monotonic. Default performance.now. */
  readonly now?: () => number;
};

/** True when the guest of this VIF may have one more answer now. */
export type RateLimit = { take(vif: number): boolean };

/** VIFs remembered at most; beyond it the bucket used longest ago is forgotten (it starts full again). */
const MAX_BUCKETS = 8192;

/** A token bucket for each VIF, so that one guest's flood takes no answers from another. */
export function createRateLimit(options: RateLimitOptions): RateLimit {
  const now = options.now ?? ((): number => performance.now());
  const buckets = new Map<number, { tokens: number; at: number }>();
  return {
    take: (vif) => {
      const at = now();
      const old = buckets.get(vif) ?? { tokens: options.burst, at };
      const tokens = Math.min(options.burst, old.tokens + ((at - old.at) * options.perSecond) / 1000);
      buckets.delete(vif);
      buckets.set(vif, { tokens: tokens >= 1 ? tokens - 1 : tokens, at });
      if (buckets.size > MAX_BUCKETS) {
        const oldest = buckets.keys().next().value;
        if (oldest !== undefined) buckets.delete(oldest);
      }
      return tokens >= 1;
    },
  };
}
