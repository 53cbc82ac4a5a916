/**
 * Which store this is, and which of its histories (`docs/design/host-plane.md`, History).
 *
 * Why a client that saw anything a restore lost is detected. Say the snapshot was of revision S, and a client with mark n saw revision r > S
 * of the history that is gone.
 *
 * 1. Mark n was written after S: the restored store has no key n, or one with another random text. Refused.
 * 2. Mark n was written before, so it is the newest of the snapshot, and mark n+1 comes after the restore. The client is known only if r is
 *    not above what n+1 vouches for.
 *    - A server that starts while no other lives vouches for the last revision that is not the mere end of leases. What a store without
 *      servers does by itself is to end leases, so that revision is at most S. Refused.
 *    - When the keys of servers are still there, no lease has ended since the restore (they all run anew from then), the mark is the first write,
 *      and it vouches for S. Refused.
 *    - A server that ran through the restore finds it before it vouches for anything: what it has seen is above what the store
 *      then answers, or its mark is not there (`check`, each second, when the watch is opened anew, and by the revision of each transaction of
 *      its own). It vouches for nothing behind mark n. Refused.
 *
 * And a client that saw nothing but what is there is known, unless it met a restore under running servers: what is vouched for
 * includes every revision that a server can have told it, because what servers delete of leased keys they delete together with a write,
 * a server that sees a lease end writes a mark, and no server tells anything before its key is there: it is put together with the mark of the
 * start. So whoever starts finds the key of each server that serves under the newest mark, or another server's mark in the place of its own.
 */
import { randomUUID } from 'node:crypto';
import { type Logger, type Loop, startLoop } from '@cable/kit';
import type { StoreHistory } from '@cable/model';
import type { KeyValue, Op, Store } from '@cable/store';
import { CLUSTER, historyMarkKey } from '../keys.ts';
import { type Mark, newestMark, numberOf, parseMark, vouchedAtStart, writeMark } from './marks.ts';

const CHECK_EVERY_MS = 1000;
const RENEW_AFTER_MS = 60_000;
/** Older marks whose pair (mark, successor) is remembered: after a restart all clients present the same one. */
const REMEMBERED = 32;
const ATTEMPTS = 16;

export type HistoryDeps = {
  readonly store: Pick<Store, 'get' | 'list' | 'txn' | 'watch'>;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** Milliseconds that never go back. */
  readonly monotonicMs: () => number;
  /** The highest revision this server has seen. */
  readonly revision: () => number;
  /** The store has another history: forget everything, list it anew, end what rests on it. Tried again when it throws. */
  readonly onOther: () => Promise<void>;
  /** True: write a mark at the next check, to see whether the store takes it. */
  readonly isWriteAsked?: () => boolean;
  /** The put of the key that shows this server to others: written with its first mark. */
  readonly presence: Op;
};

type Link = { readonly mark: Mark; readonly next: Mark | undefined };

/** A server's view of its store's history. `start` before anything is served. */
export class History {
  readonly #deps: HistoryDeps;
  readonly #links = new Map<number, Link>();
  readonly #loop: Loop;
  #cluster: string;
  #newest: Mark;
  #renewedAt: number;
  /** Set from the moment another history is found until everything has been taken in anew. */
  #isOther = false;
  #turn: Promise<void> = Promise.resolve();

  private constructor(deps: HistoryDeps, cluster: string, newest: Mark) {
    this.#deps = deps;
    this.#cluster = cluster;
    this.#newest = newest;
    this.#renewedAt = deps.monotonicMs();
    this.#loop = startLoop({
      name: 'history',
      log: deps.log,
      signal: deps.signal,
      everyMs: CHECK_EVERY_MS,
      backoff: { minMs: 50, maxMs: CHECK_EVERY_MS },
      run: () => this.check(),
    });
  }

  /** Reads or makes the store's identity and writes a mark; then checks the history until the signal aborts. */
  static async start(deps: HistoryDeps): Promise<History> {
    const cluster = await readCluster(deps.store);
    const beside = [deps.presence];
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const newest = await newestMark(deps.store);
      const vouches = newest === undefined ? undefined : await vouchedAtStart(deps.store, newest);
      const mark = await writeMark(deps.store, newest, { vouches, beside });
      if (mark !== undefined) return new History(deps, cluster, mark);
    }
    throw new Error('the mark of the store could not be written: others write marks all the time');
  }

  /** True from the moment another history is found until everything has been taken in anew. */
  get isOther(): boolean {
    return this.#isOther;
  }

  /** What a client is told. */
  get current(): StoreHistory {
    return { cluster: this.#cluster, mark: this.#newest.text };
  }

  /** Resolves when checking has ended, after the signal aborted. */
  get done(): Promise<void> {
    return this.#loop.done;
  }

  /** True when what a client that presents this has seen is part of this store's history. At most two reads of the store. */
  async knows(history: StoreHistory, revision: number): Promise<boolean> {
    if (this.#isOther || history.cluster !== this.#cluster) return false;
    const number = numberOf(history.mark);
    const link = number === undefined ? undefined : await this.#link(number);
    if (link === undefined || link.mark.text !== history.mark) return false;
    return link.next === undefined || revision <= link.next.vouches;
  }

  /**
   * The watch tells of a mark: clients that are told a later revision are told of it too, or they would seem to have seen what the mark does not
   * vouch for. One that does not follow on what this server knows, or vouches for less, is looked into.
   */
  heard(kv: KeyValue): void {
    const mark = parseMark(kv);
    if (this.#isOther || mark === undefined || mark.number <= this.#newest.number) return;
    if (mark.number === this.#newest.number + 1 && mark.vouches >= mark.revision - 1) this.#follow(mark);
    else this.#loop.trigger();
  }

  /** The watch of the store was opened anew: looks at once. */
  recheck(): void {
    this.#loop.trigger();
  }

  /** The store has answered a transaction with a revision that it had passed: nothing is known of anybody until all is taken in anew. */
  fell(): void {
    this.#markOther();
    this.#loop.trigger();
  }

  /**
   * Writes a mark, so that everything up to now is vouched for, and `beside` with it. Nothing when another server was first: its mark does the
   * same.
   */
  async renew(beside: readonly Op[] = []): Promise<void> {
    if (this.#isOther) return;
    const mark = await writeMark(this.#deps.store, this.#newest, { beside });
    if (mark !== undefined) this.#follow(mark);
  }

  /** One check after those under way; writes the mark of the minute when it is due. */
  check(): Promise<void> {
    const turn = this.#turn.then(() => this.#check());
    this.#turn = turn.catch(() => {});
    return turn;
  }

  async #check(): Promise<void> {
    const { monotonicMs, revision, isWriteAsked } = this.#deps;
    if (this.#isOther || !(await this.#isSame())) return this.#takeOver();
    const isDue = monotonicMs() - this.#renewedAt >= RENEW_AFTER_MS;
    if ((isDue && revision() > this.#newest.revision) || isWriteAsked?.()) await this.renew();
  }

  /** Two reads: the newest mark that is known, with the store's revision, and whether it has a successor. */
  async #isSame(): Promise<boolean> {
    const { store, revision } = this.#deps;
    for (;;) {
      const seen = revision();
      const known = this.#newest;
      const found = await store.list(historyMarkKey(known.number));
      const kv = found.kvs[0];
      if (kv === undefined || kv.modRevision !== known.revision || parseMark(kv)?.text !== known.text) return false;
      if (found.revision < seen) return false;
      const successor = await store.get(historyMarkKey(known.number + 1));
      if (successor === undefined) return true;
      const next = parseMark(successor);
      // A mark that does not vouch for what this server had seen before it was there: another server has found what this one is about to find.
      if (next === undefined || next.vouches < Math.min(seen, next.revision - 1)) return false;
      if (known === this.#newest) this.#follow(next);
    }
  }

  #markOther(): void {
    if (this.#isOther) return;
    this.#isOther = true;
    const fields = { mark: this.#newest.text, revision: this.#deps.revision() };
    this.#deps.log.error(fields, 'store has another history: it was restored or replaced');
  }

  async #takeOver(): Promise<void> {
    const { store, log, onOther } = this.#deps;
    this.#markOther();
    this.#links.clear();
    const cluster = await readCluster(store);
    const mark = await this.#markOfOther();
    await onOther();
    this.#cluster = cluster;
    this.#follow(mark);
    this.#isOther = false;
    log.warn({ cluster, mark: mark.text, revision: mark.revision }, 'took in everything anew from the store');
  }

  /** The newest mark if another server has written one since the restore, else a new one. Whoever holds its predecessor may have seen what is lost. */
  async #markOfOther(): Promise<Mark> {
    const known = this.#newest;
    const newest = await newestMark(this.#deps.store);
    if (newest !== undefined && newest.number >= known.number && newest.text !== known.text) return newest;
    const mark = await writeMark(this.#deps.store, newest, { vouches: newest?.revision });
    if (mark === undefined) throw new Error('the mark of the new history was not written: another server was first');
    return mark;
  }

  async #link(number: number): Promise<Link | undefined> {
    if (number === this.#newest.number) return { mark: this.#newest, next: undefined };
    const remembered = this.#links.get(number);
    if (remembered !== undefined) return remembered;
    const { store } = this.#deps;
    const [one, two] = [await store.get(historyMarkKey(number)), await store.get(historyMarkKey(number + 1))];
    const mark = one === undefined ? undefined : parseMark(one);
    if (mark === undefined) return undefined;
    const link = { mark, next: two === undefined ? undefined : parseMark(two) };
    if (link.next !== undefined) this.#remember(number, link);
    return link;
  }

  #remember(number: number, link: Link): void {
    const oldest = this.#links.size < REMEMBERED ? undefined : this.#links.keys().next().value;
    if (oldest !== undefined) this.#links.delete(oldest);
    this.#links.set(number, link);
  }

  #follow(mark: Mark): void {
    this.#newest = mark;
    this.#renewedAt = this.#deps.monotonicMs();
  }
}

/** The store's identity, made when it has none. */
async function readCluster(store: HistoryDeps['store']): Promise<string> {
  for (;;) {
    const kv = await store.get(CLUSTER);
    if (kv !== undefined) return kv.value;
    await store.txn([{ kind: 'absent', key: CLUSTER }], [{ kind: 'put', key: CLUSTER, value: randomUUID() }]);
  }
}
