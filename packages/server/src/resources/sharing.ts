/**
 * Objects that projects share by RBAC policies. What rules and lists ask stands in the object itself (`shared_with`, `external_to`) and is written with the policies, in
 * one transaction, whichever of the two a request names: so whoever rests on it compares the object, and no list looks through policies.
 */
import {
  type AnyObject,
  type CableError,
  EVERY_PROJECT,
  GRANT_LISTS,
  type GrantAction,
  type GrantList,
  isGrantedTo,
  isGrantToMany,
  type RbacPolicy,
} from '@cable/model';
import type { Planning } from '../engine/context.ts';
import type { Broken, Contribution, Mark } from '../engine/module.ts';
import type { Look, View } from '../engine/view.ts';
import { planCreate, planDelete } from '../engine/write.ts';
import { NotLoadedError } from '../not-loaded.ts';

/** Kind of the mark on an object that something of another project uses it, by that project. */
export const FOREIGN = 'foreign';

/** Type of the policies. */
export const RBAC_POLICY = 'rbac_policy';

/** An object that can be shared. `external_to`: of networks. */
export type Shareable = AnyObject & {
  readonly project_id: string;
  readonly shared_with: readonly string[];
  readonly external_to?: readonly string[];
};

/** The marks of something on what it uses of other projects. `ids`: of objects of the type; null: none. */
export function foreignMarks(
  look: Look,
  type: string,
  ids: readonly (string | null | undefined)[],
  projectId: string,
): readonly Mark[] {
  return ids.flatMap((id) => {
    const object = typeof id === 'string' ? (look.get(type, id) as AnyObject | undefined) : undefined;
    if (object === undefined || object['project_id'] === projectId) return [];
    return [{ kind: FOREIGN, of: { type, id: object.id }, about: projectId }];
  });
}

/** What keeps objects of a type from being taken back from projects that use them. */
export type Sharing<T> = {
  readonly list: GrantList;
  /** Kind of the mark that each user of another project has on the object; who makes one compares the object unchanged. */
  readonly kind: string;
  /** Projects of those who have a mark on the object. */
  readonly users: (look: Look, object: T) => Iterable<string>;
  readonly refused: (object: T) => CableError;
};

/** Refuses a change that takes the object from a project that uses it: whoever has no grant of its own, and none to every one is left. For `check` of its type. */
export function checkUnshared<T extends AnyObject>(
  view: View,
  { list, kind, users, refused }: Sharing<T>,
  object: T,
  before: T | undefined,
): void {
  const [had, has] = [grants(before, list), grants(object, list)];
  const lost = had.filter((project) => !has.includes(project));
  if (lost.length === 0 || has.includes(EVERY_PROJECT)) return;
  const kept = [...has, String(object['project_id'])];
  const isUsedBy = (look: Look, project: string): boolean => {
    for (const user of users(look, object)) if (user === project) return true;
    return false;
  };
  const isUsedByOthers = (look: Look): boolean => {
    for (const user of users(look, object)) if (!isGrantedTo(kept, user)) return true;
    return false;
  };
  const isFree = lost.some(isGrantToMany)
    ? view.unmarked(kind, object.id, isUsedByOthers, { but: kept })
    : lost
        .filter((project) => !isGrantedTo(kept, project))
        .every((project) => view.unmarked(kind, object.id, (look) => isUsedBy(look, project), { only: project }));
  if (!isFree) throw refused(object);
}

function grants(object: AnyObject | undefined, list: string): readonly string[] {
  return (object?.[list] as readonly string[] | undefined) ?? [];
}

/** What a type has whose objects are shared: `shared` stands for a policy for every project, and the policies are as the object's lists say. */
export function shareableModule(type: string): Contribution<AnyObject> {
  return {
    derive: (_planning, given) => ({ shared_with: given['shared'] === true ? [EVERY_PROJECT] : [] }),
    change: (_planning, before, after) =>
      typeof after['shared'] === 'boolean' ? { shared_with: withEveryProject(before, after['shared']) } : {},
    created: (planning, object) => writePolicies(planning, type, undefined, object),
    changed: (planning, before, after) => writePolicies(planning, type, before, after),
    removed: (planning, object) => writePolicies(planning, type, object, undefined),
    broken: brokenSharing,
  };
}

function withEveryProject(before: AnyObject, isShared: boolean): readonly string[] {
  const others = grants(before, 'shared_with').filter((project) => project !== EVERY_PROJECT);
  return isShared ? [...others, EVERY_PROJECT] : others;
}

/** True when a project may use the object as one that is shared. */
export function isSharedWith(object: Pick<Shareable, 'shared_with'>, projectId: string): boolean {
  return isGrantedTo(object.shared_with, projectId);
}

/** Makes and deletes policies until there is one for each project in each list, and no other. */
function writePolicies(
  planning: Planning,
  type: string,
  before: AnyObject | undefined,
  after: AnyObject | undefined,
): void {
  const { deps, plan } = planning;
  const resource = deps.resources.find(RBAC_POLICY);
  const id = (after ?? before)?.id;
  if (resource === undefined || id === undefined) return;
  for (const [action, list] of ACTIONS) {
    const [had, has] = [grants(before, list), grants(after, list)];
    if (had.length === 0 && has.length === 0) continue;
    for (const policy of policiesOf(plan, id, action)) {
      // One that has just come to be for another project is about to be in the list.
      const isLost = after === undefined || had.includes(policy.target_tenant);
      if (isLost && !has.includes(policy.target_tenant)) planDelete({ ...planning, isService: true }, resource, policy);
    }
    const known = new Set(policiesOf(plan, id, action).map((policy) => policy.target_tenant));
    for (const target of has) {
      if (had.includes(target) || known.has(target)) continue;
      planCreate({ ...planning, isService: true }, resource, {
        id: deps.newId(),
        project_id: String(after?.['project_id']),
        object_type: type,
        object_id: id,
        action,
        target_tenant: target,
      });
    }
  }
}

/** Actions, each with the list that policies for it make. */
export const ACTIONS: readonly (readonly [GrantAction, GrantList])[] = Object.entries(GRANT_LISTS) as never;

/** The policies about an object. */
export function policiesOf(look: Pick<Look, 'by'>, id: string, action: string): readonly RbacPolicy[] {
  return look.by(RBAC_POLICY, 'object_id', id).filter((policy) => policy.action === action);
}

function* brokenSharing(look: Look, object: AnyObject): Iterable<Broken> {
  for (const [action, list] of ACTIONS) {
    const listed = [...grants(object, list)].sort().join();
    const wanted = wherePoliciesAre(() => policiesOf(look, object.id, action).map((one) => one.target_tenant));
    if (wanted === undefined || wanted.sort().join() === listed) continue;
    yield {
      rule: 'an object is shared as its policies say',
      detail: `${list} has [${listed}], policies for ${action} have [${wanted.join()}]`,
    };
  }
}

function wherePoliciesAre<T>(find: () => T): T | undefined {
  try {
    return find();
  } catch (err) {
    if (err instanceof NotLoadedError) return undefined;
    throw err;
  }
}
