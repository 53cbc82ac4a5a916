/** How many questions may be asked, and wait for that, at once. */
export type QuestionLimits = {
  /** Asked at once, of all guests together. */
  readonly total: number;
  /** Of one guest; one that weighs more has so many times as many. */
  readonly perGuest: number;
  /** The same of those that wait. */
  readonly waiting: number;
  readonly waitingPerGuest: number;
  /** Who has waited so long is sent away: nobody listens for the answer any more. */
  readonly maxWaitMs: number;
};

/** The question has ended; again is fine. */
export type Release = () => void;

type Running = { readonly giveWay: () => void };
type Waiting = Running & { readonly settle: (turn: Release | undefined) => void };
type WeightOf = (guest: number) => number;

/**
 * Shares a bounded number of questions among guests. A guest that asks more at once than it may waits for its own. When as many are asked as may be at all, a guest that has
 * fewer gets the place of the oldest question of the guest that has most, measured by their weights: so guests whose servers are silent cannot shut out another.
 */
export class QuestionShares {
  readonly #limits: QuestionLimits;
  readonly #weightOf: WeightOf;
  readonly #running = new Held<Running>();
  readonly #waiting = new Held<Waiting>();
  #isClosed = false;

  constructor(limits: QuestionLimits, weightOf: WeightOf = () => 1) {
    this.#limits = limits;
    this.#weightOf = weightOf;
  }

  /**
   * Resolves when the question may be asked, with what is to be called at its end; undefined: it may not. `giveWay` is called when another is asked in its
   * place: it has ended then.
   */
  enter(guest: number, giveWay: () => void): Promise<Release | undefined> {
    if (this.#isClosed) return Promise.resolve(undefined);
    const mayStart = this.#mayStart(guest) && (this.#running.count < this.#limits.total || this.#takePlace(guest));
    return mayStart ? Promise.resolve(this.#start(guest, { giveWay })) : this.#wait(guest, giveWay);
  }

  /** Sends away all that wait, and whoever comes. */
  close(): void {
    this.#isClosed = true;
    for (const one of this.#waiting.all()) one.settle(undefined);
  }

  #mayStart(guest: number): boolean {
    return this.#running.of(guest) < this.#limits.perGuest * this.#weightOf(guest);
  }

  #start(guest: number, one: Running): Release {
    this.#running.add(guest, one);
    return () => {
      if (this.#running.delete(guest, one)) this.#next();
    };
  }

  /** Guests that wait have their turns one after the other. */
  #next(): void {
    for (const guest of this.#waiting.guests()) {
      if (this.#running.count >= this.#limits.total) return;
      const oldest = this.#waiting.oldest(guest);
      if (oldest === undefined || !this.#mayStart(guest)) continue;
      oldest.settle(this.#start(guest, { giveWay: oldest.giveWay }));
      this.#waiting.toEnd(guest);
    }
  }

  #wait(guest: number, giveWay: () => void): Promise<Release | undefined> {
    const { waiting, waitingPerGuest, maxWaitMs } = this.#limits;
    const isOver = this.#waiting.of(guest) >= waitingPerGuest * this.#weightOf(guest);
    if (isOver || (this.#waiting.count >= waiting && !this.#sendAway(guest))) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      const settle = (turn: Release | undefined): void => {
        clearTimeout(timer);
        this.#waiting.delete(guest, one);
        resolve(turn);
      };
      const one: Waiting = { giveWay, settle };
      const timer = setTimeout(() => settle(undefined), maxWaitMs).unref();
      this.#waiting.add(guest, one);
    });
  }

  /** Ends the oldest question of the guest that has most. False: that has no more than who asks would have. */
  #takePlace(guest: number): boolean {
    const most = this.#running.most(this.#weightOf, guest);
    const oldest = most === undefined ? undefined : this.#running.oldest(most);
    if (most === undefined || oldest === undefined) return false;
    this.#running.delete(most, oldest);
    oldest.giveWay();
    return true;
  }

  /** The same of those that wait. */
  #sendAway(guest: number): boolean {
    const most = this.#waiting.most(this.#weightOf, guest);
    const oldest = most === undefined ? undefined : this.#waiting.oldest(most);
    oldest?.settle(undefined);
    return oldest !== undefined;
  }
}

/** What guests have, of each the oldest first. */
class Held<One> {
  readonly #byGuest = new Map<number, Set<One>>();
  #count = 0;

  get count(): number {
    return this.#count;
  }

  of(guest: number): number {
    return this.#byGuest.get(guest)?.size ?? 0;
  }

  guests(): readonly number[] {
    return [...this.#byGuest.keys()];
  }

  all(): readonly One[] {
    return [...this.#byGuest.values()].flatMap((ones) => [...ones]);
  }

  oldest(guest: number): One | undefined {
    const [first] = this.#byGuest.get(guest) ?? [];
    return first;
  }

  add(guest: number, one: One): void {
    this.#byGuest.set(guest, (this.#byGuest.get(guest) ?? new Set()).add(one));
    this.#count += 1;
  }

  /** False: it is gone already. */
  delete(guest: number, one: One): boolean {
    const own = this.#byGuest.get(guest);
    if (own?.delete(one) !== true) return false;
    this.#count -= 1;
    if (own.size === 0) this.#byGuest.delete(guest);
    return true;
  }

  /** The guest is the last of all now, if it has anything. */
  toEnd(guest: number): void {
    const own = this.#byGuest.get(guest);
    if (own === undefined) return;
    this.#byGuest.delete(guest);
    this.#byGuest.set(guest, own);
  }

  /** The guest that has most for its weight, if that is more than another would have with one more. */
  most(weightOf: WeightOf, other: number): number | undefined {
    let share = (this.of(other) + 1) / weightOf(other);
    let most: number | undefined;
    for (const [guest, { size }] of this.#byGuest) {
      const its = size / weightOf(guest);
      if (its <= share) continue;
      share = its;
      most = guest;
    }
    return most;
  }
}
