import type { AnyObject, ResourceModel } from '@cable/model';
import type { Caller } from './body.ts';

/** An object as a caller sees it. */
export type Shown = Readonly<Record<string, unknown>>;

/** Shows objects of the resource: declared attributes in order, aliases filled in, hidden ones left out. `fields` empty: all. */
export function createShow(
  resource: ResourceModel,
  caller: Pick<Caller, 'isAdmin'>,
  fields: readonly string[] = [],
): (object: AnyObject) => Shown {
  const attributes = Object.entries(resource.attributes)
    .filter(([, attribute]) => attribute.seeBy !== 'admin' || caller.isAdmin)
    .filter(([name]) => fields.length === 0 || fields.includes(name))
    .map(([name, attribute]) => [name, attribute.aliasOf ?? name] as const);
  return (object) => {
    const shown: Record<string, unknown> = {};
    for (const [name, source] of attributes) {
      const value = object[source];
      if (value !== undefined) shown[name] = value;
    }
    return shown;
  };
}

/** One object as the caller sees it; see `createShow`. */
export function showObject(
  resource: ResourceModel,
  object: AnyObject,
  caller: Pick<Caller, 'isAdmin'>,
  fields: readonly string[] = [],
): Shown {
  return createShow(resource, caller, fields)(object);
}
