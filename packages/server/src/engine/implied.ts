/**
 * Objects of which there is one for each key (`Resource.implied`). One without a row is as if it had one without values. A row, once made, stays: it is emptied,
 * not deleted, so that who relied on its absence cannot take a later absence for the same.
 */
import { parseValue } from '@cable/api';
import { type AnyObject, CableError, type ResourceModel } from '@cable/model';
import { complete } from './complete.ts';

/** The object as it is without a row. */
export function impliedRow(resource: ResourceModel, id: string): AnyObject {
  return complete(resource, { id, [resource.key]: id, revision_number: 0 });
}

/** The row, or what stands for it. Undefined: none, and the type is not implied. */
export function rowOrImplied(resource: ResourceModel, id: string, row: AnyObject | undefined): AnyObject | undefined {
  return row === undefined && resource.implied === true ? impliedRow(resource, id) : row;
}

/** True unless the object is one that nobody has given anything. */
export function isGiven(resource: ResourceModel, row: AnyObject): boolean {
  if (resource.implied !== true) return true;
  return Object.entries(takenBack(resource)).some(([name, none]) => JSON.stringify(row[name]) !== JSON.stringify(none));
}

/** What takes everything back. */
export function takenBack(resource: ResourceModel): Readonly<Record<string, unknown>> {
  const writable = Object.entries(resource.attributes).filter(([, one]) => one.write !== undefined && !one.aliasOf);
  return Object.fromEntries(writable.map(([name, one]) => [name, one.default ?? null]));
}

/** A path may name any key; throws `HTTPBadRequest` for one that none can have. */
export function refuseOddKey({ key, attributes }: ResourceModel, id: string): void {
  const attribute = attributes[key];
  const parsed = attribute === undefined ? undefined : parseValue(attribute, id);
  if (parsed?.ok === true && parsed.value === id && !id.includes('/')) return;
  throw new CableError('HTTPBadRequest', `Invalid input for ${key}. Reason: it is too long, or has a slash.`, {
    fields: { attribute: key },
  });
}
