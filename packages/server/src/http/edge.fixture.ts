/** A whole server behind real listeners, on a store whose writes can be held up. */
import { mkdtemp, rm } from 'node:fs/promises';
import { type IncomingHttpHeaders, request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { silentLogger } from '@cable/kit';
import {
  BUILT_IN_EXTENSIONS,
  BUILT_IN_REGISTRY,
  CORE_RESOURCES,
  composeRegistry,
  type NeutronErrorBody,
} from '@cable/model';
import { openStore, type Store } from '@cable/store';
import { createUpgradeHandler } from '../hosts/upgrade.ts';
import { type LimitSettings, NO_LIMITS } from '../limits/request-limits.ts';
import { listen } from '../listen.ts';
import { type CableServer, startServer } from '../server.ts';
import type { AdmissionLimits } from './admission.ts';
import { type Authenticator, noauth } from './auth.ts';

export type EdgeAnswer = {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly error: NeutronErrorBody['NeutronError'] | undefined;
};

export type Asking = {
  readonly body?: string | Buffer;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** Over the Unix socket; default: TCP. */
  readonly isUnix?: boolean;
};

export type Edge = {
  readonly server: CableServer;
  readonly url: URL;
  readonly socketPath: string;
  /** Writes are held from now on, until they are let go. Gives how to; and how many are held. */
  hold(): { readonly held: () => number; letGo(): void };
  ask(method: string, path: string, more?: Asking): Promise<EdgeAnswer>;
  /** Sends this text on a connection of its own and gives all that comes until the server closes it. */
  raw(text: string | Buffer): Promise<string>;
};

const JSON_TYPE = { 'content-type': 'application/json' };

/** Everything is gone when the test ends. */
export async function startEdge(
  t: TestContext,
  limits: Partial<AdmissionLimits> = {},
  authenticate: Authenticator = noauth(),
  shares: LimitSettings = NO_LIMITS,
): Promise<Edge> {
  const directory = await mkdtemp(join(tmpdir(), `cable-edge-${process.pid}-`));
  const real = await openStore(`lmdb:${directory}/store`, { log: silentLogger() });
  const gate = holdable(real);
  const settings = { underlayMtuBytes: 1500 };
  const log = silentLogger();
  const server = await startServer({
    store: gate.store,
    registry: BUILT_IN_REGISTRY,
    compose: (added) => composeRegistry(CORE_RESOURCES, [...BUILT_IN_EXTENSIONS, ...added]),
    authenticate,
    settings,
    log,
    limits,
    shares,
  });
  const upgrade = createUpgradeHandler({
    ...{ authenticate, log },
    admit: (request) => server.shares.enterByAddress(request).leave(),
    permit: (caller, place) => server.permitAgent(caller, place),
    open: (host) => server.openStream(host),
  });
  const socketPath = join(directory, 's.sock');
  const listeners = await listen({ request: (request, reply) => server.app.routing(request, reply), upgrade }, [
    { kind: 'tcp', host: '127.0.0.1', port: 0 },
    { kind: 'unix', path: socketPath },
  ]);
  t.after(async () => {
    gate.letGo();
    const closed = listeners.stop();
    await server.stop();
    await closed;
    await real.close();
    await rm(directory, { recursive: true, force: true });
  });
  const url = new URL(listeners.urls[0] ?? '');
  return {
    ...{ server, url, socketPath, hold: gate.hold },
    ask: (method, path, more = {}) => ask({ url, socketPath }, method, path, more),
    raw: (text) => raw(url, text),
  };
}

function holdable(real: Store): { readonly store: Store; hold: Edge['hold']; letGo(): void } {
  let waiting: (() => void)[] | undefined;
  const letGo = (): void => {
    const all = waiting ?? [];
    waiting = undefined;
    for (const go of all) go();
  };
  const store: Store = {
    ...bound(real),
    txn: async (compares, ops) => {
      if (waiting !== undefined && ops.some((op) => 'key' in op && op.key.startsWith('/cable/o/'))) {
        await new Promise<void>((resolve) => waiting?.push(resolve));
      }
      return real.txn(compares, ops);
    },
  };
  const hold = (): ReturnType<Edge['hold']> => {
    waiting = [];
    return { held: () => waiting?.length ?? 0, letGo };
  };
  return { store, hold, letGo };
}

function bound(store: Store): Omit<Store, 'txn'> {
  return {
    get: (key) => store.get(key),
    list: (prefix) => store.list(prefix),
    listPages: (prefix) => store.listPages(prefix),
    watch: (prefix, options) => store.watch(prefix, options),
    grantLease: (ttlSeconds) => store.grantLease(ttlSeconds),
    keepAlive: (lease) => store.keepAlive(lease),
    revokeLease: (lease) => store.revokeLease(lease),
    compact: (below) => store.compact(below),
    health: () => store.health(),
    close: () => store.close(),
  };
}

function ask(
  { url, socketPath }: Pick<Edge, 'url' | 'socketPath'>,
  method: string,
  path: string,
  { body, headers = {}, signal, isUnix = false }: Asking,
): Promise<EdgeAnswer> {
  return new Promise((resolve, reject) => {
    const where = isUnix ? { socketPath } : { host: url.hostname, port: url.port };
    const all = { ...(body === undefined ? {} : JSON_TYPE), ...headers };
    const call = request(
      { ...where, method, path, headers: all, agent: false, ...(signal ? { signal } : {}) },
      (reply) => {
        let text = '';
        reply.setEncoding('utf8');
        reply.on('data', (chunk: string) => {
          text += chunk;
        });
        reply.on('error', reject);
        reply.on('end', () => {
          const error = text.startsWith('{"NeutronError"')
            ? (JSON.parse(text) as NeutronErrorBody).NeutronError
            : undefined;
          resolve({ status: reply.statusCode ?? 0, headers: reply.headers, text, error });
        });
      },
    );
    call.on('error', reject);
    call.end(body);
  });
}

function raw(url: URL, text: string | Buffer): Promise<string> {
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect(Number(url.port), url.hostname);
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => {
      answer += chunk;
    });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(answer));
    socket.write(text);
  });
}
