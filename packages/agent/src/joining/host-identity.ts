/** What the agent shows of itself at a server, and which servers it trusts: given by an operator, or got by joining and renewed since. */
import { X509Certificate } from 'node:crypto';
import { ApiError } from '@cable/api';
import {
  type ClientTls,
  createBackoff,
  ExpectedError,
  type HttpTransport,
  type Logger,
  sleep,
  TransportError,
} from '@cable/kit';
import { CLOCK_SKEW_MS, followTlsFiles, type JoinTokenText, type TlsFiles, type TlsMaterial } from '@cable/pki';
import { makeRefusal } from '../stream/refusal.ts';
import { type Asker, askToJoin, askToRenew, type Given } from './ask-certificate.ts';
import { HostFiles, type HostMaterial } from './host-files.ts';
import { readJoinToken, type TokenSource } from './join-token.ts';

export type IdentityOptions = {
  readonly server: string;
  readonly host: string;
  readonly stateDir: string;
  readonly join: TokenSource | null;
  /** Files of an operator's; null: the host joins. */
  readonly tlsFiles: TlsFiles | null;
};

export type IdentityDeps = {
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly now?: () => Date;
  /** 0..1 */
  readonly random?: () => number;
};

export type HostIdentity = {
  /** For transports. */
  readonly tls: () => ClientTls;
  /** Renews over the transport until the signal aborts; `onNew` is told when another certificate is shown from now on. */
  keep(transport: HttpTransport, onNew: () => void): Promise<void>;
};

/** Answers that another try may change. */
const PASSING: ReadonlySet<string> = new Set([
  ...['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ECONNABORTED', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH'],
  ...['ENOTFOUND', 'EAI_AGAIN', 'timeout', 'broken'],
]);

const JOIN_WAITS = { minMs: 500, maxMs: 10_000 };

/**
 * The identity over https; undefined: the address is another's, where nobody shows anything. Joins when a token is given by which the host has not joined yet, and waits for a server
 * that does not answer. Throws `ExpectedError` when it cannot be; a host that has a certificate goes on with it whatever becomes of the token.
 */
export async function openIdentity(options: IdentityOptions, deps: IdentityDeps): Promise<HostIdentity | undefined> {
  const { server, join, tlsFiles } = options;
  if (!server.startsWith('https:')) {
    if (join === null && tlsFiles === null) return undefined;
    throw new ExpectedError(`with certificates and join tokens the server is asked by https, not by ${server}`);
  }
  return tlsFiles === null ? await openJoined(options, deps) : await openGiven(tlsFiles, deps);
}

async function openGiven(files: TlsFiles, { log, signal, now }: IdentityDeps): Promise<HostIdentity> {
  let listener = (): void => undefined;
  let current: ClientTls = {};
  const take = ({ own, ca }: TlsMaterial): void => {
    current = { ...(ca === null ? {} : { ca }), ...(own === null ? {} : { own: { cert: own.cert, key: own.key } }) };
    listener();
  };
  const followed = await followTlsFiles(files, take, { log, signal, ...(now === undefined ? {} : { now }) });
  take(followed.current);
  return {
    tls: () => current,
    keep: async (_transport, onNew) => {
      listener = onNew;
    },
  };
}

async function openJoined(options: IdentityOptions, deps: IdentityDeps): Promise<HostIdentity> {
  const { host, stateDir, join } = options;
  const files = new HostFiles(stateDir, host);
  const kept = await files.read();
  const token = join === null ? undefined : readJoinToken(join);
  if (token === undefined || token.id === kept?.token) {
    if (kept !== undefined) return new JoinedIdentity(files, kept, options, deps);
    throw new ExpectedError(
      join === null
        ? `this host has not joined yet (nothing in ${stateDir}): make a token with cable join-token create, and give it with --join-file`
        : 'the file with the join token is not there, and this host has not joined yet: make a token with cable join-token create',
    );
  }
  try {
    return new JoinedIdentity(files, await joinWith(token, kept, { files, options, deps }), options, deps);
  } catch (err) {
    const refusal = explainRefusal(err);
    if (kept === undefined || deps.signal.aborted) throw refusal;
    deps.log.error({ token: token.id, reason: refusal.message }, 'not joined anew: the certificate of before is shown');
    return new JoinedIdentity(files, kept, options, deps);
  }
}

async function joinWith(
  token: JoinTokenText,
  kept: HostMaterial | undefined,
  {
    files,
    options: { server, host },
    deps,
  }: { readonly files: HostFiles; readonly options: IdentityOptions; readonly deps: IdentityDeps },
): Promise<HostMaterial> {
  const { log, signal } = deps;
  const key = await files.nextKey(kept);
  const asker: Asker = { host, key, now: deps.now ?? (() => new Date()) };
  const waits = createBackoff({ ...JOIN_WAITS, ...(deps.random === undefined ? {} : { random: deps.random }) });
  for (let last = ''; ; ) {
    try {
      const given = await askToJoin(server, token, asker, signal);
      const material = { token: token.id, key, ...given };
      await files.write(material);
      log.info({ host, token: token.id, expiresAt: expiryOf(given) }, 'this host has joined');
      return material;
    } catch (err) {
      if (signal.aborted || !mayPass(err)) throw err;
      const reason = err instanceof Error ? err.message : String(err);
      if (reason !== last) log.warn({ reason }, 'not joined yet, will try again');
      last = reason;
    }
    await sleep(waits.next(), signal);
  }
}

class JoinedIdentity implements HostIdentity {
  readonly #files: HostFiles;
  readonly #host: string;
  readonly #deps: IdentityDeps;
  #material: HostMaterial;
  #tls: ClientTls;

  constructor(files: HostFiles, material: HostMaterial, { host }: IdentityOptions, deps: IdentityDeps) {
    this.#files = files;
    this.#host = host;
    this.#deps = deps;
    this.#material = material;
    this.#tls = tlsOf(material);
  }

  get tls(): () => ClientTls {
    return () => this.#tls;
  }

  async keep(transport: HttpTransport, onNew: () => void): Promise<void> {
    const { signal, log, random = Math.random } = this.#deps;
    let due = renewalAt(this.#material, random());
    let last = '';
    while (!signal.aborted) {
      await sleepUntil(due, this.#now, signal);
      if (signal.aborted) return;
      try {
        await this.#renew(transport);
        log.info({ expiresAt: expiryOf(this.#material) }, 'the certificate of this host was renewed');
        last = '';
        due = renewalAt(this.#material, random());
        onNew();
      } catch (err) {
        const { message } = explainRefusal(err);
        if (message !== last) log.error({ reason: message }, 'the certificate of this host was not renewed');
        last = message;
        due = this.#now().getTime() + retryMs(this.#material, this.#now(), random());
      }
    }
  }

  async #renew(transport: HttpTransport): Promise<void> {
    const key = await this.#files.nextKey(this.#material);
    const given = await askToRenew(transport, { host: this.#host, key, now: this.#now });
    const next = { token: this.#material.token, key, ...given };
    await this.#files.write(next);
    this.#material = next;
    this.#tls = tlsOf(next);
  }

  readonly #now = (): Date => this.#deps.now?.() ?? new Date();
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

function mayPass(err: unknown): boolean {
  if (err instanceof ApiError) return err.status >= 500 || err.status === 429;
  return err instanceof TransportError && PASSING.has(err.code);
}

/** A server's refusal with its remedy. */
function explainRefusal(err: unknown): Error {
  if (!(err instanceof ApiError)) return err instanceof Error ? err : new Error(String(err));
  const remedy = err.detail || makeRefusal(err.type, err.message).remedy || '';
  return new ExpectedError(`the server refuses this host: ${err.message} ${remedy}`.trimEnd());
}
