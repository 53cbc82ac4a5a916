import {
  Agent,
  type ClientRequest,
  request as httpRequest,
  type IncomingMessage,
  type RequestOptions,
} from 'node:http';

/** `path` begins with a slash and is below the server's address. */
export type HttpRequest = {
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal?: AbortSignal;
};

/** Header names are in lower case; a header sent twice is joined by a comma. */
export type HttpResponse = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
};

/** An answer that goes on. `lines`: each without its newline; ends when the server ends it, throws when the connection breaks. */
export type HttpStream = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly lines: AsyncIterable<string>;
};

/** HTTP to one server. An answer of any status is not an error here; no answer is a `TransportError`. */
export type HttpTransport = {
  request(request: HttpRequest): Promise<HttpResponse>;
  /** Resolves when the head of the answer is there. The signal also ends the lines, with a throw. */
  stream(request: HttpRequest): Promise<HttpStream>;
  /** Closes idle connections; for the end of a process. */
  close(): void;
};

/** What differs from one transport to another. */
export type HttpTransportOptions = {
  /** How long a request, or the head of a stream, may take. Default 30,000. */
  readonly timeoutMs?: number;
};

/** No answer came. `retryable`: a later try may get one (false: the call was aborted or the address is wrong). */
export class TransportError extends Error {
  /** The system's code such as ECONNREFUSED, or `timeout`, `aborted`, `broken`. */
  readonly code: string;
  readonly retryable: boolean;

  constructor(code: string, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'TransportError';
    this.code = code;
    this.retryable = code !== 'aborted' && code !== 'invalid-address';
  }
}

/** Longest line of a stream; a longer one breaks it. */
const MAX_LINE_CHARS = 256 * 1024 * 1024;

/** Transport to `http://host:port` (a base path is kept) or `unix:PATH`. Throws `TransportError` for any other text. */
export function httpTransport(server: string, options: HttpTransportOptions = {}): HttpTransport {
  const target = parseServer(server);
  const agent = new Agent({ keepAlive: true, keepAliveMsecs: 10_000, maxSockets: 64, scheduling: 'lifo' });
  const context: Context = { server, target, agent, timeoutMs: options.timeoutMs ?? 30_000 };
  return {
    request: (request) => requestText(context, request),
    stream: (request) => openStream(context, request),
    close: () => agent.destroy(),
  };
}

type Target = { readonly options: RequestOptions; readonly basePath: string };

type Context = {
  readonly server: string;
  readonly target: Target;
  readonly agent: Agent;
  readonly timeoutMs: number;
};

function parseServer(server: string): Target {
  if (server.startsWith('unix:/')) return { options: { socketPath: server.slice(5), host: 'localhost' }, basePath: '' };
  const url = URL.canParse(server) ? new URL(server) : undefined;
  if (url?.protocol !== 'http:' || url.hostname === '' || url.search !== '' || url.hash !== '') {
    throw new TransportError(
      'invalid-address',
      `server address ${JSON.stringify(server)} is not understood; write http://HOST:PORT or unix:/PATH`,
    );
  }
  const host = url.hostname.replace(/^\[|\]$/g, '');
  return {
    options: { host, port: url.port === '' ? 80 : Number(url.port) },
    basePath: url.pathname.replace(/\/$/, ''),
  };
}

async function requestText(context: Context, request: HttpRequest): Promise<HttpResponse> {
  const limit = startLimit(context.timeoutMs, request.signal);
  try {
    const answer = await sendTwice(context, request, limit.signal, context.agent);
    answer.setEncoding('utf8');
    let body = '';
    for await (const chunk of answer) body += chunk;
    return { status: answer.statusCode ?? 0, headers: headersOf(answer), body };
  } catch (err) {
    throw explain(context, err, request.signal, limit.signal);
  } finally {
    limit.stop();
  }
}

/** A stream has a connection of its own: it must not take one of those that requests share. */
async function openStream(context: Context, request: HttpRequest): Promise<HttpStream> {
  const limit = startLimit(context.timeoutMs, request.signal);
  try {
    const answer = await sendTwice(context, request, limit.signal, false);
    const lines = readLines(context, answer, request.signal);
    return { status: answer.statusCode ?? 0, headers: headersOf(answer), lines };
  } catch (err) {
    throw explain(context, err, request.signal, limit.signal);
  } finally {
    limit.stop();
  }
}

/** A signal that aborts with the caller's or after `ms`; `stop` ends both. (`AbortSignal.any` would keep long-lived signals growing.) */
function startLimit(ms: number, caller: AbortSignal | undefined): { readonly signal: AbortSignal; stop(): void } {
  const controller = new AbortController();
  const abort = (): void => controller.abort();
  const timer = setTimeout(abort, ms);
  if (caller?.aborted) abort();
  caller?.addEventListener('abort', abort, { once: true });
  return {
    signal: controller.signal,
    stop: () => {
      clearTimeout(timer);
      caller?.removeEventListener('abort', abort);
    },
  };
}

async function* readLines(context: Context, answer: IncomingMessage, signal?: AbortSignal): AsyncGenerator<string> {
  answer.setEncoding('utf8');
  const abort = (): void => void answer.destroy(new Error('aborted'));
  signal?.addEventListener('abort', abort, { once: true });
  let rest = '';
  try {
    if (signal?.aborted) abort();
    for await (const chunk of answer) {
      const lines = `${rest}${chunk}`.split('\n');
      rest = lines.pop() ?? '';
      if (rest.length > MAX_LINE_CHARS) {
        throw new TransportError('broken', `${context.server} sent a line of over ${MAX_LINE_CHARS} characters`);
      }
      yield* lines;
    }
    if (rest !== '') yield rest;
  } catch (err) {
    throw explain(context, err, signal);
  } finally {
    signal?.removeEventListener('abort', abort);
    answer.destroy();
  }
}

/** Sends; once more when a kept connection turned out to be closed by the server before anything came back. */
async function sendTwice(
  context: Context,
  request: HttpRequest,
  signal: AbortSignal,
  agent: Agent | false,
): Promise<IncomingMessage> {
  const first = send(context, request, signal, agent);
  try {
    return await first.answer;
  } catch (err) {
    const isStale = first.sent.reusedSocket && ['ECONNRESET', 'EPIPE'].includes(codeOf(err));
    if (!isStale || signal.aborted || request.method === 'POST') throw err;
    return await send(context, request, signal, agent).answer;
  }
}

function send(
  context: Context,
  request: HttpRequest,
  signal: AbortSignal,
  agent: Agent | false,
): { readonly sent: ClientRequest; readonly answer: Promise<IncomingMessage> } {
  const { target } = context;
  const sent = httpRequest({
    ...target.options,
    agent,
    method: request.method,
    path: `${target.basePath}${request.path}`,
    headers: {
      ...request.headers,
      ...(request.body === undefined ? {} : { 'content-length': Buffer.byteLength(request.body) }),
    },
    signal,
  });
  sent.setNoDelay(true);
  const answer = new Promise<IncomingMessage>((resolve, reject) => {
    sent.on('response', resolve);
    sent.on('error', reject);
  });
  sent.end(request.body);
  return { sent, answer };
}

function headersOf(answer: IncomingMessage): Readonly<Record<string, string>> {
  const entries = Object.entries(answer.headersDistinct).map(([name, values]) => [name, (values ?? []).join(', ')]);
  return Object.fromEntries(entries);
}

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there: start the server, or give the address of one that runs',
  ENOENT: 'there is no such socket: start the process that makes it, or correct the path',
  EACCES: 'this user may not open the socket: run as the user that owns it',
  ENOTFOUND: 'the host name is unknown: correct the address',
  ECONNRESET: 'it closed the connection without an answer: try again, and see its log',
  EHOSTUNREACH: 'there is no route to the host: check the address and the network',
  ENETUNREACH: 'there is no route to the network: check the address and the network',
};

function explain(context: Context, err: unknown, caller?: AbortSignal, timeout?: AbortSignal): TransportError {
  if (err instanceof TransportError) return err;
  if (caller?.aborted) return new TransportError('aborted', `the request to ${context.server} was aborted`, err);
  if (timeout?.aborted) {
    return new TransportError('timeout', `${context.server} did not answer within ${context.timeoutMs} ms`, err);
  }
  const code = codeOf(err);
  const reason = REASONS[code] ?? (err instanceof Error ? err.message : String(err));
  return new TransportError(code, `cannot reach ${context.server}: ${reason}`, err);
}

function codeOf(err: unknown): string {
  return err instanceof Error && 'code' in err && typeof err.code === 'string' ? err.code : 'broken';
}
