/**
 * Where other hosts get the flows of a port that moves to them: HTTP on the underlay address, TCP port 4789. `GET /cable/v1/flows/{port id}` is answered with lines of JSON
 * that do not end (`flow-lines.ts`). Only a host to which the server says that the port moves is told, known by its underlay address: who can send from that can tunnel as that
 * host, too.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createBackoff, type Logger, sleep } from '@cable/kit';
import { BEAT_MS, FLOWS_PATH, HELLO, writeLine } from './flow-lines.ts';
import type { FlowSource } from './flow-source.ts';
import type { MovingPorts } from './moving-ports.ts';

export type FlowServerOptions = {
  /** Underlay address of this host. */
  readonly address: string;
  /** 0: any. */
  readonly port: number;
  readonly moving: Pick<MovingPorts, 'get' | 'knows'>;
  readonly source: Pick<FlowSource, 'follow'>;
  /** VIF number of a port; undefined: it has none here. */
  readonly vif: (portId: string) => number | undefined;
  readonly log: Logger;
  readonly signal: AbortSignal;
};

export type FlowServer = {
  /** Why nobody can ask; null: it listens. */
  readonly error: string | null;
  /** TCP port; undefined: it does not listen yet. */
  readonly port: number | undefined;
  /** The port moves otherwise, or no more: ends what its hosts may not have any longer. */
  check(portId: string): void;
};

const MOST_CONNECTIONS = 4096;
const HEAD_MS = 5_000;
/** What may wait for a host, and how long it may take nothing. */
const MOST_UNSENT_BYTES = 1 << 20;
const STUCK_MS = 10_000;
const LISTEN_AGAIN_MS = { minMs: 500, maxMs: 30_000 };

/** Listens until the signal aborts; where the address is not there yet, as soon as it is. */
export function startFlowServer(options: FlowServerOptions): FlowServer {
  const open = new Map<ServerResponse, { readonly portId: string; readonly underlay: string }>();
  const { moving, signal, log } = options;
  const server = createServer(
    { maxHeaderSize: 4096, headersTimeout: HEAD_MS, requestTimeout: HEAD_MS },
    (request, response) => {
      const underlay = request.socket.remoteAddress ?? '';
      const portId = portOf(request);
      const vif = portId === undefined ? undefined : options.vif(portId);
      if (portId === undefined) return refuse(response, 404);
      if (moving.get(portId)?.others.has(underlay) !== true) return refuse(response, 403);
      if (vif === undefined) return refuse(response, 404);
      open.set(response, { portId, underlay });
      const unfollow = tell(response, options.source, vif);
      response.once('close', () => {
        unfollow();
        open.delete(response);
      });
    },
  );
  server.maxConnections = MOST_CONNECTIONS;
  // Before anything is read of it.
  server.on('connection', (socket) => {
    if (!moving.knows(socket.remoteAddress ?? '')) socket.destroy();
  });
  server.on('error', (err) => log.debug({ err }, 'a fault of the server of flows'));
  let error: string | null = 'it does not listen yet';
  server.on('listening', () => {
    error = null;
  });
  void listen(server, options, (reason) => {
    if (reason !== error)
      log.warn({ reason, address: options.address }, 'other hosts cannot get the flows of ports that move to them');
    error = reason;
  });
  const stop = (): void => {
    server.close();
    server.closeAllConnections();
  };
  signal.addEventListener('abort', stop, { once: true });
  return {
    get error() {
      return error;
    },
    get port() {
      return (server.address() as AddressInfo | null)?.port;
    },
    check: (portId) => {
      for (const [response, { portId: told, underlay }] of open) {
        if (told === portId && moving.get(portId)?.others.has(underlay) !== true) response.destroy();
      }
    },
  };
}

async function listen(
  server: Server,
  { address, port, signal }: FlowServerOptions,
  failed: (reason: string) => void,
): Promise<void> {
  const waits = createBackoff(LISTEN_AGAIN_MS);
  while (!signal.aborted) {
    const reason = await new Promise<string | null>((resolve) => {
      const refused = (err: Error): void => resolve(err.message);
      server.once('error', refused);
      server.listen(port, address, () => {
        server.off('error', refused);
        resolve(null);
      });
    });
    if (reason === null) return;
    failed(reason);
    await sleep(waits.next(), signal);
  }
}

function portOf({ method, url = '' }: IncomingMessage): string | undefined {
  if (method !== 'GET' || !url.startsWith(FLOWS_PATH)) return undefined;
  return url.slice(FLOWS_PATH.length);
}

function refuse(response: ServerResponse, status: number): void {
  response.writeHead(status, { 'content-length': 0, connection: 'close' });
  response.end();
}

/** Tells the flows of the VIF until what is returned is called. */
function tell(response: ServerResponse, source: Pick<FlowSource, 'follow'>, vif: number): () => void {
  response.writeHead(200, { 'content-type': 'application/x-ndjson' });
  response.on('error', () => undefined);
  response.write(writeLine(HELLO));
  const beat = setInterval(() => response.write(writeLine({ type: 'beat' })), BEAT_MS);
  const unfollow = source.follow(vif, {
    take: (flow) => response.write(writeLine({ type: 'flow', flow })),
    whole: () => response.write(writeLine({ type: 'whole' })),
    full: () => (response.writableLength > MOST_UNSENT_BYTES ? drained(response) : undefined),
  });
  return () => {
    clearInterval(beat);
    unfollow();
  };
}

/** Resolves when all is out, or the connection is: one that takes nothing is cut. */
function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => response.destroy(), STUCK_MS);
    const done = (): void => {
      clearTimeout(timer);
      response.off('drain', done).off('close', done);
      resolve();
    };
    response.on('drain', done).on('close', done);
    if (response.destroyed) done();
  });
}
