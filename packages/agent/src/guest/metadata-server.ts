import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Logger } from '@cable/kit';
import type { GuestRecord } from '../desired.ts';
import { ConnectionShares } from './connection-shares.ts';
import { type MetadataNode, metadataAt } from './metadata-tree.ts';
import { createRateLimit, type RateLimit } from './rate-limit.ts';
import { slotOf } from './service-address.ts';

export type MetadataServerOptions = {
  readonly guests: () => ReadonlyMap<number, GuestRecord>;
  /** Bound, and from now on the server's: see `openBoundSocket`. */
  readonly fd: number;
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
    (request, response) => handleRequest(options, limit, request, response),
  );
  server.maxHeadersCount = 64;
  server.maxRequestsPerSocket = 200;
  server.setTimeout(IDLE_TIMEOUT_MS, (socket: Socket) => socket.destroy());
  limitConnections(server, options);
  const listening = once(server, 'listening');
  server.listen({ fd: options.fd });
  await listening;
  server.on('error', (err) => options.log.error({ err }, 'metadata socket failed'));
  const close = (): void => {
    server.close();
    server.closeAllConnections();
  };
  if (options.signal.aborted) close();
  else options.signal.addEventListener('abort', close, { once: true });
}

/** Resets connections of strangers and those that a guest opens beyond its share. */
function limitConnections(server: Server, options: MetadataServerOptions): void {
  const shares = new ConnectionShares({ total: MAX_CONNECTIONS, perGuest: MAX_CONNECTIONS_PER_GUEST });
  server.on('connection', (socket) => {
    const slot = slotOf(socket.remoteAddress ?? '');
    if (slot === undefined) return socket.destroy();
    const admission = shares.admit(slot, socket);
    if (admission !== 'admitted') options.count(`metadata_connections_${admission}`);
    if (admission === 'refused') return socket.destroy();
    socket.on('close', () => shares.release(slot, socket));
    return undefined;
  });
}

type Answer = MetadataNode & { readonly status: number };

function handleRequest(
  options: MetadataServerOptions,
  limit: RateLimit,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const answer = answerRequest(options, limit, request);
  options.count(`metadata_${answer.status}`);
  send(request, response, answer);
}

function answerRequest(options: MetadataServerOptions, limit: RateLimit, request: IncomingMessage): Answer {
  const slot = slotOf(request.socket.remoteAddress ?? '');
  const guest = slot === undefined ? undefined : options.guests().get(slot);
  if (slot === undefined || guest === undefined) return refusal(404, 'no port at this address');
  if (!limit.take(slot)) return refusal(429, 'too many requests: slow down');
  if (request.method !== 'GET' && request.method !== 'HEAD') return refusal(405, 'only GET and HEAD');
  const path = pathOf(request.url ?? '/');
  const found = path === undefined ? undefined : metadataAt(guest, path);
  if (found === undefined) return refusal(404, 'no such metadata');
  options.log.debug({ port: guest.portId, path }, 'metadata answered');
  return { ...found, status: 200 };
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

/** A request with a body is answered and its connection closed: bodies are never read. */
function send(request: IncomingMessage, response: ServerResponse, answer: Answer): void {
  const { 'transfer-encoding': encoding, 'content-length': length } = request.headers;
  const hasBody = encoding !== undefined || (length ?? '0') !== '0';
  response.writeHead(answer.status, {
    'Content-Type': answer.contentType,
    'Content-Length': answer.body.length,
    ...(answer.status === 405 ? { Allow: 'GET, HEAD' } : {}),
    ...(hasBody ? { Connection: 'close' } : {}),
  });
  response.end(request.method === 'HEAD' ? undefined : answer.body, () => {
    if (hasBody) request.socket.destroySoon();
  });
}
