/** The identity of a host that joins, or has joined: it asks until it has a certificate, and renews it. */
import { X509Certificate } from 'node:crypto';
import { ApiError } from '@cable/api';
import {
  type ClientTls,
  createBackoff,
  ExpectedError,
  type HttpTransport,
  httpTransport,
  sleep,
  TransportError,
} from '@cable/kit';
import { CLOCK_SKEW_MS, type JoinTokenText } from '@cable/pki';
import { makeRefusal } from '../stream/refusal.ts';
import { askToJoin, askToRenew, type Given } from './ask-certificate.ts';
import type { HostFiles, HostMaterial } from './host-files.ts';
import type { HostIdentity, IdentityDeps, IdentityOptions } from './host-identity.ts';
import { readJoinToken, type TokenSource } from './join-token.ts';
import { AdmissionAway, type AdmissionOptions, NodeAdmission } from './node-admission.ts';

/** `kept`: by a token of before. `token`: the one to join by, which may be that of before. One of them is there, or somebody is asked for one. */
type Beginning = {
  readonly files: HostFiles;
  readonly kept: HostMaterial | undefined;
  readonly token: JoinTokenText | undefined;
};

/** How another certificate may come beside renewals; undefined: it does not. It is tried again and again until it comes, and after that if `isLasting`. */
type Look = { readonly isLasting: boolean; readonly run: (current: HostMaterial) => Promise<HostMaterial | undefined> };

/** A token by which a host that has a certificate of before did not join. `refused`: id of the one that a server has refused; null: none did. */
type Left = { token: JoinTokenText; refused: string | null };

const JOIN_WAITS = { minMs: 500, maxMs: 10_000 };

/** Time between attempts at a server that refuses the token: another may be in its place by then. */
const REFUSED_RETRY_MS = 30_000;

/** Joins if the token is another than that of before, and renews, until the signal aborts. What it has stays in use meanwhile. */
export function startJoined(
  { files, kept, token }: Beginning,
  options: IdentityOptions,
  deps: IdentityDeps,
): HostIdentity {
  const identity = new JoinedIdentity(files, kept, options, deps);
  return {
    tls: () => identity.tls,
    onNew: (listener) => identity.onNew(listener),
    done: identity.run(token),
  };
}

class JoinedIdentity {
  readonly #files: HostFiles;
  readonly #options: IdentityOptions;
  readonly #deps: IdentityDeps;
  #material: HostMaterial | undefined;
  #tls: ClientTls | undefined;
  /** Why it has not joined. */
  #reason = 'a certificate is being asked for';
  #listener = (): void => undefined;

  constructor(files: HostFiles, kept: HostMaterial | undefined, options: IdentityOptions, deps: IdentityDeps) {
    this.#files = files;
    this.#options = options;
    this.#deps = deps;
    this.#material = kept;
    this.#tls = kept === undefined ? undefined : tlsOf(kept);
  }

  get tls(): ClientTls {
    if (this.#tls === undefined)
      throw new TransportError('not-joined', `this host has not joined yet: ${this.#reason}`);
    return this.#tls;
  }

  onNew(listener: () => void): void {
    this.#listener = listener;
  }

  async run(token: JoinTokenText | undefined): Promise<void> {
    const { admission = null } = this.#options;
    if (admission !== null) return await this.#runAdmitted(admission);
    const left = token === undefined || token.id === this.#material?.token ? undefined : await this.#join(token);
    if (this.#material === undefined) return;
    const run = (current: HostMaterial): Promise<HostMaterial | undefined> =>
      left === undefined ? Promise.resolve(undefined) : this.#joinAnew(left, current);
    await this.#keep(this.#material, left === undefined ? undefined : { isLasting: false, run });
  }

  /** Asks for a token whenever the host needs one. */
  async #runAdmitted(options: AdmissionOptions): Promise<void> {
    const { signal, random } = this.#deps;
    const { join } = this.#options;
    const given = join !== null && 'path' in join ? join.path : undefined;
    const admission = new NodeAdmission(options, given, { now: this.#now, signal });
    const waits = createBackoff({ ...JOIN_WAITS, ...(random === undefined ? {} : { random }) });
    let last = '';
    let refusals = 0;
    const run = async (kept: HostMaterial | undefined): Promise<HostMaterial | undefined> => {
      const { joined, reason, isPassing } = await this.#admit(admission, kept);
      if (reason !== '' && reason !== last) {
        if (isPassing) this.#deps.log.warn({ reason }, 'not joined yet, will try again');
        else this.#deps.log.error({ reason }, 'this host cannot join: what it knows is served, and it will try again');
      }
      if (reason !== '') this.#reason = reason;
      last = reason;
      if (!isPassing) refusals += 1;
      // A token may have been too old, so another is asked for soon, once.
      const waitMs = isPassing || refusals === 1 ? waits.next() : REFUSED_RETRY_MS;
      if (joined === undefined && kept === undefined) await sleep(waitMs, signal);
      return joined;
    };
    if (this.#material !== undefined) await run(this.#material);
    while (this.#material === undefined && !signal.aborted) await run(undefined);
    if (this.#material !== undefined) await this.#keep(this.#material, { isLasting: true, run });
  }

  /** One try. `reason` empty: it has joined, or need not. */
  async #admit(
    admission: NodeAdmission,
    kept: HostMaterial | undefined,
  ): Promise<{ readonly joined?: HostMaterial; readonly reason: string; readonly isPassing: boolean }> {
    let tried: JoinTokenText | undefined;
    try {
      const found = await admission.find(kept);
      if (found === undefined) return { reason: '', isPassing: true };
      this.#deps.log.info({ token: found.token.id, why: found.why }, 'joins by a token');
      tried = found.token;
      const joined = await this.#askToJoin(found.token, kept);
      this.#joined(joined);
      return { joined, reason: '', isPassing: true };
    } catch (err) {
      const isPassing = mayPass(err) || err instanceof AdmissionAway;
      if (tried !== undefined && isRefusal(err)) admission.refuse(tried);
      else if (tried !== undefined && !isPassing) admission.setAside(tried);
      return { reason: explainRefusal(err).message, isPassing };
    }
  }

  /** Ends when the host has joined; or, with the token, when it has a certificate of before and no other comes of this token in time. */
  async #join(first: JoinTokenText): Promise<Left | undefined> {
    const { log, signal, random } = this.#deps;
    const kept = this.#material;
    const until = kept === undefined ? Number.POSITIVE_INFINITY : renewalAt(kept, 0);
    const waits = createBackoff({ ...JOIN_WAITS, ...(random === undefined ? {} : { random }) });
    let last = '';
    for (let token = first; !signal.aborted; token = readAgain(this.#options.join, token)) {
      try {
        const material = await this.#askToJoin(token, kept);
        this.#joined(material);
        return undefined;
      } catch (err) {
        if (signal.aborted) return undefined;
        const isPassing = mayPass(err);
        const { message: reason } = explainRefusal(err);
        if (kept !== undefined && (!isPassing || this.#now().getTime() >= until)) {
          log.error({ token: token.id, reason }, 'not joined anew: the certificate of before is shown');
          return { token, refused: isPassing ? null : token.id };
        }
        this.#reason = reason;
        if (reason !== last) {
          const fields = { token: token.id, reason };
          if (isPassing) log.warn(fields, 'not joined yet, will try again');
          else log.error(fields, 'this host cannot join: what it knows is served, and it will try again');
        }
        last = reason;
        await sleep(isPassing ? waits.next() : REFUSED_RETRY_MS, signal);
      }
    }
    return undefined;
  }

  /** Another certificate by the token that is in the file by now, unless that is the one that was refused; undefined: there is none. Says what is refused. */
  async #joinAnew(left: Left, kept: HostMaterial): Promise<HostMaterial | undefined> {
    left.token = readAgain(this.#options.join, left.token);
    const { id } = left.token;
    if (id === left.refused || id === kept.token) return undefined;
    try {
      const material = await this.#askToJoin(left.token, kept);
      this.#joined(material);
      return material;
    } catch (err) {
      if (mayPass(err) || this.#deps.signal.aborted) return undefined;
      left.refused = id;
      const { message: reason } = explainRefusal(err);
      this.#deps.log.error({ token: id, reason }, 'not joined anew: the certificate of before is shown');
      return undefined;
    }
  }

  async #askToJoin(token: JoinTokenText, kept: HostMaterial | undefined): Promise<HostMaterial> {
    const { server, host } = this.#options;
    const key = await this.#files.nextKey(kept);
    const given = await askToJoin(server, token, { host, key, now: this.#now }, this.#deps.signal);
    const material = { token: token.id, key, ...given };
    await this.#files.write(material);
    return material;
  }

  /** Renews the certificate. */
  async #keep(first: HostMaterial, byTokens: Look | undefined): Promise<void> {
    const { signal, log, random = Math.random } = this.#deps;
    const transport = httpTransport(this.#options.server, { tls: () => this.tls });
    const close = (): void => transport.close();
    signal.addEventListener('abort', close, { once: true });
    let current = first;
    let look = byTokens;
    let due = renewalAt(current, random());
    let last = '';
    while (!signal.aborted) {
      const next = look === undefined ? due : Math.min(due, this.#now().getTime() + REFUSED_RETRY_MS);
      await sleepUntil(next, this.#now, signal);
      if (signal.aborted) return;
      const anew = await look?.run(current);
      if (anew !== undefined) {
        current = anew;
        if (look?.isLasting === false) look = undefined;
        last = '';
        due = renewalAt(current, random());
      }
      if (this.#now().getTime() < due) continue;
      try {
        current = await this.#renew(transport, current);
        log.info({ expiresAt: expiryOf(current) }, 'the certificate of this host was renewed');
        last = '';
        due = renewalAt(current, random());
        this.#take(current);
      } catch (err) {
        if (signal.aborted) return;
        const { message } = explainRefusal(err);
        if (message !== last) log.error({ reason: message }, 'the certificate of this host was not renewed');
        last = message;
        due = this.#now().getTime() + retryMs(current, this.#now(), random());
      }
    }
  }

  async #renew(transport: HttpTransport, current: HostMaterial): Promise<HostMaterial> {
    const key = await this.#files.nextKey(current);
    const given = await askToRenew(transport, { host: this.#options.host, key, now: this.#now });
    const next = { token: current.token, key, ...given };
    await this.#files.write(next);
    return next;
  }

  #joined(material: HostMaterial): void {
    const fields = { host: this.#options.host, token: material.token, expiresAt: expiryOf(material) };
    this.#deps.log.info(fields, 'this host has joined');
    this.#take(material);
  }

  #take(material: HostMaterial): void {
    this.#material = material;
    this.#tls = tlsOf(material);
    this.#listener();
  }

  readonly #now = (): Date => this.#deps.now?.() ?? new Date();
}

/** The token that is in its file by now, or the one of before. */
function readAgain(source: TokenSource | null, before: JoinTokenText): JoinTokenText {
  if (source === null || 'text' in source || source.path === '-') return before;
  try {
    return readJoinToken(source) ?? before;
  } catch {
    return before;
  }
}

function tlsOf({ certificate, key, authorities }: HostMaterial): ClientTls {
  return { ca: authorities, own: { cert: certificate, key } };
}

/** At two thirds of its life, or up to a tenth earlier: hosts that have joined together do not renew together. */
function renewalAt({ certificate }: HostMaterial, random: number): number {
  const { validFrom, validTo } = new X509Certificate(certificate);
  const madeAt = Date.parse(validFrom) + CLOCK_SKEW_MS;
  const lifeMs = Date.parse(validTo) - madeAt;
  return madeAt + lifeMs * (2 / 3 - random / 10);
}

const RETRY_MS = { least: 1_000, most: 3_600_000 };

/** Ten times in what is left, but not more than once an hour and not more often than once a second; after its end once an hour. */
function retryMs(material: HostMaterial, now: Date, random: number): number {
  const leftMs = Date.parse(new X509Certificate(material.certificate).validTo) - now.getTime();
  const wait = leftMs <= 0 ? RETRY_MS.most : Math.min(RETRY_MS.most, Math.max(RETRY_MS.least, leftMs / 10));
  return wait * (1 - random / 4);
}

/** Timers hold no longer than 2^31 ms, and a machine may sleep. */
const LONGEST_SLEEP_MS = 3_600_000;

async function sleepUntil(time: number, now: () => Date, signal: AbortSignal): Promise<void> {
  for (let left = time - now().getTime(); left > 0 && !signal.aborted; left = time - now().getTime())
    await sleep(Math.min(left, LONGEST_SLEEP_MS), signal);
}

function expiryOf({ certificate }: Pick<Given, 'certificate'>): string {
  return new Date(new X509Certificate(certificate).validTo).toISOString();
}

/** Whether another try may be answered otherwise, whatever the server thinks of the token. */
function mayPass(err: unknown): boolean {
  if (err instanceof ApiError) return err.status >= 500 || err.status === 429;
  return err instanceof TransportError && err.isUnreachable;
}

/** Whether a server has seen the token and does not take it. What fails here (a full disk) or on the way says nothing of the token. */
function isRefusal(err: unknown): boolean {
  return err instanceof ApiError && err.status >= 400 && err.status < 500 && err.status !== 429;
}

/** A server's refusal with its remedy. */
function explainRefusal(err: unknown): Error {
  if (!(err instanceof ApiError)) return err instanceof Error ? err : new Error(String(err));
  const remedy = err.detail || makeRefusal(err.type, err.message).remedy || '';
  return new ExpectedError(`the server refuses this host: ${err.message} ${remedy}`.trimEnd());
}
