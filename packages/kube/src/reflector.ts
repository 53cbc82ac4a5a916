/** A list of one kind that stays current. */
import { createBackoff, type Logger, sleep, startTimeLimit, TOO_LARGE, TransportError } from '@cable/kit';
import type { KubeApi, KubeList } from './kube-api.ts';
import { isExpired, isNotFound, KubeError } from './kube-error.ts';
import { type KubeKind, type KubeObject, keyOf } from './kube-object.ts';

export type ReflectorOptions<T extends KubeObject, K> = {
  readonly api: Pick<KubeApi, 'list' | 'watch'>;
  readonly kind: KubeKind;
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** What is kept of an object. It must depend on the object alone. Of one that it throws for, what was kept before stays, and the log says so. */
  readonly keep: (object: T) => K;
  /** Called for each key of which something is or may be new, also of what has gone. Look at what is kept: nothing else is told. */
  readonly changed: (key: string) => void;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly timing?: Partial<ReflectorTiming>;
  /** True: that the API server has no such kind is no fault, and not told as one. */
  readonly isOptional?: true;
};

export type ReflectorTiming = {
  /** Objects in a page of a list, at most: fewer, where so many are too large for one answer. Default 500. */
  readonly pageSize: number;
  /** How long a watch lasts, from this to twice as long, by chance: so that those of many clients do not end at once. Default 300. */
  readonly watchSeconds: number;
  /** What a watch may be late with its end before it is taken for dead. Default 30,000. */
  readonly graceMs: number;
  /** Waits after failures. Default 200 to 30,000. */
  readonly backoff: { readonly minMs: number; readonly maxMs: number };
};

const TIMING: ReflectorTiming = {
  pageSize: 500,
  watchSeconds: 300,
  graceMs: 30_000,
  backoff: { minMs: 200, maxMs: 30_000 },
};

/** A watch that ended sooner is one that the API server does not keep. */
const SHORT_WATCH_MS = 1000;

/** How often a list is begun anew because its pages have expired, before all is asked for in one. */
const PAGED_TRIES = 2;

/**
 * Lists, then watches from there; a watch that ends goes on where it was, by changes and bookmarks; one that is too far behind (410) lists anew, and what the
 * list does not have counts as gone. Outages leave what is kept as it was. A list is of the state that a quorum of etcd has, and never older than one before.
 */
export class Reflector<T extends KubeObject, K> {
  /** Resolves once everything was listed; never, if it is stopped before. */
  readonly synced: Promise<void>;
  /** Resolves after the signal aborts. */
  readonly done: Promise<void>;
  readonly #options: ReflectorOptions<T, K>;
  readonly #timing: ReflectorTiming;
  readonly #kept = new Map<string, Kept<K>>();
  /** Up to where everything is known; undefined: list. */
  #resourceVersion: string | undefined;
  #hasSynced: () => void = () => {};
  /** Objects in the next page. */
  #limit: number;

  constructor(options: ReflectorOptions<T, K>) {
    this.#options = options;
    this.#timing = { ...TIMING, ...options.timing };
    this.#limit = this.#timing.pageSize;
    this.synced = new Promise((resolve) => {
      this.#hasSynced = resolve;
    });
    this.done = this.#run();
  }

  get(key: string): K | undefined {
    return this.#kept.get(key)?.value;
  }

  get size(): number {
    return this.#kept.size;
  }

  *values(): Iterable<K> {
    for (const { value } of this.#kept.values()) yield value;
  }

  keys(): Iterable<string> {
    return this.#kept.keys();
  }

  async #run(): Promise<void> {
    const { signal, log, kind } = this.#options;
    const backoff = createBackoff(this.#timing.backoff);
    let failing = false;
    while (!signal.aborted) {
      try {
        if (this.#resourceVersion === undefined) await this.#list();
        const startedAt = performance.now();
        await this.#watch(() => {
          if (failing) log.info({ kind: kind.plural }, 'the API server is followed again');
          failing = false;
          backoff.reset();
        });
        if (performance.now() - startedAt < SHORT_WATCH_MS) await sleep(backoff.next(), signal);
      } catch (err) {
        if (signal.aborted) return;
        if (isExpired(err)) {
          log.info({ kind: kind.plural }, 'is too far behind: lists anew');
          this.#resourceVersion = undefined;
        } else if (!failing && !(this.#options.isOptional && isNotFound(err)))
          log.warn({ kind: kind.plural, err }, 'the API server is not followed, will try again');
        failing ||= !isExpired(err);
        await sleep(waitAfter(err, backoff.next()), signal);
      }
    }
  }

  async #list(): Promise<void> {
    for (let tries = 0; ; tries += 1) {
      try {
        this.#take(await this.#listPages(tries < PAGED_TRIES));
        this.#limit = this.#timing.pageSize;
        return;
      } catch (err) {
        if (!isExpired(err) || tries >= PAGED_TRIES) throw err;
      }
    }
  }

  async #listPages(isPaged: boolean): Promise<Listed<K>> {
    const entries = new Map<string, Kept<K> | undefined>();
    let next: string | undefined;
    for (;;) {
      const page = await this.#listPage(isPaged, next);
      // Of large objects no more than one page is there at a time.
      for (const object of page.items) entries.set(keyOf(object), this.#entryOf(keyOf(object), object));
      next = page.continue;
      if (next === undefined) return { entries, resourceVersion: page.resourceVersion };
    }
  }

  /** From where the page before it ended. One that is too large is asked for with half as many objects, down to one; one that takes too long is, when the list is begun anew. */
  async #listPage(isPaged: boolean, next: string | undefined): Promise<KubeList<T>> {
    const { api, kind, signal, log } = this.#options;
    for (;;) {
      try {
        return await api.list<T>(kind, {
          ...this.#selectors(),
          signal,
          ...(isPaged ? { limit: this.#limit } : {}),
          ...(next === undefined ? {} : { continue: next }),
        });
      } catch (err) {
        const code = err instanceof TransportError ? err.code : '';
        const isHalved = isPaged && this.#limit > 1 && (code === TOO_LARGE || code === 'timeout');
        if (isHalved) this.#limit = Math.ceil(this.#limit / 2);
        if (!isHalved || code !== TOO_LARGE) throw err;
        log.info({ kind: kind.plural, limit: this.#limit }, 'a page of the list was too large: asks for smaller ones');
      }
    }
  }

  #selectors(): { namespace?: string; labelSelector?: string; fieldSelector?: string } {
    const { namespace, labelSelector, fieldSelector } = this.#options;
    return {
      ...(namespace === undefined ? {} : { namespace }),
      ...(labelSelector === undefined ? {} : { labelSelector }),
      ...(fieldSelector === undefined ? {} : { fieldSelector }),
    };
  }

  #take({ entries, resourceVersion }: Listed<K>): void {
    for (const key of [...this.#kept.keys()]) if (!entries.has(key)) this.#drop(key);
    for (const [key, entry] of entries) this.#put(key, entry);
    this.#resourceVersion = resourceVersion;
    this.#hasSynced();
  }

  /** `goesOn`: called once it is known that the API server tells. */
  async #watch(goesOn: () => void): Promise<void> {
    const { api, kind, signal } = this.#options;
    const { watchSeconds, graceMs } = this.#timing;
    const timeoutSeconds = Math.ceil(watchSeconds * (1 + Math.random()));
    const resourceVersion = this.#resourceVersion ?? '';
    // A connection that died without a word would keep what is here for good.
    const late = startTimeLimit(timeoutSeconds * 1000 + graceMs, signal);
    const options = { ...this.#selectors(), resourceVersion, timeoutSeconds, signal: late.signal };
    try {
      for await (const { type, object } of api.watch<T>(kind, options)) {
        goesOn();
        if (type === 'DELETED') this.#drop(keyOf(object));
        else if (type !== 'BOOKMARK') this.#put(keyOf(object), this.#entryOf(keyOf(object), object));
        this.#resourceVersion = object.metadata.resourceVersion ?? this.#resourceVersion;
      }
    } finally {
      late.stop();
    }
    goesOn();
  }

  /** What is to be kept of an object: the same value, where it is as before; undefined: it cannot be read. */
  #entryOf(key: string, object: T): Kept<K> | undefined {
    const { resourceVersion = '', uid = '' } = object.metadata;
    const before = this.#kept.get(key);
    if (before !== undefined && before.resourceVersion === resourceVersion && before.uid === uid) return before;
    const { keep, kind, log } = this.#options;
    try {
      return { resourceVersion, uid, value: keep(object) };
    } catch (err) {
      // The same object would come again after each failure, and nothing behind it.
      log.error({ kind: kind.plural, key, err }, 'cannot be read: goes on with what it was before');
      return undefined;
    }
  }

  #put(key: string, entry: Kept<K> | undefined): void {
    if (entry === undefined || entry === this.#kept.get(key)) return;
    this.#kept.set(key, entry);
    this.#options.changed(key);
  }

  #drop(key: string): void {
    if (this.#kept.delete(key)) this.#options.changed(key);
  }
}

/** By key, of all that is there. */
type Listed<K> = { readonly entries: ReadonlyMap<string, Kept<K> | undefined>; readonly resourceVersion: string };

type Kept<K> = { readonly resourceVersion: string; readonly uid: string; readonly value: K };

function waitAfter(err: unknown, ms: number): number {
  return err instanceof KubeError ? Math.max(ms, (err.retryAfterSeconds ?? 0) * 1000) : ms;
}
