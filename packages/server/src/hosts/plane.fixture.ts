/** What the host plane's tests share: a store in a temporary directory, servers over it, and simulated agents over real HTTP. */
import { mkdtemp, rm } from 'node:fs/promises';
import { type IncomingMessage, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { silentLogger } from '@cable/kit';
import {
  type AnyObject,
  BUILT_IN_RESOURCES,
  CableError,
  type Host,
  type HostStatusReport,
  type Network,
  type Port,
  type Router,
  type Slice,
  type SliceKey,
  type Subnet,
  type VifStatus,
  type WatchLine,
} from '@cable/model';
import { openStore, type Store } from '@cable/store';
import fastify, { type FastifyInstance } from 'fastify';
import { objectKey } from '../keys.ts';
import { parseObject } from '../rows.ts';
import { SLICE_TABLES } from '../slices/tables.ts';
import { Tables } from '../tables.ts';
import { createHostPlane, type HostPlane, type HostPlaneOptions } from './host-plane.ts';
import { addHostRoutes } from './routes.ts';

export type TestServer = {
  readonly url: string;
  readonly plane: HostPlane;
  readonly tables: Tables;
  stop(): Promise<void>;
};

/** A store in a directory of its own; `reopen` is what a restarted server does. */
export async function openTemporaryStore(): Promise<{
  store: Store;
  reopen(): Promise<Store>;
  remove(): Promise<void>;
}> {
  const directory = await mkdtemp(join(tmpdir(), `cable-plane-${process.pid}-`));
  const open = (): Promise<Store> => openStore(`lmdb:${directory}`, { log: silentLogger() });
  const opened = { store: await open() };
  return {
    get store() {
      return opened.store;
    },
    reopen: async () => {
      await opened.store.close();
      opened.store = await open();
      return opened.store;
    },
    remove: async () => {
      await opened.store.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

export async function startServer(store: Store, options: Partial<HostPlaneOptions> = {}): Promise<TestServer> {
  const abort = new AbortController();
  const log = silentLogger();
  const tables = new Tables({
    store,
    resources: BUILT_IN_RESOURCES,
    log,
    signal: abort.signal,
    derived: SLICE_TABLES,
  });
  await tables.start();
  const plane = createHostPlane({ store, tables, log, ...options });
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
      await tables.stopped();
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
  readonly slices: Map<SliceKey, Slice> = new Map();
  readonly lines: WatchLine[] = [];
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
      if (this.#response === response) this.#take(JSON.parse(text) as WatchLine);
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

  #take(line: WatchLine): void {
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

/** Fails when the promise takes longer than a test may. */
export async function within<T>(promise: Promise<T>, what: string, ms = 5000): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: waited ${ms} ms in vain`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
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

export function uuid(n: number): string {
  return `00000000-0000-4000-8000-${n.toString(16).padStart(12, '0')}`;
}

const STANDARD = {
  project_id: 'p',
  description: '',
  created_at: '2026-01-01T00:00:00Z',
  updated_at: '2026-01-01T00:00:00Z',
  revision_number: 0,
};

/** The object as the store has it: attributes not given have their declared defaults, so that a new one changes nothing here. */
function stored<T extends AnyObject>(type: string, given: Partial<T>): T {
  const resource = BUILT_IN_RESOURCES.find(({ name }) => name === type);
  const object = resource === undefined ? undefined : parseObject(resource, JSON.stringify(given));
  if (object === undefined) throw new Error(`not a ${type}`);
  return object as T;
}

export function testNetwork(n: number, more: Partial<Network> = {}): Network {
  return stored<Network>('network', {
    id: uuid(n),
    name: `net${n}`,
    admin_state_up: true,
    status: 'ACTIVE',
    shared: false,
    mtu: 1450,
    port_security_enabled: true,
    'provider:network_type': 'vxlan',
    'provider:physical_network': null,
    'provider:segmentation_id': n,
    ...STANDARD,
    ...more,
  });
}

export function testPort(n: number, network: Network, host: string, more: Partial<Port> = {}): Port {
  return stored<Port>('port', {
    id: uuid(n),
    name: `port${n}`,
    network_id: network.id,
    admin_state_up: true,
    mac_address: `02:00:00:00:${(n >> 8).toString(16).padStart(2, '0')}:${(n & 255).toString(16).padStart(2, '0')}`,
    fixed_ips: [{ subnet_id: uuid(99), ip_address: `10.0.${n >> 8}.${n & 255}` }],
    device_id: '',
    device_owner: 'compute:nova',
    status: 'DOWN',
    security_groups: [],
    allowed_address_pairs: [],
    port_security_enabled: true,
    'binding:host_id': host,
    'binding:vnic_type': 'normal',
    'binding:profile': {},
    'cable:hostname': null,
    'cable:user_data': null,
    ...STANDARD,
    ...more,
  });
}

export function testSubnet(network: Network): Subnet {
  return stored<Subnet>('subnet', {
    id: `${network.id.slice(0, 4)}5${network.id.slice(5)}`,
    name: '',
    network_id: network.id,
    ip_version: 4,
    cidr: '10.0.0.0/16',
    gateway_ip: '10.0.0.1',
    allocation_pools: [],
    enable_dhcp: true,
    dns_nameservers: [],
    host_routes: [],
    ...STANDARD,
  });
}

export function testRouter(n: number): Router {
  return stored<Router>('router', {
    id: uuid(n),
    name: '',
    admin_state_up: true,
    status: 'ACTIVE',
    routes: [],
    ...STANDARD,
  });
}

/** Writes an object as the API would; gives the revision. */
export async function putObject(store: Store, type: string, object: { readonly id: string } | Host): Promise<number> {
  const result = await store.txn([], [{ kind: 'put', key: objectKey(type, object.id), value: JSON.stringify(object) }]);
  return result.revision;
}

export async function deleteObject(store: Store, type: string, id: string): Promise<number> {
  return (await store.txn([], [{ kind: 'delete', key: objectKey(type, id) }])).revision;
}

/** Changes some attributes of a stored object, as the API would. */
export async function patchObject(store: Store, type: string, id: string, more: object): Promise<void> {
  for (;;) {
    const kv = await store.get(objectKey(type, id));
    if (kv === undefined) throw new Error(`no ${type} ${id}`);
    const value = JSON.stringify({ ...JSON.parse(kv.value), ...more });
    const compare = { kind: 'modRevision', key: kv.key, revision: kv.modRevision } as const;
    if ((await store.txn([compare], [{ kind: 'put', key: kv.key, value }])).ok) return;
  }
}
