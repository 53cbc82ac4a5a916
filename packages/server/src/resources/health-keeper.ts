import { type Logger, type Loop, startLoop } from '@cable/kit';
import type { Compare, Op, Store } from '@cable/store';
import { aliveKey, healthKey } from '../keys.ts';
import type { HealthRow } from '../rows.ts';
import type { Tables } from '../tables.ts';

export type HealthKeeperDeps = {
  readonly store: Pick<Store, 'txn'>;
  readonly tables: Pick<Tables, 'of' | 'has' | 'modRevision' | 'waitFor'>;
  /** Milliseconds that never go back. */
  readonly monotonicMs: () => number;
  readonly signal: AbortSignal;
  readonly log: Logger;
};

const LOOK_EVERY_MS = 5000;

/** How long a host may say nothing before what it told of members counts no more; as of gateways. */
const SILENT_MS = 30_000;

const ROWS_A_TXN = 60;

/**
 * Sees to it that what was told of members is of members that are there, and of hosts that still speak: what one tells that has been silent for a while is not known any
 * more. Every server does so; a transaction compares each row as it is, and the host as silent.
 */
export class HealthKeeper {
  readonly #deps: HealthKeeperDeps;
  readonly #loop: Loop;
  /** Hosts that are not alive, each with the time since when that is known here. */
  readonly #silent = new Map<string, number>();

  constructor(deps: HealthKeeperDeps) {
    this.#deps = deps;
    const { log, signal } = deps;
    this.#loop = startLoop({ name: 'health', log, signal, everyMs: LOOK_EVERY_MS, run: () => this.round() });
  }

  /** Resolves after the signal aborted. */
  get done(): Promise<void> {
    return this.#loop.done;
  }

  /** Looks at each row once. */
  async round(): Promise<void> {
    const { tables } = this.#deps;
    if (!tables.has('member')) return;
    const rows = [...tables.of('health').values()];
    const hosts = new Set(rows.map(({ host }) => host));
    for (const host of this.#silent.keys()) if (!hosts.has(host)) this.#silent.delete(host);
    const isSilent = new Map([...hosts].map((host) => [host, this.#isSilent(host)]));
    const orphans = rows.filter(({ id }) => tables.of('member').get(id) === undefined);
    await this.#write(orphans, ({ id }) => ({ op: { kind: 'delete', key: healthKey(id) }, compares: [] }));
    const lost = rows.filter((row) => isSilent.get(row.host) === true && row.state !== 'silent');
    await this.#write(
      lost.filter(({ id }) => tables.of('member').get(id) !== undefined),
      ({ id, host }) => ({
        op: { kind: 'put', key: healthKey(id), value: JSON.stringify({ host, state: 'silent', reason: null }) },
        compares: [{ kind: 'absent', key: aliveKey(host) }],
      }),
    );
    if (lost.length > 0) this.#deps.log.warn({ members: lost.length }, 'hosts of members of load balancers are silent');
  }

  #isSilent(host: string): boolean {
    const { tables, monotonicMs } = this.#deps;
    if (tables.of('alive').get(host) !== undefined) {
      this.#silent.delete(host);
      return false;
    }
    const since = this.#silent.get(host) ?? monotonicMs();
    this.#silent.set(host, since);
    return monotonicMs() - since >= SILENT_MS;
  }

  /** A row that changes meanwhile is looked at again in the next round, with those beside it. */
  async #write(
    rows: readonly HealthRow[],
    change: (row: HealthRow) => { readonly op: Op; readonly compares: readonly Compare[] },
  ): Promise<void> {
    const { store, tables, signal } = this.#deps;
    for (let at = 0; at < rows.length && !signal.aborted; at += ROWS_A_TXN) {
      const some = rows.slice(at, at + ROWS_A_TXN);
      const compares = some.map(({ id }): Compare => {
        return { kind: 'modRevision', key: healthKey(id), revision: tables.modRevision('health', id) ?? 0 };
      });
      const changes = some.map(change);
      const all = [...compares, ...changes.flatMap((one) => one.compares)];
      const { revision } = await store.txn(
        all,
        changes.map(({ op }) => op),
      );
      await tables.waitFor(revision, LOOK_EVERY_MS);
    }
  }
}
