import type { Writable } from 'node:stream';

/** Bytes that may wait for a client. */
const WAITING_BYTES = 1 << 20;

/** A piece is written when more than this has come together, so that a slow client is seen to take something. */
const PIECE_BYTES = 1 << 18;

/** What goes out to one client: gathered, written in few pieces, and bounded while it waits. */
export class StreamOutput {
  readonly #out: Writable;
  readonly #onRoom: () => void;
  /** Short lines are kept as text: what is written as text takes no buffer. */
  #text = '';
  /** What came before that, if some of it came as bytes. */
  #parts: Buffer[] | undefined;
  #gathered = 0;
  #added = 0;
  #writes = 0;
  #progressAt = 0;
  /** True: somebody waits for room. */
  #asked = false;

  constructor(out: Writable, onRoom: () => void) {
    this.#out = out;
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

  add(lines: Buffer | string): void {
    this.#added += lines.length;
    this.#gathered += lines.length;
    if (typeof lines === 'string') this.#text += lines;
    else this.#partsUntilNow().push(lines);
    if (this.#gathered > PIECE_BYTES) this.flush();
  }

  /** Writes what was gathered. */
  flush(): void {
    if (this.#gathered === 0) return;
    const piece = this.#parts === undefined ? this.#text : Buffer.concat(this.#partsUntilNow());
    this.#text = '';
    this.#parts = undefined;
    this.#gathered = 0;
    if (this.#writes === 0) this.#progressAt = performance.now();
    this.#writes += 1;
    this.#out.write(piece, this.#onWritten);
  }

  #partsUntilNow(): Buffer[] {
    this.#parts ??= [];
    if (this.#text !== '') this.#parts.push(Buffer.from(this.#text));
    this.#text = '';
    return this.#parts;
  }

  /** For how long something has waited and the client has taken none of it. */
  stalledMs(): number {
    return this.#writes === 0 ? 0 : performance.now() - this.#progressAt;
  }

  readonly #onWritten = (err: Error | null | undefined): void => {
    if (err) return;
    this.#writes -= 1;
    this.#progressAt = performance.now();
    if (this.#asked && this.hasRoom()) this.#onRoom();
  };
}
