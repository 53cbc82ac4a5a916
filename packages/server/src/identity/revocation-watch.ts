/** Follows what Keystone says was revoked, where it says so. */
import { KeystoneError, type KeystoneSession, type RevocationEvent } from '@cable/keystone';
import { type Logger, type Loop, startLoop } from '@cable/kit';
import type { TokenBook } from './token-book.ts';

export type RevocationWatchOptions = {
  readonly keystone: Pick<KeystoneSession, 'revocations' | 'keystoneMs'>;
  readonly book: Pick<TokenBook, 'revoke'>;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly everyMs?: number;
};

const EVERY_MS = 5000;
/** After it was refused: five minutes. */
const ROUNDS_TO_SKIP = 60;
/** Clocks of Keystone's own servers differ, and an event is told once it is stored. */
const OVERLAP_MS = 60_000;

/** Asks every few seconds. A Keystone that does not tell is asked no more: then a token is good until it is asked for anew. */
export class RevocationWatch {
  readonly #options: RevocationWatchOptions;
  readonly #loop: Loop;
  #roundsToSkip = 0;
  #sinceMs: number | null = null;
  /** Told last time: an event is one for tokens that were asked for before. */
  #told: ReadonlySet<string> = new Set();

  constructor(options: RevocationWatchOptions) {
    this.#options = options;
    const { log, signal, everyMs = EVERY_MS } = options;
    this.#loop = startLoop({ name: 'revocations', log, signal, everyMs, run: () => this.round() });
  }

  /** Resolves after the signal aborted. */
  get done(): Promise<void> {
    return this.#loop.done;
  }

  async round(): Promise<void> {
    const { keystone, book, log } = this.#options;
    if (this.#roundsToSkip > 0) {
      this.#roundsToSkip -= 1;
      return;
    }
    const events = await this.#events();
    if (events === undefined) {
      // It may be a proxy's word while Keystone is away, or a role that comes back.
      this.#roundsToSkip = ROUNDS_TO_SKIP;
      log.warn({}, 'Keystone does not tell what was revoked: a token that was is refused once it is asked for anew');
      return;
    }
    const texts = new Map(events.map((event) => [JSON.stringify(event), event]));
    const news = [...texts].filter(([text]) => !this.#told.has(text)).map(([, event]) => event);
    if (news.length > 0) book.revoke(news);
    this.#told = new Set(texts.keys());
    this.#sinceMs = (keystone.keystoneMs ?? 0) - OVERLAP_MS;
  }

  /** Undefined: it does not tell. */
  async #events(): Promise<readonly RevocationEvent[] | undefined> {
    try {
      return await this.#options.keystone.revocations(this.#sinceMs);
    } catch (err) {
      if (err instanceof KeystoneError && err.kind === 'forbidden') return undefined;
      throw err;
    }
  }
}
