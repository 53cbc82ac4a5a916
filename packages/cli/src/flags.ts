import { type Attribute, dashed, FIXED_OPTIONS, isOptionName, optionKey, type ResourceModel } from '@cable/model';
import { Option } from 'commander';
import { openstackFlags, openstackKeys } from './words.ts';

/** What a set of options is for: an object's attributes when it is made or changed, or the filters of a list. */
export type Purpose = 'create' | 'update' | 'filter';

/** The options of one attribute. The first is shown in help, the others are further spellings. */
export type AttributeFlags = {
  readonly name: string;
  readonly attribute: Attribute;
  /** Without dashes in front, the shown one first. */
  readonly flags: readonly string[];
};

/** The options of a resource, derived from its declaration. An attribute whose name can be no option has none: see `withoutFlags`. */
export function attributeFlags(
  resource: Pick<ResourceModel, 'attributes'>,
  purpose: Purpose,
): readonly AttributeFlags[] {
  const wanted = Object.entries(resource.attributes).filter(([, attribute]) => serves(resource, attribute, purpose));
  const taken = new Set(FIXED_OPTIONS.map(optionKey));
  // A short spelling of one may be the name of another.
  const names = new Map(wanted.map(([name, { option }]) => [optionKey(option ?? dashed(name)), name]));
  const claim = (flag: string, owner: string): boolean => {
    const key = optionKey(flag);
    if (!isOptionName(flag) || taken.has(key) || (names.get(key) ?? owner) !== owner) return false;
    taken.add(key);
    return true;
  };
  const all = (name: string, attribute: Attribute): readonly string[] =>
    purpose === 'filter' && attribute.filterAs === 'members' ? [dashed(name)] : spellings(name, attribute);
  const shown = wanted.map(([name, attribute]) => all(name, attribute).find((flag) => claim(flag, name)));
  return wanted.flatMap(([name, attribute], index) => {
    const first = shown[index];
    if (first === undefined) return [];
    return [{ name, attribute, flags: [first, ...all(name, attribute).filter((flag) => claim(flag, name))] }];
  });
}

/** Names of attributes that should have an option for the purpose, and cannot. */
export function withoutFlags(resource: Pick<ResourceModel, 'attributes'>, purpose: Purpose): readonly string[] {
  const has = new Set(attributeFlags(resource, purpose).map(({ name }) => name));
  return Object.entries(resource.attributes)
    .filter(([name, attribute]) => serves(resource, attribute, purpose) && !has.has(name))
    .map(([name]) => name);
}

/** What the path says need not be given. */
export function withoutParent({ attributes, parent }: ResourceModel): Pick<ResourceModel, 'attributes'> {
  if (parent === undefined) return { attributes };
  return { attributes: Object.fromEntries(Object.entries(attributes).filter(([name]) => name !== parent.attribute)) };
}

/** A second name has no option where the first has one. */
function serves({ attributes }: Pick<ResourceModel, 'attributes'>, attribute: Attribute, purpose: Purpose): boolean {
  if (attribute.aliasOf !== undefined && attributes[attribute.aliasOf] !== undefined) return false;
  if (purpose === 'filter') return attribute.filter !== false && !['dict', 'object', 'any'].includes(attribute.type);
  return attribute.write === 'both' || attribute.write === purpose;
}

/** All spellings of an attribute's flag, the best first: `network_id` → network, network-id; `fixed_ips` → fixed-ip, fixed-ips; `accepted_prefixes` → accepted-prefix, accepted-prefixes. */
function spellings(name: string, attribute: Attribute): readonly string[] {
  if (attribute.option !== undefined) return [attribute.option];
  const full = dashed(name);
  const short = dashed(name.replace(/^[^:]*:/, ''));
  const isReference = (attribute.reference ?? attribute.items?.reference) !== undefined;
  const bare = [short, full].flatMap((flag) => {
    if (attribute.type === 'list') return [flag.replace(/(?<=x)es$|s$/, ''), flag];
    return isReference ? [flag.replace(/-id$/, ''), flag] : [flag];
  });
  return [...new Set([...bare, ...openstackFlags(name)])];
}

/** Commander's options for an attribute: `--x <value>`, `--x [boolean]`/`--no-x` for booleans, repeatable for lists, `--no-x` for null or none. */
export function optionsOf(flags: AttributeFlags, purpose: Purpose): readonly Option[] {
  if (purpose === 'filter' && flags.attribute.filterAs === 'members') {
    return memberFilters(flags.name).map(([flag, , text]) => new Option(`--${flag} <list>`, text).argParser(collect));
  }
  return flags.flags.flatMap((flag, index) => {
    const options = optionsOfFlag(flag, flags, purpose);
    return index === 0 ? options : options.map((option) => option.hideHelp());
  });
}

function optionsOfFlag(flag: string, { name, attribute, flags }: AttributeFlags, purpose: Purpose): readonly Option[] {
  const text = describe(name, attribute, purpose, flags);
  if (attribute.type === 'boolean') return switches(flag, text, name, purpose);
  const value = new Option(`--${flag} <${placeholder(attribute, purpose)}>`, text);
  if (purpose === 'filter') return [value.argParser(collect)];
  if (attribute.type === 'list') return [value.argParser(collect), new Option(`--no-${flag}`, 'none of them')];
  return attribute.nullable ? [value, new Option(`--no-${flag}`, 'none (null)')] : [value];
}

function switches(flag: string, text: string, name: string, purpose: Purpose): readonly Option[] {
  const [on, off] =
    purpose === 'filter'
      ? [`only those whose ${name} is true`, `only those whose ${name} is false`]
      : switchTexts(flag, text);
  return [new Option(`--${flag} [boolean]`, on), new Option(`--no-${flag}`, off)];
}

/** Of `--x` and `--no-x`. A text that begins with `True:` or `False:` says what the one of them does. */
function switchTexts(flag: string, text: string): readonly [string, string] {
  const [, value, meaning = ''] = /^(True|False): (.*)$/s.exec(text) ?? [];
  if (value === 'False') return [`The opposite of --no-${flag}.`, sentence(meaning)];
  return [value === 'True' ? sentence(meaning) : text, `The opposite of --${flag}.`];
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Commander's parser of a repeatable option. */
export function collect(text: string, before: unknown): readonly string[] {
  return [...(Array.isArray(before) ? before : []), text];
}

function describe(name: string, attribute: Attribute, purpose: Purpose, flags: readonly string[]): string {
  const values = attribute.values ?? attribute.items?.values;
  const notes = [
    ...(values !== undefined && values.length > 1 ? [`one of ${values.join(', ')}`] : []),
    ...(attribute.type === 'list' ? [purpose === 'update' ? 'repeatable; replaces the list' : 'repeatable'] : []),
    ...(purpose === 'create' && isAsked(attribute) ? ['required'] : []),
    ...openstackFlags(name)
      .filter((flag) => flags.includes(flag))
      .map((flag) => `also --${flag}`),
  ];
  const text = purpose === 'filter' ? `only those whose ${name} is this` : (attribute.description ?? name);
  return notes.length === 0 ? text : `${text.replace(/\.$/, '')} (${notes.join('; ')})`;
}

/** True for a required attribute that the user must give: not when it has only one possible value. */
export function isAsked(attribute: Attribute): boolean {
  return attribute.required === true && attribute.values?.length !== 1;
}

function placeholder(attribute: Attribute, purpose: Purpose): string {
  const one = attribute.items ?? attribute;
  if (one.reference !== undefined) return 'name-or-id';
  if (one.properties !== undefined) {
    return purpose === 'filter' ? 'key=value' : exampleOf(one);
  }
  return one.type === 'dict'
    ? 'key=value,..|json'
    : one.type === 'any'
      ? 'json'
      : one.type === 'string'
        ? 'text'
        : one.type;
}

/** How a property of an object may be called, the whole name first. */
export function keysOf(name: string, attribute: Attribute): readonly string[] {
  const bare = attribute.reference === undefined ? [] : [dashed(name).replace(/-id$/, '')];
  return [dashed(name), ...bare, ...openstackKeys(name)];
}

/** How an object is written, as its keys are called: `subnet=..,ip-address=..`. */
export function exampleOf(attribute: Attribute): string {
  const entries = Object.entries(attribute.properties ?? {});
  if (entries.length === 0) return 'key=value,key=value';
  return entries
    .map(([name, inner]) => `${keysOf(name, inner).at(inner.reference === undefined ? 0 : 1)}=..`)
    .join(',');
}

/** The value given for an attribute in commander's parsed options, under any of its spellings; undefined: not given. */
export function givenValue(flags: AttributeFlags, options: Readonly<Record<string, unknown>>): unknown {
  for (const flag of flags.flags) {
    const value = options[new Option(`--${flag}`).attributeName()];
    if (value !== undefined) return value;
  }
  return undefined;
}

/** Filters of a list by an attribute that is filtered by its members: option and parameter. */
export function memberFilters(name: string): readonly (readonly [flag: string, parameter: string, text: string])[] {
  const flag = dashed(name);
  return [
    [flag, name, 'only those with all of these (a,b)'],
    [`any-${flag}`, `${name}-any`, 'only those with any of these (a,b)'],
    [`not-${flag}`, `not-${name}`, 'only those without all of these (a,b)'],
    [`not-any-${flag}`, `not-${name}-any`, 'only those with none of these (a,b)'],
  ];
}
