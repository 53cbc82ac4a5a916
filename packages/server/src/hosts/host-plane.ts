/**
 * The server's side of the hosts: who they are, what they are told, what they say, and what follows from it.
 *
 *   tables ──> slices ──> streams ──────> agents
 *     ^           └─> watermarks ─┐         │ status reports
 *     │                           v         v
 *   store <───────────── status writer <── acknowledgements, devices
 */
import type { Writable } from 'node:stream';
import { hostOf, isBound, isGatewayPort, isRouterInterface } from '@cable/compiler';
import { type Logger, startTurns } from '@cable/kit';
import {
  CableError,
  HOST_PROTOCOL,
  type HostRegistration,
  type HostStatusReport,
  type HostWelcome,
  type LeaseUse,
  type OverlayIpVersion,
  overlayIpVersion,
  type Port,
  type PortOwner,
  type RefusedEntries,
  type SliceKey,
  type StoreHistory,
} from '@cable/model';
import type { Op, Store } from '@cable/store';
import type { History } from '../history/history.ts';
import { OLD_ACKNOWLEDGEMENTS } from '../keys.ts';
import { type CarriedPort, carriedPort, ownersOn, ownersPort } from '../protons/vrouter/overlay.ts';
import type { AliveRow, ServerRow } from '../rows.ts';
import { compilerChanges, compilerTables } from '../slices/compiled-view.ts';
import type { Compiled } from '../slices/slice-store.ts';
import type { TableChange, Tables } from '../tables.ts';
import { Acknowledgements } from './acknowledgements.ts';
import type { Resume } from './host-stream.ts';
import { superseded } from './identity.ts';
import { Laggards } from './laggards.ts';
import { MemberReports } from './member-reports.ts';
import { Pace } from './pace.ts';
import type { MakeSlices, MakeStreams, PlaneSlices, PlaneStreams } from './plane-parts.ts';
import { PortCounts } from './port-counts.ts';
import type { PortEvidence } from './port-status.ts';
import { RefusedHosts } from './refused-hosts.ts';
import { HostRegistry, notRegistered } from './registry.ts';
import { Reports } from './reports.ts';
import { ServerLease } from './server-lease.ts';
import { ServerWriter } from './server-writer.ts';
import { type OtherOption, OtherServers, placeOfServer, type SharedOptions } from './shared-options.ts';
import { SliceWatermarks, type Wait } from './slice-watermarks.ts';
import { planStatus, type StatusWriter, startStatusWriter, type WriteStatus } from './status-writer.ts';

/** How long a client that has more than this server knows is kept waiting for the server to catch up. */
const CATCH_UP_MS = 2000;
/** The same for the slices of a host that has just registered: at a start of thousands of hosts there is much to be compiled. */
const COMPILE_MS = 10_000;
/** Kinds of slices whose items are about a port: their keys begin with its id. */
const PORT_KINDS: ReadonlySet<string> = new Set([
  ...['host', 'endpoints', 'group', 'pods', 'cluster_pods', 'router', 'gateways', 'vpn'],
]);
const UUID_LENGTH = 36;
/** Keys of another server's hosts go also when that server's lease ends because the store was away: that proves nothing about hosts. */
const OTHERS_GRACE_MS = 10_000;
const LOOK_FOR_LAGGARDS_MS = 5000;

export type HostPlaneOptions<S extends PlaneSlices, T extends PlaneStreams> = {
  readonly store: Store;
  /** Started, and made with `SLICE_TABLES` among its derived tables. */
  readonly tables: Tables;
  readonly history: Pick<History, 'current' | 'knows' | 'check' | 'renew'>;
  /** Id of this server, new with each start. */
  readonly server: string;
  /** The lease that it was granted, under which its key stands already. */
  readonly lease: string;
  /** Of the addresses that hosts tunnel to. Default 4. */
  readonly overlayIpVersion?: OverlayIpVersion;
  /** What this server was given of what all are to have alike. Absent: it says nothing of it. */
  readonly shared?: SharedOptions;
  /** Digests of the protons that this server serves, by name. Absent: none. */
  readonly protons?: () => Readonly<Record<string, string>>;
  readonly makeSlices: MakeSlices<S>;
  readonly makeStreams: MakeStreams<S, T>;
  /** Writes the status of ports of protons; `current` undefined, or absent: there are none. */
  readonly ofProtons?: { readonly current: WriteStatus | undefined };
  /** Told of what hosts' reports have had written. Default: nobody is. */
  readonly wrote?: (host: string, ops: readonly Op[]) => void;
  readonly log: Logger;
  readonly now: () => Date;
  /** Milliseconds that never go back. */
  readonly monotonicMs: () => number;
};

/** What `GET /cable/v1/status` answers. */
export type PlaneStatus = {
  readonly revision: number;
  readonly history: StoreHistory;
  readonly hosts: {
    readonly registered: number;
    readonly alive: number;
    /** Hosts with a stream here. */
    readonly watching: number;
    /** Number of streams here, by protocol. */
    readonly protocols: Readonly<Record<string, number>>;
  };
  readonly ports: {
    readonly total: number;
    readonly by_status: Readonly<Record<string, number>>;
    /** Ports that wait for a host to program them. */
    readonly pending: number;
  };
  readonly slices: { readonly total: number; readonly waiting: number };
  /** What other servers on the store were given otherwise. */
  readonly other_options: readonly OtherOption[];
};

type Reached = { readonly host: string; readonly key: SliceKey; readonly needed: boolean };

/** One server's host plane. Any number of servers may run on one store. */
export class HostPlane<S extends PlaneSlices = PlaneSlices, T extends PlaneStreams = PlaneStreams> {
  readonly slices: S;
  readonly streams: T;
  readonly #options: HostPlaneOptions<S, T>;
  readonly #log: Logger;
  readonly #lease: ServerLease;
  readonly #acknowledgements: Acknowledgements;
  readonly #watermarks: SliceWatermarks;
  readonly #laggards: Laggards;
  readonly #counts = new PortCounts();
  readonly #pace: Pace;
  readonly #registry: HostRegistry;
  readonly #reports: Reports;
  readonly #members: MemberReports;
  readonly #writer: StatusWriter;
  readonly #serverWriter: ServerWriter;
  readonly #refused: RefusedHosts;
  readonly #others: OtherServers;
  #leasesUsed: (host: string, uses: readonly LeaseUse[]) => void = () => undefined;
  #gatewaysTaken: (host: string, portIds: readonly string[]) => void = () => undefined;
  #announced: (host: string, addresses: readonly string[]) => void = () => undefined;
  readonly #abort: AbortController;
  /** Ports that have changed, with the revision, until the slices have it: what was proven of them before says nothing. */
  readonly #uncompiled = new Map<string, number>();
  /** False: it is not known yet what ports wait for, so none is proven. */
  #isLoaded = false;
  #reached: Reached[] = [];
  /** Revision of the last batch that changed a slice. */
  #content = 0;

  /** Builds the plane on tables that hold the store's content, and starts its loops. Resolves when all slices are there. Throws with nothing running. */
  static async start<S extends PlaneSlices, T extends PlaneStreams>(
    options: HostPlaneOptions<S, T>,
  ): Promise<HostPlane<S, T>> {
    const abort = new AbortController();
    const log = options.log.child('hosts');
    const hook: { replaced: () => void } = { replaced: () => {} };
    const { store } = options;
    await store.txn([], [{ kind: 'deletePrefix', prefix: OLD_ACKNOWLEDGEMENTS }]);
    const onReplaced = (): void => hook.replaced();
    const lease = ServerLease.keep({ store, log, signal: abort.signal, onReplaced }, options.lease);
    const plane = new HostPlane(options, lease, abort);
    hook.replaced = () => plane.#leaseReplaced();
    try {
      await plane.#load(() => plane.#follow());
    } catch (err) {
      await plane.stop();
      throw err;
    }
    return plane;
  }

  /** Id of this server's lease, as it is now. */
  get lease(): string {
    return this.#lease.id;
  }

  private constructor(options: HostPlaneOptions<S, T>, lease: ServerLease, abort: AbortController) {
    const { store, tables, server, now, monotonicMs } = options;
    const log = options.log.child('hosts');
    const { signal } = abort;
    this.#options = options;
    const wrote = options.wrote === undefined ? {} : { wrote: options.wrote };
    this.#log = log;
    this.#lease = lease;
    this.#abort = abort;
    this.#refused = new RefusedHosts({ log, monotonicMs });
    this.#others = new OtherServers({ tables, server, options: options.shared ?? {}, log });
    for (const { id } of tables.of('server').values()) this.#others.changed(id);
    this.slices = options.makeSlices(compilerTables(tables), (what, err) =>
      log.error({ what, err }, 'slice could not be computed'),
    );
    this.#acknowledgements = new Acknowledgements({ tables, server, owes: (host) => this.streams.owes(host) });
    const acknowledgements = this.#acknowledgements;
    this.#laggards = new Laggards({ monotonicMs, programmed: (host) => acknowledgements.programmed(host) });
    this.#watermarks = new SliceWatermarks({
      slices: this.slices,
      isAlive: (host) => this.#isAlive(host),
      covers: (host, revision) => acknowledgements.covers(host, revision),
      programmed: (host) => acknowledgements.programmed(host),
      isElsewhere: (host) => tables.of('alive').get(host)?.server !== server,
      isLate: (host) => this.#laggards.has(host),
    });
    this.#serverWriter = new ServerWriter({
      ...{ store, server, lease, log, signal },
      row: () => ({
        ...acknowledgements.floor(this.slices.revision),
        entered: this.#registry.entries,
        wants: this.#watermarks.wants,
        refused: acknowledgements.refused(),
        gateways: true,
        place: placeOfServer(),
        options: options.shared ?? {},
        protons: options.protons?.() ?? {},
      }),
      content: () => this.#content,
    });
    this.#registry = new HostRegistry({
      ...{ store, tables, server, lease, now, monotonicMs, log, signal },
      hasStream: (host) => this.streams.has(host),
      onEntry: (host, entry, isNewRun) => acknowledgements.enter(host, entry, isNewRun),
      beat: () => this.#serverWriter.op(),
    });
    this.#reports = new Reports({
      ...{ store, tables, log },
      registry: this.#registry,
      acknowledge: (host, revision) => this.#acknowledge(host, revision),
      refused: (host, refused) => this.#refusedEntries(host, refused),
      planStatus: (host, vif) => {
        const port = tables.of('port').get(vif.portId);
        if (port === undefined || hostOf(port) !== host) return undefined;
        return planStatus({ tables, now }, port, { ...this.#evidence(port), vifUp: vif.state === 'up' });
      },
      hasStream: (host, session) => this.streams.hasSession(host, session),
      ...wrote,
    });
    this.#members = new MemberReports({
      ...{ store, tables, log },
      registry: this.#registry,
      hasStream: (host, session) => this.streams.hasSession(host, session),
      ...wrote,
    });
    this.#writer = startStatusWriter({
      ...{ store, tables, evidence: (port) => this.#evidence(port), now, log, signal },
      ...(options.ofProtons === undefined ? {} : { ofProtons: options.ofProtons }),
    });
    this.#pace = new Pace(monotonicMs, () => this.streams.size);
    this.streams = options.makeStreams(this.slices, {
      admit: (host, resume) => this.#refused.watch(host, () => this.#admit(host, resume)),
      report: async (host, session, report) => {
        await this.#reports.tell(host, session, report);
        if (report.gateways !== undefined) this.#gatewaysTaken(host, report.gateways);
        if (report.leases !== undefined) this.#leasesUsed(host, report.leases);
        this.#announced(host, report.announces ?? []);
      },
      health: (host, session, report) => this.#members.tell(host, session, report),
      ackWithinMs: () => this.#pace.ackWithinMs(),
      sent: (host, revision) => {
        acknowledgements.sent(host, revision);
        this.#pace.note(host);
      },
      mark: () => options.history.current.mark,
    });
    const stopListening = tables.onChange((revision, changes) => this.#takeChanges(revision, changes));
    const looking = setInterval(() => this.#lookForLaggards(), LOOK_FOR_LAGGARDS_MS).unref();
    signal.addEventListener('abort', () => {
      stopListening();
      clearInterval(looking);
    });
  }

  /** Makes a host known and alive; idempotent. Throws `UnderlayIpVersionMismatch`, `UnderlayAddressInUse`, `HostNameInUse` and `OtherHistory`. */
  async register(host: string, registration: HostRegistration): Promise<HostWelcome> {
    const { history: held, since = 0 } = registration;
    await this.#refused.watch(host, async () => {
      checkIpVersion(host, registration.underlay, this.#options.overlayIpVersion ?? 4);
      if (held) await this.#checkHistory(host, held, since);
      await this.#registry.register(host, registration);
    });
    this.#refused.forget(host);
    const { underlay, agentId, session } = registration;
    this.#log.info({ host, underlay, agentId, session }, 'host registered');
    return { protocol: Math.min(registration.protocol ?? 1, HOST_PROTOCOL), history: this.#options.history.current };
  }

  /** Who is told of gateways whose place a host says that it has taken; one. It says so again as long as they are elsewhere. */
  onGatewaysTaken(listener: (host: string, portIds: readonly string[]) => void): void {
    this.#gatewaysTaken = listener;
  }

  /** Who is told of addresses of Services that a host says it announces; one. With each report it is told all of them. */
  onAnnounced(listener: (host: string, addresses: readonly string[]) => void): void {
    this.#announced = listener;
  }

  /** Who writes the status of ports of protons has come: what was found until now is looked at again. */
  lookAtProtons(): void {
    for (const { id } of this.#options.tables.of('port_owner').values()) this.#writer.mark(id);
  }

  /** What this server serves is another: the others are to know it soon. */
  tellOthers(): void {
    this.#serverWriter.hurry();
  }

  /** Who is told how a host's guests use the blocks that they have; one. It says so again as long as it is so. */
  onLeasesUsed(listener: (host: string, uses: readonly LeaseUse[]) => void): void {
    this.#leasesUsed = listener;
  }

  /** Takes in a report of protocol 1; what it changes is durable when this resolves. Throws `HostNotRegistered` and `HostSuperseded`. */
  report(host: string, report: HostStatusReport): Promise<void> {
    return this.#refused.watch(host, () => this.#reports.take(host, report));
  }

  /**
   * The store has another history: what hosts and ports have proven is void. `relist` makes the tables those of the store as it is now. Streams end,
   * and those that open meanwhile too.
   */
  async takeOver(relist: () => Promise<void>): Promise<void> {
    const reason = 'the store has another history';
    this.streams.endAll(reason);
    this.#isLoaded = false;
    await relist();
    this.#watermarks.clear();
    this.#acknowledgements.clear();
    await this.#load();
    this.streams.endAll(reason);
  }

  /**
   * Streams the host's slices newer than `since` to what `openOutput` gives, and then every change, in protocol 1. Throws `HostNotRegistered` and
   * `HostSuperseded` before it opens anything. A `since` that no server has reached is from another store: the client gets everything.
   */
  async watchV1(host: string, since: number, openOutput: () => Writable): Promise<void> {
    const { tables } = this.#options;
    const isKnown = await tables.waitFor(since, CATCH_UP_MS);
    await this.ready(host);
    await this.#refused.watch(host, async () => {
      // Such an agent may come from a server that has stopped, and report later.
      const alive = tables.of('alive').get(host);
      if (alive !== undefined && alive.session !== null) throw superseded(host, null);
    });
    this.#acknowledgements.opened(host, isKnown ? since : 0);
    this.streams.openV1(host, isKnown ? since : 0, openOutput());
  }

  /** Everything from the tables as they are, in turns. `onCompiled`: called when that is in the slices, and before anything later is. */
  async #load(onCompiled: () => void = () => {}): Promise<void> {
    const { tables } = this.#options;
    this.#isLoaded = false;
    this.#counts.load(tables.of('port'));
    await this.slices.load(tables.revision);
    onCompiled();
    this.#content = this.slices.revision;
    const turns = startTurns();
    const waits = new Map<SliceKey, Wait[]>();
    for (const port of [...this.#carriedPorts()]) {
      this.#noteStored(port, waits);
      if (turns.due()) await turns.next();
    }
    for (const [key, some] of waits) {
      // What was written since waits for what is compiled of it.
      const asBefore = some.filter(({ portId, revision }) => this.#revisionOf(portId) === revision);
      this.#watermarks.awaitAll(key, asBefore);
      if (turns.due()) await turns.next();
    }
    this.#isLoaded = true;
    this.#forgetCompiled(this.slices.revision);
    for (const port of [...this.#carriedPorts()]) {
      this.#writer.mark(port.id);
      if (turns.due()) await turns.next();
    }
    for (const row of [...tables.of('vif').values()]) {
      if (carriedPort(tables, row.port_id) === undefined) this.#writer.mark(row.port_id);
      if (turns.due()) await turns.next();
    }
  }

  /** Neutron's, and those of protons on the vrouter. */
  *#carriedPorts(): Iterable<CarriedPort> {
    const { tables } = this.#options;
    yield* tables.of('port').values();
    for (const owner of tables.of('port_owner').values()) {
      const port = ownersPort(owner);
      if (port !== undefined) yield port;
    }
  }

  #revisionOf(portId: string): number | undefined {
    const { tables } = this.#options;
    return tables.modRevision('port', portId) ?? tables.modRevision('port_owner', portId);
  }

  status(): PlaneStatus {
    const { tables, history } = this.#options;
    return {
      revision: tables.revision,
      history: history.current,
      hosts: {
        registered: tables.of('host').size,
        alive: tables.of('alive').size,
        watching: this.streams.size,
        protocols: this.streams.protocols(),
      },
      ports: { total: tables.of('port').size, by_status: this.#counts.byStatus(), pending: this.#watermarks.ports },
      slices: { total: this.slices.size, waiting: this.#watermarks.slices },
      other_options: this.#others.otherwise,
    };
  }

  /** Ends all streams and loops; idempotent. */
  async stop(): Promise<void> {
    this.#abort.abort();
    this.streams.stop('server stops');
    const loops = [this.#writer.done, this.#serverWriter.done, this.#registry.done, this.#lease.done];
    await Promise.all([...loops, this.slices.stop()]);
  }

  /** Listens to what is compiled from now on: what the first load brought is no change that a port waits for. */
  #follow(): void {
    const stops = [
      this.slices.onCompiled((compiled) => this.#compiled(compiled)),
      this.slices.onReach((host, key, needed) => this.#reached.push({ host, key, needed })),
    ];
    this.#abort.signal.addEventListener('abort', () => {
      for (const stop of stops) stop();
    });
  }

  /** A stream needs its host alive, its run to be the one that speaks for it, and what it has seen to be of this store's history. */
  async #admit(host: string, { session, since, history: held }: Resume): Promise<StoreHistory> {
    const { tables, history } = this.#options;
    await this.ready(host);
    const alive = tables.of('alive').get(host);
    if (alive === undefined) throw notRegistered(host);
    if (alive.session !== session) throw superseded(host, session);
    if (held !== null) await this.#checkHistory(host, held, since);
    if (held !== null && !(await tables.waitFor(since, CATCH_UP_MS))) throw behind(since);
    this.#acknowledgements.opened(host, held === null ? 0 : since);
    return history.current;
  }

  /** Throws `OtherHistory` when what the host has seen is not of this store's history. */
  async #checkHistory(host: string, held: StoreHistory, since: number): Promise<void> {
    const { history } = this.#options;
    if (await history.knows(held, since)) return;
    throw otherHistory(host, held, history.current);
  }

  /**
   * Resolves when a stream may be opened. A host that registered a moment ago has its slices first. Throws `ServiceUnavailable` when the server stops, and
   * `HostNotRegistered`.
   */
  async ready(host: string): Promise<void> {
    const { tables } = this.#options;
    if (!this.slices.hasHost(host) && tables.of('host').get(host) !== undefined)
      await this.#compiledUpTo(tables.revision);
    if (this.#abort.signal.aborted) throw new CableError('ServiceUnavailable', 'The server is stopping.');
    if (!this.slices.hasHost(host)) throw notRegistered(host);
  }

  /** Resolves when the slices have come that far; of a server that is very busy after some time. */
  #compiledUpTo(revision: number): Promise<void> {
    if (this.slices.revision >= revision) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        stop();
        resolve();
      };
      const stop = this.slices.onCompiled((compiled) => {
        if (compiled.revision >= revision) done();
      });
      const timer = setTimeout(done, COMPILE_MS);
    });
  }

  #isAlive(host: string): boolean {
    return this.#options.tables.of('alive').get(host) !== undefined;
  }

  #evidence(port: CarriedPort): PortEvidence {
    const host = port['binding:host_id'] ?? '';
    return {
      vifUp: this.#options.tables.of('vif').get(`${host}/${port.id}`)?.state === 'up',
      hostAlive: this.#isAlive(host),
      proven:
        this.#isLoaded &&
        this.#watermarks.isProven(port.id) &&
        !this.#uncompiled.has(port.id) &&
        (!isGatewayPort(port) || this.#allKnowGateways()),
    };
  }

  /** A port that is not ACTIVE waits for proof anew: what describes it may have been written by its last write. */
  #noteStored(port: CarriedPort, waits: Map<SliceKey, Wait[]>): void {
    if (port.status === 'ACTIVE' || !carriesSlices(port)) return;
    const revision = this.#revisionOf(port.id);
    if (revision === undefined) return;
    for (const key of slicesOf(port)) {
      const some = waits.get(key);
      if (some === undefined) waits.set(key, [{ portId: port.id, revision }]);
      else some.push({ portId: port.id, revision });
    }
  }

  #compiled(compiled: Compiled): void {
    const { wants } = this.#watermarks;
    this.#awaitCompiled(compiled);
    // Others learn what is waited for, and what of theirs has come by now.
    if (this.#watermarks.wants > wants || this.#othersWant() > this.#serverWriter.floor) this.#serverWriter.hurry();
  }

  #awaitCompiled({ revision, changed }: Compiled): void {
    const { tables } = this.#options;
    if (changed.length > 0) this.#content = revision;
    for (const { key, item } of changed) {
      if (item === null || !PORT_KINDS.has(key.slice(0, key.indexOf(':')))) continue;
      const port = carriedPort(tables, item.slice(0, UUID_LENGTH));
      if (port !== undefined && carriesSlices(port)) this.#watermarks.await(port.id, key, revision);
    }
    const reached = this.#reached;
    this.#reached = [];
    for (const { host, key, needed } of reached) this.#settle(this.#watermarks.reach(host, key, needed));
    this.#forgetCompiled(revision);
  }

  /** What was written up to the revision is compiled, and it is known who has to program it. */
  #forgetCompiled(revision: number): void {
    for (const [portId, since] of this.#uncompiled) {
      if (since > revision) continue;
      this.#uncompiled.delete(portId);
      this.#writer.mark(portId);
    }
  }

  /** A throw here would lose the rest of the batch. */
  #takeChanges(revision: number, changes: readonly TableChange[]): void {
    this.slices.take(revision, compilerChanges(changes));
    for (const change of changes) {
      try {
        this.#react(revision, change);
      } catch (err) {
        this.#log.error({ err, type: change.type, id: change.id }, 'change was not followed');
      }
    }
  }

  #react(revision: number, change: TableChange): void {
    const { type, id } = change;
    if (type === 'port') {
      this.#counts.change(change.before as unknown as Port, change.after as unknown as Port);
      this.#portChanged(revision, id, change.after as unknown as Port);
    } else if (type === 'port_owner') {
      const [before, after] = [change.before, change.after].map((row) =>
        row === undefined ? undefined : ownersPort(row as unknown as PortOwner),
      );
      if (before !== undefined || after !== undefined) this.#portChanged(revision, id, after);
    } else if (type === 'vif') this.#writer.mark(String((change.after ?? change.before)?.['port_id']));
    else if (type === 'server') {
      this.#others.changed(id);
      this.#serverChanged(id, change.after !== undefined);
      if (
        (change.before as unknown as ServerRow | undefined)?.gateways !==
        (change.after as unknown as ServerRow | undefined)?.gateways
      )
        this.#markGateways();
    } else if (type === 'alive') {
      this.#aliveChanged(id, change.before as unknown as AliveRow, change.after as unknown as AliveRow);
    }
  }

  #portChanged(revision: number, id: string, after: CarriedPort | undefined): void {
    this.#writer.mark(id);
    if (after === undefined || !carriesSlices(after)) {
      this.#watermarks.forget(id);
      this.#uncompiled.delete(id);
    } else this.#uncompiled.set(id, revision);
  }

  /** What an agent has told this server. */
  #acknowledge(host: string, revision: number): void {
    this.#acknowledgements.hear(host, revision);
    const isCounted = this.#watermarks.isCounted(host);
    if (isCounted) this.#settle(this.#watermarks.acknowledged(host));
    const isAlone = this.#options.tables.of('server').size <= 1;
    if (!isAlone && (isCounted || this.#othersWant() > this.#serverWriter.floor)) this.#serverWriter.hurry();
  }

  /** One agent that hangs must not keep every port of others from being ACTIVE. */
  #lookForLaggards(): void {
    const { late, back } = this.#laggards.look(this.#watermarks.hosts());
    for (const host of back) {
      this.#log.info({ host }, 'a host that was late has programmed more');
      if (this.#isAlive(host)) this.#watermarks.cameAlive(host);
    }
    for (const host of late) {
      const revision = this.#acknowledgements.programmed(host);
      this.#log.warn(
        { host, revision },
        'a host has programmed nothing for a minute: ports of others do not wait for it',
      );
      this.#settle(this.#watermarks.late(host));
    }
  }

  /** The revision counts as programmed: one host that has no room must not keep every port of others from being ACTIVE. */
  #refusedEntries(host: string, refused: RefusedEntries | undefined): void {
    if (!this.#acknowledgements.hearRefused(host, refused)) return;
    if (refused === undefined) this.#log.info({ host }, 'the kernel of a host has taken what it had refused');
    else
      this.#log.warn({ host, ...refused }, 'the kernel of a host has refused entries: what needs them does not pass');
  }

  /** What another server says of its hosts. When one is gone a mark is written: nobody must take the end of its lease for the store's own doing. */
  #serverChanged(id: string, isThere: boolean): void {
    const { tables, server, history } = this.#options;
    if (id === server) return;
    if (!isThere) history.renew().catch((err: unknown) => this.#log.warn({ err }, 'mark was not written'));
    for (const host of this.#watermarks.hosts()) {
      if (tables.of('alive').get(host)?.server === id) this.#settle(this.#watermarks.acknowledged(host));
    }
  }

  #othersWant(): number {
    const { tables, server } = this.#options;
    let wants = 0;
    for (const row of tables.of('server').values()) if (row.id !== server) wants = Math.max(wants, row.wants);
    return wants;
  }

  #aliveChanged(host: string, before: AliveRow | undefined, after: AliveRow | undefined): void {
    const { server } = this.#options;
    if (after === undefined) {
      this.#died(host, before);
      return;
    }
    this.#registry.follow(after);
    if (after.server !== server) this.#acknowledgements.leave(host, before?.server === server ? before.entry : 0);
    if (before !== undefined && before.session !== after.session) {
      this.#log.info({ host, session: after.session, underlay: after.underlay }, 'another run speaks for the host');
      this.streams.refuse(host, superseded(host, before.session));
    }
    if (before === undefined) {
      this.#log.info({ host, alive: true }, 'host liveness changed');
      this.#watermarks.cameAlive(host);
      this.#awaitGateways(host);
      this.#markPorts(host);
    } else this.#settle(this.#watermarks.acknowledged(host));
  }

  #died(host: string, before: AliveRow | undefined): void {
    // The lease is gone, not the host.
    if (this.#registry.lost(host)) return;
    this.#log.info({ host, alive: false }, 'host liveness changed');
    this.#acknowledgements.leave(host, before?.entry ?? 0);
    this.#laggards.forget(host);
    const isOwn = before?.server === this.#options.server;
    if (isOwn) this.#settle(this.#watermarks.died(host));
    else setTimeout(() => this.#mourn(host), OTHERS_GRACE_MS).unref();
    this.streams.refuse(host, notRegistered(host));
    this.#markPorts(host);
  }

  /** No device tells that a gateway is there: its host has to say that it has programmed it since it came. */
  #awaitGateways(host: string): void {
    const { tables } = this.#options;
    for (const port of tables.of('port').by('binding:host_id', host)) {
      if (!isGatewayPort(port) || port.status === 'ACTIVE') continue;
      this.#watermarks.await(port.id, `gateways:${host}`, tables.modRevision('port', port.id) ?? 0);
    }
  }

  /** Another server's host is not waited for any more, unless it has come back. */
  #mourn(host: string): void {
    if (!this.#isAlive(host)) this.#settle(this.#watermarks.died(host));
  }

  #markPorts(host: string): void {
    const { tables } = this.#options;
    for (const port of tables.of('port').by('binding:host_id', host)) this.#writer.mark(port.id);
    for (const port of ownersOn(tables, host)) this.#writer.mark(port.id);
  }

  /** With a server of before, each would write what the other has to take back. */
  #allKnowGateways(): boolean {
    const { tables, server } = this.#options;
    return [...tables.of('server').values()].every(({ id, gateways }) => id === server || gateways);
  }

  #markGateways(): void {
    for (const { id } of this.#options.tables.any('router_gateway').values()) this.#writer.mark(id);
  }

  #settle(portIds: readonly string[]): void {
    for (const portId of portIds) this.#writer.mark(portId);
  }

  #leaseReplaced(): void {
    this.#serverWriter.rewrite();
    this.#registry.rewrite();
    this.#reappear().catch((err: unknown) => this.#log.warn({ err }, 'mark was not written'));
  }

  /** Nobody must take the end of this server's lease for the store's own doing. The history first: the lease may be gone because it is another. */
  async #reappear(): Promise<void> {
    const { history } = this.#options;
    await history.check();
    await history.renew([this.#serverWriter.op()]);
  }
}

/** Slices are about ports that are bound, and about routers' legs and gateways. */
function carriesSlices(port: CarriedPort): boolean {
  return isBound(port) || isRouterInterface(port) || (isGatewayPort(port) && hostOf(port) !== '');
}

/** The slices that a port waits for. */
function slicesOf(port: CarriedPort): readonly SliceKey[] {
  if (isRouterInterface(port)) return [`router:${port.device_id}`];
  if (isGatewayPort(port)) return [`gateways:${hostOf(port)}`];
  return [`host:${hostOf(port)}`, `endpoints:${port.network_id}`];
}

function otherHistory(host: string, held: StoreHistory, present: StoreHistory): CableError {
  const isSame = held.cluster === present.cluster;
  return new CableError(
    'OtherHistory',
    isSame
      ? `The store does not know what host ${host} has seen: it was restored from a snapshot, or the host was away for very long.`
      : `The store is another one than host ${host} knows.`,
    { fields: { host, held, present } },
  );
}

function behind(revision: number): CableError {
  return new CableError('ServiceUnavailable', `This server does not know revision ${revision} yet.`);
}

/** Two hosts with addresses of two IP versions could not tunnel to each other. */
function checkIpVersion(host: string, underlay: string, version: OverlayIpVersion): void {
  if (overlayIpVersion(underlay) === version) return;
  throw new CableError(
    'UnderlayIpVersionMismatch',
    `Host ${host} has the underlay address ${underlay}, but hosts of this cloud tunnel over IPv${version}.`,
    { fields: { host, underlay, overlayIpVersion: version } },
  );
}
