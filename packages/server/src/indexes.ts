import { compareValues } from '@cable/api';
import type { Compare, IndexMaker } from '@cable/kit';
import type { AnyObject, Attribute, ResourceModel } from '@cable/model';

/**
 * Orders of tables beside that by id: what lists are sorted by, by attribute. Each costs some ten bytes a row. They are functions of their own
 * because the engine reads a property that is named in the code several times faster.
 */
const SORTED: Readonly<Record<string, Compare<AnyObject>>> = {
  name: ({ name: a }, { name: b }) => (a === b ? 0 : compareValues(a, b)),
  created_at: ({ created_at: a }, { created_at: b }) => (a === b ? 0 : compareValues(a, b)),
};

/**
 * Indexes of a resource's table, by name: each reference, each attribute declared indexed, and the one that shares. An attribute of an object, or of one
 * in a list, is `<attribute>.<property>`; a list indexes each of its elements.
 */
export function indexesOf(resource: ResourceModel): Readonly<Record<string, IndexMaker<AnyObject>>> {
  const indexes: Record<string, IndexMaker<AnyObject>> = {};
  for (const [name, attribute] of Object.entries(resource.storedAttributes)) {
    if (isIndexed(attribute) || name === resource.sharedBy) indexes[name] = (row) => keysOf(row[name]);
    for (const [property, inner] of Object.entries(attribute.properties ?? attribute.items?.properties ?? {})) {
      if (isIndexed(inner)) indexes[`${name}.${property}`] = (row) => innerKeys(row[name], property);
    }
  }
  return indexes;
}

/** Orders of a resource's table, by name: by id, and by each of some attributes and then by id. */
export function ordersOf(resource: ResourceModel): Readonly<Record<string, Compare<AnyObject>>> {
  const byId: Compare<AnyObject> = (a, b) => (a.id < b.id ? -1 : a.id === b.id ? 0 : 1);
  const orders: Record<string, Compare<AnyObject>> = { id: byId };
  for (const [name, compare] of Object.entries(SORTED)) {
    if (resource.attributes[name] !== undefined) orders[name] = (a, b) => compare(a, b) || byId(a, b);
  }
  return orders;
}

/** True when tables have an index on the attribute, or on it as an element or a part of one. */
export function isIndexed(attribute: Attribute): boolean {
  return attribute.indexed === true || attribute.reference !== undefined || attribute.items?.reference !== undefined;
}

function keysOf(value: unknown): readonly string[] {
  if (typeof value === 'string') return value === '' ? [] : [value];
  if (typeof value === 'number' || typeof value === 'boolean') return [String(value)];
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : [];
}

function innerKeys(value: unknown, property: string): readonly string[] {
  const all: readonly unknown[] = Array.isArray(value) ? value : [value];
  return all.flatMap((one: unknown) => keysOf(isRecord(one) ? one[property] : undefined));
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
