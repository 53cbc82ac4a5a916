import { once } from 'node:events';
import { chmod, lstat, unlink } from 'node:fs/promises';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { Server as SecureServer } from 'node:https';
import { type Server as Acceptor, isIPv4, isIPv6, Socket } from 'node:net';
import { ExpectedError, isListenedOn } from '@cable/kit';
import { acceptAll } from './accept-all.ts';
import { CONNECTION_LIMITS, Connections } from './connections.ts';
import { stampDoor } from './doors.ts';
import type { UpgradeHandler } from './hosts/upgrade.ts';
import { answerOddRequests } from './http/odd-requests.ts';
import type { ServerTls } from './tls/server-tls.ts';
import { createTlsListener } from './tls/tls-listener.ts';

/** How long requests under way may take when the process is asked to stop. */
const DRAIN_MS = 5000;

/** How long a client may take for the head of a request, and for all of it; and how long a connection may have none. */
const TIMES = {
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  connectionsCheckingInterval: 1000,
  keepAliveTimeout: 65_000,
} as const;

/** Where to listen. */
export type ListenAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

/** `ADDR:PORT`, `[v6]:PORT` or `unix:PATH`; undefined: none of them. Port 0: any free one. */
export function parseListen(text: string): ListenAddress | undefined {
  if (text.startsWith('unix:')) {
    const path = text.slice(5);
    return path === '' || Buffer.byteLength(path) > 107 ? undefined : { kind: 'unix', path };
  }
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9A-Za-z.-]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port > 65535) return undefined;
  return { kind: 'tcp', host, port };
}

/** True when only this machine can connect: loopback or a Unix socket. */
export function isLocal(address: ListenAddress): boolean {
  if (address.kind === 'unix') return true;
  const { host } = address;
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
}

/** The listeners of one process. `urls`: how each is written in a URL. */
export type Listeners = { readonly urls: readonly string[]; stop(): Promise<void> };

/** What answers requests. Without `upgrade`, requests that ask for one are answered as if they did not. */
export type Handlers = { readonly request: RequestListener; readonly upgrade?: UpgradeHandler };

/** One address's servers: what listens, and what has the connections; without TLS they are the same. */
type Opened = { readonly acceptor: Acceptor; readonly server: Server | SecureServer; close(): void };

/**
 * Listens on every address with the same handlers; on all or none. With `tls` every address but Unix sockets speaks HTTPS. Throws an error that names the address and
 * what to do.
 */
export async function listen(
  handlers: Handlers,
  addresses: readonly ListenAddress[],
  connections: Connections = new Connections(CONNECTION_LIMITS),
  tls?: ServerTls,
): Promise<Listeners> {
  const opened: Opened[] = [];
  const urls: string[] = [];
  const stop = (): Promise<void> => closeAll(opened, connections);
  try {
    for (const address of addresses) {
      const one =
        address.kind === 'tcp' && tls !== undefined ? openSecure(tls, connections) : openPlain(address, connections);
      const { acceptor, server } = one;
      answerOddRequests(server);
      server.on('request', handlers.request);
      if (handlers.upgrade !== undefined) passUpgrades(server, handlers.upgrade, connections);
      const url = await listenOn(acceptor, address);
      urls.push(one.server === acceptor ? url : url.replace(/^http:/, 'https:'));
      opened.push(one);
      acceptAll(acceptor);
    }
  } catch (err) {
    await stop();
    throw err;
  }
  return { urls, stop };
}

function openPlain({ kind }: ListenAddress, connections: Connections): Opened {
  const server = createServer(TIMES);
  server.on('connection', (socket: Socket) => stampDoor(socket, kind === 'unix' ? 'unix' : 'plain'));
  connections.follow(server, 'connection');
  return { acceptor: server, server, close: () => undefined };
}

function openSecure(tls: ServerTls, connections: Connections): Opened {
  const listener = createTlsListener(tls, TIMES);
  connections.follow(listener.server, 'secureConnection');
  return listener;
}

/** An upgraded connection is no request any more: the server neither times it nor closes it, and keepalive lines and the listeners' end do. */
function passUpgrades(server: Server | SecureServer, upgrade: UpgradeHandler, connections: Connections): void {
  server.on('upgrade', (request, socket, head) => {
    connections.upgrade(socket);
    if (socket instanceof Socket) {
      socket.setNoDelay(true);
      socket.setTimeout(0);
    }
    upgrade(request, socket, head);
  });
}

/** Connections that wait to be taken, as far as net.core.somaxconn allows: the agents of a whole cloud may come back in one second. Node's 511 made the kernel reset most of 5,000. */
const BACKLOG = 16_384;

async function listenOn(server: Acceptor, address: ListenAddress): Promise<string> {
  if (address.kind === 'unix') await removeStaleSocket(address.path);
  const listening = once(server, 'listening');
  if (address.kind === 'unix') server.listen({ path: address.path, backlog: BACKLOG });
  else server.listen({ host: address.host, port: address.port, backlog: BACKLOG });
  try {
    await listening;
  } catch (cause) {
    throw cannotListen(address, cause as NodeJS.ErrnoException);
  }
  if (address.kind === 'unix') {
    await chmod(address.path, 0o600);
    return `unix:${address.path}`;
  }
  const bound = server.address();
  const port = typeof bound === 'object' && bound !== null ? bound.port : address.port;
  return `http://${isIPv6(address.host) ? `[${address.host}]` : address.host}:${port}`;
}

function cannotListen(address: ListenAddress, cause: NodeJS.ErrnoException): Error {
  const where = address.kind === 'unix' ? `unix:${address.path}` : `${address.host}:${address.port}`;
  const why = LISTEN_REMEDIES[cause.code ?? ''] ?? `${cause.message}; give another address with --listen`;
  return new ExpectedError(`cannot listen on ${where}: ${why}`, { cause });
}

const LISTEN_REMEDIES: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another process does; end it, or give another address with --listen',
  EADDRNOTAVAIL: 'this machine has no such address; give one of its own with --listen',
  // For a socket also when there is no such directory.
  EACCES:
    'this user may not; give a port above 1023, or a path in a directory that exists and that it may write to, with --listen',
  ENOTFOUND: 'the name has no address; give an address with --listen',
};

/** Requests under way are answered, for at most `DRAIN_MS`, and upgraded connections may end; a connection is closed as soon as it is idle. */
async function closeAll(opened: readonly Opened[], connections: Connections): Promise<void> {
  const servers = opened.map(({ server }) => server);
  const closeIdle = (): void => {
    for (const server of servers) server.closeIdleConnections();
  };
  const sweep = setInterval(closeIdle, 50);
  const deadline = setTimeout(() => {
    for (const server of servers) server.closeAllConnections();
    connections.destroyStreams();
  }, DRAIN_MS);
  for (const one of opened) one.close();
  const closed = servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve())));
  closeIdle();
  await Promise.all([...closed, connections.drained()]);
  clearInterval(sweep);
  clearTimeout(deadline);
}

/** A socket that a killed server left; one that answers is another server's and stays. */
async function removeStaleSocket(path: string): Promise<void> {
  if (await isListenedOn(path)) {
    throw new ExpectedError(`cannot listen on unix:${path}: ${LISTEN_REMEDIES['EADDRINUSE']}`);
  }
  const found = await lstat(path).catch(() => undefined);
  if (found !== undefined && !found.isSocket()) {
    throw new ExpectedError(
      `cannot listen on unix:${path}: it is there and no socket; give another path with --listen`,
    );
  }
  await unlink(path).catch((err: NodeJS.ErrnoException) => {
    if (err.code !== 'ENOENT') throw err;
  });
}
