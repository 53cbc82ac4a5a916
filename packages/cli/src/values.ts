import { parseValue } from '@cable/api';
import { type Attribute, dashed, type ResourceModel } from '@cable/model';
import { Option } from 'commander';
import { CliError } from './errors.ts';
import { type AttributeFlags, attributeFlags, exampleOf, givenValue, isAsked, keysOf, memberFilters } from './flags.ts';
import type { Resolve } from './resolve.ts';

type Options = Readonly<Record<string, unknown>>;

/** The body of a create or update from the options given. Names become IDs. Throws `CliError` (usage) for a value of the wrong kind. */
export async function bodyFromOptions(
  resource: Pick<ResourceModel, 'attributes'>,
  purpose: 'create' | 'update',
  options: Options,
  resolve: Resolve,
): Promise<Readonly<Record<string, unknown>>> {
  const body: Record<string, unknown> = {};
  for (const flags of attributeFlags(resource, purpose)) {
    const { name, attribute } = flags;
    const given = givenValue(flags, options);
    if (given !== undefined) body[name] = await attributeValue(flags, given, resolve);
    else if (purpose === 'create' && isAsked(attribute)) {
      const about = attribute.description === undefined ? '' : `: ${attribute.description}`;
      throw new CliError(2, `--${flags.flags[0]} is required${about}`);
    } else if (purpose === 'create' && attribute.required) body[name] = attribute.values?.[0];
  }
  return body;
}

/** The query of a list from the filters given. Names become IDs. */
export async function filtersFromOptions(
  resource: ResourceModel,
  options: Options,
  resolve: Resolve,
): Promise<readonly (readonly [string, string])[]> {
  const filters: (readonly [string, string])[] = [];
  for (const { name, attribute, flags } of attributeFlags(resource, 'filter')) {
    if (attribute.filterAs === 'members') {
      filters.push(...memberTexts(name, options));
      continue;
    }
    const given = givenValue({ name, attribute, flags }, options);
    if (given !== undefined && attribute.type === 'boolean') filters.push([name, String(switchValue(given, flags[0]))]);
    for (const text of Array.isArray(given) ? given : []) {
      if (attribute.values !== undefined) filters.push([name, oneOf(attribute, String(text), flags[0] ?? '')]);
      else filters.push([name, await filterText(attribute, String(text), resolve)]);
    }
  }
  return filters;
}

function memberTexts(name: string, options: Options): readonly (readonly [string, string])[] {
  return memberFilters(name).flatMap(([flag, parameter]) => {
    const given = options[new Option(`--${flag}`).attributeName()];
    return (Array.isArray(given) ? given : []).map((text) => [parameter, String(text)] as const);
  });
}

/** A filter by a closed set: any other value would silently match nothing. */
function oneOf(attribute: Attribute, text: string, flag: string): string {
  const parsed = parseValue(attribute, text);
  if (!parsed.ok) throw new CliError(2, `--${flag}: ${parsed.reason}`);
  return String(parsed.value);
}

async function attributeValue(flags: AttributeFlags, given: unknown, resolve: Resolve): Promise<unknown> {
  const { attribute } = flags;
  const flag = flags.flags[0] ?? '';
  const value = await convert(attribute, given, flag, resolve);
  const parsed = parseValue(attribute, value);
  if (!parsed.ok) throw new CliError(2, `--${flag}: ${parsed.reason}`);
  return parsed.value;
}

/** `given` is what commander made of the flag: text, texts, or a boolean (`--x`, `--no-x`). */
async function convert(attribute: Attribute, given: unknown, flag: string, resolve: Resolve): Promise<unknown> {
  if (attribute.type === 'boolean') return switchValue(given, flag);
  if (given === false) return attribute.type === 'list' ? [] : null;
  if (attribute.type !== 'list') return await convertText(attribute, String(given), flag, resolve);
  const items = attribute.items ?? { type: 'string' };
  const found: unknown[] = [];
  for (const text of Array.isArray(given) ? given : [given]) {
    const json = parseJson(String(text), '[', flag);
    if (Array.isArray(json)) found.push(...json);
    else found.push(await convertText(items, String(text), flag, resolve));
  }
  return found;
}

/** Of `--x`, `--x false`, `--no-x`. */
function switchValue(given: unknown, flag: string | undefined): boolean {
  const parsed = parseValue({ type: 'boolean' }, given);
  if (parsed.ok) return parsed.value === true;
  throw new CliError(
    2,
    `--${flag}: '${given}' is neither true nor false`,
    `What is no value of --${flag} stands in front of it, or behind --.`,
  );
}

async function convertText(attribute: Attribute, text: string, flag: string, resolve: Resolve): Promise<unknown> {
  if (attribute.reference !== undefined) return await resolve(attribute.reference.type, text);
  if (attribute.type === 'any') return anyOf(text);
  if ((attribute.type === 'integer' || attribute.type === 'number') && attribute.strict) return numberOf(text);
  if (attribute.type !== 'object' && attribute.type !== 'dict') return text;
  const json = parseJson(text, '{', flag);
  if (json !== undefined) return json;
  const pairs: Record<string, unknown> = {};
  for (const pair of text.split(',')) {
    const [, key, value] = /^\s*([^=]+?)\s*=(.*)$/s.exec(pair) ?? [];
    if (key === undefined || value === undefined) {
      throw new CliError(2, `--${flag}: '${pair}' is not key=value; write ${exampleOf(attribute)}, or JSON`);
    }
    const property = propertyOf(attribute, key, flag);
    pairs[property.name] = await convertText(property.attribute, value, flag, resolve);
  }
  return pairs;
}

/** JSON, or a text that is none. */
function anyOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** What is no number stays what it is: it is refused with its own words. */
function numberOf(text: string): unknown {
  const number = Number(text);
  return text.trim() === '' || Number.isNaN(number) ? text : number;
}

/** The property that a key means: `ip-address`, `ip_address`; `subnet` or `subnet_id` for a reference. */
function propertyOf(attribute: Attribute, key: string, flag: string): { name: string; attribute: Attribute } {
  if (attribute.type === 'dict') return { name: key, attribute: { type: 'string' } };
  const properties = Object.entries(attribute.properties ?? {});
  const found = properties.find(([name, inner]) => keysOf(name, inner).includes(dashed(key)));
  if (found !== undefined) return { name: found[0], attribute: found[1] };
  throw new CliError(2, `--${flag}: there is no '${key}'; write ${exampleOf(attribute)}`);
}

/** The JSON that the text is, when it begins as asked; undefined: it does not. */
function parseJson(text: string, begin: '[' | '{', flag: string): unknown {
  if (!text.trimStart().startsWith(begin)) return undefined;
  try {
    return JSON.parse(text);
  } catch (err) {
    throw new CliError(2, `--${flag}: the JSON is malformed: ${err instanceof Error ? err.message : String(err)}`);
  }
}

/** Neutron's text of a filter: the value, or `property=value` for a list of objects. */
async function filterText(attribute: Attribute, text: string, resolve: Resolve): Promise<string> {
  const one = attribute.items ?? attribute;
  if (one.reference !== undefined) return await resolve(one.reference.type, text);
  if (one.properties === undefined) return text;
  const [, key = '', value = ''] = /^([^=]*)=(.*)$/s.exec(text) ?? [];
  const found = Object.entries(one.properties).find(([name, inner]) => keysOf(name, inner).includes(dashed(key)));
  if (found === undefined) return text;
  const [name, inner] = found;
  return `${name}=${inner.reference === undefined ? value : await resolve(inner.reference.type, value)}`;
}
