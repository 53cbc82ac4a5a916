import type { Logger } from '@cable/kit';
import { isUuid, parseFrameFilter } from '@cable/model';
import { type CaptureSocket, openCaptureSocket } from '../net/capture-socket.ts';
import type { Planner } from '../plan/planner.ts';
import { createMatcher } from './filter.ts';
import type { WatchedDevices } from './watched-devices.ts';

export type CaptureDeps = {
  readonly planner: Pick<Planner, 'vifs'>;
  readonly watched: Pick<WatchedDevices, 'watch'>;
  readonly log: Logger;
  readonly signal: AbortSignal;
};

/** `stop`: nobody reads on. Idempotent. */
export type Capture = { readonly lines: AsyncIterable<string>; stop(): void };

/** What is captured. */
type Wanted = {
  readonly portId: string;
  readonly isWanted: (frame: Uint8Array) => boolean;
  /** Frames after which it ends; 0: it does not. */
  readonly count: number;
  readonly seconds: number;
};

/** Captures at once; each may hold `WAITING_BYTES`. */
const MAX_CAPTURES = 8;
const WAITING_BYTES = 16 << 20;
const MAX_SECONDS = 3600;
const MAX_COUNT = 10_000_000;

/** Frames of ports of this host, for who asks on the agent's socket. */
export class Captures {
  readonly #deps: CaptureDeps;
  #running = 0;

  constructor(deps: CaptureDeps) {
    this.#deps = deps;
  }

  /**
   * A capture as lines of JSON: each `{"time_us","frame"}` (base64), the last `{"end","lost"}` says why it ended and how many frames came faster than they were taken. A text
   * instead: why there is none. Nothing is heard before the first line is asked for.
   */
  start(parameters: URLSearchParams): Capture | string {
    const wanted = parseWanted(parameters);
    if (typeof wanted === 'string') return wanted;
    const vif = this.#deps.planner.vifs.get(wanted.portId);
    if (vif === undefined) return `port ${wanted.portId} has no device on this host`;
    if (this.#running >= MAX_CAPTURES) return `${MAX_CAPTURES} captures run already`;
    const stop = new AbortController();
    return { lines: this.#run(wanted, vif, stop.signal), stop: () => stop.abort() };
  }

  async *#run(
    { portId, isWanted, count, seconds }: Wanted,
    { ifindex, device }: { readonly ifindex: number; readonly device: string },
    stopped: AbortSignal,
  ): AsyncGenerator<string> {
    const { watched, log, signal } = this.#deps;
    const queue = new FrameQueue();
    let end: string | undefined;
    const stop = (why: string): void => {
      end ??= why;
      queue.wake();
    };
    const onAbort = (): void => stop('the agent ends');
    const unwatch = watched.watch(device);
    this.#running += 1;
    let socket: CaptureSocket | undefined;
    const timer = setTimeout(() => stop('its time is over'), seconds * 1000);
    signal.addEventListener('abort', onAbort, { once: true });
    stopped.addEventListener('abort', () => stop('nobody reads on'), { once: true });
    let given = 0;
    log.info({ port: portId, device }, 'capture begins');
    try {
      socket = openCaptureSocket({
        ifindex,
        onFrame: (frame, atUs) => {
          if (isWanted(frame)) queue.push(frame, atUs);
        },
        onError: (err) => stop(err.message),
      });
      yield `${JSON.stringify({ device })}\n`;
      while (count === 0 || given < count) {
        const line = queue.shift();
        if (line !== undefined) {
          given += 1;
          yield line;
        } else if (end !== undefined) break;
        else await queue.filled();
      }
      const lost = queue.lost + socket.takeLost();
      yield `${JSON.stringify({ end: end ?? 'as many as were asked for', lost })}\n`;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      socket?.close();
      unwatch();
      this.#running -= 1;
      log.info({ port: portId, device, frames: given }, 'capture ends');
    }
  }
}

/** Frames that wait to be read, as lines. What has no place is lost, and counted. */
class FrameQueue {
  readonly #lines: string[] = [];
  #bytes = 0;
  #wake: () => void = () => {};
  lost = 0;

  push(frame: Uint8Array, atUs: number): void {
    const line = `${JSON.stringify({ time_us: atUs, frame: Buffer.from(frame).toString('base64') })}\n`;
    if (this.#bytes + line.length > WAITING_BYTES) {
      this.lost += 1;
      return;
    }
    this.#bytes += line.length;
    this.#lines.push(line);
    this.wake();
  }

  shift(): string | undefined {
    const line = this.#lines.shift();
    this.#bytes -= line?.length ?? 0;
    return line;
  }

  filled(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  wake(): void {
    this.#wake();
  }
}

/** A text: what is wrong. */
function parseWanted(parameters: URLSearchParams): Wanted | string {
  const portId = parameters.get('port') ?? '';
  if (!isUuid(portId)) return 'port: give the id of a port';
  const filter = parseFrameFilter(parameters.get('filter') ?? '');
  if (typeof filter === 'string') return `filter: ${filter}`;
  const count = whole(parameters.get('count') ?? '0', MAX_COUNT);
  if (count === undefined) return `count: give a whole number of 0 to ${MAX_COUNT}`;
  const seconds = whole(parameters.get('seconds') ?? String(MAX_SECONDS), MAX_SECONDS);
  if (seconds === undefined) return `seconds: give a whole number of 0 to ${MAX_SECONDS}`;
  return { portId, isWanted: createMatcher(filter), count, seconds };
}

function whole(text: string, most: number): number | undefined {
  const value = /^\d{1,8}$/.test(text) ? Number(text) : Number.NaN;
  return value <= most ? value : undefined;
}
