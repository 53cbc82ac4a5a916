/**
 * Create, update and delete of any declared resource, and transactions of several objects. One request is one store transaction: the objects, and what is made of
 * them (references, claims, marks), all compared with what the tables showed; on a conflict it is planned anew.
 */
import { type Attributes, inBulk, type ParsedObject } from '@cable/api';
import { startTurns } from '@cable/kit';
import { type AnyObject, CableError, grantedAttributes, type ResourceModel } from '@cable/model';
import { objectKey } from '../keys.ts';
import type { Deed } from '../policy/authorize.ts';
import { NOBODYS_PROJECT } from '../policy/credentials.ts';
import { isMadeUp } from './arbiter.ts';
import { checkRevision, PlanTooLarge, transact } from './commit.ts';
import { complete } from './complete.ts';
import type { Asked, EngineDeps, Planning } from './context.ts';
import { REQUEST } from './hidden.ts';
import { findRepeated, repeatableId, requestOf } from './idempotency.ts';
import { isGiven, rowOrImplied, takenBack } from './implied.ts';
import { refuseUnloaded } from './loaded-types.ts';
import type { Given, Instead } from './module.ts';
import { isPlugging, isWayOut, refuseOfCluster, refusePartOfCluster } from './of-clusters.ts';
import { mayNameProject, permit } from './permission.ts';
import { lookAt } from './plan.ts';
import { notFound } from './read.ts';
import { checkReferences, reviseParents } from './references.ts';
import type { Holder } from './registry.ts';
import { NO_PROJECT, slotLockKeys, takeSlot } from './slots.ts';
import { layTombstone } from './tombstones.ts';
import { vetted } from './vet.ts';

/** Creates all or none. */
export async function createObjects(
  deps: EngineDeps,
  resource: ResourceModel,
  given: readonly ParsedObject[],
  asked: Asked,
): Promise<readonly AnyObject[]> {
  const starts = given.map((one, place): Start => {
    try {
      const object = startObject(deps, resource, one.attributes, asked, { place, count: given.length });
      return { object, given: one.given };
    } catch (err) {
      throw given.length > 1 ? inBulk(err, resource, place) : err;
    }
  });
  const keys = starts.flatMap(({ object }) => [
    ...parentKeys(deps, resource, object),
    ...lockKeys(deps, resource, object),
    ...slotLockKeys(deps, resource, object.project_id),
  ]);
  const created = await deps.lock.run(keys, asked, () => createTogether(deps, resource, starts, asked));
  return settled(deps, resource, created, asked);
}

async function settled(
  deps: EngineDeps,
  resource: ResourceModel,
  created: readonly AnyObject[],
  asked: Asked,
): Promise<readonly AnyObject[]> {
  const settles = deps.modules.of(resource.type).flatMap((one) => one.settle ?? []);
  if (settles.length === 0) return created;
  for (const object of created) {
    // It is made, whatever becomes of the rest: what is left is done without the request.
    for (const settle of settles)
      await settle(deps, object, asked).catch((err: unknown) => logUnsettled(deps, object, err));
  }
  return created.map((object) => deps.tables.any(resource.type).get(object.id) ?? object);
}

function logUnsettled({ log }: EngineDeps, { id }: AnyObject, err: unknown): void {
  log.warn({ id, err }, 'what an object takes besides is left to be done later');
}

/** Changes the given attributes. `ifRevision`: refuse unless the object's revision_number is this; null: any. */
export async function updateObject(
  deps: EngineDeps,
  resource: ResourceModel,
  id: string,
  given: Attributes,
  asked: Asked,
  ifRevision: number | null = null,
): Promise<AnyObject> {
  const changes = Object.keys(given).length > 0 ? given : blankOf(deps, resource);
  if (!resource.stored) {
    const { update } = insteadOf(deps, resource);
    if (update === undefined) throw new Error(`nothing changes objects of ${resource.type}`);
    return update(deps, id, changes, asked);
  }
  const known = deps.tables.any(resource.type).get(id) ?? {};
  const others = [known, { ...known, ...changes }].flatMap((one) => lockKeys(deps, resource, one));
  const arbiter = resource.type === 'port' ? deps.arbiter?.current : undefined;
  const build = async (planning: Planning): Promise<AnyObject> => {
    deps.fences?.of(resource.type, undefined);
    if (planning.plan.get(resource.type, id) === undefined) {
      const others = arbiter?.update(planning, id, changes, ifRevision);
      if (others !== undefined) return others;
    }
    const before = permittedRow(planning, resource, id, (row) => ({ verb: 'update', before: row, changes }));
    if (!isWayOut(before, changes)) {
      if (!isPlugging(before, changes)) refuseOfCluster(planning, resource, before);
      refusePartOfCluster(planning, resource, before);
    }
    checkRevision(before, ifRevision);
    checkReferences(planning, resource, changes);
    const after = planUpdate(planning, resource, before, changes);
    return after === before ? after : vetted(planning, resource.type, after, before);
  };
  const updated = await deps.lock.run([objectKey(resource.type, id), ...others], asked, async () => {
    try {
      return await transact(deps, asked, build);
    } catch (err) {
      throw err instanceof PlanTooLarge ? tooMany(resource, 1, err) : err;
    }
  });
  if (asked.isDryRun === true) return updated;
  if (arbiter !== undefined && isMadeUp(updated)) return arbiter.settled(deps, id, asked);
  return settledUpdate(deps, resource, updated, asked);
}

/** What others do about the change, as far as the request has time for it. */
async function settledUpdate(
  deps: EngineDeps,
  { type }: ResourceModel,
  updated: AnyObject,
  asked: Asked,
): Promise<AnyObject> {
  const settles = deps.modules.of(type).flatMap((one) => one.settleUpdate ?? []);
  for (const settle of settles) await settle(deps, updated, asked);
  return settles.length === 0 ? updated : (deps.tables.any(type).get(updated.id) ?? updated);
}

function blankOf({ modules }: EngineDeps, { type }: ResourceModel): Attributes {
  return Object.assign({}, ...modules.of(type).map(({ blank }) => blank));
}

/** Deletes the object and what cascades from it. Refused while anything else refers to it. `served`: the form; of an implied object goes what that has. */
export async function deleteObject(
  deps: EngineDeps,
  resource: ResourceModel,
  id: string,
  asked: Asked,
  ifRevision: number | null = null,
  served: ResourceModel = resource,
): Promise<void> {
  if (!resource.stored) {
    const { remove } = insteadOf(deps, resource);
    if (remove === undefined) throw new Error(`nothing deletes objects of ${resource.type}`);
    return remove(deps, id, asked);
  }
  const build = async (planning: Planning): Promise<void> => {
    const row = permittedRow(planning, resource, id, (before) => ({ verb: 'delete', before }));
    refuseOfCluster(planning, resource, row);
    refusePartOfCluster(planning, resource, row);
    checkRevision(row, ifRevision);
    if (!isGiven(served, row)) throw notFound(resource, id);
    if (resource.implied === true) planUpdate(planning, resource, row, takenBack(served));
    else planDelete(planning, resource, row, await layTombstone(planning, resource, row));
  };
  const arbiter = resource.type === 'port' ? deps.arbiter?.current : undefined;
  if (arbiter?.row(resource.type, id) !== undefined && deps.tables.any(resource.type).get(id) === undefined) {
    const isGone = await deps.lock.run([objectKey(resource.type, id)], asked, () =>
      transact(deps, asked, (planning) => arbiter.remove(planning, id, ifRevision)),
    );
    if (isGone) return;
  }
  for (const one of deps.modules.of(resource.type)) {
    if (await one.clear?.(deps, id, asked, ifRevision)) return;
  }
  const row = deps.tables.any(resource.type).get(id) ?? {};
  const locks = [objectKey(resource.type, id), ...parentKeys(deps, resource, row), ...lockKeys(deps, resource, row)];
  await deps.lock.run(locks, asked, async () => {
    try {
      await transact(deps, asked, build);
    } catch (err) {
      throw err instanceof PlanTooLarge ? tooManyParts(resource, id, err) : err;
    }
  });
  deps.sweeper.deleted(resource.type, id);
}

function insteadOf({ modules }: EngineDeps, { type }: ResourceModel): Instead {
  return Object.assign({}, ...modules.of(type).map(({ instead }) => instead));
}

/** Plans the creation of one object; answers it. Also for objects that others make. */
export function planCreate(planning: Planning, resource: ResourceModel, given: Given<AnyObject>): AnyObject {
  const { deps, plan } = planning;
  refuseUnloaded(deps, resource);
  const contributions = deps.modules.of(resource.type);
  const derived: Given<AnyObject> = { ...given };
  if (resource.standard) {
    Object.assign(derived, { created_at: plan.timestamp, updated_at: plan.timestamp, revision_number: 1 });
  }
  for (const one of contributions) Object.assign(derived, one.derive?.(planning, derived));
  Object.assign(derived, takeSlot(planning, resource, String(derived.project_id)));
  const object = complete(resource, derived);
  for (const one of contributions) one.check?.(plan, object, undefined);
  refuseKnownKey(planning, resource, object.id);
  plan.create(resource.type, object);
  reviseParents(planning, resource, undefined, object);
  for (const one of contributions) one.created?.(planning, object);
  return object;
}

/** A key that a client chose may be another object's. */
function refuseKnownKey({ plan }: Planning, { type, key, label, givenId }: ResourceModel, id: string): void {
  if ((key === 'id' && givenId !== true) || plan.get(type, id) === undefined) return;
  throw new CableError('HTTPConflict', `There is a ${label} with ${key} ${id.slice(0, 300)} already.`, {
    fields: { id },
  });
}

/** Plans a change of one object; answers the object after it. Writes nothing when nothing changes. */
export function planUpdate(
  planning: Planning,
  resource: ResourceModel,
  before: AnyObject,
  changes: Attributes,
): AnyObject {
  const { deps, plan } = planning;
  const contributions = deps.modules.of(resource.type);
  const changed: AnyObject = { ...before, ...changes };
  for (const one of contributions) Object.assign(changed, one.change?.(planning, before, changed, changes));
  const after = withoutInputs(resource, withoutGranted(resource, changed));
  if (isAlike(before, after)) return before;
  for (const one of contributions) one.check?.(plan, after, before);
  reviseParents(planning, resource, before, after);
  if (plan.get(resource.type, before.id) === undefined) plan.create(resource.type, before);
  const written = plan.replace(resource.type, after);
  for (const one of contributions) one.changed?.(planning, before, written);
  return written;
}

/** Attribute by attribute: what an update leaves as it is is the same value. */
function isAlike(before: AnyObject, after: AnyObject): boolean {
  const isSame = (name: string): boolean =>
    before[name] === after[name] || JSON.stringify(before[name]) === JSON.stringify(after[name]);
  return Object.keys(after).every(isSame) && Object.keys(before).every((name) => Object.hasOwn(after, name));
}

/** What is true to some and not to others is not stored: contributions have taken from it what it stands for. */
function withoutGranted(resource: ResourceModel, object: AnyObject): AnyObject {
  const names = grantedAttributes(resource).map(([name]) => name);
  if (!names.some((name) => name in object)) return object;
  return Object.fromEntries(Object.entries(object).filter(([name]) => !names.includes(name))) as AnyObject;
}

/** What a client gives besides the object's own is not stored: contributions have looked at it. */
function withoutInputs({ attributes }: ResourceModel, object: AnyObject): AnyObject {
  const inputs = inputsOf(attributes);
  if (!inputs.some((name) => name in object)) return object;
  return Object.fromEntries(Object.entries(object).filter(([name]) => !inputs.includes(name))) as AnyObject;
}

const inputNames = new WeakMap<ResourceModel['attributes'], readonly string[]>();

function inputsOf(attributes: ResourceModel['attributes']): readonly string[] {
  const known = inputNames.get(attributes);
  if (known !== undefined) return known;
  const made = Object.keys(attributes).filter((name) => attributes[name]?.input === true);
  inputNames.set(attributes, made);
  return made;
}

/** Plans the deletion of one object and of what cascades from it. `buried`: those that refer to it by which somebody else sees to: parts that go by its tombstone, what goes in the same plan. */
export function planDelete(
  planning: Planning,
  resource: ResourceModel,
  row: AnyObject,
  buried: ReadonlySet<Holder> = NO_HOLDERS,
): void {
  const { deps, plan } = planning;
  if (plan.deletes(resource.type, row.id)) return;
  for (const one of deps.modules.of(resource.type)) one.remove?.(planning, row);
  plan.delete(resource.type, row.id);
  const all = deps.resources.holdersOf(resource.type);
  for (const { holder, index } of all.filter((one) => one.onDelete === 'restrict' && !buried.has(one))) {
    const holders = plan.by(holder.type, index, row.id);
    if (holders.length > 0) throw inUse(deps, resource, row, { type: holder.type, holders });
  }
  for (const one of all) {
    if (one.onDelete !== 'cascade' || buried.has(one)) continue;
    const { holder, index } = one;
    for (const part of plan.by(holder.type, index, row.id)) planDelete(planning, holder, part);
  }
  reviseParents(planning, resource, row, undefined);
  for (const one of deps.modules.of(resource.type)) one.removed?.(planning, row);
}

/** How many of what is in the way an error names. */
const MOST_HOLDERS = 100;
const NO_HOLDERS: ReadonlySet<Holder> = new Set();

/** A row with which the caller may do something. Throws `NotFound`, or `PolicyNotAuthorized` when it is visible but not for that. */
export function permittedRow(
  planning: Planning,
  resource: ResourceModel,
  id: string,
  deed: (row: AnyObject) => Deed,
): AnyObject {
  const row = rowOrImplied(resource, id, planning.plan.get(resource.type, id));
  if (row === undefined) throw notFound(resource, id);
  permit(planning, resource, id, deed(row));
  return row;
}

function startObject(
  deps: EngineDeps,
  resource: ResourceModel,
  attributes: Attributes,
  { credentials, idempotencyKey }: Asked,
  { place, count }: { readonly place: number; readonly count: number },
): Given<AnyObject> {
  const projectId = attributes['project_id'] ?? credentials.projectId;
  if (typeof projectId !== 'string' || projectId === NO_PROJECT || projectId === NOBODYS_PROJECT) {
    throw new CableError(
      'HTTPBadRequest',
      'Invalid input for project_id. Reason: the request is of no project: name the one that is to own it.',
    );
  }
  if (projectId !== credentials.projectId && !mayNameProject(deps, credentials)) {
    throw new CableError(
      'HTTPBadRequest',
      "Specifying 'project_id' or 'tenant_id' other than the authenticated project in request requires admin or advsvc privileges",
    );
  }
  if (resource.key !== 'id') {
    const id = String(attributes[resource.key] ?? deps.newId());
    return { ...attributes, project_id: projectId, id, [resource.key]: id };
  }
  if (typeof attributes['id'] === 'string') return { ...attributes, project_id: projectId, id: attributes['id'] };
  if (idempotencyKey === null) return { ...attributes, project_id: projectId, id: deps.newId() };
  const start = { ...attributes, project_id: projectId };
  const id = repeatableId(deps.idSecret, credentials, resource.type, idempotencyKey, place);
  return { ...start, id, [REQUEST]: requestOf(start, count) };
}

/** An object to be made, and the names that its client gave. */
type Start = { readonly object: Given<AnyObject>; readonly given: readonly string[] };

/** All or none, in one transaction; many are planned in turns. */
async function createTogether(
  deps: EngineDeps,
  resource: ResourceModel,
  starts: readonly Start[],
  asked: Asked,
): Promise<readonly AnyObject[]> {
  const objects = starts.map((one) => one.object);
  const build = async (planning: Planning): Promise<readonly AnyObject[]> => {
    // Before anything is planned that could not be written.
    deps.fences?.of(resource.type, undefined);
    const repeated = findRepeated(planning.plan, resource, objects);
    if (repeated !== undefined) return repeated;
    const turns = startTurns();
    const created: AnyObject[] = [];
    for (const [index, start] of starts.entries()) {
      try {
        created.push(planOne(planning, resource, start));
      } catch (err) {
        throw starts.length > 1 ? inBulk(err, resource, index) : err;
      }
      if (turns.due()) await turns.next();
    }
    return vetAll(planning, resource, created);
  };
  try {
    return await transact(deps, asked, build);
  } catch (cause) {
    throw cause instanceof PlanTooLarge ? tooMany(resource, starts.length, cause) : unknownOutcome(objects, cause);
  }
}

/** How many of one request are asked about at a time. */
const VETTED_AT_ONCE = 16;

async function vetAll(
  planning: Planning,
  resource: ResourceModel,
  objects: readonly AnyObject[],
): Promise<readonly AnyObject[]> {
  if (!planning.deps.modules.of(resource.type).some(({ vet }) => vet !== undefined)) return objects;
  const done: AnyObject[] = [];
  for (let at = 0; at < objects.length; at += VETTED_AT_ONCE) {
    const some = objects.slice(at, at + VETTED_AT_ONCE).map(async (object, place) => {
      try {
        return await vetted(planning, resource.type, object, undefined);
      } catch (err) {
        throw objects.length > 1 ? inBulk(err, resource, at + place) : err;
      }
    });
    done.push(...(await Promise.all(some)));
  }
  return done;
}

function planOne(planning: Planning, resource: ResourceModel, { object, given }: Start): AnyObject {
  checkReferences(planning, resource, object);
  permit(planning, resource, object.id, { verb: 'create', object, given });
  refusePartOfCluster(planning, resource, object as AnyObject);
  return planCreate(planning, resource, object);
}

function tooMany(resource: ResourceModel, count: number, cause: PlanTooLarge): CableError {
  if (count === 1) {
    const times = cause.times.toFixed(1);
    const message = `With the ${resource.label} other objects change, ${times} times as much as the store takes at once.`;
    return new CableError('HTTPRequestEntityTooLarge', message, { cause });
  }
  const fit = Math.max(1, Math.floor((0.95 * count) / cause.times));
  const message = `${count} ${resource.plural} are more than the store takes at once: create at most ${fit} of them in one request.`;
  return new CableError('HTTPRequestEntityTooLarge', message, { cause });
}

function tooManyParts({ label }: ResourceModel, id: string, cause: PlanTooLarge): CableError {
  const message = `${label} ${id} has more parts than the store takes at once: delete some of them first.`;
  return new CableError('HTTPRequestEntityTooLarge', message, { cause });
}

/** Whoever is told that nobody knows whether an object was made is told its id. */
function unknownOutcome(starts: readonly Given<AnyObject>[], err: unknown): unknown {
  if (!(err instanceof CableError) || err.code !== 'OutcomeUnknown') return err;
  const ids = starts.slice(0, 10).map(({ id }) => id);
  const detail = `Look whether there is ${ids.join(', ')}${starts.length > ids.length ? ' and so on' : ''}.`;
  return new CableError('OutcomeUnknown', err.message, { cause: err.cause, detail });
}

/** Keys of the objects that this one's creation or deletion revises. */
function parentKeys(
  deps: EngineDeps,
  resource: ResourceModel,
  object: Readonly<Record<string, unknown>>,
): readonly string[] {
  const held = deps.resources.heldBy(resource, object);
  return held.filter((one) => one.onDelete === 'cascade').map((one) => objectKey(one.type, one.id));
}

function lockKeys(deps: EngineDeps, resource: ResourceModel, object: Partial<AnyObject>): readonly string[] {
  const look = lookAt(deps);
  return deps.modules.of(resource.type).flatMap((one) => one.lockKeys?.(object, look) ?? []);
}

function inUse(
  deps: EngineDeps,
  resource: ResourceModel,
  row: AnyObject,
  { type, holders }: { readonly type: string; readonly holders: readonly AnyObject[] },
): CableError {
  const ids = holders.slice(0, MOST_HOLDERS).map(({ id }) => id);
  for (const one of deps.modules.of(resource.type)) {
    const own = one.inUse?.(row, type, ids);
    if (own !== undefined) return own;
  }
  const { plural } = deps.resources.named(type);
  return new CableError('InUse', `${resource.label} ${row.id} is in use by ${plural}.`, { label: resource.label });
}
