/** The contract of back ends over HTTP: `POST /v1/<verb>` with JSON, errors as of RFC 9457. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { ExpectedError, isListenedOn, type Logger } from '@cable/kit';
import { BadRequest } from './verbs.ts';

/** Where it listens. A socket's file is the owner's alone. */
export type ListenPlace =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number };

export type ContractServerOptions = {
  readonly place: ListenPlace;
  /** Who says it is let in; undefined: whoever reaches the socket is. */
  readonly token: string;
  /** PEM; undefined: without TLS. */
  readonly tls: { readonly cert: string; readonly key: string } | undefined;
  /** What a verb answers; undefined: there is none of that name. */
  readonly answer: (verb: string, body: Readonly<Record<string, unknown>>) => unknown;
};

/** A listing of 500,000 objects is 50 MB. */
const BODY_MAX_BYTES = 64 * 1024 * 1024;
const CONNECTIONS_MAX = 64;

/** Listens until the signal aborts. Throws `ExpectedError` when it cannot. Where, with the port that it has. */
export async function startContractServer(
  options: ContractServerOptions,
  { log, signal }: { readonly log: Logger; readonly signal: AbortSignal },
): Promise<{ readonly port: number | undefined }> {
  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    respond(request, response, options).catch((err: unknown) => {
      log.error({ err, url: request.url }, 'request failed');
      if (!response.headersSent) problem(response, 500, 'the request failed: see the log of the back end');
      else response.destroy();
    });
  };
  const server = options.tls === undefined ? createServer(handle) : createSecureServer(options.tls, handle);
  server.headersTimeout = 10_000;
  server.requestTimeout = 60_000;
  // Longer than who asks leaves a connection alone.
  server.keepAliveTimeout = 120_000;
  server.maxConnections = CONNECTIONS_MAX;
  await listen(server, options.place);
  const stop = (): void => {
    server.close();
    server.closeAllConnections();
  };
  if (signal.aborted) stop();
  else signal.addEventListener('abort', stop, { once: true });
  const address = server.address();
  return { port: typeof address === 'object' ? address?.port : undefined };
}

async function listen(server: Server, place: ListenPlace): Promise<void> {
  if (place.kind === 'unix') {
    if (await isListenedOn(place.path)) throw new ExpectedError(`somebody else listens on ${place.path}`);
    rmSync(place.path, { force: true });
  }
  try {
    if (place.kind === 'unix') server.listen(place.path);
    else server.listen(place.port, place.host);
    await once(server, 'listening');
  } catch (cause) {
    throw new ExpectedError(`cannot listen: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
  if (place.kind === 'unix') chmodSync(place.path, 0o600);
}

async function respond(
  request: IncomingMessage,
  response: ServerResponse,
  options: ContractServerOptions,
): Promise<void> {
  if (!isLetIn(request, options.token)) {
    response.setHeader('www-authenticate', 'Bearer');
    return problem(response, 401, 'a bearer token is wanted, that of --token-file');
  }
  const [, verb] = /^\/v1\/([a-z]+)$/.exec(request.url ?? '') ?? [];
  if (verb === undefined) return problem(response, 404, 'there is POST /v1/<verb> alone');
  if (request.method !== 'POST') return problem(response, 405, 'POST alone is served');
  // A web page can have a browser send a request, but not one with this type.
  if (!/^application\/json\b/.test(request.headers['content-type'] ?? ''))
    return problem(response, 415, 'content-type is to be application/json');
  const text = await bodyOf(request);
  if (text === undefined) return problem(response, 413, `a body has at most ${BODY_MAX_BYTES} bytes`);
  const body = parseBody(text);
  if (body === undefined) return problem(response, 400, 'the body is to be a JSON object');
  try {
    const answer = await options.answer(verb, body);
    if (answer === undefined) return problem(response, 404, `there is no verb ${verb}`);
    say(response, 200, answer, 'application/json');
  } catch (err) {
    if (!(err instanceof BadRequest)) throw err;
    problem(response, 400, err.message);
  }
}

function isLetIn({ headers }: IncomingMessage, token: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(headers.authorization ?? ''), digest(`Bearer ${token}`));
}

/** Undefined: it is too large. */
async function bodyOf(request: IncomingMessage): Promise<string | undefined> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > BODY_MAX_BYTES) return undefined;
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

function parseBody(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const given: unknown = text === '' ? {} : JSON.parse(text);
    return typeof given === 'object' && given !== null && !Array.isArray(given)
      ? (given as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

function problem(response: ServerResponse, status: number, detail: string): void {
  say(
    response,
    status,
    { type: 'about:blank', title: TITLES[status] ?? 'Error', status, detail },
    'application/problem+json',
  );
}

const TITLES: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  404: 'Not Found',
  405: 'Method Not Allowed',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  500: 'Internal Server Error',
};

function say(response: ServerResponse, status: number, body: unknown, type: string): void {
  response.writeHead(status, { 'content-type': type });
  response.end(JSON.stringify(body));
}
