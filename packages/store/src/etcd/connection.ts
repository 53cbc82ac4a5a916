import { type Logger, sleep } from '@cable/kit';
import type { Client } from '@grpc/grpc-js';
import type { CallOptions } from '../contract.ts';
import { StoreError } from '../errors.ts';
import { msUntil } from '../waiting.ts';
import { startPatience } from './patience.ts';
import {
  callUnary,
  createEndpointClient,
  type Ends,
  type EtcdMethods,
  explainError,
  isUnavailable,
  type Method,
  type UnaryOptions,
} from './rpc.ts';
import type { EtcdTls } from './tls.ts';

export type ConnectionOptions = {
  /** `host:port` each. */
  readonly endpoints: readonly string[];
  /** Absent: connections are in clear. */
  readonly tls?: EtcdTls;
  readonly methods: Pick<EtcdMethods, 'range'>;
  readonly log: Logger;
  /** How long a call may take, with its retries, that has no deadline of its own. */
  readonly timeoutMs: number;
};

/** How often each member is asked whether it can still read what the cluster agrees on. */
const PROBE_EVERY_MS = 1000;
/** A member that takes longer has failed, until it answers. */
const PROBE_MS = 700;
/** How long after a refused probe the next is sent. */
const PROBE_AGAIN_MS = 200;
/** After this a probe without an answer is given up and sent anew. */
const PROBE_LOST_MS = 5000;

/** Linearizable: a member that is cut off from the others cannot answer it. The key is never there. */
const PROBE = { key: Buffer.from('/cable') };

/** One member of the cluster, as whoever calls it sees it. */
export type Member = {
  readonly endpoint: string;
  readonly client: Client;
  /** The calls that are under way at it: ended when it has failed and another is there to go on with, or the connection is closed. */
  readonly ends: Ends;
};

/** The members of one etcd cluster: calls go to one of them, and to another when that one fails. Each is probed over a connection of its own. */
export class EtcdConnection {
  readonly timeoutMs: number;
  readonly #methods: Pick<EtcdMethods, 'range'>;
  readonly #log: Logger;
  readonly #members: readonly KnownMember[];
  readonly #isSecure: boolean;
  readonly #closing = new AbortController();
  readonly #waiting = new Set<() => void>();
  #current: KnownMember | undefined;
  #answeredAtMs: number = performance.now();

  constructor(options: ConnectionOptions) {
    this.timeoutMs = options.timeoutMs;
    this.#methods = options.methods;
    this.#log = options.log;
    this.#members = options.endpoints.map((endpoint) => new KnownMember(endpoint, options.tls));
    this.#isSecure = options.tls !== undefined;
    for (const member of this.#members) void this.#watchOver(member);
  }

  /** Aborts when the connection is closed. */
  get closed(): AbortSignal {
    return this.#closing.signal;
  }

  /** How long ago a member last answered anything, or the connection was made. */
  get answeredAgoMs(): number {
    return performance.now() - this.#answeredAtMs;
  }

  /** Calls a method that may be done twice, at one member after the other until one answers or the time is over. Throws `StoreError`. */
  async call<Request, Response>(
    method: Method<Request, Response>,
    request: Request,
    options: CallOptions = {},
  ): Promise<Response> {
    const limits = { ...options, deadlineMs: options.deadlineMs ?? performance.now() + this.timeoutMs };
    for (;;) {
      const member = await this.member(limits);
      try {
        return await this.send(member, method, request, limits);
      } catch (err) {
        this.throwIfClosed();
        const isGivenUp = isOver(options);
        if (isUnavailable(err) && !isGivenUp) this.fail(member, err);
        if (!isUnavailable(err) || isOver(limits)) throw explainError(err, method.path);
        await sleep(50, this.closed);
      }
    }
  }

  /** Calls a method at one member, once. Throws grpc's `ServiceError`; the call may have been done then. */
  async send<Request, Response>(
    member: Member,
    method: Method<Request, Response>,
    request: Request,
    limits: Omit<UnaryOptions, 'ends'>,
  ): Promise<Response> {
    const { client, ends } = member;
    const answer = await callUnary(client, method, request, { ...limits, ends });
    this.heard();
    return answer;
  }

  /** Tells that a member has answered. */
  heard(): void {
    this.#answeredAtMs = performance.now();
  }

  /** A member that answers, or undefined when there is none now. `but`: another than this one, if there is another. */
  healthy(but?: Member): Member | undefined {
    if (this.#current?.isHealthy && this.#current !== but) return this.#current;
    const other = this.#members.find((member) => member.isHealthy && member !== but);
    return other ?? this.#members.find((member) => member.isHealthy);
  }

  /** The same, waiting for one. Throws `unavailable` when there is none by the deadline (default: none), and `closed`. */
  async member(limits: CallOptions = {}, but?: Member): Promise<Member> {
    for (;;) {
      this.throwIfClosed();
      const member = this.healthy(but);
      if (member !== undefined) return member;
      if (isOver(limits)) {
        throw this.#noneAnswers();
      }
      await this.#change(limits);
    }
  }

  /** By TLS what answers may be refused for many reasons, of which the last is said. */
  #noneAnswers(): StoreError {
    const endpoints = this.#members.map(({ endpoint }) => endpoint).join(', ');
    const reason = this.#isSecure ? this.#members.find((member) => member.reason !== '')?.reason : undefined;
    const remedy = this.#isSecure ? '--store, --etcd-ca or --etcd-cert' : '--store';
    const why = reason === undefined ? '' : ` (${reason})`;
    return new StoreError('unavailable', `no etcd answers at ${endpoints}${why}: start it, or correct ${remedy}`);
  }

  /** Tells that a member failed: calls go to another until a probe of it is answered. */
  fail(member: Member, err: unknown): void {
    const known = this.#members.find((one) => one === member);
    if (known !== undefined && !this.closed.aborted) this.#fail(known, err);
  }

  throwIfClosed(): void {
    if (this.closed.aborted) throw new StoreError('closed', 'the store is closed');
  }

  close(): void {
    this.#closing.abort();
    for (const member of this.#members) member.close();
    for (const wake of [...this.#waiting]) wake();
  }

  async #watchOver(member: KnownMember): Promise<void> {
    while (!this.closed.aborted) {
      const err = await this.#probe(member);
      if (this.closed.aborted) return;
      if (err === undefined) this.#recover(member);
      else this.#fail(member, err);
      await member.pause(err === undefined ? PROBE_EVERY_MS : PROBE_AGAIN_MS);
    }
  }

  /** Undefined: it answers, also where calls go if those had failed. It counts as failed before it is given up, and recovers when it answers after that. */
  async #probe(member: KnownMember): Promise<unknown> {
    const late = new StoreError('unavailable', `no answer within ${PROBE_MS} ms`);
    const stop = startPatience(PROBE_MS, () => this.#fail(member, late));
    const how = { deadlineMs: performance.now() + PROBE_LOST_MS, ends: member.probes };
    try {
      await callUnary(member.probe, this.#methods.range, PROBE, how);
      this.heard();
      if (!member.isHealthy) await callUnary(member.client, this.#methods.range, PROBE, how);
      return undefined;
    } catch (err) {
      return err;
    } finally {
      stop();
    }
  }

  #fail(member: KnownMember, err: unknown): void {
    member.reason = reasonOf(err) ?? member.reason;
    if (member.state === 'failed') return;
    const isNews = member.isHealthy || this.#current !== undefined;
    member.state = 'failed';
    member.hurry();
    if (isNews) this.#log.warn({ endpoint: member.endpoint, err: explainError(err, 'call') }, 'etcd member failed');
    this.#leaveFailed();
  }

  #recover(member: KnownMember): void {
    if (member.isHealthy) return;
    const isNews = member.state === 'failed';
    member.state = 'healthy';
    if (isNews) this.#log.info({ endpoint: member.endpoint }, 'etcd member answers');
    this.#leaveFailed();
    for (const wake of [...this.#waiting]) wake();
  }

  /** Whoever is at a failed member goes on at another, if there is one that answers. */
  #leaveFailed(): void {
    const healthy = this.#members.find((member) => member.isHealthy);
    if (healthy === undefined) return;
    if (!this.#current?.isHealthy) this.#current = healthy;
    for (const member of this.#members) if (!member.isHealthy) member.leave();
  }

  /** Resolves when a member has recovered, or the time is over, or the connection is closed. */
  async #change(limits: CallOptions): Promise<void> {
    const over = new AbortController();
    const end = (): void => over.abort();
    this.#waiting.add(end);
    limits.signal?.addEventListener('abort', end, { once: true });
    await sleep(msUntil(limits.deadlineMs ?? Number.POSITIVE_INFINITY), over.signal);
    limits.signal?.removeEventListener('abort', end);
    this.#waiting.delete(end);
  }
}

function isOver({ signal, deadlineMs = Number.POSITIVE_INFINITY }: CallOptions): boolean {
  return signal?.aborted === true || performance.now() >= deadlineMs;
}

/** What grpc says of a connection that did not come about; undefined: nothing of use. */
function reasonOf(err: unknown): string | undefined {
  const details = err instanceof Error && 'details' in err ? String(err.details) : '';
  return /Last error: (?:Error: )?(.{1,300})/.exec(details)?.[1]?.replace(/\. Resolution note: $/, '');
}

class KnownMember implements Member {
  readonly endpoint: string;
  readonly client: Client;
  readonly probe: Client;
  /** `unknown`: never asked. */
  state: 'unknown' | 'healthy' | 'failed' = 'unknown';
  /** Why it could not be reached last; empty: not known. */
  reason = '';
  readonly ends: Ends = new Set();
  readonly probes: Ends = new Set();
  #pausing = new AbortController();

  constructor(endpoint: string, tls: EtcdTls | undefined) {
    this.endpoint = endpoint;
    this.client = createEndpointClient(endpoint, tls);
    this.probe = createEndpointClient(endpoint, tls);
  }

  get isHealthy(): boolean {
    return this.state === 'healthy';
  }

  leave(): void {
    for (const end of [...this.ends]) end();
  }

  /** Waits until the next probe is due: earlier if in a hurry. */
  async pause(ms: number): Promise<void> {
    this.#pausing = new AbortController();
    await sleep(ms, this.#pausing.signal);
  }

  hurry(): void {
    this.#pausing.abort();
  }

  close(): void {
    this.hurry();
    this.leave();
    for (const end of [...this.probes]) end();
    this.client.close();
    this.probe.close();
  }
}
