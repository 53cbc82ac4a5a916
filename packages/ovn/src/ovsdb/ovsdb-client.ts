/** A client of one database that stays connected: what it monitors is current, or nothing is said of it. */
import { createBackoff, type Logger, sleep } from '@cable/kit';
import type { MessageLimits } from './message-splitter.ts';
import { OvsdbError } from './ovsdb-error.ts';
import { formatRemote, type Remote, type RemoteTls } from './remote.ts';
import { Replica, type RowChange, type UpdateForm } from './replica.ts';
import { connectRpc, type Notification, type RpcConnection } from './rpc-connection.ts';
import { parseSchema } from './schema.ts';

/** An operation of a transaction (RFC 7047 §5.2). */
export type Operation = Readonly<Record<string, unknown>> & { readonly op: string };

/** What whoever uses it is told. Each is called between two of his own steps, never within `transact`. */
export type OvsdbListener = {
  /** All that is monitored is known, for the first time on this connection. */
  synced(replica: Replica): void;
  /** Rows changed. What a transaction of this client changed is told before the transaction is answered. */
  changed(changes: readonly RowChange[]): void;
  /** The connection is over. */
  lost(): void;
  /** Whether this client has the lock. Only where one is asked for. */
  locked(has: boolean): void;
};

export type OvsdbClientOptions = {
  /** Tried one after the other, from the one that was good last. Those of a cluster: its leader is followed. */
  readonly remotes: readonly Remote[];
  readonly database: string;
  /** Table -> columns that are monitored. */
  readonly tables: Readonly<Record<string, readonly string[]>>;
  /** Name of the lock (RFC 7047 §4.1.8); absent: none is asked for. */
  readonly lock?: string;
  readonly tls?: RemoteTls;
  /** Default: messages of 256 MiB and 64 levels. */
  readonly limits?: MessageLimits;
  /** Default 5 s; see `RpcOptions`. */
  readonly probeMs?: number;
  /** Default 30 s; see `RpcOptions`. */
  readonly requestMs?: number;
  /** Default 100 ms to 8 s. */
  readonly backoff?: { readonly minMs: number; readonly maxMs: number };
};

type Deps = { readonly listener: OvsdbListener; readonly log: Logger; readonly signal: AbortSignal };

const LIMITS: MessageLimits = { bytes: 256 * 1024 * 1024, depth: 64 };
const CONNECT_MS = 5000;
const EARLY_MAX = 10_000;
const MONITOR = 'cable';
const SERVER_MONITOR = 'cable-server';

/** Starts it. `done` resolves after the signal aborts. */
export class OvsdbClient {
  readonly done: Promise<void>;
  readonly #options: OvsdbClientOptions;
  readonly #deps: Deps;
  #rpc: RpcConnection | undefined;
  #replica: Replica | undefined;
  /** Why it is not connected; undefined: it is. */
  #problem: string | undefined = 'has not connected yet';

  constructor(options: OvsdbClientOptions, deps: Deps) {
    this.#options = options;
    this.#deps = deps;
    this.done = this.#stayConnected();
  }

  /** Why nothing can be read or written now; undefined: all is well. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Rows as they are there; undefined: not connected. */
  get replica(): Replica | undefined {
    return this.#replica;
  }

  /**
   * All of it or nothing; the result of each operation. With a lock nothing is done without holding it. Throws `OvsdbError`: refused, with the server's word for it; lost, when nobody knows what became of it.
   */
  async transact(operations: readonly Operation[]): Promise<readonly unknown[]> {
    const rpc = this.#rpc;
    if (rpc === undefined || this.#replica === undefined)
      throw new OvsdbError('lost', `${this.#options.database}: ${this.#problem}`);
    const { database, lock } = this.#options;
    const assertion = lock === undefined ? [] : [{ op: 'assert', lock }];
    const results = await rpc.request('transact', [database, ...assertion, ...operations]);
    if (!Array.isArray(results)) throw new OvsdbError('hostile', 'a transaction was answered by no list');
    for (const result of results as readonly unknown[]) assertDone(result);
    return results.slice(assertion.length) as readonly unknown[];
  }

  async #stayConnected(): Promise<void> {
    const { log, signal } = this.#deps;
    const { remotes, database, backoff: waits = { minMs: 100, maxMs: 8000 } } = this.#options;
    const backoff = createBackoff(waits);
    let last = '';
    for (let turn = 0; !signal.aborted; ) {
      const remote = remotes[turn % remotes.length];
      if (remote === undefined) throw new Error('a client needs a remote');
      const began = performance.now();
      const reason = await this.#session(remote);
      if (signal.aborted) return;
      this.#problem = reason.message;
      if (reason.message !== last)
        log.warn({ database, remote: formatRemote(remote), err: reason }, 'database is away');
      last = reason.message;
      turn += 1;
      if (performance.now() - began > waits.maxMs) backoff.reset();
      // Another member of a cluster is asked at once: it may be the leader.
      if (turn % remotes.length === 0 || reason.kind !== 'lost') await sleep(backoff.next(), signal);
    }
  }

  /** One connection from beginning to end; why it ended. */
  async #session(remote: Remote): Promise<OvsdbError> {
    const { signal, listener, log } = this.#deps;
    let rpc: RpcConnection | undefined;
    const stop = (): void => rpc?.close();
    signal.addEventListener('abort', stop, { once: true });
    try {
      rpc = await this.#connect(remote, (notification) => this.#notified(notification));
      await this.#begin(rpc);
      log.info({ database: this.#options.database, remote: formatRemote(remote) }, 'database is followed');
      return await rpc.closed;
    } catch (err) {
      const reason = err instanceof OvsdbError ? err : new OvsdbError('hostile', String(err), { cause: err });
      rpc?.close(reason);
      return reason;
    } finally {
      signal.removeEventListener('abort', stop);
      const wasThere = this.#replica !== undefined;
      this.#rpc = undefined;
      this.#replica = undefined;
      this.#early.length = 0;
      if (wasThere) listener.lost();
    }
  }

  #connect(remote: Remote, onNotification: (notification: Notification) => void): Promise<RpcConnection> {
    const { limits = LIMITS, probeMs = 5000, requestMs = 30_000, tls } = this.#options;
    return connectRpc(
      remote,
      { limits, probeMs, requestMs, connectMs: CONNECT_MS, tls, onNotification },
      this.#deps.signal,
    );
  }

  async #begin(rpc: RpcConnection): Promise<void> {
    const { database, tables, lock } = this.#options;
    const { listener } = this.#deps;
    await followLeader(rpc, database);
    const schema = parseSchema(await rpc.request('get_schema', [database]), tables);
    const replica = new Replica(schema);
    const requests = Object.fromEntries(
      Object.entries(schema).map(([table, columns]) => [table, [{ columns: Object.keys(columns) }]]),
    );
    const [form, initial] = await monitor(rpc, [database, MONITOR, requests]);
    replica.apply(form, initial);
    const has = lock === undefined ? undefined : isLocked(await rpc.request('lock', [lock]));
    this.#rpc = rpc;
    this.#replica = replica;
    this.#problem = undefined;
    if (has !== undefined) listener.locked(has);
    for (const notification of this.#early.splice(0)) this.#take(replica, notification);
    listener.synced(replica);
  }

  /** What was told before all was known. */
  readonly #early: Notification[] = [];

  #notified(notification: Notification): void {
    const { params, method } = notification;
    if (params[0] === SERVER_MONITOR && (method === 'update' || method === 'update2'))
      assertLeader(params[1], method, this.#options.database);
    else if (this.#replica === undefined) this.#keepEarly(notification);
    else this.#tell(this.#take(this.#replica, notification));
  }

  #keepEarly(notification: Notification): void {
    if (this.#early.length >= EARLY_MAX) throw new OvsdbError('hostile', 'updates come, and never what they change');
    this.#early.push(notification);
  }

  #tell(changes: readonly RowChange[]): void {
    if (changes.length > 0) this.#deps.listener.changed(changes);
  }

  #take(replica: Replica, { method, params }: Notification): readonly RowChange[] {
    if (method === 'locked' || method === 'stolen') this.#deps.listener.locked(method === 'locked');
    if (method !== 'update' && method !== 'update2') return [];
    if (params[0] !== MONITOR) throw new OvsdbError('hostile', 'an update is of no monitor');
    return replica.apply(method, params[1]);
  }
}

/** `monitor_cond` where the server has it: it says what changed, and no more. */
async function monitor(rpc: RpcConnection, params: readonly unknown[]): Promise<readonly [UpdateForm, unknown]> {
  try {
    return ['update2', await rpc.request('monitor_cond', params)];
  } catch (err) {
    if (!(err instanceof OvsdbError) || err.code !== 'unknown method') throw err;
    return ['update', await rpc.request('monitor', params)];
  }
}

/** Of the server's own database, what says who leads. */
const SERVER_TABLES = { Database: ['name', 'model', 'connected', 'leader'] };

/** Throws `OvsdbError` (lost) where the server is not the leader of a cluster. A server without `_Server` is older than clusters. */
async function followLeader(rpc: RpcConnection, database: string): Promise<void> {
  const names = await rpc.request('list_dbs', []);
  if (!Array.isArray(names)) throw new OvsdbError('hostile', 'the names of databases are no list');
  if (!names.includes(database)) throw new OvsdbError('lost', `the server has no database ${database}`);
  if (!names.includes('_Server')) return;
  const requests = { Database: [{ columns: SERVER_TABLES.Database }] };
  const [form, initial] = await monitor(rpc, ['_Server', SERVER_MONITOR, requests]);
  assertLeader(initial, form, database);
}

/** An update of `_Server` says all of a row when it changes by RFC 7047, and only what changed otherwise: what is not said is as it was. */
function assertLeader(update: unknown, form: UpdateForm, database: string): void {
  const rows = Object.values(Object(Object(update)['Database']) as Record<string, unknown>);
  for (const given of rows) {
    const parts = Object(given) as Readonly<Record<string, unknown>>;
    const { name, model, connected, leader } = Object(
      form === 'update' ? parts['new'] : (parts['initial'] ?? parts['insert'] ?? parts['modify']),
    ) as Readonly<Record<string, unknown>>;
    if (name !== undefined && name !== database) continue;
    const isOfCluster = name === undefined || model === 'clustered';
    if (isOfCluster && (leader === false || connected === false))
      throw new OvsdbError('lost', 'the server does not lead its cluster, or is cut off from it');
  }
}

function isLocked(answer: unknown): boolean {
  return (Object(answer) as Readonly<Record<string, unknown>>)['locked'] === true;
}

/** Results behind the one that failed are null; one more may tell what failed at the end. */
function assertDone(result: unknown): void {
  if (result === null) return;
  const { error, details } = Object(result) as Readonly<Record<string, unknown>>;
  if (typeof error !== 'string') return;
  const more = typeof details === 'string' ? `: ${details}` : '';
  throw new OvsdbError('refused', `${error}${more}`.slice(0, 1000), { code: error });
}
