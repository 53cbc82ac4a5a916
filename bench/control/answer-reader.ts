/** An answer that has been read whole. */
export type Answer = {
  readonly status: number;
  /** Of the body, without the framing of chunks. */
  readonly bodyBytes: number;
  /** Start of the body of a refusal (status 400 and above), to say what went wrong; else empty. */
  readonly refusal: string;
};

const EMPTY = Buffer.alloc(0);
const HEAD_END = '\r\n\r\n';
const REFUSAL_MAX = 500;

type Expected = 'head' | 'body' | 'chunk-size' | 'chunk' | 'trailer';

/**
 * Reads the answers of one HTTP/1.1 connection, one request at a time. It looks at no more than it needs to know where an answer ends, because the client shares the
 * machine with the server that is measured. Throws for what is not an HTTP answer with a length or chunks.
 */
export class AnswerReader {
  #rest: Buffer = EMPTY;
  #expected: Expected = 'head';
  #left = 0;
  #status = 0;
  #bodyBytes = 0;
  #refusal = '';

  /** Takes what came; gives the answer when that was its end. */
  push(bytes: Buffer): Answer | undefined {
    let data = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    this.#rest = EMPTY;
    for (;;) {
      if (this.#expected === 'body' || this.#expected === 'chunk') {
        const taken = Math.min(this.#left, data.length);
        this.#take(data.subarray(0, taken));
        data = data.subarray(taken);
        if (this.#left > 0) return undefined;
        if (this.#expected === 'body') return this.#end();
        this.#expected = 'chunk-size';
        continue;
      }
      const mark = this.#expected === 'head' ? HEAD_END : '\r\n';
      const end = data.indexOf(mark);
      if (end < 0) {
        this.#rest = data;
        return undefined;
      }
      const line = data.toString('latin1', 0, end);
      data = data.subarray(end + mark.length);
      if (this.#readLine(line)) return this.#end();
    }
  }

  /** True: the answer ends with this line (or head). */
  #readLine(line: string): boolean {
    if (this.#expected === 'trailer') return line === '';
    if (this.#expected === 'head') return this.#readHead(line);
    const size = Number.parseInt(line, 16);
    if (Number.isNaN(size)) throw new Error(`not the size of a chunk: ${line.slice(0, 50)}`);
    this.#expected = size === 0 ? 'trailer' : 'chunk';
    // With the line end that follows a chunk.
    this.#left = size === 0 ? 0 : size + 2;
    this.#bodyBytes -= size === 0 ? 0 : 2;
    return false;
  }

  #readHead(head: string): boolean {
    this.#status = Number(head.slice(9, 12));
    if (!head.startsWith('HTTP/1.1 ') || !(this.#status >= 200)) throw new Error(`not an answer: ${head.slice(0, 50)}`);
    this.#bodyBytes = 0;
    this.#refusal = '';
    if (this.#status === 204 || this.#status === 304) return true;
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
    if (length === undefined && !/\r\ntransfer-encoding: *chunked/i.test(head)) {
      throw new Error('an answer with neither a length nor chunks');
    }
    this.#left = Number(length ?? 0);
    this.#expected = length === undefined ? 'chunk-size' : 'body';
    return length === '0';
  }

  #take(bytes: Buffer): void {
    this.#left -= bytes.length;
    this.#bodyBytes += bytes.length;
    if (this.#status < 400) return;
    this.#refusal = (this.#refusal + bytes.toString()).slice(0, REFUSAL_MAX);
  }

  #end(): Answer {
    this.#expected = 'head';
    return { status: this.#status, bodyBytes: this.#bodyBytes, refusal: this.#refusal };
  }
}
