/** Filters by what is true to some callers and not to others, as filters by the lists that say so. */
import type { Filter } from '@cable/api';
import { EVERY_PROJECT, grantedAttributes, type ResourceModel } from '@cable/model';

/** The filters of a list: those that an object passes, and those of which it passes none. */
export type GrantFilters = { readonly wanted: readonly Filter[]; readonly unwanted: readonly Filter[] };

/** `shared=True` asks for objects whose list has the caller's project or every one, which an index finds; `shared=False` for all others. */
export function filtersOfGrants(
  resource: ResourceModel,
  filters: readonly Filter[],
  projectId: string | null,
): GrantFilters {
  const lists = new Map(grantedAttributes(resource));
  if (lists.size === 0) return { wanted: filters, unwanted: [] };
  const wanted: Filter[] = [];
  const unwanted: Filter[] = [];
  for (const filter of filters) {
    const list = lists.get(filter.attribute);
    if (list === undefined) {
      wanted.push(filter);
      continue;
    }
    const values = projectId === null ? [EVERY_PROJECT] : [EVERY_PROJECT, projectId];
    const granted: Filter = { attribute: list, property: null, values, substring: false };
    const [asksTrue, asksFalse] = [filter.values.includes('true'), filter.values.includes('false')];
    if (asksTrue && asksFalse) continue;
    if (asksFalse) unwanted.push(granted);
    else wanted.push(asksTrue ? granted : { ...granted, values: [] });
  }
  return { wanted, unwanted };
}
