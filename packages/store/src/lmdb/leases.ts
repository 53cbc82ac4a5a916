/** When each lease ends, in memory only: after a restart every lease runs for its full time again. */
export class LeaseClock {
  readonly #leases = new Map<string, { ttlSeconds: number; endsAtMs: number }>();
  readonly #onDue: () => void;
  #timer: NodeJS.Timeout | undefined;
  #wakesAtMs = Number.POSITIVE_INFINITY;

  /** `onDue` is called when a lease may have ended; look at `due`. */
  constructor(onDue: () => void) {
    this.#onDue = onDue;
  }

  ttl(lease: string): number | undefined {
    return this.#leases.get(lease)?.ttlSeconds;
  }

  /** Starts a lease's time, or starts it anew. */
  start(lease: string, ttlSeconds: number): void {
    const endsAtMs = performance.now() + ttlSeconds * 1000;
    this.#leases.set(lease, { ttlSeconds, endsAtMs });
    if (endsAtMs < this.#wakesAtMs) this.#arm(endsAtMs);
  }

  remove(lease: string): void {
    this.#leases.delete(lease);
  }

  /** Leases whose time is over. */
  due(): readonly string[] {
    const now = performance.now();
    return [...this.#leases].filter(([, { endsAtMs }]) => endsAtMs <= now).map(([lease]) => lease);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#wakesAtMs = Number.POSITIVE_INFINITY;
    this.#leases.clear();
  }

  #arm(atMs: number): void {
    clearTimeout(this.#timer);
    this.#wakesAtMs = atMs;
    // Timers may fire up to a millisecond early.
    this.#timer = setTimeout(() => this.#wake(), Math.min(atMs - performance.now() + 1, 2 ** 31 - 1));
  }

  #wake(): void {
    this.#wakesAtMs = Number.POSITIVE_INFINITY;
    if (this.due().length > 0) this.#onDue();
    let next = Number.POSITIVE_INFINITY;
    const now = performance.now();
    for (const { endsAtMs } of this.#leases.values()) if (endsAtMs > now) next = Math.min(next, endsAtMs);
    if (next < Number.POSITIVE_INFINITY) this.#arm(next);
  }
}
