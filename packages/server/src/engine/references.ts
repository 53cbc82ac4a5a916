import type { AnyObject, ResourceModel } from '@cable/model';
import type { Planning } from './context.ts';
import { rowsOf } from './permission.ts';
import { notFound } from './read.ts';
import type { HeldReference } from './registry.ts';

/**
 * Throws `<Label>NotFound` when a given reference leads to nothing that the caller may see. What lets him see another project's object must still be so when the
 * transaction commits: a network may cease to be shared meanwhile.
 */
export function checkReferences(
  { deps, plan, asked }: Planning,
  resource: ResourceModel,
  given: Readonly<Record<string, unknown>>,
): void {
  const view = deps.permission.policy.for(asked.credentials);
  const row = rowsOf(plan);
  for (const { type, id } of deps.resources.heldBy(resource, given)) {
    const target = plan.get(type, id);
    const model = deps.resources.named(type);
    const isSeen = target !== undefined && view.allows(`get_${type}`, { type, object: target, row });
    if (!isSeen) throw notFound(model, id);
    if (view.isAdmin || target['project_id'] === asked.credentials.projectId) continue;
    plan.rely(type, id);
    const through = seenThrough(model, target);
    if (through !== undefined) plan.rely(through.type, through.id);
  }
}

/** The object whose visibility also shows this one, e.g. the network of a subnet; undefined: none. */
function seenThrough(
  resource: ResourceModel,
  object: AnyObject,
): { readonly type: string; readonly id: string } | undefined {
  const through = resource.visibleThrough;
  const type = through === undefined ? undefined : resource.attributes[through]?.reference?.type;
  return type === undefined || through === undefined ? undefined : { type, id: String(object[through]) };
}

/** Raises the revision of what the object is part of, before and after: so no two changes of the parts of one object pass each other. */
export function reviseParents(
  { deps, plan }: Planning,
  resource: ResourceModel,
  before: AnyObject | undefined,
  after: AnyObject | undefined,
): void {
  const old = before === undefined ? [] : parentsOf(deps.resources.heldBy(resource, before));
  const now = after === undefined ? [] : parentsOf(deps.resources.heldBy(resource, after));
  const has = (all: readonly HeldReference[], { type, id }: HeldReference): boolean =>
    all.some((one) => one.type === type && one.id === id);
  for (const parent of now) if (!has(old, parent)) plan.revise(parent.type, parent.id);
  for (const parent of old) if (!has(now, parent)) plan.revise(parent.type, parent.id);
}

function parentsOf(references: readonly HeldReference[]): readonly HeldReference[] {
  return references.filter((one) => one.onDelete === 'cascade');
}
