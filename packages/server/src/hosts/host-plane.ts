/**
 * The server's side of the hosts: who they are, what they are told, what they say, and what follows from it.
 *
 *   tables ──> slices ──> streams ──────> agents
 *     ^           └─> proof ─┐              │ status reports
 *     │                      v              v
 *   store <──────── status writer <── acknowledgements, devices
 */
import type { Writable } from 'node:stream';
import { hostOf, isBound, isRouterInterface } from '@cable/compiler';
import type { Logger } from '@cable/kit';
import { CableError, type HostRegistration, type HostStatusReport, type Port } from '@cable/model';
import type { Store } from '@cable/store';
import { SliceCache } from '../slices/slice-cache.ts';
import { compilerChanges, compilerTables } from '../slices/tables.ts';
import type { TableChange, Tables } from '../tables.ts';
import { startAcknowledgementWriter } from './acknowledgement-writer.ts';
import { Acknowledgements } from './acknowledgements.ts';
import { PortCounts } from './port-counts.ts';
import { PortProof } from './port-proof.ts';
import type { PortFacts } from './port-status.ts';
import { HostRegistry, LEASE_TTL_SECONDS, notRegistered } from './registry.ts';
import { Reports } from './reports.ts';
import { planStatus, type StatusWriter, startStatusWriter } from './status-writer.ts';
import { Streams } from './streams.ts';

/** How long a client that has more than this server knows is kept waiting for the server to catch up. */
const CATCH_UP_MS = 2000;

export type HostPlaneOptions = {
  readonly store: Store;
  /** Started, and made with `SLICE_TABLES` among its derived tables. */
  readonly tables: Tables;
  readonly log: Logger;
  readonly now?: () => Date;
  /** Longest silence of a stream. Default 10 s. */
  readonly keepaliveMs?: number;
  /** A client that takes nothing for so long is cut. Default 30 s. */
  readonly stalledMs?: number;
};

/** What `GET /cable/v1/status` answers. `pending`: ports that wait for a host to program them. */
export type PlaneStatus = {
  readonly revision: number;
  readonly hosts: { readonly registered: number; readonly alive: number; readonly watching: number };
  readonly ports: {
    readonly total: number;
    readonly by_status: Readonly<Record<string, number>>;
    readonly pending: number;
  };
  readonly slices: number;
};

/** Builds the plane on tables that hold the store's content, and starts its loops. */
export function createHostPlane(options: HostPlaneOptions): HostPlane {
  return new HostPlane(options);
}

/** One server's host plane. Any number of servers may run on one store. */
export class HostPlane {
  readonly #log: Logger;
  readonly #tables: Tables;
  readonly #cache: SliceCache;
  readonly #streams: Streams;
  readonly #acknowledgements: Acknowledgements;
  readonly #proof: PortProof;
  readonly #counts = new PortCounts();
  readonly #registry: HostRegistry;
  readonly #reports: Reports;
  readonly #writer: StatusWriter;
  readonly #abort = new AbortController();
  readonly #done: Promise<unknown>;

  constructor(options: HostPlaneOptions) {
    const { store, tables } = options;
    const now = options.now ?? (() => new Date());
    const log = options.log.child('hosts');
    const signal = this.#abort.signal;
    const compiled = compilerTables(tables);
    this.#log = log;
    this.#tables = tables;
    this.#cache = new SliceCache(compiled, (what, err) => log.error({ what, err }, 'slice could not be computed'));
    this.#streams = new Streams({
      cache: this.#cache,
      log,
      keepaliveMs: options.keepaliveMs ?? 10_000,
      stalledMs: options.stalledMs ?? 30_000,
    });
    const acknowledgements = new Acknowledgements(tables, LEASE_TTL_SECONDS * 1000, () => now().getTime());
    this.#acknowledgements = acknowledgements;
    this.#proof = new PortProof({
      tables: compiled,
      cache: this.#cache,
      isAlive: (host) => this.#isAlive(host),
      acknowledged: (host) => acknowledgements.of(host),
    });
    this.#registry = new HostRegistry({ store, tables, now });
    this.#reports = new Reports({
      store,
      tables,
      registry: this.#registry,
      acknowledge: (host, revision) => this.#acknowledge(host, revision),
      planStatus: (host, vif) => {
        const port = tables.of('port').get(vif.portId);
        if (port === undefined || hostOf(port) !== host) return undefined;
        return planStatus({ tables, now }, port, { ...this.#facts(port), vifUp: vif.state === 'up' });
      },
    });
    this.#writer = startStatusWriter({ store, tables, facts: (port) => this.#facts(port), now, log, signal });
    const acknowledgementWriter = startAcknowledgementWriter({ store, tables, acknowledgements, log, signal });
    this.#done = Promise.all([this.#writer.done, acknowledgementWriter.done]);
    this.#load();
    signal.addEventListener(
      'abort',
      tables.onChange((revision, changes) => this.#takeChanges(revision, changes)),
    );
  }

  /** Makes a host known and alive; idempotent. Throws `UnderlayAddressInUse`. */
  async register(host: string, registration: HostRegistration): Promise<void> {
    await this.#registry.register(host, registration);
    this.#log.info({ host, underlay: registration.underlay }, 'host registered');
  }

  /** Takes in a report; what it changes is durable when this resolves. Throws `HostNotRegistered`. */
  report(host: string, report: HostStatusReport): Promise<void> {
    return this.#reports.take(host, report);
  }

  /**
   * Streams the host's slices newer than `since` to what `openOutput` gives, and then every change. Throws `HostNotRegistered` before it
   * opens anything. A `since` that no server has reached is from another store: the client gets everything.
   */
  async watch(host: string, since: number, openOutput: () => Writable): Promise<void> {
    const known = await this.#tables.waitFor(since, CATCH_UP_MS);
    if (this.#abort.signal.aborted) throw new CableError('ServiceUnavailable', 'The server is stopping.');
    if (!this.#cache.hasHost(host)) throw notRegistered(host);
    this.#streams.open(host, known ? since : 0, openOutput());
  }

  status(): PlaneStatus {
    const tables = this.#tables;
    return {
      revision: tables.revision,
      hosts: {
        registered: tables.of('host').size,
        alive: tables.of('alive').size,
        watching: this.#streams.size,
      },
      ports: { total: tables.of('port').size, by_status: this.#counts.byStatus(), pending: this.#proof.size },
      slices: this.#cache.size,
    };
  }

  /** Ends all streams and loops; idempotent. */
  async stop(): Promise<void> {
    this.#abort.abort();
    this.#streams.endAll('server stops');
    await this.#done;
  }

  #isAlive(host: string): boolean {
    return this.#tables.of('alive').get(host) !== undefined;
  }

  #facts(port: Port): PortFacts {
    const host = port['binding:host_id'] ?? '';
    return {
      vifUp: this.#tables.of('vif').get(`${host}/${port.id}`)?.state === 'up',
      hostAlive: this.#isAlive(host),
      proven: this.#proof.isProven(port.id),
    };
  }

  /** Everything from the tables as they are. Ports that are not ACTIVE wait for proof anew. */
  #load(): void {
    this.#cache.load(this.#tables.revision);
    this.#counts.load(this.#tables.of('port'));
    for (const port of this.#tables.of('port').values()) {
      if (port.status !== 'ACTIVE' && (isBound(port) || isRouterInterface(port))) {
        this.#proof.load(port, this.#tables.modRevision('port', port.id) ?? this.#tables.revision);
      }
      this.#writer.mark(port.id);
    }
    for (const row of this.#tables.of('vif').values()) this.#writer.mark(row.port_id);
  }

  /** A throw here would lose the batch for good, so after a defect everything is computed anew. */
  #takeChanges(revision: number, changes: readonly TableChange[]): void {
    try {
      this.#apply(revision, changes);
    } catch (err) {
      this.#log.error({ err, revision }, 'change could not be compiled, computing everything anew');
      this.#load();
    }
  }

  #apply(revision: number, changes: readonly TableChange[]): void {
    const compiled = compilerChanges(changes);
    if (compiled.length > 0) {
      for (const [change, keys] of this.#cache.apply(revision, compiled)) {
        if (change.type !== 'port') continue;
        for (const host of this.#proof.change(change, keys, revision)) this.#streams.bookmark(host);
      }
    }
    for (const change of changes) this.#react(change);
  }

  #react(change: TableChange): void {
    const { type, id } = change;
    if (type === 'port') {
      this.#counts.change(change.before as unknown as Port | undefined, change.after as unknown as Port | undefined);
      this.#writer.mark(id);
    } else if (type === 'vif') this.#writer.mark(String((change.after ?? change.before)?.['port_id']));
    else if (type === 'ack') this.#acknowledged(change);
    else if (type === 'alive' && (change.before === undefined || change.after === undefined)) {
      this.#livenessChanged(id, change.after !== undefined);
    }
  }

  /** What an agent told this server. True: the store must have it at once, because another server's word is awaited too, or it fell. */
  #acknowledge(host: string, revision: number): boolean {
    const fell = revision < this.#acknowledgements.of(host);
    this.#acknowledgements.hear(host, revision);
    const settled = this.#proof.acknowledge(host, revision);
    for (const portId of settled) this.#writer.mark(portId);
    return fell || settled.some((portId) => [...this.#proof.waitingFor(portId)].some((one) => !this.#streams.has(one)));
  }

  /** What the store says that a host has programmed has changed. */
  #acknowledged({ id, before, after }: TableChange): void {
    if (before !== undefined && Number(after?.['revision'] ?? 0) < Number(before['revision'])) {
      this.#acknowledgements.forget(id);
    }
    for (const portId of this.#proof.acknowledge(id, this.#acknowledgements.of(id))) this.#writer.mark(portId);
  }

  #livenessChanged(host: string, alive: boolean): void {
    this.#log.info({ host, alive }, 'host liveness changed');
    if (alive) this.#proof.cameAlive(host);
    else {
      this.#registry.forget(host);
      for (const portId of this.#proof.died(host)) this.#writer.mark(portId);
      this.#streams.end(host, 'host does not report');
    }
    for (const port of this.#tables.of('port').by('binding:host_id', host)) this.#writer.mark(port.id);
  }
}
