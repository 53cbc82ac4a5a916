/** Others are asked about what a transaction writes before it is sent: about each object once, whoever planned it. */
import type { AnyObject } from '@cable/model';
import type { Planning } from './context.ts';

/** The planned object when all who have to be asked about it take it. Throws what they say. */
export async function vetted(
  planning: Planning,
  type: string,
  object: AnyObject,
  before: AnyObject | undefined,
): Promise<AnyObject> {
  let now = object;
  for (const { vet } of planning.deps.modules.of(type)) {
    if (vet !== undefined) now = await vet(planning, now, before);
  }
  planning.plan.setVetted(type, now);
  return now;
}

/** What nobody was asked about yet: what actions, and other objects' hooks, have planned. */
export async function vetOthers(planning: Planning): Promise<void> {
  const { deps, plan } = planning;
  for (const { type, before, after } of plan.unvetted()) {
    if (!deps.modules.of(type).some(({ vet }) => vet !== undefined)) continue;
    await vetted(planning, type, after, before);
  }
}
