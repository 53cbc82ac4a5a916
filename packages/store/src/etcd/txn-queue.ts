import type { CallOptions, Compare, Op } from '../contract.ts';
import { StoreError } from '../errors.ts';
import { MAX_TXN_BYTES, txnBytes } from '../limits.ts';
import { notSent, type Over, pendingError, whenOver } from '../waiting.ts';
import { MOST_TOGETHER, MOST_WIDTH, type Txn, widthOf } from './wire.ts';

/** Most that are looked at for one request, so that it costs the same however many wait. */
const MOST_LOOKED_AT: number = 4 * MOST_TOGETHER;

/** `ok` false: some compare did not hold. `revision` null: etcd does not say it of a wide one. */
export type TxnOutcome = { readonly ok: boolean; readonly revision: number | null };

/** A transaction that is waited for. */
export class TxnJob {
  readonly compares: readonly Compare[];
  readonly ops: readonly Op[];
  readonly bytes: number;
  /** It may not go with others. */
  isAlone: boolean;
  /** `given-up`: its caller wants it no more, but it is on its way. */
  state: 'waiting' | 'taken' | 'given-up' | 'settled' = 'waiting';
  /** Ends the watch over its deadline and signal. */
  release: () => void = NOTHING;
  readonly #resolve: (outcome: TxnOutcome) => void;
  readonly #reject: (err: unknown) => void;

  constructor(txn: Txn, resolve: (outcome: TxnOutcome) => void, reject: (err: unknown) => void) {
    this.compares = txn.compares;
    this.ops = txn.ops;
    this.bytes = txnBytes(txn.compares, txn.ops);
    this.isAlone = widthOf(txn) > MOST_WIDTH;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  resolve(outcome: TxnOutcome): void {
    this.state = 'settled';
    this.release();
    this.#resolve(outcome);
  }

  reject(err: unknown): void {
    this.state = 'settled';
    this.release();
    this.#reject(err);
  }
}

const NOTHING = (): void => undefined;

/** Transactions that wait to be sent, in the order in which they were asked for. */
export class TxnQueue {
  readonly #timeoutMs: number;
  #jobs = new Set<TxnJob>();

  /** `timeoutMs`: how long one may take that has no deadline of its own. */
  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  /**
   * Adds one. Rejects when its time is over: with `not-sent` or `unavailable` while it waits, with `pending` when it is on its way by then.
   */
  add(txn: Txn, options: CallOptions): Promise<TxnOutcome> {
    return new Promise((resolve, reject) => {
      const job = new TxnJob(txn, resolve, reject);
      this.#jobs.add(job);
      const isOurDeadline = options.deadlineMs === undefined;
      const deadlineMs = options.deadlineMs ?? performance.now() + this.#timeoutMs;
      job.release = whenOver(options.signal, deadlineMs, (why) => this.#end(job, why, isOurDeadline));
    });
  }

  /** Takes back what was taken and has not been done: it is the first again. */
  again(jobs: readonly TxnJob[]): void {
    for (const job of jobs) if (job.state === 'given-up') job.reject(notSent('aborted'));
    const waiting = jobs.filter(({ state }) => state === 'taken');
    for (const job of waiting) job.state = 'waiting';
    this.#jobs = new Set([...waiting, ...this.#jobs]);
  }

  /** The one that has waited longest. */
  get first(): TxnJob | undefined {
    for (const job of this.#jobs) return job;
    return undefined;
  }

  /**
   * Takes the first, with others that may go with it. etcd looks at all compares before it does any op, so no transaction may look at, or
   * write, what one before it in the group writes; what one before it only looks at it may write.
   */
  take(): readonly TxnJob[] {
    const group: TxnJob[] = [];
    const written = new KeySet();
    let [bytes, lookedAt] = [0, 0];
    for (const job of this.#jobs) {
      if (group.length === MOST_TOGETHER || lookedAt === MOST_LOOKED_AT) break;
      lookedAt += 1;
      const fits = !job.isAlone && bytes + job.bytes <= MAX_TXN_BYTES && isFree(job, written);
      if (group.length > 0 && !fits) continue;
      this.#jobs.delete(job);
      job.state = 'taken';
      group.push(job);
      if (job.isAlone) break;
      bytes += job.bytes;
      for (const op of job.ops) written.add(op);
    }
    return group;
  }

  #end(job: TxnJob, why: Over, isOurDeadline: boolean): void {
    if (this.#jobs.delete(job)) job.reject(why === 'late' && isOurDeadline ? unreached() : notSent(why));
    else if (why === 'late') job.reject(pendingError());
    else if (job.state === 'taken') job.state = 'given-up';
  }
}

function unreached(): StoreError {
  return new StoreError('unavailable', 'etcd did not answer in time: the transaction was not sent, nothing was done');
}

function isFree({ compares, ops }: TxnJob, written: KeySet): boolean {
  return !compares.some((compare) => written.meets(compare)) && !ops.some((op) => written.meets(op));
}

type About = { readonly key: string } | { readonly prefix: string };
type AboutRange = { readonly from: string; readonly to: string };

/** Keys, and prefixes that stand for all keys with them. */
class KeySet {
  readonly #keys = new Set<string>();
  readonly #prefixes = new Set<string>();

  add(about: About): void {
    if ('key' in about) this.#keys.add(about.key);
    else this.#prefixes.add(about.prefix);
  }

  /** True when it has the key, some key with the prefix, or some of the range. */
  meets(about: About | AboutRange): boolean {
    if ('from' in about) return this.#meetsRange(about);
    if ('key' in about)
      return this.#keys.has(about.key) || some(this.#prefixes, (prefix) => about.key.startsWith(prefix));
    const { prefix } = about;
    return (
      some(this.#keys, (key) => key.startsWith(prefix)) ||
      some(this.#prefixes, (other) => other.startsWith(prefix) || prefix.startsWith(other))
    );
  }

  #meetsRange({ from, to }: AboutRange): boolean {
    return (
      some(this.#keys, (key) => key >= from && key < to) ||
      some(this.#prefixes, (prefix) => (prefix >= from || from.startsWith(prefix)) && prefix < to)
    );
  }
}

function some(values: Iterable<string>, is: (value: string) => boolean): boolean {
  for (const value of values) if (is(value)) return true;
  return false;
}
