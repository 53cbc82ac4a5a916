import type { Duplex, Writable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type CompilerTables, isSent } from '@cable/compiler';
import type { Logger, Turns } from '@cable/kit';
import { CableError, type HostAsk, type SliceKey } from '@cable/model';
import { startSliceTurns } from '../slices/pacer.ts';
import type { Outcome } from '../slices/slice-compiler.ts';
import type { Follower, SliceStore } from '../slices/slice-store.ts';
import { unreachable } from './host-asks.ts';
import { HostStream, type StreamPlane } from './host-stream.ts';
import { HostStreamV1 } from './stream-v1.ts';
import { SlicesV1 } from './stream-v1-slices.ts';

/** A restarted agent may connect before its old connection is known to be dead; more than these are a mistake, and the oldest goes. */
const STREAMS_A_HOST = 2;

/** How long a client that takes all it is given stays at the head of the line: one that always asks for more must not keep it. */
const AT_HEAD_MS = 100;

export type StreamsOptions = {
  readonly store: SliceStore;
  readonly tables: Pick<CompilerTables, 'router_interface'>;
  readonly plane: StreamPlane;
  readonly log: Logger;
  /** Longest silence of a stream. */
  readonly keepaliveMs: number;
  /** A client that takes nothing for so long is cut. */
  readonly stalledMs: number;
  /** Starts the turns in which many streams are written to. Default: `startSliceTurns`. */
  readonly turns?: () => Turns;
};

type AnyStream = HostStream | HostStreamV1;

/** The open streams of all hosts, of both protocols. */
export class Streams implements Follower {
  readonly #options: StreamsOptions;
  readonly #streams = new Map<string, Set<AnyStream>>();
  /** Streams that have, or may have, something to send at the end of the batch: those with `isTouched`. */
  #touched: AnyStream[] = [];
  /** Streams that may go on sending, in the order in which they will. */
  readonly #ready = new Set<HostStream>();
  #isPumping = false;
  #streamsV1 = 0;
  readonly #turns: () => Turns;
  readonly #slicesV1: SlicesV1;
  readonly #abort = new AbortController();
  readonly #unfollow: () => void;

  constructor(options: StreamsOptions) {
    const { store, tables } = options;
    this.#options = options;
    this.#turns = options.turns ?? startSliceTurns;
    this.#slicesV1 = new SlicesV1(store, tables, this.#abort.signal);
    this.#unfollow = store.follow(this);
  }

  /** Number of hosts with a stream. */
  get size(): number {
    return this.#streams.size;
  }

  /** True when the host watches this server, so that its agent reports here too. */
  has(host: string): boolean {
    return this.#streams.has(host);
  }

  /** Number of open streams by protocol. */
  protocols(): Readonly<Record<string, number>> {
    let all = 0;
    for (const streams of this.#streams.values()) all += streams.size;
    return { 1: this.#streamsV1, 2: all - this.#streamsV1 };
  }

  /** True while something for the host is due, or was written without a `sync` or bookmark behind it; and while it has no stream. */
  owes(host: string): boolean {
    const streams = this.#streams.get(host);
    if (streams === undefined) return true;
    for (const stream of streams) if (stream.owes) return true;
    return false;
  }

  /** True when that run of the host's agent has a stream here. */
  hasSession(host: string, session: string): boolean {
    return [...(this.#streams.get(host) ?? [])].some((stream) => stream.session === session);
  }

  /** Asks the host's agent. Throws `HostUnreachable` when it is not connected here or cannot be asked, and as `HostAsks.ask`. */
  async ask(host: string, ask: HostAsk): Promise<unknown> {
    const streams = [...(this.#streams.get(host) ?? [])].reverse();
    const asked = streams.find((stream) => stream instanceof HostStream && stream.answers);
    if (asked instanceof HostStream) return await asked.ask(ask);
    throw unreachable(host, streams.length === 0 ? 'its agent is not connected' : 'its agent is of an older build');
  }

  /** Starts a stream over an upgraded connection, which is answered already. */
  open(host: string, socket: Duplex): void {
    const { store, plane, keepaliveMs, stalledMs } = this.#options;
    this.#start(
      host,
      2,
      (ends) =>
        new HostStream({
          host,
          store,
          plane,
          socket,
          keepaliveMs,
          stalledMs,
          onReady: (ready) => this.#pumpSoon(ready),
          ...ends,
        }),
    );
  }

  /** Starts a stream of protocol 1 to `out`, which is answered already. `since`: a revision that the tables have reached; 0: none. */
  openV1(host: string, since: number, out: Writable): void {
    const { store, plane, keepaliveMs, stalledMs } = this.#options;
    const sent = plane.sent.bind(plane);
    this.#start(host, 1, (ends) => {
      return new HostStreamV1({
        host,
        since,
        store,
        slices: this.#slicesV1,
        out,
        sent,
        keepaliveMs,
        stalledMs,
        ...ends,
      });
    });
  }

  /** Says why and ends the host's streams. */
  refuse(host: string, error: CableError): void {
    for (const stream of [...(this.#streams.get(host) ?? [])]) stream.refuse(error);
  }

  /** Ends the host's streams. */
  end(host: string, reason: string): void {
    for (const stream of [...(this.#streams.get(host) ?? [])]) stream.end(reason);
  }

  /** Ends all streams. */
  endAll(reason: string): void {
    for (const host of [...this.#streams.keys()]) this.end(host, reason);
  }

  /** Ends all streams, for good. */
  stop(reason: string): void {
    this.#unfollow();
    this.#abort.abort();
    this.endAll(reason);
  }

  async note({ slices, needs }: Outcome): Promise<void> {
    const { store } = this.#options;
    const turns = this.#turns();
    for (const [key, position] of slices) {
      const whole = this.#slicesV1.note(key);
      const digest = isSent(key) ? store.digestSince(key, position) : undefined;
      for (const host of store.subscribers(key)) {
        for (const stream of this.#streams.get(host) ?? []) {
          if (stream instanceof HostStreamV1) stream.note(key, whole);
          else if (isSent(key)) stream.note(key, position, digest);
          this.#touch(stream);
        }
        if (turns.due()) await turns.next();
      }
    }
    for (const [host, keys] of needs) {
      this.#noteMoves(host, keys);
      if (turns.due()) await turns.next();
    }
  }

  async flush(): Promise<void> {
    const turns = this.#turns();
    const touched = this.#touched;
    // Those that have to wait again come with the next batch.
    this.#touched = [];
    for (const stream of touched) {
      stream.isTouched = false;
      if (this.#pump(stream) && stream instanceof HostStream) this.#pumpSoon(stream);
      if (turns.due()) await turns.next();
    }
  }

  #touch(stream: AnyStream): void {
    if (stream.isTouched) return;
    stream.isTouched = true;
    this.#touched.push(stream);
  }

  /** True: there is more that may go as well. A defect ends the one stream, not the sending of others. */
  #pump(stream: AnyStream): boolean {
    try {
      return stream.pump();
    } catch (err) {
      this.#options.log.error({ err }, 'host stream failed');
      stream.end('stream failed');
      return false;
    }
  }

  #pumpSoon(stream: HostStream): void {
    this.#ready.add(stream);
    if (!this.#isPumping) void this.#pumpReady();
  }

  /**
   * One after the other, as far as each client takes it: so the first is in sync long before the last. Once a turn of the event loop, in each of which one
   * connection is taken in (libuv takes no more): with longer turns 5,000 agents waited twenty seconds to be let in, and were taken for silent.
   */
  async #pumpReady(): Promise<void> {
    this.#isPumping = true;
    await nextTurn();
    for (const stream of this.#ready) {
      const until = performance.now() + AT_HEAD_MS;
      let isMore: boolean;
      do {
        this.#ready.delete(stream);
        do {
          isMore = this.#pump(stream);
          await nextTurn();
        } while (isMore && performance.now() < until);
        await stream.making;
      } while (!isMore && this.#ready.has(stream) && performance.now() < until);
      if (isMore) this.#ready.add(stream);
    }
    this.#isPumping = false;
  }

  #noteMoves(host: string, keys: ReadonlySet<SliceKey>): void {
    const streams = this.#streams.get(host);
    if (streams === undefined) return;
    if (!this.#options.store.hasHost(host)) {
      this.refuse(host, new CableError('HostNotRegistered', `Host ${host} was deleted.`));
      return;
    }
    for (const stream of streams) {
      for (const key of keys) stream.noteMove(key);
      this.#touch(stream);
    }
  }

  #start<S extends AnyStream>(host: string, protocol: number, make: (ends: StreamEnds<S>) => S): void {
    const { log } = this.#options;
    const streams = this.#streams.get(host) ?? new Set<AnyStream>();
    this.#streams.set(host, streams);
    const oldest = streams.size < STREAMS_A_HOST ? undefined : streams.values().next().value;
    const stream: S = make({
      onWait: (waiting) => this.#touch(waiting),
      onError: (err) => log.error({ err, host }, 'host stream failed'),
      onEnd: (reason) => this.#ended(host, streams, stream, reason),
    });
    streams.add(stream);
    if (stream instanceof HostStreamV1) this.#streamsV1 += 1;
    oldest?.end('host opened another stream');
    log.info({ host, protocol }, 'host stream started');
    stream.start();
  }

  #ended(host: string, streams: Set<AnyStream>, stream: AnyStream, reason: string): void {
    streams.delete(stream);
    if (stream instanceof HostStream) this.#ready.delete(stream);
    if (stream instanceof HostStreamV1) this.#streamsV1 -= 1;
    if (this.#streamsV1 === 0) this.#slicesV1.clear();
    if (streams.size === 0 && this.#streams.get(host) === streams) this.#streams.delete(host);
    this.#options.log.info({ host, reason }, 'host stream ended');
  }
}

type StreamEnds<S> = {
  readonly onWait: (stream: S) => void;
  readonly onError: (err: unknown) => void;
  readonly onEnd: (reason: string) => void;
};
