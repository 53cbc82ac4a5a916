import { CableError, type HostStatusReport, type VifStatus } from '@cable/model';
import type { Op, Store } from '@cable/store';
import { acknowledgedKey, aliveKey, vifKey } from '../keys.ts';
import type { Tables } from '../tables.ts';
import { type HostRegistry, notRegistered } from './registry.ts';

/** Devices of which a host may keep a state; a bound on what one host can make the store hold. */
const MAX_VIFS_A_HOST = 16_384;
const OPS_A_TXN = 100;

export type ReportsDeps = {
  readonly store: Pick<Store, 'txn'>;
  readonly tables: Pick<Tables, 'of' | 'waitFor' | 'revision'>;
  readonly registry: HostRegistry;
  /** Takes over an acknowledgement; true: it must go to the store with this report. */
  readonly acknowledge: (host: string, revision: number) => boolean;
};

/** Takes in hosts' status reports, one at a time for each host. */
export class Reports {
  readonly #deps: ReportsDeps;
  readonly #turns = new Map<string, Promise<void>>();

  constructor(deps: ReportsDeps) {
    this.#deps = deps;
  }

  /** Answers when what changed is durable. Throws `HostNotRegistered`. */
  async take(host: string, report: HostStatusReport): Promise<void> {
    const before = this.#turns.get(host) ?? Promise.resolve();
    const turn = before.then(
      () => this.#take(host, report),
      () => this.#take(host, report),
    );
    this.#turns.set(host, turn);
    try {
      await turn;
    } finally {
      if (this.#turns.get(host) === turn) this.#turns.delete(host);
    }
  }

  async #take(host: string, report: HostStatusReport): Promise<void> {
    const { registry, tables, acknowledge } = this.#deps;
    await registry.keepAlive(host);
    if (tables.of('host').get(host) === undefined) throw notRegistered(host);
    const revision = await this.#credible(report.revision);
    const urgent = acknowledge(host, revision);
    // An agent that has just started has programmed nothing and so has seen no device: its list is not yet what there is.
    const complete = report.full && revision > 0;
    const ops = this.#vifOps(host, report.vifs, complete);
    if (urgent) ops.push({ kind: 'put', key: acknowledgedKey(host), value: JSON.stringify({ revision }) });
    if (ops.length > 0) await this.#write(host, ops);
  }

  /** A revision that is not reached soon comes from a store that is no more: nothing of this one has been programmed. */
  async #credible(revision: number): Promise<number> {
    return (await this.#deps.tables.waitFor(revision, 1000)) ? revision : 0;
  }

  /** `complete`: what is not among them is gone. */
  #vifOps(host: string, vifs: readonly VifStatus[], complete: boolean): Op[] {
    const known = new Map(
      this.#deps.tables
        .of('vif')
        .by('host', host)
        .map((row) => [row.port_id, row]),
    );
    const ops: Op[] = [];
    const named = new Set(vifs.map((vif) => vif.portId));
    if (!complete && new Set([...named, ...known.keys()]).size > MAX_VIFS_A_HOST) throw tooMany(host);
    for (const vif of vifs) {
      const row = known.get(vif.portId);
      if (row !== undefined && row.state === vif.state && row.reason === vif.reason) continue;
      ops.push({ kind: 'put', key: vifKey(host, vif.portId), value: vifValue(vif) });
    }
    if (complete) {
      for (const portId of known.keys())
        if (!named.has(portId)) ops.push({ kind: 'delete', key: vifKey(host, portId) });
    }
    return ops;
  }

  /** Waits for the tables, so that the next report is compared with this one. */
  async #write(host: string, ops: readonly Op[]): Promise<void> {
    for (let at = 0; at < ops.length; at += OPS_A_TXN) {
      const some = ops.slice(at, at + OPS_A_TXN);
      const result = await this.#deps.store.txn([{ kind: 'exists', key: aliveKey(host) }], some);
      if (!result.ok) {
        this.#deps.registry.forget(host);
        throw notRegistered(host);
      }
      if (!(await this.#deps.tables.waitFor(result.revision))) {
        throw new CableError('ServiceUnavailable', 'The store does not tell of what was written to it.');
      }
    }
  }
}

function vifValue(vif: VifStatus): string {
  return JSON.stringify({ state: vif.state, reason: vif.reason });
}

function tooMany(host: string): CableError {
  return new CableError('InvalidInput', `Host ${host} reports more than ${MAX_VIFS_A_HOST} devices.`, {
    fields: { field: 'vifs' },
  });
}
