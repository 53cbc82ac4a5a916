import type { Caller } from '@cable/api';
import type { AnyObject, ResourceModel } from '@cable/model';
import type { ResourceRegistry } from './registry.ts';
import type { Look } from './view.ts';

type Deps = { readonly resources: ResourceRegistry; readonly look: Pick<Look, 'get'> };

/** True when the caller may know of the object. */
export function canSee(deps: Deps, resource: ResourceModel, object: AnyObject, caller: Caller): boolean {
  if (caller.isAdmin) return true;
  if (resource.adminOnly) return false;
  if (object['project_id'] === caller.projectId) return true;
  if (resource.sharedBy !== undefined && object[resource.sharedBy] === true) return true;
  return isSharedThrough(deps, resource, object) || isOwnedThrough(deps, resource, object, caller);
}

function isSharedThrough(deps: Deps, resource: ResourceModel, object: AnyObject): boolean {
  const through = seenThrough(resource, object);
  if (through === undefined) return false;
  const { sharedBy } = deps.resources.named(through.type);
  return sharedBy !== undefined && deps.look.get(through.type, through.id)?.[sharedBy] === true;
}

/** True when the object is part of one that the caller's project owns, e.g. another's port on its network. */
export function isOwnedThrough(deps: Deps, resource: ResourceModel, object: AnyObject, caller: Caller): boolean {
  const owner = targetOf(resource, object, resource.ownedThrough);
  return owner !== undefined && deps.look.get(owner.type, owner.id)?.['project_id'] === caller.projectId;
}

/** The object whose visibility also shows this one, e.g. the network of a subnet; undefined: none. */
export function seenThrough(
  resource: ResourceModel,
  object: AnyObject,
): { readonly type: string; readonly id: string } | undefined {
  return targetOf(resource, object, resource.visibleThrough);
}

function targetOf(
  resource: ResourceModel,
  object: AnyObject,
  through: string | undefined,
): { readonly type: string; readonly id: string } | undefined {
  const type = through === undefined ? undefined : resource.attributes[through]?.reference?.type;
  return type === undefined || through === undefined ? undefined : { type, id: String(object[through]) };
}

/** True when the caller may change the object. */
export function canWrite(object: AnyObject, caller: Caller): boolean {
  return caller.isAdmin || object['project_id'] === caller.projectId;
}

/** True when a non-admin may see objects of other projects: a list then has to look at every row. */
export function hasSharedObjects(resource: ResourceModel): boolean {
  return resource.sharedBy !== undefined || resource.visibleThrough !== undefined;
}
