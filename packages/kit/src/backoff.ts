/** Exponential back-off with jitter. `next()` gives the next wait in ms; `reset()` after a success. */
export type Backoff = { next(): number; reset(): void };

/** The first and the longest wait, in milliseconds. */
export type BackoffOptions = {
  readonly minMs: number;
  readonly maxMs: number;
  /** 0..1, source of jitter. Default Math.random. */
  readonly random?: () => number;
};

/** Waits double from `minMs` to `maxMs`; each is drawn from its upper half, so that many clients do not come back at once. */
export function createBackoff(options: BackoffOptions): Backoff {
  const random = options.random ?? Math.random;
  let attempt = 0;
  return {
    next: () => {
      const ceiling = Math.min(options.maxMs, options.minMs * 2 ** Math.min(attempt, 30));
      attempt += 1;
      return ceiling / 2 + (random() * ceiling) / 2;
    },
    reset: () => {
      attempt = 0;
    },
  };
}

/** Resolves after `ms`, or at once when the signal aborts (it does not throw). */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener('abort', done, { once: true });
  });
}
