/**
 * Tokens and what Keystone said of them. A token is known by its SHA-256: nothing here can be used to log in.
 *
 *   fresh ── used as it is; in the last quarter of that time it is asked for anew beside it
 *   stale ── asked for anew first; while Keystone is away, or has not answered for half a second, it goes on to its end, and
 *            while too many others are asked for at once for as long again as it was fresh
 *   over  ── refused, unless a service vouches for the request
 */
import { createHash } from 'node:crypto';
import { KeystoneError, type KeystoneSession, type RevocationEvent, revokes, type TokenInfo } from '@cable/keystone';
import { type Logger, Repeats } from '@cable/kit';
import { BoundedMap } from './bounded-map.ts';
import { type Asker, QuestionTurns, TooManyTokensError } from './question-turns.ts';
import { PATIENCE_MS, Silence } from './silence.ts';

export type TokenBookOptions = {
  readonly keystone: Pick<KeystoneSession, 'validate' | 'keystoneMs'>;
  /** How long what Keystone said of a token is not asked for again. */
  readonly freshMs: number;
  readonly monotonicMs: () => number;
  readonly log: Logger;
  /** How long a question waits for its turn. Default 1,000. */
  readonly waitMs?: number;
  /** How long a request with a token that was good waits for Keystone, the first time. Default 500. */
  readonly patienceMs?: number;
};

/** A token that Keystone knows. The same value as long as Keystone says the same of it. */
export type KnownToken = { readonly info: TokenInfo; readonly hash: string };

type Entry = {
  readonly token: KnownToken;
  freshUntilMs: number;
  /** Until when it goes on though its question has no turn. */
  readonly turnlessUntilMs: number;
  /** The end of the token's life, in the time of `monotonicMs`. */
  readonly overMs: number;
};

/** `isVouched`: it may be over. */
type Question = { readonly asker: Asker; readonly isVouched: boolean };

/** What comes of a question; `isAsked`: it has had its turn. */
type Pending = { readonly answer: Promise<KnownToken | null>; readonly isAsked: () => boolean };

const KNOWN: Question = { asker: 'known', isVouched: false };

/** Of who asks and has no address. */
const NO_ADDRESS = (): string => '';

const TOKENS_KEPT = 20_000;
/** Tokens that Keystone does not know. They are kept apart, so that a flood of them takes no good one's place. */
const UNKNOWN_KEPT = 20_000;
const UNKNOWN_MS = 10_000;
const WAIT_MS = 1000;
/** A token that is stale and had no answer is asked for so often. */
const RETRY_MS = 5000;
/** Longer ones are none: the longest of Keystone's providers have some two thousand characters. */
const TOKEN = /^[\x21-\x7e]{1,4096}$/;

export class TokenBook {
  readonly #options: TokenBookOptions;
  readonly #known = new BoundedMap<Entry>(TOKENS_KEPT);
  readonly #unknown = new BoundedMap<number>(UNKNOWN_KEPT);
  /** Tokens that were over when a service vouched for them. */
  readonly #vouched = new BoundedMap<Entry>(TOKENS_KEPT);
  readonly #pending = new Map<string, Pending>();
  /** What was revoked since each question under way was asked. */
  readonly #underWay = new Set<(readonly RevocationEvent[])[]>();
  readonly #turns: QuestionTurns;
  readonly #silence: Silence;
  readonly #repeats: Repeats;
  #lookups = 0;
  #questions = 0;
  #failures = 0;

  constructor(options: TokenBookOptions) {
    this.#options = options;
    this.#turns = new QuestionTurns({ waitMs: options.waitMs ?? WAIT_MS, monotonicMs: options.monotonicMs });
    this.#silence = new Silence(options.monotonicMs);
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
   * `addressOf`: what the address that it comes from is counted as; asked only where Keystone is. Throws `KeystoneError` when Keystone has to be asked and does not answer, and `TooManyTokensError`.
   */
  async find(text: string, isVouched = false, addressOf: () => string = NO_ADDRESS): Promise<KnownToken | null> {
    this.#lookups += 1;
    const token = text.trim();
    if (!TOKEN.test(token)) return null;
    const now = this.#options.monotonicMs();
    const hash = hashOf(token);
    const entry = this.#known.get(hash);
    if (entry !== undefined && now < entry.overMs) return await this.#use(entry, token, now);
    if (isVouched) return await this.#vouch(hash, token, now);
    if (entry !== undefined || (this.#unknown.get(hash) ?? 0) > now) return null;
    return await this.#ask(hash, token, { asker: { address: addressOf() }, isVouched: false }).answer;
  }

  /** Forgets the tokens that events are about: they are asked for again, and so are those whose answer is under way. */
  revoke(events: readonly RevocationEvent[]): void {
    for (const told of this.#underWay) told.push(events);
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
      if (this.#turns.isFree && !this.#pending.has(nameOf(hash, KNOWN)))
        void this.#ask(hash, token, KNOWN).answer.catch(() => {});
      return entry.token;
    }
    return await this.#again(this.#known, entry, token, KNOWN);
  }

  /** Asks for one that is stale, which goes on for a while when there is no answer, or none soon. */
  async #again(book: BoundedMap<Entry>, entry: Entry, token: string, question: Question): Promise<KnownToken | null> {
    const { hash } = entry.token;
    const { answer, isAsked } = this.#ask(hash, token, question);
    const told = answer.catch((err: unknown) => this.#goOn(book, entry, err));
    if (!this.#silence.isSilent) {
      const { patienceMs = PATIENCE_MS } = this.#options;
      if (await isSettledWithin(patienceMs, told)) return await told;
    }
    const now = this.#options.monotonicMs();
    const mayGoOn = isAsked() || this.#silence.isSilent;
    // What was revoked meanwhile has been forgotten; and that it is never this one's turn might last.
    if (book.get(hash) !== entry || (!mayGoOn && now >= entry.turnlessUntilMs)) return await told;
    told.catch(() => {});
    entry.freshUntilMs = Math.min(now + RETRY_MS, mayGoOn ? Number.POSITIVE_INFINITY : entry.turnlessUntilMs);
    return entry.token;
  }

  /** After a question that had no answer. Throws why there is none when the token does not go on. */
  #goOn(book: BoundedMap<Entry>, entry: Entry, err: unknown): KnownToken {
    const now = this.#options.monotonicMs();
    // What was revoked meanwhile has been forgotten.
    if (book.get(entry.token.hash) !== entry) throw err;
    // That Keystone is away is seen and mended; that it is never this one's turn might last.
    const hasNoTurn = err instanceof TooManyTokensError && !this.#silence.isSilent;
    if (hasNoTurn && now >= entry.turnlessUntilMs) throw err;
    entry.freshUntilMs = Math.min(now + RETRY_MS, hasNoTurn ? entry.turnlessUntilMs : Number.POSITIVE_INFINITY);
    return entry.token;
  }

  async #vouch(hash: string, token: string, now: number): Promise<KnownToken | null> {
    const entry = this.#vouched.get(hash);
    if (entry !== undefined && now < entry.freshUntilMs) return entry.token;
    // The service that vouches has shown a good token of its own: it is no stranger.
    const question: Question = { asker: 'known', isVouched: true };
    if (entry === undefined) return await this.#ask(hash, token, question).answer;
    return await this.#again(this.#vouched, entry, token, question);
  }

  /** Those who ask for the same share one question. */
  #ask(hash: string, token: string, question: Question): Pending {
    const name = nameOf(hash, question);
    const before = this.#pending.get(name);
    if (before !== undefined) return before;
    let isAsked = false;
    const ask = (): Promise<KnownToken | null> => {
      isAsked = true;
      return this.#question(hash, token, question);
    };
    const answer = this.#turns
      // What strangers ask says nothing of how Keystone answers others.
      .run(question.asker, question.asker === 'known' ? () => this.#silence.follow(ask) : ask)
      .finally(() => this.#pending.delete(name));
    const pending = { answer, isAsked: () => isAsked };
    this.#pending.set(name, pending);
    return pending;
  }

  /** What Keystone says now: an answer that an event has overtaken may be from before it. */
  async #validate(token: string, allowExpired: boolean): Promise<TokenInfo | null> {
    for (;;) {
      const told: (readonly RevocationEvent[])[] = [];
      this.#underWay.add(told);
      try {
        const info = await this.#options.keystone.validate(token, { allowExpired });
        if (info === null || !told.flat().some((event) => revokes(event, info))) return info;
      } finally {
        this.#underWay.delete(told);
      }
    }
  }

  async #question(hash: string, token: string, { asker, isVouched }: Question): Promise<KnownToken | null> {
    const { log } = this.#options;
    this.#questions += 1;
    try {
      const info = await this.#validate(token, isVouched);
      this.#repeats.forget('keystone');
      if (info !== null) return this.#take(hash, info, isVouched);
      if (asker !== 'known') this.#turns.blame(asker.address);
      return this.#refuse(hash, isVouched);
    } catch (err) {
      this.#failures += 1;
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
    const fresh = { freshUntilMs: now + freshMs, turnlessUntilMs: now + 2 * freshMs };
    const entry = { token, ...fresh, overMs: now + lifeMs };
    if (lifeMs > 0) this.#known.set(hash, entry);
    else if (isVouched) this.#vouched.set(hash, entry);
    return token;
  }
}

/** True: it came to something, whatever it is, before the time is over. */
async function isSettledWithin(ms: number, promise: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(resolve, ms, false);
  });
  const settled = promise.then(
    () => true,
    () => true,
  );
  const isSettled = await Promise.race([settled, late]);
  clearTimeout(timer);
  return isSettled;
}

/** Of one token, at once, there is one of each name. */
function nameOf(hash: string, { asker, isVouched }: Question): string {
  return `${asker === 'known'} ${isVouched} ${hash}`;
}

function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('base64');
}
