/** Who is let in: before a body is read, and again when it is there (docs/design/admission.md). */
import type { IncomingHttpHeaders } from 'node:http';
import { type Logger, Repeats } from '@cable/kit';
import { CableError } from '@cable/model';
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteHandlerMethod } from 'fastify';
import type { RequestLimits } from '../limits/request-limits.ts';
import type { Pass } from '../limits/shares.ts';
import type { Credentials } from '../policy/credentials.ts';
import { ASKED, type Asked, Client, readAsked } from './asked.ts';
import type { AuthenticatedCaller, Authenticator } from './auth.ts';
import { checkBodyHeaders, hasBody, parseBody, readBody } from './body.ts';
import { BodyBudget } from './body-budget.ts';
import { Gate, type Leave } from './gate.ts';
import { bodyLimitOf, isOfAgent, kindOf, kindOfBody, type RequestKind } from './request-kind.ts';

/** What the server takes at once. */
export type AdmissionLimits = {
  /** Requests that write, worked on at once. */
  readonly writes: number;
  /** Lists that are written at once. */
  readonly lists: number;
  /** Questions to hosts that are open at once. */
  readonly asks: number;
  /** Bytes of the bodies of all requests but the agents'; those may have as many. */
  readonly bodyBytes: number;
};

/** What a server takes when nobody says otherwise. */
export const ADMISSION_LIMITS: AdmissionLimits = { writes: 256, lists: 32, asks: 128, bodyBytes: 64 << 20 };

/** Questions that one project has open at once, and as many may wait: of a host that does not answer each takes ten seconds. */
const ASKS_OF_PROJECT = 8;

/** As many may wait, for so long. */
const WAITING = 256;
const WAIT_MS = 750;

/** A write weighs one more for each so many bytes of its body, up to a quarter of all: it is as much work. */
const WEIGHT_BYTES = 16 * 1024;

/** An unread body up to this size is read and thrown away, so that its connection can go on. */
const DISCARDED_BYTES = 64 * 1024;

/** What the door needs. */
export type AdmissionDeps = {
  readonly limits: AdmissionLimits;
  readonly authenticate: Authenticator;
  /** What one address and one project may ask. */
  readonly shares: RequestLimits;
  /** True of administrators, whose questions to hosts are not counted. */
  readonly isAdmin: (credentials: Credentials) => boolean;
  readonly log: Logger;
  /** Milliseconds that never go back: `performance.now`, as the deadlines of requests are. */
  readonly monotonicMs: () => number;
};

type Gated = Extract<RequestKind, 'write' | 'list' | 'ask'>;

/** A request that has passed its first look. */
class Admitted implements Asked {
  kind: RequestKind;
  readonly caller: AuthenticatedCaller;
  readonly deadlineMs: number;
  readonly idempotencyKey: string | undefined;
  readonly client: Client;
  readonly enterAsList: () => Promise<boolean>;
  /** Length of its body, once that is there. */
  bodyBytes = 0;
  /** Its handler, and its answer: as long as one of them is there it is under way. */
  #parts = 1;
  readonly #ends: () => void;

  constructor(
    kind: RequestKind,
    caller: AuthenticatedCaller,
    { client, ends }: { readonly client: Client; readonly ends: () => void },
    { deadlineMs, idempotencyKey, enterAsList }: Pick<Asked, 'deadlineMs' | 'idempotencyKey' | 'enterAsList'>,
  ) {
    this.enterAsList = enterAsList;
    this.kind = kind;
    this.caller = caller;
    this.client = client;
    this.#ends = ends;
    client.onClose(() => this.endPart());
    this.deadlineMs = deadlineMs;
    this.idempotencyKey = idempotencyKey;
  }

  get signal(): AbortSignal {
    return this.client.signal;
  }

  get isGone(): boolean {
    return this.client.isClosed;
  }

  /** Whoever leaves before the answer does not end the work on it. */
  beginPart(): void {
    this.#parts += 1;
  }

  endPart(): void {
    this.#parts -= 1;
    if (this.#parts === 0) this.#ends();
  }
}

function isGated(kind: RequestKind): kind is Gated {
  return kind === 'write' || kind === 'list' || kind === 'ask';
}

/** The door of one server. */
export class Admission {
  readonly #deps: AdmissionDeps;
  readonly #gates: Readonly<Record<Gated, Gate>>;
  /** Of projects that ask now. */
  readonly #askers = new Map<string, Gate>();
  readonly #bodies: BodyBudget;
  readonly #hostBodies: BodyBudget;
  readonly #repeats: Repeats;

  constructor(deps: AdmissionDeps) {
    const { limits, monotonicMs } = deps;
    const bounds = { waiting: WAITING, waitMs: WAIT_MS };
    this.#deps = deps;
    this.#gates = {
      write: new Gate({ ...bounds, running: limits.writes }, monotonicMs),
      list: new Gate({ ...bounds, running: limits.lists }, monotonicMs),
      ask: new Gate({ ...bounds, running: limits.asks }, monotonicMs),
    };
    this.#bodies = new BodyBudget(limits.bodyBytes);
    this.#hostBodies = new BodyBudget(limits.bodyBytes);
    this.#repeats = new Repeats(monotonicMs);
  }

  /** What is under way now. */
  get load(): { readonly [K in Gated]: Pick<Gate, 'running' | 'waiting'> } & { readonly bodyBytes: number } {
    return { ...this.#gates, bodyBytes: this.#bodies.bytes + this.#hostBodies.bytes };
  }

  /** Puts the door before every route that is added from now on. */
  guard(app: FastifyInstance): void {
    app.decorateRequest(ASKED, null);
    app.addHook('onRequest', (request, reply) => this.#meet(request, reply));
    app.addHook('onRoute', (route) => {
      route.handler = this.#gated(route.handler);
    });
    app.removeAllContentTypeParsers();
    app.addContentTypeParser('*', (request: FastifyRequest) => this.#takeBody(request));
  }

  /** By the headers alone: the body has not been read. */
  async #meet(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const { method, headers } = request;
    const kind = kindOf(method, request.url);
    if (kind === 'probe') return;
    const { shares, authenticate, monotonicMs } = this.#deps;
    let passes: readonly Pass[] = [];
    const leave = (): void => {
      for (const pass of passes) pass.leave();
    };
    try {
      const byAddress = isAgentsOwn(request) ? undefined : shares.enterByAddress(request.raw);
      if (byAddress !== undefined) passes = [byAddress];
      if (this.#gateOf(kind)?.isFull) throw this.#full(kind);
      const asked = readAsked(headers, monotonicMs());
      const client = new Client(reply);
      const caller = await authenticate(request.raw);
      if (shares.isExempt(caller)) byAddress?.giveBack();
      passes = [...passes, shares.enterByCaller(caller)];
      checkBodyHeaders(headers, bodyLimitOf(method, kind, request.url));
      const enterAsList = (): Promise<boolean> => this.#enterAsList(request);
      const place = { client, ends: leave };
      request.setDecorator(ASKED, new Admitted(kind, caller, place, { ...asked, enterAsList }));
    } catch (err) {
      leave();
      if (!isDiscardable(headers)) reply.header('connection', 'close');
      throw err;
    }
  }

  async #takeBody(request: FastifyRequest): Promise<unknown> {
    if (!hasBody(request.headers)) return undefined;
    const admitted = admittedOf(request);
    if (admitted === null) throw new Error('a body of a request that was not admitted');
    admitted.client.invite(request.headers);
    const budget = admitted.kind === 'host' ? this.#hostBodies : this.#bodies;
    const body = await readBody(request.raw, bodyLimitOf(request.method, admitted.kind, request.url), budget);
    admitted.client.onClose(body.release);
    admitted.bodyBytes = body.bytes.length;
    const value = parseBody(body.bytes);
    if (admitted.kind === 'told') admitted.kind = kindOfBody(value);
    return value;
  }

  #gated(handler: RouteHandlerMethod): RouteHandlerMethod {
    const enter = (request: FastifyRequest): Promise<Leave | 'gone'> => this.#enter(request);
    return async function gated(request, reply) {
      const leave = await enter(request);
      // Nobody is there who would read an answer: nothing is begun.
      if (leave === 'gone') return reply.hijack();
      admittedOf(request)?.beginPart();
      try {
        return await handler.call(this, request, reply);
      } finally {
        const admitted = admittedOf(request);
        if (admitted?.kind === 'list') admitted.client.onClose(leave);
        else leave();
        admitted?.endPart();
      }
    };
  }

  async #enter(request: FastifyRequest): Promise<Leave | 'gone'> {
    const admitted = admittedOf(request);
    const kind = admitted?.kind;
    if (admitted === null || kind === undefined || !isGated(kind)) return () => {};
    if (kind !== 'ask' || this.#isAdmin(admitted)) return await this.#enterAs(kind, admitted, request);
    return await this.#enterShare(admitted, () => this.#enterAs(kind, admitted, request));
  }

  #isAdmin({ caller }: Admitted): boolean {
    return caller.kind === 'user' && this.#deps.isAdmin(caller.credentials);
  }

  /** Through the gate of its project first: nobody's questions take all the places. */
  async #enterShare(admitted: Admitted, enter: () => Promise<Leave | 'gone'>): Promise<Leave | 'gone'> {
    const { client, deadlineMs } = admitted;
    const asker = askerOf(admitted.caller);
    const limits = { running: ASKS_OF_PROJECT, waiting: ASKS_OF_PROJECT, waitMs: WAIT_MS };
    const gate = this.#askers.get(asker) ?? new Gate(limits, this.#deps.monotonicMs);
    this.#askers.set(asker, gate);
    const forget = (): void => {
      if (gate.running + gate.waiting === 0 && this.#askers.get(asker) === gate) this.#askers.delete(asker);
    };
    const leaveShare = await gate.enter({ weight: 1, deadlineMs, client, cut: () => {} });
    if (typeof leaveShare === 'string') {
      forget();
      if (leaveShare === 'full') throw this.#full('ask');
      return leaveShare;
    }
    const leaveBoth = (leave: Leave) => (): void => {
      leave();
      leaveShare();
      forget();
    };
    try {
      const leave = await enter();
      if (leave !== 'gone') return leaveBoth(leave);
    } catch (err) {
      leaveBoth(() => {})();
      throw err;
    }
    leaveBoth(() => {})();
    return 'gone';
  }

  async #enterAsList(request: FastifyRequest): Promise<boolean> {
    const admitted = admittedOf(request);
    if (admitted === null) return true;
    const leave = await this.#enterAs('list', admitted, request);
    if (leave !== 'gone') admitted.client.onClose(leave);
    return leave !== 'gone';
  }

  async #enterAs(kind: Gated, admitted: Admitted, request: FastifyRequest): Promise<Leave | 'gone'> {
    const { client, deadlineMs, bodyBytes } = admitted;
    const heaviest = Math.max(1, Math.floor(this.#deps.limits.writes / 4));
    const weight = Math.min(heaviest, Math.ceil(bodyBytes / WEIGHT_BYTES) || 1);
    // A list that is not read is of no use; a write goes on whether its client is there or not.
    const cut = kind === 'list' ? () => void request.raw.socket.destroy() : () => {};
    const leave = await this.#gates[kind].enter({ weight, deadlineMs, client, cut });
    if (leave === 'full') throw this.#full(kind);
    return leave;
  }

  #gateOf(kind: RequestKind): Gate | undefined {
    return isGated(kind) ? this.#gates[kind] : undefined;
  }

  #full(kind: RequestKind): CableError {
    const { log, limits } = this.#deps;
    if (this.#repeats.isNews(kind, 'full')) log.warn({ kind, limits }, 'more requests come than are taken');
    return new CableError('ServiceUnavailable', 'The server has as many requests under way as it takes.', {
      detail: 'Nothing was done: send it again after a second.',
    });
  }
}

/** What those have in common who share places: their project; without one it is each for himself. */
function askerOf(caller: AuthenticatedCaller): string {
  if (caller.kind === 'host') return `host ${caller.host}`;
  const { projectId, userId } = caller.credentials;
  return projectId === null ? `user ${userId}` : `project ${projectId}`;
}

/** True of an agent's requests: it brings no token, and whoever does may be anybody. */
function isAgentsOwn({ url, headers }: FastifyRequest): boolean {
  return isOfAgent(url) && headers['x-auth-token'] === undefined && headers['x-storage-token'] === undefined;
}

/** True: the connection can go on when the body is not wanted. */
function isDiscardable(headers: IncomingHttpHeaders): boolean {
  if (!hasBody(headers)) return true;
  return headers.expect === undefined && Number(headers['content-length']) <= DISCARDED_BYTES;
}

function admittedOf(request: FastifyRequest): Admitted | null {
  return request.getDecorator<Admitted | null>(ASKED);
}
