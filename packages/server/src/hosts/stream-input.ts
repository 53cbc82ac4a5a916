import type { Readable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { TURN_MS } from '@cable/kit';
import { LineSplitter } from './agent-lines.ts';

/** Works of a client that may be under way: with more it is not read on. */
const MAX_UNDER_WAY = 64;

export type StreamInputOptions = {
  readonly socket: Readable;
  readonly take: (line: string) => void;
  /** Told of what `take` throws, and of a line that is too long. */
  readonly onError: (err: unknown) => void;
};

/**
 * Lines from one client, which is read as fast as what it says is done with: some milliseconds of it in a turn of the event loop, however many chunks come in
 * that, and only so much at once of what takes longer.
 */
export class StreamInput {
  readonly #options: StreamInputOptions;
  readonly #splitter = new LineSplitter();
  #underWay = 0;
  #isOver = false;
  /** Told when one of the works is done, or the stream is over. */
  #onDone: () => void = () => {};
  /** Until when lines may be taken in this turn of the event loop; undefined: none was yet. */
  #turnEnds: number | undefined;

  constructor(options: StreamInputOptions) {
    this.#options = options;
    options.socket.on('data', (chunk: Buffer) => this.#hear(chunk));
  }

  /** Counts what a line has begun, until it is done. */
  begun(work: Promise<void>): void {
    this.#underWay += 1;
    void work.finally(() => {
      this.#underWay -= 1;
      this.#onDone();
    });
  }

  /** Takes no more. */
  end(): void {
    this.#isOver = true;
    this.#onDone();
  }

  #hear(chunk: Buffer): void {
    if (this.#isOver) return;
    try {
      const lines = this.#splitter.push(chunk);
      const taken = this.#takeSome(lines, 0);
      if (taken < lines.length || this.#isTurnOver()) void this.#goOn(lines, taken);
    } catch (err) {
      this.#options.onError(err);
    }
  }

  /** The rest of a chunk; the client is read on after that. */
  async #goOn(lines: readonly string[], from: number): Promise<void> {
    const { socket, onError } = this.#options;
    socket.pause();
    try {
      for (let taken = from; taken < lines.length; taken = this.#takeSome(lines, taken)) {
        if (this.#underWay >= MAX_UNDER_WAY) await this.#oneDone();
        if (this.#isTurnOver()) await nextTurn();
      }
      if (this.#isTurnOver()) await nextTurn();
    } catch (err) {
      onError(err);
    }
    socket.resume();
  }

  /** Takes lines as long as that may go on at once. Returns how many are taken. */
  #takeSome(lines: readonly string[], from: number): number {
    for (let at = from; at < lines.length; at += 1) {
      if (this.#isOver) return lines.length;
      if (this.#underWay >= MAX_UNDER_WAY || this.#isTurnOver()) return at;
      this.#options.take(lines[at] ?? '');
    }
    return lines.length;
  }

  #isTurnOver(): boolean {
    const now = performance.now();
    if (this.#turnEnds === undefined) {
      this.#turnEnds = now + TURN_MS;
      setImmediate(() => {
        this.#turnEnds = undefined;
      });
    }
    return now >= this.#turnEnds;
  }

  #oneDone(): Promise<void> {
    return new Promise((resolve) => {
      this.#onDone = resolve;
    });
  }
}
