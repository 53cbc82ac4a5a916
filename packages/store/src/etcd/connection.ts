import { type Logger, sleep } from '@cable/kit';
import { type Client, connectivityState } from '@grpc/grpc-js';
import { StoreError } from '../errors.ts';
import { callUnary, createEndpointClient, explainError, isUnavailable, type Method } from './rpc.ts';

export type ConnectionOptions = {
  /** `host:port` each. */
  readonly endpoints: readonly string[];
  readonly log: Logger;
  /** How long a call may take, with its retries. */
  readonly timeoutMs: number;
};

/** How long one endpoint may take to connect before the next is tried. */
const CONNECT_MS = 2000;

/** The members of one etcd cluster: calls go to one of them, and to the next when that one fails. */
export class EtcdConnection {
  readonly timeoutMs: number;
  readonly #endpoints: readonly string[];
  readonly #log: Logger;
  readonly #clients: readonly Client[];
  readonly #closing = new AbortController();
  #current = 0;

  constructor(options: ConnectionOptions) {
    this.timeoutMs = options.timeoutMs;
    this.#endpoints = options.endpoints;
    this.#log = options.log;
    this.#clients = options.endpoints.map(createEndpointClient);
  }

  /** Aborts when the connection is closed. */
  get closed(): AbortSignal {
    return this.#closing.signal;
  }

  /**
   * Calls a method. With `repeat` (for calls that may be done twice) it goes on to other members until the time is over;
   * without, it is sent once, to a member that is connected. Throws `StoreError`.
   */
  async call<Request, Response>(
    method: Method<Request, Response>,
    request: Request,
    how: 'repeat' | 'once',
  ): Promise<Response> {
    const deadlineMs = Date.now() + this.timeoutMs;
    for (;;) {
      const client = await this.client(deadlineMs);
      try {
        return await callUnary(client, method, request, deadlineMs);
      } catch (err) {
        this.throwIfClosed();
        if (!isUnavailable(err)) throw explainError(err, method.path);
        this.fail(client, err);
        if (how === 'once' || Date.now() >= deadlineMs) throw explainError(err, method.path);
        await sleep(50, this.closed);
      }
    }
  }

  /** A client that is connected. Throws `unavailable` when there is none by then, and `closed`. */
  async client(deadlineMs: number): Promise<Client> {
    for (;;) {
      for (const _endpoint of this.#endpoints) {
        this.throwIfClosed();
        const client = this.#clients[this.#current];
        if (client === undefined) throw new Error('no such endpoint');
        if (await isConnected(client, Math.min(deadlineMs, Date.now() + CONNECT_MS))) return client;
        this.#current = (this.#current + 1) % this.#clients.length;
      }
      this.throwIfClosed();
      if (Date.now() >= deadlineMs) {
        throw new StoreError(
          'unavailable',
          `no etcd answers at ${this.#endpoints.join(', ')}: start it, or correct --store`,
        );
      }
      await sleep(50, this.closed);
    }
  }

  /** Tells that a member failed: the next call goes to another. */
  fail(client: Client, err: unknown): void {
    if (this.#clients[this.#current] !== client) return;
    const endpoint = this.#endpoints[this.#current];
    this.#current = (this.#current + 1) % this.#clients.length;
    this.#log.warn({ endpoint, err: explainError(err, 'call') }, 'etcd member failed');
  }

  throwIfClosed(): void {
    if (this.closed.aborted) throw new StoreError('closed', 'the store is closed');
  }

  close(): void {
    this.#closing.abort();
    for (const client of this.#clients) client.close();
  }
}

/** Waits until the client is connected (true), or cannot connect or takes too long (false). */
async function isConnected(client: Client, deadlineMs: number): Promise<boolean> {
  const channel = client.getChannel();
  for (;;) {
    const state = channel.getConnectivityState(true);
    if (state === connectivityState.READY) return true;
    if (state === connectivityState.SHUTDOWN || state === connectivityState.TRANSIENT_FAILURE) return false;
    const changed = await new Promise<boolean>((resolve) => {
      channel.watchConnectivityState(state, deadlineMs, (err) => resolve(err === undefined));
    });
    if (!changed) return false;
  }
}
