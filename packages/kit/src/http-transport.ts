import {
  Agent,
  type ClientRequest,
  request as httpRequest,
  type IncomingMessage,
  type RequestOptions,
} from 'node:http';
import { request as httpsRequest, Agent as SecureAgent } from 'node:https';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { startTimeLimit } from './time-limit.ts';
import { codeOf, explainNoAnswer, TransportError } from './transport-error.ts';
import { startTurns } from './turns.ts';

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

/** A connection that the server has turned into lines both ways (101, RFC 9110 §7.8). */
export type HttpUpgrade = {
  readonly status: 101;
  readonly headers: Readonly<Record<string, string>>;
  /** Whence the connection comes, without an IPv6 zone; undefined: a Unix socket. */
  readonly localAddress: string | undefined;
  /** Each without its newline. To be read once; ends when the server ends it or after `close`, throws when the connection breaks. */
  readonly lines: AsyncIterable<string>;
  /** Sends a line, given without its newline. A server that takes nothing is cut at 16 MiB. After the end of the connection: nothing. */
  send(line: string): void;
  /** Ends the connection once what was sent is out. */
  close(): void;
};

/** HTTP to one server. An answer of any status is not an error here; no answer is a `TransportError`. */
export type HttpTransport = {
  request(request: HttpRequest): Promise<HttpResponse>;
  /** Resolves when the head of the answer is there. The signal also ends the lines, with a throw. */
  stream(request: HttpRequest): Promise<HttpStream>;
  /** Asks for the protocol named by the `upgrade` header; a stream when the server answers anything but 101. The signal ends either. */
  upgrade(request: HttpRequest): Promise<HttpUpgrade | HttpStream>;
  /** Ends its connections but those that were upgraded: at the end of a process, or when they are known to be dead. The next request opens another. */
  close(): void;
};

/** What differs from one transport to another. */
export type HttpTransportOptions = {
  /** How long a request, or the head of a stream, may take. Default 30,000. */
  readonly timeoutMs?: number;
  /** Longest answer that is no stream, in characters; a longer one ends its connection. Default: 268,435,456. */
  readonly maxAnswerChars?: number;
  /** For https: asked before each connection, so that what it gives may change. Default: what the system trusts, and no certificate. */
  readonly tls?: () => ClientTls;
};

/** PEM. `ca`: authorities of servers that are trusted; absent: the system's. `own`: what is shown of oneself; absent: nothing. The same value as long as it is the same. */
export type ClientTls = {
  readonly ca?: readonly string[];
  readonly own?: { readonly cert: string; readonly key: string };
};

/** V8 has no texts of any length. */
const MAX_ANSWER_CHARS = 256 * 1024 * 1024;

/** Code of a `TransportError`: the answer was longer than what is taken. Who asks for less may get it. */
export const TOO_LARGE = 'too-large';

/** Longest line of a stream; a longer one breaks it. */
const MAX_LINE_CHARS = 256 * 1024 * 1024;

/** What may wait to be sent on an upgraded connection. */
const MAX_UNSENT_BYTES = 16 * 1024 * 1024;

/** Transport to `http://host:port`, `https://host:port` (a base path is kept) or `unix:PATH`. Throws `TransportError` for any other text. */
export function httpTransport(server: string, options: HttpTransportOptions = {}): HttpTransport {
  const target = parseServer(server);
  const kept = { keepAlive: true, keepAliveMsecs: 10_000, maxSockets: 64, scheduling: 'lifo' } as const;
  const secure = target.isSecure ? startSecure(options.tls ?? (() => NO_TLS)) : undefined;
  const agent = secure === undefined ? new Agent(kept) : new SecureAgent(kept);
  const context: Context = { server, target, agent, secure, ...limitsOf(options) };
  return {
    request: (request) => requestText(context, request),
    stream: (request) => openStream(context, request),
    upgrade: (request) => openUpgrade(context, request),
    close: () => agent.destroy(),
  };
}

const NO_TLS: ClientTls = {};

function limitsOf({
  timeoutMs = 30_000,
  maxAnswerChars = MAX_ANSWER_CHARS,
}: HttpTransportOptions): Pick<Context, 'timeoutMs' | 'maxAnswerChars'> {
  return { timeoutMs, maxAnswerChars };
}

type Target = { readonly options: RequestOptions; readonly basePath: string; readonly isSecure: boolean };

/** What https needs: options of the next connection, and what to learn from it. */
type Secure = { options(): SecureOptions; learn(sent: ClientRequest): void };
type SecureOptions = { ca?: string[]; cert?: string; key?: string; session?: Buffer };

type Context = {
  readonly server: string;
  readonly target: Target;
  readonly agent: Agent;
  /** Undefined: it is no https. */
  readonly secure: Secure | undefined;
  readonly timeoutMs: number;
  readonly maxAnswerChars: number;
};

function parseServer(server: string): Target {
  if (server.startsWith('unix:/')) {
    return { options: { socketPath: server.slice(5), host: 'localhost' }, basePath: '', isSecure: false };
  }
  const url = URL.canParse(server) ? new URL(server) : undefined;
  const isSecure = url?.protocol === 'https:';
  if (
    url === undefined ||
    !(isSecure || url.protocol === 'http:') ||
    url.hostname === '' ||
    url.search !== '' ||
    url.hash !== ''
  ) {
    throw new TransportError(
      'invalid-address',
      `server address ${JSON.stringify(server)} is not understood; write https://HOST:PORT, http://HOST:PORT or unix:/PATH`,
    );
  }
  const host = url.hostname.replace(/^\[|\]$/g, '');
  return {
    options: { host, port: url.port === '' ? (isSecure ? 443 : 80) : Number(url.port) },
    basePath: url.pathname.replace(/\/$/, ''),
    isSecure,
  };
}

/** A session of before makes the next handshake cheap, for both ends; one is of a certificate, so another begins anew. */
function startSecure(tls: () => ClientTls): Secure {
  let session: Buffer | undefined;
  let of: ClientTls | undefined;
  return {
    options: () => {
      const { ca, own } = tls();
      if (of?.own !== own || of?.ca !== ca) {
        session = undefined;
        of = { ...(ca === undefined ? {} : { ca }), ...(own === undefined ? {} : { own }) };
      }
      return { ...own, ...(ca === undefined ? {} : { ca: [...ca] }), ...(session === undefined ? {} : { session }) };
    },
    learn: (sent) => {
      const begun = of;
      sent.once('socket', (socket) => {
        if (!(socket instanceof TLSSocket) || socket.listenerCount('session') > 1) return;
        socket.on('session', (next: Buffer) => {
          if (of === begun) session = next;
        });
      });
    },
  };
}

async function requestText(context: Context, request: HttpRequest): Promise<HttpResponse> {
  const limit = startTimeLimit(context.timeoutMs, request.signal);
  try {
    const answer = await sendTwice(context, request, limit.signal, context.agent);
    answer.setEncoding('utf8');
    let body = '';
    for await (const chunk of answer) {
      body += chunk;
      if (body.length > context.maxAnswerChars) {
        const most = context.maxAnswerChars;
        throw new TransportError(TOO_LARGE, `${context.server} sent an answer of over ${most} characters`);
      }
    }
    return { status: answer.statusCode ?? 0, headers: headersOf(answer), body };
  } catch (err) {
    throw explain(context, err, request.signal, limit.signal);
  } finally {
    limit.stop();
  }
}

/** A stream has a connection of its own: it must not take one of those that requests share. */
async function openStream(context: Context, request: HttpRequest): Promise<HttpStream> {
  return await beforeLimit(context, request, async (signal) => {
    const answer = await sendTwice(context, request, signal, false);
    return toStream(context, answer, request.signal);
  });
}

async function openUpgrade(context: Context, request: HttpRequest): Promise<HttpUpgrade | HttpStream> {
  return await beforeLimit(context, request, async (signal) => {
    const { sent, answer } = send(context, request, signal, false);
    const upgraded = new Promise<HttpUpgrade>((resolve) => {
      sent.on('upgrade', (head: IncomingMessage, socket: Duplex, first: Buffer) => {
        socket.unshift(first);
        resolve(toUpgrade(context, { head, socket }, request.signal));
      });
    });
    return await Promise.race([upgraded, answer.then((plain) => toStream(context, plain, request.signal))]);
  });
}

async function beforeLimit<T>(
  context: Context,
  request: HttpRequest,
  open: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const limit = startTimeLimit(context.timeoutMs, request.signal);
  try {
    return await open(limit.signal);
  } catch (err) {
    throw explain(context, err, request.signal, limit.signal);
  } finally {
    limit.stop();
  }
}

function toStream(context: Context, answer: IncomingMessage, signal: AbortSignal | undefined): HttpStream {
  return { status: answer.statusCode ?? 0, headers: headersOf(answer), lines: readLines(context, answer, signal) };
}

function toUpgrade(
  context: Context,
  { head, socket }: { readonly head: IncomingMessage; readonly socket: Duplex },
  signal: AbortSignal | undefined,
): HttpUpgrade {
  // Whoever reads the lines is told; without this a connection that breaks while nobody reads would end the process.
  socket.on('error', () => undefined);
  let closed = false;
  return {
    status: 101,
    headers: headersOf(head),
    localAddress: localAddressOf(socket),
    lines: readLines(context, socket, signal, () => closed),
    send: (line) => {
      if (!socket.writable) return;
      socket.write(`${line}\n`);
      if (socket.writableLength > MAX_UNSENT_BYTES) socket.destroy(new Error('it takes nothing of what is sent to it'));
    },
    close: () => {
      closed = true;
      socket.end(() => socket.destroy());
    },
  };
}

function localAddressOf(socket: Duplex): string | undefined {
  const address = socket instanceof Socket ? socket.localAddress : undefined;
  return address?.replace(/^::ffff:|%.*$/g, '');
}

/** Lines as they come, in turns: a chunk has hundreds of them, and whoever takes them works on each. */
async function* readLines(
  context: Context,
  from: IncomingMessage | Duplex,
  signal?: AbortSignal,
  /** True: that the connection breaks is what the reader wanted. */
  isClosed: () => boolean = () => false,
): AsyncGenerator<string> {
  from.setEncoding('utf8');
  const abort = (): void => void from.destroy(new Error('aborted'));
  signal?.addEventListener('abort', abort, { once: true });
  /** Pieces of the line that is not yet whole. */
  let pieces: string[] = [];
  let pieceChars = 0;
  try {
    if (signal?.aborted) abort();
    for await (const chunk of from as AsyncIterable<string>) {
      const turns = startTurns();
      const [first = '', ...others] = chunk.split('\n');
      pieces.push(first);
      pieceChars += first.length;
      if (pieceChars > MAX_LINE_CHARS) {
        throw new TransportError('broken', `${context.server} sent a line of over ${MAX_LINE_CHARS} characters`);
      }
      const last = others.pop();
      if (last === undefined) continue;
      yield pieces.join('');
      for (const line of others) {
        if (turns.due()) await turns.next();
        yield line;
      }
      pieces = [last];
      pieceChars = last.length;
    }
    const rest = pieces.join('');
    if (rest !== '') yield rest;
  } catch (err) {
    if (isClosed()) return;
    throw explain(context, err, signal);
  } finally {
    signal?.removeEventListener('abort', abort);
    from.destroy();
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
  const { target, secure } = context;
  const sent = (secure === undefined ? httpRequest : httpsRequest)({
    ...target.options,
    ...secure?.options(),
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
  secure?.learn(sent);
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

function explain(context: Context, err: unknown, caller?: AbortSignal, timeout?: AbortSignal): TransportError {
  if (err instanceof TransportError) return err;
  if (caller?.aborted) return new TransportError('aborted', `the request to ${context.server} was aborted`, err);
  if (timeout?.aborted) {
    return new TransportError('timeout', `${context.server} did not answer within ${context.timeoutMs} ms`, err);
  }
  return explainNoAnswer(context.server, err);
}
