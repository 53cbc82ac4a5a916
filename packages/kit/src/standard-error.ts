/** Standard error as a place to write lines that never makes the process wait. */
import { constants, fstatSync, openSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';

/** How a sink is made; everything has its default. */
export type LineSinkOptions = {
  /** Default 2, standard error. */
  readonly fd?: number;
  /** Bytes that may wait. Default 1 MiB. */
  readonly maxBytes?: number;
  /** How long `flush` takes at most, in ms. Default 500. */
  readonly flushMs?: number;
  /** The line that tells, when there is room again, how many were dropped. Default: JSON with `dropped`. */
  readonly formatDropped?: (count: number) => string;
};

const MAX_BYTES = 1 << 20;
/** A reader that has fallen behind is tried this often. */
const RETRY_MS = 50;
const FLUSH_MS = 500;

/** Writes some of the bytes and says how many; 0: there is no room now. Throws when nothing can be written any more. */
type Write = (bytes: Uint8Array) => number;

/**
 * Takes lines; what cannot be written soon is dropped, and counted. A file, terminal or pipe stays as it is for others who write to it; a
 * socket becomes non-blocking for them too.
 */
export class LineSink {
  readonly #write: Write;
  readonly #maxBytes: number;
  readonly #flushMs: number;
  readonly #formatDropped: (count: number) => string;
  #waiting: Uint8Array[] = [];
  #bytes = 0;
  #dropped = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: LineSinkOptions = {}) {
    this.#write = openWrite(options.fd ?? 2);
    this.#maxBytes = options.maxBytes ?? MAX_BYTES;
    this.#flushMs = options.flushMs ?? FLUSH_MS;
    this.#formatDropped = options.formatDropped ?? droppedLine;
  }

  /** One line with its end. */
  write(text: string): void {
    const line = Buffer.from(text);
    if (this.#bytes + line.length > this.#maxBytes) this.#pump();
    if (this.#bytes + line.length > this.#maxBytes) {
      this.#dropped += 1;
      return;
    }
    this.#add(line);
    if (this.#timer === undefined) this.#pump();
    this.#pumpLater();
  }

  /** Writes what waits; takes half a second at most, unless told otherwise. For the end of a process. */
  flush(): void {
    const until = performance.now() + this.#flushMs;
    const clock = new Int32Array(new SharedArrayBuffer(4));
    this.#pump();
    while (this.#waiting.length > 0 && performance.now() < until) {
      Atomics.wait(clock, 0, 0, 5);
      this.#pump();
    }
  }

  #pump(): void {
    for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
      const written = tryWrite(this.#write, first);
      if (written === undefined) {
        this.#giveUp();
        return;
      }
      this.#bytes -= written;
      if (written < first.length) {
        this.#waiting[0] = first.subarray(written);
        return;
      }
      this.#waiting.shift();
      if (this.#waiting.length === 0) this.#tellDropped();
    }
  }

  /** A process with nothing else to do ends; `flush` writes what then waits. */
  #pumpLater(): void {
    if (this.#waiting.length === 0 || this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#pump();
      this.#pumpLater();
    }, RETRY_MS);
    this.#timer.unref();
  }

  #add(line: Uint8Array): void {
    this.#waiting.push(line);
    this.#bytes += line.length;
  }

  #tellDropped(): void {
    if (this.#dropped === 0) return;
    this.#add(Buffer.from(this.#formatDropped(this.#dropped)));
    this.#dropped = 0;
  }

  /** Nobody reads any more. */
  #giveUp(): void {
    this.#dropped += this.#waiting.length;
    this.#waiting = [];
    this.#bytes = 0;
  }
}

/** What a process says before it ends, for people: a line on standard error, beside the log. Takes half a second at most, whoever reads it or not; or `flushMs`. */
export function sayLast(text: string, flushMs: number = FLUSH_MS): void {
  const sink = new LineSink({ flushMs });
  sink.write(`${text}\n`);
  sink.flush();
}

function droppedLine(count: number): string {
  const time = new Date().toISOString();
  return `${JSON.stringify({ level: 40, time, dropped: count, msg: 'nobody read the log, lines were dropped' })}\n`;
}

/** undefined: nothing can be written any more. */
function tryWrite(write: Write, bytes: Uint8Array): number | undefined {
  try {
    return write(bytes);
  } catch {
    return undefined;
  }
}

/**
 * A write to a pipe or terminal waits for its reader unless the open file says otherwise; and that is shared with other processes. So it is
 * opened once more. A socket (the journal's) cannot be: libuv makes it non-blocking, that is all it is taken for. A file never waits.
 */
function openWrite(fd: number): Write {
  try {
    const stat = fstatSync(fd);
    if (stat.isSocket()) return socketWrite(fd);
    if (stat.isFile()) return fileWrite(fd);
    const own = openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
    return fileWrite(own);
  } catch {
    return fileWrite(fd);
  }
}

function fileWrite(fd: number): Write {
  return (bytes) => {
    try {
      return writeSync(fd, bytes);
    } catch (err) {
      if (err instanceof Error && 'code' in err && (err.code === 'EAGAIN' || err.code === 'EINTR')) return 0;
      throw err;
    }
  };
}

function socketWrite(fd: number): Write {
  const socket = new Socket({ fd, readable: false, writable: true });
  const write = fileWrite(fd);
  return (bytes) => {
    if (socket.destroyed) throw new Error('the socket is closed');
    return write(bytes);
  };
}
