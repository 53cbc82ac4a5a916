/** JSON-RPC 1.0 over one connection, as OVSDB speaks it (RFC 7047 §4.1). */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { type MessageLimits, MessageSplitter } from './message-splitter.ts';
import { OvsdbError } from './ovsdb-error.ts';
import { formatRemote, openRemote, type Remote, type RemoteTls } from './remote.ts';

/** What is told without having been asked for, such as an update of what is monitored. */
export type Notification = { readonly method: string; readonly params: readonly unknown[] };

export type RpcOptions = {
  readonly limits: MessageLimits;
  /** After so long without a word the other side is asked (`echo`); after twice as long the connection is over. */
  readonly probeMs: number;
  readonly connectMs: number;
  /** A request that is not answered in this time ends the connection: a server that only says `echo` is none. */
  readonly requestMs: number;
  readonly tls: RemoteTls | undefined;
  readonly onNotification: (notification: Notification) => void;
};

/** How many requests may wait for their answers: more is a fault here. */
const PENDING_MAX = 1000;

type Pending = {
  readonly resolve: (result: unknown) => void;
  readonly reject: (err: OvsdbError) => void;
  readonly late: NodeJS.Timeout;
};

/** Connects. Throws `OvsdbError` (lost) when nobody is there. */
export async function connectRpc(remote: Remote, options: RpcOptions, signal: AbortSignal): Promise<RpcConnection> {
  const { socket, connectEvent } = openRemote(remote, options.tls);
  const late = setTimeout(() => socket.destroy(new Error(`no answer in ${options.connectMs} ms`)), options.connectMs);
  try {
    await once(socket, connectEvent, { signal });
    return new RpcConnection(socket, options);
  } catch (cause) {
    socket.destroy();
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new OvsdbError('lost', `cannot connect to ${formatRemote(remote)}: ${reason}`, { cause });
  } finally {
    clearTimeout(late);
  }
}

/** It lives until either side ends it; `closed` says why. */
export class RpcConnection {
  /** Resolves with the reason when the connection is over. */
  readonly closed: Promise<OvsdbError>;
  readonly #socket: Socket;
  readonly #options: RpcOptions;
  readonly #pending = new Map<number, Pending>();
  readonly #probe: NodeJS.Timeout;
  #end: (reason: OvsdbError) => void = () => undefined;
  #nextId = 1;
  #isClosed = false;
  #isAsked = false;

  constructor(socket: Socket, options: RpcOptions) {
    this.#socket = socket;
    this.#options = options;
    this.closed = new Promise((resolve) => {
      this.#end = resolve;
    });
    const splitter = new MessageSplitter(options.limits);
    socket.on('data', (chunk: Buffer) => this.#read(splitter, chunk));
    socket.on('error', (cause) =>
      this.#close(new OvsdbError('lost', `the connection broke: ${cause.message}`, { cause })),
    );
    socket.on('close', () => this.#close(new OvsdbError('lost', 'the server ended the connection')));
    this.#probe = setInterval(() => this.#ask(), options.probeMs);
    this.#probe.unref();
  }

  /** The result. Throws `OvsdbError`: refused when the answer is an error, lost when none comes any more. */
  request(method: string, params: readonly unknown[]): Promise<unknown> {
    if (this.#isClosed) return Promise.reject(new OvsdbError('lost', 'the connection is over'));
    if (this.#pending.size >= PENDING_MAX) throw new Error('more requests wait than ever should');
    const id = this.#nextId;
    this.#nextId += 1;
    return new Promise((resolve, reject) => {
      const late = setTimeout(
        () => this.#close(new OvsdbError('lost', `the server does not answer ${method}`)),
        this.#options.requestMs,
      );
      this.#pending.set(id, { resolve, reject, late });
      this.#send({ method, params, id });
    });
  }

  /** Ends it from here. */
  close(reason: OvsdbError = new OvsdbError('lost', 'the connection was ended here')): void {
    this.#close(reason);
  }

  #send(message: object): void {
    this.#socket.write(JSON.stringify(message));
  }

  #read(splitter: MessageSplitter, chunk: Buffer): void {
    if (this.#isClosed) return;
    this.#isAsked = false;
    this.#probe.refresh();
    try {
      for (const message of splitter.push(chunk)) this.#take(message);
    } catch (err) {
      const told = err instanceof OvsdbError ? err : new OvsdbError('hostile', String(err), { cause: err });
      this.#close(told);
    }
  }

  #take(message: unknown): void {
    if (typeof message !== 'object' || message === null || Array.isArray(message))
      throw new OvsdbError('hostile', 'a message is no object');
    const { method, params, id, result, error } = message as Readonly<Record<string, unknown>>;
    if (typeof method === 'string') {
      this.#asked(method, params, id);
      return;
    }
    if (typeof id !== 'number') throw new OvsdbError('hostile', 'an answer is to no request');
    const pending = this.#pending.get(id);
    if (pending === undefined) throw new OvsdbError('hostile', 'an answer is to no request of this connection');
    this.#pending.delete(id);
    clearTimeout(pending.late);
    if (error === null || error === undefined) pending.resolve(result);
    else pending.reject(refusal(error));
  }

  #asked(method: string, params: unknown, id: unknown): void {
    if (!Array.isArray(params)) throw new OvsdbError('hostile', `parameters of ${method.slice(0, 40)} are no list`);
    if (method === 'echo') this.#send({ id, result: params, error: null });
    else if (id === null || id === undefined) this.#options.onNotification({ method, params });
    else this.#send({ id, result: null, error: 'unknown method' });
  }

  #ask(): void {
    if (this.#isAsked) {
      this.#close(new OvsdbError('lost', 'the server says nothing any more'));
      return;
    }
    this.#isAsked = true;
    this.request('echo', []).catch(() => undefined);
  }

  #close(reason: OvsdbError): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearInterval(this.#probe);
    this.#socket.destroy();
    for (const { reject, late } of this.#pending.values()) {
      clearTimeout(late);
      reject(reason);
    }
    this.#pending.clear();
    this.#end(reason);
  }
}

function refusal(error: unknown): OvsdbError {
  const { error: code, details } =
    typeof error === 'object' && error !== null ? (error as Record<string, unknown>) : {};
  const text = typeof error === 'string' ? error : typeof code === 'string' ? code : 'an error';
  const more = typeof details === 'string' ? `: ${details}` : '';
  return new OvsdbError('refused', `the server refused: ${text}${more}`.slice(0, 1000), { code: text.slice(0, 100) });
}
