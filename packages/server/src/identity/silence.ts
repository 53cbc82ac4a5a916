/** Whether Keystone says anything to those who ask about tokens that were good. One that hangs is seen once, and not by each request anew. */

/** How long without a word is silence: so long a request waits for one that answers. */
export const PATIENCE_MS = 500;
/** After the last question that had no answer in time silence is believed for so long; then a request waits again. */
const BELIEVED_MS = 30_000;

export class Silence {
  readonly #now: () => number;
  #underWay = 0;
  /** When the first question was begun since Keystone last said something. */
  #sinceMs: number | undefined;
  /** Without a question under way it is believed until then. */
  #untilMs = 0;

  /** `now`: milliseconds of a monotonic clock. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** True: it was asked, and has said nothing since, for longer than anybody should wait. */
  get isSilent(): boolean {
    const since = this.#believedSince();
    return since !== undefined && this.#now() - since >= PATIENCE_MS;
  }

  /** Follows a question. One that fails at once makes nobody wait, and is a word like an answer. */
  async follow<T>(ask: () => Promise<T>): Promise<T> {
    const begunMs = this.#now();
    this.#sinceMs = this.#believedSince() ?? begunMs;
    this.#underWay += 1;
    let isAnswered = false;
    try {
      const answer = await ask();
      isAnswered = true;
      return answer;
    } finally {
      this.#underWay -= 1;
      const now = this.#now();
      if (isAnswered || now - begunMs < PATIENCE_MS) this.#sinceMs = this.#underWay > 0 ? now : undefined;
      else this.#untilMs = now + BELIEVED_MS;
    }
  }

  #believedSince(): number | undefined {
    return this.#underWay > 0 || this.#now() < this.#untilMs ? this.#sinceMs : undefined;
  }
}
