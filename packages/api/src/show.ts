import type { AnyObject, ResourceModel } from '@cable/model';
import type { Caller } from './body.ts';

/** The object as the caller sees it: declared attributes in order, aliases filled in, hidden ones left out. `fields` empty: all. */
export function showObject(
  resource: ResourceModel,
  object: AnyObject,
  caller: Pick<Caller, 'isAdmin'>,
  fields: readonly string[] = [],
): Readonly<Record<string, unknown>> {
  const shown: Record<string, unknown> = {};
  for (const [name, attribute] of Object.entries(resource.attributes)) {
    if (attribute.seeBy === 'admin' && !caller.isAdmin) continue;
    if (fields.length > 0 && !fields.includes(name)) continue;
    const value = object[attribute.aliasOf ?? name];
    if (value !== undefined) shown[name] = value;
  }
  return shown;
}
