import type { Client } from '@cable/api';
import { type Backoff, createBackoff, type Logger, sleep } from '@cable/kit';
import type { HostRegistration } from '@cable/model';
import { collectStates, type HostState } from './host-state.ts';
import { parseWatchLine } from './watch-line.ts';

export type HostStreamOptions = {
  readonly host: string;
  readonly registration: HostRegistration;
  /** Where the first connection continues. */
  readonly initial: HostState;
  readonly onState: (state: HostState) => void;
  /** Told when a connection is in sync, and when it is lost with the reason. */
  readonly onConnection: (connection: { readonly connected: boolean; readonly reason: string | null }) => void;
};

export type HostStreamDeps = {
  readonly client: Pick<Client, 'request' | 'stream'>;
  readonly log: Logger;
  readonly signal: AbortSignal;
};

/** The server sends a bookmark at least every few seconds; a connection this silent is dead. */
const SILENCE_MS = 30_000;

const EAGER_FOR_MS = 60_000;
const EAGER_MAX_MS = 1_000;
const PATIENT_MS = 5_000;

/** URL path of the host's part of the native API. */
export function hostPath(host: string): string {
  return `/cable/v1/hosts/${encodeURIComponent(host)}`;
}

/** Registers and watches, again and again with back-off, until the signal aborts. Does not throw. */
export async function runHostStream(options: HostStreamOptions, deps: HostStreamDeps): Promise<void> {
  const waits = createReconnectWaits();
  let state = options.initial;
  /** Why the last connection ended: a server that is away for days is one line in the log. */
  let last: string | undefined;
  while (!deps.signal.aborted) {
    const reason = await connectOnce(options, deps, state, (next) => {
      state = next;
      last = undefined;
      waits.reset();
    });
    if (deps.signal.aborted) return;
    options.onConnection({ connected: false, reason });
    if (reason !== last) deps.log.warn({ reason }, 'host stream ended, will reconnect');
    last = reason;
    await sleep(waits.next(), deps.signal);
  }
}

/**
 * Waits between connections: at most a second at first, because a server that restarts is soon back and its hosts have changes waiting;
 * after a minute 2.5 to 5 s. Each is drawn at random, so that thousands of agents come back spread over that time.
 */
export function createReconnectWaits(now: () => number = Date.now, random: () => number = Math.random): Backoff {
  const eager = createBackoff({ minMs: 100, maxMs: EAGER_MAX_MS, random });
  const patient = createBackoff({ minMs: PATIENT_MS, maxMs: PATIENT_MS, random });
  let lostAt: number | undefined;
  return {
    next: () => {
      lostAt ??= now();
      return now() - lostAt < EAGER_FOR_MS ? eager.next() : patient.next();
    },
    reset: () => {
      lostAt = undefined;
      eager.reset();
    },
  };
}

/** One connection until it ends; answers why it did. */
async function connectOnce(
  options: HostStreamOptions,
  deps: HostStreamDeps,
  base: HostState,
  keep: (state: HostState) => void,
): Promise<string> {
  const stop = new AbortController();
  const signal = AbortSignal.any([deps.signal, stop.signal]);
  const watchdog = setTimeout(() => stop.abort(), SILENCE_MS);
  try {
    await deps.client.request('PUT', hostPath(options.host), options.registration);
    const since = base.revision === 0 ? '' : `?since=${base.revision}`;
    const lines = await deps.client.stream(`${hostPath(options.host)}/watch${since}`, signal);
    const collector = collectStates(base);
    for await (const text of lines) {
      watchdog.refresh();
      if (text === '') continue;
      const line = parseWatchLine(text);
      if (line === undefined) return `the server sent a line that is not understood: ${text.slice(0, 200)}`;
      const state = collector.take(line);
      if (line.type === 'sync') options.onConnection({ connected: true, reason: null });
      if (state === undefined) continue;
      keep(state);
      options.onState(state);
    }
    return 'the server ended the stream';
  } catch (err) {
    if (stop.signal.aborted && !deps.signal.aborted) return `nothing heard for ${SILENCE_MS / 1000} s`;
    return err instanceof Error ? err.message : String(err);
  } finally {
    clearTimeout(watchdog);
    stop.abort();
  }
}
