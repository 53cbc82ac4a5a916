/**
 * Where other hosts get the flows of a port that moves to them, and of a router whose gateway is here and for which they stand by: HTTP on the underlay address, TCP port 4789.
 * `GET /cable/v1/flows/{port id}` and `GET /cable/v1/flows/router/{router id}` are answered with lines of JSON that do not end (`flow-lines.ts`). Only a host of which the server says
 * that is told, known by its underlay address: who can send from that can tunnel as that host, too.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createBackoff, type Logger, sleep } from '@cable/kit';
import type { GroupPlaces } from '../guest/joined-groups.ts';
import { BEAT_MS, FLOWS_PATH, type FlowLine, HELLO, ROUTER, writeLine } from './flow-lines.ts';
import type { FlowSource, SourceRouter } from './flow-source.ts';
import type { MovingPorts } from './moving-ports.ts';
import { followGroups } from './told-groups.ts';

export type FlowServerOptions = {
  /** Underlay address of this host. */
  readonly address: string;
  /** 0: any. */
  readonly port: number;
  readonly moving: Pick<MovingPorts, 'get' | 'knows'>;
  readonly source: Pick<FlowSource, 'follow' | 'followRouter'>;
  readonly routers: ToldRouters;
  /** VIF number of a port; undefined: it has none here. */
  readonly vif: (portId: string) => number | undefined;
  /** What guests have joined; undefined: nobody asks them. */
  readonly groups?: Pick<GroupPlaces, 'read'> | undefined;
  readonly log: Logger;
  readonly signal: AbortSignal;
};

/** Routers whose gateway is on this host. */
export type ToldRouters = {
  /** Who may be told of the router, by underlay address; undefined: its gateway is not here. */
  others(routerId: string): ReadonlySet<string> | undefined;
  /** Whether it is true of any. */
  knows(underlay: string): boolean;
  source(routerId: string): SourceRouter | undefined;
};

export type FlowServer = {
  /** Why nobody can ask; null: it listens. */
  readonly error: string | null;
  /** TCP port; undefined: it does not listen yet. */
  readonly port: number | undefined;
  /** The port moves otherwise, or no more: ends what its hosts may not have any longer. */
  check(portId: string): void;
  /** The same of a router. */
  checkRouter(routerId: string): void;
};

const MOST_CONNECTIONS = 4096;
const HEAD_MS = 5_000;
/** What may wait for a host, and how long it may take nothing. */
const MOST_UNSENT_BYTES = 1 << 20;
const STUCK_MS = 10_000;
/** The same of one that stands by: it is told always, and who is told beside it does not wait long. */
const STUCK_ROUTER_MS = 2_000;
const LISTEN_AGAIN_MS = { minMs: 500, maxMs: 30_000 };

/** Listens until the signal aborts; where the address is not there yet, as soon as it is. */
export function startFlowServer(options: FlowServerOptions): FlowServer {
  const open = new Map<ServerResponse, Asked & { readonly underlay: string }>();
  const { moving, routers, signal, log } = options;
  const mayHave = (asked: Asked, underlay: string): boolean =>
    (asked.kind === 'port' ? moving.get(asked.id)?.others : routers.others(asked.id))?.has(underlay) === true;
  const server = createServer(
    { maxHeaderSize: 4096, headersTimeout: HEAD_MS, requestTimeout: HEAD_MS },
    (request, response) => {
      const underlay = request.socket.remoteAddress ?? '';
      const asked = askedOf(request);
      if (asked === undefined) return refuse(response, 404);
      if (!mayHave(asked, underlay)) return refuse(response, 403);
      const follow = followerOf(asked, options);
      if (follow === undefined) return refuse(response, 404);
      open.set(response, { ...asked, underlay });
      const unfollow = tell(response, follow, asked.kind === 'port' ? STUCK_MS : STUCK_ROUTER_MS);
      response.once('close', () => {
        unfollow();
        open.delete(response);
      });
    },
  );
  server.maxConnections = MOST_CONNECTIONS;
  // Before anything is read of it.
  server.on('connection', (socket) => {
    const underlay = socket.remoteAddress ?? '';
    if (!moving.knows(underlay) && !routers.knows(underlay)) socket.destroy();
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
  const check = ({ kind, id }: Asked): void => {
    for (const [response, told] of open) {
      if (told.kind === kind && told.id === id && !mayHave(told, told.underlay)) response.destroy();
    }
  };
  return {
    get error() {
      return error;
    },
    get port() {
      return (server.address() as AddressInfo | null)?.port;
    },
    check: (portId) => check({ kind: 'port', id: portId }),
    checkRouter: (routerId) => check({ kind: 'router', id: routerId }),
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

type Asked = { readonly kind: 'port' | 'router'; readonly id: string };

function askedOf({ method, url = '' }: IncomingMessage): Asked | undefined {
  if (method !== 'GET' || !url.startsWith(FLOWS_PATH)) return undefined;
  const id = url.slice(FLOWS_PATH.length);
  return id.startsWith(ROUTER) ? { kind: 'router', id: id.slice(ROUTER.length) } : { kind: 'port', id };
}

/** Whom lines are given to. */
type Sink = {
  take(line: FlowLine): void;
  whole(): void;
  full(): Promise<void> | undefined;
};

/** Begins to give a sink what is asked for; undefined: this host has no such thing. */
function followerOf(
  { kind, id }: Asked,
  { vif, source, routers, groups }: FlowServerOptions,
): ((sink: Sink) => () => void) | undefined {
  if (kind === 'router') {
    const router = routers.source(id);
    if (router === undefined) return undefined;
    return (sink) => source.followRouter(router, { ...sink, take: (flow) => sink.take({ type: 'passed', flow }) });
  }
  const number = vif(id);
  if (number === undefined) return undefined;
  return (sink) => {
    const unfollowGroups =
      groups &&
      followGroups(
        () => groups.read(number, id),
        (joined) => sink.take({ type: 'groups', joined }),
      );
    const unfollow = source.follow(number, { ...sink, take: (flow) => sink.take({ type: 'flow', flow }) });
    return () => {
      unfollowGroups?.();
      unfollow();
    };
  };
}

function refuse(response: ServerResponse, status: number): void {
  response.writeHead(status, { 'content-length': 0, connection: 'close' });
  response.end();
}

/** Tells flows until what is returned is called. */
function tell(response: ServerResponse, follow: (sink: Sink) => () => void, stuckMs: number): () => void {
  response.writeHead(200, { 'content-type': 'application/x-ndjson' });
  response.on('error', () => undefined);
  response.write(writeLine(HELLO));
  const beat = setInterval(() => response.write(writeLine({ type: 'beat' })), BEAT_MS);
  const unfollow = follow({
    take: (line) => response.write(writeLine(line)),
    whole: () => response.write(writeLine({ type: 'whole' })),
    full: () => (response.writableLength > MOST_UNSENT_BYTES ? drained(response, stuckMs) : undefined),
  });
  return () => {
    clearInterval(beat);
    unfollow();
  };
}

/** Resolves when all is out, or the connection is: one that takes nothing is cut. */
function drained(response: ServerResponse, stuckMs: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => response.destroy(), stuckMs);
    const done = (): void => {
      clearTimeout(timer);
      response.off('drain', done).off('close', done);
      resolve();
    };
    response.on('drain', done).on('close', done);
    if (response.destroyed) done();
  });
}
