/** What the store keeps of an object: its text, and the object in such a text. */
import { type AnyObject, BUILT_IN_RESOURCES, type ResourceModel } from '@cable/model';
import type { Op } from '@cable/store';
import { objectKey } from './keys.ts';
import { isFields, parseRecord } from './rows.ts';

type Fields = Readonly<Record<string, unknown>>;

/**
 * The text of an object. What is empty by default (null, false, "", [] or {}) and is empty in it does not stand there, nor what is true by default of Cable's own attributes (`cable:`): that is half
 * of a plain port, and would be sent, kept and parsed each time. Cable's own declarations say which that is, whatever extensions from files make of them: another file says something else.
 */
function objectText(type: string, object: AnyObject): string {
  const leftOut = LEFT_OUT.get(type) ?? NOTHING;
  let text = `{"id":${JSON.stringify(object.id)}`;
  for (const [name, value] of Object.entries(object)) {
    if (name === 'id' || value === undefined) continue;
    if (leftOut.has(name) && isSameAs(value, leftOut.get(name))) continue;
    text += `,"${name}":${JSON.stringify(value)}`;
  }
  return `${text}}`;
}

/** Writes the object as it is, without its derived keys. */
export function putObject(type: string, object: AnyObject): Op {
  return { kind: 'put', key: objectKey(type, object.id), value: objectText(type, object) };
}

/**
 * The object in a text; attributes that do not stand in it get their defaults, among them those that the declaration has gained since it was written. They are in
 * the declared order, so that all rows of a type have one shape in memory; what is of no declaration comes last. Undefined: the text is no object with an id.
 */
export function parseObject(resource: ResourceModel, text: string): AnyObject | undefined {
  const parsed = parseRecord(text);
  if (parsed === undefined || typeof parsed['id'] !== 'string') return undefined;
  const value = upgrades.get(resource)?.(parsed) ?? parsed;
  // A copy takes just the room that it needs, and is many times faster to make than an object that gets its names one by one.
  return Object.assign({ ...shapesOf(resource).templateOf(value) }, value) as AnyObject;
}

/** What makes of a text of before what the declaration has now. */
export type Upgrade = (stored: Fields) => Fields;

const upgrades = new WeakMap<ResourceModel, Upgrade>();

/** From now on texts of the model's objects are read by way of this. */
export function readBy(resource: ResourceModel, upgrade: Upgrade): void {
  upgrades.set(resource, upgrade);
}

/** Copied for each object of the same names: names in the declared order, each with its default. */
type Template = Fields;

/** More than there are sets of attributes without defaults. */
const TEMPLATES_MAX = 256;

class Shapes {
  readonly #stored: readonly (readonly [name: string, standard: unknown])[];
  readonly #defaults: ReadonlySet<string>;
  readonly #templates = new Map<string, Template>();

  constructor(resource: ResourceModel) {
    const leftOut = LEFT_OUT.get(resource.type) ?? NOTHING;
    this.#stored = Object.entries(resource.storedAttributes).map(([name, attribute]) => {
      return [name, leftOut.has(name) ? leftOut.get(name) : attribute.default];
    });
    this.#defaults = new Set(this.#stored.flatMap(([name, standard]) => (standard === undefined ? [] : [name])));
  }

  templateOf(value: Fields): Template {
    let key = '';
    for (const name in value) if (!this.#defaults.has(name)) key += `${name},`;
    const known = this.#templates.get(key);
    if (known !== undefined) return known;
    const made = this.#templateFor(value);
    if (this.#templates.size >= TEMPLATES_MAX) this.#templates.clear();
    this.#templates.set(key, made);
    return made;
  }

  #templateFor(value: Fields): Template {
    const names = new Map<string, unknown>([['id', null]]);
    for (const [name, standard] of this.#stored)
      if (standard !== undefined || value[name] !== undefined) names.set(name, standard ?? null);
    for (const name of Object.keys(value)) if (!names.has(name)) names.set(name, null);
    const template = JSON.parse(JSON.stringify(Object.fromEntries(names))) as Template;
    for (const one of Object.values(template)) freeze(one);
    return template;
  }
}

const shapes = new WeakMap<ResourceModel, Shapes>();

function shapesOf(resource: ResourceModel): Shapes {
  const known = shapes.get(resource);
  if (known !== undefined) return known;
  const made = new Shapes(resource);
  shapes.set(resource, made);
  return made;
}

type Plain = null | boolean | '' | readonly [] | Readonly<Record<string, never>>;

const NOTHING: ReadonlyMap<string, Plain> = new Map();

/** By type: attributes that do not stand in texts where they have their default, each with that. */
const LEFT_OUT: ReadonlyMap<string, ReadonlyMap<string, Plain>> = new Map(
  BUILT_IN_RESOURCES.map(({ type, storedAttributes }) => {
    const defaults = Object.entries(storedAttributes).map(([name, attribute]) => [name, attribute.default] as const);
    return [type, new Map(defaults.filter((one): one is readonly [string, Plain] => isLeftOut(...one)))];
  }),
);

/** Of others' attributes servers of before take another default than true from an extension of a file. */
function isLeftOut(name: string, value: unknown): boolean {
  if (value === true) return name.startsWith('cable:');
  return [null, false, '', [], {}].some((empty) => isSameAs(value, empty as Plain));
}

function isSameAs(value: unknown, plain: Plain | undefined): boolean {
  if (typeof value !== 'object' || value === null) return value === plain;
  if (Array.isArray(value)) return Array.isArray(plain) && value.length === 0;
  return isFields(plain) && Object.keys(value).length === 0;
}

/** Every object without the attribute has it. */
function freeze(value: unknown): void {
  if (typeof value !== 'object' || value === null) return;
  for (const one of Object.values(value)) freeze(one);
  Object.freeze(value);
}
