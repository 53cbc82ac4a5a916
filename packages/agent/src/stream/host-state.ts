import { type Logger, startTurns } from '@cable/kit';
import type { StoreHistory } from '@cable/model';
import { type HeldRemoval, RemovalGuard } from './removal-guard.ts';
import type { SliceChange, SliceReader, StateUpdate } from './slice-reader.ts';
import type { SliceState } from './slice-state.ts';
import type { ContentLine } from './staged-lines.ts';
import type { DiskStatus, StateDisk } from './state-disk.ts';
import type { Position } from './state-files.ts';

/** What a `sync` or `bookmark` says about all lines before it. */
export type Completion = {
  readonly revision: number;
  readonly history: StoreHistory | null;
  /** The server's digest of all slices; undefined: it says none. */
  readonly digest?: number;
  /** True: what came counts even if the digest differs. */
  readonly despiteDigest?: boolean;
};

/** What became of the lines before a `sync` or `bookmark`. `mismatch`, `held`: they are staged still, and nothing has changed. */
export type Outcome =
  | { readonly kind: 'applied'; readonly update: StateUpdate; readonly digestDiffers: boolean }
  | { readonly kind: 'mismatch'; readonly digest: number }
  | { readonly kind: 'held'; readonly removal: HeldRemoval };

export type HostStateDeps = {
  readonly host: string;
  readonly slices: SliceState;
  readonly position: Position;
  readonly disk: Pick<StateDisk, 'save' | 'status' | 'agentId'>;
  readonly log: Logger;
  readonly now: () => Date;
};

/** The state of this host: lines in, whole updates out, each on disk before it is given. One connection at a time feeds it. */
export class HostState {
  readonly #deps: HostStateDeps;
  readonly #guard = new RemovalGuard();
  #position: Position;
  #synced = false;

  constructor(deps: HostStateDeps) {
    this.#deps = deps;
    this.#position = deps.position;
  }

  get slices(): SliceReader {
    return this.#deps.slices;
  }

  get position(): Position {
    return this.#position;
  }

  get synced(): boolean {
    return this.#synced;
  }

  get heldRemoval(): HeldRemoval | null {
    return this.#guard.held;
  }

  get diskStatus(): DiskStatus {
    return this.#deps.disk.status;
  }

  get agentId(): string {
    return this.#deps.disk.agentId;
  }

  /** All that is held as one update, made in turns, for whoever starts with it. No connection may feed the state meanwhile. */
  async initialUpdate(): Promise<StateUpdate> {
    const { slices } = this.#deps;
    const changes: SliceChange[] = [];
    const turns = startTurns();
    for (const key of slices.keys()) {
      if (slices.header(key) !== undefined) changes.push({ key, item: null });
      for (const item of slices.itemKeys(key)) {
        if (turns.due()) await turns.next();
        changes.push({ key, item });
      }
    }
    return { ...this.#position, synced: this.#synced, changes };
  }

  /** Digest of each slice held. */
  digests(): Record<string, number> {
    return this.#deps.slices.digests();
  }

  /** Keys of all slices held. */
  heldKeys(): Iterable<string> {
    return this.#deps.slices.allKeys();
  }

  /** A connection begins: what an earlier one left unfinished is forgotten. */
  begin(): void {
    this.#deps.slices.discard();
  }

  /** Everything is about to come anew; what does not, goes. */
  beginAnew(): void {
    this.#deps.slices.stageNothing();
  }

  take(line: ContentLine): void {
    this.#deps.slices.stage(line);
  }

  /** Makes what was taken one change, saves it, and applies it. No line may be taken meanwhile. */
  async complete(completion: Completion): Promise<Outcome> {
    const { slices, disk } = this.#deps;
    const { revision, history, digest } = completion;
    // A removal that is held is looked at again with every bookmark: without preparing all that waits behind it.
    const heldBefore = digest === undefined ? this.#judge() : null;
    if (heldBefore !== null) return { kind: 'held', removal: heldBefore };
    const prepared = await slices.prepare();
    const digestDiffers = digest !== undefined && prepared.digest !== digest;
    if (digestDiffers && completion.despiteDigest !== true) return { kind: 'mismatch', digest: prepared.digest };
    const held = digest === undefined ? null : this.#judge();
    if (held !== null) return { kind: 'held', removal: held };
    const position = { revision, history };
    await disk.save(prepared.writes, position);
    slices.apply(prepared);
    this.#position = position;
    this.#synced = true;
    return { kind: 'applied', update: { ...position, synced: true, changes: prepared.changes }, digestDiffers };
  }

  /** Gives up the history that is followed: the next store is taken as it is. */
  async forgetHistory(): Promise<void> {
    this.#position = { ...this.#position, history: null };
    await this.#deps.disk.save([], this.#position);
  }

  /** Lets the removal that is held go through with the server's next bookmark; null: none is held. */
  confirmRemoval(): HeldRemoval | null {
    return this.#guard.confirm();
  }

  #judge(): HeldRemoval | null {
    const { slices, host, log, now } = this.#deps;
    const before = this.#guard.held;
    const { held } = this.#guard.judge(slices.absent(`host:${host}`), now());
    if (held !== null && before === null) {
      log.error(
        { absent: held.absent, of: held.before, remedy: `cable host confirm-removal --host ${host}` },
        'the server leaves out most of the ports of this host: keeping them until they are there again or the removal is confirmed',
      );
    }
    if (held === null && before !== null) log.info({}, 'no removal of ports waits any more');
    return held;
  }
}
