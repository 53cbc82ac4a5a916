/** Whether a request was meant for this machine's server, and not sent by a web page that the user looks at. */
import type { IncomingMessage } from 'node:http';
import { isIPv4 } from 'node:net';
import { CableError } from '@cable/model';
import { refuseUnsaid } from './body.ts';

/** What is looked at of a request. */
export type AskedRequest = Pick<IncomingMessage, 'headers' | 'rawHeaders' | 'url' | 'socket' | 'method'>;

const PLACE = /^(localhost|\d+\.\d+\.\d+\.\d+|\[::1\])(?::\d{1,5})?$/i;
const ABSOLUTE = /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)/i;
const ORIGIN = /^https?:\/\/(.+)$/i;

/**
 * Refuses what a browser can be made to send: a page of another site (`Origin`, `Sec-Fetch-Site`), or one whose name was made to point
 * here (`Host`). Over a Unix socket, which no browser opens, any Host will do. Throws `HTTPForbidden`, `HTTPBadRequest` for two hosts, and `HTTPUnsupportedMediaType` for
 * a body that does not say what it is.
 */
export function refuseForeign(request: AskedRequest): void {
  const { headers, rawHeaders, url = '' } = request;
  if (countOf(rawHeaders, 'host') > 1) throw new CableError('HTTPBadRequest', 'The request has two Host headers.');
  if (!isUnix(request.socket)) {
    const target = ABSOLUTE.exec(url)?.[1] ?? headers.host ?? '';
    if (!isLocalPlace(target) || !isLocalPlace(headers.host ?? target)) {
      throw foreign(
        `Without authentication this server answers requests to this machine alone, not to "${cut(target)}".`,
      );
    }
  }
  const { origin } = headers;
  if (origin !== undefined && !isLocalPlace(ORIGIN.exec(origin)?.[1] ?? '')) {
    throw foreign(`Without authentication this server takes no requests from pages of "${cut(origin)}".`);
  }
  if (headers['sec-fetch-site'] === 'cross-site') {
    throw foreign('Without authentication this server takes no requests from pages of other sites.');
  }
  refuseUnsaid(headers);
}

function isLocalPlace(text: string): boolean {
  const host = PLACE.exec(text)?.[1]?.toLowerCase();
  return host === 'localhost' || host === '[::1]' || (host !== undefined && isIPv4(host) && host.startsWith('127.'));
}

/** A TCP socket has an address of its own, also when the peer has gone; one that was destroyed has none, and is no Unix socket for that. */
export function isUnix(socket: IncomingMessage['socket']): boolean {
  return !socket.destroyed && socket.localAddress === undefined && socket.remoteAddress === undefined;
}

function countOf(rawHeaders: readonly string[], name: string): number {
  let count = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const found = rawHeaders[at];
    if (found?.length === name.length && found.toLowerCase() === name) count += 1;
  }
  return count;
}

function foreign(message: string): CableError {
  return new CableError('HTTPForbidden', message);
}

function cut(text: string): string {
  return text.slice(0, 100);
}
