import { type Logger, startLoop } from '@cable/kit';
import { CableError, DEFAULT_ZONE, type HostRegistration } from '@cable/model';
import type { Op, Store } from '@cable/store';
import { aliveKey } from '../keys.ts';
import type { AliveRow } from '../rows.ts';
import type { Tables } from '../tables.ts';
import { EntryQueue } from './entry-queue.ts';
import { type HostIdentity, identityOf, superseded } from './identity.ts';
import { type Entry, isAsTold } from './registration.ts';
import type { ServerLease } from './server-lease.ts';

/** A host whose agent is silent for so long is not alive. Agents report every 5 s. */
export const SILENT_MS = 20_000;
/** Somebody else may write of one of them, and then each is written by itself. */
const BURIED_TOGETHER = 120;

const SWEEP_EVERY_MS = 1000;
/** A sweep that comes so late tells of a server that did not listen, not of silent hosts. */
const LATE_MS = 3000;

export type RegistryDeps = {
  readonly store: Pick<Store, 'get' | 'txn'>;
  readonly tables: Pick<Tables, 'of' | 'modRevision' | 'waitFor'>;
  /** Id of this server. */
  readonly server: string;
  readonly lease: Pick<ServerLease, 'id' | 'replace'>;
  readonly hasStream: (host: string) => boolean;
  /** Called before the host is written as this server's. `isNewRun`: what its agent said before does not count any more. */
  readonly onEntry: (host: string, entry: number, isNewRun: boolean) => void;
  /** A put that goes with deletes of leased keys: the history tells what servers did from the end of leases by it. */
  readonly beat: () => Op;
  readonly now: () => Date;
  /** Milliseconds that never go back. */
  readonly monotonicMs: () => number;
  readonly log: Logger;
  readonly signal: AbortSignal;
};

type Heard = { readonly identity: HostIdentity; at: number };

/** Makes hosts known, and keeps those alive that this server hears. */
export class HostRegistry {
  readonly #deps: RegistryDeps;
  readonly #queue: EntryQueue;
  readonly #heard = new Map<string, Heard>();
  /** Writes under way that keep a host alive, or make it this server's. */
  readonly #keeping = new Map<string, Promise<void>>();
  readonly done: Promise<void>;
  #entries = 0;
  #sweptAt: number;

  constructor(deps: RegistryDeps) {
    this.#deps = deps;
    this.#sweptAt = deps.monotonicMs();
    this.#queue = new EntryQueue({
      store: deps.store,
      tables: deps.tables,
      lease: deps.lease,
      context: { hasStream: deps.hasStream, now: deps.now, aliveOp: (entry, before) => this.#aliveOp(entry, before) },
    });
    this.done = startLoop({
      name: 'liveness',
      log: deps.log,
      signal: deps.signal,
      everyMs: SWEEP_EVERY_MS,
      run: () => this.sweep(),
    }).done;
  }

  /** Number of the last entry. */
  get entries(): number {
    return this.#entries;
  }

  /**
   * Writes the host, claims its underlay address and makes it alive; idempotent. Answers when the tables hold it. Throws
   * `UnderlayAddressInUse` when another host has the address, `HostNameInUse` when another machine has the name.
   */
  async register(host: string, registration: HostRegistration): Promise<void> {
    const identity = identityOf(registration);
    const {
      agentVersion,
      underlayMtuBytes: underlayMtu = null,
      bridgeMappings = {},
      bandwidth = {},
      availabilityZone = DEFAULT_ZONE,
      cluster = null,
      features = [],
    } = registration;
    if (!this.#isWritten(host, registration, identity)) {
      const told = { underlayMtu, bridgeMappings, bandwidth, availabilityZone, cluster, features };
      await this.#queue.write({ host, identity, agentVersion, ...told });
    }
    this.#heard.set(host, { identity, at: this.#deps.monotonicMs() });
  }

  /**
   * The host has spoken. Throws `HostNotRegistered` when it is not alive (then it must register again) and `HostSuperseded` when another run
   * speaks for it. What has to be written for it is under way then: `kept`.
   */
  hear(host: string, session: string | null): void {
    const { tables, server, monotonicMs } = this.#deps;
    const row = tables.of('alive').get(host);
    const heard = this.#heard.get(host);
    if (row === undefined) {
      if (heard === undefined || !this.#isFresh(heard)) throw notRegistered(host);
      if (heard.identity.session !== session) throw superseded(host, session);
      heard.at = monotonicMs();
      this.#keep(host, heard.identity);
      return;
    }
    if (row.session !== session) throw superseded(host, session);
    if (heard !== undefined && heard.identity.session === session) heard.at = monotonicMs();
    else this.#heard.set(host, { identity: this.#identityOf(row), at: monotonicMs() });
    if (row.server !== server) this.#keep(host, this.#identityOf(row));
  }

  /** Resolves when what `hear` brought about is in the tables. Throws as `hear` does. */
  kept(host: string): Promise<void> {
    return this.#keeping.get(host) ?? Promise.resolve();
  }

  /** The host's `alive` key is gone. True: this server hears the host and makes it alive again. */
  lost(host: string): boolean {
    const heard = this.#heard.get(host);
    if (heard === undefined || !this.#isFresh(heard)) return false;
    if (this.#deps.tables.of('host').get(host) === undefined) return false;
    this.#keep(host, heard.identity);
    return true;
  }

  /** The host is another server's, or another run speaks for it, as the tables say. */
  follow(row: AliveRow): void {
    const heard = this.#heard.get(row.id);
    if (heard !== undefined && (row.server !== this.#deps.server || row.session !== heard.identity.session)) {
      this.#heard.delete(row.id);
    }
  }

  /** The lease was lost: everything that rested on it is written again. */
  rewrite(): void {
    for (const [host, heard] of this.#heard) if (this.#isFresh(heard)) this.#keep(host, heard.identity);
  }

  /** Ends the life of hosts that are silent. */
  async sweep(): Promise<void> {
    const now = this.#deps.monotonicMs();
    const late = now - this.#sweptAt - SWEEP_EVERY_MS;
    this.#sweptAt = now;
    if (late > LATE_MS) for (const heard of this.#heard.values()) heard.at += late;
    const silent = [...this.#heard].filter(([, heard]) => !this.#isFresh(heard)).map(([host]) => host);
    for (let at = 0; at < silent.length; at += BURIED_TOGETHER) {
      await this.#bury(silent.slice(at, at + BURIED_TOGETHER));
    }
  }

  /** One transaction; when it is refused, each by itself: somebody else has written of one of them. */
  async #bury(hosts: readonly string[]): Promise<void> {
    const { store, tables, server, beat, log } = this.#deps;
    const buried = hosts.filter((host) => tables.of('alive').get(host)?.server === server);
    if (buried.length > 0) {
      const result = await store.txn(
        buried.map((host) => ({
          kind: 'modRevision',
          key: aliveKey(host),
          revision: tables.modRevision('alive', host) ?? 0,
        })),
        [...buried.map((host): Op => ({ kind: 'delete', key: aliveKey(host) })), beat()],
      );
      if (!result.ok && buried.length > 1) {
        for (const host of buried) await this.#bury([host]);
        return;
      }
      if (result.ok) log.info({ hosts: buried }, 'hosts are silent');
    }
    for (const host of hosts) {
      const heard = this.#heard.get(host);
      if (heard !== undefined && !this.#isFresh(heard)) this.#heard.delete(host);
    }
  }

  #keep(host: string, identity: HostIdentity): void {
    if (this.#keeping.has(host)) return;
    const keeping = this.#queue.write({
      host,
      identity,
      agentVersion: undefined,
      underlayMtu: null,
      bridgeMappings: {},
      bandwidth: {},
      availabilityZone: DEFAULT_ZONE,
      cluster: null,
      features: [],
    });
    this.#keeping.set(host, keeping);
    keeping
      .catch((err: unknown) => this.#deps.log.warn({ host, err }, 'host was not kept alive'))
      .finally(() => this.#keeping.delete(host));
  }

  /** The store has all that a registration would write. */
  #isWritten(host: string, registration: HostRegistration, identity: HostIdentity): boolean {
    const { tables, server } = this.#deps;
    const alive = tables.of('alive').get(host);
    const row = tables.of('host').get(host);
    const { underlay } = identity;
    const {
      agentVersion,
      underlayMtuBytes: underlayMtu = null,
      bridgeMappings = {},
      bandwidth = {},
      availabilityZone = DEFAULT_ZONE,
      cluster = null,
      features = [],
    } = registration;
    return (
      this.#heard.has(host) &&
      alive?.server === server &&
      alive.agentId === identity.agentId &&
      alive.session === identity.session &&
      alive.underlay === identity.underlay &&
      row !== undefined &&
      isAsTold(row, {
        underlay,
        underlayMtu,
        bridgeMappings,
        bandwidth,
        availabilityZone,
        cluster,
        features,
        agentVersion,
      })
    );
  }

  #aliveOp(entry: Entry, before: AliveRow | undefined): Op {
    const { server, lease, now, onEntry } = this.#deps;
    const { agentId, session, underlay } = entry.identity;
    const isSameRun = entry.agentVersion === undefined || before?.session === session;
    this.#entries += 1;
    onEntry(entry.host, this.#entries, !isSameRun);
    const since = isSameRun && before?.since ? before.since : `${now().toISOString().slice(0, 19)}Z`;
    const value = JSON.stringify({ server, entry: this.#entries, agentId, session, underlay, since });
    return { kind: 'put', key: aliveKey(entry.host), value, lease: lease.id };
  }

  #identityOf(row: AliveRow): HostIdentity {
    const underlay = row.underlay ?? this.#deps.tables.of('host').get(row.id)?.underlay ?? '';
    return { agentId: row.agentId, session: row.session, previousSession: null, underlay };
  }

  #isFresh(heard: Heard): boolean {
    return this.#deps.monotonicMs() - heard.at <= SILENT_MS;
  }
}

/** The answer to a report or watch of a host that has to register first. */
export function notRegistered(host: string): CableError {
  return new CableError(
    'HostNotRegistered',
    `Host ${host} is not registered, or was silent for ${SILENT_MS / 1000} s.`,
    {
      fields: { host },
    },
  );
}
