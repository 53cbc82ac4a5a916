import { CableError } from '@cable/model';
import type { Store } from '@cable/store';
import { TICK } from '../keys.ts';
import type { Tables } from '../tables.ts';

export type CatchUpDeps = {
  readonly store: Pick<Store, 'list' | 'txn'>;
  readonly tables: Pick<Tables, 'revision' | 'waitFor'>;
};

/** How long the watch may take for what the store has; as a rule it has told already. */
const WATCH_MS = 100;
/** How long it may take for a key that was written for it to see. */
const TICK_MS = 1500;

/**
 * Brings the tables to what the store had when it was asked for: before a request is refused because of what they show, which may be older than what its
 * client did through another server. One read of the store serves all who wait by the time it is sent.
 */
export class CatchUp {
  readonly #deps: CatchUpDeps;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(deps: CatchUpDeps) {
    this.#deps = deps;
  }

  /**
   * Resolves when the tables have all that was in the store when this was called. True: they have learnt something by that. Throws `StoreError` when the store
   * does not answer, and `ServiceUnavailable` when its watch does not tell.
   */
  async run(): Promise<boolean> {
    const { tables } = this.#deps;
    const before = tables.revision;
    await this.#join();
    return tables.revision !== before;
  }

  /** The read after the one under way, which may have been answered before this was asked for. */
  #join(): Promise<void> {
    this.#next ??= this.#begin(this.#running);
    return this.#next;
  }

  async #begin(earlier: Promise<void> | undefined): Promise<void> {
    await earlier?.catch(() => {});
    // Those who come in this turn of the event loop go along.
    await Promise.resolve();
    this.#running = this.#next;
    this.#next = undefined;
    await this.#read();
  }

  async #read(): Promise<void> {
    const { store, tables } = this.#deps;
    // A list of nothing still tells the store's revision.
    const { revision } = await store.list(TICK);
    if (revision <= tables.revision || (await tables.waitFor(revision, WATCH_MS))) return;
    // Somebody who writes other keys to the same etcd raises revisions of which the watch has nothing to tell.
    const tick = await store.txn([], [{ kind: 'put', key: TICK, value: '' }]);
    if (await tables.waitFor(tick.revision, TICK_MS)) return;
    throw new CableError('ServiceUnavailable', 'This server is behind the store: its watch does not tell what is new.');
  }
}
