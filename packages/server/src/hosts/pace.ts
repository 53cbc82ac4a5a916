/** Acknowledgements a millisecond that a server wants to get at most. */
const ACKS_A_MS = 2;
/** So few hosts acknowledge at once. */
const FEW_HOSTS = 2;
const WINDOW_MS = 1000;

/** Spreads acknowledgements over time: chooses what a bookmark's `ackWithinMs` says, from how many hosts are sent something. */
export class Pace {
  readonly #monotonicMs: () => number;
  readonly #openStreams: () => number;
  #since: number;
  #recent = new Set<string>();
  #before: ReadonlySet<string> = new Set();
  /** Hosts of `#recent` that are not in `#before`. */
  #added = 0;

  constructor(monotonicMs: () => number, openStreams: () => number) {
    this.#monotonicMs = monotonicMs;
    this.#openStreams = openStreams;
    this.#since = monotonicMs();
  }

  /** The host was sent content. */
  note(host: string): void {
    this.#turn();
    if (this.#recent.has(host)) return;
    this.#recent.add(host);
    if (!this.#before.has(host)) this.#added += 1;
  }

  /** Within how many milliseconds a host that is sent content now is to acknowledge it. */
  ackWithinMs(): number {
    this.#turn();
    const hosts = Math.min(this.#openStreams(), this.#before.size + this.#added);
    return hosts <= FEW_HOSTS ? 0 : Math.ceil(hosts / ACKS_A_MS);
  }

  /** Hosts are remembered for one to two windows. */
  #turn(): void {
    const now = this.#monotonicMs();
    if (now - this.#since < WINDOW_MS) return;
    this.#before = now - this.#since < 2 * WINDOW_MS ? this.#recent : new Set();
    this.#recent = new Set();
    this.#added = 0;
    this.#since = now;
  }
}
