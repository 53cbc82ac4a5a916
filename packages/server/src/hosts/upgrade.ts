import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Logger } from '@cable/kit';
import { CableError, HOST_UPGRADE } from '@cable/model';
import type { AuthenticatedCaller, Authenticator } from '../http/auth.ts';
import { asCableError, type CountError, logError, notAllowed } from '../http/error-handler.ts';
import { answerRaw } from '../http/raw-answer.ts';
import { parseHostName } from './parse.ts';

export type UpgradeOptions = {
  /** Before anybody is asked who it is. Throws `OverLimit`. Default: any number comes through. */
  readonly admit?: (request: IncomingMessage) => void;
  readonly authenticate: Authenticator;
  /** Throws `PolicyNotAuthorized` for a caller who is no agent. */
  readonly permit: (caller: AuthenticatedCaller, place: { readonly host: string; readonly socket: object }) => void;
  /** Lets a host's agent in, before the connection is upgraded; what it gives takes the connection over. Throws a `CableError`: refused. */
  readonly open: (host: string) => Promise<(socket: Duplex) => void>;
  readonly log: Logger;
  /** Told of every refusal; default: nobody is. */
  readonly countError?: CountError;
};

/** Handler of node's `upgrade` event. */
export type UpgradeHandler = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

/** An answer other than an error of the table: what a client should ask for instead. */
const UPGRADE_REQUIRED = 426;

const WATCH_PATH = /^\/cable\/v1\/hosts\/([^/?]+)\/watch\/?(?:\?.*)?$/;

/** Turns `GET /cable/v1/hosts/{host}/watch` with `Upgrade: cable-host/2` into a host stream, and answers any other upgrade with an error. */
export function createUpgradeHandler(options: UpgradeOptions): UpgradeHandler {
  return (request, socket, head) => {
    socket.on('error', () => socket.destroy());
    upgrade(options, request, socket, head).catch((err: unknown) => answerError(options, request, socket, err));
  };
}

async function upgrade(options: UpgradeOptions, request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
  const host = watchedHost(request);
  // An agent brings no token.
  const { 'x-auth-token': token, 'x-storage-token': other } = request.headers;
  if (token !== undefined || other !== undefined) options.admit?.(request);
  options.permit(await options.authenticate(request), { host, socket: request.socket });
  if (!tokensOf(request.headers.upgrade).includes(HOST_UPGRADE)) {
    const error = new CableError('HTTPBadRequest', `This server upgrades to ${HOST_UPGRADE} only.`);
    options.countError?.(error);
    answerRaw(socket, error, { status: UPGRADE_REQUIRED, headers: { upgrade: HOST_UPGRADE } });
    return;
  }
  const take = await options.open(host);
  if (socket.destroyed) return;
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${HOST_UPGRADE}\r\n\r\n`);
  if (head.length > 0) socket.unshift(head);
  take(socket);
}

/** The host of a watch. Throws for any other request. */
function watchedHost({ method, url = '' }: IncomingMessage): string {
  const name = WATCH_PATH.exec(url)?.[1];
  if (name === undefined) throw new CableError('HTTPBadRequest', 'Nothing is upgraded here but the watch of a host.');
  if (method !== 'GET') throw notAllowed(method, ['GET']);
  return parseHostName(decode(name));
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    throw new CableError('HTTPBadRequest', 'Malformed path.', { cause });
  }
}

function tokensOf(header: string | undefined): readonly string[] {
  return (header ?? '').split(',').map((token) => token.trim().toLowerCase());
}

function answerError(
  { log, countError }: UpgradeOptions,
  request: IncomingMessage,
  socket: Duplex,
  thrown: unknown,
): void {
  const error = asCableError(thrown instanceof Error ? thrown : new Error(String(thrown)));
  countError?.(error);
  logError(log, request, error, thrown);
  answerRaw(socket, error);
}
