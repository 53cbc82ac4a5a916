/** One who is logged in to Keystone, and stays so. */
import type { Access } from './access.ts';
import { type JsonAnswer, JsonClient } from './http-json.ts';
import { KeystoneError } from './keystone-error.ts';
import { away, endpointOf, type Login, login, unexpected } from './login.ts';
import type { RevocationEvent } from './revocation.ts';
import { parseToken, type TokenInfo } from './token-info.ts';

export type KeystoneSessionOptions = {
  readonly access: Access;
  /** Milliseconds that never go back. */
  readonly monotonicMs: () => number;
  /** Longest wait for an answer of one address. Default 5,000. */
  readonly timeoutMs?: number;
};

/** A request to a service of the catalog; `path` begins with a slash and is below the service's endpoint. */
export type ServiceRequest = {
  readonly method: string;
  readonly path: string;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
};

/** An answer of any status. */
export type ServiceAnswer = JsonAnswer;

/** A login, when it was, and until when its token is used. */
type Held = Login & { readonly atMs: number; readonly untilMs: number };

/** A token is replaced when so much of its life is over: before anything that is asked with it takes longer than it lives. */
const USED_PART = 0.8;
/** After a login that failed the next one is tried so much later: a Keystone that refuses or is away is not asked for each request. */
const PAUSE_MS = { away: 1000, refused: 5000, forbidden: 5000 } as const;
const TIMEOUT_MS = 5000;
/** A catalog that is older is fetched anew where a service is not in it, or does not answer: it may have come, or moved, since. */
const CATALOG_MS = 5000;

/** Statuses by which Keystone, or a proxy before it, says that this is no token that it knows. */
const NO_TOKEN: ReadonlySet<number> = new Set([400, 404, 413, 414, 431]);

export class KeystoneSession {
  readonly #options: KeystoneSessionOptions;
  readonly #client: JsonClient;
  readonly #timeoutMs: number;
  #held: Held | undefined;
  #login: Promise<Held> | undefined;
  #failed: { readonly error: KeystoneError; readonly untilMs: number } | undefined;
  /** Place of the address that answered last. */
  #good = 0;

  constructor(options: KeystoneSessionOptions) {
    this.#options = options;
    this.#client = new JsonClient(options.access);
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
  }

  /** Where clients are sent to log in. */
  get publicUrl(): string {
    return this.#options.access.urls[0] ?? '';
  }

  /** Time of Keystone's clock, in ms since 1970, whatever that of this machine is; undefined before the first login. */
  get keystoneMs(): number | undefined {
    const held = this.#held;
    return held && held.info.issuedAtMs + (this.#options.monotonicMs() - held.atMs);
  }

  /** A token that is good for a while. Those who ask at once share one login. Throws `KeystoneError`. */
  async token(): Promise<string> {
    return (await this.#current()).token;
  }

  /** Who the token is of; null: Keystone knows no such token. `allowExpired`: also for a while after its end. Throws `KeystoneError`. */
  async validate(subject: string, { allowExpired }: { readonly allowExpired: boolean }): Promise<TokenInfo | null> {
    const query = allowExpired ? '?nocatalog&allow_expired=1' : '?nocatalog';
    // Without the header Keystone does not show tokens that are restricted, since who does not know of it would not heed it.
    const headers = { 'x-subject-token': subject, 'openstack-identity-access-rules': '1.0' };
    const answer = await this.#ask('GET', `/auth/tokens${query}`, headers);
    if (NO_TOKEN.has(answer.status)) return null;
    const info = answer.status === 200 ? parseToken(answer.body) : undefined;
    if (info === undefined) throw unexpected(this.publicUrl, 'for a token', answer.status);
    return info;
  }

  /** What was revoked since a time of Keystone's clock (null: what it still tells of). Throws `KeystoneError`, of kind `forbidden` when it does not say. */
  async revocations(sinceMs: number | null): Promise<readonly RevocationEvent[]> {
    const query = sinceMs === null ? '' : `?since=${encodeURIComponent(new Date(sinceMs).toISOString())}`;
    const answer = await this.#ask('GET', `/OS-REVOKE/events${query}`, {});
    if (answer.status === 403 || answer.status === 404) {
      throw new KeystoneError('forbidden', `Keystone (${this.publicUrl}) does not tell what was revoked`);
    }
    const events = answer.status === 200 ? eventsOf(answer.body) : undefined;
    if (events === undefined) throw unexpected(this.publicUrl, 'for revocations', answer.status);
    return events;
  }

  /** Asks a service of the catalog, by its type, with this one's token. Throws `KeystoneError`, also when the service is not in the catalog. */
  async request(service: string, request: ServiceRequest): Promise<ServiceAnswer> {
    for (const isLast of [false, true]) {
      const { held, endpoint } = await this.#knowing(service);
      const { method, path, body, signal } = request;
      const asked = this.#client.send({
        ...{ method, url: `${endpoint}${path}`, timeoutMs: this.#timeoutMs * 2 },
        headers: { ...request.headers, 'x-auth-token': held.token },
        ...(body === undefined ? {} : { body }),
        ...(signal === undefined ? {} : { signal }),
      });
      const answer = await asked.catch((err: unknown) => {
        if (this.#isOld(held)) this.#forget(held);
        throw err;
      });
      if (answer.status !== 401 || isLast) return answer;
      this.#forget(held);
    }
    throw new Error('unreachable');
  }

  /** The address of a service of the catalog, by its type. Throws `KeystoneError`, also when it is not in the catalog. */
  async endpoint(service: string): Promise<string> {
    return (await this.#knowing(service)).endpoint;
  }

  /** A login whose catalog has the service. */
  async #knowing(service: string): Promise<{ readonly held: Held; readonly endpoint: string }> {
    for (;;) {
      const held = await this.#current();
      const endpoint = endpointOf(held, service, this.#options.access);
      if (endpoint !== undefined) return { held, endpoint };
      if (!this.#isOld(held)) {
        throw new KeystoneError('forbidden', `the catalog of Keystone (${this.publicUrl}) has no ${service} service`);
      }
      this.#forget(held);
    }
  }

  #isOld(held: Held): boolean {
    return this.#options.monotonicMs() - held.atMs >= CATALOG_MS;
  }

  /** Ends its connections. */
  close(): void {
    this.#client.close();
  }

  /** Asks Keystone with this one's token, which is replaced once if Keystone does not know it any more. */
  async #ask(method: string, path: string, headers: Readonly<Record<string, string>>): Promise<JsonAnswer> {
    for (const isLast of [false, true]) {
      const held = await this.#current();
      const answer = await this.#anywhere(async (url) => {
        const asked = { method, url: `${url}${path}`, timeoutMs: this.#timeoutMs };
        const one = await this.#client
          .send({ ...asked, headers: { ...headers, 'x-auth-token': held.token } })
          .catch((cause: unknown) => {
            throw away(url, cause);
          });
        if (one.status < 200 || (one.status >= 300 && one.status < 400) || one.status === 429 || one.status >= 500) {
          throw unexpected(url, 'a question', one.status);
        }
        return one;
      });
      if (answer.status === 401) {
        this.#forget(held);
        if (isLast) throw new KeystoneError('refused', `Keystone (${this.publicUrl}) does not take its own token`);
        continue;
      }
      if (answer.status === 403 && path.startsWith('/auth/')) {
        throw new KeystoneError('forbidden', `Keystone (${this.publicUrl}) does not let this user look at tokens`);
      }
      return answer;
    }
    throw new Error('unreachable');
  }

  async #current(): Promise<Held> {
    const { monotonicMs } = this.#options;
    const held = this.#held;
    if (held !== undefined && monotonicMs() < held.untilMs) return held;
    if (this.#failed !== undefined && monotonicMs() < this.#failed.untilMs) throw this.#failed.error;
    this.#login ??= this.#logIn().finally(() => {
      this.#login = undefined;
    });
    return await this.#login;
  }

  async #logIn(): Promise<Held> {
    const { access, monotonicMs } = this.#options;
    try {
      const made = await this.#anywhere((url) => login(this.#client, url, access, { timeoutMs: this.#timeoutMs }));
      const atMs = monotonicMs();
      const lifeMs = made.info.expiresAtMs - made.info.issuedAtMs;
      this.#failed = undefined;
      this.#held = { ...made, atMs, untilMs: atMs + lifeMs * USED_PART };
      return this.#held;
    } catch (err) {
      if (err instanceof KeystoneError) this.#failed = { error: err, untilMs: monotonicMs() + PAUSE_MS[err.kind] };
      throw err;
    }
  }

  #forget(held: Held): void {
    if (this.#held === held) this.#held = undefined;
  }

  /** At each address, beginning with the one that answered last, until one does. Throws `KeystoneError`. */
  async #anywhere<T>(ask: (url: string) => Promise<T>): Promise<T> {
    const { urls } = this.#options.access;
    let failure: unknown;
    for (let tried = 0; tried < urls.length; tried += 1) {
      const place = (this.#good + tried) % urls.length;
      try {
        const answer = await ask(urls[place] ?? '');
        this.#good = place;
        return answer;
      } catch (err) {
        if (!(err instanceof KeystoneError) || err.kind !== 'away') throw err;
        failure ??= err;
      }
    }
    throw failure;
  }
}

function eventsOf(body: string): readonly RevocationEvent[] | undefined {
  try {
    const { events } = JSON.parse(body) as { readonly events?: unknown };
    if (!Array.isArray(events)) return undefined;
    return events.filter((one): one is RevocationEvent => typeof one === 'object' && one !== null);
  } catch {
    return undefined;
  }
}
