/** What one caller may see, as the rules say it. */
import { type ListQuery, notFilterable, notSortable } from '@cable/api';
import type { AnyObject, ResourceModel } from '@cable/model';
import type { Credentials } from '../policy/credentials.ts';
import type { PolicyView } from '../policy/policy.ts';
import type { RowOf } from '../policy/relations.ts';
import type { EngineDeps } from './context.ts';

/** A caller who reads. `row`: what rules refer to. */
export type Reader = { readonly view: PolicyView; readonly row: RowOf };

export function readerOf(
  { permission, tables }: Pick<EngineDeps, 'permission' | 'tables'>,
  credentials: Credentials,
): Reader {
  return { view: permission.policy.for(credentials), row: (type, id) => tables.any(type).get(id) };
}

/** True when the caller may know of the object. */
export function sees({ view, row }: Reader, { type }: Pick<ResourceModel, 'type'>, object: AnyObject): boolean {
  return view.allows(`get_${type}`, { type, object, row });
}

/** Attributes of the object that the caller does not see. */
export function hiddenFrom({ view, row }: Reader, { type }: ResourceModel, object: AnyObject): ReadonlySet<string> {
  const { always, sometimes } = view.hiddenAttributes(type);
  return sometimes.size === 0 ? always : new Set([...always, ...view.hiddenOf({ type, object, row })]);
}

/** Refuses to filter or sort by what the caller does not see, in some object at least: the answer would tell. Throws as for an attribute that is not there. */
export function refuseHidden(
  { view }: Reader,
  { type }: ResourceModel,
  query: Pick<ListQuery, 'filters' | 'sort'>,
): void {
  const { always, sometimes } = view.hiddenAttributes(type);
  const isHidden = (name: string): boolean => always.has(name) || sometimes.has(name);
  const filtered = [...new Set(query.filters.map(({ attribute }) => attribute).filter(isHidden))];
  if (filtered.length > 0) throw notFilterable(filtered);
  const sorted = query.sort.map(({ attribute }) => attribute).filter(isHidden);
  if (sorted.length > 0) throw notSortable(sorted);
}
