import type { Writable } from 'node:stream';
import type { Logger } from '@cable/kit';
import type { SliceCache } from '../slices/slice-cache.ts';
import { HostStream } from './host-stream.ts';

/** A restarted agent may connect before its old connection is known to be dead; more than these are a mistake, and the oldest goes. */
const STREAMS_A_HOST = 2;

export type StreamsOptions = {
  readonly cache: SliceCache;
  readonly log: Logger;
  readonly keepaliveMs: number;
  readonly stalledMs: number;
};

/** The open streams of all hosts. */
export class Streams {
  readonly #options: StreamsOptions;
  readonly #streams = new Map<string, Set<HostStream>>();

  constructor(options: StreamsOptions) {
    this.#options = options;
  }

  /** Number of hosts with a stream. */
  get size(): number {
    return this.#streams.size;
  }

  /** True when the host watches this server, so that its agent reports here too. */
  has(host: string): boolean {
    return this.#streams.has(host);
  }

  /** Starts a stream to `out`, which the caller has opened. */
  open(host: string, since: number, out: Writable): void {
    const { cache, log, keepaliveMs, stalledMs } = this.#options;
    const streams = this.#streams.get(host) ?? new Set<HostStream>();
    this.#streams.set(host, streams);
    const oldest = streams.size < STREAMS_A_HOST ? undefined : streams.values().next().value;
    const onEnd = (reason: string): void => {
      streams.delete(stream);
      if (streams.size === 0 && this.#streams.get(host) === streams) this.#streams.delete(host);
      log.info({ host, reason }, 'host stream ended');
    };
    const stream: HostStream = new HostStream({ host, since, cache, out, onEnd, keepaliveMs, stalledMs });
    streams.add(stream);
    oldest?.end('host opened another stream');
    log.info({ host, since }, 'host stream started');
    stream.start();
  }

  /** Tells the host that everything so far has been sent. */
  bookmark(host: string): void {
    for (const stream of this.#streams.get(host) ?? []) stream.bookmark();
  }

  /** Ends the host's streams. */
  end(host: string, reason: string): void {
    for (const stream of [...(this.#streams.get(host) ?? [])]) stream.end(reason);
  }

  endAll(reason: string): void {
    for (const host of [...this.#streams.keys()]) this.end(host, reason);
  }
}
