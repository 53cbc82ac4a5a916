import type { Logger } from '@cable/kit';
import { ASK_WAIT_MS, type AskFault, type HostAnswers, type HostAsk } from '@cable/model';
import type { Planner } from '../plan/planner.ts';
import type { KernelDataPlane } from '../reconcile/kernel-data-plane.ts';
import type { ListedSlices } from '../show/names.ts';
import type { Answer } from '../stream/connection.ts';
import { showDrops } from './drops.ts';
import { showFlows } from './flows.ts';
import type { Follows } from './follows.ts';
import type { LentCaptures } from './lent-captures.ts';
import { readNumbers } from './numbers.ts';
import { parseAsk } from './parse-ask.ts';
import { NO_PORT, type Tracer } from './tracer.ts';

export type AnswerDeps = {
  readonly slices: ListedSlices;
  readonly planner: Pick<Planner, 'vifs' | 'ids' | 'numberOf'>;
  readonly plane: Pick<KernelDataPlane, 'readRaw' | 'readCounters'>;
  readonly tracer: Pick<Tracer, 'trace'>;
  readonly follows: Pick<Follows, 'ask'>;
  readonly captures: Pick<LentCaptures, 'ask'>;
  /** Milliseconds of a clock that never goes back. */
  readonly monotonicMs: () => number;
  readonly log: Logger;
};

/** Asks that wait or are worked on at once; each may read the whole flow table. */
const MAX_OPEN = 64;

/**
 * Answers what the server asks about ports: one after the other, so that however much is asked takes no more memory than one answer. What has waited so long that nobody waits for
 * it any more is passed over: else who asks on and on would get no answer at all.
 */
export function createAnswers(deps: AnswerDeps): Answer {
  let open = 0;
  let last: Promise<unknown> = Promise.resolve();
  return async (fields) => {
    const ask = parseAsk(fields);
    if (ask === 'unknown') return { fault: { code: 'unknown', message: 'this kind of ask is not known' } };
    if ('wrong' in ask) return { fault: { code: 'failed', message: ask.wrong } };
    if (open >= MAX_OPEN) return { fault: BUSY };
    open += 1;
    const since = deps.monotonicMs();
    const isLate = (): boolean => deps.monotonicMs() - since >= ASK_WAIT_MS;
    const answered = last.then(() => (isLate() ? { fault: BUSY } : answerOne(deps, ask)));
    last = answered;
    try {
      return await answered;
    } finally {
      open -= 1;
    }
  };
}

const BUSY: AskFault = { code: 'busy', message: 'too much is asked at once' };

type Said = { readonly value: HostAnswers[HostAsk['kind']] } | { readonly fault: AskFault };

/** A surprise is this ask's alone. */
async function answerOne(deps: AnswerDeps, ask: HostAsk): Promise<Said> {
  try {
    return await answerTo(deps, ask);
  } catch (err) {
    deps.log.error({ err, kind: ask.kind }, 'an ask failed by surprise');
    return { fault: { code: 'failed', message: 'the agent failed: see its log' } };
  }
}

async function answerTo(deps: AnswerDeps, ask: HostAsk): Promise<Said> {
  if (ask.kind === 'trace') return deps.tracer.trace(ask);
  if (ask.kind === 'follow') return deps.follows.ask(ask);
  if (ask.kind === 'capture') return deps.captures.ask(ask);
  const vif = deps.planner.vifs.get(ask.portId)?.vif;
  if (vif === undefined) return { fault: NO_PORT };
  const nowNs = process.hrtime.bigint();
  if (ask.kind === 'drops') return { value: showDrops(deps.plane.readCounters(vif), nowNs) };
  const numbers = readNumbers(deps);
  return { value: await showFlows(deps.plane.readRaw('cb_flow_2'), vif, ask, { numbers, nowNs }) };
}
