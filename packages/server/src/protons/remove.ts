/** Takes away all objects of a proton, before the proton itself goes. */
import { type AnyObject, CableError } from '@cable/model';
import { checkRevision, transact } from '../engine/commit.ts';
import type { Asked, EngineDeps } from '../engine/context.ts';
import { PROTON } from '../engine/fences.ts';
import { planDelete } from '../engine/write.ts';
import { changeProton, refuseChanging } from './change.ts';
import { protonRow } from './proton-row.ts';

/** Objects of one transaction. */
const STEP = 100;

/** Parts before their wholes, the proton last; nobody else writes any meanwhile. Throws what keeps one: then those before it are gone. */
export async function removeObjects(
  deps: EngineDeps,
  id: string,
  asked: Asked,
  ifRevision: number | null,
): Promise<void> {
  const row = deps.tables.any(PROTON).get(id);
  if (row === undefined) throw new CableError('NotFound', `Proton ${id} could not be found.`, { label: 'Proton' });
  checkRevision(row, ifRevision);
  refuseChanging(deps, protonRow(row));
  const types = [...deps.resources.current.typesOf(id)].reverse();
  await changeProton(deps, asked, protonRow(row), async ({ id: leads, holdOn }) => {
    for (const type of types) await removeAll(deps, type, asked, { leads, holdOn });
    await transact(deps, asked, (planning) => {
      const resource = deps.resources.named(PROTON);
      planDelete(planning, resource, planning.plan.rely(PROTON, id) as unknown as AnyObject);
    });
    return undefined;
  });
}

async function removeAll(
  deps: EngineDeps,
  type: string,
  asked: Asked,
  { leads, holdOn }: { readonly leads: string; readonly holdOn: () => void },
): Promise<void> {
  const resource = deps.resources.named(type);
  for (;;) {
    const step = [...deps.tables.any(type).values()].slice(0, STEP);
    if (step.length === 0) return;
    holdOn();
    await transact(
      deps,
      asked,
      (planning) => {
        for (const { id } of step) {
          const row = planning.plan.get(type, id) as AnyObject | undefined;
          if (row !== undefined) planDelete(planning, resource, row);
        }
      },
      { leads },
    );
  }
}
