/** Takes away all objects of a proton, before the proton itself goes. */
import { type AnyObject, CableError } from '@cable/model';
import { checkRevision, PlanTooLarge, transact } from '../engine/commit.ts';
import type { Asked, EngineDeps, Planning } from '../engine/context.ts';
import { PROTON } from '../engine/fences.ts';
import { planDelete } from '../engine/write.ts';
import { askedNow, changeProton, refuseChanging } from './change.ts';
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
  await changeProton(deps, asked, protonRow(row), async ({ id: leads, holdOn }) => {
    await removeAll(deps, id, asked, { leads, holdOn });
    await transact(deps, askedNow(deps, asked), (planning) => {
      const resource = deps.resources.named(PROTON);
      planDelete(planning, resource, planning.plan.rely(PROTON, id) as unknown as AnyObject);
    });
    return undefined;
  });
}

type Place = { readonly type: string; readonly id: string };

/** First what nothing refers to, until nothing is left. */
async function removeAll(
  deps: EngineDeps,
  proton: string,
  asked: Asked,
  { leads, holdOn }: { readonly leads: string; readonly holdOn: () => void },
): Promise<void> {
  let size = STEP;
  for (;;) {
    const step = loose(deps, proton, size);
    if (step.length === 0) return;
    holdOn();
    try {
      await transact(deps, askedNow(deps, asked), (planning) => removeStep(planning, step), { leads });
    } catch (err) {
      if (!(err instanceof PlanTooLarge) || size === 1) throw err;
      size = Math.ceil(size / 2);
    }
  }
}

function removeStep(planning: Planning, step: readonly Place[]): void {
  const { deps, plan } = planning;
  for (const { type, id } of step) {
    const row = plan.get(type, id) as AnyObject | undefined;
    if (row !== undefined) planDelete(planning, deps.resources.named(type), row);
  }
}

/** Objects to which nothing refers that would keep them; where all that is left is in a circle, any: the refusal says which. */
function loose({ tables, resources }: EngineDeps, proton: string, most: number): readonly Place[] {
  const found: Place[] = [];
  let any: Place | undefined;
  for (const type of [...resources.current.typesOf(proton)].reverse()) {
    const holders = resources.holdersOf(type).filter(({ onDelete }) => onDelete === 'restrict');
    for (const { id } of tables.any(type).values()) {
      any ??= { type, id };
      if (holders.some(({ holder, index }) => tables.any(holder.type).count(index, id) > 0)) continue;
      found.push({ type, id });
      if (found.length === most) return found;
    }
  }
  return found.length > 0 || any === undefined ? found : [any];
}
