import { type Logger, type Loop, sleep, startLoop } from '@cable/kit';
import type { Op, Store } from '@cable/store';
import { serverKey } from '../keys.ts';
import type { ServerRow } from '../rows.ts';
import { storeErrorCode } from '../store-errors.ts';
import type { ServerLease } from './server-lease.ts';
import { placeOfServer } from './shared-options.ts';

/** When nobody waits, what is new is written this often, for people. */
const EVERY_MS = 1000;
/** Shortest time between two writes: twenty a second. */
const PAUSE_MS = 50;

/** The put of the key of a server that starts: it has no hosts yet. */
export function presenceOp(server: string, lease: string, options: ServerRow['options'] = {}): Op {
  const none = { floor: 0, behind: {}, entered: 0, wants: 0, refused: {}, gateways: true, protons: {} };
  return serverOp(server, { ...none, place: placeOfServer(), options }, lease);
}

export type ServerWriterDeps = {
  readonly store: Pick<Store, 'txn'>;
  /** Id of this server. */
  readonly server: string;
  readonly lease: Pick<ServerLease, 'id' | 'replace'>;
  /** What is to stand there. */
  readonly row: () => Omit<ServerRow, 'id'>;
  /** The last revision that changed a slice: what came after it says nothing new. */
  readonly content: () => number;
  readonly log: Logger;
  readonly signal: AbortSignal;
};

/**
 * Writes what this server knows of its hosts, when it has changed: at most twenty times a second, whatever the number of hosts. Each write raises
 * the store's revision, so the floor alone is written only when a slice has changed, or when somebody waits.
 */
export class ServerWriter {
  readonly #deps: ServerWriterDeps;
  readonly #loop: Loop;
  #written: Omit<ServerRow, 'id'> | undefined;
  #isHurried = false;

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

  /** The floor that stands in the store; 0: none. */
  get floor(): number {
    return this.#written?.floor ?? 0;
  }

  /** Somebody waits for it. */
  hurry(): void {
    this.#isHurried = true;
    this.#loop.trigger();
  }

  /** The lease, and the key with it, was lost. */
  rewrite(): void {
    this.#written = undefined;
    this.#loop.trigger();
  }

  /** The put of the key as it is to be now. */
  op(): Op {
    return this.#opOf(this.#deps.row());
  }

  #opOf(row: Omit<ServerRow, 'id'>): Op {
    const { server, lease } = this.#deps;
    return serverOp(server, row, lease.id);
  }

  async #write(): Promise<void> {
    const { store, lease, signal } = this.#deps;
    const row = this.#deps.row();
    const isHurried = this.#isHurried;
    this.#isHurried = false;
    if (!this.#isNews(row, isHurried)) return;
    const { id } = lease;
    try {
      await store.txn([], [this.#opOf(row)]);
      this.#written = row;
    } catch (err) {
      this.#isHurried ||= isHurried;
      if (storeErrorCode(err) === 'lease-gone') await lease.replace(id);
      throw err;
    }
    await sleep(PAUSE_MS, signal);
  }

  #isNews(row: Omit<ServerRow, 'id'>, isHurried: boolean): boolean {
    const written = this.#written;
    if (written === undefined) return true;
    if (row.floor !== written.floor && (isHurried || written.floor < this.#deps.content())) return true;
    return JSON.stringify({ ...row, floor: 0 }) !== JSON.stringify({ ...written, floor: 0 });
  }
}

function serverOp(server: string, row: Omit<ServerRow, 'id'>, lease: string): Op {
  return { kind: 'put', key: serverKey(server), value: JSON.stringify(row), lease };
}
