import type { Writable } from 'node:stream';

/** Bytes that may wait for a client. */
const WAITING_BYTES = 1 << 20;

/** A piece is written when more than this has come together, so that a slow client is seen to take something. */
const PIECE_BYTES = 1 << 18;

/** Lines that streams have in common at a time: a bookmark, a few slices that are dropped. */
const LINES_KEPT = 64;

/** Makes one buffer of a text, or of many buffers, and gives the same again when the next stream has the same to send. */
export class Joiner {
  readonly #lines = new Map<string, Buffer>();
  #parts: readonly Buffer[] = [];
  #joined: Buffer = Buffer.alloc(0);

  /** The text's bytes. */
  line(text: string): Buffer {
    const line = this.#lines.get(text) ?? Buffer.from(text);
    if (this.#lines.size >= LINES_KEPT) this.#lines.clear();
    this.#lines.set(text, line);
    return line;
  }

  join(parts: readonly Buffer[]): Buffer {
    const [only] = parts;
    if (only !== undefined && parts.length === 1) return only;
    if (parts.length !== this.#parts.length || parts.some((part, index) => part !== this.#parts[index])) {
      this.#joined = Buffer.concat(parts);
      this.#parts = parts;
    }
    return this.#joined;
  }

  /** Lets go of what is kept. */
  clear(): void {
    this.#lines.clear();
    this.#parts = [];
    this.#joined = Buffer.alloc(0);
  }
}

/** What goes out to one client: gathered, written in few pieces, and bounded while it waits. */
export class StreamOutput {
  readonly #out: Writable;
  readonly #joiner: Joiner;
  readonly #onRoom: () => void;
  #parts: Buffer[] = [];
  #gathered = 0;
  #added = 0;
  #writes = 0;
  #progressAt = 0;
  /** True: somebody waits for room. */
  #asked = false;

  constructor(out: Writable, joiner: Joiner, onRoom: () => void) {
    this.#out = out;
    this.#joiner = joiner;
    this.#onRoom = onRoom;
  }

  /** Whether more may be added now; if not, `onRoom` is called when it may. */
  hasRoom(): boolean {
    this.#asked = this.#out.writableLength + this.#gathered > WAITING_BYTES;
    return !this.#asked;
  }

  /** Bytes that were added, ever. */
  get added(): number {
    return this.#added;
  }

  add(line: Buffer): void {
    this.#parts.push(line);
    this.#added += line.length;
    this.#gathered += line.length;
    if (this.#gathered > PIECE_BYTES) this.flush();
  }

  /** Writes what was gathered. */
  flush(): void {
    if (this.#parts.length === 0) return;
    const piece = this.#joiner.join(this.#parts);
    this.#parts = [];
    this.#gathered = 0;
    if (this.#writes === 0) this.#progressAt = performance.now();
    this.#writes += 1;
    this.#out.write(piece, (err) => {
      if (!err) this.#written();
    });
  }

  /** For how long something has waited and the client has taken none of it. */
  stalledMs(): number {
    return this.#writes === 0 ? 0 : performance.now() - this.#progressAt;
  }

  #written(): void {
    this.#writes -= 1;
    this.#progressAt = performance.now();
    if (this.#asked && this.hasRoom()) this.#onRoom();
  }
}
