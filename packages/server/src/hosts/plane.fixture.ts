/** What the host plane's tests share: servers over a store, and simulated agents of protocol 1 over real HTTP. */
import { randomUUID } from 'node:crypto';
import { type IncomingMessage, request } from 'node:http';
import { createInterface } from 'node:readline';
import { silentLogger } from '@cable/kit';
import {
  BUILT_IN_RESOURCES,
  CableError,
  type HostStatusReport,
  type SliceKeyV1,
  type SliceV1,
  type VifStatus,
  type WatchLineV1,
} from '@cable/model';
import type { KeyValue, Store } from '@cable/store';
import fastify, { type FastifyInstance } from 'fastify';
import { History } from '../history/history.ts';
import { compilerTables, SLICE_TABLES } from '../slices/compiled-view.ts';
import { SliceStore } from '../slices/slice-store.ts';
import { Tables } from '../tables.ts';
import { HostPlane } from './host-plane.ts';
import { within } from './objects.fixture.ts';
import { addHostRoutes } from './routes.ts';
import { grantServerLease } from './server-lease.ts';
import { presenceOp } from './server-writer.ts';
import { Streams } from './streams.ts';

export type TestServer = {
  readonly url: string;
  readonly plane: HostPlane<SliceStore, Streams>;
  readonly tables: Tables;
  stop(): Promise<void>;
};

export async function startServer(store: Store): Promise<TestServer> {
  const abort = new AbortController();
  const { signal } = abort;
  const log = silentLogger();
  const monotonicMs = (): number => performance.now();
  const heard: { mark: (mark: KeyValue) => void } = { mark: () => {} };
  const tables = new Tables({
    ...{ store, log, signal },
    resources: BUILT_IN_RESOURCES,
    derived: SLICE_TABLES,
    onMark: (mark) => heard.mark(mark),
  });
  await tables.start();
  const server = randomUUID();
  const lease = await grantServerLease(store);
  const history = await History.start({
    ...{ store, log, signal, monotonicMs },
    presence: presenceOp(server, lease),
    revision: () => tables.revision,
    onOther: () => tables.relist(),
  });
  heard.mark = (mark) => history.heard(mark);
  const plane = await HostPlane.start({
    ...{ store, tables, history, log, monotonicMs, server, lease },
    now: () => new Date(),
    makeSlices: (compiled, onError) => new SliceStore({ tables: compiled, onError }),
    makeStreams: (slices, streamPlane) =>
      new Streams({
        ...{ store: slices, plane: streamPlane, tables: compilerTables(tables), log },
        keepaliveMs: 10_000,
        stalledMs: 30_000,
      }),
  });
  const app: FastifyInstance = fastify({ forceCloseConnections: true });
  app.setErrorHandler((err, _request, reply) => {
    if (!(err instanceof CableError)) return reply.code(500).send({ message: String(err) });
    return reply.code(err.status).send({ type: err.type, message: err.message });
  });
  addHostRoutes(app, plane);
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  return {
    url,
    plane,
    tables,
    stop: async () => {
      await plane.stop();
      await app.close();
      abort.abort();
      await Promise.all([tables.stopped(), history.done]);
    },
  };
}

export type Answer = { readonly status: number; readonly body: string };

export function send(url: string, method: string, path: string, body?: unknown): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const call = request(`${url}${path}`, { method, headers: { 'content-type': 'application/json' } }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text }));
      response.on('error', reject);
    });
    call.on('error', reject);
    call.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

/** An agent that only follows the protocol: it "programs" a state at once when `acknowledges` is true. */
export class TestAgent {
  readonly host: string;
  readonly slices: Map<SliceKeyV1, SliceV1> = new Map();
  readonly lines: WatchLineV1[] = [];
  /** Devices that exist; reported `up` when the host slice has their port. */
  readonly devices: Set<string> = new Set();
  acknowledges: boolean = true;
  revision: number = 0;
  #url: string;
  #response: IncomingMessage | undefined;
  #waiters = new Set<() => void>();
  #reported = new Map<string, string>();

  constructor(url: string, host: string) {
    this.#url = url;
    this.host = host;
  }

  async register(underlay: string): Promise<Answer> {
    return send(this.#url, 'PUT', `/cable/v1/hosts/${this.host}`, { underlay, agentVersion: 'test' });
  }

  /** Opens the stream and resolves at its `sync`. */
  async connect(url: string = this.#url, since: number = this.revision): Promise<void> {
    this.#url = url;
    this.lines.length = 0;
    const synced = this.until(() => this.lines.some((line) => line.type === 'sync'));
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      request(`${url}/cable/v1/hosts/${this.host}/watch?since=${since}`, resolve).on('error', reject).end();
    });
    if (response.statusCode !== 200) throw new Error(`watch was answered ${response.statusCode}`);
    this.#response = response;
    response.on('error', () => {});
    const reader = createInterface({ input: response });
    reader.on('line', (text) => {
      if (this.#response === response) this.#take(JSON.parse(text) as WatchLineV1);
    });
    reader.on('error', () => {});
    await synced;
  }

  disconnect(): void {
    this.#response?.destroy();
    this.#response = undefined;
  }

  /** Resolves when the server has ended the stream. */
  async closed(): Promise<void> {
    const response = this.#response;
    if (response === undefined || response.closed) return;
    await within(
      new Promise<void>((resolve) => response.once('close', () => resolve())),
      `end of ${this.host}'s stream`,
    );
  }

  /** Resolves when the condition holds, which is looked at after each line. */
  async until(condition: () => boolean): Promise<void> {
    await within(
      new Promise<void>((resolve) => {
        const look = (): void => {
          if (!condition()) return;
          this.#waiters.delete(look);
          resolve();
        };
        this.#waiters.add(look);
        if (this.lines.length > 0) look();
      }),
      `agent ${this.host}`,
    );
  }

  /** Reports what changed since the last report. */
  async report(more: Partial<HostStatusReport> = {}): Promise<Answer> {
    const vifs: VifStatus[] = [];
    const local = this.#localPorts();
    for (const portId of this.#reported.keys()) if (!local.includes(portId)) this.#reported.delete(portId);
    for (const portId of local) {
      const state = this.devices.has(portId) ? 'up' : 'down';
      if (this.#reported.get(portId) !== state) vifs.push({ portId, state, reason: null });
      this.#reported.set(portId, state);
    }
    const body: HostStatusReport = { revision: this.revision, full: false, vifs, ...more };
    return send(this.#url, 'POST', `/cable/v1/hosts/${this.host}/status`, body);
  }

  #localPorts(): string[] {
    const slice = this.slices.get(`host:${this.host}`);
    return slice?.kind === 'host' ? slice.ports.map((port) => port.id) : [];
  }

  #take(line: WatchLineV1): void {
    this.lines.push(line);
    if (line.type === 'put') this.slices.set(line.key, line.slice);
    if (line.type === 'delete') this.slices.delete(line.key);
    if (line.type === 'sync')
      for (const key of this.slices.keys()) if (!line.keys.includes(key)) this.slices.delete(key);
    if (line.type === 'sync' || line.type === 'bookmark') {
      const moved = line.revision !== this.revision;
      if (this.acknowledges) this.revision = line.revision;
      if (this.acknowledges && moved) this.report().catch(() => {});
    }
    for (const look of [...this.#waiters]) look();
  }
}

/** Resolves when the condition on the server's tables holds. */
export function untilTables(server: TestServer, condition: () => boolean, what: string): Promise<void> {
  let stop: () => void = () => {};
  const held = new Promise<void>((resolve) => {
    stop = server.tables.onChange(() => {
      if (condition()) resolve();
    });
    if (condition()) resolve();
  });
  return within(held, what).finally(() => stop());
}

export function portStatusOf(server: TestServer, id: string): string | undefined {
  return server.tables.of('port').get(id)?.status;
}

export function untilStatus(server: TestServer, id: string, status: string): Promise<void> {
  return untilTables(server, () => portStatusOf(server, id) === status, `port ${id.slice(-4)} ${status}`);
}
