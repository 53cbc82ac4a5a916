/** Permission, asked in this one place. */
import { type Caller, type ListQuery, notFilterable, notSortable } from '@cable/api';
import { CableError, type ResourceModel } from '@cable/model';

/** What a request does to which attributes, by declared name. */
export type Asked =
  | { readonly verb: 'create' | 'update'; readonly given: readonly string[] }
  | { readonly verb: 'list'; readonly query: Pick<ListQuery, 'filters' | 'sort'> };

/**
 * Refuses what the caller may not write or look by. Throws `PolicyNotAuthorized`, which names the rule, or, for an attribute that the caller may not see,
 * the error for one that is not there.
 */
export function authorize(resource: ResourceModel, asked: Asked, caller: Caller): void {
  if (caller.isAdmin) return;
  if (asked.verb === 'list') refuseHidden(resource, asked.query);
  else for (const name of asked.given) refuseWrite(resource, asked.verb, name);
}

function refuseWrite({ type, attributes }: ResourceModel, verb: 'create' | 'update', name: string): void {
  const attribute = attributes[name];
  const who = attribute?.writeBy ?? (verb === 'update' ? attribute?.updateBy : undefined);
  if (who !== 'admin') return;
  const rule = `${verb}_${type}`;
  throw new CableError('PolicyNotAuthorized', `((rule:${rule}) and (rule:${rule}:${name})) is disallowed by policy`, {
    fields: { attribute: name },
  });
}

function refuseHidden({ attributes }: ResourceModel, { filters, sort }: Pick<ListQuery, 'filters' | 'sort'>): void {
  const isHidden = (name: string): boolean => attributes[name]?.seeBy === 'admin';
  const filtered = [...new Set(filters.map(({ attribute }) => attribute).filter(isHidden))];
  if (filtered.length > 0) throw notFilterable(filtered);
  const sorted = sort.find(({ attribute }) => isHidden(attribute));
  if (sorted !== undefined) throw notSortable(sorted.attribute);
}
