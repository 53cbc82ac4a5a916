/**
 * Quotas. An object of a type that its project has a limit for takes a slot: a claim on one of the numbers below the limit. So many can be there and no more,
 * whoever writes, and requests that take different numbers do not meet.
 *
 *   0 ....................... bound ............ limit
 *   a create takes one here   |  one for each object that was made when there was no limit, or beyond it, and so has no slot
 *
 * That holds while no held slot is at or above the bound. One may be, after the limit was lowered: then creates of the type in the project meet at the quota's
 * row, which each revises, and the objects are counted. Slots at or above the bound only go, and objects without a slot too, as long as the row is as it is:
 * so if one server sees such a slot no longer, there is none, and every create takes one of the numbers below the bound.
 */
import { type AnyObject, isClusterOwn, type ResourceModel } from '@cable/model';
import { objectKey } from '../keys.ts';
import type { EngineDeps, Planning } from './context.ts';
import { PROTON } from './fences.ts';
import { SLOT } from './hidden.ts';
import { impliedRow } from './implied.ts';
import type { Plan } from './plan.ts';
import { overQuota, slotName } from './slot-claim.ts';

/** Type of the objects that have a project's limits. */
export const QUOTA = 'quota';

/**
 * `project_id` of what Cable makes outside of all projects, as Neutron does: the ports of gateways and floating IPs, which the owner of their network sees, and
 * which nobody's quota counts. No client has it, or may create with it.
 */
export const NO_PROJECT = '';

/** How often a slot is looked for at random before those in a row are tried. */
const TRIES = 8;

type Resources = Pick<EngineDeps['resources'], 'find' | 'current'>;
type Deps = Pick<EngineDeps, 'tables' | 'resources' | 'settings' | 'slots'>;

/** Types that a quota has a limit for, of those that are loaded. None when there are no quotas. */
export function countedTypes(resources: Resources): readonly string[] {
  const attributes = Object.keys(resources.find(QUOTA)?.attributes ?? {});
  return attributes.filter((type) => quotaOf(resources, type) !== undefined);
}

/** What a neutron-server has in its configuration if nobody says otherwise, and what takes addresses outside as floating IPs do. Other types: any number. */
const TENANTS_QUOTAS: Readonly<Record<string, number>> = {
  network: 100,
  subnet: 100,
  port: 500,
  router: 10,
  floatingip: 50,
  security_group: 10,
  security_group_rule: 100,
  rbac_policy: 10,
  router_egress: 10,
};

/** A project's limit for a type: that of its row, else the server's; a cluster's own project has none but of its row, for nobody but the controller makes anything there. -1: none. */
export function limitOf(
  settings: EngineDeps['settings'],
  row: AnyObject | undefined,
  type: string,
  projectId: string | undefined = row?.id,
): number {
  const own = row?.[type];
  if (typeof own === 'number') return own;
  if (projectId !== undefined && isClusterOwn(projectId)) return -1;
  const { quotas = {}, tenants = false } = settings;
  return quotas[type] ?? (tenants ? TENANTS_QUOTAS[type] : undefined) ?? -1;
}

/** What a new object has because its type is counted, reserved in the plan. Throws `OverQuota`. */
export function takeSlot({ deps, plan, isService }: Planning, resource: ResourceModel, projectId: string): AnySlot {
  const { type } = resource;
  const model = quotaOf(deps.resources, type);
  if (model === undefined || projectId === NO_PROJECT) return {};
  const row = plan.rely(QUOTA, projectId);
  const limit = limitOfProton(deps, type, projectId) ?? limitOf(deps.settings, row, type, projectId);
  if (limit < 0) return {};
  const { used, bound, isTight } = stateOf(deps, projectId, type, limit);
  const isUnrefused = isService && resource.madeBeyondQuota === true;
  const withoutSlot = (): AnySlot => {
    // It is there without a slot, so that fewer are left to others, who rest on the row.
    meet(plan, model, projectId);
    return {};
  };
  if (used + plan.countUp(`${type} of ${projectId}`) >= limit) {
    if (isUnrefused) return withoutSlot();
    throw overQuota(type);
  }
  if (isTight) meet(plan, model, projectId);
  const held = deps.slots.of(projectId, type);
  const isFree = (slot: number): boolean => !held.has(slot) && !plan.isReserved(slotName(projectId, type, slot));
  const slot = chooseSlot(bound, deps.random, isFree);
  if (slot === undefined && isUnrefused) return withoutSlot();
  if (slot === undefined) throw overQuota(type);
  plan.reserve(slotName(projectId, type, slot));
  return { [SLOT]: slot };
}

type AnySlot = { readonly [SLOT]?: number };

/** Keys on which creates wait for one another that would meet anyway. */
export function slotLockKeys(deps: Deps, { type }: ResourceModel, projectId: string): readonly string[] {
  if (quotaOf(deps.resources, type) === undefined || projectId === NO_PROJECT) return [];
  const row = deps.tables.any(QUOTA).get(projectId);
  const limit = limitOfProton(deps, type, projectId) ?? limitOf(deps.settings, row, type, projectId);
  return limit >= 0 && stateOf(deps, projectId, type, limit).isTight ? [objectKey(QUOTA, projectId)] : [];
}

/** Objects of one type of a proton that a tenant has, where its row says nothing. */
const PROTON_LIMIT = 1000;

/** A project's limit for a type of a proton, which the proton's row says; undefined: it is of none. -1: none. */
function limitOfProton(
  { tables, resources, settings }: Pick<EngineDeps, 'tables' | 'resources' | 'settings'>,
  type: string,
  projectId: string,
): number | undefined {
  const proton = resources.current.protonOf(type);
  if (proton === undefined) return undefined;
  const { quotas = {}, project_quotas: own = {} } = (tables.any(PROTON).get(proton.name) ?? {}) as Limits;
  return own[projectId]?.[type] ?? quotas[type] ?? (settings.tenants === true ? PROTON_LIMIT : -1);
}

type Limits = {
  readonly quotas?: Readonly<Record<string, number>>;
  readonly project_quotas?: Readonly<Record<string, Readonly<Record<string, number>>>>;
};

/** The model of quotas, if they have a limit for the type: a whole number of its name, or the type is a proton’s. */
function quotaOf(resources: Resources, type: string): ResourceModel | undefined {
  const model = resources.find(QUOTA);
  const isOwned = resources.find(type)?.storedAttributes['project_id'] !== undefined;
  const isCounted = model?.attributes[type]?.type === 'integer' || resources.current.protonOf(type) !== undefined;
  return isCounted && isOwned ? model : undefined;
}

/** How many objects of a type a project has. */
export function usedOf({ tables }: Pick<EngineDeps, 'tables'>, projectId: string, type: string): number {
  return tables.any(type).count('project_id', projectId);
}

/** `isTight`: a slot is held at or above the bound. */
type State = { readonly used: number; readonly bound: number; readonly isTight: boolean };

function stateOf(deps: Deps, projectId: string, type: string, limit: number): State {
  const used = usedOf(deps, projectId, type);
  const held = deps.slots.of(projectId, type);
  const bound = limit - (used - held.size);
  return { used, bound, isTight: held.highest() >= bound };
}

/** Of two plans that do this to one project's quota, one is planned anew. */
function meet(plan: Plan, model: ResourceModel, projectId: string): void {
  if (plan.get(QUOTA, projectId) === undefined) plan.create(QUOTA, impliedRow(model, projectId));
  plan.revise(QUOTA, projectId);
}

/** At random, so that servers choose different ones; undefined: none is free. */
export function chooseSlot(bound: number, random: () => number, isFree: (slot: number) => boolean): number | undefined {
  for (let tried = 0; tried < TRIES && bound > 0; tried += 1) {
    const slot = Math.floor(random() * bound);
    if (isFree(slot)) return slot;
  }
  const start = Math.floor(random() * bound);
  for (let step = 0; step < bound; step += 1) {
    const slot = (start + step) % bound;
    if (isFree(slot)) return slot;
  }
  return undefined;
}
