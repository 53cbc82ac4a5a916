import { sleep } from '@cable/kit';
import { CableError } from '@cable/model';
import { MAX_TXN_BYTES, MAX_TXN_OPS } from '@cable/store';
import { storeErrorCode } from '../store-errors.ts';
import type { ServiceDeps } from './context.ts';
import { TxnPlan } from './txn-plan.ts';

const ATTEMPTS = 30;

/** Thrown by `transact` when the plan does not fit into one transaction. `times`: how many limits full it is, above 1. */
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
 * Answers when the tables hold what was written. `build` may throw: nothing is written then.
 */
export async function transact<T>(deps: ServiceDeps, build: (plan: TxnPlan, attempt: number) => T): Promise<T> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const plan = new TxnPlan(deps.tables, deps.reservations);
    try {
      const result = build(plan, attempt);
      if (plan.ops.length === 0) return result;
      const times = Math.max(plan.size / MAX_TXN_OPS, plan.bytes / MAX_TXN_BYTES);
      if (times > 1) throw new PlanTooLarge(times);
      const answer = await commit(deps, plan);
      await deps.tables.waitFor(answer.revision, answer.ok ? 5000 : 250);
      if (answer.ok) return result;
    } finally {
      plan.dispose();
    }
    await sleep(deps.random() * Math.min(100, 2 ** attempt));
  }
  throw new CableError('TooManyRequestsAtOnce', 'Other requests kept changing the same objects.');
}

async function commit(deps: ServiceDeps, plan: TxnPlan): ReturnType<ServiceDeps['store']['txn']> {
  try {
    return await deps.store.txn(plan.compares, plan.ops);
  } catch (err) {
    if (storeErrorCode(err) === undefined) throw err;
    throw new CableError(
      'ServiceUnavailable',
      'The store did not answer; the request may or may not have taken effect.',
      {
        cause: err,
      },
    );
  }
}
