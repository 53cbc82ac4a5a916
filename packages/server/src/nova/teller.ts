import { type Logger, type Loop, startLoop } from '@cable/kit';
import type { Store } from '@cable/store';
import { tellerKey } from '../keys.ts';
import { storeErrorCode } from '../store-errors.ts';
import type { Tables } from '../tables.ts';

const TTL_SECONDS = 20;
const KEEP_EVERY_MS = 4000;

/** How long before the lease may end nothing is begun any more: longer than what was begun takes. */
const MARGIN_MS = 10_000;

export type TellerDeps = {
  readonly store: Pick<Store, 'txn' | 'grantLease' | 'keepAlive' | 'revokeLease'>;
  readonly tables: Pick<Tables, 'of' | 'onChange'>;
  /** Whom it tells: `nova`, or `plugin-<name>`. */
  readonly whom: string;
  /** Id of this server. */
  readonly server: string;
  /** Milliseconds that never go back. */
  readonly monotonicMs: () => number;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** It became the one, or found that it still is. */
  readonly onHeld: () => void;
};

/** Which of the servers tells somebody, Nova for one: who has a leased key. Another one takes it when that is gone. */
export class Teller {
  readonly #deps: TellerDeps;
  readonly #loop: Loop;
  #lease: string | undefined;
  /** When the lease was kept last, by the time before the store was asked. */
  #keptAt = Number.NEGATIVE_INFINITY;

  constructor(deps: TellerDeps) {
    this.#deps = deps;
    const { log, signal, tables } = deps;
    this.#loop = startLoop({
      ...{ name: 'teller', log, signal, everyMs: KEEP_EVERY_MS },
      backoff: { minMs: 100, maxMs: 2000 },
      run: () => this.#round(),
    });
    const stop = tables.onChange((_revision, changes) => {
      if (changes.some(({ type, after }) => type === 'teller' && after === undefined)) this.#loop.trigger();
    });
    signal.addEventListener('abort', stop, { once: true });
  }

  /** True: this server tells, and nobody else does for as long as one request may take. */
  get isHeld(): boolean {
    const { monotonicMs } = this.#deps;
    return this.#lease !== undefined && monotonicMs() - this.#keptAt < TTL_SECONDS * 1000 - MARGIN_MS;
  }

  /** What only the one may write was refused: it is not the one before it has looked again. */
  doubt(): void {
    this.#keptAt = Number.NEGATIVE_INFINITY;
    this.#loop.trigger();
  }

  /** Resolves after the signal aborted; another server may take its place at once then. */
  get done(): Promise<void> {
    return this.#loop.done.then(async () => {
      if (this.#lease !== undefined) await this.#deps.store.revokeLease(this.#lease).catch(() => {});
    });
  }

  async #round(): Promise<void> {
    const { tables, server, monotonicMs, onHeld, log, whom } = this.#deps;
    const holder = tables.of('teller').get(whom)?.server;
    if (holder !== undefined && holder !== server) return this.#lose();
    const at = monotonicMs();
    if (this.#lease !== undefined && !(await this.#isKept(this.#lease))) this.#lose();
    if (this.#lease === undefined) {
      if (!(await this.#take())) return;
      log.info({ whom }, 'this server tells what is new');
    }
    this.#keptAt = at;
    onHeld();
  }

  #lose(): void {
    this.#lease = undefined;
  }

  async #take(): Promise<boolean> {
    const { store, server, whom } = this.#deps;
    const key = tellerKey(whom);
    const lease = await store.grantLease(TTL_SECONDS);
    const value = JSON.stringify({ server });
    const { ok } = await store.txn([{ kind: 'absent', key }], [{ kind: 'put', key, value, lease }]);
    if (ok) this.#lease = lease;
    else await store.revokeLease(lease);
    return ok;
  }

  async #isKept(lease: string): Promise<boolean> {
    try {
      return await this.#deps.store.keepAlive(lease);
    } catch (err) {
      if (storeErrorCode(err) === 'lease-gone') return false;
      throw err;
    }
  }
}
