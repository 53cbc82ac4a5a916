export type ByteCacheOptions = {
  /** Bytes of all values together; a value that alone is bigger is kept alone. */
  readonly maxBytes: number;
  /** A value that nobody has asked for during this time goes, at the latest after as much again. */
  readonly keepMs: number;
  /** The clock. Default `performance.now`. */
  readonly monotonicMs?: () => number;
};

type Kept<V> = { readonly value: V; usedAt: number };

/** Values of known size: the least recently used go when all together are too big, and when nobody has asked for them for some time. */
export class ByteCache<K, V extends { readonly bytes: number }> {
  readonly #options: ByteCacheOptions;
  readonly #monotonicMs: () => number;
  readonly #values = new Map<K, Kept<V>>();
  #bytes = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ByteCacheOptions) {
    this.#options = options;
    this.#monotonicMs = options.monotonicMs ?? ((): number => performance.now());
  }

  /** Bytes of all values. */
  get bytes(): number {
    return this.#bytes;
  }

  get(key: K): V | undefined {
    const kept = this.#values.get(key);
    if (kept === undefined) return undefined;
    kept.usedAt = this.#monotonicMs();
    this.#values.delete(key);
    this.#values.set(key, kept);
    return kept.value;
  }

  set(key: K, value: V): void {
    this.#delete(key);
    const { maxBytes, keepMs } = this.#options;
    this.#values.set(key, { value, usedAt: this.#monotonicMs() });
    this.#bytes += value.bytes;
    this.#timer ??= setTimeout(() => this.#expire(), keepMs).unref();
    for (const oldest of this.#values.keys()) {
      if (this.#bytes <= maxBytes || oldest === key) return;
      this.#delete(oldest);
    }
  }

  #delete(key: K): void {
    this.#bytes -= this.#values.get(key)?.value.bytes ?? 0;
    this.#values.delete(key);
  }

  #expire(): void {
    const { keepMs } = this.#options;
    const before = this.#monotonicMs() - keepMs;
    for (const [key, { usedAt }] of this.#values) {
      if (usedAt > before) break;
      this.#delete(key);
    }
    this.#timer = this.#values.size === 0 ? undefined : setTimeout(() => this.#expire(), keepMs).unref();
  }
}
