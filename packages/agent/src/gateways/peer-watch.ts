/** Whether another host lives, by the probes that it answers. */

/** `unknown`: it was not asked often enough yet. */
export type Liveness = 'unknown' | 'alive' | 'dead';

/** How long an answer may take. */
export const ANSWER_MS = 200;

/** So many questions in a row without an answer, each old enough: the host is dead. */
const LOST = 4;

type Question = { readonly sequence: number; readonly atMs: number };

/**
 * What is known of one host. Only questions that were really sent count, not time: while this agent does not run, or its loop is held up, nobody dies. Answers are noted by the
 * vrouter, so one that came meanwhile is seen afterwards. One answer is enough to live again: that a gateway does not go to and fro with a host is the matter of `standing.ts`.
 */
export class PeerWatch {
  #state: Liveness = 'unknown';
  /** The oldest first. */
  #open: Question[] = [];
  #last: number;

  /** @last: sequence of the last answer to an agent of before; 0: none. */
  constructor(last = 0) {
    this.#last = last;
  }

  get state(): Liveness {
    return this.#state;
  }

  /** A question was sent. Sequences rise. */
  asked(sequence: number, atMs: number): void {
    this.#open.push({ sequence, atMs });
    // Of a host that is dead older ones say nothing new.
    if (this.#open.length > 2 * LOST) this.#open.shift();
  }

  /** The last answer that has come is to the question with @sequence. Returns whether the state is another now. */
  look(sequence: number, nowMs: number): boolean {
    const before = this.#state;
    if (sequence > this.#last) {
      this.#last = sequence;
      this.#open = this.#open.filter((one) => one.sequence > sequence);
      this.#state = 'alive';
    }
    if (this.#open.filter(({ atMs }) => nowMs - atMs >= ANSWER_MS).length >= LOST) this.#state = 'dead';
    return this.#state !== before;
  }
}
