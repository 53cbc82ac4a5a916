/**
 * What the API server is asked about tokens that are shown, so little that who invents some costs it nothing: a token that its own text shows to be none for joining is refused here; who
 * was refused is refused again without a question; and of each source so many are asked about as nodes need, and no more. Sources from which a good token came have places that no other
 * takes, and others have theirs.
 */
import { createHash } from 'node:crypto';
import type { AdmissionAnswer } from './admission.ts';
import { KnownSources, NET_SHARES, sourceOf } from './admission-sources.ts';
import { JOIN_AUDIENCE } from './names.ts';

export type ReviewLimits = {
  /** Tokens that are looked at at once: of all that are known, and of all others; of one network that is not; of one address. */
  readonly atOnce: number;
  readonly atOncePerNet: number;
  readonly atOncePerSource: number;
  /** Refused tokens of an address at once, and after how long one more. */
  readonly refusals: number;
  readonly refusalMs: number;
  /** How long the answer to a token stands: where it was refused, where it was another. */
  readonly refusedMs: number;
  readonly answeredMs: number;
};

export const REVIEW_LIMITS: ReviewLimits = {
  ...{ atOnce: 16, atOncePerNet: 12, atOncePerSource: 8, refusals: 10, refusalMs: 6000 },
  ...{ refusedMs: 60_000, answeredMs: 10_000 },
};

/** Answers, and sources, that are remembered. */
const MAX_KNOWN = 4096;

/** Clocks of the API server and of this server may differ by so much. */
const SKEW_MS = 300_000;

export type Said = AdmissionAnswer | { readonly status: 429; readonly reason: string };

/** `spent`: refusals, as of `atMs`. */
type Spender = { spent: number; atMs: number; running: number };

export type ReviewsDeps = {
  /** Asks who has the token; never rejects. */
  readonly admit: (token: string) => Promise<AdmissionAnswer>;
  /** Milliseconds since 1970. */
  readonly now: () => number;
};

export class AdmissionReviews {
  readonly #account: string;
  readonly #deps: ReviewsDeps;
  readonly #limits: ReviewLimits;
  /** By hash of the token, the oldest first. */
  readonly #known = new Map<string, { readonly answer: AdmissionAnswer; readonly untilMs: number }>();
  readonly #addresses = new Map<string, Spender>();
  readonly #nets = new Map<string, Spender>();
  readonly #sources: KnownSources;
  readonly #running = { known: 0, others: 0 };

  /** `account`: of whom tokens are, as `sub` of them has it. */
  constructor(
    account: string,
    deps: ReviewsDeps,
    sources: KnownSources = new KnownSources(),
    limits: ReviewLimits = REVIEW_LIMITS,
  ) {
    this.#account = account;
    this.#deps = deps;
    this.#sources = sources;
    this.#limits = limits;
  }

  /** `from`: address of who shows it. */
  async answer(from: string, token: string): Promise<Said> {
    const now = this.#deps.now();
    const wrong = refusalOf(token, this.#account, now);
    if (wrong !== undefined) return wrong;
    const key = createHash('sha256').update(token).digest('base64');
    const known = this.#known.get(key);
    if (known !== undefined && known.untilMs > now) return known.answer;
    const source = sourceOf(from);
    const kind = this.#sources.has(source) ? 'known' : 'others';
    const { atOnce, atOncePerNet, atOncePerSource, refusals, refusalMs } = this.#limits;
    const address = this.#spenderOf(this.#addresses, source.address, { now, refusalMs });
    const net = this.#spenderOf(this.#nets, source.net, { now, refusalMs: refusalMs / NET_SHARES });
    const asking = kind === 'known' ? [address] : [address, net];
    if (address.spent >= refusals || (kind === 'others' && net.spent >= refusals * NET_SHARES))
      return {
        status: 429,
        reason: `too many tokens from ${address.spent >= refusals ? source.address : source.net} were refused: another is looked at in ${Math.ceil(refusalMs / 1000)} s`,
      };
    const isFull = address.running >= atOncePerSource || (kind === 'others' && net.running >= atOncePerNet);
    if (isFull || this.#running[kind] >= atOnce)
      return { status: 503, reason: 'others are being looked at: ask again' };
    this.#running[kind] += 1;
    for (const spender of asking) {
      spender.running += 1;
      // Of many that are asked about at once each counts as refused until it is not.
      spender.spent += 1;
    }
    try {
      const answer = await this.#deps.admit(token);
      if (!isRefused(answer)) for (const spender of asking) spender.spent = Math.max(0, spender.spent - 1);
      if (answer.status === 200) this.#sources.add(source);
      this.#keep(key, answer);
      return answer;
    } finally {
      this.#running[kind] -= 1;
      for (const spender of asking) spender.running -= 1;
    }
  }

  #spenderOf(
    of: Map<string, Spender>,
    key: string,
    { now, refusalMs }: { readonly now: number; readonly refusalMs: number },
  ): Spender {
    const there = of.get(key) ?? { spent: 0, atMs: now, running: 0 };
    const elapsed = Math.max(0, now - there.atMs);
    there.spent = Math.max(there.running, there.spent - elapsed / refusalMs);
    there.atMs = now;
    of.delete(key);
    of.set(key, there);
    if (of.size > MAX_KNOWN) {
      const idle = [...of].find(([, { running }]) => running === 0);
      if (idle !== undefined) of.delete(idle[0]);
    }
    return there;
  }

  /** That nobody could be asked is no answer. */
  #keep(key: string, answer: AdmissionAnswer): void {
    if (answer.status === 503) return;
    const { refusedMs, answeredMs } = this.#limits;
    const lifeMs = isRefused(answer) ? refusedMs : answeredMs;
    this.#known.delete(key);
    this.#known.set(key, { answer, untilMs: this.#deps.now() + lifeMs });
    const [oldest] = this.#known.keys();
    if (this.#known.size > MAX_KNOWN && oldest !== undefined) this.#known.delete(oldest);
  }
}

function isRefused({ status }: AdmissionAnswer): boolean {
  return status === 401 || status === 403;
}

/** What the text of a token says against it; undefined: nothing, and the API server is to say whether it is true. */
function refusalOf(token: string, account: string, now: number): AdmissionAnswer | undefined {
  const claims = claimsOf(token);
  if (claims === undefined) return { status: 401, reason: 'what is shown is no token of a ServiceAccount' };
  const { aud, exp, sub } = claims;
  const audiences = Array.isArray(aud) ? aud : [aud];
  if (!audiences.includes(JOIN_AUDIENCE)) return { status: 401, reason: `the token is not for ${JOIN_AUDIENCE}` };
  if (typeof exp !== 'number' || exp * 1000 < now - SKEW_MS) {
    const shown = typeof exp === 'number' ? ` since ${exp} s of 1970 (here it is ${Math.floor(now / 1000)})` : '';
    return {
      status: 401,
      reason: `the token is over${shown}: is the clock of the API server, and of this one, right?`,
    };
  }
  if (sub !== account) return { status: 403, reason: `the token is not of ${account}` };
  return undefined;
}

/** The middle part of a JSON web token (RFC 7519 §3), whose signature nobody has looked at. */
function claimsOf(token: string): Readonly<Record<string, unknown>> | undefined {
  const parts = token.split('.');
  if (parts.length !== 3 || parts.some((part) => !/^[\w-]+$/.test(part))) return undefined;
  try {
    const claims: unknown = JSON.parse(Buffer.from(parts[1] ?? '', 'base64url').toString('utf8'));
    return typeof claims === 'object' && claims !== null ? (claims as Readonly<Record<string, unknown>>) : undefined;
  } catch {
    return undefined;
  }
}
