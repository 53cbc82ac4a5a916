import { sleep } from '@cable/kit';
import { CableError } from '@cable/model';
import { MAX_TXN_BYTES, MAX_TXN_OPS } from '@cable/store';
import { isMisuse, storeErrorCode, storeFull } from '../store-errors.ts';
import type { ServiceDeps } from './context.ts';
import { TxnPlan } from './plan.ts';

const ATTEMPTS = 30;

/** Thrown by `transact` when the plan does not fit into one transaction. `times`: how many times as large it is as the store takes. */
export class PlanTooLarge extends Error {
  readonly times: number;

  constructor(times: number) {
    super(`a transaction is ${times.toFixed(1)} times as large as the store takes`);
    this.name = 'PlanTooLarge';
    this.times = times;
  }
}

/**
 * Plans and commits; when something the plan relied on has changed meanwhile, waits for the tables to show it and plans anew.
 * Answers when the tables hold what was written. `build` may throw: nothing is written then. It may take turns of the event loop: what it relied on in the first
 * must still be so in the end.
 */
export async function transact<T>(
  deps: ServiceDeps,
  build: (plan: TxnPlan, attempt: number) => T | Promise<T>,
): Promise<T> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const plan = new TxnPlan(deps.tables, deps.reservations);
    try {
      const result = await build(plan, attempt);
      if (plan.ops.length === 0) return result;
      const times = Math.max(plan.size / MAX_TXN_OPS, plan.bytes / MAX_TXN_BYTES);
      if (times > 1) throw new PlanTooLarge(times);
      const answer = await commit(deps, plan);
      await deps.tables.waitFor(answer.revision, answer.ok ? 5000 : 250);
      if (answer.ok) return result;
    } catch (err) {
      if (attempt > 0 || !isNotFound(err) || !(await catchUp(deps))) throw err;
    } finally {
      plan.dispose();
    }
    await sleep(deps.random() * Math.min(100, 2 ** attempt));
  }
  throw new CableError('TooManyRequestsAtOnce', 'Other requests kept changing the same objects.');
}

function isNotFound(err: unknown): boolean {
  return err instanceof CableError && err.code === 'NotFound';
}

/** What is not found may have been created through another server a moment ago. True: the tables have learnt something by waiting. */
async function catchUp({ store, tables }: ServiceDeps): Promise<boolean> {
  const before = tables.revision;
  // A list of nothing still tells the store's newest revision.
  const { revision } = await guard(() => store.list('/cable/x/none/'));
  await tables.waitFor(revision, 250);
  return tables.revision > before;
}

function commit(deps: ServiceDeps, plan: TxnPlan): ReturnType<ServiceDeps['store']['txn']> {
  return guard(() => deps.store.txn(plan.compares, plan.ops));
}

async function guard<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (cause) {
    const code = storeErrorCode(cause);
    if (code === undefined || isMisuse(code)) throw cause;
    if (code === 'full') throw storeFull(cause);
    const message = 'The store did not answer; the request may or may not have taken effect.';
    throw new CableError('ServiceUnavailable', message, { cause });
  }
}
