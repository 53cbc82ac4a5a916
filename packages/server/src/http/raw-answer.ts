import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { CableError } from '@cable/model';
import { errorBody, errorHeaders } from './error-handler.ts';

/** Time for an answer to reach a client. */
const GOODBYE_MS = 1000;

/** Answers with an error on a connection that Node has given out of its hands, and ends it. `status`: default the error's own. */
export function answerRaw(
  socket: Duplex,
  error: CableError,
  {
    status = error.status,
    headers = {},
  }: { readonly status?: number; readonly headers?: Readonly<Record<string, string>> } = {},
): void {
  const body = JSON.stringify(errorBody(error));
  const all = {
    'content-type': 'application/json; charset=utf-8',
    'content-length': String(Buffer.byteLength(body)),
    connection: 'close',
    ...errorHeaders(error),
    ...headers,
  };
  const head = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${head.join('')}\r\n${body}`);
  // A client that does not close is not waited for.
  const timer = setTimeout(() => socket.destroy(), GOODBYE_MS);
  socket.once('close', () => clearTimeout(timer));
}
