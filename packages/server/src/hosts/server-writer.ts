import { type Logger, type Loop, sleep, startLoop } from '@cable/kit';
import type { Op, Store } from '@cable/store';
import { serverKey } from '../keys.ts';
import type { ServerRow } from '../rows.ts';
import { storeErrorCode } from '../store-errors.ts';
import type { ServerLease } from './server-lease.ts';

/** When nobody waits, what is new is written this often, for people. */
const EVERY_MS = 1000;
/** Shortest time between two writes: twenty a second. */
const PAUSE_MS = 50;

export type ServerWriterDeps = {
  readonly store: Pick<Store, 'txn'>;
  /** Id of this server. */
  readonly server: string;
  readonly lease: Pick<ServerLease, 'id' | 'replace'>;
  /** What is to stand there. */
  readonly row: () => Omit<ServerRow, 'id'>;
  readonly log: Logger;
  readonly signal: AbortSignal;
};

/** Writes what this server knows of its hosts, when it has changed: at most twenty times a second, whatever the number of hosts. */
export class ServerWriter {
  readonly #deps: ServerWriterDeps;
  readonly #loop: Loop;
  #written = '';

  constructor(deps: ServerWriterDeps) {
    this.#deps = deps;
    this.#loop = startLoop({
      name: 'server-row',
      log: deps.log,
      signal: deps.signal,
      everyMs: EVERY_MS,
      backoff: { minMs: PAUSE_MS, maxMs: EVERY_MS },
      run: () => this.#write(),
    });
  }

  get done(): Promise<void> {
    return this.#loop.done;
  }

  /** Somebody waits for it. */
  hurry(): void {
    this.#loop.trigger();
  }

  /** The lease, and the key with it, was lost. */
  rewrite(): void {
    this.#written = '';
    this.#loop.trigger();
  }

  /** The put of the key as it is to be now. */
  op(): Op {
    const { server, lease, row } = this.#deps;
    return { kind: 'put', key: serverKey(server), value: JSON.stringify(row()), lease: lease.id };
  }

  async #write(): Promise<void> {
    const { store, lease, signal } = this.#deps;
    const op = this.op();
    const value = op.kind === 'put' ? op.value : '';
    if (value === this.#written) return;
    const { id } = lease;
    try {
      await store.txn([], [op]);
      this.#written = value;
    } catch (err) {
      if (storeErrorCode(err) !== 'lease-gone') throw err;
      await lease.replace(id);
      throw err;
    }
    await sleep(PAUSE_MS, signal);
  }
}
