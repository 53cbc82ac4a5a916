/** What the answers of the store tell of it, and of whether the tables follow it. */
import type { Store, TxnResult } from '@cable/store';
import { check, type ReadinessCheck } from './http/readiness.ts';
import { storeErrorCode } from './store-errors.ts';

/** So long the store may say nothing, and the tables may lack what was written. */
const SILENCE_MS = 2000;

export type StoreHealthDeps = {
  /** The highest revision that the tables hold. */
  readonly revision: () => number;
  /** Milliseconds that never go back. */
  readonly monotonicMs: () => number;
};

/** Looks on at the calls of one store. Somebody has to call it each second for its silence to mean something: `History` does. */
export class StoreHealth {
  readonly #deps: StoreHealthDeps;
  #answeredAt: number;
  /** A revision that this server wrote and that the tables did not hold, and when it was written. */
  #awaited: { readonly revision: number; readonly since: number } | undefined;
  #isFull = false;

  constructor(deps: StoreHealthDeps) {
    this.#deps = deps;
    this.#answeredAt = deps.monotonicMs();
  }

  /** A write was refused for lack of room, and none has been taken since. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /** The store has another history, and the tables have taken it in: what was written before is not waited for. */
  restart(): void {
    this.#awaited = undefined;
  }

  /** The same store, looked on at. */
  watch(store: Store): Store {
    const seen = <T>(answer: Promise<T>): Promise<T> => this.#see(answer);
    return {
      get: (key, options) => seen(store.get(key, options)),
      list: (prefix, options) => seen(store.list(prefix, options)),
      listPages: (prefix) => store.listPages(prefix),
      watch: (prefix, options) => store.watch(prefix, options),
      grantLease: (ttlSeconds) => seen(store.grantLease(ttlSeconds)),
      keepAlive: (lease) => seen(store.keepAlive(lease)),
      revokeLease: (lease) => seen(store.revokeLease(lease)),
      compact: (below) => seen(store.compact(below)),
      health: () => store.health(),
      close: () => store.close(),
      txn: async (compares, ops, options) => {
        const result = await seen(store.txn(compares, ops, options));
        if (result.ok && ops.some((op) => op.kind === 'put')) this.#wrote(result);
        return result;
      },
    };
  }

  /** What must be so. */
  checks(): readonly ReadinessCheck[] {
    return [
      check('store', () => this.#silence()),
      check('watch', () => this.#delay()),
      check('room', () => (this.#isFull ? 'the store has no room for what is written' : undefined)),
    ];
  }

  async #see<T>(answer: Promise<T>): Promise<T> {
    try {
      const value = await answer;
      this.#answeredAt = this.#deps.monotonicMs();
      return value;
    } catch (err) {
      const code = storeErrorCode(err);
      if (code === 'full') this.#isFull = true;
      // Any other refusal is an answer, too.
      if (
        code !== undefined &&
        code !== 'unavailable' &&
        code !== 'pending' &&
        code !== 'not-sent' &&
        code !== 'closed'
      )
        this.#answeredAt = this.#deps.monotonicMs();
      throw err;
    }
  }

  #wrote({ revision }: TxnResult): void {
    this.#isFull = false;
    this.#settle();
    if (this.#deps.revision() < revision) this.#awaited ??= { revision, since: this.#deps.monotonicMs() };
  }

  #settle(): void {
    if (this.#awaited !== undefined && this.#deps.revision() >= this.#awaited.revision) this.#awaited = undefined;
  }

  #silence(): string | undefined {
    const silentMs = this.#deps.monotonicMs() - this.#answeredAt;
    return silentMs < SILENCE_MS ? undefined : `the store has not answered for ${seconds(silentMs)}`;
  }

  #delay(): string | undefined {
    this.#settle();
    const waitedMs = this.#awaited === undefined ? 0 : this.#deps.monotonicMs() - this.#awaited.since;
    if (waitedMs < SILENCE_MS) return undefined;
    return `what was written ${seconds(waitedMs)} ago has not come back from the store`;
  }
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
