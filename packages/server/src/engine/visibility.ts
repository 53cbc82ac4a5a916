import type { Caller } from '@cable/api';
import type { AnyObject, ResourceModel } from '@cable/model';
import type { ServiceDeps } from './context.ts';

type Deps = Pick<ServiceDeps, 'tables' | 'resources'>;

/** True when the caller may know of the object. */
export function canSee(deps: Deps, resource: ResourceModel, object: AnyObject, caller: Caller): boolean {
  if (caller.isAdmin) return true;
  if (resource.adminOnly) return false;
  if (object['project_id'] === caller.projectId) return true;
  if (resource.sharedBy !== undefined && object[resource.sharedBy] === true) return true;
  return isSharedThrough(deps, resource, object) || isOwnedThrough(deps, resource, object, caller);
}

function isSharedThrough(deps: Deps, resource: ResourceModel, object: AnyObject): boolean {
  const { type, target } = targetOf(deps, resource, object, resource.visibleThrough);
  if (type === undefined || target === undefined) return false;
  const { sharedBy } = deps.resources.named(type);
  return sharedBy !== undefined && target[sharedBy] === true;
}

/** True when the object is part of one that the caller's project owns, e.g. another's port on its network. */
export function isOwnedThrough(deps: Deps, resource: ResourceModel, object: AnyObject, caller: Caller): boolean {
  const { target } = targetOf(deps, resource, object, resource.ownedThrough);
  return target !== undefined && target['project_id'] === caller.projectId;
}

function targetOf(
  { tables }: Deps,
  resource: ResourceModel,
  object: AnyObject,
  through: string | undefined,
): { readonly type?: string; readonly target?: AnyObject | undefined } {
  const type = through === undefined ? undefined : resource.attributes[through]?.reference?.type;
  return type === undefined ? {} : { type, target: tables.any(type).get(String(object[through ?? ''])) };
}

/** True when the caller may change the object. */
export function canWrite(object: AnyObject, caller: Caller): boolean {
  return caller.isAdmin || object['project_id'] === caller.projectId;
}
