/** Open connections of a server's listeners, and which of them must go. */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Server as SecureServer } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** How many connections may be open. */
export type ConnectionLimits = {
  /** All but streams of agents. */
  readonly open: number;
  /** Those of them that have not sent the head of a request yet. */
  readonly unread: number;
};

/** As many as the agents of a large cloud need when they all come back in one second, each with two. */
export const CONNECTION_LIMITS: ConnectionLimits = { open: 16_384, unread: 8_192 };

/** A client that takes nothing of what waits for it is cut after so long. */
const STALLED_MS = 30_000;

/**
 * All listeners' connections. The one that has been without a request the longest gives way to a new one, so those who hold connections and send
 * nothing keep nobody out. Agents' streams are counted apart: neither they nor requests can take the others' place.
 */
export class Connections {
  readonly #limits: ConnectionLimits;
  /** In the order of coming. */
  readonly #unread = new Set<Socket>();
  /** Between two requests, the longest first. */
  readonly #idle = new Set<Socket>();
  /** With how many requests each has under way. */
  readonly #busy = new Map<Socket, number>();
  readonly #streams = new Set<Duplex>();
  #drained: (() => void)[] = [];

  constructor(limits: ConnectionLimits) {
    this.#limits = limits;
  }

  get open(): number {
    return this.#unread.size + this.#idle.size + this.#busy.size;
  }

  get unread(): number {
    return this.#unread.size;
  }

  get streams(): number {
    return this.#streams.size;
  }

  /** Follows the connections of a listener from now on. `come`: the event by which it tells of them; those of HTTPS count when they are secure. */
  follow(server: Server | SecureServer, come: 'connection' | 'secureConnection'): void {
    server.on(come, (socket: Socket) => this.#add(socket));
    server.on('request', ({ socket }: IncomingMessage, reply: ServerResponse) => this.#begin(socket, reply));
    server.setTimeout(STALLED_MS, (socket) => {
      // One whose answer is being worked on waits with reason.
      if (!this.#busy.has(socket) || socket.writableLength > 0) socket.destroy();
    });
  }

  /** It has become an agent's stream, or is about to be refused as one. */
  upgrade(socket: Duplex): void {
    this.#streams.add(socket);
    this.#forget(socket);
    socket.once('close', () => {
      this.#streams.delete(socket);
      this.#tellDrained();
    });
  }

  /** Resolves when there is no connection and no stream. */
  drained(): Promise<void> {
    return new Promise((resolve) => {
      this.#drained.push(resolve);
      this.#tellDrained();
    });
  }

  /** Ends every stream. */
  destroyStreams(): void {
    for (const socket of this.#streams) socket.destroy();
  }

  #add(socket: Socket): void {
    this.#unread.add(socket);
    socket.once('close', () => this.#forget(socket));
    if (this.#unread.size > this.#limits.unread) this.#close(first(this.#unread));
    if (this.open > this.#limits.open) this.#close(first(this.#idle) ?? first(this.#unread));
  }

  /** It is gone at once from the count: many may come before its end is told. */
  #close(socket: Socket | undefined): void {
    if (socket === undefined) return;
    this.#forget(socket);
    socket.destroy();
  }

  #begin(socket: Socket, reply: ServerResponse): void {
    this.#unread.delete(socket);
    this.#idle.delete(socket);
    this.#busy.set(socket, (this.#busy.get(socket) ?? 0) + 1);
    reply.once('close', () => this.#end(socket));
  }

  #end(socket: Socket): void {
    const others = (this.#busy.get(socket) ?? 0) - 1;
    if (others > 0) this.#busy.set(socket, others);
    else if (this.#busy.delete(socket) && !socket.destroyed) this.#idle.add(socket);
  }

  #tellDrained(): void {
    if (this.open + this.#streams.size > 0) return;
    for (const resolve of this.#drained.splice(0)) resolve();
  }

  #forget(socket: Duplex): void {
    for (const all of [this.#unread, this.#idle, this.#busy] as readonly { delete(one: Duplex): boolean }[]) {
      all.delete(socket);
    }
    this.#tellDrained();
  }
}

function first<T>(all: ReadonlySet<T>): T | undefined {
  return all.values().next().value;
}
