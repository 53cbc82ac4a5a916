/** How a proton becomes another one while requests are served: nothing is written to its types between the look at its objects and the new row. */
import { randomUUID } from 'node:crypto';
import { sleep } from '@cable/kit';
import { type AnyObject, CableError } from '@cable/model';
import { transact } from '../engine/commit.ts';
import type { Asked, EngineDeps } from '../engine/context.ts';
import { changeOf, isOver, PROTON } from '../engine/fences.ts';
import { objectKey } from '../keys.ts';
import { digestOfRow, type ProtonRow, protonRow } from './proton-row.ts';

/** How long a change may take, from its first row to its last. */
const CHANGE_MS = 15_000;

/** With less than this left it is given up: clocks of servers differ a little. */
const MARGIN_MS = 4000;

/** With less time than this nothing long is begun: the request is to be answered, and what was done is to be written. */
const ANSWER_MS = 3000;

/** How long servers may take to load what is new, until the request is answered without them. */
const LOADED_MS = 10_000;
const LOOK_MS = 20;

/** A change under way. */
export type Change = {
  /** For `transact`: its writes are let through. */
  readonly id: string;
  readonly holdOn: HoldOn;
};

/** Throws `GoesOn`, with what has been done, when there is no time left for what comes now. */
export type HoldOn = (done: string) => void;

/** Time of which the request has this much left, in ms. */
export function timeLeft({ monotonicMs }: Pick<EngineDeps, 'monotonicMs'>, { deadlineMs }: Asked): number {
  return deadlineMs - monotonicMs();
}

/** Holds on to what is left of the request's time beyond `keepMs`. */
export function withinRequest(deps: EngineDeps, asked: Asked, keepMs: number): HoldOn {
  return (done) => {
    if (timeLeft(deps, asked) < keepMs) throw new CableError('GoesOn', done);
  };
}

/**
 * Does something with a proton's objects while nobody else writes any. `before`: the row that is changed. What `work` answers is the new row, or undefined: it has deleted
 * the row. When it throws, the row is as before. Throws `HTTPConflict` when another change is under way.
 */
export async function changeProton(
  deps: EngineDeps,
  asked: Asked,
  before: ProtonRow,
  work: (change: Change) => Promise<ProtonRow | undefined>,
): Promise<void> {
  await untilLoaded(deps, before, asked);
  const id = randomUUID();
  const end = deps.now().getTime() + CHANGE_MS;
  await writeRow(deps, asked, before, { ...before, change: { id, until: new Date(end).toISOString() } });
  const held = protonRow(rowNow(deps, before.id));
  const change: Change = {
    id,
    holdOn: (done) => {
      if (deps.now().getTime() >= end - MARGIN_MS || timeLeft(deps, asked) < ANSWER_MS)
        throw new CableError('GoesOn', done);
    },
  };
  try {
    const after = await work(change);
    if (after === undefined) return;
    change.holdOn(`What the proton ${before.id} is to be is not written yet.`);
    await writeRow(deps, asked, held, { ...after, change: null });
  } catch (err) {
    await writeRow(deps, askedAgain(asked), held, { ...held, change: null }).catch((cause: unknown) => {
      deps.log.warn({ proton: before.id, err: cause }, 'a change of a proton was given up, and ends by itself later');
    });
    throw err;
  }
}

/** Writes the row in the place of the one that is known. Throws `HTTPConflict` when it is another by now. */
export async function writeRow(
  deps: EngineDeps,
  asked: Asked,
  before: ProtonRow | undefined,
  after: ProtonRow,
): Promise<void> {
  const { id } = after;
  await deps.lock.run([objectKey(PROTON, id)], asked, () =>
    // What is loaded meanwhile does not matter: the row is compared.
    transact(deps, askedNow(deps, asked), ({ plan }) => {
      const row = plan.rely(PROTON, id) as AnyObject | undefined;
      if (JSON.stringify(row ?? null) !== JSON.stringify(before ?? null)) throw changedMeanwhile(id);
      const change = row === undefined ? null : changeOf(row);
      const isOthers = change !== null && change.id !== changeOf(before as unknown as AnyObject)?.id;
      if (isOthers && !isOver(change, deps.now())) throw changedMeanwhile(id);
      const next = { ...after, digest: digestOfRow(after) } as unknown as AnyObject;
      if (row === undefined) plan.create(PROTON, next);
      else plan.replace(PROTON, next);
    }),
  );
}

/** The request as if it had come now: what is loaded may be another than when it came. */
export function askedNow({ resources }: Pick<EngineDeps, 'resources'>, asked: Asked): Asked {
  const { credentials, signal, isGone, deadlineMs, idempotencyKey, wrote } = asked;
  return {
    ...{ credentials, signal, isGone, deadlineMs, idempotencyKey, loaded: resources.current },
    isSet: (parameter) => asked.isSet(parameter),
    ...(wrote === undefined ? {} : { wrote }),
  };
}

/** What is done to a proton's objects does who has loaded it as it is. Throws `ServiceUnavailable` when this server does not get there. */
export async function untilLoaded(deps: EngineDeps, { id }: Pick<ProtonRow, 'id'>, asked: Asked): Promise<void> {
  const end = performance.now() + LOADED_MS;
  for (;;) {
    const row = deps.tables.any(PROTON).get(id);
    if (row === undefined || deps.resources.current.protons.get(id) === row['digest']) return;
    if (performance.now() > end)
      throw new CableError('ServiceUnavailable', `This server has not loaded the proton ${id}: ask another one.`);
    await sleep(LOOK_MS, asked.signal);
  }
}

/** Ends what is over, so that whoever began it finds his row overwritten. */
export async function endOver(deps: EngineDeps, asked: Asked): Promise<void> {
  for (const row of [...deps.tables.any(PROTON).values()]) {
    const change = changeOf(row);
    if (change === null || !isOver(change, deps.now())) continue;
    const before = protonRow(row);
    await writeRow(deps, asked, before, { ...before, change: null }).catch((err: unknown) => {
      deps.log.debug({ proton: row.id, err }, 'a change that is over was ended by another server');
    });
  }
}

/** Throws when somebody else is at it. */
export function refuseChanging(deps: EngineDeps, row: ProtonRow): void {
  const change = changeOf(row as unknown as AnyObject);
  if (change !== null && !isOver(change, deps.now())) throw changedMeanwhile(row.id);
}

function changedMeanwhile(name: string): CableError {
  return new CableError('HTTPConflict', `The proton ${name} is being changed by another request.`, {
    detail: 'Look at it, and ask again.',
  });
}

function rowNow(deps: EngineDeps, id: string): AnyObject {
  const row = deps.tables.any(PROTON).get(id);
  if (row === undefined) throw new CableError('NotFound', `Proton ${id} could not be found.`, { label: 'Proton' });
  return row;
}

/** What has to be done whatever became of the request. */
function askedAgain(asked: Asked): Asked {
  const { credentials, idempotencyKey, loaded } = asked;
  const signal = AbortSignal.timeout(MARGIN_MS);
  return {
    ...{ credentials, idempotencyKey, loaded, signal },
    isSet: () => false,
    isGone: false,
    deadlineMs: performance.now() + MARGIN_MS,
  };
}

/** Which servers that are alive serve the proton as it is now, after the time that they may take for it, and that the request has. */
export async function whoServes(
  deps: EngineDeps,
  name: string,
  asked: Asked,
): Promise<readonly { readonly server: string; readonly state: 'serves it' | 'not yet' }[]> {
  const { tables, monotonicMs } = deps;
  const { signal } = asked;
  const end = monotonicMs() + Math.min(LOADED_MS, timeLeft(deps, asked) - ANSWER_MS);
  for (;;) {
    const digest = tables.any(PROTON).get(name)?.['digest'];
    const servers = [...tables.of('server').values()].map(({ id, place, protons }) => {
      const isCurrent = digest === undefined ? protons[name] === undefined : protons[name] === digest;
      return { server: place || id, state: isCurrent ? ('serves it' as const) : ('not yet' as const) };
    });
    if (servers.every(({ state }) => state === 'serves it') || monotonicMs() > end || signal.aborted) return servers;
    await sleep(LOOK_MS, signal);
  }
}
