import { type Logger, startTurns } from '@cable/kit';
import type { StoreHistory } from '@cable/model';
import { judgeRemoval, type Removal } from './removal-guard.ts';
import type { SliceChange, SliceReader, StateUpdate } from './slice-reader.ts';
import type { PreparedChange, SliceState } from './slice-state.ts';
import type { ContentLine } from './staged-lines.ts';
import type { DiskStatus, StateDisk } from './state-disk.ts';
import type { Position, Standing } from './state-files.ts';

/** What a `sync` or `bookmark` says about all lines before it. */
export type Completion = {
  readonly revision: number;
  readonly history: StoreHistory | null;
  /** The server's digest of all slices; undefined: it says none. */
  readonly digest?: number;
  /** True: what came counts even if the digest differs. */
  readonly despiteDigest?: boolean;
};

/** What became of the lines before a `sync` or `bookmark`. `mismatch`: they are staged still, and nothing has changed. */
export type Outcome =
  | { readonly kind: 'applied'; readonly revision: number; readonly digestDiffers: boolean }
  | { readonly kind: 'mismatch'; readonly digest: number };

/** Ports that the server left out, and that the host keeps until they are there again or an operator confirms. */
export type HeldRemoval = Removal & {
  /** How many they are. */
  readonly absent: number;
};

/** What a server must know before it lets this host follow its store. */
export type Followed = {
  /** Revision of the last `sync` or `bookmark` that was taken; 0: none, or it means nothing in that history. */
  readonly since: number;
  /** Null: any store may be followed. */
  readonly history: StoreHistory | null;
};

export type HostStateDeps = {
  readonly host: string;
  readonly slices: SliceState;
  readonly standing: Standing;
  readonly disk: Pick<StateDisk, 'save' | 'note' | 'saveSession' | 'status' | 'agentId' | 'previousSession'>;
  readonly log: Logger;
  readonly now: () => Date;
};

/** The state of this host: lines in, whole updates out, each on disk before it is given. One connection at a time feeds it. */
export class HostState {
  readonly #deps: HostStateDeps;
  #standing: Standing;
  #synced = false;
  #listener: (update: StateUpdate) => void = () => undefined;
  /** Ends when the change in work is done with. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(deps: HostStateDeps) {
    this.#deps = deps;
    this.#standing = deps.standing;
  }

  get slices(): SliceReader {
    return this.#deps.slices;
  }

  get position(): Position {
    return this.#standing.position;
  }

  get synced(): boolean {
    return this.#synced;
  }

  /** Null: no port is kept that the server left out. */
  get heldRemoval(): HeldRemoval | null {
    const { removal } = this.#standing;
    return removal === null ? null : { ...removal, absent: this.#deps.slices.keptItems(this.#hostKey) };
  }

  get diskStatus(): DiskStatus {
    return this.#deps.disk.status;
  }

  get agentId(): string {
    return this.#deps.disk.agentId;
  }

  /** The session of the run before, as the disk remembers it; null: none. */
  get previousSession(): string | null {
    return this.#deps.disk.previousSession;
  }

  get followed(): Followed {
    const { revision, history } = this.position;
    if (history === null || this.#deps.slices.isEmpty) return { since: 0, history: null };
    return { since: revision, history };
  }

  /** Told of each change, in order, once it counts. There is one listener. */
  follow(listener: (update: StateUpdate) => void): void {
    this.#listener = listener;
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
    return this.#updateOf(changes);
  }

  /** Digest of each slice that the server gave. */
  digests(): Record<string, number> {
    return this.#deps.slices.digests();
  }

  /** Digests of a slice's items, by bucket (`bucketOf`); a change waits until they are made. */
  async bucketDigests(key: string, buckets: number): Promise<readonly number[]> {
    return await this.#inTurn(() => this.#deps.slices.bucketDigests(key, buckets));
  }

  /** Keys of all slices that the server gave. */
  givenKeys(): Iterable<string> {
    return this.#deps.slices.givenKeys();
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
    return await this.#inTurn(() => this.#complete(completion));
  }

  /** Gives up the history that is followed: the next store is taken as it is. */
  async forgetHistory(): Promise<void> {
    await this.#inTurn(async () => {
      this.#standing = { ...this.#standing, position: { ...this.position, history: null } };
      await this.#deps.disk.save([], this.#standing);
    });
  }

  /** A server knows this session: the next run names it as the one before. */
  async saveSession(session: string): Promise<void> {
    await this.#deps.disk.saveSession(session);
  }

  /** Removes what is kept though the server left it out; null: nothing is. */
  async confirmRemoval(): Promise<HeldRemoval | null> {
    return await this.#inTurn(async () => {
      const removal = this.heldRemoval;
      if (removal === null) return null;
      const prepared = await this.#deps.slices.prepareRelease();
      await this.#apply(prepared, { ...this.#standing, removal: null });
      return removal;
    });
  }

  get #hostKey(): string {
    return `host:${this.#deps.host}`;
  }

  async #complete({ revision, history, digest, despiteDigest }: Completion): Promise<Outcome> {
    const { slices, now } = this.#deps;
    const before = this.#standing.removal;
    const absence = slices.absence(this.#hostKey);
    const removal = judgeRemoval(before, absence, now());
    const keeps = absence.absent > 0 ? 'keep' : 'keep-dropped';
    const prepared = await slices.prepare(removal === null ? 'remove' : keeps);
    const digestDiffers = digest !== undefined && prepared.digest !== digest;
    if (digestDiffers && despiteDigest !== true) return { kind: 'mismatch', digest: prepared.digest };
    this.#synced = true;
    const left = removal === null ? null : { ...removal, before: removal.before - prepared.gaveWay };
    await this.#apply(prepared, { ...this.#standing, position: { revision, history }, removal: left });
    this.#sayRemoval(before);
    return { kind: 'applied', revision, digestDiffers };
  }

  /** Content is on disk before it counts; where the state is without new content may follow. */
  async #apply(prepared: PreparedChange, next: Omit<Standing, 'commit'>): Promise<void> {
    const { slices, disk } = this.#deps;
    const { position, commit } = this.#standing;
    const hasContent = prepared.writes.length > 0;
    const standing = { ...next, commit: hasContent ? commit + 1 : commit };
    const isSameStore = next.position.history?.cluster === position.history?.cluster;
    if (hasContent || !isSameStore) await disk.save(prepared.writes, standing);
    else disk.note(standing);
    slices.apply(prepared);
    this.#standing = standing;
    this.#listener(this.#updateOf(prepared.changes));
  }

  #updateOf(changes: readonly SliceChange[]): StateUpdate {
    const { position, commit } = this.#standing;
    return { ...position, commit, synced: this.#synced, changes };
  }

  #sayRemoval(before: Removal | null): void {
    const { host, log } = this.#deps;
    const held = this.heldRemoval;
    if (held !== null && before === null) {
      log.error(
        { absent: held.absent, of: held.before, remedy: `cable host confirm-removal --host ${host}` },
        'the server leaves out most of the ports of this host: keeping them until they are there again or the removal is confirmed',
      );
    }
    if (held === null && before !== null) log.info({}, 'no ports are kept any more that the server left out');
  }

  /** One change after another: an operator's may come between two of the server's. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => undefined);
    return done;
  }
}
