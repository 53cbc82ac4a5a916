/** Which rows of a list have to be looked at. */
import type { Caller, Filter } from '@cable/api';
import type { AnyObject, ResourceModel } from '@cable/model';
import type { ServiceDeps } from './context.ts';

type Deps = Pick<ServiceDeps, 'tables' | 'resources'>;

/** Rows that an index leads to. */
export type Candidates = {
  /** How many. */
  readonly count: number;
  /** True: some may be among them, and be counted, more than once. */
  readonly mayRepeat: boolean;
  /** The rows as of now. */
  portions(): readonly (readonly AnyObject[])[];
};

/** Rows under any of the values. */
type LookUp = { readonly index: string; readonly values: readonly string[] };

/** So few rows are looked at without asking whether another way leads to fewer. */
const FEW = 64;

/** The fewest rows, among which are all that pass the filters and that the caller may see; undefined: no index says. */
export function candidatesOf(
  deps: Deps,
  resource: ResourceModel,
  filters: readonly Filter[],
  caller: Caller,
): Candidates | undefined {
  const table = deps.tables.any(resource.name);
  const byId = filters.find((filter) => filter.attribute === 'id');
  if (byId !== undefined) {
    const ids = [...new Set(byId.values)];
    return { count: ids.length, mayRepeat: false, portions: () => [ids.flatMap((id) => table.get(id) ?? [])] };
  }
  let fewest: Candidates | undefined;
  for (const filter of filters) fewest = fewer(fewest, byFilter(deps, resource, filter));
  if (caller.isAdmin || (fewest !== undefined && fewest.count <= FEW)) return fewest;
  return fewer(fewest, lookUp(deps, resource, visibleTo(deps, resource, caller)));
}

function fewer(a: Candidates | undefined, b: Candidates | undefined): Candidates | undefined {
  return a === undefined || (b !== undefined && b.count < a.count) ? b : a;
}

function byFilter(deps: Deps, resource: ResourceModel, filter: Filter): Candidates | undefined {
  const { attribute, property, values, substring } = filter;
  const index = property === null ? attribute : `${attribute}.${property}`;
  // An index has no rows without a value: an empty filter must look at all.
  if (substring || values.includes('') || !deps.tables.hasIndex(resource.name, index)) return undefined;
  return lookUp(deps, resource, [{ index, values }]);
}

function lookUp({ tables }: Deps, resource: ResourceModel, lookUps: readonly LookUp[]): Candidates {
  const table = tables.any(resource.name);
  const keys = lookUps.flatMap(({ index, values }) => values.map((value) => [index, value] as const));
  return {
    count: keys.reduce((sum, [index, value]) => sum + table.count(index, value), 0),
    mayRepeat: keys.length > 1,
    portions: () => keys.map(([index, value]) => table.by(index, value)),
  };
}

/** What leads to every object that a caller who is no admin may see. */
function visibleTo(deps: Deps, resource: ResourceModel, caller: Caller): readonly LookUp[] {
  const { tables, resources } = deps;
  const { sharedBy, visibleThrough, ownedThrough } = resource;
  const lookUps: LookUp[] = [{ index: 'project_id', values: [caller.projectId] }];
  if (sharedBy !== undefined) lookUps.push({ index: sharedBy, values: ['true'] });
  const through = (attribute: string | undefined, targets: (type: string) => readonly AnyObject[]): void => {
    const type = attribute === undefined ? undefined : resource.attributes[attribute]?.reference?.type;
    if (attribute === undefined || type === undefined) return;
    lookUps.push({ index: attribute, values: targets(type).map((target) => target.id) });
  };
  through(ownedThrough, (type) => tables.any(type).by('project_id', caller.projectId));
  through(visibleThrough, (type) => {
    const by = resources.named(type).sharedBy;
    return by === undefined ? [] : tables.any(type).by(by, 'true');
  });
  return lookUps;
}
