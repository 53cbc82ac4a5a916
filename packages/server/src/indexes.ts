import type { IndexMaker } from '@cable/kit';
import type { AnyObject, Attribute, ResourceModel } from '@cable/model';

/**
 * Indexes of a resource's table, by name: each reference and each attribute declared indexed. An attribute of an object in a
 * list is `<attribute>.<property>`; a list indexes each of its elements.
 */
export function indexesOf(resource: ResourceModel): Readonly<Record<string, IndexMaker<AnyObject>>> {
  const indexes: Record<string, IndexMaker<AnyObject>> = {};
  for (const [name, attribute] of Object.entries(resource.storedAttributes)) {
    if (isIndexed(attribute)) indexes[name] = (row) => keysOf(row[name]);
    for (const [property, inner] of Object.entries(attribute.items?.properties ?? {})) {
      if (isIndexed(inner)) indexes[`${name}.${property}`] = (row) => innerKeys(row[name], property);
    }
  }
  return indexes;
}

/** True when tables have an index on the attribute, or on it as an element or a part of one. */
export function isIndexed(attribute: Attribute): boolean {
  return attribute.indexed === true || attribute.reference !== undefined || attribute.items?.reference !== undefined;
}

function keysOf(value: unknown): readonly string[] {
  if (typeof value === 'string') return value === '' ? [] : [value];
  if (typeof value === 'number') return [String(value)];
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : [];
}

function innerKeys(value: unknown, property: string): readonly string[] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((one: unknown) => keysOf(isRecord(one) ? one[property] : undefined));
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
