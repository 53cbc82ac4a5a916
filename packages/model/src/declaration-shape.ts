/** Which fields a declaration has and of what kind each is: one that was read from a file may have anything. */
import type {
  ActionDeclaration,
  Attribute,
  AttributeType,
  BadValue,
  FormDeclaration,
  ParentDeclaration,
  Reference,
  Resource,
  Verb,
} from './declaration.ts';

/** What is wrong with a declaration, and what to do about it. */
export type Problem = { readonly text: string; readonly remedy: string };

type Scalar = 'text' | 'texts' | 'values' | 'true' | 'boolean' | 'number' | 'any';

/** What a field holds; a list of texts: one of them. */
type Kind =
  | Scalar
  | readonly (string | number)[]
  | { readonly one: Shape }
  | { readonly each: Shape }
  | { readonly named: Shape | Scalar };

/** A kind of object: its fields, and which of them must be there. */
export type Shape = { readonly fields: () => Readonly<Record<string, Kind>>; readonly needs: readonly string[] };

/** Does not compile unless it has every field of the type. The fields are made when they are first needed: an attribute has attributes in it. */
function shapeOf<T>(
  make: () => { readonly [F in keyof Required<T>]: Kind },
  needs: readonly (keyof T & string)[],
): Shape {
  let made: Readonly<Record<string, Kind>> | undefined;
  const fields = (): Readonly<Record<string, Kind>> => {
    made ??= make();
    return made;
  };
  return { fields, needs };
}

const TYPES: { readonly [T in AttributeType]: true } = {
  ...{ string: true, boolean: true, integer: true, uuid: true, ip: true, cidr: true, 'ip-or-cidr': true, mac: true },
  ...{ hostname: true, base64: true, timestamp: true, list: true, object: true, dict: true },
  ...{ number: true, any: true },
};
const VERBS: { readonly [V in Verb]: true } = { list: true, show: true, create: true, update: true, delete: true };

const REFERENCE = shapeOf<Reference>(
  () => ({ type: 'text', onDelete: ['restrict', 'cascade'], unless: 'text' }),
  ['type', 'onDelete'],
);

const BAD_VALUE = shapeOf<BadValue>(() => ({ code: 'text', message: 'text', label: 'text' }), ['code', 'message']);

const REQUIRED_UNLESS = shapeOf<NonNullable<Attribute['requiredUnless']>>(
  () => ({ attribute: 'text', is: 'text' }),
  ['attribute', 'is'],
);

/** Of an `Attribute`. */
export const ATTRIBUTE: Shape = shapeOf<Attribute>(
  () => ({
    ...{ type: Object.keys(TYPES), description: 'text', items: { one: ATTRIBUTE }, properties: { named: ATTRIBUTE } },
    ...{ write: ['create', 'update', 'both'], required: 'true', default: 'any', derive: 'text', nullable: 'true' },
    ...{
      values: 'values',
      orInteger: 'true',
      strict: 'true',
      repeats: 'true',
      withoutZone: 'true',
      option: 'text',
      schema: 'any',
      hostBits: ['cleared', 'kept'],
      badValue: { one: BAD_VALUE },
      maxLength: 'number',
      maxBytes: 'number',
      minLength: 'number',
      minimum: 'number',
    },
    ...{ maximum: 'number', reference: { one: REFERENCE }, writeBy: ['admin'], updateBy: ['admin'], seeBy: ['admin'] },
    ...{
      filter: 'boolean',
      filterAs: ['members'],
      sort: 'boolean',
      indexed: 'true',
      computed: 'true',
      aliasOf: 'text',
      grantedBy: 'text',
      example: 'any',
    },
    ...{
      input: 'true',
      filterOnly: 'true',
      shownIn: ['list', 'show'],
      needsLength: 'true',
      ruleOfDefault: 'true',
      distinct: 'texts',
      repeated: 'text',
      routable: 'true',
      besides: ['ignored'],
      requiredUnless: { one: REQUIRED_UNLESS },
      grantedThrough: 'text',
      nullAsAbsent: 'true',
      nullAsEmpty: 'true',
      emptyAsNull: 'true',
      refuses: { named: 'text' },
      extension: 'text',
    },
  }),
  ['type'],
);

/** Of what changes an attribute: any of its fields. */
export const CHANGE: Shape = { fields: ATTRIBUTE.fields, needs: [] };

/** Of an `ActionDeclaration`. */
export const ACTION: Shape = shapeOf<ActionDeclaration>(
  () => ({
    ...{ name: 'text', description: 'text', on: ['object', 'collection'], method: ['GET', 'POST', 'PUT', 'DELETE'] },
    ...{ path: 'text', body: { named: ATTRIBUTE }, bodyKey: 'text', answer: { named: ATTRIBUTE }, answerKey: 'text' },
    ...{
      status: [200, 201, 202, 204],
      extension: 'text',
      rule: 'text',
      badBody: ['InvalidInput'],
      besides: ['ignored'],
      anyBody: 'true',
      noCommand: 'true',
    },
  }),
  ['name', 'description'],
);

const PARENT = shapeOf<ParentDeclaration>(() => ({ type: 'text', attribute: 'text' }), ['type', 'attribute']);

const UNDER = shapeOf<NonNullable<FormDeclaration['under']>>(
  () => ({ type: 'text', attribute: 'text', form: 'text' }),
  ['type', 'attribute'],
);

/** Of a `FormDeclaration`. */
export const FORM: Shape = shapeOf<FormDeclaration>(
  () => ({
    ...{ form: 'text', prefix: 'text', path: 'text', name: 'text', plural: 'text', verbs: 'texts', omits: 'texts' },
    ...{ renames: { named: 'text' }, defaults: { named: 'any' }, deprecated: 'true' },
    ...{ serves: 'texts', also: { named: 'text' }, actions: 'texts', statuses: { named: 'number' } },
    attributes: { named: ATTRIBUTE },
    under: { one: UNDER },
  }),
  ['form', 'prefix'],
);

/** Of a `Resource`. */
export const RESOURCE: Shape = shapeOf<Resource>(
  () => ({
    ...{ type: 'text', name: 'text', plural: 'text', label: 'text', prefix: 'text', path: 'text', verbs: 'texts' },
    ...{
      notFound: 'text',
      description: 'text',
      key: 'text',
      givenId: 'true',
      parent: { one: PARENT },
      standard: 'boolean',
      standardShown: 'texts',
      bare: 'true',
      timesWithoutZone: 'true',
      stored: 'boolean',
    },
    ...{
      adminOnly: 'true',
      showBy: ['admin'],
      implied: 'true',
      tagged: 'true',
      sharedBy: 'text',
      updateHidesShared: 'true',
      missingMarker: ['refused', 'nothing'],
      madeBeyondQuota: 'true',
      mayBeUnowned: 'true',
      visibleThrough: 'text',
      ownedThrough: 'text',
      extension: 'text',
    },
    ...{ actions: { each: ACTION }, attributes: { named: ATTRIBUTE }, hidden: { named: ATTRIBUTE } },
    ...{ forms: { each: FORM }, columns: 'texts', command: 'text' },
  }),
  ['name', 'plural', 'label', 'prefix', 'path', 'description', 'verbs', 'standard', 'stored', 'attributes'],
);

/** A problem. */
export function problem(text: string, remedy: string): Problem {
  return { text, remedy };
}

/** The first thing in the value that is not of the shape; `where` it stands, for messages. */
export function shapeProblem(value: unknown, shape: Shape, where = ''): Problem | undefined {
  if (!isRecord(value)) return wrong(where, 'an object');
  const fields = shape.fields();
  const unknown = Object.keys(value).find((name) => !Object.hasOwn(fields, name));
  if (unknown !== undefined) {
    return problem(`there is no field ${path(where, unknown)}`, `There are: ${Object.keys(fields).join(', ')}.`);
  }
  const missing = shape.needs.find((name) => value[name] === undefined);
  if (missing !== undefined) return problem(`${path(where, missing)} is missing`, 'Add it.');
  for (const [name, one] of Object.entries(value)) {
    const kind = fields[name];
    const found = one === undefined || kind === undefined ? undefined : kindProblem(one, kind, path(where, name));
    if (found !== undefined) return found;
  }
  return verbProblem(value['verbs'], where);
}

function kindProblem(value: unknown, kind: Kind, where: string): Problem | undefined {
  if (typeof kind === 'string') return scalarProblem(value, kind, where);
  if (Array.isArray(kind)) return kind.includes(value) ? undefined : wrong(where, `one of ${kind.join(', ')}`);
  if ('one' in kind) return shapeProblem(value, kind.one, where);
  if ('each' in kind) {
    if (!Array.isArray(value)) return wrong(where, 'a list');
    return firstOf(value.map((one, index) => shapeProblem(one, kind.each, `${where}[${index}]`)));
  }
  if (!('named' in kind)) return undefined;
  if (!isRecord(value)) return wrong(where, 'an object');
  const { named } = kind;
  return firstOf(
    Object.entries(value).map(([name, one]) =>
      typeof named === 'string'
        ? scalarProblem(one, named, path(where, name))
        : shapeProblem(one, named, path(where, name)),
    ),
  );
}

function scalarProblem(value: unknown, kind: Scalar, where: string): Problem | undefined {
  return SCALARS[kind].test(value) ? undefined : wrong(where, SCALARS[kind].words);
}

const SCALARS: { readonly [S in Scalar]: { readonly words: string; readonly test: (value: unknown) => boolean } } = {
  any: { words: 'JSON', test: isJson },
  text: { words: 'a text', test: (value) => typeof value === 'string' },
  true: { words: 'true, or left out', test: (value) => value === true },
  boolean: { words: 'true or false', test: (value) => typeof value === 'boolean' },
  number: { words: 'a whole number', test: Number.isSafeInteger },
  texts: {
    words: 'a list of texts',
    test: (value) => Array.isArray(value) && value.every((one) => typeof one === 'string'),
  },
  values: {
    words: 'a list of texts and numbers',
    test: (value) => Array.isArray(value) && value.every((one) => ['string', 'number'].includes(typeof one)),
  },
};

function verbProblem(verbs: unknown, where: string): Problem | undefined {
  const odd = Array.isArray(verbs) ? verbs.find((verb) => !Object.hasOwn(VERBS, String(verb))) : undefined;
  return odd === undefined ? undefined : wrong(path(where, 'verbs'), `some of ${Object.keys(VERBS).join(', ')}`);
}

function isJson(value: unknown): boolean {
  if (Array.isArray(value)) return value.every(isJson);
  if (isRecord(value)) return Object.values(value).every(isJson);
  return value === null || ['string', 'boolean'].includes(typeof value) || Number.isFinite(value);
}

function wrong(where: string, wanted: string): Problem {
  return problem(`${where === '' ? 'it' : where} is not ${wanted}`, 'Correct it.');
}

function path(where: string, name: string): string {
  return where === '' ? name : `${where}.${name}`;
}

function firstOf(problems: readonly (Problem | undefined)[]): Problem | undefined {
  return problems.find((one) => one !== undefined);
}

/** True for a JSON object. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
