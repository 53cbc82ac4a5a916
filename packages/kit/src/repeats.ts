/** How often what lasts is said again. */
const REPEAT_MS = 600_000;

/** Things that are remembered at once; more of them are said more often. */
const REMEMBERED = 1000;

/**
 * Which lines are news: each at its first time, and again after ten minutes. For what is found anew at every try of a loop: a log tells of
 * changes. Forget what is over, so that it is news when it comes back.
 */
export class Repeats {
  readonly #now: () => number;
  /** When each was said, by subject, the oldest first. */
  readonly #said = new Map<string, Map<string, number>>();

  /** `now`: milliseconds of a monotonic clock. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** True: say it. It counts as said then. */
  isNews(subject: string, what: string): boolean {
    const said = this.#said.get(subject) ?? new Map<string, number>();
    const before = said.get(what);
    const now = this.#now();
    if (before !== undefined && now - before < REPEAT_MS) return false;
    said.delete(what);
    said.set(what, now);
    this.#said.set(subject, said);
    dropOldest(said);
    dropOldest(this.#said);
    return true;
  }

  /** Nothing that was said of the subject is so any more. */
  forget(subject: string): void {
    this.#said.delete(subject);
  }
}

function dropOldest(map: Map<string, unknown>): void {
  const oldest = map.size > REMEMBERED ? map.keys().next().value : undefined;
  if (oldest !== undefined) map.delete(oldest);
}
