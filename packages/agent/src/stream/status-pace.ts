/** Time between heartbeats. */
const HEARTBEAT_MS = 5_000;

export type StatusPaceDeps = {
  /** Sends a report now; the revision it names. */
  readonly send: () => number;
  /** The last revision that is in the kernel. */
  readonly programmed: () => number;
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number;
  /** 0..1 */
  readonly random: () => number;
};

/**
 * When reports go out on one connection: every 5 s; in the same turn of the event loop in which a port's state changed; and, for a revision that the server
 * wants acknowledged, after a random part of the time it gives, once something new is in the kernel. Any report acknowledges.
 */
export class StatusPace {
  readonly #deps: StatusPaceDeps;
  #heartbeat: NodeJS.Timeout | undefined;
  #soon: NodeJS.Immediate | undefined;
  #acknowledge: NodeJS.Timeout | undefined;
  /** What is to be acknowledged, not before `at`, within how long. */
  #wanted: { readonly revision: number; readonly at: number; readonly withinMs: number } | undefined;
  #sentRevision = -1;

  constructor(deps: StatusPaceDeps) {
    this.#deps = deps;
  }

  /** Sends the first report. */
  start(): void {
    this.#send();
  }

  stop(): void {
    clearTimeout(this.#heartbeat);
    clearTimeout(this.#acknowledge);
    clearImmediate(this.#soon);
  }

  /** Some port's state is due. */
  portsChanged(): void {
    this.#soon ??= setImmediate(() => this.#send());
  }

  /** The server wants to hear when this revision is in the kernel. */
  asked(revision: number, withinMs: number): void {
    if (revision <= this.#sentRevision) return;
    const at = this.#wanted?.at ?? this.#deps.now() + this.#deps.random() * withinMs;
    this.#wanted = { revision, at, withinMs };
    this.programmed();
  }

  /** Something more is in the kernel, or the time has come. */
  programmed(): void {
    const { programmed, now } = this.#deps;
    if (this.#wanted === undefined || programmed() <= this.#sentRevision) return;
    clearTimeout(this.#acknowledge);
    const waitMs = this.#wanted.at - now();
    if (waitMs <= 0) this.#send();
    else this.#acknowledge = setTimeout(() => this.programmed(), Math.ceil(waitMs));
  }

  #send(): void {
    const { send, now, random } = this.#deps;
    this.stop();
    this.#soon = undefined;
    this.#sentRevision = send();
    this.#heartbeat = setTimeout(() => this.#send(), HEARTBEAT_MS);
    if (this.#wanted === undefined) return;
    const { revision, withinMs } = this.#wanted;
    this.#wanted = revision <= this.#sentRevision ? undefined : { revision, withinMs, at: now() + random() * withinMs };
  }
}
