import { createBackoff, type Logger, sleep, startTurns } from '@cable/kit';
import { CableError, type HostStatusReport, MAX_VIFS_A_HOST, type RefusedEntries, type VifStatus } from '@cable/model';
import type { Compare, Op, Store } from '@cable/store';
import { aliveKey, objectKey, vifKey } from '../keys.ts';
import type { Tables } from '../tables.ts';
import { type HostRegistry, notRegistered } from './registry.ts';
import { isCut } from './report-parts.ts';
import type { StatusWrite } from './status-writer.ts';

/** Each may bring the write of a port's status with it. */
const OPS_A_TXN = 60;
/** A host may change hands, or its port may change, while its report is written. */
const ATTEMPTS = 4;
/** How long a report waits for this server to know a revision that another one told the host. */
const CATCH_UP_MS = 1000;

export type ReportsDeps = {
  readonly store: Pick<Store, 'txn'>;
  readonly tables: Pick<Tables, 'of' | 'any' | 'modRevision' | 'revision' | 'waitFor'>;
  readonly registry: Pick<HostRegistry, 'hear' | 'kept'>;
  /** Takes over an acknowledgement. */
  readonly acknowledge: (host: string, revision: number) => void;
  /** Takes over what the host's kernel has refused. */
  readonly refused: (host: string, refused: RefusedEntries | undefined) => void;
  /** How the port's status must be written when the device is as told; undefined: it stays. */
  readonly planStatus: (host: string, vif: VifStatus) => StatusWrite | undefined;
  /** True while the run has a stream: what it told is tried again for so long. */
  readonly hasStream: (host: string, session: string) => boolean;
  /** Told of what a host's report has had written. Default: nobody is. */
  readonly wrote?: (host: string, ops: readonly Op[]) => void;
  readonly log: Logger;
};

/** A change of what is known of a host, and the change of a port's status that follows from it. */
type Change = { readonly op: Op; readonly status?: StatusWrite | undefined };

/**
 * What a run has told and is not written yet, the last word for each device. `revision` and `refused` are its last words too. What comes while it waits is
 * added to it: a line costs what it says, not what waits.
 */
type Told = {
  revision: number;
  refused: RefusedEntries | undefined;
  /** What is not among `vifs` is gone. */
  isComplete: boolean;
  vifs: Map<string, VifStatus>;
};

/** `told`: what has come and is not being written; undefined: nothing. */
type Intake = { readonly session: string; told: Told | undefined; done: Promise<void> };

/** Takes in hosts' status reports, one at a time for each host. */
export class Reports {
  readonly #deps: ReportsDeps;
  readonly #turns = new Map<string, Promise<void>>();
  readonly #intakes = new Map<string, Intake>();

  constructor(deps: ReportsDeps) {
    this.#deps = deps;
  }

  /**
   * A report of an agent of protocol 1. Answers when what changed is durable. Throws `HostNotRegistered`, `HostSuperseded`, and
   * `InvalidInput` for too many devices.
   */
  take(host: string, report: HostStatusReport): Promise<void> {
    const told = toldBy(isCut(report) ? { ...report, full: false } : report);
    return this.#inTurn(host, () => this.#take(host, null, told));
  }

  /**
   * A report from a stream. What cannot be written now is kept, with what comes after it, and tried again while the stream is open. Throws as `take`
   * does: then the stream must end.
   */
  async tell(host: string, session: string, report: HostStatusReport): Promise<void> {
    const before = this.#intakes.get(host);
    if (before?.session === session) {
      before.told = merge(host, before.told, toldBy(report));
      await before.done;
      return;
    }
    // A heartbeat or an acknowledgement, by far the most of all reports, has nothing to be written.
    if (report.vifs.length === 0 && !report.full && report.revision <= this.#deps.tables.revision) {
      this.#deps.registry.hear(host, session);
      this.#deps.acknowledge(host, report.revision);
      this.#deps.refused(host, report.refused);
      return;
    }
    const intake: Intake = { session, told: toldBy(report), done: Promise.resolve() };
    this.#intakes.set(host, intake);
    intake.done = this.#drain(host, intake).finally(() => this.#close(host, intake));
    await intake.done;
  }

  #close(host: string, intake: Intake): void {
    if (this.#intakes.get(host) === intake) this.#intakes.delete(host);
  }

  async #drain(host: string, intake: Intake): Promise<void> {
    const { hasStream, log } = this.#deps;
    const { session } = intake;
    const backoff = createBackoff({ minMs: 50, maxMs: 2000 });
    for (;;) {
      const { told } = intake;
      if (told === undefined) {
        // In the same turn: what is told from now on would be added to an intake that is over.
        this.#close(host, intake);
        return;
      }
      intake.told = undefined;
      try {
        await this.#inTurn(host, () => this.#take(host, session, told));
        backoff.reset();
      } catch (err) {
        if ((err instanceof CableError && !err.retryable) || !hasStream(host, session)) throw err;
        intake.told = intake.told === undefined ? told : merge(host, told, intake.told);
        log.warn({ host, err }, 'report was not written, will retry');
        await sleep(backoff.next());
        if (!hasStream(host, session)) throw err;
      }
    }
  }

  async #inTurn(host: string, work: () => Promise<void>): Promise<void> {
    const turn = (this.#turns.get(host) ?? Promise.resolve()).then(work, work);
    this.#turns.set(host, turn);
    try {
      await turn;
    } finally {
      if (this.#turns.get(host) === turn) this.#turns.delete(host);
    }
  }

  async #take(host: string, session: string | null, told: Told): Promise<void> {
    const { registry, tables, acknowledge, refused } = this.#deps;
    registry.hear(host, session);
    await registry.kept(host);
    if (tables.of('host').get(host) === undefined) throw notRegistered(host);
    const revision = await this.#credible(told.revision);
    acknowledge(host, revision);
    refused(host, told.refused);
    const isComplete = told.isComplete && revision > 0;
    const vifs = [...told.vifs.values()];
    this.#checkNumber(host, vifs, isComplete);
    const turns = startTurns();
    for (let at = 0; at < vifs.length; at += OPS_A_TXN) {
      const some = vifs.slice(at, at + OPS_A_TXN);
      await this.#write(host, session, () => this.#changes(host, some));
      if (turns.due()) await turns.next();
    }
    if (isComplete) await this.#prune(host, session, told.vifs);
  }

  /** A revision that is not reached soon comes from a store that is no more: nothing of this one has been programmed. */
  async #credible(revision: number): Promise<number> {
    return (await this.#deps.tables.waitFor(revision, CATCH_UP_MS)) ? revision : 0;
  }

  /** A host that has too many, from a time when it might, may go on to speak of those. */
  #checkNumber(host: string, vifs: readonly VifStatus[], isComplete: boolean): void {
    if (vifs.length > MAX_VIFS_A_HOST) throw tooMany(host);
    if (isComplete) return;
    const rows = this.#deps.tables.of('vif');
    let added = 0;
    for (const { portId } of vifs) if (rows.get(`${host}/${portId}`) === undefined) added += 1;
    if (added > 0 && added + this.#deps.tables.any('vif').count('host', host) > MAX_VIFS_A_HOST) throw tooMany(host);
  }

  #changes(host: string, vifs: readonly VifStatus[]): Change[] {
    const rows = this.#deps.tables.of('vif');
    return vifs.flatMap((vif) => {
      const row = rows.get(`${host}/${vif.portId}`);
      const hasFlows = vif.flows === true;
      if (row?.state === vif.state && row.reason === vif.reason && row.hasFlows === hasFlows) return [];
      const op: Op = { kind: 'put', key: vifKey(host, vif.portId), value: vifValue(vif) };
      return [{ op, status: this.#deps.planStatus(host, vif) }];
    });
  }

  /** What a complete report does not name is gone. */
  async #prune(host: string, session: string | null, named: ReadonlyMap<string, VifStatus>): Promise<void> {
    const gone = this.#deps.tables
      .of('vif')
      .by('host', host)
      .filter((row) => !named.has(row.port_id));
    for (let at = 0; at < gone.length; at += OPS_A_TXN) {
      const some = gone.slice(at, at + OPS_A_TXN);
      await this.#write(host, session, () =>
        some.map((row): Change => ({ op: { kind: 'delete', key: vifKey(host, row.port_id) } })),
      );
    }
  }

  /**
   * Writes what was told and, in the same transaction, the statuses that follow from it. When a port has changed meanwhile, only what was
   * told: the status writer sees to the rest. Waits for the tables, so that the next report is compared with this one.
   */
  async #write(host: string, session: string | null, plan: () => readonly Change[]): Promise<void> {
    const { store, tables, registry } = this.#deps;
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const changes = plan();
      if (changes.length === 0) return;
      const compares = this.#compares(host);
      const ops = changes.map(({ op }) => op);
      const statuses = changes.flatMap(({ status }) => status ?? []);
      let written = [...ops, ...statuses.map(({ op }) => op)];
      let result = await store.txn([...compares, ...statuses.map(({ compare }) => compare)], written);
      if (!result.ok && statuses.length > 0) {
        written = ops;
        result = await store.txn(compares, ops);
      }
      if (result.ok) this.#deps.wrote?.(host, written);
      if (!(await tables.waitFor(result.revision))) throw behind();
      if (result.ok) return;
      registry.hear(host, session);
      await registry.kept(host);
    }
    throw new CableError('TooManyRequestsAtOnce', `Host ${host} changes hands all the time.`);
  }

  /** The run that reports must still be the one that speaks for the host, and the host must be there. */
  #compares(host: string): readonly Compare[] {
    const key = aliveKey(host);
    const revision = this.#deps.tables.modRevision('alive', host) ?? 0;
    return [
      { kind: 'exists', key: objectKey('host', host) },
      { kind: 'modRevision', key, revision },
    ];
  }
}

function toldBy(report: HostStatusReport): Told {
  return {
    revision: report.revision,
    refused: report.refused,
    // An agent that has just started has programmed nothing and so has seen no device: its list is not yet what there is.
    isComplete: report.full && report.revision > 0,
    vifs: new Map(report.vifs.map((vif) => [vif.portId, vif])),
  };
}

/** One report that says what both said, one after the other; `first` becomes it. Throws for too many devices, and leaves `first` as it is. */
function merge(host: string, first: Told | undefined, second: Told): Told {
  if (first === undefined || second.isComplete) return second;
  let added = 0;
  for (const portId of second.vifs.keys()) if (!first.vifs.has(portId)) added += 1;
  if (first.vifs.size + added > MAX_VIFS_A_HOST) throw tooMany(host);
  for (const [portId, vif] of second.vifs) first.vifs.set(portId, vif);
  first.revision = second.revision;
  first.refused = second.refused;
  return first;
}

function vifValue({ state, reason, flows }: VifStatus): string {
  return JSON.stringify({ state, reason, flows });
}

function tooMany(host: string): CableError {
  return new CableError(
    'InvalidInput',
    `Host ${host} reports more than ${MAX_VIFS_A_HOST} devices: a host may have that many.`,
    {
      fields: { field: 'vifs' },
    },
  );
}

function behind(): CableError {
  return new CableError('ServiceUnavailable', 'The store does not tell of what was written to it.');
}
