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
  if (resource.visibleThrough === undefined) return false;
  const reference = resource.attributes[resource.visibleThrough]?.reference;
  const target = reference && deps.tables.any(reference.type).get(String(object[resource.visibleThrough]));
  return reference !== undefined && target !== undefined && isShared(deps, reference.type, target);
}

function isShared(deps: Deps, type: string, target: AnyObject): boolean {
  const { sharedBy } = deps.resources.named(type);
  return sharedBy !== undefined && target[sharedBy] === true;
}

/** True when the caller may change the object. */
export function canWrite(object: AnyObject, caller: Caller): boolean {
  return caller.isAdmin || object['project_id'] === caller.projectId;
}

/** True when a non-admin may see objects of other projects: a list then has to look at every row. */
export function hasSharedObjects(resource: ResourceModel): boolean {
  return resource.sharedBy !== undefined || resource.visibleThrough !== undefined;
}
