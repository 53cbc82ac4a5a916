/**
 * Filters of lists: an object passes when for each name one of the values is that of what is shown of it. What the engine can look for it looks for; the rest is
 * looked at in what would be shown.
 */
import type { Attribute, ResourceModel } from '@cable/model';
import { badRequest, type Fields, isFields, withoutDashes } from './envelope.ts';

/** One name, with canonical texts of its values; `property`: of the objects in a list. */
export type LateFilter = {
  readonly name: string;
  readonly property: string | null;
  readonly values: ReadonlySet<string>;
};

/** Filters of a request. `query`: those that the engine looks for, as a query of `/v2.0` has them. */
export type DoorFilters = { readonly query: URLSearchParams; readonly late: readonly LateFilter[] };

/** More than a neutron-server sends. */
const MOST_NAMES = 100;
const MOST_VALUES = 10_000;
const VALUE_MAX = 1000;

const PROJECT_NAMES: readonly string[] = ['tenant_id', 'project_id'];
const TAG_NAMES: readonly string[] = ['tags', 'tags-any', 'not-tags', 'not-tags-any'];

/** What is looked for. `isLate`: names that the engine may not look for, for they are hidden, or shown otherwise than stored. Throws `BadRequest`. */
export function doorFilters(
  type: string,
  model: ResourceModel,
  filters: Fields,
  isLate: (name: string) => boolean,
): DoorFilters {
  const query = new URLSearchParams();
  const late: LateFilter[] = [];
  const names = Object.entries(filters);
  if (names.length > MOST_NAMES) throw badRequest(type, `data.filters has more than ${MOST_NAMES} names`);
  for (const [name, given] of names) {
    if (TAG_NAMES.includes(name)) {
      query.append(name, valuesOf(type, name, given).join());
      continue;
    }
    const attribute = Object.hasOwn(model.attributes, name) ? model.attributes[name] : undefined;
    if (isFields(given)) {
      addNested({ type, query, late }, name, isLate(name) ? undefined : attribute, given);
      continue;
    }
    const values = valuesOf(type, name, given);
    if (PROJECT_NAMES.includes(name)) {
      addProjects({ type, query, late }, values.map(withoutDashes));
      continue;
    }
    if (attribute !== undefined && isPlain(attribute) && values.length > 0 && !isLate(name)) {
      for (const text of values) query.append(name, text);
    } else late.push({ name, property: null, values: new Set(values) });
  }
  return { query, late };
}

type Filters = { readonly type: string; readonly query: URLSearchParams; readonly late: LateFilter[] };

/** Whose ports of the outside are is shown otherwise than it is stored. */
function addProjects({ type, query, late }: Filters, projects: readonly string[]): void {
  const isStored = projects.length > 0 && !projects.includes('');
  if (isStored) for (const project of projects) query.append('project_id', project);
  if (!isStored || type === 'port') late.push({ name: 'tenant_id', property: null, values: new Set(projects) });
}

/** `{"fixed_ips": {"ip_address": ["10.0.0.5"]}}`. */
function addNested(
  { type, query, late }: Filters,
  name: string,
  attribute: Attribute | undefined,
  given: Fields,
): void {
  for (const [property, value] of Object.entries(given)) {
    const texts = valuesOf(type, `${name}.${property}`, value);
    const properties = attribute?.items?.properties;
    const inner = property.replace(/_substr$/, '');
    const isKnown = properties !== undefined && Object.hasOwn(properties, inner) && attribute?.filter !== false;
    if (isKnown && texts.length > 0 && (property === inner || properties[inner]?.type === 'ip')) {
      for (const text of texts) query.append(name, `${property}=${text}`);
    } else late.push({ name, property, values: new Set(texts) });
  }
}

/** True when what the engine looks for is what is shown. */
function isPlain({ filter, type, items, computed }: Attribute): boolean {
  return (
    filter !== false &&
    computed !== true &&
    !['dict', 'object', 'any'].includes(type) &&
    items?.properties === undefined
  );
}

/** A single value may stand for a list of one. Null is nothing, as empty text is. */
function valuesOf(type: string, name: string, given: unknown): readonly string[] {
  const all = Array.isArray(given) ? given : [given];
  if (all.length > MOST_VALUES)
    throw badRequest(type, `the filter ${name.slice(0, 100)} has more than ${MOST_VALUES} values`);
  return all.map((value: unknown) => {
    const text = textOf(value);
    if (text !== undefined && text.length <= VALUE_MAX) return text;
    throw badRequest(
      type,
      `the filter ${name.slice(0, 100)} has a value that is no text, number or boolean of at most ${VALUE_MAX} characters`,
    );
  });
}

/** True when what is shown of an object passes all. `shown`: what an attribute is shown as. */
export function passes(late: readonly LateFilter[], shown: (name: string) => unknown): boolean {
  return late.every(({ name, property, values }) => {
    const value = shown(name);
    const all = Array.isArray(value) ? value : [value];
    return all.some((one: unknown) => hasValue(values, property === null ? one : propertyOf(one, property)));
  });
}

function hasValue(values: ReadonlySet<string>, value: unknown): boolean {
  const text = textOf(value);
  if (text === undefined) return false;
  if (values.has(text)) return true;
  // Python writes them with a capital letter.
  return typeof value === 'boolean' && (values.has(value ? 'True' : 'False') || values.has(value ? '1' : '0'));
}

/** Undefined: an object or a list. */
function textOf(value: unknown): string | undefined {
  if (value === null || value === undefined) return '';
  if (typeof value === 'object') return undefined;
  return String(value);
}

function propertyOf(value: unknown, name: string): unknown {
  return isFields(value) && Object.hasOwn(value, name) ? value[name] : undefined;
}
