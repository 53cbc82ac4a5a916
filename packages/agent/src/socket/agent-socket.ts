import { once } from 'node:events';
import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { dirname } from 'node:path';
import type { Logger } from '@cable/kit';
import type { Captures } from '../capture/captures.ts';
import type { CniHandler } from '../cni/index.ts';
import type { OperatorAnswer, StreamClient } from '../stream/stream-client.ts';
import type { AgentView } from './agent-view.ts';

export type AgentSocketDeps = {
  readonly view: AgentView;
  readonly cni: CniHandler;
  /** Captures; undefined: there are none here. */
  readonly captures?: Pick<Captures, 'start'>;
  /** An operator's commands. */
  readonly operator: Pick<StreamClient, 'adoptStore' | 'confirmRemoval'>;
  readonly log: Logger;
  readonly signal: AbortSignal;
};

const ROUTES = 'GET /status, /vifs, /maps, /counters, /capture and POST /cni, /history/adopt, /removal/confirm';

/** A CNI network configuration is a few kilobytes; GC lists every attachment. */
const MAX_BODY_BYTES = 16 << 20;

/** HTTP for root on this machine: `ROUTES`. A socket that nobody answers is replaced. */
export async function startAgentSocket(path: string, deps: AgentSocketDeps): Promise<void> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  rmSync(path, { force: true });
  const server = createServer((request, response) => {
    handle(request, response, deps).catch((err: unknown) => {
      deps.log.error({ err, path: request.url }, 'request failed by surprise');
      if (!response.headersSent) answer(response, 500, JSON.stringify({ error: 'the agent failed: see its log' }));
      else response.destroy();
    });
  });
  const mask = process.umask(0o177);
  server.listen(path);
  await once(server, 'listening').finally(() => process.umask(mask));
  chmodSync(path, 0o600);
  const stop = (): void => {
    server.close();
    server.closeAllConnections();
  };
  if (deps.signal.aborted) stop();
  else deps.signal.addEventListener('abort', stop, { once: true });
}

async function handle(request: IncomingMessage, response: ServerResponse, deps: AgentSocketDeps): Promise<void> {
  const [path = '/', query = ''] = (request.url ?? '/').split('?', 2);
  if (request.method === 'POST' && path === '/cni') {
    const body = await readBody(request);
    if (body === undefined)
      return answer(response, 413, JSON.stringify({ error: `body: more than ${MAX_BODY_BYTES} bytes` }));
    const result = await deps.cni(request.headers, body, closing(response));
    return answer(response, result.status, result.body);
  }
  if (request.method === 'POST') {
    const said = await command(path, deps.operator);
    if (said !== undefined) return answer(response, 200, JSON.stringify(said));
  }
  if (request.method !== 'GET')
    return answer(response, 405, JSON.stringify({ error: `${request.method} is not served` }));
  if (path === '/capture' && deps.captures !== undefined) return capture(response, deps.captures, query);
  if (path === '/maps') return stream(response, deps.view.maps());
  const shown = show(path, deps.view);
  if (shown === undefined) {
    return answer(response, 404, JSON.stringify({ error: `no ${path}: there are ${ROUTES}` }));
  }
  return answer(response, 200, JSON.stringify(shown));
}

/** Aborts when the other end is gone, or has its answer. */
function closing(response: ServerResponse): AbortSignal {
  const closed = new AbortController();
  response.once('close', () => closed.abort());
  return closed.signal;
}

async function capture(
  response: ServerResponse,
  captures: NonNullable<AgentSocketDeps['captures']>,
  query: string,
): Promise<void> {
  const started = captures.start(new URLSearchParams(query));
  if (typeof started === 'string') return answer(response, 400, JSON.stringify({ error: started }));
  // A reader that goes away while nothing is captured is noticed by this alone.
  response.on('close', () => started.stop());
  return stream(response, started.lines);
}

/** Undefined: there is no such command. All are idempotent. */
async function command(path: string, operator: AgentSocketDeps['operator']): Promise<OperatorAnswer | undefined> {
  switch (path) {
    case '/history/adopt':
      return await operator.adoptStore();
    case '/removal/confirm':
      return await operator.confirmRemoval();
    default:
      return undefined;
  }
}

function show(path: string, view: AgentView): unknown {
  switch (path) {
    case '/status':
      return view.status();
    case '/vifs':
      return view.vifs();
    case '/counters':
      return view.counters();
    default:
      return undefined;
  }
}

/** Undefined: too long. */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** The head goes out with the first piece: what fails before is answered with an error. */
async function stream(response: ServerResponse, pieces: AsyncIterable<string>): Promise<void> {
  for await (const piece of pieces) {
    if (!response.headersSent) response.writeHead(200, { 'content-type': 'application/json' });
    if (response.destroyed) return;
    if (!response.write(piece)) await drained(response);
  }
  response.end();
}

/** Resolves when the response takes more, or is closed; leaves no listener. */
function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      response.off('drain', done).off('close', done);
      resolve();
    };
    response.on('drain', done).on('close', done);
  });
}

function answer(response: ServerResponse, status: number, body: string): void {
  const length = Buffer.byteLength(body);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': length });
  response.end(body);
}
