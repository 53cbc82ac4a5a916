/** TypeScript of a model: types of its objects, and a client that knows them. Neither needs anything else. */
import type { JsonSchema, ProtonAttribute, ProtonModel, ProtonObject } from '../model.ts';

/** Types for what is read, sent to create, and sent to update each object. */
export function typesText(model: ProtonModel): string {
  const names = typeNames(model);
  return [header(model), ...model.objects.map((object) => objectTypes(object, names(object)))].join('\n');
}

/** Words that are no names of types, and those of this file. */
const TAKEN: ReadonlySet<string> = new Set([
  ...[
    'any',
    'as',
    'async',
    'await',
    'bigint',
    'boolean',
    'break',
    'case',
    'catch',
    'class',
    'const',
    'continue',
    'debugger',
  ],
  ...[
    'default',
    'delete',
    'do',
    'else',
    'enum',
    'export',
    'extends',
    'false',
    'finally',
    'for',
    'function',
    'if',
    'implements',
  ],
  ...[
    'import',
    'in',
    'infer',
    'instanceof',
    'interface',
    'intrinsic',
    'keyof',
    'let',
    'never',
    'new',
    'null',
    'number',
    'object',
  ],
  ...[
    'package',
    'private',
    'protected',
    'public',
    'readonly',
    'return',
    'static',
    'string',
    'super',
    'switch',
    'symbol',
    'this',
  ],
  ...[
    'throw',
    'true',
    'try',
    'type',
    'typeof',
    'undefined',
    'unique',
    'unknown',
    'var',
    'void',
    'while',
    'with',
    'yield',
  ],
  ...['Collection', 'Promise', 'Readonly', 'Record', 'Send'],
]);

/** The name of an object's type: its own, with lines behind it where that is another's. */
function typeNames(model: ProtonModel): (object: ProtonObject) => string {
  const taken = new Set(TAKEN);
  const names = new Map<string, string>();
  for (const { name } of model.objects) {
    let free = name;
    while ([free, `${free}Create`, `${free}Update`].some((one) => taken.has(one))) free += '_';
    for (const one of [free, `${free}Create`, `${free}Update`]) taken.add(one);
    names.set(name, free);
  }
  return ({ name }) => names.get(name) ?? name;
}

/** `typesText`, and `createClient(send)` with a member for each collection. */
export function clientText(model: ProtonModel): string {
  const names = typeNames(model);
  const members = model.objects.flatMap((object) => {
    const type = collectionType(names(object));
    return [member(model, object, type), ...nestedMember(model, object, type)];
  });
  return `${typesText(model)}
/** Sends a request and answers its body as JSON; rejects unless the status is 2xx. \`query\` and \`body\` may be absent. */
export type Send = (request: {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}) => Promise<unknown>;

export type Collection<One, Create, Update> = {
  readonly list: (query?: Readonly<Record<string, string>>) => Promise<readonly One[]>;
  readonly create: (body: Create) => Promise<One>;
  readonly get: (key: string | number) => Promise<One>;
  readonly update: (key: string | number, body: Update) => Promise<One>;
  readonly delete: (key: string | number) => Promise<void>;
};

function collection<One, Create, Update>(send: Send, path: string, plural: string): Collection<One, Create, Update> {
  const one = (key: string | number): string => \`\${path}/\${encodeURIComponent(key)}\`;
  return {
    list: async (query) => {
      const answer = (await send({ method: 'GET', path, ...(query === undefined ? {} : { query }) })) as Record<string, readonly One[]>;
      return answer[plural] ?? [];
    },
    create: async (body) => (await send({ method: 'POST', path, body })) as One,
    get: async (key) => (await send({ method: 'GET', path: one(key) })) as One,
    update: async (key, body) => (await send({ method: 'PUT', path: one(key), body })) as One,
    delete: async (key) => void (await send({ method: 'DELETE', path: one(key) })),
  };
}

/** A client of ${model.name} ${model.version}. */
export function createClient(send: Send) {
  return {
${members.join('\n')}
  };
}
`;
}

function header({ name, version, description }: ProtonModel): string {
  const text = description === '' ? '' : `: ${oneLine(description)}`;
  return `/** Generated of the model ${name} ${version}${text}. */\n`;
}

/** No text of a model ends a comment. */
function oneLine(text: string): string {
  return text
    .replaceAll(/[\s\p{Cc}]+/gu, ' ')
    .replaceAll('*/', '* /')
    .trim();
}

function objectTypes(object: ProtonObject, name: string): string {
  const { attributes, primary } = object;
  const isSent = (one: ProtonAttribute): boolean => !one.readOnly;
  const created = attributes.filter(isSent);
  const updated = created.filter((one) => !one.immutable && one.name !== primary);
  const stamps = ['created_at', 'updated_at'].map((stamp) => `  readonly ${stamp}: string;`);
  return [
    ...comment('', object.description),
    `export type ${name} = {`,
    ...attributes.flatMap((one) => line(one, '')),
    ...stamps,
    '};',
    '',
    `export type ${name}Create = {`,
    ...created.flatMap((one) => line(one, one.required ? '' : '?')),
    '};',
    '',
    `export type ${name}Update = {`,
    ...updated.flatMap((one) => line(one, '?')),
    '};',
    '',
  ].join('\n');
}

function line({ name, description, schema, nullable }: ProtonAttribute, mark: '' | '?'): readonly string[] {
  return [...comment('  ', description), `  readonly ${name}${mark}: ${typeOf(schema)}${nullable ? ' | null' : ''};`];
}

function comment(indent: string, text: string): readonly string[] {
  return text === '' ? [] : [`${indent}/** ${oneLine(text)}. */`.replace('.. */', '. */')];
}

/** What TypeScript can say of a schema. */
export function typeOf(schema: JsonSchema): string {
  if (typeof schema === 'boolean') return schema ? 'unknown' : 'never';
  const { enum: values, const: only, anyOf, oneOf, allOf, type } = schema;
  if (Array.isArray(values)) return unionOf(values.map((value) => JSON.stringify(value)));
  if (only !== undefined) return JSON.stringify(only);
  const alternatives = anyOf ?? oneOf;
  if (type === undefined && Array.isArray(alternatives))
    return unionOf(alternatives.map((one) => typeOf(one as JsonSchema)));
  if (type === undefined && Array.isArray(allOf)) {
    const parts = allOf.map((one) => typeOf(one as JsonSchema)).filter((one) => one !== 'unknown');
    return parts.length === 0 ? 'unknown' : parts.map(inParentheses).join(' & ');
  }
  if (type === undefined) return 'unknown';
  return unionOf([type].flat().map((one) => plainType(String(one), schema)));
}

function plainType(type: string, schema: Readonly<Record<string, unknown>>): string {
  switch (type) {
    case 'integer':
    case 'number':
      return 'number';
    case 'array':
      return `readonly ${inParentheses(typeOf((schema['items'] ?? true) as JsonSchema))}[]`;
    case 'object':
      return objectType(schema);
    default:
      return type;
  }
}

function objectType(schema: Readonly<Record<string, unknown>>): string {
  const properties = Object.entries((schema['properties'] ?? {}) as Readonly<Record<string, JsonSchema>>);
  const required = Array.isArray(schema['required']) ? schema['required'] : [];
  const rest = (schema['additionalProperties'] ?? true) as JsonSchema;
  const isClosed = rest === false || properties.length > 0;
  const members = properties.map(
    ([key, one]) => `readonly ${JSON.stringify(key)}${required.includes(key) ? '' : '?'}: ${typeOf(one)}`,
  );
  if (!isClosed) return `Readonly<Record<string, ${typeOf(rest)}>>`;
  return `{ ${members.join('; ')} }`;
}

function unionOf(types: readonly string[]): string {
  return [...new Set(types)].join(' | ');
}

function inParentheses(type: string): string {
  return / [|&] |^readonly /.test(type) ? `(${type})` : type;
}

function collectionType(name: string): string {
  return `collection<${name}, ${name}Create, ${name}Update>`;
}

function member(model: ProtonModel, object: ProtonObject, type: string): string {
  return `    ${quoted(object.plural)}: ${type}(send, '${pathOf(model, object)}', '${object.plural}'),`;
}

/** The collection below one parent. */
function nestedMember(model: ProtonModel, object: ProtonObject, type: string): readonly string[] {
  const parent = model.objects.find(({ name }) => name === object.parent?.object);
  if (parent === undefined) return [];
  const path = `\`${pathOf(model, parent)}/\${encodeURIComponent(key)}/${object.plural}\``;
  return [`    ${quoted(`${object.plural}Of`)}: (key: string | number) => ${type}(send, ${path}, '${object.plural}'),`];
}

function quoted(word: string): string {
  return /^[A-Za-z_]\w*$/.test(word) ? word : `'${word}'`;
}

/** Path of a collection. */
export function pathOf({ name, version }: ProtonModel, { plural }: ProtonObject): string {
  return `/proton/${name}/v${version}/${plural}`;
}
