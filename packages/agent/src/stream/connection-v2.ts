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
  #syncRevision = 0;
  #fullAt: number | undefined;

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
      this.#upgrade.close();
    }
  }

  portsChanged(): void {
    this.#pace.portsChanged();
  }

  programmed(): void {
    this.#pace.programmed();
    // The ports are now known to be all there are.
    if (this.#mayBeFull()) this.#pace.portsChanged();
  }

  #resume(): void {
    const { state, reports } = this.#deps;
    const { session, anew } = this.#options;
    const { revision, history } = state.position;
    state.begin();
    if (anew) state.beginAnew();
    reports.forget();
    // A revision means nothing in another history.
    const since = anew || history === null ? 0 : revision;
    this.#send({ type: 'resume', session, since, history, slices: anew ? {} : state.digests() });
  }

  async #take(line: ControlLine): Promise<Ending | undefined> {
    switch (line.type) {
      case 'hello': {
        const refusal = refuseHistory(this.#deps.state.position.history, line.history);
        this.#history = line.history;
        return refusal === undefined ? undefined : { reason: refusal.message, refusal };
      }
      case 'refused':
        return line.retry
          ? { reason: line.message }
          : { reason: line.message, refusal: makeRefusal(line.code, line.message) };
      case 'sync':
        return await this.#sync(line.revision, line.digest);
      case 'bookmark':
        await this.#bookmark(line);
        return undefined;
      case 'unknown':
        return undefined;
    }
  }

  async #sync(revision: number, digest: number): Promise<Ending | undefined> {
    const { state, log, onSync } = this.#deps;
    const despiteDigest = this.#options.anew;
    const outcome = await state.complete({ revision, history: this.#history, digest, despiteDigest });
    if (outcome.kind === 'mismatch') return this.#mismatch(outcome.digest, digest);
    if (outcome.kind === 'applied' && outcome.digestDiffers) {
      log.error({ revision, digest }, 'the digest differs though everything came anew: taking what came');
    }
    this.#phase = 'synced';
    this.#syncRevision = revision;
    onSync();
    this.#applied(outcome, SYNC_ACK_WITHIN_MS);
    return undefined;
  }

  /** The agent counts otherwise than the server: a defect of either. */
  #mismatch(held: number, told: number): Ending | undefined {
    const { state, log } = this.#deps;
    if (this.#phase === 'refreshing') {
      return { reason: 'the digest differs again after everything was sent anew', anew: true };
    }
    log.error(
      { held, told },
      'the digest of what the server sent differs from what it says: asking for everything anew',
    );
    this.#phase = 'refreshing';
    state.beginAnew();
    this.#send({ type: 'refresh' });
    return undefined;
  }

  async #bookmark(line: Extract<ControlLine, { type: 'bookmark' }>): Promise<void> {
    if (line.mark !== undefined) this.#history = { ...this.#history, mark: line.mark };
    if (this.#phase !== 'synced') return;
    const outcome = await this.#deps.state.complete({ revision: line.revision, history: this.#history });
    this.#applied(outcome, line.ackWithinMs);
  }

  #applied(outcome: Outcome, ackWithinMs: number | undefined): void {
    if (outcome.kind !== 'applied') return;
    this.#deps.onUpdate(outcome.update);
    if (ackWithinMs !== undefined) this.#pace.asked(outcome.update.revision, ackWithinMs);
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
      if (report.full) this.#fullAt = now();
      this.#send({ type: 'status', ...report, revision });
    }
    return revision;
  }

  #send(line: AgentLine): void {
    this.#upgrade.send(JSON.stringify(line));
  }
}
