/**
 * Objects of which there is one for each key (`Resource.implied`). One without a row is as if it had one without values. A row, once made, stays: it is emptied,
 * not deleted, so that who relied on its absence cannot take a later absence for the same.
 */
import { parseValue, unfitForKey } from '@cable/api';
import { type AnyObject, type Attribute, CableError, type ResourceModel } from '@cable/model';
import { complete } from './complete.ts';

/** The object as it is without a row. */
export function impliedRow(resource: ResourceModel, id: string): AnyObject {
  return complete(resource, { id, [resource.key]: id, revision_number: 0 });
}

/** The row, or what stands for it. Undefined: none, and the type is not implied. Throws `HTTPBadRequest` for a key that none can have: a path may name any. */
export function rowOrImplied(resource: ResourceModel, id: string, row: AnyObject | undefined): AnyObject | undefined {
  if (row !== undefined || resource.implied !== true) return row;
  refuseOddKey(resource, id);
  return impliedRow(resource, id);
}

/** True unless the object is one that nobody has given anything. */
export function isGiven(resource: ResourceModel, row: AnyObject): boolean {
  if (resource.implied !== true) return true;
  return Object.entries(takenBack(resource)).some(([name, none]) => JSON.stringify(row[name]) !== JSON.stringify(none));
}

/** What takes everything back. */
export function takenBack(resource: ResourceModel): Readonly<Record<string, unknown>> {
  const writable = Object.entries(resource.attributes).filter(
    ([, one]) => one.write !== undefined && !one.aliasOf && !one.input,
  );
  return Object.fromEntries(writable.map(([name, one]) => [name, one.default ?? null]));
}

function refuseOddKey({ key, attributes }: ResourceModel, id: string): void {
  const attribute = attributes[key];
  const reason = unfitForKey(id) ?? (attribute === undefined ? undefined : unfitFor(attribute, id));
  if (reason === undefined) return;
  throw new CableError('HTTPBadRequest', `Invalid input for ${key}. Reason: ${reason}.`, {
    fields: { attribute: key },
  });
}

function unfitFor(attribute: Attribute, id: string): string | undefined {
  const parsed = parseValue(attribute, id);
  if (!parsed.ok) return parsed.reason;
  return parsed.value === id ? undefined : `give it as ${String(parsed.value)}`;
}
