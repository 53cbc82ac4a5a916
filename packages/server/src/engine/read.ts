import { type Caller, type Filter, type ListQuery, matchesFilters, type Shown } from '@cable/api';
import type { Turns } from '@cable/kit';
import { type AnyObject, CableError, type ResourceModel } from '@cable/model';
import { guard } from './commit.ts';
import type { EngineDeps } from './context.ts';
import { contributionsOf } from './module.ts';
import { cutPage } from './page.ts';
import type { Look, RowOf } from './view.ts';
import { canSee, hasSharedObjects } from './visibility.ts';

const NONE: Shown = {};

type Deps = Pick<EngineDeps, 'tables' | 'resources' | 'modules'>;

/** Objects of a list request, in its order. */
export type List = {
  readonly objects: readonly AnyObject[];
  /** The computed attributes of one of the objects, as of now; none where the objects have them. */
  computed(object: AnyObject): Shown;
};

/**
 * The objects of a list request. Which objects there are, and what is stored of them, is of one moment: the one of the call. Throws
 * `NotFound` for an unknown marker.
 */
export async function listObjects(
  deps: Deps,
  resource: ResourceModel,
  query: ListQuery,
  caller: Caller,
  turns: Turns,
): Promise<List> {
  if (resource.adminOnly && !caller.isAdmin) return { objects: [], computed: () => NONE };
  const isComputed = (name: string): boolean => resource.attributes[name]?.computed === true;
  const early = query.filters.filter((filter) => !isComputed(filter.attribute));
  const late = query.filters.filter((filter) => isComputed(filter.attribute));
  // What an object is looked at for must be what is shown of it.
  const presentFirst = late.length > 0 || query.sort.some((key) => isComputed(key.attribute));
  const found: AnyObject[] = [];
  const seen = { resources: deps.resources, look: lookOf(deps) };
  for (const row of candidates(deps, resource, early, caller)) {
    if (turns.due()) await turns.next();
    if (!matchesFilters(early, row) || !isChangedSince(row, query) || !canSee(seen, resource, row, caller)) continue;
    const object = presentFirst ? present(deps, resource, row) : row;
    if (matchesFilters(late, object)) found.push(object);
  }
  const objects = await cutPage(found, query, turns);
  if (objects === undefined) throw notFound(resource, String(query.marker));
  return { objects, computed: (object) => (presentFirst ? NONE : computedOf(deps, resource, object)) };
}

/** One object that the caller may see, computed attributes filled in. Throws `NotFound`. */
export function showOne(deps: Deps, resource: ResourceModel, id: string, caller: Caller): AnyObject {
  return present(deps, resource, rowFor(deps, resource, id, caller));
}

/** The same; that it is not there is said only after the tables have caught up with the store. */
export async function showCurrent(
  deps: Deps & Pick<EngineDeps, 'catchUp'>,
  resource: ResourceModel,
  id: string,
  caller: Caller,
): Promise<AnyObject> {
  try {
    return showOne(deps, resource, id, caller);
  } catch (err) {
    if (!resource.stored || !(await guard(() => deps.catchUp.run()))) throw err;
    return showOne(deps, resource, id, caller);
  }
}

/** The row of an object that the caller may see. Throws `NotFound`. */
export function rowFor(
  deps: Deps,
  resource: ResourceModel,
  id: string,
  caller: Caller,
  look: Pick<Look, 'get'> = lookOf(deps),
): AnyObject {
  const row = resource.stored ? look.get(resource.type, id) : unstored(deps, resource).find((one) => one.id === id);
  if (row === undefined || !canSee({ resources: deps.resources, look }, resource, row, caller)) {
    throw notFound(resource, id);
  }
  return row;
}

/** Fills in the computed attributes. */
export function present(deps: Deps, resource: ResourceModel, row: AnyObject): AnyObject {
  const computed = computedOf(deps, resource, row);
  return computed === NONE ? row : { ...row, ...computed };
}

function computedOf(deps: Deps, resource: ResourceModel, row: AnyObject): Shown {
  let computed = NONE;
  for (const { present: make } of contributionsOf(deps.modules, resource.type)) {
    if (make !== undefined)
      computed = computed === NONE ? make(deps.tables, row) : { ...computed, ...make(deps.tables, row) };
  }
  return computed;
}

/** Neutron's words: `Network <id> could not be found.` */
export function notFound(resource: ResourceModel, id: string): CableError {
  const words = resource.label.replaceAll(/(?<=[a-z])(?=[A-Z])/g, ' ').toLowerCase();
  const message = `${words.charAt(0).toUpperCase()}${words.slice(1)} ${id.slice(0, 300)} could not be found.`;
  return new CableError('NotFound', message, { label: resource.label, fields: { id } });
}

function isChangedSince(row: AnyObject, query: ListQuery): boolean {
  return query.changedSince === null || String(row['updated_at'] ?? '') >= query.changedSince;
}

/** Rows that may match: by the narrowest index that a filter or the caller's project allows; else all. */
function candidates(
  deps: Deps,
  resource: ResourceModel,
  filters: readonly Filter[],
  caller: Caller,
): readonly AnyObject[] {
  if (!resource.stored) return unstored(deps, resource);
  const table = deps.tables.any(resource.type);
  const byId = filters.find((filter) => filter.attribute === 'id');
  if (byId !== undefined) return [...new Set(byId.values)].flatMap((id) => table.get(id) ?? []);
  const narrowest = narrowestOf(deps, resource, filters);
  // Looking up most of the rows one by one costs more than looking at all.
  if (narrowest !== undefined && narrowest.count < table.size / 2) {
    return unique(narrowest.values.flatMap((value) => table.by(narrowest.index, value)));
  }
  if (caller.isAdmin || hasSharedObjects(resource)) return table.rows();
  return unique([...table.by('project_id', caller.projectId), ...partsOfOwned(deps, resource, caller)]);
}

/** Objects of a type that is not stored. */
function unstored({ tables, modules }: Deps, resource: ResourceModel): readonly AnyObject[] {
  return contributionsOf(modules, resource.type).flatMap((one) => one.rows?.(tables) ?? []);
}

function lookOf({ tables }: Deps): Pick<Look, 'get'> {
  return { get: (type, id) => tables.any(type).get(id) as RowOf<typeof type> | undefined };
}

type Lookup = { readonly index: string; readonly values: readonly string[]; readonly count: number };

/** The index with the fewest rows among those that the filters allow; undefined: none. */
function narrowestOf({ tables }: Deps, resource: ResourceModel, filters: readonly Filter[]): Lookup | undefined {
  const table = tables.any(resource.type);
  let narrowest: Lookup | undefined;
  for (const { attribute, property, values, substring } of filters) {
    const index = property === null ? attribute : `${attribute}.${property}`;
    // An index has no rows without a value: an empty filter must look at all.
    if (substring || values.includes('') || !tables.hasIndex(resource.type, index)) continue;
    const count = values.reduce((sum, value) => sum + table.count(index, value), 0);
    if (narrowest === undefined || count < narrowest.count) narrowest = { index, values, count };
  }
  return narrowest;
}

/** Others' objects that are part of what the caller's project owns. */
function partsOfOwned({ tables }: Deps, resource: ResourceModel, caller: Caller): readonly AnyObject[] {
  const through = resource.ownedThrough;
  const type = through === undefined ? undefined : resource.attributes[through]?.reference?.type;
  if (through === undefined || type === undefined) return [];
  const owned = tables.any(type).by('project_id', caller.projectId);
  return owned.flatMap((target) => tables.any(resource.type).by(through, target.id));
}

function unique(rows: readonly AnyObject[]): readonly AnyObject[] {
  return [...new Set(rows)];
}
