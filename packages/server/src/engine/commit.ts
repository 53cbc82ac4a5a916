import { sleep } from '@cable/kit';
import { type AnyObject, CableError } from '@cable/model';
import { MAX_TXN_BYTES, MAX_TXN_OPS, type TxnResult } from '@cable/store';
import { NotLoadedError } from '../not-loaded.ts';
import { TOMBSTONES } from '../rows.ts';
import { isMisuse, storeErrorCode, storeFull } from '../store-errors.ts';
import type { Asked, EngineDeps, IfMatch, Planning } from './context.ts';
import { ProtonBusy } from './fences.ts';
import { refuseBehind } from './loaded-types.ts';
import { holdToController } from './of-clusters.ts';
import { Plan, type Transaction } from './plan.ts';
import { vetOthers } from './vet.ts';

const ATTEMPTS = 30;

/** How long the tables may take to have what was written. */
const TABLES_MS = 5000;
/** How long to wait for what made a plan fail, before the next. */
const CONFLICT_MS = 250;
/** With no more time than this nothing is planned anew. */
const LATE_MS = 250;

/** Thrown by `transact` when the plan does not fit into one transaction. `times`: how many times as large it is as the store takes. */
export class PlanTooLarge extends Error {
  readonly times: number;

  constructor(times: number) {
    super(`a transaction is ${times.toFixed(1)} times as large as the store takes`);
    this.name = 'PlanTooLarge';
    this.times = times;
  }
}

/** How long who waits for a proton to be changed waits before looking again, and how long in all. */
const BUSY_MS = 50;
const BUSY_MOST_MS = 17_000;

/** How a transaction is planned. `isService`: see `Planning`. `isUnfenced`: a controller may write whatever its epoch. `leads`: id of the change of a proton that it is part of. */
export type TransactOptions = {
  readonly isService?: boolean;
  readonly isUnfenced?: boolean;
  readonly leads?: string;
};

/**
 * Plans and commits; when something the plan relied on has changed meanwhile, waits for the tables to show it and plans anew.
 * Answers when the tables hold what was written. `build` may throw: nothing is written then. It may take turns of the event loop: what it relied on in the first
 * must still be so in the end. Throws what `build` refuses, `TooManyRequestsAtOnce`, `ServiceUnavailable` (nothing was written), `OutcomeUnknown`, and
 * `NotLoadedError` when something else is loaded than when the request was parsed (nothing was written).
 */
export async function transact<T>(
  deps: EngineDeps,
  asked: Asked,
  build: (planning: Planning) => T | Promise<T>,
  { isService = false, isUnfenced = false, leads }: TransactOptions = {},
): Promise<T> {
  const timestamp = formatTime(deps.now());
  let isCurrent = false;
  let attempt = 0;
  const busyUntil = deps.monotonicMs() + BUSY_MOST_MS;
  while (attempt < ATTEMPTS) {
    const leave = await deps.changeover.enter();
    const plan = new Plan(deps, timestamp, leads);
    let isBusy = false;
    try {
      throwIfOver(deps, asked);
      if (deps.resources.current !== asked.loaded) throw new NotLoadedError('what the request was parsed by');
      refuseBehind(deps);
      const planning = { deps, plan, asked, attempt, isService };
      const result = await build(planning);
      await vetOthers(planning);
      if (!isUnfenced) holdToController(planning);
      holdTo(plan, asked.ifMatch);
      const transaction = plan.transaction();
      if (transaction.ops.length === 0) return result;
      refuseTooLarge(transaction);
      if (asked.isDryRun === true) return result;
      const answer = await commit(deps, asked, transaction);
      if (answer.ok) {
        asked.wrote?.(transaction.ops);
        if (asked.ifMatch !== undefined) asked.ifMatch.isMet = true;
      }
      await deps.tables.waitFor(answer.revision, answer.ok ? TABLES_MS : CONFLICT_MS);
      if (answer.ok) return result;
    } catch (err) {
      isBusy = err instanceof ProtonBusy;
      if (!isBusy) {
        // What is refused for what the tables show is refused only for what the store has.
        if (isCurrent || !restsOnTables(err) || !(await guard(() => deps.catchUp.run()))) throw err;
        isCurrent = true;
        attempt += 1;
        continue;
      }
    } finally {
      plan.dispose();
      leave();
    }
    if (isBusy) {
      if (deps.monotonicMs() > busyUntil)
        throw new CableError('ServiceUnavailable', 'What the request is about is being changed: nothing was written.');
      await sleep(BUSY_MS, asked.signal);
      refuseLate(deps, asked);
      continue;
    }
    // What has been deleted has its claims until it is swept: that is waited for, whatever it takes.
    if (deps.tables.any(TOMBSTONES).size > 0) await deps.sweeper.wait(asked.signal);
    else attempt += 1;
    await sleep(deps.random() * Math.min(100, 2 ** attempt), asked.signal);
    refuseLate(deps, asked);
  }
  throw new CableError('TooManyRequestsAtOnce', 'Other requests kept changing the same objects.');
}

/** After the plan is made: whoever may not see the object, or do this, is told that instead. */
function holdTo(plan: Plan, ifMatch: IfMatch | undefined): void {
  if (ifMatch === undefined || ifMatch.isMet) return;
  const row = plan.relyBefore(ifMatch.type, ifMatch.id);
  if (row !== undefined) checkRevision(row, ifMatch.revision);
}

/** A revision that no object has: the request names a state that there never was. */
export const NO_REVISION = -1;

/** Throws unless the object is as the request says. `ifRevision` null: any. */
export function checkRevision(row: AnyObject, ifRevision: number | null): void {
  if (ifRevision === null || row['revision_number'] === ifRevision) return;
  if (ifRevision === NO_REVISION) {
    throw new CableError('RevisionNumberConstraintFailed', 'If-Match names no ETag that the object has or had.', {
      detail: `Its ETag is "revision_number=${row['revision_number']}"; * matches whatever it is.`,
    });
  }
  throw new CableError(
    'RevisionNumberConstraintFailed',
    `Constrained to ${ifRevision}, but current revision is ${row['revision_number']}`,
  );
}

/** True for a refusal that may come of tables that are behind: any of a plan's, for 400 (a route into no attached subnet), 403 and 422 are said of other objects, too, and Neutron's 500 for a host that takes no port. */
function restsOnTables(err: unknown): boolean {
  return err instanceof CableError && ((err.status >= 400 && err.status < 500) || err.code === 'PortBindingError');
}

let formatted = { second: Number.NaN, text: '' };

/** Neutron's form: whole seconds, UTC. All requests of a second have one text. */
function formatTime(time: Date): string {
  const second = Math.floor(time.getTime() / 1000);
  if (formatted.second !== second) formatted = { second, text: `${time.toISOString().slice(0, 19)}Z` };
  return formatted.text;
}

function throwIfOver({ monotonicMs }: EngineDeps, asked: Asked): void {
  if (asked.isGone) asked.signal.throwIfAborted();
  if (monotonicMs() < asked.deadlineMs) return;
  throw new CableError('ServiceUnavailable', 'The request was not done in the time that it has: nothing was written.');
}

/** What was planned anew too late would be on its way when its client is answered, and nobody could say what became of it. */
function refuseLate({ monotonicMs }: EngineDeps, asked: Asked): void {
  if (asked.deadlineMs - monotonicMs() > LATE_MS) return;
  throw new CableError(
    'ServiceUnavailable',
    'Others kept what the request needs until its time was over: nothing was written.',
  );
}

function refuseTooLarge({ compares, ops, bytes }: Transaction): void {
  const times = Math.max(compares.length / MAX_TXN_OPS, ops.length / MAX_TXN_OPS, bytes / MAX_TXN_BYTES);
  if (times > 1) throw new PlanTooLarge(times);
}

function commit({ store }: EngineDeps, { deadlineMs }: Asked, { compares, ops }: Transaction): Promise<TxnResult> {
  return guard(() => store.txn(compares, ops, { deadlineMs }));
}

/** Says in the API's words what the store could not do. */
export async function guard<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (cause) {
    const code = storeErrorCode(cause);
    if (code === undefined || isMisuse(code)) throw cause;
    if (code === 'full') throw storeFull(cause);
    if (code === 'not-sent') {
      throw new CableError('ServiceUnavailable', 'The request waited for too long: nothing was written.', { cause });
    }
    if (code === 'pending') {
      const message = 'The store did not answer: the request may have taken effect, or may yet.';
      throw new CableError('OutcomeUnknown', message, { cause });
    }
    throw new CableError('ServiceUnavailable', 'The store does not answer: nothing was written.', { cause });
  }
}
