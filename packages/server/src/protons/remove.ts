/** Takes away all objects of a proton, before the proton itself goes. */
import { type AnyObject, CableError } from '@cable/model';
import { checkRevision, PlanTooLarge, transact } from '../engine/commit.ts';
import type { Asked, EngineDeps, Planning } from '../engine/context.ts';
import { PROTON } from '../engine/fences.ts';
import type { Holder } from '../engine/registry.ts';
import { planDelete } from '../engine/write.ts';
import { askedNow, changeProton, type HoldOn, refuseChanging } from './change.ts';
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
  { leads, holdOn }: { readonly leads: string; readonly holdOn: HoldOn },
): Promise<void> {
  let size = STEP;
  for (;;) {
    const places = loose(deps, proton, size);
    const ring = places.length > 0 ? undefined : ringOf(deps, proton);
    const step = ring ?? places;
    if (step.length === 0) return;
    holdOn(`Objects of ${proton} are being removed: ${countOf(deps, proton)} are left.`);
    try {
      await transact(deps, askedNow(deps, asked), (planning) => removeStep(planning, step), { leads });
    } catch (err) {
      if (!(err instanceof PlanTooLarge) || size === 1 || ring !== undefined) throw err;
      size = Math.ceil(size / 2);
    }
  }
}

function removeStep(planning: Planning, step: readonly Place[]): void {
  const { deps, plan } = planning;
  const going = new Set(step.map(keyOf));
  for (const { type, id } of step) {
    const row = plan.get(type, id) as AnyObject | undefined;
    if (row === undefined) continue;
    const gone = ({ holder, index }: Holder): boolean =>
      plan.by(holder.type, index, id).every((one) => going.has(keyOf({ type: holder.type, id: one.id })));
    planDelete(planning, deps.resources.named(type), row, new Set(restricting(deps, type).filter(gone)));
  }
}

function countOf({ tables, resources }: EngineDeps, proton: string): number {
  return resources.current.typesOf(proton).reduce((sum, type) => sum + tables.any(type).size, 0);
}

/** Objects to which nothing refers that would keep them. */
function loose(deps: EngineDeps, proton: string, most: number): readonly Place[] {
  const found: Place[] = [];
  for (const type of [...deps.resources.current.typesOf(proton)].reverse()) {
    const holders = restricting(deps, type);
    for (const { id } of deps.tables.any(type).values()) {
      if (holders.some(({ holder, index }) => deps.tables.any(holder.type).count(index, id) > 0)) continue;
      found.push({ type, id });
      if (found.length === most) return found;
    }
  }
  return found;
}

/** Where each is referred to: one, with all that refers to it, over however many. Empty: there is nothing. */
function ringOf(deps: EngineDeps, proton: string): readonly Place[] {
  const first = firstOf(deps, proton);
  if (first === undefined) return [];
  const found = new Map([[keyOf(first), first]]);
  // What is added is looked at, too.
  for (const place of found.values()) for (const one of holdersOf(deps, place)) found.set(keyOf(one), one);
  return [...found.values()];
}

function firstOf({ tables, resources }: EngineDeps, proton: string): Place | undefined {
  for (const type of resources.current.typesOf(proton)) {
    for (const { id } of tables.any(type).values()) return { type, id };
  }
  return undefined;
}

function holdersOf(deps: EngineDeps, { type, id }: Place): readonly Place[] {
  return restricting(deps, type).flatMap(({ holder, index }) =>
    deps.tables
      .any(holder.type)
      .by(index, id)
      .map((one) => ({ type: holder.type, id: one.id })),
  );
}

function restricting({ resources }: EngineDeps, type: string): readonly Holder[] {
  return resources.holdersOf(type).filter(({ onDelete }) => onDelete === 'restrict');
}

const keyOf = ({ type, id }: Place): string => `${type}/${id}`;
