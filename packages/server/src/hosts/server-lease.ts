import { type Logger, type Loop, startLoop } from '@cable/kit';
import type { Store } from '@cable/store';
import { storeErrorCode } from '../store-errors.ts';

/** The keys of a server that is gone, and of its hosts, go after so long. */
const LEASE_TTL_SECONDS = 20;
const KEEP_EVERY_MS = 4000;

export type ServerLeaseDeps = {
  readonly store: Pick<Store, 'grantLease' | 'keepAlive'>;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** The lease was lost, and with it the keys; another one is there. */
  readonly onReplaced: () => void;
};

/** The lease of a server that starts. */
export function grantServerLease(store: Pick<Store, 'grantLease'>): Promise<string> {
  return store.grantLease(LEASE_TTL_SECONDS);
}

/** The one lease of a server, kept alive until the signal aborts. */
export class ServerLease {
  readonly #deps: ServerLeaseDeps;
  readonly #loop: Loop;
  #id: string;
  #replacing: Promise<void> | undefined;

  private constructor(deps: ServerLeaseDeps, id: string) {
    this.#deps = deps;
    this.#id = id;
    this.#loop = startLoop({
      name: 'lease',
      log: deps.log,
      signal: deps.signal,
      everyMs: KEEP_EVERY_MS,
      backoff: { minMs: 100, maxMs: 1000 },
      run: () => this.#keep(),
    });
  }

  /** Keeps a lease that was granted just now. */
  static keep(deps: ServerLeaseDeps, lease: string): ServerLease {
    return new ServerLease(deps, lease);
  }

  /** Changes when the lease was lost. */
  get id(): string {
    return this.#id;
  }

  /** Somebody found that the lease is gone. Resolves when there is another one. */
  replace(gone: string): Promise<void> {
    if (gone !== this.#id) return Promise.resolve();
    this.#replacing ??= this.#replace().finally(() => {
      this.#replacing = undefined;
    });
    return this.#replacing;
  }

  /**
   * Resolves when the lease is not kept any more, after the signal aborted. It runs out by itself: until then the hosts can go to another server
   * without having been dead.
   */
  get done(): Promise<void> {
    return this.#loop.done;
  }

  async #keep(): Promise<void> {
    const id = this.#id;
    if (!(await this.#isKept(id))) await this.replace(id);
  }

  async #isKept(id: string): Promise<boolean> {
    try {
      return await this.#deps.store.keepAlive(id);
    } catch (err) {
      if (storeErrorCode(err) === 'lease-gone') return false;
      throw err;
    }
  }

  async #replace(): Promise<void> {
    const { store, log, onReplaced } = this.#deps;
    this.#id = await grantServerLease(store);
    log.warn({}, 'lease of this server was lost, another one was granted');
    onReplaced();
  }
}
