/** What a request asks for besides its path and body: who, by when, and once. */
import type { IncomingHttpHeaders } from 'node:http';
import { CableError } from '@cable/model';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { AuthenticatedCaller, UserCaller } from './auth.ts';

/** What whoever works on a request has to know of it. */
export type Asked = {
  readonly caller: AuthenticatedCaller;
  /** Aborts when the client leaves before it has been answered. Made when it is first looked at. */
  readonly signal: AbortSignal;
  /** True: it has aborted, or would have if it had been looked at. */
  readonly isGone: boolean;
  /** The time of `performance.now()` until when there is to be an answer, in ms. */
  readonly deadlineMs: number;
  /** Requests with the same key are one; undefined: the client gave none. */
  readonly idempotencyKey: string | undefined;
  /** From now on the request counts as a list until its answer has been taken. False: its client left. Throws `ServiceUnavailable`. */
  enterAsList(): Promise<boolean>;
};

/** How long a request may take when its client does not say less. */
export const REQUEST_MS = 30_000;

/** Name of the decorator that keeps it on a request. */
export const ASKED = 'cableAsked';

/** What the request asks for. Throws unless `createApp` made the route's server, and for probes, which have no caller. */
export function askedOf(request: FastifyRequest): Asked {
  const asked = request.getDecorator<Asked | null>(ASKED);
  if (asked === null) throw new Error(`${request.method} ${request.url} has not been admitted`);
  return asked;
}

/** Who asks, where rules say what he may. Throws `HTTPForbidden` for a host. */
export function userOf(request: FastifyRequest): UserCaller {
  return asUser(askedOf(request).caller);
}

/** The caller, if it is one of whom rules are asked. Throws `HTTPForbidden` for a host. */
export function asUser(caller: AuthenticatedCaller): UserCaller {
  if (caller.kind === 'user') return caller;
  throw new CableError('HTTPForbidden', `The host ${caller.host} may ask for what is its own alone.`, {
    detail: 'Ask with a token, or with a certificate of a user (cable pki issue user).',
  });
}

/** Reads it from the headers. `arrivedMs`: when the request came. Throws `HTTPBadRequest` naming the header. */
export function readAsked(
  headers: IncomingHttpHeaders,
  arrivedMs: number,
): Pick<Asked, 'deadlineMs' | 'idempotencyKey'> {
  return { deadlineMs: arrivedMs + timeoutOf(headers), idempotencyKey: idempotencyKeyOf(headers) };
}

/** `Request-Timeout: SECONDS`, e.g. 2 or 0.5. It can only shorten. */
function timeoutOf(headers: IncomingHttpHeaders): number {
  const given = headers['request-timeout'];
  if (given === undefined) return REQUEST_MS;
  const seconds = typeof given === 'string' && /^\d{1,9}(\.\d{1,9})?$/.test(given) ? Number(given) : 0;
  if (seconds > 0) return Math.min(REQUEST_MS, seconds * 1000);
  throw new CableError('HTTPBadRequest', 'Invalid value for Request-Timeout header: give seconds, such as 2 or 0.5.');
}

function idempotencyKeyOf(headers: IncomingHttpHeaders): string | undefined {
  const given = headers['idempotency-key'];
  if (given === undefined) return undefined;
  if (typeof given === 'string' && /^[\x21-\x7e]{1,255}$/.test(given)) return given;
  throw new CableError(
    'HTTPBadRequest',
    'Invalid value for Idempotency-Key header: give 1 to 255 visible ASCII characters without a space.',
  );
}

/** A reply's connection, as far as it matters whether somebody is there. An `AbortSignal` for each request would cost more than all else here. */
export class Client {
  readonly #raw: FastifyReply['raw'];
  #isClosed = false;
  #listeners: (() => void)[] = [];
  #abort: AbortController | undefined;

  constructor({ raw }: Pick<FastifyReply, 'raw'>) {
    this.#raw = raw;
    if (raw.destroyed) this.#isClosed = true;
    else raw.once('close', () => this.#close());
  }

  /** True: it has been answered, or has left. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (this.#isClosed) this.#abort.abort();
    }
    return this.#abort.signal;
  }

  /** Tells a client that waits for it to send the body. */
  invite({ expect }: IncomingHttpHeaders): void {
    if (expect !== undefined) this.#raw.writeContinue();
  }

  /** Calls it once when it has been answered or has left; at once when that is so. */
  onClose(listener: () => void): void {
    if (this.#isClosed) listener();
    else this.#listeners.push(listener);
  }

  #close(): void {
    this.#isClosed = true;
    if (!this.#raw.writableFinished) this.#abort?.abort();
    for (const listener of this.#listeners.splice(0)) listener();
  }
}
