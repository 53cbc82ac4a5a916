import type { Caller } from '@cable/api';
import type { AnyObject, ResourceModel } from '@cable/model';
import type { ServiceDeps, WriteContext } from './context.ts';
import { notFound } from './read.ts';
import type { HeldReference } from './registry.ts';
import { canSee } from './visibility.ts';

/** Every reference of an object, declared and by hook. */
function heldReferences(
  deps: Pick<ServiceDeps, 'resources' | 'hooks'>,
  resource: ResourceModel,
  object: Readonly<Record<string, unknown>>,
): readonly HeldReference[] {
  const declared = deps.resources.heldBy(resource, object);
  const extra = deps.hooks[resource.type]?.references?.(object as AnyObject) ?? [];
  return [...declared, ...extra];
}

/** Throws `<Label>NotFound` when a given reference leads to nothing that the caller may see. */
export function checkReferences(
  context: WriteContext,
  resource: ResourceModel,
  given: Readonly<Record<string, unknown>>,
  caller: Caller,
): void {
  const { deps, plan } = context;
  for (const { type, id } of deps.resources.heldBy(resource, given)) {
    const target = plan.get(type, id);
    const model = deps.resources.named(type);
    if (target === undefined || !canSee(deps, model, target, caller)) throw notFound(model, id);
  }
}

/** Writes the difference between the references of two states of an object (undefined: it is not there). */
export function planReferences(
  context: WriteContext,
  resource: ResourceModel,
  id: string,
  before: AnyObject | undefined,
  after: AnyObject | undefined,
): void {
  const old = keyed(before === undefined ? [] : heldReferences(context.deps, resource, before));
  const now = keyed(after === undefined ? [] : heldReferences(context.deps, resource, after));
  for (const [key, reference] of now) if (!old.has(key)) add(context, resource, id, reference);
  for (const [key, reference] of old) if (!now.has(key)) remove(context, resource, id, reference);
}

function keyed(references: readonly HeldReference[]): ReadonlyMap<string, HeldReference> {
  return new Map(references.map((one) => [`${one.onDelete}/${one.type}/${one.id}`, one]));
}

/** A restricting reference has a key of its own; a cascading one revises its target, which a delete of the target compares. */
function add(context: WriteContext, resource: ResourceModel, id: string, reference: HeldReference): void {
  const { plan, timestamp } = context;
  if (reference.onDelete === 'cascade') {
    plan.revise(reference.type, reference.id, timestamp);
    return;
  }
  plan.requireExists(reference.type, reference.id);
  plan.addReference(reference.type, reference.id, resource.type, id);
}

function remove(context: WriteContext, resource: ResourceModel, id: string, reference: HeldReference): void {
  const { plan, timestamp } = context;
  if (reference.onDelete === 'cascade') plan.revise(reference.type, reference.id, timestamp);
  else plan.removeReference(reference.type, reference.id, resource.type, id);
}
