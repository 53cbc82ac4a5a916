import type { Writable } from 'node:stream';
import type { SliceKey } from '@cable/model';
import type { SliceCache } from '../slices/slice-cache.ts';
import { compareKeys, encodeLine } from '../slices/slice-line.ts';

/** Bytes that may wait for a client; above it lines wait as keys, so that a slow client gets only the latest of each slice. */
const BUFFER_BYTES = 1 << 20;

export type HostStreamOptions = {
  readonly host: string;
  /** The client has everything up to this revision; 0: nothing. */
  readonly since: number;
  readonly cache: SliceCache;
  readonly out: Writable;
  /** Called once, when the stream is over, with the reason. */
  readonly onEnd: (reason: string) => void;
  /** A line is sent at least this often, so that either side notices a dead peer. */
  readonly keepaliveMs: number;
  /** A client that takes nothing for so long is cut; it resumes with `since`. */
  readonly stalledMs: number;
};

/**
 * One client's NDJSON stream (`WatchLine`). It holds no events: only the keys whose lines are due. What is sent is the state at the
 * time of sending, so a bookmark may be written whenever no key is due.
 */
export class HostStream {
  readonly #options: HostStreamOptions;
  readonly #due = new Set<SliceKey>();
  #stop: () => void = () => {};
  #synced = false;
  /** Revision of the last `sync` or `bookmark`. */
  #bookmark: number;
  #stalledAt: number | undefined;
  #ended = false;

  constructor(options: HostStreamOptions) {
    this.#options = options;
    this.#bookmark = options.since;
  }

  /** Sends what the client lacks, and from then on what changes. */
  start(): void {
    const { cache, host, out, since, keepaliveMs } = this.#options;
    const unsubscribe = cache.subscribe(host, (keys) => this.#changed(keys));
    const timer = setInterval(() => this.#tick(), keepaliveMs);
    this.#stop = () => {
      clearInterval(timer);
      unsubscribe();
    };
    out.on('drain', () => {
      this.#stalledAt = undefined;
      this.#pump();
    });
    out.on('close', () => this.end('client went away'));
    out.on('error', () => this.end('connection failed'));
    for (const key of cache.keysSince(host, since)) this.#due.add(key);
    this.#pump();
  }

  /** Says that everything so far has been sent, if that is so and has not been said. */
  bookmark(): void {
    if (this.#bookmark < this.#options.cache.revision) this.#pump();
  }

  /** Ends the stream; idempotent. */
  end(reason: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#stop();
    this.#options.out.destroy();
    this.#options.onEnd(reason);
  }

  #changed(keys: ReadonlySet<SliceKey>): void {
    const { cache, host } = this.#options;
    if (!cache.hasHost(host)) {
      this.end('host was deleted');
      return;
    }
    for (const key of keys) this.#due.add(key);
    this.#pump();
  }

  #tick(): void {
    const { stalledMs, keepaliveMs } = this.#options;
    if (this.#stalledAt !== undefined) {
      if (Date.now() - this.#stalledAt + keepaliveMs > stalledMs) this.end('client is too slow');
      return;
    }
    this.#writeBookmark();
  }

  /** Writes what is due, as far as the client keeps up, and then a bookmark. */
  #pump(): void {
    if (this.#ended) return;
    const { out } = this.#options;
    out.cork();
    for (const key of [...this.#due].sort(compareKeys)) {
      if (out.writableLength > BUFFER_BYTES) break;
      this.#due.delete(key);
      this.#writeSlice(key);
    }
    if (this.#due.size > 0) this.#stalledAt ??= Date.now();
    else this.#writeBookmark();
    out.uncork();
  }

  #writeSlice(key: SliceKey): void {
    const { cache, host, out } = this.#options;
    const entry = cache.reaches(host, key) ? cache.entry(key) : undefined;
    out.write(entry?.line ?? encodeLine({ type: 'delete', key, revision: cache.revision }));
  }

  #writeBookmark(): void {
    const { cache, host, out } = this.#options;
    this.#bookmark = Math.max(this.#bookmark, cache.revision);
    const revision = this.#bookmark;
    out.write(
      this.#synced
        ? encodeLine({ type: 'bookmark', revision })
        : encodeLine({ type: 'sync', revision, keys: cache.keys(host) }),
    );
    this.#synced = true;
  }
}
