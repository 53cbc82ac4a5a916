import { sleep } from '@cable/kit';
import { CableError } from '@cable/model';
import type { Compare, Op, Store } from '@cable/store';
import { storeErrorCode } from '../store-errors.ts';
import type { Tables } from '../tables.ts';
import { type Entry, type EntryPlan, type PlanContext, planFromStore, planFromTables } from './registration.ts';
import type { ServerLease } from './server-lease.ts';

/** Entries that arrive within this time are written together. */
const GATHER_MS = 5;
/** The store's limit of compares and of ops in a transaction. */
const TXN_PARTS = 128;
const ATTEMPTS = 8;

export type EntryQueueDeps = {
  readonly store: Pick<Store, 'get' | 'txn'>;
  readonly tables: Pick<Tables, 'of' | 'modRevision' | 'waitFor'>;
  readonly lease: Pick<ServerLease, 'id' | 'replace'>;
  readonly context: PlanContext;
};

type Job = { readonly entry: Entry; readonly resolve: () => void; readonly reject: (err: unknown) => void };
type Planned = { readonly job: Job; readonly plan: EntryPlan };

/**
 * Writes entries of hosts, those that come together in one transaction: planned from the tables, with compares. When one is refused, halves of
 * it, and at last each alone, planned from the store.
 */
export class EntryQueue {
  readonly #deps: EntryQueueDeps;
  #waiting: Job[] = [];
  #isWriting = false;

  constructor(deps: EntryQueueDeps) {
    this.#deps = deps;
  }

  /** Resolves when it is durable and the tables hold it. Throws what the plan throws. */
  write(entry: Entry): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ entry, resolve, reject });
      if (!this.#isWriting) void this.#run();
    });
  }

  async #run(): Promise<void> {
    this.#isWriting = true;
    await sleep(GATHER_MS);
    while (this.#waiting.length > 0) {
      const [group, alone] = this.#takeGroup();
      await this.#commit(group);
      for (const job of alone) await this.#commitAlone(job);
    }
    this.#isWriting = false;
  }

  /** As many as fit into one transaction and have no key in common; and those that must ask the store. */
  #takeGroup(): readonly [Planned[], Job[]] {
    const group: Planned[] = [];
    const alone: Job[] = [];
    const later: Job[] = [];
    const keys = new Set<string>();
    const used = { compares: 0, ops: 0 };
    let at = 0;
    for (; at < this.#waiting.length && used.compares < TXN_PARTS; at += 1) {
      const job = this.#waiting[at] as Job;
      const plan = this.#planOrReject(job);
      if (plan === 'rejected') continue;
      if (plan === undefined) {
        alone.push(job);
        continue;
      }
      const named = [...new Set([...plan.compares, ...plan.ops].map(keyOf))];
      if (named.some((key) => keys.has(key))) {
        later.push(job);
        continue;
      }
      if (used.compares + plan.compares.length > TXN_PARTS || used.ops + plan.ops.length > TXN_PARTS) break;
      for (const key of named) keys.add(key);
      used.compares += plan.compares.length;
      used.ops += plan.ops.length;
      group.push({ job, plan });
    }
    this.#waiting = [...later, ...this.#waiting.slice(at)];
    return [group, alone];
  }

  #planOrReject(job: Job): EntryPlan | undefined | 'rejected' {
    try {
      return planFromTables(this.#deps.tables, this.#deps.context, job.entry);
    } catch (err) {
      job.reject(err);
      return 'rejected';
    }
  }

  async #commit(group: readonly Planned[]): Promise<void> {
    if (group.length === 0) return;
    const jobs = group.map(({ job }) => job);
    try {
      const outcome = await this.#txn(
        group.flatMap(({ plan }) => plan.compares),
        group.flatMap(({ plan }) => plan.ops),
      );
      if (outcome === 'done') for (const job of jobs) job.resolve();
      else if (outcome === 'lease-gone') this.#waiting.unshift(...jobs);
      else await this.#commitParts(group);
    } catch (err) {
      for (const job of jobs) job.reject(err);
    }
  }

  async #commitParts(group: readonly Planned[]): Promise<void> {
    const half = group.length >> 1;
    if (half > 0) {
      await this.#commit(group.slice(0, half));
      await this.#commit(group.slice(half));
    } else for (const { job } of group) await this.#commitAlone(job);
  }

  async #commitAlone(job: Job): Promise<void> {
    try {
      await this.#writeAlone(job);
      job.resolve();
    } catch (err) {
      job.reject(err);
    }
  }

  async #writeAlone(job: Job): Promise<void> {
    const { store, context } = this.#deps;
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const { compares, ops } = await planFromStore(store, context, job.entry);
      if ((await this.#txn(compares, ops)) === 'done') return;
    }
    throw new CableError(
      'TooManyRequestsAtOnce',
      `Host ${job.entry.host} is being registered by several agents at once.`,
    );
  }

  /** `done`: the tables hold it. `lease-gone`: there is another lease now, so that it must be planned anew. */
  async #txn(compares: readonly Compare[], ops: readonly Op[]): Promise<'done' | 'refused' | 'lease-gone'> {
    const { store, tables, lease } = this.#deps;
    const { id } = lease;
    try {
      const result = await store.txn(compares, ops);
      if (result.ok) await tables.waitFor(result.revision);
      return result.ok ? 'done' : 'refused';
    } catch (err) {
      if (storeErrorCode(err) !== 'lease-gone') throw err;
      await lease.replace(id);
      return 'lease-gone';
    }
  }
}

function keyOf(part: Compare | Op): string {
  if ('key' in part) return part.key;
  return 'prefix' in part ? part.prefix : part.from;
}
