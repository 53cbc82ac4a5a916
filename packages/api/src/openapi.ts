import { type Attribute, type AttributeType, type ResourceModel, servedModels, servedName } from '@cable/model';
import { NATIVE_ROUTES, type NativeAnswer, type NativeRoute } from './native-routes.ts';
import { filterNames } from './query.ts';
import { parametersOf, type Route, routesOf } from './routes.ts';

type Json = { readonly [key: string]: unknown };

/** The whole document, of the paths below one prefix alone: `/proton/net-l3vpn/v1.0`. Its version is the last word of that. */
export function openApiBelow(resources: readonly ResourceModel[], prefix: string): Json {
  const document = openApiDocument(resources, prefix.split('/').at(-1) ?? '');
  const paths = Object.entries(document['paths'] as Readonly<Record<string, unknown>>);
  return { ...document, paths: Object.fromEntries(paths.filter(([path]) => path.startsWith(`${prefix}/`))) };
}

/** The OpenAPI 3.1 document of the declarations. */
export function openApiDocument(resources: readonly ResourceModel[], version: string): Json {
  const paths: Record<string, Record<string, Json>> = {};
  for (const route of routesOf(resources)) {
    paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: operationOf(route) };
  }
  for (const route of NATIVE_ROUTES) {
    paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: nativeOperation(route) };
  }
  const schemas: Record<string, Json> = { NeutronError: ERROR_SCHEMA };
  for (const resource of servedModels(resources)) {
    const name = servedName(resource);
    schemas[name] = objectSchema(resource.attributes, isShown);
    if (resource.verbs.includes('create')) schemas[`${name}_create`] = writeSchema(resource, 'create');
    if (resource.verbs.includes('update')) schemas[`${name}_update`] = writeSchema(resource, 'update');
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Cable', version, description: 'The Neutron API and Cable’s own.' },
    paths,
    components: { schemas },
  };
}

function operationOf(route: Route): Json {
  const { resource, operation } = route;
  const served = servedName(resource);
  const isAction = operation.kind === 'action';
  const parameters = [...pathParameters(route.path), ...(operation.kind === 'list' ? queryParameters(resource) : [])];
  return {
    operationId: `${isAction ? operation.action.name : operation.kind}_${served}`,
    tags: [served],
    summary: isAction ? operation.action.description : `${operation.kind}: ${resource.description}`,
    ...(resource.deprecated ? { deprecated: true } : {}),
    ...(parameters.length > 0 ? { parameters } : {}),
    ...requestBody(route),
    responses: {
      [route.status]: { description: 'Success.', ...responseContent(route) },
      default: { description: 'An error.', content: json(ref('NeutronError')) },
    },
  };
}

function nativeOperation({ method, path, summary, query = {}, body, answers, adminOnly }: NativeRoute): Json {
  const asked = Object.entries(query).map(([name, one]) => ({ name, in: 'query', schema: schemaOf(one) }));
  const parameters = [...pathParameters(path), ...asked];
  return {
    operationId: `${method.toLowerCase()}_${path.replaceAll(/\W+/g, '_').replaceAll(/^_|_$/g, '') || 'root'}`,
    tags: [path.startsWith('/cable/v1/hosts/') ? 'agent protocol' : 'server'],
    summary: adminOnly ? `${summary} For admins.` : summary,
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(body === undefined
      ? {}
      : { requestBody: { required: true, content: json(objectSchema(given(body), ALL, true)) } }),
    responses: {
      ...Object.fromEntries(Object.entries(answers).map(([status, one]) => [status, nativeResponse(one)])),
      default: { description: 'An error.', content: json(ref('NeutronError')) },
    },
  };
}

function nativeResponse({ description, content, attributes }: NativeAnswer): Json {
  if (content === undefined) return { description };
  const schema = attributes === undefined ? {} : { schema: objectSchema(attributes, ALL) };
  return { description, content: { [content]: schema } };
}

const ALL = (): boolean => true;

/** As attributes that a request gives. */
function given(attributes: Readonly<Record<string, Attribute>>): Readonly<Record<string, Attribute>> {
  return Object.fromEntries(Object.entries(attributes).map(([name, one]) => [name, { write: 'both', ...one }]));
}

function pathParameters(path: string): readonly Json[] {
  return parametersOf(path).map((name) => ({ name, in: 'path', required: true, schema: { type: 'string' } }));
}

function queryParameters(resource: ResourceModel): readonly Json[] {
  const filters = Object.entries(resource.attributes).filter(
    ([, a]) => a.filter !== false && !['dict', 'object', 'any'].includes(a.type),
  );
  const names = [
    ...filters.flatMap(([name, one]) => filterNames(name, one)),
    'fields',
    'sort_key',
    'sort_dir',
    'limit',
    'marker',
    'page_reverse',
  ];
  return names.map((name) => ({ name, in: 'query', schema: { type: 'array', items: { type: 'string' } } }));
}

function requestBody({ resource, operation }: Route): Json {
  if (operation.kind === 'action') {
    const { body, bodyKey } = operation.action;
    if (body === undefined) return {};
    return {
      requestBody: {
        content: json(wrap(bodyKey, objectSchema(given(body), ALL, true))),
      },
    };
  }
  if (operation.kind !== 'create' && operation.kind !== 'update') return {};
  const name = servedName(resource);
  const one = wrap(keyOfOne(resource), ref(`${name}_${operation.kind}`));
  if (resource.bare === true) return { requestBody: { required: true, content: json(one) } };
  if (operation.kind === 'update') return { requestBody: { required: true, content: json(one) } };
  const many = wrap(resource.plural, { type: 'array', items: ref(`${name}_create`) });
  return { requestBody: { required: true, content: json({ oneOf: [one, many] }) } };
}

function responseContent({ resource, operation, status }: Route): Json {
  if (status === 204) return {};
  if (operation.kind === 'action') {
    const { answer, answerKey } = operation.action;
    const schema = answer === undefined ? { type: 'object' } : objectSchema(answer, ALL);
    return { content: json(wrap(answerKey, schema)) };
  }
  const one = ref(servedName(resource));
  if (operation.kind === 'list') return { content: json(wrap(resource.plural, { type: 'array', items: one })) };
  return { content: json(wrap(keyOfOne(resource), one)) };
}

/** What one object is wrapped in; undefined: nothing. */
function keyOfOne({ bare, name }: ResourceModel): string | undefined {
  return bare === true ? undefined : name;
}

/** Below a parent its reference is in the path, and so need not be in the body. */
function writeSchema({ attributes, parent }: ResourceModel, verb: 'create' | 'update'): Json {
  const isInPath = (name: string): boolean => name === parent?.attribute;
  const entries = Object.entries(attributes).map(([name, attribute]) => {
    const { required: _required, ...optional } = attribute;
    return [name, isInPath(attribute.aliasOf ?? name) ? optional : attribute] as const;
  });
  const isWritten = (attribute: Attribute): boolean => attribute.write === 'both' || attribute.write === verb;
  return objectSchema(Object.fromEntries(entries), isWritten, verb === 'create');
}

function isShown({ input, filterOnly }: Attribute): boolean {
  return input !== true && filterOnly !== true;
}

function objectSchema(
  attributes: Readonly<Record<string, Attribute>>,
  keep: (attribute: Attribute) => boolean,
  withRequired = false,
): Json {
  const kept = Object.entries(attributes).filter(([, attribute]) => keep(attribute));
  const required = withRequired ? kept.filter(([, attribute]) => attribute.required).map(([name]) => name) : [];
  return {
    type: 'object',
    properties: Object.fromEntries(kept.map(([name, attribute]) => [name, schemaOf(attribute)])),
    ...(required.length > 0 ? { required } : {}),
  };
}

const TYPES: Readonly<Record<AttributeType, Json>> = {
  string: { type: 'string' },
  boolean: { type: 'boolean' },
  integer: { type: 'integer' },
  uuid: { type: 'string', format: 'uuid' },
  ip: { type: 'string', anyOf: [{ format: 'ipv4' }, { format: 'ipv6' }] },
  cidr: { type: 'string' },
  'ip-or-cidr': { type: 'string' },
  mac: { type: 'string' },
  hostname: { type: 'string', format: 'hostname' },
  base64: { type: 'string', contentEncoding: 'base64' },
  timestamp: { type: 'string', format: 'date-time' },
  list: { type: 'array' },
  object: { type: 'object' },
  dict: { type: 'object' },
  number: { type: 'number' },
  any: {},
};

function schemaOf(attribute: Attribute): Json {
  const base = TYPES[attribute.type];
  const isList = attribute.type === 'list';
  return {
    ...base,
    ...typeOf(attribute, base),
    ...(attribute.description === undefined ? {} : { description: attribute.description }),
    ...(attribute.values === undefined ? {} : { enum: [...attribute.values, ...(attribute.nullable ? [null] : [])] }),
    ...(attribute.default === undefined ? {} : { default: attribute.default }),
    ...(attribute.example === undefined ? {} : { examples: [attribute.example] }),
    ...(attribute.minimum === undefined ? {} : { minimum: attribute.minimum }),
    ...(attribute.maximum === undefined ? {} : { maximum: attribute.maximum }),
    ...(attribute.minLength === undefined ? {} : { minLength: attribute.minLength }),
    ...(attribute.maxLength === undefined ? {} : { [isList ? 'maxItems' : 'maxLength']: attribute.maxLength }),
    ...(attribute.write === undefined ? { readOnly: true } : {}),
    ...(attribute.items === undefined ? {} : { items: schemaOf({ write: 'both', ...attribute.items }) }),
    ...(attribute.properties === undefined ? {} : innerSchema(attribute.properties)),
    ...attribute.schema,
  };
}

function typeOf(attribute: Attribute, base: Json): Json {
  if (base['type'] === undefined) return {};
  const types = [base['type'], ...(attribute.orInteger ? ['integer'] : []), ...(attribute.nullable ? ['null'] : [])];
  return types.length === 1 ? {} : { type: types };
}

function innerSchema(properties: Readonly<Record<string, Attribute>>): Json {
  return { properties: objectSchema(given(properties), ALL)['properties'] };
}

const ERROR_SCHEMA: Json = {
  type: 'object',
  properties: {
    NeutronError: {
      type: 'object',
      properties: { type: { type: 'string' }, message: { type: 'string' }, detail: { type: 'string' } },
      required: ['type', 'message', 'detail'],
    },
  },
  required: ['NeutronError'],
};

function ref(name: string): Json {
  return { $ref: `#/components/schemas/${name}` };
}

function wrap(key: string | undefined, schema: Json): Json {
  return key === undefined ? schema : { type: 'object', properties: { [key]: schema }, required: [key] };
}

function json(schema: Json): Json {
  return { 'application/json': { schema } };
}
