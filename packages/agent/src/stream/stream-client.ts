import type { Client } from '@cable/api';
import { type Backoff, type HttpTransport, type HttpUpgrade, type Logger, sleep } from '@cable/kit';
import {
  DEFAULT_ZONE,
  HOST_PROTOCOL,
  HOST_UPGRADE,
  type HostBandwidth,
  type HostRegistration,
  type StoreHistory,
} from '@cable/model';
import { isRecord } from '../json.ts';
import { type Answer, type Connection, type ConnectionDeps, type Ending, hostPath } from './connection.ts';
import { ConnectionV1 } from './connection-v1.ts';
import { ConnectionV2 } from './connection-v2.ts';
import type { HeldRemoval, HostState } from './host-state.ts';
import { MemberReports, type MemberSource } from './member-reports.ts';
import { createReconnectWaits } from './reconnect-waits.ts';
import { createRefusalLog, errorOfAnswer, type Refusal, refusalOf, refuseHistory } from './refusal.ts';
import { parseHistory } from './server-line.ts';
import type { StateUpdate } from './slice-reader.ts';
import type { DiskStatus } from './state-disk.ts';
import { type ReportSource, StatusReports } from './status-reports.ts';

export type StreamClientOptions = {
  readonly host: string;
  readonly underlay: string;
  readonly agentVersion: string;
  /** UUID of this run. */
  readonly session: string;
};

export type StreamClientDeps = {
  readonly client: Pick<Client, 'request' | 'stream'>;
  readonly transport: Pick<HttpTransport, 'upgrade' | 'close'>;
  readonly state: HostState;
  readonly source: ReportSource;
  /** Default: the host probes none. */
  readonly members?: MemberSource;
  /** Largest packet of the underlay's device, as of now; undefined: not known. */
  readonly underlayMtuBytes: () => number | undefined;
  /** Interface of the host on each physical network; none: it is on none. */
  readonly bridgeMappings: ReadonlyMap<string, string>;
  /** What ports may be promised of the host. */
  readonly bandwidth: HostBandwidth;
  readonly availabilityZone: string;
  /** As in `HostRegistration`. */
  /** Kubernetes cluster that the host is of; undefined: none. */
  readonly cluster: string | undefined;
  readonly features: readonly string[];
  /** Calls `onLost` once the host has the address no more; answers what ends that. Absent: a connection from an address that is gone lives until it is silent. */
  readonly watchAddress?: (address: string, onLost: () => void) => () => void;
  /** Answers what the server asks; absent: nothing is answered. Does not throw. */
  readonly answer?: Answer;
  /** Told of each change, in order; it is in `state` already. */
  readonly onUpdate: (update: StateUpdate) => void;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** Milliseconds of a monotonic clock. Default `performance.now`. */
  readonly now?: () => number;
  /** Default: the machine's. */
  readonly date?: () => Date;
  /** 0..1. Default `Math.random`. */
  readonly random?: () => number;
};

/** The stream as the agent's status shows it. */
export type StreamStatus = {
  /** In sync, and the connection lives. */
  readonly connected: boolean;
  /** ISO 8601, since when `connected` is as it is. */
  readonly since: string;
  /** Why not; null: it is. */
  readonly reason: string | null;
  /** This process was in sync once. */
  readonly synced: boolean;
  /** Of the connection; null: none yet. */
  readonly protocol: number | null;
  /** The history that is followed; null: none, or the next is taken as it is. */
  readonly history: StoreHistory | null;
  /** Why the server may not be followed until an operator helps; null: it may. */
  readonly refused: Refusal | null;
  /** Ports that the server left out, and that are kept until they are there again or an operator confirms; null: none. */
  readonly heldRemoval: HeldRemoval | null;
  readonly disk: DiskStatus;
};

/** What an operator's command came to. `changed` false: there was nothing to do. */
export type OperatorAnswer = { readonly changed: boolean; readonly message: string };

/** The server sends a bookmark at least every few seconds; a connection this silent is dead. */
const SILENCE_MS = 30_000;

const NO_MEMBERS: MemberSource = { members: [], healthOf: (memberId) => ({ memberId, state: 'gone', reason: null }) };

/** Time between attempts at a server that refuses this host. */
const REFUSED_RETRY_MS = 30_000;

/** Keeps this host's state and its server in step: registers, follows, reports, and comes back when the connection ends. */
export class StreamClient {
  readonly #options: StreamClientOptions;
  readonly #deps: StreamClientDeps;
  readonly #reports: StatusReports;
  readonly #members: MemberReports;
  readonly #waits: Backoff;
  readonly #now: () => number;
  readonly #refusals: { note(refusal: Refusal | null): void };
  #active: Connection | undefined;
  #connected = false;
  #since: Date;
  #reason: string | null = 'not yet connected';
  #protocol: number | null = null;
  #refused: Refusal | null = null;
  /** The next connection starts from nothing. */
  #anew = false;
  /** A programmed revision that is of another history; undefined: none. */
  #foreignRevision: number | undefined;
  #wake: () => void = () => undefined;
  #heardMs: number | undefined;

  constructor(options: StreamClientOptions, deps: StreamClientDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#reports = new StatusReports(deps.source);
    this.#members = new MemberReports(deps.members ?? NO_MEMBERS);
    this.#since = this.#date();
    const now = deps.now ?? (() => performance.now());
    this.#now = now;
    this.#waits = createReconnectWaits(now, deps.random);
    this.#refusals = createRefusalLog(deps.log, now);
    deps.state.follow(deps.onUpdate);
  }

  get status(): StreamStatus {
    const { state } = this.#deps;
    return {
      connected: this.#connected,
      since: this.#since.toISOString(),
      reason: this.#reason,
      synced: state.synced,
      protocol: this.#protocol,
      history: state.position.history,
      refused: this.#refused,
      heldRemoval: state.heldRemoval,
      disk: state.diskStatus,
    };
  }

  /** Connects again and again until the signal aborts. Does not throw. */
  async run(): Promise<void> {
    const { signal, log } = this.#deps;
    /** Why the last connection ended: a server that is away for days is one line in the log. */
    let last: string | undefined;
    while (!signal.aborted) {
      const ending = await this.#connectOnce();
      if (signal.aborted) return;
      if (this.#connected) last = undefined;
      this.#setConnected(false);
      this.#reason = ending.reason;
      this.#refused = ending.refusal ?? null;
      if (ending.anew) this.#anew = true;
      if (ending.refusal !== undefined) this.#refusals.note(ending.refusal);
      else if (ending.reason !== last) log.warn({ reason: ending.reason }, 'host stream ended, will reconnect');
      last = ending.reason;
      await this.#sleep(ending.refusal === undefined ? this.#waits.next() : REFUSED_RETRY_MS);
    }
  }

  /** The states of these ports have changed, or they are gone: `source` says which. */
  portsChanged(portIds: Iterable<string>): void {
    this.#reports.note(portIds);
    this.#active?.portsChanged();
  }

  /** What is known of these members of pools is another, or they are gone: `members` says which. */
  membersChanged(memberIds: Iterable<string>): void {
    this.#members.note(memberIds);
    this.#active?.membersChanged();
  }

  /** `source` names other gateways whose place the host has taken. */
  gatewaysTaken(): void {
    this.#active?.portsChanged();
  }

  /** `source` names other addresses of Services. */
  announcedChanged(): void {
    this.#active?.portsChanged();
  }

  /** `source` names other leases. */
  leasesUsed(): void {
    this.#active?.portsChanged();
  }

  /** How long the server has said nothing; undefined: it has said nothing in this run. */
  get silentMs(): number | undefined {
    return this.#heardMs === undefined ? undefined : this.#now() - this.#heardMs;
  }

  /** `source` names another programmed revision. */
  programmed(): void {
    this.#active?.programmed();
  }

  /** The server is to know another MTU of the underlay: at once, or with the next connection. */
  async underlayChanged(): Promise<void> {
    if (this.#active === undefined) return;
    try {
      await this.#deps.client.request('PUT', hostPath(this.#options.host), this.#registration());
    } catch (err) {
      this.#deps.log.warn({ err }, 'the server was not told another MTU of the underlay; the next connection tells it');
    }
  }

  /** Another certificate is shown from now on: what was opened by the one before lives as long as this one, once the host has asked something by it. */
  async certificateChanged(): Promise<void> {
    if (this.#active === undefined) return this.#wake();
    try {
      await this.#deps.client.request('PUT', hostPath(this.#options.host), this.#registration());
    } catch (err) {
      this.#deps.log.warn({ err }, 'not registered by the new certificate; the next connection does it');
    }
  }

  /** Takes over the store that is refused. Idempotent. */
  async adoptStore(): Promise<OperatorAnswer> {
    const { state, source, log } = this.#deps;
    if (state.position.history === null) {
      return { changed: false, message: 'The next store that answers is taken over: nothing else is to be done.' };
    }
    if (this.#refused?.code !== 'OtherHistory') {
      return { changed: false, message: 'No other store is refused: there is nothing to take over.' };
    }
    log.warn({ given: state.position.history }, 'an operator gives up the store that was followed');
    this.#foreignRevision = source.programmedRevision();
    await state.forgetHistory();
    this.#wake();
    return { changed: true, message: 'The store is taken over: what it knows replaces what this host has.' };
  }

  /** Removes the ports that are kept though the server left them out. Idempotent. */
  async confirmRemoval(): Promise<OperatorAnswer> {
    const held = await this.#deps.state.confirmRemoval();
    if (held === null) return { changed: false, message: 'No removal of ports waits for confirmation.' };
    this.#deps.log.warn({ absent: held.absent, of: held.before }, 'an operator confirms the removal of ports');
    return {
      changed: true,
      message: `${held.absent} of ${held.before} ports are removed, and what was kept with them.`,
    };
  }

  /** One connection until it ends; answers why it did. */
  async #connectOnce(): Promise<Ending> {
    const stop = new AbortController();
    const abort = (): void => stop.abort();
    this.#deps.signal.addEventListener('abort', abort, { once: true });
    const watchdog = setTimeout(abort, SILENCE_MS);
    let reason = `nothing heard for ${SILENCE_MS / 1000} s`;
    let unwatch = (): void => undefined;
    const cameFrom = (address: string): void => {
      const lost = (): void => {
        reason = `this host has no longer the address ${address}, from which the connection was`;
        // What else was opened from it would be waited for too.
        this.#deps.transport.close();
        abort();
      };
      unwatch = this.#deps.watchAddress?.(address, lost) ?? unwatch;
    };
    try {
      const heard = (): void => {
        this.#heardMs = this.#now();
        watchdog.refresh();
      };
      const connection = await this.#open(stop.signal, { heard, cameFrom });
      if (!('run' in connection)) return connection;
      this.#active = connection;
      return await connection.run();
    } catch (err) {
      if (stop.signal.aborted) return { reason };
      const refusal = refusalOf(err);
      const message = err instanceof Error ? err.message : String(err);
      return refusal === undefined ? { reason: message } : { reason: message, refusal };
    } finally {
      this.#active = undefined;
      clearTimeout(watchdog);
      unwatch();
      this.#deps.signal.removeEventListener('abort', abort);
      stop.abort();
    }
  }

  async #open(
    signal: AbortSignal,
    told: { readonly heard: () => void; readonly cameFrom: (address: string) => void },
  ): Promise<Connection | Ending> {
    const { client, state } = this.#deps;
    const answer = await client.request('PUT', hostPath(this.#options.host), this.#registration());
    const welcome = parseWelcome(answer);
    if (welcome === undefined) return await this.#openV1(signal, told.heard);
    const refusal = refuseHistory(state.followed.history, welcome);
    if (refusal !== undefined) return { reason: refusal.message, refusal };
    // Before the server can know the session by an open stream.
    await state.saveSession(this.#options.session);
    const upgraded = await this.#upgrade(signal);
    const deps = this.#connectionDeps(signal, told.heard);
    if (!('send' in upgraded)) return this.#v1(upgraded.lines, deps);
    if (upgraded.localAddress !== undefined) told.cameFrom(upgraded.localAddress);
    this.#protocol = HOST_PROTOCOL;
    return new ConnectionV2(upgraded, { session: this.#options.session, history: welcome, anew: this.#anew }, deps);
  }

  async #openV1(signal: AbortSignal, heard: () => void): Promise<Connection> {
    const lines = await this.#deps.client.stream(this.#watchPath(), signal);
    return this.#v1(lines, this.#connectionDeps(signal, heard));
  }

  #v1(lines: AsyncIterable<string>, deps: ConnectionDeps): Connection {
    this.#protocol = 1;
    return new ConnectionV1(lines, this.#deps.client, deps);
  }

  /** A server of protocol 1 answers with its lines; one that refuses throws. */
  async #upgrade(signal: AbortSignal): Promise<HttpUpgrade | { readonly lines: AsyncIterable<string> }> {
    const headers = { connection: 'Upgrade', upgrade: HOST_UPGRADE };
    const answer = await this.#deps.transport.upgrade({ method: 'GET', path: this.#watchPath(), headers, signal });
    if (answer.status < 400) return answer;
    let body = '';
    for await (const line of answer.lines) body += line;
    throw errorOfAnswer(answer.status, body);
  }

  /** `since` is for protocol 1: with protocol 2 the `resume` line says it. */
  #watchPath(): string {
    const { revision } = this.#deps.state.position;
    return `${hostPath(this.#options.host)}/watch${revision === 0 ? '' : `?since=${revision}`}`;
  }

  #registration(): HostRegistration {
    const { underlay, agentVersion, session } = this.#options;
    const { agentId, previousSession, followed } = this.#deps.state;
    const { since, history } = this.#anew ? { ...followed, since: 0 } : followed;
    const mtuBytes = this.#deps.underlayMtuBytes();
    const { bridgeMappings: mappings, bandwidth, availabilityZone, cluster, features } = this.#deps;
    return {
      ...{ underlay, agentVersion, agentId, session, previousSession, protocol: HOST_PROTOCOL, since, history },
      ...(mtuBytes === undefined ? {} : { underlayMtuBytes: mtuBytes }),
      ...(mappings.size === 0 ? {} : { bridgeMappings: Object.fromEntries(mappings) }),
      ...(Object.keys(bandwidth).length === 0 ? {} : { bandwidth }),
      ...(availabilityZone === DEFAULT_ZONE ? {} : { availabilityZone }),
      ...(cluster === undefined ? {} : { cluster }),
      features,
    };
  }

  #connectionDeps(signal: AbortSignal, heard: () => void): ConnectionDeps {
    const { state, log, now, random, answer } = this.#deps;
    return {
      answer,
      host: this.#options.host,
      state,
      reports: this.#reports,
      members: this.#members,
      programmed: () => this.#programmedRevision(),
      heard,
      onSync: () => this.#synced(),
      log,
      signal,
      now: now ?? (() => performance.now()),
      random: random ?? Math.random,
    };
  }

  #synced(): void {
    if (!this.#connected) {
      const { revision } = this.#deps.state.position;
      this.#deps.log.info({ revision, protocol: this.#protocol }, 'in sync with the server');
    }
    this.#setConnected(true);
    this.#reason = null;
    this.#refused = null;
    this.#anew = false;
    this.#refusals.note(null);
    this.#waits.reset();
  }

  #setConnected(connected: boolean): void {
    if (connected !== this.#connected) this.#since = this.#date();
    this.#connected = connected;
  }

  #date(): Date {
    return this.#deps.date?.() ?? new Date();
  }

  /** What is in the kernel from before a store was taken over is nothing to this one. */
  #programmedRevision(): number {
    const revision = this.#deps.source.programmedRevision();
    if (revision === this.#foreignRevision) return 0;
    this.#foreignRevision = undefined;
    return revision;
  }

  async #sleep(ms: number): Promise<void> {
    const wake = new AbortController();
    const end = (): void => wake.abort();
    this.#wake = end;
    this.#deps.signal.addEventListener('abort', end, { once: true });
    await sleep(ms, wake.signal);
    this.#deps.signal.removeEventListener('abort', end);
  }
}

/** The store's history; undefined: a server of protocol 1, which answers nothing, or one that wants to speak it. */
function parseWelcome(answer: unknown): StoreHistory | undefined {
  if (!isRecord(answer) || typeof answer['protocol'] !== 'number' || answer['protocol'] < HOST_PROTOCOL)
    return undefined;
  return parseHistory(answer['history']);
}
