/**
 * Create, update and delete of any declared resource. One request is one store transaction: the object, its references and
 * its claims (addresses, MACs, VNIs), all compared with what the tables showed; on a conflict it is planned anew.
 */
import type { Attributes, Caller } from '@cable/api';
import { startTurns } from '@cable/kit';
import { type AnyObject, CableError, type ResourceModel } from '@cable/model';
import { objectKey } from '../keys.ts';
import { PlanTooLarge, transact } from './commit.ts';
import type { ServiceDeps, WriteContext } from './context.ts';
import type { Given } from './module.ts';
import type { TxnPlan } from './plan.ts';
import { rowFor } from './read.ts';
import { checkReferences, planReferences } from './references.ts';
import { canWrite, isOwnedThrough } from './visibility.ts';

/** Creates all or none. */
export async function createObjects(
  deps: ServiceDeps,
  resource: ResourceModel,
  given: readonly Attributes[],
  caller: Caller,
): Promise<readonly AnyObject[]> {
  const starts = given.map((attributes) => startObject(deps, resource, attributes, caller));
  const hooks = deps.hooks[resource.type];
  for (const projectId of new Set(starts.map((one) => one.project_id))) {
    await hooks?.prepare?.(deps, caller, projectId, false);
  }
  const keys = starts.flatMap((one) => [...parentKeys(deps, resource, one), ...(hooks?.lockKeys?.(one) ?? [])]);
  return deps.lock.run(keys, () => createTogether(deps, resource, starts, caller));
}

/** Changes the given attributes. `ifRevision`: refuse unless the object's revision_number is this; null: any. */
export async function updateObject(
  deps: ServiceDeps,
  resource: ResourceModel,
  id: string,
  changes: Attributes,
  caller: Caller,
  ifRevision: number | null = null,
): Promise<AnyObject> {
  return deps.lock.run([objectKey(resource.type, id)], () =>
    transact(deps, (plan, attempt) => {
      const context = contextOf(deps, plan, attempt, caller);
      const before = writableRow(deps, resource, id, caller, 'update');
      checkRevision(before, ifRevision);
      checkReferences(context, resource, changes, caller);
      return planUpdate(context, resource, before, changes);
    }),
  );
}

/** Deletes the object and what cascades from it. Refused while anything else refers to it. */
export async function deleteObject(
  deps: ServiceDeps,
  resource: ResourceModel,
  id: string,
  caller: Caller,
  ifRevision: number | null = null,
): Promise<void> {
  const build = (plan: TxnPlan, attempt: number): void => {
    const context = contextOf(deps, plan, attempt, caller);
    const row = writableRow(deps, resource, id, caller, 'delete');
    checkRevision(row, ifRevision);
    planDelete(context, resource, row);
  };
  const locks = [
    objectKey(resource.type, id),
    ...parentKeys(deps, resource, deps.tables.any(resource.type).get(id) ?? {}),
  ];
  await deps.lock.run(locks, async () => {
    try {
      await transact(deps, build);
    } catch (err) {
      if (!(err instanceof PlanTooLarge)) throw err;
      // Its parts go first, some at a time; then what is left fits.
      await deleteParts(deps, resource, id, caller);
      await transact(deps, build);
    }
  });
}

/** Plans the creation of one object; answers it. Also for services that create objects of their own. */
export function planCreate(context: WriteContext, resource: ResourceModel, given: Given<AnyObject>): AnyObject {
  const { deps, plan, timestamp } = context;
  const hooks = deps.hooks[resource.type];
  const standard = resource.standard ? { created_at: timestamp, updated_at: timestamp, revision_number: 1 } : {};
  const derived = hooks?.create?.(context, given) ?? {};
  const object = complete(resource, { ...given, ...derived, ...standard });
  if (resource.key !== 'id') takeKey(context, resource, object.id);
  planReferences(context, resource, object.id, undefined, object);
  plan.create(resource.type, object);
  hooks?.created?.(context, object);
  return object;
}

/** A key that a client chose may be another object's. */
function takeKey({ plan }: WriteContext, { type, key, label }: ResourceModel, id: string): void {
  if (plan.get(type, id) !== undefined) {
    throw new CableError('HTTPConflict', `There is a ${label} with ${key} ${id.slice(0, 300)} already.`, {
      fields: { id },
    });
  }
  plan.requireAbsent(objectKey(type, id));
}

/** Plans a change of one object; answers the object after it. Writes nothing when nothing changes. */
export function planUpdate(
  context: WriteContext,
  resource: ResourceModel,
  before: AnyObject,
  changes: Attributes,
): AnyObject {
  const merged = { ...before, ...changes };
  const corrected = context.deps.hooks[resource.type]?.update?.(context, before, merged) ?? {};
  const after = { ...merged, ...corrected };
  if (JSON.stringify(after) === JSON.stringify(before)) return before;
  const object = {
    ...after,
    updated_at: context.timestamp,
    revision_number: Number(before['revision_number'] ?? 0) + 1,
  };
  planReferences(context, resource, object.id, before, object);
  context.plan.replace(resource.type, object);
  return object;
}

/** Plans the deletion of one object and of what cascades from it. */
export function planDelete(context: WriteContext, resource: ResourceModel, row: AnyObject): void {
  const { deps, plan, tables } = context;
  if (plan.deletes(resource.type, row.id)) return;
  deps.hooks[resource.type]?.delete?.(context, row);
  plan.delete(resource.type, row.id);
  const all = deps.resources.holdersOf(resource.type);
  for (const { holder, index } of all.filter((one) => one.onDelete === 'restrict')) {
    if (tables.any(holder.type).by(index, row.id).length > 0) throw inUse(deps, resource, row, holder.type);
    plan.requireUnreferenced(resource.type, row.id, holder.type);
  }
  for (const { holder, index } of all.filter((one) => one.onDelete === 'cascade')) {
    for (const part of tables.any(holder.type).by(index, row.id)) planDelete(context, holder, part);
  }
  planReferences(context, resource, row.id, row, undefined);
}

/** What a hook gets for one attempt. */
export function contextOf(deps: ServiceDeps, plan: TxnPlan, attempt: number, caller: Caller): WriteContext {
  return { deps, tables: deps.tables, plan, caller, timestamp: formatTime(deps.now()), attempt, isService: false };
}

/** Neutron's form: whole seconds, UTC. */
function formatTime(time: Date): string {
  return `${time.toISOString().slice(0, 19)}Z`;
}

/** A row that the caller may change. Throws `NotFound`, or `PolicyNotAuthorized` when it is visible but another's. */
export function writableRow(
  deps: ServiceDeps,
  resource: ResourceModel,
  id: string,
  caller: Caller,
  verb: string,
): AnyObject {
  const row = rowFor(deps, resource, id, caller);
  if (canWrite(row, caller) || (verb === 'delete' && isOwnedThrough(deps, resource, row, caller))) return row;
  throw new CableError('PolicyNotAuthorized', `rule:${verb}_${resource.type} is disallowed by policy`, {
    fields: { id },
  });
}

function startObject(
  deps: ServiceDeps,
  resource: ResourceModel,
  attributes: Attributes,
  caller: Caller,
): Given<AnyObject> {
  const projectId = attributes['project_id'] ?? caller.projectId;
  if (typeof projectId !== 'string' || projectId === '') {
    throw new CableError('HTTPBadRequest', 'Invalid input for project_id. Reason: the project is not known.');
  }
  if (projectId !== caller.projectId && !caller.isAdmin) {
    throw new CableError(
      'HTTPBadRequest',
      "Specifying 'project_id' or 'tenant_id' other than the authenticated project in request requires admin privileges",
    );
  }
  if (resource.key === 'id') return { ...attributes, id: deps.newId(), project_id: projectId };
  const id = String(attributes[resource.key] ?? deps.newId());
  return { ...attributes, id, [resource.key]: id, project_id: projectId };
}

/** All or none, in one transaction; many are planned in turns. */
async function createTogether(
  deps: ServiceDeps,
  resource: ResourceModel,
  starts: readonly Given<AnyObject>[],
  caller: Caller,
): Promise<readonly AnyObject[]> {
  const build = async (plan: TxnPlan, attempt: number): Promise<readonly AnyObject[]> => {
    const context = contextOf(deps, plan, attempt, caller);
    const turns = startTurns();
    const created: AnyObject[] = [];
    for (const start of starts) {
      checkReferences(context, resource, start, caller);
      created.push(planCreate(context, resource, start));
      if (turns.due()) await turns.next();
    }
    return created;
  };
  try {
    return await transact(deps, build);
  } catch (cause) {
    if (!(cause instanceof PlanTooLarge)) throw cause;
    const fit = Math.max(1, Math.floor((0.95 * starts.length) / cause.times));
    const message = `${starts.length} ${resource.plural} are more than the store takes at once: create at most ${fit} of them in one request.`;
    throw new CableError('HTTPRequestEntityTooLarge', message, { cause });
  }
}

async function deleteParts(deps: ServiceDeps, resource: ResourceModel, id: string, caller: Caller): Promise<void> {
  for (const { holder, index, onDelete } of deps.resources.holdersOf(resource.type)) {
    if (onDelete === 'cascade') await deleteMany(deps, holder, deps.tables.any(holder.type).by(index, id), caller);
  }
}

async function deleteMany(
  deps: ServiceDeps,
  resource: ResourceModel,
  rows: readonly AnyObject[],
  caller: Caller,
): Promise<void> {
  const size = 16;
  for (let at = 0; at < rows.length; at += size) {
    await transact(deps, (plan, attempt) => {
      const context = contextOf(deps, plan, attempt, caller);
      for (const { id } of rows.slice(at, at + size)) {
        const row = deps.tables.any(resource.type).get(id);
        if (row !== undefined) planDelete(context, resource, row);
      }
    });
  }
}

/** Every stored attribute has a value: null where neither the client nor a hook gave one. */
function complete(
  resource: ResourceModel,
  given: Readonly<Record<string, unknown>> & { readonly id: string },
): AnyObject {
  const object: Record<string, unknown> = { id: given.id };
  for (const [name, attribute] of Object.entries(resource.storedAttributes)) {
    object[name] = given[name] ?? attribute.default ?? null;
  }
  return object as AnyObject;
}

/** Keys of the objects that this one's creation or deletion revises. */
function parentKeys(
  deps: ServiceDeps,
  resource: ResourceModel,
  object: Readonly<Record<string, unknown>>,
): readonly string[] {
  const held = deps.resources.heldBy(resource, object);
  return held.filter((one) => one.onDelete === 'cascade').map((one) => objectKey(one.type, one.id));
}

function checkRevision(row: AnyObject, ifRevision: number | null): void {
  if (ifRevision === null || row['revision_number'] === ifRevision) return;
  throw new CableError(
    'RevisionNumberConstraintFailed',
    `Constrained to ${ifRevision}, but current revision is ${row['revision_number']}`,
  );
}

function inUse(deps: ServiceDeps, resource: ResourceModel, row: AnyObject, holderType: string): CableError {
  const own = deps.hooks[resource.type]?.inUse?.(row, holderType);
  if (own !== undefined) return own;
  const { plural } = deps.resources.named(holderType);
  return new CableError('InUse', `${resource.label} ${row.id} is in use by ${plural}.`, { label: resource.label });
}
