import { Interner, type Table } from '@cable/kit';
import type { AnyObject, Attribute, ResourceModel } from '@cable/model';
import { isIndexed } from './indexes.ts';

/** Table that a row is about to be put into. */
type Rows = Pick<Table<AnyObject, string>, 'first'>;
type Fields = Record<string, unknown>;

/** Lets a row that was just parsed, and that nobody has yet, share with the table's rows the values that are equal. */
export type RowSharing = (row: AnyObject, before: AnyObject | undefined, rows: Rows) => void;

/** Times and words of closed sets remembered, at least. */
const COMMON_LIMIT = 4096;

const EMPTY_LIST: readonly never[] = Object.freeze([]);
const EMPTY_OBJECT: Readonly<Record<string, never>> = Object.freeze({});

/**
 * How rows of the resource share values. Most of a row is what other rows have too (a network's ports all name it), or what it had itself
 * before it was written anew (its index keys among it). Where there is an index, a row with the same value is found by it.
 */
export function createRowSharing(resource: ResourceModel): RowSharing {
  const common = new Interner<string>(COMMON_LIMIT);
  const stored = Object.entries(resource.storedAttributes);
  return (row, before, rows) => {
    const fields = row as Fields;
    for (const [name, attribute] of stored) {
      const value = fields[name];
      if (before !== undefined && isEqual(value, before[name])) fields[name] = before[name];
      else if (typeof value === 'string') fields[name] = shareText(name, attribute, value, rows, common);
      else if (Array.isArray(value)) fields[name] = shareList(name, attribute, value, rows);
      else if (isRecord(value) && Object.keys(value).length === 0) fields[name] = EMPTY_OBJECT;
    }
  };
}

function shareText(name: string, attribute: Attribute, value: string, rows: Rows, common: Interner<string>): string {
  if (isIndexed(attribute)) {
    const other = rows.first(name, value)?.[name];
    return other === value ? other : value;
  }
  return attribute.type === 'timestamp' || attribute.values !== undefined ? common.share(value, value) : value;
}

function shareList(name: string, { items }: Attribute, list: unknown[], rows: Rows): unknown {
  if (list.length === 0) return EMPTY_LIST;
  if (items !== undefined && isIndexed(items)) {
    const other = rows.first(name, String(list[0]))?.[name];
    if (isEqual(other, list)) return other;
    list.forEach((value, at) => {
      list[at] = elementsOf(rows.first(name, String(value))?.[name]).find((one) => one === value) ?? value;
    });
  }
  for (const [property, inner] of Object.entries(items?.properties ?? {})) {
    if (isIndexed(inner)) for (const one of list) shareProperty(`${name}.${property}`, name, property, one, rows);
  }
  return list;
}

function shareProperty(index: string, name: string, property: string, element: unknown, rows: Rows): void {
  const value = isRecord(element) ? element[property] : undefined;
  if (!isRecord(element) || typeof value !== 'string') return;
  const others = elementsOf(rows.first(index, value)?.[name]);
  const other = others.find((one) => isRecord(one) && one[property] === value);
  if (isRecord(other)) element[property] = other[property];
}

function elementsOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** Of values that came from JSON. */
function isEqual(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((one, at) => isEqual(one, b[at]));
  if (!isRecord(a) || !isRecord(b) || Array.isArray(b)) return false;
  const names = Object.keys(a);
  return (
    names.length === Object.keys(b).length && names.every((name) => Object.hasOwn(b, name) && isEqual(a[name], b[name]))
  );
}

function isRecord(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null;
}
