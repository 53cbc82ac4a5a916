/** How many requests of one kind are worked on at once; a few more wait, for a short while. */

/** How a gate is bounded. */
export type GateLimits = {
  /** Weight of the requests that are worked on at once. */
  readonly running: number;
  /** Requests that may wait. */
  readonly waiting: number;
  /** How long one waits at most. */
  readonly waitMs: number;
};

/** A request that asks to be let in. */
export type Asking = {
  /** From 1; no more than `running`. */
  readonly weight: number;
  /** The monotonic time in ms until when it may take what it takes; after that it is cut as soon as another waits. */
  readonly deadlineMs: number;
  /** Who waits for the answer. */
  readonly client: { readonly isClosed: boolean; onClose(listener: () => void): void };
  /** Ends it: others wait. */
  readonly cut: () => void;
};

/** Leaves again. Idempotent. */
export type Leave = () => void;

type Waiter = Asking & { readonly wake: (leave: Leave | 'full' | 'gone') => void };

/** First come, first served. */
export class Gate {
  readonly #limits: GateLimits;
  readonly #now: () => number;
  /** In the order of coming. */
  readonly #running = new Set<Asking>();
  readonly #waiting = new Set<Waiter>();
  #weight = 0;

  /** `now`: milliseconds of a monotonic clock. */
  constructor(limits: GateLimits, now: () => number) {
    this.#limits = limits;
    this.#now = now;
  }

  get running(): number {
    return this.#running.size;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** True: one that came now would be refused. */
  get isFull(): boolean {
    return this.#waiting.size >= this.#limits.waiting && !this.#fits(1);
  }

  /** Lets it in as soon as there is room. `full`: there is none in time; `gone`: its client left while it waited. */
  async enter(asking: Asking): Promise<Leave | 'full' | 'gone'> {
    if (asking.client.isClosed) return 'gone';
    if (this.#waiting.size === 0 && this.#fits(asking.weight)) return this.#admit(asking);
    this.#cutOverdue();
    if (this.#waiting.size >= this.#limits.waiting) return 'full';
    return await this.#wait(asking);
  }

  #wait(asking: Asking): Promise<Leave | 'full' | 'gone'> {
    return new Promise((resolve) => {
      const waiter: Waiter = {
        ...asking,
        wake: (answer) => {
          if (!this.#waiting.delete(waiter)) return;
          clearTimeout(timer);
          resolve(answer);
          // A heavy one that leaves the queue may have kept lighter ones behind it.
          if (typeof answer === 'string') this.#admitWaiting();
        },
      };
      const waitMs = Math.max(0, Math.min(this.#limits.waitMs, asking.deadlineMs - this.#now()));
      const timer = setTimeout(() => waiter.wake('full'), waitMs);
      this.#waiting.add(waiter);
      asking.client.onClose(() => waiter.wake('gone'));
    });
  }

  #fits(weight: number): boolean {
    return this.#weight + weight <= this.#limits.running;
  }

  #admit(asking: Asking): Leave {
    this.#running.add(asking);
    this.#weight += asking.weight;
    return () => {
      if (!this.#running.delete(asking)) return;
      this.#weight -= asking.weight;
      this.#admitWaiting();
    };
  }

  #admitWaiting(): void {
    for (const waiter of this.#waiting) {
      if (!this.#fits(waiter.weight)) return;
      waiter.wake(this.#admit(waiter));
    }
  }

  /** The first ones that have had their time and are not done: others wait. */
  #cutOverdue(): void {
    const now = this.#now();
    for (const asking of this.#running) {
      if (asking.deadlineMs > now) return;
      asking.cut();
    }
  }
}
