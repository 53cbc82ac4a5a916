import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTcpServer, type Socket, type Server as TcpServer } from 'node:net';
import type { Logger } from '@cable/kit';
import type { GuestRecord } from '../desired.ts';
import { ConnectionShares } from './connection-shares.ts';
import type { MachinePort } from './metadata-network.ts';
import { type MetadataNode, metadataAt } from './metadata-tree.ts';
import { isNovaGuest, type NovaMetadata } from './nova-metadata.ts';
import { createRateLimit, type RateLimit } from './rate-limit.ts';
import { vifOf } from './service-address.ts';

export type MetadataServerOptions = {
  readonly guests: () => ReadonlyMap<number, GuestRecord>;
  /** All ports of the machine that a guest is, its own among them. */
  readonly machineOf: (guest: GuestRecord) => readonly MachinePort[];
  /** Told to guests whose subnet names no name server; null: none. */
  readonly nameServer: string | null;
  /** Who answers the guests of Nova's instances; absent: this server, as it does all others. */
  readonly nova?: Pick<NovaMetadata, 'ask'>;
  /** Bound, of IPv4 and IPv6, and from now on the server's: see `openBoundSocket`. At least one. */
  readonly fds: readonly number[];
  /** Adds one to a counter. */
  readonly count: (counter: string) => void;
  readonly log: Logger;
  readonly signal: AbortSignal;
};

/** Bounds on what guests can hold of the agent. */
const MAX_HEADER_BYTES = 8192;
const MAX_TARGET_LENGTH = 2048;
const MAX_CONNECTIONS = 2048;
const MAX_CONNECTIONS_PER_GUEST = 16;
/** Most that Nova keeps of a password, in a request's body. */
const MAX_BODY_BYTES = 1024;
const HEADERS_TIMEOUT_MS = 5_000;
const REQUEST_TIMEOUT_MS = 10_000;
const IDLE_TIMEOUT_MS = 30_000;
const KEEP_ALIVE_MS = 5_000;

/** Starts answering; resolves when it listens. Ends, with its connections, with the signal. */
export async function startMetadataServer(options: MetadataServerOptions): Promise<void> {
  const limit = createRateLimit({ burst: 200, perSecond: 50 });
  const server = createServer(
    {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectionsCheckingInterval: 1_000,
    },
    (request, response) => void handleRequest(options, limit, request, response),
  );
  server.maxHeadersCount = 64;
  server.maxRequestsPerSocket = 200;
  server.setTimeout(IDLE_TIMEOUT_MS, (socket: Socket) => socket.destroy());
  limitConnections(server, options);
  const [first, ...others] = options.fds;
  // One server has all connections, wherever they come in, so that a guest's share is one.
  const pass = (socket: Socket): void => void server.emit('connection', socket);
  const doors = others.map((fd) => listen(createTcpServer({ allowHalfOpen: true }, pass), fd));
  const open = await Promise.all([listen(server, first ?? -1), ...doors]);
  for (const one of open) one.on('error', (err) => options.log.error({ err }, 'metadata socket failed'));
  const close = (): void => {
    for (const one of open) one.close();
    server.closeAllConnections();
  };
  if (options.signal.aborted) close();
  else options.signal.addEventListener('abort', close, { once: true });
}

async function listen(server: TcpServer, fd: number): Promise<TcpServer> {
  const listening = once(server, 'listening');
  server.listen({ fd });
  await listening;
  return server;
}

/** Resets connections of strangers and those that a guest opens beyond its share. */
function limitConnections(server: Server, options: MetadataServerOptions): void {
  const shares = new ConnectionShares({ total: MAX_CONNECTIONS, perGuest: MAX_CONNECTIONS_PER_GUEST });
  server.on('connection', (socket) => {
    const vif = vifOf(socket.remoteAddress ?? '');
    if (vif === undefined) return socket.destroy();
    const admission = shares.admit(vif, socket);
    if (admission !== 'admitted') options.count(`metadata_connections_${admission}`);
    if (admission === 'refused') return socket.destroy();
    socket.on('close', () => shares.release(vif, socket));
    return undefined;
  });
}

type Exchange = { readonly request: IncomingMessage; readonly response: ServerResponse; readonly socket: Socket };

type Answer = MetadataNode & { readonly status: number; readonly allow?: string };

async function handleRequest(
  options: MetadataServerOptions,
  limit: RateLimit,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  // A request that has come to its end while its answer is waited for has no socket any more.
  const { socket } = request;
  try {
    const answer = await answerRequest(options, limit, request, response);
    options.count(`metadata_${answer.status}`);
    if (!response.destroyed) send({ request, response, socket }, answer);
  } catch (err) {
    options.count('metadata_failed');
    options.log.error({ err }, 'metadata request failed');
    socket.destroy();
  }
}

async function answerRequest(
  options: MetadataServerOptions,
  limit: RateLimit,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<Answer> {
  const vif = vifOf(request.socket.remoteAddress ?? '');
  const guest = vif === undefined ? undefined : options.guests().get(vif);
  if (vif === undefined || guest === undefined) return refusal(404, 'no port at this address');
  if (!limit.take(vif)) return refusal(429, 'too many requests: slow down');
  const path = pathOf(request.url ?? '/');
  if (options.nova !== undefined && isNovaGuest(guest)) {
    return answerByNova(options, options.nova, { guest, path, request, response });
  }
  if (!isRead(request)) return notAllowed('GET, HEAD');
  const context = { machine: () => options.machineOf(guest), nameServer: options.nameServer, randomBytes };
  const found = path === undefined ? undefined : metadataAt(guest, path, context);
  if (found === undefined) return refusal(404, 'no such metadata');
  options.log.debug({ port: guest.portId, path }, 'metadata answered');
  return { ...found, status: 200 };
}

/** A guest reads, and posts its password, encrypted for who made it. */
async function answerByNova(
  { count }: Pick<MetadataServerOptions, 'count'>,
  nova: Pick<NovaMetadata, 'ask'>,
  asked: {
    readonly guest: GuestRecord;
    readonly path: string | undefined;
    readonly request: IncomingMessage;
    readonly response: ServerResponse;
  },
): Promise<Answer> {
  const { guest, path, request, response } = asked;
  const takesPost = path !== undefined && /^\/openstack\/[^/]+\/password$/.test(path);
  const isPost = takesPost && request.method === 'POST';
  if (!isRead(request) && !isPost) return notAllowed(takesPost ? 'GET, HEAD, POST' : 'GET, HEAD');
  if (path === undefined) return refusal(404, 'no such metadata');
  const body = isPost ? await readBody(request) : null;
  if (body === undefined) return refusal(413, `a body has at most ${MAX_BODY_BYTES} bytes`);
  const gone = new AbortController();
  const end = (): void => gone.abort();
  response.once('close', end);
  const answer = await nova.ask({ guest, path, body }, gone.signal);
  response.off('close', end);
  count(`metadata_nova_${answer.status}`);
  return answer;
}

function isRead({ method }: IncomingMessage): boolean {
  return method === 'GET' || method === 'HEAD';
}

/** Undefined: it is too large, or was cut off. */
async function readBody(request: IncomingMessage): Promise<Uint8Array | undefined> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of request as AsyncIterable<Uint8Array>) {
      size += chunk.length;
      if (size > MAX_BODY_BYTES) return undefined;
      chunks.push(chunk);
    }
  } catch {
    return undefined;
  }
  return Buffer.concat(chunks);
}

/**
 * The path of a target, without its query. A client may send the whole URI (RFC 9112 section 3.2.2), escape any character and write a slash
 * twice. undefined: too long, or not a path.
 */
function pathOf(target: string): string | undefined {
  if (target.length > MAX_TARGET_LENGTH) return undefined;
  const [path = ''] = target.replace(/^https?:\/\/[^/?#]*/i, '').split(/[?#]/, 1);
  if (path !== '' && !path.startsWith('/')) return undefined;
  const names = path.split('/').map(unescaped);
  // An escaped slash is part of a name, and no name has one.
  if (names.some((name) => name === undefined || name.includes('/'))) return undefined;
  return `/${names.join('/')}`.replaceAll(/\/+/g, '/');
}

/** undefined: a percent sign is no escape, or bytes are not UTF-8. */
function unescaped(name: string): string | undefined {
  try {
    return decodeURIComponent(name);
  } catch {
    return undefined;
  }
}

function refusal(status: number, reason: string): Answer {
  return { status, contentType: 'text/plain; charset=utf-8', body: Buffer.from(`${reason}\n`) };
}

function notAllowed(allow: string): Answer {
  return { ...refusal(405, `only ${allow}`), allow };
}

/** A request with a body that was not read to its end is answered and its connection closed. */
function send({ request, response, socket }: Exchange, answer: Answer): void {
  const { 'transfer-encoding': encoding, 'content-length': length } = request.headers;
  const hasBody = !request.readableEnded && (encoding !== undefined || (length ?? '0') !== '0');
  response.writeHead(answer.status, {
    'Content-Type': answer.contentType,
    'Content-Length': answer.body.length,
    ...(answer.allow === undefined ? {} : { Allow: answer.allow }),
    ...(hasBody ? { Connection: 'close' } : {}),
  });
  response.end(request.method === 'HEAD' ? undefined : answer.body, () => {
    if (hasBody) socket.destroySoon();
  });
}
