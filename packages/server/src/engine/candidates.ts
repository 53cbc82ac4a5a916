/** Which rows of a list have to be looked at. */
import type { Filter } from '@cable/api';
import type { AnyObject, ResourceModel } from '@cable/model';
import type { Lookup } from '../policy/lookups.ts';
import type { Visibility } from '../policy/policy.ts';
import type { EngineDeps } from './context.ts';

type Deps = Pick<EngineDeps, 'tables'>;

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
  visible: Visibility,
): Candidates | undefined {
  const table = deps.tables.any(resource.type);
  const byId = filters.find((filter) => filter.attribute === 'id');
  if (byId !== undefined) {
    const ids = [...new Set(byId.values)];
    return { count: ids.length, mayRepeat: false, portions: () => [ids.flatMap((id) => table.get(id) ?? [])] };
  }
  let fewest: Candidates | undefined;
  for (const filter of filters) fewest = fewer(fewest, byFilter(deps, resource, filter));
  if (visible.kind !== 'lookups' || (fewest !== undefined && fewest.count <= FEW)) return fewest;
  const lookUps = visibleBy(deps, resource, visible.lookups);
  return lookUps === undefined ? fewest : fewer(fewest, lookUp(deps, resource, lookUps));
}

function fewer(a: Candidates | undefined, b: Candidates | undefined): Candidates | undefined {
  return a === undefined || (b !== undefined && b.count < a.count) ? b : a;
}

function byFilter(deps: Deps, resource: ResourceModel, filter: Filter): Candidates | undefined {
  const { attribute, property, values, substring, lacks } = filter;
  const index = property === null ? attribute : `${attribute}.${property}`;
  // An index has no rows without a value: an empty filter must look at all.
  if (substring || lacks || values.includes('') || !deps.tables.hasIndex(resource.type, index)) return undefined;
  return lookUp(deps, resource, [{ index, values }]);
}

function lookUp({ tables }: Deps, resource: ResourceModel, lookUps: readonly LookUp[]): Candidates {
  const table = tables.any(resource.type);
  const keys = lookUps.flatMap(({ index, values }) => values.map((value) => [index, value] as const));
  return {
    count: keys.reduce((sum, [index, value]) => sum + table.count(index, value), 0),
    mayRepeat: keys.length > 1,
    portions: () => keys.map(([index, value]) => table.by(index, value)),
  };
}

/** Of another type's objects those that refer to them. Undefined: there is no index for one of the look-ups. */
function visibleBy(
  { tables }: Deps,
  { type }: ResourceModel,
  lookups: readonly Lookup[],
): readonly LookUp[] | undefined {
  const found: LookUp[] = [];
  for (const { attribute, value, through } of lookups) {
    if (!tables.hasIndex(through?.type ?? type, attribute)) return undefined;
    if (through === null) found.push({ index: attribute, values: [String(value)] });
    else if (!tables.hasIndex(type, through.attribute)) return undefined;
    else {
      const targets = tables.any(through.type).by(attribute, String(value));
      found.push({ index: through.attribute, values: targets.map(({ id }) => id) });
    }
  }
  return found;
}
