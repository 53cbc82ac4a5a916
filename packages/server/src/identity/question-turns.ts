/**
 * Whose question Keystone is asked next. Tokens that were good go before those that nobody has seen, and have places that those cannot take: else strangers, who
 * may send as many as they like, would put off that a token is found to be good no more. A few places are the strangers', too: a new login has no answer to go on with.
 * Among strangers turns go round between addresses (`AddressLines`), so that who sends many puts off his own.
 */
import { AddressLines, type Waiter } from './address-lines.ts';

/** `known`: asks about a token that was good. Else about one of which nothing is known, from what its address is counted as. */
export type Asker = 'known' | { readonly address: string };

/** Too many tokens are asked for at once: nothing was asked. */
export class TooManyTokensError extends Error {
  override name = 'TooManyTokensError';
}

export type QuestionTurnsOptions = {
  /** How long a question waits for its turn. */
  readonly waitMs: number;
  readonly monotonicMs: () => number;
};

type Kind = 'known' | 'unknown';

/** Questions under way at once, and how many of them may be of each kind. */
const AT_ONCE = 32;
const MOST: Readonly<Record<Kind, number>> = { known: 28, unknown: 24 };
/** So many that are known wait for their turn. */
const WAITING = 512;
/** After so many questions in a row without an answer none is asked for a moment: who comes then is told so at once. */
const VAIN = 5;
const PAUSE_MS = 1000;

/** What is kept of each kind by itself: what strangers ask in vain says nothing of others. */
type Lane = {
  underWay: number;
  /** Questions in a row that had no answer; why the last one had none, and until when no further is asked. */
  vain: number;
  pause: { readonly error: unknown; readonly untilMs: number } | undefined;
};

export class QuestionTurns {
  readonly #options: QuestionTurnsOptions;
  readonly #lanes: Readonly<Record<Kind, Lane>> = { known: openLane(), unknown: openLane() };
  readonly #known = new Set<Waiter>();
  readonly #strangers: AddressLines;

  constructor(options: QuestionTurnsOptions) {
    this.#options = options;
    this.#strangers = new AddressLines(options.monotonicMs);
  }

  /** Asks in its turn. Throws `TooManyTokensError` when that does not come in time, and what `ask` throws or has thrown five times in a row just now. */
  async run<T>(asker: Asker, ask: () => Promise<T>): Promise<T> {
    const kind = asker === 'known' ? 'known' : 'unknown';
    const lane = this.#lanes[kind];
    const { monotonicMs } = this.#options;
    if (lane.pause !== undefined && monotonicMs() < lane.pause.untilMs) throw lane.pause.error;
    const leave = this.#hasPlace(kind) ? this.#enter(asker) : undefined;
    const leaveLater = leave ?? (await this.#turn(asker));
    if (leaveLater === undefined) throw new TooManyTokensError('too many tokens are asked for at once');
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
      leaveLater();
      this.#handOn();
    }
  }

  /** True: a question about a known token would be asked at once. */
  get isFree(): boolean {
    return this.#hasPlace('known');
  }

  /** Keystone knew no such token as this address sent. */
  blame(address: string): void {
    this.#strangers.blame(address);
  }

  #hasPlace(kind: Kind): boolean {
    const { known, unknown } = this.#lanes;
    if (known.underWay + unknown.underWay >= AT_ONCE) return false;
    return this.#lanes[kind].underWay < MOST[kind];
  }

  /** Takes a place that is there; undefined: this address has as many as it may. */
  #enter(asker: Asker): (() => void) | undefined {
    if (asker === 'known') {
      this.#lanes.known.underWay += 1;
      return NOTHING;
    }
    const leave = this.#strangers.enter(asker.address);
    if (leave !== undefined) this.#lanes.unknown.underWay += 1;
    return leave;
  }

  /** Whoever leaves hands its place on. */
  #handOn(): void {
    const { known, unknown } = this.#lanes;
    const [next] = this.#known;
    if (next !== undefined && this.#hasPlace('known')) {
      known.underWay += 1;
      next(NOTHING);
    } else if (this.#hasPlace('unknown') && this.#strangers.handOn()) unknown.underWay += 1;
  }

  /** How to end the turn, when it comes; undefined: it does not come in time. */
  async #turn(asker: Asker): Promise<(() => void) | undefined> {
    if (asker === 'known' && this.#known.size >= WAITING) return undefined;
    return await new Promise((resolve) => {
      let giveUp = NOTHING;
      const settle: Waiter = (leave) => {
        clearTimeout(timer);
        giveUp();
        resolve(leave);
      };
      const timer = setTimeout(settle, this.#options.waitMs, undefined);
      if (asker === 'known') {
        this.#known.add(settle);
        giveUp = () => this.#known.delete(settle);
      } else giveUp = this.#strangers.wait(asker.address, settle);
    });
  }
}

const NOTHING = (): void => {};

function openLane(): Lane {
  return { underWay: 0, vain: 0, pause: undefined };
}
