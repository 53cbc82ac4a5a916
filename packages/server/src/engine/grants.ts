/** Filters by what is true to some callers and not to others, as filters by the lists that say so. */
import type { Filter } from '@cable/api';
import { grantedAttributes, grantsTo, type ResourceModel } from '@cable/model';
import type { EngineDeps } from './context.ts';

/** The filters of a list: those that an object passes, and those of which it passes none. */
export type GrantFilters = { readonly wanted: readonly Filter[]; readonly unwanted: readonly Filter[] };

type Deps = Pick<EngineDeps, 'tables' | 'resources'>;

/** `shared=True` asks for objects whose list has the caller's project or every one, which an index finds; `shared=False` for all others. */
export function filtersOfGrants(
  deps: Deps,
  resource: ResourceModel,
  filters: readonly Filter[],
  projectId: string | null,
): GrantFilters {
  const wanted: Filter[] = [];
  const unwanted: Filter[] = [];
  const projects = grantsTo(projectId);
  for (const filter of filters) {
    const granted = grantFilter(deps, resource, filter.attribute, projects);
    if (granted === undefined) {
      wanted.push(filter);
      continue;
    }
    const [asksTrue, asksFalse] = [filter.values.includes('true'), filter.values.includes('false')];
    if (asksTrue && asksFalse) continue;
    if (asksFalse) unwanted.push(granted);
    else wanted.push(asksTrue ? granted : { ...granted, values: [] });
  }
  return { wanted, unwanted };
}

/** The filter that finds what is granted to one of the projects; undefined: the attribute says something else. */
function grantFilter(
  { tables, resources }: Deps,
  resource: ResourceModel,
  name: string,
  projects: readonly string[],
): Filter | undefined {
  const list = new Map(grantedAttributes(resource)).get(name);
  if (list !== undefined) return { attribute: list, property: null, values: projects, substring: false };
  const through = resource.attributes[name]?.grantedThrough;
  const type = through === undefined ? undefined : resource.attributes[through]?.reference?.type;
  const target = type === undefined ? undefined : resources.find(type);
  const listThere = target === undefined ? undefined : new Map(grantedAttributes(target)).get(name);
  if (through === undefined || target === undefined || listThere === undefined) return undefined;
  // What is granted is named by an index, so this costs what is shared and not what there is.
  const rows = projects.flatMap((project) => tables.any(target.type).by(listThere, project));
  return { attribute: through, property: null, values: [...new Set(rows.map(({ id }) => id))], substring: false };
}
