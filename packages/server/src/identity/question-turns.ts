/**
 * Whose question Keystone is asked next. Tokens that were good go before those that nobody has seen, and have places that those cannot take: else strangers, who
 * may send as many as they like, would put off that a token is found to be good no more. A few places are the strangers', too: a new login has no answer to go on with.
 */

/** `known`: about a token that was good. `unknown`: about one of which nothing is known. */
export type Asker = 'known' | 'unknown';

/** Too many tokens are asked for at once: nothing was asked. */
export class TooManyTokensError extends Error {
  override name = 'TooManyTokensError';
}

export type QuestionTurnsOptions = {
  /** How long a question waits for its turn. */
  readonly waitMs: number;
  readonly monotonicMs: () => number;
};

/** Questions under way at once, and how many of them may be of each kind. */
const AT_ONCE = 32;
const MOST: Readonly<Record<Asker, number>> = { known: 28, unknown: 24 };
/** Of each kind so many wait for their turn. */
const WAITING = 512;
/** After so many questions in a row without an answer none is asked for a moment: who comes then is told so at once. */
const VAIN = 5;
const PAUSE_MS = 1000;

/** What is kept of each kind by itself: what strangers ask in vain says nothing of others. */
type Lane = {
  readonly waiting: Set<(isTurn: boolean) => void>;
  underWay: number;
  /** Questions in a row that had no answer; why the last one had none, and until when no further is asked. */
  vain: number;
  pause: { readonly error: unknown; readonly untilMs: number } | undefined;
};

export class QuestionTurns {
  readonly #options: QuestionTurnsOptions;
  readonly #lanes: Readonly<Record<Asker, Lane>> = { known: openLane(), unknown: openLane() };

  constructor(options: QuestionTurnsOptions) {
    this.#options = options;
  }

  /** Asks in its turn. Throws `TooManyTokensError` when that does not come in time, and what `ask` throws or has thrown five times in a row just now. */
  async run<T>(asker: Asker, ask: () => Promise<T>): Promise<T> {
    const lane = this.#lanes[asker];
    const { monotonicMs } = this.#options;
    if (lane.pause !== undefined && monotonicMs() < lane.pause.untilMs) throw lane.pause.error;
    if (this.#hasPlace(asker)) lane.underWay += 1;
    else if (!(await this.#turn(lane))) throw new TooManyTokensError('too many tokens are asked for at once');
    try {
      const answer = await ask();
      lane.vain = 0;
      return answer;
    } catch (error) {
      lane.vain += 1;
      if (lane.vain >= VAIN) lane.pause = { error, untilMs: monotonicMs() + PAUSE_MS };
      throw error;
    } finally {
      lane.underWay -= 1;
      this.#handOn();
    }
  }

  /** True: a question about a known token would be asked at once. */
  get isFree(): boolean {
    return this.#hasPlace('known');
  }

  #hasPlace(asker: Asker): boolean {
    const { known, unknown } = this.#lanes;
    if (known.underWay + unknown.underWay >= AT_ONCE) return false;
    return this.#lanes[asker].underWay < MOST[asker];
  }

  /** Whoever leaves hands its place on. */
  #handOn(): void {
    for (const asker of ['known', 'unknown'] as const) {
      const lane = this.#lanes[asker];
      const [next] = lane.waiting;
      if (next === undefined || !this.#hasPlace(asker)) continue;
      lane.underWay += 1;
      next(true);
      return;
    }
  }

  /** True: the place is taken. False: there is none in time. */
  async #turn({ waiting }: Lane): Promise<boolean> {
    if (waiting.size >= WAITING) return false;
    return await new Promise<boolean>((resolve) => {
      const settle = (isTurn: boolean): void => {
        clearTimeout(timer);
        waiting.delete(settle);
        resolve(isTurn);
      };
      const timer = setTimeout(settle, this.#options.waitMs, false);
      waiting.add(settle);
    });
  }
}

function openLane(): Lane {
  return { waiting: new Set(), underWay: 0, vain: 0, pause: undefined };
}
