import type { HttpUpgrade } from '@cable/kit';
import type { AgentLine, StoreHistory } from '@cable/model';
import { type Connection, type ConnectionDeps, type Ending, notUnderstood, SERVER_ENDED } from './connection.ts';
import type { Outcome } from './host-state.ts';
import { makeRefusal, refuseHistory } from './refusal.ts';
import { type ControlLine, parseServerLine } from './server-line.ts';
import { StatusPace } from './status-pace.ts';

export type ConnectionV2Options = {
  readonly session: string;
  /** What the server said at the registration. */
  readonly history: StoreHistory;
  /** True: nothing of what is held is to be resumed. */
  readonly anew: boolean;
};

/** A `sync` says no time: that of a server to which all its hosts come back at once. */
const SYNC_ACK_WITHIN_MS = 2_500;

/** Ports that are gone wait so long for the next full report, which names thousands perhaps. */
const FULL_EVERY_MS = 60_000;

/** A connection of protocol 2: lines both ways (`docs/design/host-plane.md`, Stream). */
export class ConnectionV2 implements Connection {
  readonly #upgrade: HttpUpgrade;
  readonly #options: ConnectionV2Options;
  readonly #deps: ConnectionDeps;
  readonly #pace: StatusPace;
  #history: StoreHistory;
  /** `refreshing`: everything was asked for again; changes count from the next `sync` on only. */
  #phase: 'resuming' | 'refreshing' | 'synced' = 'resuming';
  /** Everything was asked for again, and no digest since was right. */
  #refreshed = false;
  #saidDiffers = false;
  #syncRevision = 0;
  /** Slices that the server may ask about. */
  #comparable = new Set<string>();
  #fullAt: number | undefined;
  #membersSoon: NodeJS.Immediate | undefined;

  constructor(upgrade: HttpUpgrade, options: ConnectionV2Options, deps: ConnectionDeps) {
    this.#upgrade = upgrade;
    this.#options = options;
    this.#deps = deps;
    this.#history = options.history;
    const { programmed, now, random } = deps;
    this.#pace = new StatusPace({ send: () => this.#report(), programmed, now, random });
  }

  async run(): Promise<Ending> {
    this.#resume();
    this.#pace.start();
    try {
      for await (const text of this.#upgrade.lines) {
        this.#deps.heard();
        if (text === '') continue;
        const line = parseServerLine(text);
        if (line === undefined) return notUnderstood(text);
        // Most lines are content: they cost no turn.
        if (line.type === 'content') this.#deps.state.take(line.line);
        else {
          const ending = await this.#take(line);
          if (ending !== undefined) return ending;
        }
      }
      return SERVER_ENDED;
    } finally {
      this.#pace.stop();
      clearImmediate(this.#membersSoon);
      this.#upgrade.close();
    }
  }

  portsChanged(): void {
    this.#pace.portsChanged();
  }

  membersChanged(): void {
    this.#membersSoon ??= setImmediate(() => this.#tellMembers());
  }

  programmed(): void {
    this.#pace.programmed();
    this.membersChanged();
    // The ports are now known to be all there are.
    if (this.#mayBeFull()) this.#pace.portsChanged();
  }

  #resume(): void {
    const { state, reports, members } = this.#deps;
    const { session, anew } = this.#options;
    const { since, history } = state.followed;
    state.begin();
    if (anew) state.beginAnew();
    reports.forget();
    members.forget();
    const held = anew ? { since: 0, slices: {} } : { since, slices: state.digests() };
    this.#comparable = new Set(Object.keys(held.slices));
    this.#send({ type: 'resume', session, history, ...held, compares: true, ...this.#mayAnswer() });
  }

  async #take(line: ControlLine): Promise<Ending | undefined> {
    switch (line.type) {
      case 'hello': {
        const refusal = refuseHistory(this.#deps.state.followed.history, line.history);
        this.#history = line.history;
        return refusal === undefined ? undefined : { reason: refusal.message, refusal };
      }
      case 'refused':
        return line.retry
          ? { reason: line.message }
          : { reason: line.message, refusal: makeRefusal(line.code, line.message) };
      case 'sync':
        return await this.#sync(line);
      case 'bookmark':
        return await this.#bookmark(line);
      case 'compare':
        return await this.#compare(line);
      case 'ask':
        void this.#answer(line);
        return undefined;
      case 'unknown':
        return undefined;
    }
  }

  #mayAnswer(): { readonly answers?: true } {
    return this.#deps.answer === undefined ? {} : { answers: true };
  }

  /** Beside everything else: what is asked may take a while. */
  async #answer({ id, ask }: Extract<ControlLine, { type: 'ask' }>): Promise<void> {
    const { answer, signal } = this.#deps;
    const said = await answer?.(ask);
    if (said !== undefined && !signal.aborted) this.#send({ type: 'answer', id, ...said });
  }

  /** A server asks once for each slice that this connection began with, so that its questions cost no more than that. */
  async #compare({ key, of }: Extract<ControlLine, { type: 'compare' }>): Promise<Ending | undefined> {
    if (!this.#comparable.delete(key)) return { reason: `the server asked what is held of ${key}, out of turn` };
    this.#send({ type: 'buckets', key, digests: await this.#deps.state.bucketDigests(key, of) });
    return undefined;
  }

  async #sync(line: Extract<ControlLine, { type: 'sync' }>): Promise<Ending | undefined> {
    this.#followMark(line.mark);
    const outcome = await this.#complete(line);
    if (outcome.kind === 'mismatch') return this.#mismatch(outcome.digest, line);
    this.#phase = 'synced';
    this.#syncRevision = outcome.revision;
    this.#deps.onSync();
    this.#pace.asked(outcome.revision, SYNC_ACK_WITHIN_MS);
    this.membersChanged();
    return undefined;
  }

  async #bookmark(line: Extract<ControlLine, { type: 'bookmark' }>): Promise<Ending | undefined> {
    this.#followMark(line.mark);
    if (this.#phase !== 'synced') return undefined;
    const outcome = await this.#complete(line);
    if (outcome.kind === 'mismatch') return this.#mismatch(outcome.digest, line);
    if (line.digest !== undefined && !outcome.digestDiffers) this.#refreshed = false;
    if (line.ackWithinMs !== undefined) this.#pace.asked(outcome.revision, line.ackWithinMs);
    return undefined;
  }

  #followMark(mark: string | undefined): void {
    if (mark !== undefined) this.#history = { ...this.#history, mark };
  }

  async #complete({ revision, digest }: { readonly revision: number; readonly digest?: number }): Promise<Outcome> {
    const { state, log } = this.#deps;
    const outcome = await state.complete({
      revision,
      history: this.#history,
      ...(digest === undefined ? {} : { digest }),
      despiteDigest: this.#options.anew,
    });
    if (outcome.kind === 'applied' && outcome.digestDiffers && !this.#saidDiffers) {
      this.#saidDiffers = true;
      log.error({ revision, digest }, 'the digest differs though everything came anew: taking what comes');
    }
    return outcome;
  }

  /** The agent counts otherwise than the server: a defect of either. */
  #mismatch(
    held: number,
    { revision, digest: told }: { readonly revision: number; readonly digest?: number },
  ): Ending | undefined {
    if (this.#refreshed) return { reason: 'the digest differs again after everything was sent anew', anew: true };
    const { state, log } = this.#deps;
    log.error(
      { revision, held, told },
      'the digest of what the server sent differs from what it says: asking for everything anew',
    );
    this.#refreshed = true;
    this.#phase = 'refreshing';
    state.beginAnew();
    this.#send({ type: 'refresh' });
    return undefined;
  }

  #mayBeFull(): boolean {
    const { reports, programmed, now } = this.#deps;
    if (!reports.isFullDue || this.#phase !== 'synced' || programmed() < this.#syncRevision) return false;
    return this.#fullAt === undefined || now() - this.#fullAt >= FULL_EVERY_MS;
  }

  #report(): number {
    const { reports, programmed, now } = this.#deps;
    const revision = programmed();
    for (const report of reports.take(this.#mayBeFull())) {
      if (report.full || report.part !== undefined) this.#fullAt = now();
      this.#send({ type: 'status', ...report, revision });
    }
    return revision;
  }

  /** All are known when what the server had at first is in force. */
  #tellMembers(): void {
    this.#membersSoon = undefined;
    if (this.#phase !== 'synced') return;
    const isCaughtUp = this.#deps.programmed() >= this.#syncRevision;
    for (const report of this.#deps.members.take(isCaughtUp)) this.#send({ type: 'health', ...report });
  }

  #send(line: AgentLine): void {
    this.#upgrade.send(JSON.stringify(line));
  }
}
