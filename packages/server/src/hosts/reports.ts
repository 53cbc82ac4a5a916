import { CableError, type HostStatusReport, type VifStatus } from '@cable/model';
import type { Compare, Op, Store } from '@cable/store';
import { acknowledgedKey, aliveKey, vifKey } from '../keys.ts';
import type { Tables } from '../tables.ts';
import { type HostRegistry, notRegistered } from './registry.ts';
import type { StatusWrite } from './status-writer.ts';

/** Devices of which a host may keep a state; a bound on what one host can make the store hold. */
const MAX_VIFS_A_HOST = 16_384;
/** Each may bring the write of a port's status with it. */
const OPS_A_TXN = 60;

export type ReportsDeps = {
  readonly store: Pick<Store, 'txn'>;
  readonly tables: Pick<Tables, 'of' | 'waitFor' | 'revision'>;
  readonly registry: HostRegistry;
  /** Takes over an acknowledgement; true: it must go to the store with this report. */
  readonly acknowledge: (host: string, revision: number) => boolean;
  /** How the port's status must be written when the device is as told; undefined: it stays. */
  readonly planStatus: (host: string, vif: VifStatus) => StatusWrite | undefined;
};

/** A change of what is known of a host, and the change of a port's status that follows from it. */
type Change = { readonly op: Op; readonly status?: StatusWrite | undefined };

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
    const changes = this.#vifChanges(host, report.vifs, complete);
    if (urgent) changes.push({ op: { kind: 'put', key: acknowledgedKey(host), value: JSON.stringify({ revision }) } });
    for (let at = 0; at < changes.length; at += OPS_A_TXN) await this.#write(host, changes.slice(at, at + OPS_A_TXN));
  }

  /** A revision that is not reached soon comes from a store that is no more: nothing of this one has been programmed. */
  async #credible(revision: number): Promise<number> {
    return (await this.#deps.tables.waitFor(revision, 1000)) ? revision : 0;
  }

  /** `complete`: what is not among them is gone. */
  #vifChanges(host: string, vifs: readonly VifStatus[], complete: boolean): Change[] {
    const known = new Map(
      this.#deps.tables
        .of('vif')
        .by('host', host)
        .map((row) => [row.port_id, row]),
    );
    const changes: Change[] = [];
    const named = new Set(vifs.map((vif) => vif.portId));
    if (!complete && new Set([...named, ...known.keys()]).size > MAX_VIFS_A_HOST) throw tooMany(host);
    for (const vif of vifs) {
      const row = known.get(vif.portId);
      if (row !== undefined && row.state === vif.state && row.reason === vif.reason) continue;
      const op: Op = { kind: 'put', key: vifKey(host, vif.portId), value: vifValue(vif) };
      changes.push({ op, status: this.#deps.planStatus(host, vif) });
    }
    if (complete) {
      for (const portId of known.keys())
        if (!named.has(portId)) changes.push({ op: { kind: 'delete', key: vifKey(host, portId) } });
    }
    return changes;
  }

  /**
   * Writes what was told and, in the same transaction, the statuses that follow from it. When a port has changed meanwhile, only what was
   * told: the status writer sees to the rest. Waits for the tables, so that the next report is compared with this one.
   */
  async #write(host: string, changes: readonly Change[]): Promise<void> {
    const { store, tables, registry } = this.#deps;
    const alive: Compare = { kind: 'exists', key: aliveKey(host) };
    const ops = changes.map(({ op }) => op);
    const statuses = changes.flatMap(({ status }) => status ?? []);
    let result = await store.txn(
      [alive, ...statuses.map(({ compare }) => compare)],
      [...ops, ...statuses.map(({ op }) => op)],
    );
    if (!result.ok && statuses.length > 0) result = await store.txn([alive], ops);
    if (!result.ok) {
      registry.forget(host);
      throw notRegistered(host);
    }
    if (!(await tables.waitFor(result.revision))) {
      throw new CableError('ServiceUnavailable', 'The store does not tell of what was written to it.');
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
