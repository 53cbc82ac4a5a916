/** A host plane on a real store, with simple slices and simple streams in place of the real ones. */
import { randomUUID } from 'node:crypto';
import { hostOf, isBound, isGatewayPort, isRouterInterface, type TableChange } from '@cable/compiler';
import { type Logger, silentLogger } from '@cable/kit';
import {
  BUILT_IN_RESOURCES,
  type CableError,
  type HostRegistration,
  type HostStatusReport,
  type Port,
  type SliceKey,
  type VifStatus,
} from '@cable/model';
import type { Store } from '@cable/store';
import { History } from '../history/history.ts';
import { SLICE_TABLES } from '../slices/compiled-view.ts';
import type { Compiled } from '../slices/slice-store.ts';
import { Tables } from '../tables.ts';
import { HostPlane } from './host-plane.ts';
import type { Resume, StreamPlane } from './host-stream.ts';
import type { PlaneSlices, PlaneStreams } from './plane-parts.ts';
import { grantServerLease } from './server-lease.ts';
import { presenceOp } from './server-writer.ts';

/** Slices of what each change of a port touches: `host`, `endpoints` of its network, `router`. A host needs its own and those of its ports. */
export class FakeSlices implements PlaneSlices {
  revision = 0;
  readonly #tables: Pick<Tables, 'of'>;
  readonly #listeners = new Set<(compiled: Compiled) => void>();
  readonly #reachListeners = new Set<(host: string, key: SliceKey, needed: boolean) => void>();
  #needs = new Map<string, Set<SliceKey>>();
  #batch: TableChange[] = [];
  #taken = 0;
  #timer: NodeJS.Immediate | undefined;

  readonly #loading: Promise<void>;

  /** `loading`: a load takes until it resolves. */
  constructor(tables: Pick<Tables, 'of'>, loading: Promise<void> = Promise.resolve()) {
    this.#tables = tables;
    this.#loading = loading;
  }

  get size(): number {
    return new Set([...this.#needs.values()].flatMap((keys) => [...keys])).size;
  }

  hasHost(host: string): boolean {
    return this.#tables.of('host').get(host) !== undefined;
  }

  take(revision: number, changes: readonly TableChange[]): void {
    this.#taken = revision;
    this.#batch.push(...changes);
    this.#timer ??= setImmediate(() => this.#compile());
  }

  async load(revision: number): Promise<void> {
    this.#taken = revision;
    this.revision = revision;
    this.#needs = this.#reach();
    await this.#loading;
  }

  *subscribers(key: SliceKey): Iterable<string> {
    for (const [host, keys] of this.#needs) if (keys.has(key)) yield host;
  }

  reaches(host: string, key: SliceKey): boolean {
    return this.#needs.get(host)?.has(key) === true;
  }

  onCompiled(listener: (compiled: Compiled) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  onReach(listener: (host: string, key: SliceKey, needed: boolean) => void): () => void {
    this.#reachListeners.add(listener);
    return () => this.#reachListeners.delete(listener);
  }

  async stop(): Promise<void> {
    clearImmediate(this.#timer);
  }

  #compile(): void {
    this.#timer = undefined;
    const changed: Compiled['changed'][number][] = [];
    for (const change of this.#batch.splice(0)) {
      if (change.type !== 'port' || describe(change.before) === describe(change.after)) continue;
      const id = (change.after ?? change.before)?.id ?? '';
      for (const key of new Set([...keysOf(change.before), ...keysOf(change.after)])) changed.push({ key, item: id });
    }
    const before = this.#needs;
    this.#needs = this.#reach();
    this.#tellReach(before, this.#needs, true);
    this.#tellReach(this.#needs, before, false);
    this.revision = this.#taken;
    for (const listener of this.#listeners) listener({ revision: this.revision, changed });
  }

  #tellReach(without: Map<string, Set<SliceKey>>, withThem: Map<string, Set<SliceKey>>, needed: boolean): void {
    for (const [host, keys] of withThem) {
      for (const key of keys) {
        if (without.get(host)?.has(key) === true) continue;
        for (const listener of this.#reachListeners) listener(host, key, needed);
      }
    }
  }

  #reach(): Map<string, Set<SliceKey>> {
    const needs = new Map<string, Set<SliceKey>>();
    for (const host of this.#tables.of('host').values()) needs.set(host.id, new Set<SliceKey>([`host:${host.id}`]));
    for (const port of this.#tables.of('port').values()) {
      const keys = needs.get(hostOf(port));
      if (isBound(port) || isGatewayPort(port)) for (const key of keysOf(port)) keys?.add(key);
    }
    return needs;
  }
}

type Row = Extract<TableChange, { type: 'port' }>['after'];

function keysOf(port: Row): SliceKey[] {
  if (port === undefined) return [];
  if (isRouterInterface(port)) return [`router:${port.device_id}`];
  if (isGatewayPort(port)) return [`gateways:${hostOf(port)}`];
  return isBound(port) ? [`host:${hostOf(port)}`, `endpoints:${port.network_id}`] : [];
}

/** What of a port is in slices: not its status. */
function describe(port: Row): string | undefined {
  if (port === undefined) return undefined;
  const { status, revision_number, updated_at, ...rest } = port as unknown as Port;
  return JSON.stringify(rest);
}

/** An agent at the other end of a stream: it programs at once what it is sent, unless it is told not to. */
export class FakeAgent {
  readonly host: string;
  readonly session: string;
  acknowledges = true;
  /** What it has been sent. */
  sent = 0;
  revision = 0;
  ended: string | undefined;
  ackWithinMs: number | undefined;
  readonly #plane: StreamPlane;
  readonly #onEnd: () => void;

  constructor(host: string, session: string, plane: StreamPlane, onEnd: () => void) {
    this.host = host;
    this.session = session;
    this.#plane = plane;
    this.#onEnd = onEnd;
  }

  report(vifs: readonly VifStatus[] = [], more: Partial<Omit<HostStatusReport, 'vifs'>> = {}): void {
    if (this.ended !== undefined) return;
    const report = { revision: this.revision, full: false, ...more, vifs };
    this.#plane.report(this.host, this.session, report).catch((err: unknown) => this.end(String(err)));
  }

  /** Programs what it was sent. */
  acknowledge(): void {
    this.revision = this.sent;
    this.report();
  }

  up(portId: string): void {
    this.report([{ portId, state: 'up', reason: null }]);
  }

  end(reason: string): void {
    this.ended ??= reason;
    this.#onEnd();
  }
}

/** Sends every change at once to every agent that needs it. */
export class FakeStreams implements PlaneStreams {
  readonly agents: Map<string, FakeAgent> = new Map();
  readonly #plane: StreamPlane;
  readonly #slices: FakeSlices;

  constructor(slices: FakeSlices, plane: StreamPlane) {
    this.#plane = plane;
    this.#slices = slices;
    slices.onCompiled(({ revision, changed }) => {
      const hosts = new Set(changed.flatMap(({ key }) => [...slices.subscribers(key)]));
      for (const host of hosts) this.#send(host, revision);
    });
  }

  get size(): number {
    return this.agents.size;
  }

  protocols(): Readonly<Record<string, number>> {
    return { 2: this.size };
  }

  has(host: string): boolean {
    return this.agents.has(host);
  }

  hasSession(host: string, session: string): boolean {
    return this.agents.get(host)?.session === session;
  }

  owes(host: string): boolean {
    return !this.has(host);
  }

  refuse(host: string, error: CableError): void {
    this.agents.get(host)?.end(error.code);
  }

  endAll(reason: string): void {
    for (const agent of [...this.agents.values()]) agent.end(reason);
  }

  stop(reason: string): void {
    this.endAll(reason);
  }

  openV1(host: string): void {
    this.#open(host, '');
  }

  /** Opens a stream of protocol 2. Throws when it is refused. */
  async connect(host: string, session: string, held: Partial<Resume> = {}): Promise<FakeAgent> {
    await this.#plane.admit(host, { type: 'resume', session, since: 0, history: null, slices: {}, ...held });
    return this.#open(host, session);
  }

  #open(host: string, session: string): FakeAgent {
    const agent: FakeAgent = new FakeAgent(host, session, this.#plane, () => {
      if (this.agents.get(host) === agent) this.agents.delete(host);
    });
    this.agents.set(host, agent);
    this.#send(host, this.#slices.revision);
    return agent;
  }

  #send(host: string, revision: number): void {
    const agent = this.agents.get(host);
    if (agent === undefined) return;
    agent.ackWithinMs = this.#plane.ackWithinMs();
    this.#plane.sent(host, revision);
    agent.sent = revision;
    if (agent.acknowledges && agent.session !== '') queueMicrotask(() => agent.acknowledge());
  }
}

export type FakeServer = {
  readonly id: string;
  readonly plane: HostPlane<FakeSlices, FakeStreams>;
  readonly tables: Tables;
  readonly history: History;
  /** Moves the monotonic clock on. */
  advance(ms: number): void;
  /** Registers a host and opens its stream. */
  join(host: string, underlay: string, more?: Partial<HostRegistration>): Promise<FakeAgent>;
  stop(): Promise<void>;
};

/** `loading`: what the store holds is not computed before it resolves. */
export async function startFakeServer(
  store: Store,
  log: Logger = silentLogger(),
  loading?: Promise<void>,
): Promise<FakeServer> {
  const abort = new AbortController();
  const clock = { ahead: 0 };
  const monotonicMs = (): number => performance.now() + clock.ahead;
  const tables = new Tables({
    store,
    resources: BUILT_IN_RESOURCES,
    log,
    signal: abort.signal,
    derived: SLICE_TABLES,
  });
  await tables.start();
  const { signal } = abort;
  const running: { plane?: HostPlane<FakeSlices, FakeStreams> } = {};
  const id = randomUUID();
  const lease = await grantServerLease(store);
  const history = await History.start({
    ...{ store, log, signal, monotonicMs },
    presence: presenceOp(id, lease),
    revision: () => tables.revision,
    onOther: async () => running.plane?.takeOver(() => tables.relist()),
  });
  const plane = await HostPlane.start({
    ...{ store, tables, history, log, monotonicMs, lease },
    server: id,
    now: () => new Date(),
    makeSlices: () => new FakeSlices(tables, loading),
    makeStreams: (slices, plane) => new FakeStreams(slices, plane),
  });
  running.plane = plane;
  return {
    ...{ id, plane, tables, history },
    advance: (ms) => {
      clock.ahead += ms;
    },
    join: async (host, underlay, more = {}) => {
      const session = more.session ?? randomUUID();
      const registration = { underlay, agentVersion: 'test', agentId: randomUUID(), protocol: 2, ...more, session };
      await plane.register(host, registration);
      return plane.streams.connect(host, session);
    },
    stop: async () => {
      await plane.stop();
      abort.abort();
      await Promise.all([tables.stopped(), history.done]);
    },
  };
}

/** Resolves when the condition holds, looked at after each change of the server's tables and each few milliseconds. */
export async function until(condition: () => boolean, what: string, ms = 60_000): Promise<void> {
  const deadline = performance.now() + ms;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`${what}: waited ${ms} ms in vain`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
