/** What Node would answer by itself, without a body or not at all: answered with an error of the table. */
import type { Server, ServerResponse } from 'node:http';
import type { Server as SecureServer } from 'node:https';
import type { Duplex } from 'node:stream';
import { CableError, type ErrorCode } from '@cable/model';
import { errorBody } from './error-handler.ts';
import { answerRaw } from './raw-answer.ts';

/** Answers what is no HTTP, what does not come in time, CONNECT, and expectations. `100 Continue` is left to who reads the body. */
export function answerOddRequests(server: Server | SecureServer): void {
  server.on('clientError', answerUnreadable);
  server.on('connect', (_request, socket) => {
    socket.on('error', () => socket.destroy());
    answerRaw(socket, new CableError('HTTPMethodNotAllowed', 'The method CONNECT is not allowed here.'));
  });
  server.on('checkExpectation', (_request, reply) => {
    const error = new CableError('HTTPExpectationFailed', 'The server expects nothing but 100-continue.');
    const headers = { 'content-type': 'application/json; charset=utf-8', connection: 'close' };
    reply.writeHead(error.status, headers).end(JSON.stringify(errorBody(error)));
  });
  server.on('checkContinue', (request, reply) => server.emit('request', request, reply));
}

const UNREADABLE: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  HPE_HEADER_OVERFLOW: ['HTTPRequestHeaderFieldsTooLarge', 'The headers of the request are longer than 16 KiB.'],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: ['HTTPRequestEntityTooLarge', 'The extensions of the body’s chunks are too long.'],
  ERR_HTTP_REQUEST_TIMEOUT: ['HTTPRequestTimeout', 'The request did not come in time.'],
};

/** What comes is no HTTP, or does not come. */
function answerUnreadable(err: NodeJS.ErrnoException, socket: Duplex): void {
  const isAnswering = '_httpMessage' in socket && (socket._httpMessage as ServerResponse | null)?.headersSent === true;
  if (!socket.writable || isAnswering) {
    socket.destroy(err);
    return;
  }
  const [code, message] = UNREADABLE[err.code ?? ''] ?? ['HTTPBadRequest', 'The request is not valid HTTP.'];
  answerRaw(socket, new CableError(code, message));
}
