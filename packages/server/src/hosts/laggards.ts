/** How long a live host may say nothing new of what it has programmed, until nobody's ports are kept waiting for it. */
const LATE_MS = 60_000;

export type LaggardsDeps = {
  readonly monotonicMs: () => number;
  /** The last revision that the host itself is known to have programmed. */
  readonly programmed: (host: string) => number;
};

type Seen = { readonly programmed: number; readonly sinceMs: number };

/**
 * Live hosts that something waits for and that have come no further for a minute: an agent that hangs, or one that is cut off. They would keep the ports of
 * all their networks from being ACTIVE.
 */
export class Laggards {
  readonly #deps: LaggardsDeps;
  #waitedFor = new Map<string, Seen>();
  /** With how far each had come. */
  readonly #late = new Map<string, number>();

  constructor(deps: LaggardsDeps) {
    this.#deps = deps;
  }

  has(host: string): boolean {
    return this.#late.has(host);
  }

  /** `counted`: whom something waits for now. Gives who has become late, and who was and has come further. */
  look(counted: readonly string[]): { readonly late: readonly string[]; readonly back: readonly string[] } {
    const { programmed, monotonicMs } = this.#deps;
    const now = monotonicMs();
    const back = [...this.#late].flatMap(([host, stuckAt]) => (programmed(host) === stuckAt ? [] : [host]));
    for (const host of back) this.#late.delete(host);
    const before = this.#waitedFor;
    this.#waitedFor = new Map();
    const late: string[] = [];
    for (const host of counted) {
      if (this.#late.has(host)) continue;
      const at = programmed(host);
      const known = before.get(host);
      const seen = known?.programmed === at ? known : { programmed: at, sinceMs: now };
      if (now - seen.sinceMs < LATE_MS) this.#waitedFor.set(host, seen);
      else {
        this.#late.set(host, at);
        late.push(host);
      }
    }
    return { late, back };
  }

  /** The host is not alive: if it comes back it has its minute anew. */
  forget(host: string): void {
    this.#late.delete(host);
    this.#waitedFor.delete(host);
  }
}
