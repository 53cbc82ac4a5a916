/** Cuts what comes over a connection into JSON texts: OVSDB puts nothing between them (RFC 7047 §4). */
import { OvsdbError } from './ovsdb-error.ts';

/** What one message may be at most. */
export type MessageLimits = {
  /** Bytes of one message. */
  readonly bytes: number;
  /** Arrays and objects within each other. */
  readonly depth: number;
};

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** One for each connection. */
export class MessageSplitter {
  readonly #limits: MessageLimits;
  readonly #utf8 = new TextDecoder('utf-8', { fatal: true });
  #parts: Buffer[] = [];
  #bytes = 0;
  #depth = 0;
  #isInString = false;
  #isEscaped = false;

  constructor(limits: MessageLimits) {
    this.#limits = limits;
  }

  /** The messages that are whole with these bytes, parsed. Throws `OvsdbError` (hostile) for what is no object or array of JSON, or is too large or too deep. */
  push(chunk: Buffer): readonly unknown[] {
    const messages: unknown[] = [];
    let start = 0;
    for (let at = 0; at < chunk.length; at += 1) {
      if (!this.#endsAt(chunk[at] ?? 0)) continue;
      this.#keep(chunk.subarray(start, at + 1));
      messages.push(this.#take());
      start = at + 1;
    }
    this.#keep(chunk.subarray(start));
    return messages;
  }

  /** True when the message ends with this byte. */
  #endsAt(byte: number): boolean {
    if (this.#isInString) {
      if (this.#isEscaped) this.#isEscaped = false;
      else if (byte === BACKSLASH) this.#isEscaped = true;
      else if (byte === QUOTE) this.#isInString = false;
      return false;
    }
    if (byte === 0x7b || byte === 0x5b) {
      this.#depth += 1;
      if (this.#depth > this.#limits.depth)
        throw new OvsdbError('hostile', `a message has more than ${this.#limits.depth} levels`);
      return false;
    }
    if (byte === 0x7d || byte === 0x5d) {
      this.#depth -= 1;
      return this.#depth <= 0;
    }
    if (byte === QUOTE && this.#depth > 0) this.#isInString = true;
    else if (this.#depth === 0 && !isSpace(byte))
      throw new OvsdbError(
        'hostile',
        'what came is no message of JSON-RPC: is the port that of OVSDB, with TLS or without?',
      );
    return false;
  }

  #keep(part: Buffer): void {
    if (part.length === 0) return;
    this.#bytes += part.length;
    if (this.#bytes > this.#limits.bytes)
      throw new OvsdbError('hostile', `a message has more than ${this.#limits.bytes} bytes`);
    this.#parts.push(part);
  }

  #take(): unknown {
    const whole = Buffer.concat(this.#parts);
    this.#parts = [];
    this.#bytes = 0;
    this.#depth = 0;
    try {
      return JSON.parse(this.#utf8.decode(whole)) as unknown;
    } catch (cause) {
      throw new OvsdbError('hostile', 'a message is no JSON', { cause });
    }
  }
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);
}
