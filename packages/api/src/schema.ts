/** The registry as data: what `GET /cable/v1/schema` gives, and what a client makes of it. */
import {
  type Attribute,
  type AttributeType,
  isCommandText,
  type Registry,
  type ResourceModel,
  servedModels,
  type Verb,
} from '@cable/model';
import { type Extension, extensionsOf } from './extensions.ts';
import type { Transport } from './transport.ts';

/** Where it is. */
export const SCHEMA_PATH = '/cable/v1/schema';

/** What is served: types and their further forms, with actions, columns and examples; nothing of what is only stored. */
export type Schema = { readonly extensions: readonly Extension[]; readonly resources: readonly SchemaResource[] };

/** A model without what no request names. */
export type SchemaResource = Omit<ResourceModel, 'hidden' | 'storedAttributes' | 'forms' | 'fixed' | 'standardised'>;

/** The schema of a registry. */
export function schemaOf({ models, extensions }: Registry): Schema {
  return {
    extensions: extensionsOf(extensions),
    resources: servedModels(models).map(
      ({ hidden: _hidden, storedAttributes: _stored, forms: _forms, fixed: _fixed, standardised: _is, ...shown }) =>
        shown,
    ),
  };
}

/** A server's schema as a client keeps it. `etag`: to ask whether it is still that. */
export type KnownSchema = { readonly etag: string; readonly models: readonly ResourceModel[] };

/**
 * Asks a server for its schema; `known` is given back while it is still that. Undefined: the server has none that is understood. Throws what the
 * transport throws.
 */
export async function readSchema(
  transport: Pick<Transport, 'request'>,
  known?: KnownSchema,
  options: { readonly headers?: Readonly<Record<string, string>>; readonly signal?: AbortSignal } = {},
): Promise<KnownSchema | undefined> {
  const headers = { accept: 'application/json', ...options.headers };
  const answer = await transport.request({
    method: 'GET',
    path: SCHEMA_PATH,
    headers: known === undefined ? headers : { ...headers, 'if-none-match': known.etag },
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
  if (answer.status === 304) return known;
  const models = answer.status === 200 ? parseSchema(answer.body) : undefined;
  return models === undefined ? undefined : { etag: answer.headers['etag'] ?? '', models };
}

/**
 * The models in the text of a schema, which may be of a newer server: fields that are not known are passed over, and types, verbs and attributes that are not
 * understood are left out. Undefined: it is no schema.
 */
export function parseSchema(text: string): readonly ResourceModel[] | undefined {
  const schema = parseJson(text);
  const resources = isRecord(schema) ? schema['resources'] : undefined;
  if (!Array.isArray(resources)) return undefined;
  return resources.flatMap((one) => parseResource(one) ?? []);
}

type Fields = Readonly<Record<string, unknown>>;

const TEXTS = ['type', 'name', 'plural', 'label', 'prefix', 'path', 'collection', 'key', 'description'] as const;
const WORD = /^[a-z][a-z0-9_]*$/;
const TYPE = /^[a-z][a-z0-9_]*(\.[a-z0-9][a-z0-9_-]*)*$/;
const VERBS: { readonly [V in Verb]: true } = { list: true, show: true, create: true, update: true, delete: true };
const TYPES: { readonly [T in AttributeType]: true } = {
  ...{ string: true, boolean: true, integer: true, uuid: true, ip: true, cidr: true, 'ip-or-cidr': true, mac: true },
  ...{ hostname: true, base64: true, timestamp: true, list: true, object: true, dict: true },
  ...{ number: true, any: true },
};

function parseResource(value: unknown): ResourceModel | undefined {
  if (!isRecord(value) || TEXTS.some((name) => typeof value[name] !== 'string')) return undefined;
  const { type, name, verbs, actions, attributes, columns, command, description, parent } = value;
  if (parent !== undefined && !(isRecord(parent) && areTexts(parent['type'], parent['attribute']))) return undefined;
  if (!TYPE.test(String(type)) || !WORD.test(String(name)) || !isRecord(attributes)) return undefined;
  const known = parseAttributes(attributes);
  const shown = Array.isArray(columns) ? columns.filter((one) => Object.hasOwn(known, String(one))) : undefined;
  const { columns: _columns, command: _command, ...rest } = value;
  const model = {
    ...rest,
    description: plain(description),
    verbs: (Array.isArray(verbs) ? verbs : []).filter((verb) => Object.hasOwn(VERBS, String(verb))),
    attributes: known,
    storedAttributes: known,
    actions: (Array.isArray(actions) ? actions : []).flatMap((one) => parseActionModel(one) ?? []),
    ...(shown === undefined ? {} : { columns: shown }),
    ...(typeof command === 'string' && isCommandText(command) ? { command } : {}),
    standardised: true,
  };
  return model as unknown as ResourceModel;
}

function parseActionModel(value: unknown): Fields | undefined {
  if (!isRecord(value) || !WORD.test(String(value['name']))) return undefined;
  const { body, answer, on = 'object', method = 'PUT', path = '', bodyKey = '', answerKey = '' } = value;
  if (!areTexts(path, bodyKey, answerKey) || !PLACES.has(on) || !METHODS.has(method)) return undefined;
  return {
    ...value,
    description: plain(value['description']),
    ...(isRecord(body) ? { body: parseAttributes(body) } : {}),
    ...(isRecord(answer) ? { answer: parseAttributes(answer) } : {}),
  };
}

const PLACES: ReadonlySet<unknown> = new Set(['object', 'collection']);
const METHODS: ReadonlySet<unknown> = new Set(['GET', 'POST', 'PUT', 'DELETE']);

function areTexts(...values: readonly unknown[]): boolean {
  return values.every((value) => typeof value === 'string');
}

function parseAttributes(values: Fields): Readonly<Record<string, Attribute>> {
  const entries = Object.entries(values).flatMap(([name, value]) => {
    const attribute = /^[\w:-]+$/.test(name) && !(name in {}) ? parseAttribute(value) : undefined;
    return attribute === undefined ? [] : [[name, attribute] as const];
  });
  return Object.fromEntries(entries);
}

function parseAttribute(value: unknown): Attribute | undefined {
  if (!isRecord(value) || !Object.hasOwn(TYPES, String(value['type']))) return undefined;
  const { reference, ...known } = value;
  const { items, properties, values, description } = known;
  const one = items === undefined ? undefined : parseAttribute(items);
  if ((value['type'] === 'list') !== (one !== undefined)) return undefined;
  if (value['type'] === 'object' && !isRecord(properties)) return undefined;
  return {
    ...(known as Attribute),
    ...(isRecord(reference) && areTexts(reference['type'])
      ? { reference: reference as Attribute['reference'] & {} }
      : {}),
    ...(one === undefined ? {} : { items: one }),
    ...(isRecord(properties) ? { properties: parseAttributes(properties) } : {}),
    ...(values === undefined ? {} : { values: Array.isArray(values) ? values : [] }),
    ...(description === undefined ? {} : { description: plain(description) }),
  };
}

/** Without what could drive a terminal. */
function plain(text: unknown): string {
  return typeof text === 'string' ? text.replaceAll(/\p{Cc}/gu, ' ') : '';
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
