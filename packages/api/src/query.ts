import { type Attribute, CableError, parseMac, QUERY_PARAMETERS, type ResourceModel } from '@cable/model';
import { parseIsoTime } from './iso-time.ts';
import { parseValue, refusedValue } from './value.ts';

/** One filter: the object passes when any of the values fits. */
export type Filter = {
  readonly attribute: string;
  /** For a list of objects: the property looked at. */
  readonly property: string | null;
  /** Canonical text. */
  readonly values: readonly string[];
  /** True: a value fits as a part of the text. */
  readonly substring: boolean;
  /** True: of a list; it passes when any of the values is not in it. */
  readonly lacks?: true;
};

/** A parsed query of a list or show request. */
export type ListQuery = {
  /** All must pass. */
  readonly filters: readonly Filter[];
  /** Attributes wanted; empty: all. */
  readonly fields: readonly string[];
  readonly sort: readonly { readonly attribute: string; readonly descending: boolean }[];
  /** 0: no limit. */
  readonly limit: number;
  /** ID of the object that the page follows (or, reversed, precedes); null: from the start. */
  readonly marker: string | null;
  readonly pageReverse: boolean;
  /** Only what changed at or after this time (ISO 8601); null: all. */
  readonly changedSince: string | null;
};

const PARAMETERS: ReadonlySet<string> = new Set(QUERY_PARAMETERS);

/**
 * Parses the query string: its syntax, whoever sends it. What it asks of which attributes is in `filters` and `sort`, by declared name. Throws `CableError` with
 * Neutron's texts for what the declaration does not allow.
 */
export function parseListQuery(resource: ResourceModel, query: URLSearchParams): ListQuery {
  const limit = parseLimit(resource, query.get('limit'));
  return {
    filters: parseFilters(resource, query),
    fields: query.getAll('fields').filter((name) => name !== ''),
    sort: parseSort(resource, query),
    limit,
    marker: limit === 0 && isNeutrons(resource) ? null : query.get('marker') || null,
    pageReverse: /^(true|1)$/i.test(query.get('page_reverse') ?? ''),
    changedSince: parseChangedSince(query.get('changed_since')),
  };
}

/** True below Neutron's own path: Octavia takes a marker without a limit, and a key without a direction, and refuses a marker that is not there. */
export function isNeutrons({ prefix }: Pick<ResourceModel, 'prefix'>): boolean {
  return prefix === '/v2.0';
}

/** True when the object passes every filter. */
export function matchesFilters(filters: readonly Filter[], object: Readonly<Record<string, unknown>>): boolean {
  return filters.every((filter) => matchesFilter(filter, object[filter.attribute]));
}

/** The attribute that a name in a query means, with its declared name; undefined: there is none. */
function lookUp(resource: ResourceModel, name: string): readonly [string, Attribute] | undefined {
  const attribute = Object.hasOwn(resource.attributes, name) ? resource.attributes[name] : undefined;
  return attribute === undefined ? undefined : [attribute.aliasOf ?? name, attribute];
}

function parseFilters(resource: ResourceModel, query: URLSearchParams): readonly Filter[] {
  const invalid: string[] = [];
  const filters: Filter[] = [];
  for (const name of new Set(query.keys())) {
    if (PARAMETERS.has(name)) continue;
    const members = membersFilter(resource, name);
    const found = members === undefined ? lookUp(resource, name) : undefined;
    if (members !== undefined) filters.push(...members(query.getAll(name)));
    else if (found === undefined || !isFilterable(found[1])) invalid.push(name);
    else filters.push(...filtersOf(name, found, query.getAll(name)));
  }
  if (invalid.length > 0) throw notFilterable(invalid);
  return filters;
}

/** What a name in a query asks of the texts in a list, of `tags`, `tags-any`, `not-tags` and `not-tags-any`; undefined: it is no such name. */
function membersFilter(
  resource: ResourceModel,
  name: string,
): ((texts: readonly string[]) => readonly Filter[]) | undefined {
  const [, not, asked = '', any] = /^(not-)?(.*?)(-any)?$/.exec(name) ?? [];
  const [attribute, { filterAs, filter } = { filterAs: undefined, filter: undefined }] = lookUp(resource, asked) ?? [];
  if (attribute === undefined || filterAs !== 'members' || filter === false) return undefined;
  return (texts) => {
    const members = [...new Set(texts.flatMap((text) => text.split(',')))];
    const isOne = (not === undefined) === (any !== undefined);
    const groups = isOne ? [members] : members.map((one) => [one]);
    return groups.map((values) => {
      const found = { attribute, property: null, values, substring: false };
      return not === undefined ? found : { ...found, lacks: true };
    });
  };
}

/** Names of the filters of an attribute. */
export function filterNames(name: string, { filterAs }: Attribute): readonly string[] {
  return filterAs === 'members' ? [name, `${name}-any`, `not-${name}`, `not-${name}-any`] : [name];
}

/** The error for names that a list cannot be filtered by, or not by the caller. */
export function notFilterable(names: readonly string[]): CableError {
  return badRequest(`${listed(names)} is invalid attribute for filtering`);
}

/** The error for names that a list cannot be sorted by, or not by the caller. */
export function notSortable(names: readonly string[]): CableError {
  return badRequest(`${listed(names)} is invalid attribute for sort_keys`);
}

function listed(names: readonly string[]): string {
  return `[${names
    .slice(0, 20)
    .map((name) => `'${name.slice(0, 100)}'`)
    .join(', ')}]`;
}

function isFilterable(attribute: Attribute): boolean {
  return attribute.filter !== false && !['dict', 'object', 'any'].includes(attribute.type);
}

/** `asked`: the name in the query. */
function filtersOf(
  asked: string,
  [name, attribute]: readonly [string, Attribute],
  texts: readonly string[],
): readonly Filter[] {
  const properties = attribute.items?.properties;
  if (properties === undefined) {
    const values = texts.map((text) => canonical(asked, attribute.items ?? attribute, text));
    return [{ attribute: name, property: null, values, substring: false }];
  }
  const byProperty = new Map<string, string[]>();
  for (const text of texts) {
    const [, key = '', value = ''] = /^([^=]*)=(.*)$/s.exec(text) ?? [];
    const property = key.replace(/_substr$/, '');
    const inner = Object.hasOwn(properties, property) ? properties[property] : undefined;
    if (inner === undefined || (key !== property && inner.type !== 'ip')) {
      throw badRequest(
        `Invalid input for ${asked}. Reason: '${text.slice(0, 100)}' is not in the form property=value.`,
      );
    }
    byProperty.set(key, [
      ...(byProperty.get(key) ?? []),
      key === property ? canonical(`${asked}:${property}`, inner, value) : value.toLowerCase(),
    ]);
  }
  return [...byProperty].map(([key, values]) => ({
    attribute: name,
    property: key.replace(/_substr$/, ''),
    values,
    substring: key.endsWith('_substr'),
  }));
}

/**
 * A filter's text as stored values are written. Text that is no boolean or no integer, as Neutron has it, is refused by `name`; another that is no value of the
 * type fits nothing, and stays as it is. Empty text fits null.
 */
function canonical(name: string, attribute: Attribute, text: string): string {
  if (text !== '' && (attribute.type === 'boolean' || attribute.type === 'integer')) {
    const parsed = parseValue({ type: attribute.type }, text);
    if (parsed.ok) return String(parsed.value);
    throw refusedValue(name, parsed);
  }
  if (attribute.type === 'mac') return parseMac(text) ?? text;
  if (attribute.type === 'uuid') return text.toLowerCase();
  if (attribute.type === 'ip' || attribute.type === 'cidr' || attribute.type === 'ip-or-cidr') {
    const { type, hostBits } = attribute;
    const parsed = parseValue(hostBits === undefined ? { type } : { type, hostBits }, text);
    return parsed.ok ? String(parsed.value) : text;
  }
  return text;
}

function matchesFilter(filter: Filter, value: unknown): boolean {
  if (filter.lacks) {
    const members: readonly unknown[] = Array.isArray(value) ? value : [];
    return filter.values.some((one) => !members.includes(one));
  }
  if (!Array.isArray(value)) return filter.values.some((wanted) => wanted === formatScalar(value));
  return value.some((element: unknown) => {
    const text = formatScalar(filter.property === null ? element : propertyOf(element, filter.property));
    return filter.values.some((wanted) => (filter.substring ? text.includes(wanted) : text === wanted));
  });
}

function propertyOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}

function formatScalar(value: unknown): string {
  return value === null || value === undefined ? '' : String(value);
}

function parseSort(resource: ResourceModel, query: URLSearchParams): ListQuery['sort'] {
  const [keys, directions] = ['sort_key', 'sort_dir'].map((name) => query.getAll(name).filter((one) => one !== ''));
  if (keys === undefined || directions === undefined) return [];
  const isShort = directions.length === 0 && !isNeutrons(resource);
  if (!isShort && keys.length !== directions.length)
    throw badRequest('The number of sort_keys and sort_dirs must be same');
  const found = keys.map((key) => [key, lookUp(resource, key)] as const);
  const absent = found.filter(([, one]) => one === undefined || !isSortable(one[1])).map(([key]) => key);
  if (absent.length > 0) throw notSortable(absent);
  const odd = directions.filter((one) => one !== 'asc' && one !== 'desc');
  if (odd.length > 0) {
    throw badRequest(`${listed(odd)} is invalid value for sort_dirs, valid value is 'asc' and 'desc'`);
  }
  return found.map(([key, one], at) => ({ attribute: one?.[0] ?? key, descending: directions[at] === 'desc' }));
}

function isSortable(attribute: Attribute): boolean {
  return attribute.sort !== false && !['list', 'object', 'dict', 'any'].includes(attribute.type);
}

function parseLimit(resource: ResourceModel, text: string | null): number {
  if (text === null || (text === '' && !isNeutrons(resource))) return 0;
  if (/^\s*\+?\d{1,9}\s*$/.test(text)) return Number(text);
  const reason = `Limit must be an integer 0 or greater and not '${text.slice(0, 50)}'`;
  throw new CableError('BadRequest', `Bad limit request: ${reason}.`);
}

/** The first whole second at or after it, as objects have it. */
function parseChangedSince(text: string | null): string | null {
  if (text === null) return null;
  const ms = parseIsoTime(text);
  if (ms === undefined)
    throw new CableError(
      'InvalidInput',
      'Invalid input for operation: The input changed_since must be in the following format: YYYY-MM-DDTHH:MM:SSZ.',
    );
  return `${new Date(Math.min(Math.ceil(ms / 1000) * 1000, LAST_SECOND_MS)).toISOString().slice(0, 19)}Z`;
}

const LAST_SECOND_MS = Date.parse('9999-12-31T23:59:59Z');

function badRequest(message: string): CableError {
  return new CableError('HTTPBadRequest', message);
}
