/** How long to wait for a lock: until the signal aborts. */
type Bounds = { readonly signal: AbortSignal };

/** Runs work one after the other for the same key, so that requests on one server do not make each other try again. */
export class KeyedLock {
  readonly #tails = new Map<string, Promise<void>>();

  /** Runs `work` when every earlier work with one of these keys has ended. Throws the signal's reason when that comes first; the work is not done then. */
  async run<T>(keys: readonly string[], bounds: Bounds, work: () => Promise<T>): Promise<T> {
    if (keys.length === 0) return await work();
    const sorted = [...new Set(keys)].sort();
    const tails = sorted.flatMap((key) => this.#tails.get(key) ?? []);
    const earlier = Promise.all(tails);
    let release = (): void => undefined;
    const mine = new Promise<void>((resolve) => {
      release = resolve;
    });
    // Who gives up still keeps its place: those behind it wait for those before it.
    const place = Promise.all([earlier, mine]).then(() => {
      for (const key of sorted) if (this.#tails.get(key) === place) this.#tails.delete(key);
    });
    // Taking all places in line at once, before waiting, keeps two works from waiting for each other.
    for (const key of sorted) this.#tails.set(key, place);
    try {
      if (tails.length > 0) await abortable(earlier, bounds.signal);
      return await work();
    } finally {
      release();
    }
  }
}

async function abortable(wait: Promise<unknown>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  let stop = (): void => undefined;
  const aborted = new Promise<never>((_resolve, reject) => {
    stop = (): void => reject(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
  });
  try {
    await Promise.race([wait, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
