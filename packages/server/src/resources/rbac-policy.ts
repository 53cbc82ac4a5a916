/** RBAC policies: each is in a list of the object that it is about, by which the object is shared. */
import {
  type AnyObject,
  CableError,
  clusterProjects,
  EVERY_PROJECT,
  GRANT_LISTS,
  type GrantList,
  isGrantToMany,
  isShareable,
  type Network,
  type RbacPolicy,
  type ResourceModel,
} from '@cable/model';
import type { EngineDeps, Planning } from '../engine/context.ts';
import { type Broken, type Claim, type Contribution, contribute, type Given } from '../engine/module.ts';
import { rowsOf } from '../engine/permission.ts';
import type { Look } from '../engine/view.ts';
import { planUpdate } from '../engine/write.ts';
import { objectKey } from '../keys.ts';
import { LEG_SHARING } from './network-legs.ts';
import { checkUnshared, policiesOf } from './sharing.ts';

/** Most projects that an object is shared with one by one: each is a part of the object, which others compare. */
export const RBAC_TARGETS_MAX = 1000;

/** Policies. */
export const rbacPolicyModule: Contribution<AnyObject> = contribute<RbacPolicy>({
  derive: (planning, given) => {
    const objectType = String(given.object_type).trim().toLowerCase();
    if (!planning.isService) checkGiven(planning, given, objectType);
    return { object_type: objectType };
  },
  change: (planning, before, after) => {
    const object = objectOf(planning.plan, before);
    if (before.target_tenant === after.target_tenant || planning.isService || object === undefined) return {};
    if (!mayShare(planning, object)) throw inUse(before.object_id, notOwner(before.object_type).message);
    return {};
  },
  claims: (policy) => [targetClaim(policy)],
  created: (planning, policy) => grant(planning, policy, null, policy.target_tenant),
  changed: (planning, before, after) => grant(planning, after, before.target_tenant, after.target_tenant),
  removed: (planning, policy) => grant(planning, policy, policy.target_tenant, null),
  lockKeys: (given) => (given.object_id === undefined ? [] : [objectKey(String(given.object_type), given.object_id)]),
  broken: brokenPolicy,
});

function objectOf(look: Look, { object_type: type, object_id: id }: Pick<RbacPolicy, 'object_type' | 'object_id'>) {
  return look.get(type, id) as AnyObject | undefined;
}

function checkGiven(planning: Planning, given: Given<RbacPolicy>, objectType: string): void {
  const { deps, plan, asked } = planning;
  const model = deps.resources.find(objectType);
  if (model === undefined || !isShareable(model)) {
    throw new CableError(
      'InvalidInput',
      `Invalid input for operation: '${objectType}' is not a valid RBAC object type.`,
      {
        detail: `Give one of ${shareableTypes(deps).join(', ')}.`,
      },
    );
  }
  const actions = actionsOf(model);
  if (!actions.includes(String(given.action))) {
    throw new CableError(
      'InvalidActionForType',
      `Invalid input for operation: Invalid action '${given.action}' for object type '${objectType}'. Valid actions: ${actions.join(', ')}.`,
    );
  }
  const object = plan.get(objectType, String(given.object_id)) as AnyObject | undefined;
  const view = deps.permission.policy.for(asked.credentials);
  const target = { type: objectType, object: object ?? {}, row: rowsOf(plan) };
  if (object === undefined || !view.allows(`get_${objectType}`, target)) {
    throw new CableError('InvalidInput', `Invalid input for operation: there is no ${objectType} ${given.object_id}.`);
  }
  if (!mayShare(planning, object)) throw notOwner(objectType);
  const { controller } = asked.credentials;
  const { target_tenant: targets = '' } = given;
  if (controller !== undefined && isGrantToMany(targets) && targets !== clusterProjects(controller.cluster)) {
    const reason = `${targets} is not all of cluster ${controller.cluster}`;
    throw new CableError('InvalidInput', `Invalid input for target_tenant. Reason: ${reason}.`);
  }
}

function shareableTypes({ resources }: Pick<EngineDeps, 'resources'>): readonly string[] {
  return resources.all.filter(isShareable).map(({ type }) => type);
}

function actionsOf({ storedAttributes, attributes }: ResourceModel): readonly string[] {
  return Object.entries(GRANT_LISTS).flatMap(([action, list]) =>
    storedAttributes[list] === undefined || (list === 'external_to' && attributes['router:external'] === undefined)
      ? []
      : [action],
  );
}

function mayShare({ deps, asked }: Planning, object: AnyObject): boolean {
  return deps.permission.policy.for(asked.credentials).isAdmin || object['project_id'] === asked.credentials.projectId;
}

function notOwner(objectType: string): CableError {
  const what = objectType === 'network' ? 'networks' : 'objects';
  return new CableError(
    'InvalidInput',
    `Invalid input for operation: Only admins can manipulate policies on ${what} they do not own.`,
  );
}

/** Gives the object to one project and takes it from another; null: none. Whatever the object refuses is the policy's to say. */
function grant(planning: Planning, policy: RbacPolicy, from: string | null, to: string | null): void {
  const { deps, plan } = planning;
  const object = objectOf(plan, policy);
  const list = listOf(policy);
  const resource = deps.resources.find(policy.object_type);
  if (object === undefined || list === undefined || resource === undefined) return;
  const before = (object[list] as readonly string[] | undefined) ?? [];
  const kept = from === null || from === to ? before : before.filter((project) => project !== from);
  const after = to === null || kept.includes(to) ? kept : [...kept, to];
  if (after.length === before.length && after.every((project, at) => before[at] === project)) return;
  if (from === EVERY_PROJECT && list === 'external_to' && object['is_default'] === true) throw limitsDefault(object.id);
  if (to !== EVERY_PROJECT && after.length > RBAC_TARGETS_MAX) throw tooMany(policy);
  const service = { ...planning, isService: true };
  try {
    // As Neutron, which takes what is shared with every one back before it shares it with one: who uses the object keeps it from both.
    const isTaken = from === EVERY_PROJECT && to !== null && list === 'shared_with';
    const rest = isTaken ? planUpdate(service, resource, object, { [list]: kept }) : object;
    if (policy.object_type === 'network' && list === LEG_SHARING.list && from !== null) {
      const left = { ...object, [list]: isTaken ? kept : after } as unknown as Network;
      checkUnshared(plan, LEG_SHARING, left, object as unknown as Network);
    }
    planUpdate(service, resource, rest, { [list]: after });
  } catch (err) {
    throw err instanceof CableError && from !== null ? inUse(policy.object_id, err.message) : err;
  }
}

function listOf({ action }: Pick<RbacPolicy, 'action'>): GrantList | undefined {
  return Object.hasOwn(GRANT_LISTS, action) ? GRANT_LISTS[action as keyof typeof GRANT_LISTS] : undefined;
}

/** An object is shared once with each. */
function targetClaim({ object_id: id, action, target_tenant: target }: RbacPolicy): Claim {
  return {
    kind: 'rbac',
    value: `${id}.${action}.${target}`,
    holder: (look) => policiesOf(look, id, action).find((policy) => policy.target_tenant === target)?.id,
    taken: () => new CableError('DuplicateRbacPolicy', 'An RBAC policy already exists with those values.'),
  };
}

/** What a policy that is taken back, or changed, is refused with. */
export function inUse(objectId: string, details: string): CableError {
  return new CableError(
    'RbacPolicyInUse',
    `RBAC policy on object ${objectId} cannot be removed because other objects depend on it.\nDetails: ${details}`,
    { fields: { object_id: objectId } },
  );
}

/** Who has no network gets one with the default way outside (`auto-allocated-topology`): so that is everybody's. */
function limitsDefault(id: string): CableError {
  return inUse(id, 'Default external networks must be shared to everyone.');
}

function tooMany({ object_type: type, object_id: id }: RbacPolicy): CableError {
  return new CableError(
    'HTTPConflict',
    `${type} ${id} is shared with ${RBAC_TARGETS_MAX} projects one by one already.`,
    {
      detail: 'Share it with every project (target_tenant *), or delete policies that are not needed.',
    },
  );
}

function* brokenPolicy(look: Look, policy: RbacPolicy): Iterable<Broken> {
  const object = objectOf(look, policy);
  if (object === undefined) {
    yield { rule: 'a policy is about an object', detail: `there is no ${policy.object_type} ${policy.object_id}` };
    return;
  }
  const list = listOf(policy);
  if (list !== undefined && ((object[list] as readonly string[] | undefined) ?? []).includes(policy.target_tenant))
    return;
  yield {
    rule: 'an object is shared as its policies say',
    detail: `${policy.object_type} ${object.id} is not shared with ${policy.target_tenant} (${policy.action})`,
  };
}
