/** Writes objects that are stored as an older version of their proton has them as the storage version has them. */
import type { Attributes } from '@cable/api';
import { startTurns } from '@cable/kit';
import type { AnyObject } from '@cable/model';
import { STORED_VERSION } from '@cable/proton';
import { PlanTooLarge, transact } from '../engine/commit.ts';
import type { Asked, EngineDeps, Planning } from '../engine/context.ts';
import { PROTON } from '../engine/fences.ts';
import { planUpdate } from '../engine/write.ts';
import { askedNow, timeLeft, untilLoaded, whoServes } from './change.ts';
import { replaceRow, withStored } from './install.ts';
import { type ProtonRow, protonRow } from './proton-row.ts';

/** Objects of one transaction: the first, and at most. */
const STEP = 50;
const STEP_MOST = 400;

/** A transaction is to take about so long, in ms: others write between two. */
const STEP_MS = 500;

/** With less time than this the request is answered, and says what is left. */
const LATE_MS = 5000;

/** `PUT /cable/v1/protons/{name}/migrate`. */
export async function migrateProton(deps: EngineDeps, id: string, body: Attributes, asked: Asked): Promise<unknown> {
  const { to: version, dry_run: isDryRun = false } = body as { readonly to?: string; readonly dry_run?: boolean };
  const row = protonRow(deps.tables.any(PROTON).get(id) as AnyObject);
  await untilLoaded(deps, row, asked);
  if (isDryRun) return { migrated: 0, left: olderOf(deps, id, version ?? row.storage_version).length };
  const isOther = version !== undefined && version !== row.storage_version;
  if (isOther) {
    await storeAs(deps, row, version, asked);
    await whoServes(deps, id, asked);
  }
  await untilLoaded(deps, row, asked);
  return writeAll(deps, id, asked);
}

async function storeAs(deps: EngineDeps, row: ProtonRow, version: string, asked: Asked): Promise<void> {
  const versions = row.versions.map((one) => ({
    ...one,
    storage: one.version === version,
    served: one.served || one.version === version,
  }));
  await replaceRow(deps, asked, row, withStored({ ...row, versions }, row));
}

async function writeAll(deps: EngineDeps, id: string, asked: Asked): Promise<unknown> {
  const version = String(deps.tables.any(PROTON).get(id)?.['storage_version']);
  const older = olderOf(deps, id, version);
  let migrated = 0;
  let size = STEP;
  while (migrated < older.length && timeLeft(deps, asked) > LATE_MS) {
    const step = older.slice(migrated, migrated + size);
    const begun = deps.monotonicMs();
    try {
      await transact(deps, askedNow(deps, asked), (planning) => writeStep(planning, step, version));
    } catch (err) {
      if (!(err instanceof PlanTooLarge) || size === 1) throw err;
      size = Math.ceil(size / 2);
      continue;
    }
    migrated += step.length;
    const isSlow = deps.monotonicMs() - begun > STEP_MS;
    size = isSlow ? Math.ceil(size / 2) : Math.min(STEP_MOST, step.length * 2);
  }
  return { migrated, left: olderOf(deps, id, version).length };
}

async function writeStep(planning: Planning, step: readonly Place[], version: string): Promise<void> {
  const { deps, plan } = planning;
  const turns = startTurns();
  for (const { type, id } of step) {
    if (turns.due()) await turns.next();
    const row = plan.rely(type, id) as AnyObject | undefined;
    if (row === undefined || row[STORED_VERSION] === version) continue;
    planUpdate(planning, deps.resources.named(type), row, { [STORED_VERSION]: version });
  }
}

type Place = { readonly type: string; readonly id: string };

function olderOf({ tables, resources }: EngineDeps, proton: string, version: string): readonly Place[] {
  return resources.current
    .typesOf(proton)
    .flatMap((type) =>
      [...tables.any(type).values()].flatMap((row) => (row[STORED_VERSION] === version ? [] : [{ type, id: row.id }])),
    );
}
