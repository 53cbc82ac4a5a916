/** HTTPS: connections are accepted by one server, begin their handshakes in turns, and are then the other's. */
import { createServer as createSecureServer, type Server as SecureServer, type ServerOptions } from 'node:https';
import { createServer, type Server, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { CableError } from '@cable/model';
import { stampDoor } from '../doors.ts';
import { answerRaw } from '../http/raw-answer.ts';
import { HANDSHAKE_LIMITS, type HandshakeLimits, Handshakes } from './handshakes.ts';
import type { ServerTls } from './server-tls.ts';

export type TlsListener = {
  /** Listens; nothing else does. */
  readonly acceptor: Server;
  /** Gets the connections that are secure. */
  readonly server: SecureServer;
  readonly handshakes: Handshakes;
  close(): void;
};

/** First byte of a TLS handshake (RFC 8446, 5.1). */
const HANDSHAKE = 22;

/** Sessions are taken up again for so long; who the client is, and whether it still may, is looked at in each request all the same. */
const SESSION_SECONDS = 3600;

/** A listener that does not listen yet. `times`: those of its HTTP. */
export function createTlsListener(
  tls: ServerTls,
  times: ServerOptions,
  limits: HandshakeLimits = HANDSHAKE_LIMITS,
): TlsListener {
  const server = createSecureServer({
    ...times,
    ...tls.current,
    minVersion: 'TLSv1.2',
    // A client that shows something odd is told what by HTTP: an alert comes to nobody's log.
    ...{ requestCert: true, rejectUnauthorized: false },
    handshakeTimeout: limits.silenceMs,
    sessionTimeout: SESSION_SECONDS,
    sessionIdContext: 'cable',
  });
  const stop = tls.onChange((next) =>
    server.setSecureContext({ ...next, minVersion: 'TLSv1.2', sessionIdContext: 'cable' }),
  );
  const begun = new Map<string, Socket>();
  const handshakes = new Handshakes(
    (socket) => begin(server, begun, socket),
    limits,
    () => performance.now(),
  );
  const end = (socket: TLSSocket): void => {
    const raw = begun.get(endpointOf(socket));
    if (raw !== undefined) handshakes.end(raw);
  };
  server.prependListener('secureConnection', (socket: TLSSocket) => {
    stampDoor(socket, 'tls');
    end(socket);
  });
  server.prependListener('tlsClientError', (_err: Error, socket: TLSSocket) => {
    end(socket);
    socket.destroy();
  });
  const acceptor = createServer((socket) => handshakes.take(socket));
  const close = (): void => {
    stop();
    handshakes.close();
    acceptor.close();
  };
  return { acceptor, server, handshakes, close };
}

function begin(server: SecureServer, begun: Map<string, Socket>, socket: Socket): void {
  const first: Buffer | null = socket.read();
  if (first === null) {
    socket.destroy();
    return;
  }
  if (first[0] !== HANDSHAKE) {
    answerRaw(socket, new CableError('HTTPBadRequest', 'HTTPS is spoken here: write https:// in the address.'));
    return;
  }
  socket.unshift(first);
  const endpoint = endpointOf(socket);
  begun.set(endpoint, socket);
  socket.once('close', () => {
    if (begun.get(endpoint) === socket) begun.delete(endpoint);
  });
  server.emit('connection', socket);
}

/** No two connections of a listener have the same. */
function endpointOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
