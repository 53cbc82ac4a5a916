import { type Caller, cutPage, type Filter, type ListQuery, matchesFilters } from '@cable/api';
import { type AnyObject, CableError, type ResourceModel } from '@cable/model';
import type { ServiceDeps } from './context.ts';
import { canSee, hasSharedObjects } from './visibility.ts';

type Deps = Pick<ServiceDeps, 'tables' | 'resources' | 'hooks'>;

/** The objects of a list request, computed attributes filled in. Throws `NotFound` for an unknown marker. */
export function listObjects(
  deps: Deps,
  resource: ResourceModel,
  query: ListQuery,
  caller: Caller,
): readonly AnyObject[] {
  if (resource.adminOnly && !caller.isAdmin) return [];
  const isComputed = (name: string): boolean => resource.attributes[name]?.computed === true;
  const early = query.filters.filter((filter) => !isComputed(filter.attribute));
  const late = query.filters.filter((filter) => isComputed(filter.attribute));
  let rows = candidates(deps, resource, early, caller).filter(
    (row) => matchesFilters(early, row) && isChangedSince(row, query) && canSee(deps, resource, row, caller),
  );
  if (late.length > 0 || query.sort.some((key) => isComputed(key.attribute))) {
    rows = rows.map((row) => present(deps, resource, row)).filter((row) => matchesFilters(late, row));
  }
  const page = cutPage(rows, query);
  if (page.markerMissing) throw notFound(resource, String(query.marker));
  return page.objects.map((row) => present(deps, resource, row));
}

/** One object that the caller may see, computed attributes filled in. Throws `NotFound`. */
export function showOne(deps: Deps, resource: ResourceModel, id: string, caller: Caller): AnyObject {
  return present(deps, resource, rowFor(deps, resource, id, caller));
}

/** The row of an object that the caller may see. Throws `NotFound`. */
export function rowFor(deps: Deps, resource: ResourceModel, id: string, caller: Caller): AnyObject {
  const row = resource.stored
    ? deps.tables.any(resource.name).get(id)
    : deps.hooks[resource.name]?.rows?.(deps.tables).find((one) => one.id === id);
  if (row === undefined || !canSee(deps, resource, row, caller)) throw notFound(resource, id);
  return row;
}

/** Fills in the computed attributes. */
export function present(deps: Deps, resource: ResourceModel, row: AnyObject): AnyObject {
  const computed = deps.hooks[resource.name]?.present?.(deps.tables, row);
  return computed === undefined ? row : { ...row, ...computed };
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
  if (!resource.stored) return deps.hooks[resource.name]?.rows?.(deps.tables) ?? [];
  const table = deps.tables.any(resource.name);
  const byId = filters.find((filter) => filter.attribute === 'id');
  if (byId !== undefined) return [...new Set(byId.values)].flatMap((id) => table.get(id) ?? []);
  for (const filter of filters) {
    const index = filter.property === null ? filter.attribute : `${filter.attribute}.${filter.property}`;
    // An index has no rows without a value: an empty filter must look at all.
    if (filter.substring || filter.values.includes('') || !deps.tables.hasIndex(resource.name, index)) continue;
    return unique(filter.values.flatMap((value) => table.by(index, value)));
  }
  if (caller.isAdmin || hasSharedObjects(resource)) return [...table.values()];
  return unique([...table.by('project_id', caller.projectId), ...partsOfOwned(deps, resource, caller)]);
}

/** Others' objects that are part of what the caller's project owns. */
function partsOfOwned({ tables }: Deps, resource: ResourceModel, caller: Caller): readonly AnyObject[] {
  const through = resource.ownedThrough;
  const type = through === undefined ? undefined : resource.attributes[through]?.reference?.type;
  if (through === undefined || type === undefined) return [];
  const owned = tables.any(type).by('project_id', caller.projectId);
  return owned.flatMap((target) => tables.any(resource.name).by(through, target.id));
}

function unique(rows: readonly AnyObject[]): readonly AnyObject[] {
  return [...new Set(rows)];
}
