import type { CallOptions, Compare, Op } from '../contract.ts';
import { StoreError } from '../errors.ts';
import { countCompares, MAX_TXN_BYTES, txnBytes } from '../limits.ts';
import { notSent, type Over, whenOver } from '../waiting.ts';
import { ETCD_MAX_OPS } from './wire.ts';

/** Most transactions of one request. */
const MOST_TOGETHER = 40;

/** Most that are looked at for one request, so that it costs the same however many wait. */
const MOST_LOOKED_AT: number = 4 * MOST_TOGETHER;

/** etcd counts a nested transaction's compares, or ops, and its group's ops together against one limit. */
const MOST_WIDTH: number = ETCD_MAX_OPS - MOST_TOGETHER;

/** `ok` false: some compare did not hold. `revision` null: etcd does not say it of a wide one. */
export type TxnOutcome = { readonly ok: boolean; readonly revision: number | null };

/** A transaction that is waited for. What comes after it was settled is ignored. */
export type TxnJob = {
  readonly compares: readonly Compare[];
  readonly ops: readonly Op[];
  readonly bytes: number;
  /** True when it may go with others. */
  readonly isNarrow: boolean;
  resolve(outcome: TxnOutcome): void;
  reject(err: unknown): void;
};

/** Transactions that wait to be sent, in the order in which they were asked for. */
export class TxnQueue {
  readonly #timeoutMs: number;
  readonly #jobs = new Set<TxnJob>();

  /** `timeoutMs`: how long one may take that has no deadline of its own. */
  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  /** Adds one. Rejects with `not-sent` or `unavailable` when it waits for too long, and with `pending` when it was taken by then. */
  add(compares: readonly Compare[], ops: readonly Op[], options: CallOptions): Promise<TxnOutcome> {
    return new Promise((resolve, reject) => {
      let stop = (): void => undefined;
      const [bytes, width] = [txnBytes(compares, ops), Math.max(countCompares(compares), ops.length)];
      const job: TxnJob = {
        ...{ compares, ops, bytes, isNarrow: width <= MOST_WIDTH },
        resolve: (outcome) => {
          stop();
          resolve(outcome);
        },
        reject: (err) => {
          stop();
          reject(err);
        },
      };
      this.#jobs.add(job);
      const deadlineMs = options.deadlineMs ?? performance.now() + this.#timeoutMs;
      stop = whenOver({ ...options, deadlineMs }, (why) => this.#end(job, why, options.deadlineMs !== undefined));
    });
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
      const fits = job.isNarrow && bytes + job.bytes <= MAX_TXN_BYTES && isFree(job, written);
      if (group.length > 0 && !fits) continue;
      this.#jobs.delete(job);
      group.push(job);
      if (!job.isNarrow) break;
      bytes += job.bytes;
      for (const op of job.ops) written.add(op);
    }
    return group;
  }

  #end(job: TxnJob, why: Over, isCallersDeadline: boolean): void {
    if (this.#jobs.delete(job)) {
      job.reject(why === 'aborted' || isCallersDeadline ? notSent(why) : unreachable());
    }
  }
}

function unreachable(): StoreError {
  return new StoreError('unavailable', 'etcd did not answer in time: the transaction was not sent, nothing was done');
}

function isFree({ compares, ops }: TxnJob, written: KeySet): boolean {
  return !compares.some((compare) => written.meets(compare)) && !ops.some((op) => written.meets(op));
}

type About = { readonly key: string } | { readonly prefix: string };

/** Keys, and prefixes that stand for all keys with them. */
class KeySet {
  readonly #keys = new Set<string>();
  readonly #prefixes = new Set<string>();

  add(about: About): void {
    if ('key' in about) this.#keys.add(about.key);
    else this.#prefixes.add(about.prefix);
  }

  /** True when it has the key, or some key with the prefix. */
  meets(about: About): boolean {
    if ('key' in about)
      return this.#keys.has(about.key) || some(this.#prefixes, (prefix) => about.key.startsWith(prefix));
    const { prefix } = about;
    return (
      some(this.#keys, (key) => key.startsWith(prefix)) ||
      some(this.#prefixes, (other) => other.startsWith(prefix) || prefix.startsWith(other))
    );
  }
}

function some(values: Iterable<string>, is: (value: string) => boolean): boolean {
  for (const value of values) if (is(value)) return true;
  return false;
}
