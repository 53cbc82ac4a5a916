import type { Duplex } from 'node:stream';
import {
  type AgentLine,
  ASK_WAIT_MS,
  CableError,
  HOST_PROTOCOL,
  type HostAsk,
  type HostStatusReport,
  type MemberReport,
  type SliceKey,
  type StoreHistory,
} from '@cable/model';
import type { Slice } from '../slices/slice.ts';
import type { Differing } from '../slices/slice-buckets.ts';
import type { Delta, Snapshot } from '../slices/slice-bytes.ts';
import { addHash, encodeLine } from '../slices/slice-lines.ts';
import type { SliceStore } from '../slices/slice-store.ts';
import { parseAgentLine } from './agent-lines.ts';
import { Comparisons } from './comparisons.ts';
import { DueSlices } from './due-slices.ts';
import { HostAsks } from './host-asks.ts';
import { ReportParts } from './report-parts.ts';
import { StreamInput } from './stream-input.ts';
import { StreamOutput } from './stream-output.ts';

export type Resume = Extract<AgentLine, { readonly type: 'resume' }>;

/** What the rest of the host plane has to do with streams. */
export type StreamPlane = {
  /** Decides about an agent that says what it holds, and waits until this server knows as much; throws a `CableError`: it is refused. */
  admit(host: string, resume: Resume): Promise<StoreHistory>;
  /** Takes in a report; throws a `CableError`: the stream is refused. */
  report(host: string, session: string, report: HostStatusReport): Promise<void>;
  /** Takes in what a host tells of members of pools; throws a `CableError`: the stream is refused. */
  health(host: string, session: string, report: MemberReport): Promise<void>;
  /** Within what time a host is to acknowledge what a bookmark ends that is written now. */
  ackWithinMs(): number;
  /** Content up to the revision has gone out to the host, or its first `sync`: it will be acknowledged. */
  sent(host: string, revision: number): void;
  /** The store's mark, as of what the slices hold. */
  mark(): string;
};

export type HostStreamOptions = {
  readonly host: string;
  readonly store: SliceStore;
  readonly plane: StreamPlane;
  readonly socket: Duplex;
  /** Called when there is something to send that must wait until the store is settled. */
  readonly onWait: (stream: HostStream) => void;
  /** Called when there is something to send: `pump` is wanted, in some later turn of the event loop. */
  readonly onReady: (stream: HostStream) => void;
  /** Told of a defect that ends the stream. */
  readonly onError: (err: unknown) => void;
  /** Called once, when the stream is over, with the reason. */
  readonly onEnd: (reason: string) => void;
  /** A line is sent at least this often, so that either side notices a dead peer. */
  readonly keepaliveMs: number;
  /** A client that takes nothing, or says nothing at first, for so long is cut. */
  readonly stalledMs: number;
};

/** A position of a client that no log knows: it is sent the whole slice, or told to drop it. */
const NOWHERE = -1;

/** Bytes that are written at a time: a thousand streams that come back at once take turns, among themselves and with everything else. */
const PUMP_BYTES = 1 << 18;

/** Time for a last line to reach a client. */
const GOODBYE_MS = 1000;

/** Errors that the agent cannot overcome by trying again. */
const FOR_OPERATORS: ReadonlySet<string> = new Set(['HostNameInUse', 'OtherHistory']);

/** A whole slice, or what a client lacks of it, on its way. */
type Sending = { readonly key: SliceKey; readonly snapshot: Snapshot; next: number };

/**
 * One agent's connection (`AgentLine` up, `ServerLine` down). It holds no lines and no events: only which slices are due, each with the position
 * in its log up to which the client has it. What is sent is what the slice is by then; a bookmark is written when nothing is due.
 */
export class HostStream {
  /** For whoever keeps the streams: this one is to be pumped at the end of the batch. */
  isTouched = false;
  readonly #options: HostStreamOptions;
  readonly #output: StreamOutput;
  #input: StreamInput | undefined;
  readonly #parts = new ReportParts();
  readonly #due = new DueSlices();
  #session = '';
  readonly #asks: HostAsks;
  #answers = false;
  /** The client holds ports of its own, or may. */
  #hasPorts = false;
  /** What the client said it holds, until the store is settled. */
  #resume: Resume | undefined;
  #state: 'new' | 'asking' | 'resuming' | 'catching up' | 'live' | 'ended' = 'new';
  #sending: Sending | undefined;
  /** Undefined: the client cannot compare, or there was nothing to. */
  #comparisons: Comparisons | undefined;
  /** A whole slice that is made into lines. `isVoid`: the host began or ceased to need it meanwhile, so that it may be another one's. */
  #making: { readonly key: SliceKey; isVoid: boolean; done: Promise<void> } | undefined;
  /** No bookmark before the store has reached this. */
  #notBefore = 0;
  /** Revision of the last `sync` or `bookmark`. */
  #bookmark = 0;
  /** True: something was sent that no bookmark has followed. */
  #unmarked = false;
  /** The mark that the client was told last. */
  #mark = '';
  /** Of what the client has when nothing is due; undefined: to be summed up anew. */
  #digest: number | undefined;
  readonly #startedAt = performance.now();
  #stop: () => void = () => {};

  constructor(options: HostStreamOptions) {
    this.#options = options;
    this.#output = new StreamOutput(options.socket, () => options.onReady(this));
    this.#asks = new HostAsks({
      host: options.host,
      timeoutMs: ASK_WAIT_MS,
      send: (line) => {
        this.#add(line);
        this.#output.flush();
      },
    });
  }

  /** The agent's run; empty before it has said so. */
  get session(): string {
    return this.#session;
  }

  /** True while something is due, or was written without a `sync` or bookmark behind it. */
  get owes(): boolean {
    return this.#state !== 'live' || this.#unmarked || !this.#isSent;
  }

  /** True: the agent can be asked. */
  get answers(): boolean {
    return this.#answers && this.#state !== 'ended';
  }

  /** Asks the agent. Throws as `HostAsks.ask`. */
  ask(ask: HostAsk): Promise<unknown> {
    return this.#asks.ask(ask);
  }

  get #ownKey(): SliceKey {
    return `host:${this.#options.host}`;
  }

  /** Takes the connection over, and waits for the agent's first line. */
  start(): void {
    const { socket, keepaliveMs, store } = this.#options;
    // The host may be registered only since just now.
    this.#notBefore = store.taken;
    const timer = setInterval(() => this.#tick(), keepaliveMs);
    this.#stop = () => clearInterval(timer);
    this.#input = new StreamInput({
      socket,
      take: (line) => this.#take(line),
      onError: (err) => this.#refuseFor(err),
    });
    socket.on('end', () => this.end('client went away'));
    socket.on('close', () => this.end('client went away'));
    socket.on('error', () => this.end('connection failed'));
  }

  /** The slice has changed since this position of its log. `digest`: by how much its digest has risen; undefined: not known. */
  note(key: SliceKey, position: number, digest: number | undefined): void {
    if (this.#state !== 'catching up' && this.#state !== 'live') return;
    this.#digest = this.#digest === undefined || digest === undefined ? undefined : addHash(this.#digest, digest);
    if (this.#comparisons?.has(key)) return;
    if (!this.#due.has(key) && this.#sending?.key !== key) this.#due.set(key, position);
  }

  /** The host began or ceased to need the slice. */
  noteMove(key: SliceKey): void {
    if (this.#state !== 'catching up' && this.#state !== 'live') return;
    this.#due.set(key, NOWHERE);
    this.#comparisons?.forget(key);
    this.#digest = undefined;
    if (this.#making?.key === key) this.#making.isVoid = true;
  }

  /** Sends some of what is due, as far as the client keeps up, and after the last of it a bookmark. True: there is more that may go as well. */
  pump(): boolean {
    if (this.#state === 'resuming') this.#begin();
    if (this.#state !== 'catching up' && this.#state !== 'live') return false;
    const isMore = this.#sendDue();
    if (this.#isSent && (this.#unmarked || this.#state !== 'live')) this.#endWithBookmark();
    this.#output.flush();
    return isMore;
  }

  /** Resolves when the whole slice is made that is to be sent next; undefined: none is being made. */
  get making(): Promise<void> | undefined {
    return this.#making?.done;
  }

  /** Says why, and ends the stream. */
  refuse(error: CableError): void {
    if (this.#state === 'ended') return;
    const { socket } = this.#options;
    const retry = !FOR_OPERATORS.has(error.code);
    this.#add({ type: 'refused', code: error.type, message: error.message, retry });
    this.#output.flush();
    this.#finish(error.message);
    socket.end();
    setTimeout(() => socket.destroy(), GOODBYE_MS).unref();
  }

  /** Ends the stream; idempotent. */
  end(reason: string): void {
    if (this.#state === 'ended') return;
    this.#finish(reason);
    this.#options.socket.destroy();
  }

  #finish(reason: string): void {
    this.#state = 'ended';
    this.#stop();
    this.#input?.end();
    this.#due.clear();
    this.#comparisons?.clear();
    this.#sending = undefined;
    this.#asks.end(reason);
    this.#options.onEnd(reason);
  }

  #take(text: string): void {
    if (this.#state === 'ended') return;
    const line = parseAgentLine(text, this.#state === 'new' ? 'first' : 'later');
    if (line === undefined) return;
    if (line.type === 'resume') this.#ask(line);
    else if (this.#state === 'new') throw new CableError('InvalidInput', 'The first line of a host stream is resume.');
    else if (line.type === 'refresh') this.#refresh();
    else if (line.type === 'buckets') this.#compare(line);
    else if (line.type === 'answer') this.#asks.take(line);
    else if (line.type === 'health') this.#health(line);
    else this.#report(line);
  }

  #report({ type: _, ...line }: Extract<AgentLine, { readonly type: 'status' }>): void {
    const { plane, host } = this.#options;
    const report = this.#parts.take(line);
    if (report === undefined) return;
    // What comes while one is written is written together.
    this.#input?.begun(this.#whileOpen(plane.report(host, this.#session, report)));
  }

  #health({ full, members }: Extract<AgentLine, { readonly type: 'health' }>): void {
    const { plane, host } = this.#options;
    this.#input?.begun(this.#whileOpen(plane.health(host, this.#session, { full, members })));
  }

  /** The client has said what it holds of a slice: it is due as far as that differs. */
  #compare({ key, digests }: Extract<AgentLine, { readonly type: 'buckets' }>): void {
    const { store, host, onReady } = this.#options;
    const asked = key as SliceKey;
    const onDue = (): void => {
      this.#due.set(asked, NOWHERE);
      onReady(this);
    };
    const answered = this.#comparisons?.answer(store.neededBy(host, asked), asked, digests, onDue);
    if (answered !== undefined) this.#input?.begun(this.#whileOpen(answered));
  }

  #ask(resume: Resume): void {
    if (this.#state !== 'new') throw new CableError('InvalidInput', 'A host stream has one resume line.');
    this.#state = 'asking';
    this.#session = resume.session;
    void this.#whileOpen(
      this.#options.plane.admit(this.#options.host, resume).then((history) => this.#welcome(resume, history)),
    );
  }

  #welcome(resume: Resume, history: StoreHistory): void {
    if (this.#state === 'ended') return;
    const { revision } = this.#options.store;
    this.#add({ type: 'hello', protocol: HOST_PROTOCOL, history, revision });
    this.#output.flush();
    this.#resume = resume;
    this.#answers = resume.answers === true;
    this.#state = 'resuming';
    this.#options.onReady(this);
  }

  /** Finds out what the client lacks, when the slices are at a revision that is not before the client's. */
  #begin(): void {
    const { store, host, onWait } = this.#options;
    const { slices, since, history, compares } = this.#resume ?? NOTHING_HELD;
    // Without a history the revision is another store's.
    if (!this.#isWhole || (history !== null && store.revision < since)) {
      onWait(this);
      return;
    }
    this.#resume = undefined;
    this.#state = 'catching up';
    if (!store.hasHost(host)) {
      this.refuse(new CableError('HostNotRegistered', `Host ${host} is not registered.`));
      return;
    }
    const held = new Map(Object.entries(slices));
    this.#hasPorts = held.has(this.#ownKey);
    for (const key of store.keysOf(host)) {
      const digest = held.get(key);
      held.delete(key);
      const position = digest === undefined ? undefined : store.positionOf(key, digest);
      const of = compares && digest !== undefined && position === undefined ? store.bucketCountOf(key) : undefined;
      if (of !== undefined) this.#askFor(key, of);
      else if (position !== store.endOf(key)) this.#due.set(key, position ?? NOWHERE);
    }
    for (const key of held.keys()) this.#due.set(key as SliceKey, NOWHERE);
  }

  #askFor(key: SliceKey, of: number): void {
    this.#comparisons ??= new Comparisons(this.#options.store);
    this.#comparisons.ask(key, of);
    this.#add({ type: 'compare', key, of });
  }

  /** Sends everything anew, and a `sync`. */
  #refresh(): void {
    if (this.#state !== 'catching up' && this.#state !== 'live') return;
    this.#state = 'catching up';
    this.#sending = undefined;
    this.#comparisons?.clear();
    if (this.#making !== undefined) this.#making.isVoid = true;
    for (const key of this.#options.store.keysOf(this.#options.host)) this.#due.set(key, NOWHERE);
    this.#options.onReady(this);
  }

  /** True: there is more, and it may go as well. */
  #sendDue(): boolean {
    const until = this.#output.added + PUMP_BYTES;
    while (this.#making === undefined && this.#output.hasRoom()) {
      if (this.#output.added > until) return true;
      if (this.#sending !== undefined) this.#sendChunk(this.#sending);
      else {
        const next = this.#due.first();
        if (next === undefined) return false;
        this.#sendSlice(...next);
      }
    }
    return false;
  }

  #sendSlice(key: SliceKey, position: number): void {
    const { store, host } = this.#options;
    this.#unmarked = true;
    const slice = store.neededBy(host, key);
    if (slice === undefined) {
      this.#due.delete(key);
      this.#add({ type: 'drop', key, revision: store.revision });
      return;
    }
    const delta = position === NOWHERE ? undefined : store.delta(slice, position);
    if (delta === undefined) {
      const differing = this.#comparisons?.take(key);
      const kept = differing === undefined ? store.keptSnapshot(slice) : undefined;
      if (kept === undefined) this.#makeSnapshot(key, slice, differing);
      else this.#startSending(key, kept);
      return;
    }
    this.#output.add(delta.lines);
    this.#reached(key, slice.log.end, delta);
  }

  /** The client has the slice up to `to`; it has changes up to `end`. */
  #reached(key: SliceKey, end: number | undefined, { to, notBefore }: Pick<Delta, 'to' | 'notBefore'>): void {
    this.#notBefore = Math.max(this.#notBefore, notBefore);
    if (to === end) this.#due.delete(key);
    else this.#due.set(key, to);
  }

  #makeSnapshot(key: SliceKey, slice: Slice, differing: Differing | undefined): void {
    const { store } = this.#options;
    const making = { key, isVoid: false, done: Promise.resolve() };
    this.#making = making;
    this.#due.set(key, NOWHERE);
    const made = differing === undefined ? store.snapshot(slice) : store.differingSnapshot(slice, differing);
    making.done = this.#whileOpen(
      made.then((snapshot) => {
        this.#making = undefined;
        if (!making.isVoid && this.#due.has(key)) this.#startSending(key, snapshot, differing);
        this.#options.onReady(this);
      }),
    );
  }

  #startSending(key: SliceKey, snapshot: Snapshot, differing?: Differing): void {
    const { revision } = this.#options.store;
    this.#due.delete(key);
    if (differing === undefined) this.#add({ type: 'reset', key, revision });
    else this.#add({ type: 'reset-buckets', key, revision, of: differing.of, buckets: differing.buckets });
    if (key === this.#ownKey) this.#sayDeleted(key);
    this.#sending = { key, snapshot, next: 0 };
  }

  /** What does not follow a reset is absent, and may be lost; these ports are not. */
  #sayDeleted(key: SliceKey): void {
    const { store } = this.#options;
    const { revision } = store;
    if (this.#hasPorts) for (const item of store.deletedFrom(key)) this.#add({ type: 'delete', key, item, revision });
    this.#hasPorts = true;
  }

  #sendChunk(sending: Sending): void {
    const { key, snapshot } = sending;
    const chunk = snapshot.chunks[sending.next];
    // It was noted as moved: it is sent again from its beginning, or dropped.
    if (chunk === undefined || this.#due.has(key)) {
      this.#sending = undefined;
      if (!this.#due.has(key)) this.#reached(key, this.#options.store.endOf(key), snapshot);
      return;
    }
    sending.next += 1;
    this.#output.add(chunk);
  }

  /** True when the client has been sent all there is. */
  get #isSent(): boolean {
    if ((this.#comparisons?.open ?? 0) > 0) return false;
    return this.#due.size === 0 && this.#sending === undefined && this.#making === undefined;
  }

  /** True when all that has been sent is of one revision, and not between two. */
  get #isWhole(): boolean {
    const { store } = this.#options;
    return store.isSettled && store.revision >= this.#notBefore;
  }

  /** Ends what was sent by a `sync` or a bookmark that the host is to acknowledge; later, if need be. */
  #endWithBookmark(): void {
    const { store, host, plane, onWait } = this.#options;
    if (!this.#isWhole) {
      onWait(this);
      return;
    }
    this.#bookmark = Math.max(this.#bookmark, store.revision);
    const revision = this.#bookmark;
    this.#digest ??= store.digestOf(host);
    const digest = this.#digest;
    if (this.#state === 'live') {
      this.#add({ type: 'bookmark', revision, ackWithinMs: plane.ackWithinMs(), digest, ...this.#newMark() });
    } else {
      this.#mark = plane.mark();
      this.#add({ type: 'sync', revision, digest, mark: this.#mark });
    }
    this.#state = 'live';
    this.#unmarked = false;
    plane.sent(host, revision);
  }

  #tick(): void {
    const { stalledMs, store } = this.#options;
    if (this.#output.stalledMs() > stalledMs) this.end('client is too slow');
    else if ((this.#comparisons?.waitedMs() ?? 0) > stalledMs) this.end('client does not say what it holds');
    else if (this.#state === 'new' && performance.now() - this.#startedAt > stalledMs) this.end('client says nothing');
    if (this.#state !== 'live' || this.#unmarked || !this.#isSent) return;
    if (this.#isWhole) this.#bookmark = Math.max(this.#bookmark, store.revision);
    this.#add({ type: 'bookmark', revision: this.#bookmark, ...this.#newMark() });
    this.#output.flush();
  }

  /** The mark, when the client was told another one last. */
  #newMark(): { readonly mark?: string } {
    const mark = this.#options.plane.mark();
    if (mark === this.#mark) return {};
    this.#mark = mark;
    return { mark };
  }

  #add(line: Parameters<typeof encodeLine>[0]): void {
    this.#output.add(encodeLine(line));
  }

  #whileOpen(work: Promise<void>): Promise<void> {
    return work.catch((err: unknown) => this.#refuseFor(err));
  }

  #refuseFor(err: unknown): void {
    if (err instanceof CableError) this.refuse(err);
    else this.#refuseDefect(err);
  }

  #refuseDefect(cause: unknown): void {
    this.#options.onError(cause);
    this.refuse(new CableError('InternalServerError', 'The stream failed: internal server error.', { cause }));
  }
}

const NOTHING_HELD: Omit<Resume, 'type' | 'session'> = { slices: {}, since: 0, history: null };
