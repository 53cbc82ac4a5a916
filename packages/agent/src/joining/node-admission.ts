/**
 * How a node of Kubernetes joins: its agent shows the token that Kubernetes gave to its pod, and is given one by which its host joins (`cable kube admission`). Asked only where the host
 * needs it, and as often as it needs it: no other part has to be started again for that.
 */
import { readFile, rm } from 'node:fs/promises';
import { ExpectedError, httpTransport } from '@cable/kit';
import { certificatesIn, type JoinTokenText, joinNeedOf, parseJoinToken } from '@cable/pki';
import { isRecord } from '../json.ts';
import type { HostMaterial } from './host-files.ts';

/** `caFile`: authorities of servers, PEM. `tokenFile`: of the ServiceAccount; it is renewed. */
export type AdmissionOptions = { readonly url: string; readonly caFile: string; readonly tokenFile: string };

/** It was refused: another try is answered alike until somebody does something. */
export class AdmissionRefusal extends ExpectedError {}

/** Nobody could say: another try may be answered otherwise. */
export class AdmissionAway extends ExpectedError {}

/** A token that was given is good for ten minutes; one that is older is not tried. */
const GOOD_MS = 480_000;

/** `isGiven`: it was in the file: an operator has put it on the node, or what let the pod begin has. */
export type FoundToken = { readonly token: JoinTokenText; readonly isGiven: boolean; readonly why: string };

export type NodeAdmissionDeps = { readonly now: () => Date; readonly signal: AbortSignal };

export class NodeAdmission {
  readonly #options: AdmissionOptions;
  readonly #given: string | undefined;
  readonly #deps: NodeAdmissionDeps;
  /** IDs of tokens that a server has refused. */
  readonly #refused = new Set<string>();
  /** ID of a token that failed, though no server has refused it: passed over once. */
  #aside: string | undefined;
  #last: { readonly token: JoinTokenText; readonly untilMs: number } | undefined;

  /** `given`: file in which an operator may leave a token, which is taken first, also where there is a certificate: that may be refused. */
  constructor(options: AdmissionOptions, given: string | undefined, deps: NodeAdmissionDeps) {
    this.#options = options;
    this.#given = given;
    this.#deps = deps;
  }

  /** A token to join by; undefined: the host need not. Throws `AdmissionRefusal`, `AdmissionAway`, `TransportError`, and `ExpectedError` for files that cannot be read. */
  async find(kept: HostMaterial | undefined): Promise<FoundToken | undefined> {
    const given = await this.#readGiven(kept);
    if (given !== undefined) return { token: given, isGiven: true, why: 'a token is in its file' };
    const ca = await readText(this.#options.caFile, 'the authorities of servers');
    const now = this.#deps.now();
    const why = joinNeedOf(kept, ca, now);
    if (why === undefined) return undefined;
    const last = this.#last;
    if (last !== undefined && last.untilMs > now.getTime() && !this.#refused.has(last.token.id))
      return { token: last.token, isGiven: false, why };
    const token = await this.#ask(certificatesIn(ca));
    this.#last = { token, untilMs: now.getTime() + GOOD_MS };
    return { token, isGiven: false, why };
  }

  /** A server does not take it. */
  refuse({ id }: JoinTokenText): void {
    this.#refused.add(id);
  }

  /** It failed, though no server has refused it: it and another one are tried in turn. */
  setAside({ id }: JoinTokenText): void {
    if (this.#last?.token.id === id) this.#last = undefined;
    else this.#aside = id;
  }

  /** A token by which the host has joined is of no use to anybody: it is taken away. */
  async #readGiven(kept: HostMaterial | undefined): Promise<JoinTokenText | undefined> {
    if (this.#given === undefined) return undefined;
    const token = parseJoinToken(await readFile(this.#given, 'utf8').catch(() => ''));
    if (token === undefined || this.#refused.has(token.id)) return undefined;
    if (token.id !== kept?.token) {
      const isAside = token.id === this.#aside;
      this.#aside = undefined;
      return isAside ? undefined : token;
    }
    await rm(this.#given, { force: true }).catch(() => undefined);
    return undefined;
  }

  async #ask(ca: readonly string[]): Promise<JoinTokenText> {
    const shown = await readText(this.#options.tokenFile, 'the token of the ServiceAccount');
    const tls = { ca };
    const transport = httpTransport(this.#options.url, { timeoutMs: 10_000, tls: () => tls });
    try {
      const headers = { authorization: `Bearer ${shown.trim()}` };
      const { signal } = this.#deps;
      const { status, body } = await transport.request({ method: 'POST', path: '/join', headers, signal });
      const said = parse(body);
      const token = status === 200 ? parseJoinToken(String(said['token'])) : undefined;
      if (token !== undefined) return token;
      const reason = typeof said['reason'] === 'string' ? said['reason'] : `${this.#options.url} answered ${status}`;
      if (status >= 400 && status < 500 && status !== 429) throw new AdmissionRefusal(reason);
      throw new AdmissionAway(reason);
    } finally {
      transport.close();
    }
  }
}

async function readText(path: string, what: string): Promise<string> {
  return await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new ExpectedError(`cannot read ${path}, ${what}`, { cause });
  });
}

function parse(body: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(body);
    if (isRecord(value)) return value;
  } catch {}
  return {};
}
