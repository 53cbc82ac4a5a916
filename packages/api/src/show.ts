import type { AnyObject, Attribute, ResourceModel } from '@cable/model';

/** An object as a caller sees it. */
export type Shown = Readonly<Record<string, unknown>>;

/** The object as a caller sees it: declared attributes in order, computed ones last, aliases filled in, those in `hidden` left out. `fields` empty: all. */
export function showObject(
  resource: ResourceModel,
  object: AnyObject,
  hidden: ReadonlySet<string>,
  fields: readonly string[] = [],
): Shown {
  const shown: Record<string, unknown> = {};
  for (const [name, source] of shownAttributes(resource, hidden, fields, 'show')) {
    const value = object[source];
    if (value === undefined) continue;
    shown[name] = resource.attributes[name]?.withoutZone === true ? String(value).replace(/Z$/, '') : value;
  }
  return shown;
}

/** A computed list that may be long: its items are made and written one by one, when their turn comes. In `JSON.stringify` it is an array. */
export class LongList<T> {
  readonly #rows: readonly T[];
  readonly #show: (row: T) => unknown;

  constructor(rows: readonly T[], show: (row: T) => unknown) {
    this.#rows = rows;
    this.#show = show;
  }

  get length(): number {
    return this.#rows.length;
  }

  toJSON(): readonly unknown[] {
    return this.#rows.map(this.#show);
  }

  /** The texts of the items, of which each is small. */
  *texts(): Iterable<string> {
    for (const row of this.#rows) yield JSON.stringify(this.#show(row));
  }
}

/** A computed value as its JSON text: for what JavaScript's values cannot say (whole numbers of any size), and for what is made anew for each object of a long list. */
export class JsonText {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  /** As near as JavaScript's values come. */
  toJSON(): unknown {
    return JSON.parse(this.text);
  }
}

/** JSON text: whole, or of an object with a long list in many small pieces that are made when they are asked for. */
export type Text = string | Iterable<string>;

/** Whether an object is one of a list, or shown alone. */
export type Where = 'list' | 'show';

/** Items of a list that are written with their object. */
const SHORT = 64;

/** Texts that were made of objects before, and of what else they were made `from`, by identity; an object that has one must never change. */
export type KeptTexts = {
  get(object: AnyObject, from?: readonly unknown[]): string | undefined;
  set(object: AnyObject, text: string, from?: readonly unknown[]): unknown;
};

/**
 * Writes an object. `computed`: asked for the computed attributes, unless the whole text is kept; those that it lacks are the object's own. `from`: of what they are
 * made besides the object, each a value that never changes; undefined: that is not known, and they are made anew each time.
 */
export type ShowText = (object: AnyObject, computed: () => Shown, from?: readonly unknown[]) => Text;

/**
 * Writes objects of the resource as the caller sees them: the JSON text of what `showObject` gives, at a fraction of its cost. `kept`: where texts of objects are
 * kept, by what is shown of them: whole where it is known what they are made of, else what is stored; undefined: nowhere. An object with a `LongList` of more than
 * 64 items is in pieces.
 */
export function createShowText(
  resource: ResourceModel,
  hidden: ReadonlySet<string>,
  fields: readonly string[],
  where: Where,
  kept?: (shown: string) => KeptTexts,
): ShowText {
  const heads = shownAttributes(resource, hidden, fields, where).map(([name, source]): Head => {
    const isPlain = resource.attributes[name]?.withoutZone !== true;
    return [`${JSON.stringify(name)}:`, source, isPlain ? jsonOf : jsonWithoutZone];
  });
  const isComputed = ([, source]: Head): boolean => isMade(resource.attributes[source]);
  const stored = heads.filter((one) => !isComputed(one));
  const made = heads.filter(isComputed);
  const words = (some: readonly Head[]): string =>
    some.map(([head, source, write]) => `${head}${source}${write === jsonOf ? '' : '-'}`).join();
  const texts = kept?.(`${resource.name} ${words(stored)}`);
  const wholes = kept?.(`${resource.name} ${words(stored)} ${words(made)}`);
  const partOf = (object: AnyObject): string => {
    let text = texts?.get(object);
    if (text === undefined) {
      text = propertiesOf(stored, object, object);
      texts?.set(object, text);
    }
    return text;
  };
  const write = (object: AnyObject, text: string, computed: Shown): Text => {
    if (made.some(([, source]) => isLong(computed[source]))) return piecesOf(text, made, computed, object);
    const more = made.length === 0 ? '' : propertiesOf(made, computed, object);
    return text === '' || more === '' ? `{${text}${more}}` : `{${text},${more}}`;
  };
  return (object, computed, from) => {
    if (wholes === undefined || from === undefined) return write(object, partOf(object), computed());
    const known = wholes.get(object, from);
    if (known !== undefined) return known;
    const whole = write(object, propertiesOf(stored, object, object), computed());
    if (typeof whole === 'string') wholes.set(object, whole, from);
    return whole;
  };
}

type Head = readonly [text: string, source: string, write: (value: unknown) => string];

function propertiesOf(heads: readonly Head[], first: Shown, second: Shown): string {
  let text = '';
  for (const [head, source, write] of heads) {
    const value = first[source] === undefined ? second[source] : first[source];
    if (value === undefined) continue;
    if (text !== '') text += ',';
    text += head;
    text += write(value);
  }
  return text;
}

function isLong(value: unknown): value is LongList<unknown> {
  return value instanceof LongList && value.length > SHORT;
}

function* piecesOf(text: string, heads: readonly Head[], first: Shown, second: Shown): Iterable<string> {
  yield `{${text}`;
  let comma = text === '' ? '' : ',';
  for (const head of heads) {
    const value = first[head[1]];
    if (isLong(value)) {
      yield `${comma}${head[0]}[`;
      let between = '';
      for (const item of value.texts()) {
        yield between + item;
        between = ',';
      }
      yield ']';
    } else {
      const property = propertiesOf([head], first, second);
      if (property === '') continue;
      yield comma + property;
    }
    comma = ',';
  }
  yield '}';
}

/** True for what is not stored: it is made when it is shown. */
function isMade(attribute: Attribute | undefined): boolean {
  return attribute?.computed === true || attribute?.grantedBy !== undefined;
}

/** Name in the answer and attribute that has the value; computed ones last. */
function shownAttributes(
  resource: ResourceModel,
  hidden: ReadonlySet<string>,
  fields: readonly string[],
  where: Where,
): readonly (readonly [name: string, source: string])[] {
  const shown = Object.entries(resource.attributes)
    .filter(
      ([name, { aliasOf, input, filterOnly, shownIn = where }]) =>
        input !== true &&
        filterOnly !== true &&
        shownIn === where &&
        !hidden.has(name) &&
        (aliasOf === undefined || !hidden.has(aliasOf)),
    )
    .filter(([name]) => fields.length === 0 || fields.includes(name));
  const isComputed = ([, attribute]: (typeof shown)[number]): boolean => isMade(attribute);
  return [...shown.filter((one) => !isComputed(one)), ...shown.filter(isComputed)].map(
    ([name, attribute]) => [name, attribute.aliasOf ?? name] as const,
  );
}

/** Text that stands in JSON as it is. */
const PLAIN = /^[ !#-[\]-~]*$/;

/** Longer text is left to the engine, which copies it faster than an expression looks through it. */
const PLAIN_MAX = 256;

/** Of a time in UTC. */
function jsonWithoutZone(value: unknown): string {
  return jsonOf(typeof value === 'string' ? value.replace(/Z$/, '') : value);
}

/** As `JSON.stringify`; most values of objects are short and plain. */
function jsonOf(value: unknown): string {
  if (value === null || typeof value === 'boolean') return String(value);
  if (value instanceof JsonText) return value.text;
  return typeof value === 'string' && value.length <= PLAIN_MAX && PLAIN.test(value)
    ? `"${value}"`
    : JSON.stringify(value);
}
