/**
 * Tokens and what Keystone said of them. A token is known by its SHA-256: nothing here can be used to log in.
 *
 *   fresh ── used as it is; in the last quarter of that time it is asked for anew beside it
 *   stale ── asked for anew first; while Keystone is away it goes on to its end
 *   over  ── refused, unless a service vouches for the request
 */
import { createHash } from 'node:crypto';
import { KeystoneError, type KeystoneSession, type RevocationEvent, revokes, type TokenInfo } from '@cable/keystone';
import { type Logger, Repeats } from '@cable/kit';
import { BoundedMap } from './bounded-map.ts';

export type TokenBookOptions = {
  readonly keystone: Pick<KeystoneSession, 'validate' | 'keystoneMs'>;
  /** How long what Keystone said of a token is not asked for again. */
  readonly freshMs: number;
  readonly monotonicMs: () => number;
  readonly log: Logger;
  /** How long a question waits for its turn. Default 1,000. */
  readonly waitMs?: number;
};

/** A token that Keystone knows. The same value as long as Keystone says the same of it. */
export type KnownToken = { readonly info: TokenInfo; readonly hash: string };

/** Too many tokens that are not known here are asked for at once: nothing was asked. */
export class TooManyTokensError extends Error {
  override name = 'TooManyTokensError';
}

type Entry = {
  readonly token: KnownToken;
  freshUntilMs: number;
  /** The end of the token's life, in the time of `monotonicMs`. */
  readonly overMs: number;
};

const TOKENS_KEPT = 20_000;
/** Tokens that Keystone does not know. They are kept apart, so that a flood of them takes no good one's place. */
const UNKNOWN_KEPT = 20_000;
const UNKNOWN_MS = 10_000;
/** Questions to Keystone at once, how many wait for their turn, and for how long. */
const ASKED = 32;
const WAITING = 512;
const WAIT_MS = 1000;
/** After so many questions in a row without an answer none is asked for a moment: who comes then is told so at once. */
const VAIN = 5;
const PAUSE_MS = 1000;
/** While Keystone is away a token that is stale is asked for so often. */
const AWAY_MS = 5000;
/** Longer ones are none: the longest of Keystone's providers have some two thousand characters. */
const TOKEN = /^[\x21-\x7e]{1,4096}$/;

export class TokenBook {
  readonly #options: TokenBookOptions;
  readonly #known = new BoundedMap<Entry>(TOKENS_KEPT);
  readonly #unknown = new BoundedMap<number>(UNKNOWN_KEPT);
  /** Tokens that were over when a service vouched for them. */
  readonly #vouched = new BoundedMap<Entry>(TOKENS_KEPT);
  readonly #pending = new Map<string, Promise<KnownToken | null>>();
  readonly #waiting = new Set<(isTurn: boolean) => void>();
  readonly #repeats: Repeats;
  #asked = 0;
  #lookups = 0;
  #questions = 0;
  #failures = 0;
  /** Questions in a row that had no answer; why the last one had none, and until when no further is asked. */
  #vain = 0;
  #pause: { readonly error: unknown; readonly untilMs: number } | undefined;

  constructor(options: TokenBookOptions) {
    this.#options = options;
    this.#repeats = new Repeats(options.monotonicMs);
  }

  /** For the metrics: tokens looked up, questions to Keystone, those that failed, tokens kept. */
  get counts(): {
    readonly lookups: number;
    readonly questions: number;
    readonly failures: number;
    readonly kept: number;
  } {
    return { lookups: this.#lookups, questions: this.#questions, failures: this.#failures, kept: this.#known.size };
  }

  /** True: to say whether it is good, Keystone does not have to be asked. */
  isKnown(token: string): boolean {
    const entry = this.#known.get(hashOf(token));
    return entry !== undefined && this.#options.monotonicMs() < entry.overMs;
  }

  /**
   * What Keystone says of a token; null: it is none, is over, or was revoked. `isVouched`: a service passes on a request that took longer than the token lived.
   * Throws `KeystoneError` when Keystone has to be asked and does not answer, and `TooManyTokensError`.
   */
  async find(text: string, isVouched = false): Promise<KnownToken | null> {
    this.#lookups += 1;
    const token = text.trim();
    if (!TOKEN.test(token)) return null;
    const now = this.#options.monotonicMs();
    const hash = hashOf(token);
    const entry = this.#known.get(hash);
    if (entry !== undefined && now < entry.overMs) return await this.#use(entry, token, now);
    if (isVouched) return await this.#vouch(hash, token, now);
    if (entry !== undefined || (this.#unknown.get(hash) ?? 0) > now) return null;
    return await this.#ask(hash, token, false);
  }

  /** Forgets the tokens that events are about: they are asked for again. */
  revoke(events: readonly RevocationEvent[]): void {
    for (const book of [this.#known, this.#vouched]) {
      for (const [hash, { token }] of book.entries()) {
        if (events.some((event) => revokes(event, token.info))) book.delete(hash);
      }
    }
  }

  async #use(entry: Entry, token: string, now: number): Promise<KnownToken | null> {
    const { hash } = entry.token;
    const dueMs = entry.freshUntilMs - this.#options.freshMs / 4;
    if (now < dueMs) return entry.token;
    if (now < entry.freshUntilMs) {
      // Beside the request: who uses a token all the time never waits for Keystone.
      if (this.#asked < ASKED && !this.#pending.has(hash)) void this.#ask(hash, token, false).catch(() => {});
      return entry.token;
    }
    try {
      return await this.#ask(hash, token, false);
    } catch (err) {
      // What was revoked meanwhile has been forgotten.
      if (this.#known.get(hash) !== entry) throw err;
      entry.freshUntilMs = this.#options.monotonicMs() + AWAY_MS;
      return entry.token;
    }
  }

  async #vouch(hash: string, token: string, now: number): Promise<KnownToken | null> {
    const entry = this.#vouched.get(hash);
    return entry !== undefined && now < entry.freshUntilMs ? entry.token : await this.#ask(hash, token, true);
  }

  /** Those who ask for the same share one question. */
  async #ask(hash: string, token: string, isVouched: boolean): Promise<KnownToken | null> {
    const name = `${isVouched}${hash}`;
    const pending = this.#pending.get(name);
    if (pending !== undefined) return await pending;
    const asked = this.#askInTurn(hash, token, isVouched).finally(() => this.#pending.delete(name));
    this.#pending.set(name, asked);
    return await asked;
  }

  async #askInTurn(hash: string, token: string, isVouched: boolean): Promise<KnownToken | null> {
    const { monotonicMs } = this.#options;
    if (this.#pause !== undefined && monotonicMs() < this.#pause.untilMs) throw this.#pause.error;
    if (this.#asked < ASKED) this.#asked += 1;
    else if (!(await this.#turn())) throw new TooManyTokensError('too many tokens are asked for at once');
    try {
      return await this.#question(hash, token, isVouched);
    } finally {
      // Whoever leaves hands its place on.
      const [next] = this.#waiting;
      if (next === undefined) this.#asked -= 1;
      else next(true);
    }
  }

  /** False: there is no place in time. */
  async #turn(): Promise<boolean> {
    if (this.#waiting.size >= WAITING) return false;
    return await new Promise<boolean>((resolve) => {
      const settle = (isTurn: boolean): void => {
        clearTimeout(timer);
        this.#waiting.delete(settle);
        resolve(isTurn);
      };
      const timer = setTimeout(settle, this.#options.waitMs ?? WAIT_MS, false);
      this.#waiting.add(settle);
    });
  }

  async #question(hash: string, token: string, isVouched: boolean): Promise<KnownToken | null> {
    const { keystone, log } = this.#options;
    this.#questions += 1;
    try {
      const info = await keystone.validate(token, { allowExpired: isVouched });
      this.#vain = 0;
      this.#repeats.forget('keystone');
      return info === null ? this.#refuse(hash, isVouched) : this.#take(hash, info, isVouched);
    } catch (err) {
      this.#failures += 1;
      this.#vain += 1;
      if (this.#vain >= VAIN) this.#pause = { error: err, untilMs: this.#options.monotonicMs() + PAUSE_MS };
      const kind = err instanceof KeystoneError ? err.kind : 'away';
      if (this.#repeats.isNews('keystone', kind)) log.warn({ kind, err }, 'Keystone was asked about a token in vain');
      throw err;
    }
  }

  #refuse(hash: string, isVouched: boolean): null {
    this.#known.delete(hash);
    this.#vouched.delete(hash);
    // One that is over may still be vouched for: that it is not good by itself says nothing of that.
    if (!isVouched) this.#unknown.set(hash, this.#options.monotonicMs() + UNKNOWN_MS);
    return null;
  }

  #take(hash: string, info: TokenInfo, isVouched: boolean): KnownToken {
    const { monotonicMs, freshMs, keystone } = this.#options;
    const now = monotonicMs();
    // By Keystone's clock: this machine's may be wrong by hours.
    const lifeMs = info.expiresAtMs - (keystone.keystoneMs ?? info.issuedAtMs);
    const before = this.#known.get(hash);
    const isSame = before !== undefined && JSON.stringify(before.token.info) === JSON.stringify(info);
    const token = isSame ? before.token : { info, hash };
    const entry = { token, freshUntilMs: now + freshMs, overMs: now + lifeMs };
    if (lifeMs > 0) this.#known.set(hash, entry);
    else if (isVouched) this.#vouched.set(hash, entry);
    return token;
  }
}

function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('base64');
}
