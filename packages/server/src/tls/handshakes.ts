/**
 * TLS handshakes, of which each costs the server's thread more than many requests do (docs/design/joining.md, Handshakes).
 *
 *   accepted ── says something ──> waits, in the line of its address ── its turn ──> begun ──> secure
 *
 * A connection that says nothing costs no more than a socket. Addresses have their turn one after the other.
 */
import type { Socket } from 'node:net';

export type HandshakeLimits = {
  /** Connections that have not begun; beyond, the one that has said nothing for the longest is closed. */
  readonly waiting: number;
  /** Begun and not yet secure. */
  readonly running: number;
  /** Begun in one round of the event loop. */
  readonly perTurn: number;
  /** While others wait, one that has been begun so long ago gives way. */
  readonly patienceMs: number;
  /** For saying something, and for its turn. */
  readonly silenceMs: number;
};

/** Five thousand agents may come back in one second; eight take some milliseconds. */
export const HANDSHAKE_LIMITS: HandshakeLimits = {
  waiting: 8192,
  running: 64,
  perTurn: 8,
  patienceMs: 2000,
  silenceMs: 10_000,
};

export class Handshakes {
  readonly #limits: HandshakeLimits;
  readonly #begin: (socket: Socket) => void;
  readonly #now: () => number;
  /** In the order of coming. */
  readonly #silent = new Set<Socket>();
  /** By address; the first has the next turn. */
  readonly #lines = new Map<string, Socket[]>();
  #waiting = 0;
  /** Since when, the oldest first. */
  readonly #running = new Map<Socket, number>();
  #turn: NodeJS.Immediate | undefined;
  #retry: NodeJS.Timeout | undefined;

  /** `begin`: takes the socket over, whose first bytes may be read already. */
  constructor(begin: (socket: Socket) => void, limits: HandshakeLimits, now: () => number) {
    this.#begin = begin;
    this.#limits = limits;
    this.#now = now;
  }

  /** Connections that are not secure yet. */
  get waiting(): number {
    return this.#silent.size + this.#waiting;
  }

  get running(): number {
    return this.#running.size;
  }

  /** A connection that was accepted. */
  take(socket: Socket): void {
    socket.on('error', () => socket.destroy());
    socket.once('close', () => this.#closed(socket));
    socket.setTimeout(this.#limits.silenceMs, () => socket.destroy());
    this.#silent.add(socket);
    socket.once('readable', () => this.#spoke(socket));
    if (this.waiting > this.#limits.waiting) {
      const [longest = socket] = this.#silent;
      longest.destroy();
      this.#closed(longest);
    }
  }

  /** Its handshake is over, well or not. */
  end(socket: Socket): void {
    if (this.#running.delete(socket)) this.#soon();
  }

  /** Closes what has not become secure. */
  close(): void {
    clearImmediate(this.#turn);
    clearTimeout(this.#retry);
    for (const socket of [...this.#silent, ...[...this.#lines.values()].flat(), ...this.#running.keys()])
      socket.destroy();
  }

  #spoke(socket: Socket): void {
    if (!this.#silent.delete(socket) || socket.destroyed || socket.readableEnded) return;
    const address = socket.remoteAddress ?? '';
    const line = this.#lines.get(address);
    if (line === undefined) this.#lines.set(address, [socket]);
    else line.push(socket);
    this.#waiting += 1;
    this.#soon();
  }

  #closed(socket: Socket): void {
    this.#silent.delete(socket);
    this.end(socket);
  }

  #soon(): void {
    if (this.#waiting > 0) this.#turn ??= setImmediate(() => this.#next());
  }

  #next(): void {
    this.#turn = undefined;
    this.#giveWay();
    const { running, perTurn } = this.#limits;
    for (let begun = 0; begun < perTurn && this.#running.size < running; ) {
      const socket = this.#first();
      if (socket === undefined) return;
      if (socket.destroyed) continue;
      begun += 1;
      this.#running.set(socket, this.#now());
      socket.setTimeout(0);
      this.#begin(socket);
    }
    if (this.#running.size < running) this.#soon();
    else this.#later();
  }

  /** All places are taken: by the time that the oldest gives way, somebody looks. */
  #later(): void {
    this.#retry ??= setTimeout(() => {
      this.#retry = undefined;
      this.#soon();
    }, this.#limits.patienceMs / 4);
    this.#retry.unref();
  }

  #giveWay(): void {
    const { running, patienceMs } = this.#limits;
    for (const [socket, since] of this.#running) {
      if (this.#running.size < running || this.#now() - since < patienceMs) return;
      this.#running.delete(socket);
      socket.destroy();
    }
  }

  #first(): Socket | undefined {
    for (const [address, line] of this.#lines) {
      this.#lines.delete(address);
      const socket = line.shift();
      if (line.length > 0) this.#lines.set(address, line);
      if (socket === undefined) continue;
      this.#waiting -= 1;
      return socket;
    }
    return undefined;
  }
}
