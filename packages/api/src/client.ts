import {
  type AnyObject,
  BUILT_IN_RESOURCES,
  type FloatingIpView,
  type HostView,
  type NetworkView,
  type PortForwardingView,
  type PortView,
  type ResourceModel,
  type RouterView,
  type SecurityGroupRule,
  type SecurityGroupView,
  type SubnetView,
  servedName,
  type TrunkView,
} from '@cable/model';
import { parametersOf } from './routes.ts';
import { type KnownSchema, readSchema } from './schema.ts';
import type { Transport } from './transport.ts';

/** What the API shows of each built-in type (to an admin). */
export type Views = {
  readonly network: NetworkView;
  readonly subnet: SubnetView;
  readonly port: PortView;
  readonly router: RouterView;
  readonly floatingip: FloatingIpView;
  readonly port_forwarding: PortForwardingView;
  readonly trunk: TrunkView;
  readonly security_group: SecurityGroupView;
  readonly security_group_rule: SecurityGroupRule & { readonly tenant_id: string };
  readonly host: HostView;
};

/** Answer type of a resource name: its view when built in, else any object. */
export type ViewOf<T extends string> = T extends keyof Views ? Views[T] : AnyObject;

/** Query parameters; an array repeats its parameter. */
export type Query = Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>;

/** How a client reaches the server, and as whom. */
export type ClientOptions = {
  readonly transport: Transport;
  /** All that there is. Default: the built-in ones, and of other types what the server's schema says when they are first named. */
  readonly resources?: readonly ResourceModel[];
  /** Sent as X-Project-Id. */
  readonly projectId?: string;
  /** Sent as X-Roles; default: the server decides. */
  readonly roles?: readonly string[];
  /** Sent as X-Auth-Token. */
  readonly token?: string;
  /** Sent besides. */
  readonly headers?: Readonly<Record<string, string>>;
};

/** An answer of status 400 or more. `type` is Neutron's fault name, e.g. `NetworkInUse`; empty: the answer was not Neutron's. */
export class ApiError extends Error {
  readonly status: number;
  readonly type: string;
  readonly detail: string;
  /** False: one of the two has a defect. */
  readonly isExpected: boolean;

  constructor(status: number, type: string, message: string, detail: string) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.type = type;
    this.detail = detail;
    this.isExpected = status !== 400 && status !== 500;
  }
}

/**
 * The API as functions. A type is named as in the schema, a further form of it `<type>.<form>`. All throw `ApiError` for an error answer, what the transport throws
 * when there is none, and an `Error` for a type or action that neither the client nor the server knows.
 */
export type Client = {
  /** All that match, over as many pages as there are when `limit` is given. */
  list<T extends string>(type: T, query?: Query): Promise<ViewOf<T>[]>;
  get<T extends string>(type: T, id: string, query?: Query): Promise<ViewOf<T>>;
  /** `key`: an Idempotency-Key, by which the same request makes nothing twice. */
  create<T extends string>(type: T, body: object, key?: string): Promise<ViewOf<T>>;
  /** All or none. */
  createMany<T extends string>(type: T, bodies: readonly object[]): Promise<ViewOf<T>[]>;
  update<T extends string>(type: T, id: string, body: object): Promise<ViewOf<T>>;
  delete(type: string, id: string): Promise<void>;
  /**
   * e.g. `action('router', id, 'add_router_interface', {subnet_id})`. The body and the answer are without their keys. `id` is not looked at when the action is on the
   * collection; `parameters` are those of its own path.
   */
  action(
    type: string,
    id: string,
    name: string,
    body?: object,
    parameters?: Readonly<Record<string, string>>,
  ): Promise<unknown>;
  /** The same for types that are nested in others: their objects below this parent. */
  within(parent: string): Client;
  /** Any request; the answer's JSON, undefined when it has no body. */
  request(method: string, path: string, body?: unknown): Promise<unknown>;
  /** The lines of an answer that goes on. */
  stream(path: string, signal?: AbortSignal): Promise<AsyncIterable<string>>;
};

/** A client over a transport. */
export function createClient(options: ClientOptions): Client {
  return clientWithin(options, modelFinder(options), undefined);
}

type FindModel = (type: string) => Promise<ResourceModel>;

/** Asks the server once for a type that is not known; then only for whether its schema has changed. */
function modelFinder(options: ClientOptions): FindModel {
  const known = new Map((options.resources ?? BUILT_IN_RESOURCES).map((one) => [servedName(one), one]));
  let schema: KnownSchema | undefined;
  return async (type) => {
    const found = known.get(type);
    if (found !== undefined) return found;
    if (options.resources === undefined) {
      schema = await readSchema(options.transport, schema, { headers: headersOf(options, false) });
      const served = schema?.models.find((one) => servedName(one) === type);
      if (served !== undefined) return served;
    }
    throw new Error(`no resource type ${type}`);
  };
}

function clientWithin(options: ClientOptions, find: FindModel, parent: string | undefined): Client {
  const send: Send = (method, path, body, more) => request(options, { method, path, body, more });
  const collection = (model: ResourceModel): string => collectionPath(model, parent);
  const item = (model: ResourceModel, id: string): string => itemPath(model, id, parent);
  const one = async (
    model: ResourceModel,
    method: string,
    path: string,
    body?: object,
    more?: Readonly<Record<string, string>>,
  ): Promise<AnyObject> => {
    if (model.bare === true) return (await send(method, path, body, more)) as AnyObject;
    const sent = body === undefined ? undefined : { [model.name]: body };
    return pick(await send(method, path, sent, more), model.name) as AnyObject;
  };
  return {
    list: async <T extends string>(type: T, query: Query = {}) => {
      const model = await find(type);
      return (await listAll(send, collection(model), model.plural, query)) as ViewOf<T>[];
    },
    get: async <T extends string>(type: T, id: string, query: Query = {}) => {
      const model = await find(type);
      return (await one(model, 'GET', `${item(model, id)}${formatQuery(query)}`)) as ViewOf<T>;
    },
    create: async <T extends string>(type: T, body: object, key?: string) => {
      const model = await find(type);
      const more = key === undefined ? undefined : { 'idempotency-key': key };
      return (await one(model, 'POST', collection(model), body, more)) as ViewOf<T>;
    },
    createMany: async <T extends string>(type: T, bodies: readonly object[]) => {
      const model = await find(type);
      return pick(await send('POST', collection(model), { [model.plural]: bodies }), model.plural) as ViewOf<T>[];
    },
    update: async <T extends string>(type: T, id: string, body: object) => {
      const model = await find(type);
      return (await one(model, 'PUT', item(model, id), body)) as ViewOf<T>;
    },
    delete: async (type, id) => {
      await send('DELETE', item(await find(type), id));
    },
    action: async (type, id, name, body, parameters) =>
      act(send, await find(type), parent, { id, name, body, parameters }),
    within: (id) => clientWithin(options, find, id),
    request: (method, path, body) => send(method, path, body),
    stream: (path, signal) => openStream(options, path, signal),
  };
}

type ActionCall = {
  readonly id: string;
  readonly name: string;
  readonly body: object | undefined;
  readonly parameters: Readonly<Record<string, string>> | undefined;
};

async function act(
  send: Send,
  model: ResourceModel,
  parent: string | undefined,
  { id, name, body, parameters = {} }: ActionCall,
): Promise<unknown> {
  const action = model.actions?.find((one) => one.name === name);
  if (action === undefined) throw new Error(`${model.type} has no action ${name}`);
  const { method = 'PUT', on = 'object', path = name, bodyKey, answerKey } = action;
  const place = on === 'object' ? itemPath(model, id, parent) : collectionPath(model, parent);
  const rest = parametersOf(path).reduce(
    (text, one) => text.replace(`{${one}}`, () => encodeURIComponent(parameters[one] ?? '')),
    path,
  );
  const sent = body === undefined || bodyKey === undefined ? body : { [bodyKey]: body };
  const answer = await send(method, `${place}/${rest}`, action.body === undefined ? undefined : (sent ?? {}));
  return answerKey === undefined ? answer : pick(answer, answerKey);
}

/** URL path of a resource's collection; of a nested one below the parent of that id. Throws for a nested one without a parent. */
export function collectionPath(
  { type, collection }: Pick<ResourceModel, 'type' | 'collection'>,
  parent?: string,
): string {
  return collection.replace(/\{\w+\}/, () => {
    if (parent === undefined) throw new Error(`${type} is nested: name its parent`);
    return encodeURIComponent(parent);
  });
}

/** URL path of one object. */
export function itemPath(resource: Pick<ResourceModel, 'type' | 'collection'>, id: string, parent?: string): string {
  return `${collectionPath(resource, parent)}/${encodeURIComponent(id)}`;
}

/** `more`: headers besides. */
type Send = (method: string, path: string, body?: unknown, more?: Readonly<Record<string, string>>) => Promise<unknown>;

async function listAll(send: Send, collection: string, plural: string, query: Query): Promise<readonly unknown[]> {
  const found: unknown[] = [];
  let path: string | undefined = `${collection}${formatQuery(query)}`;
  while (path !== undefined) {
    const answer = await send('GET', path);
    const page = pick(answer, plural);
    if (!Array.isArray(page)) throw new ApiError(200, '', `the answer has no list ${plural}`, '');
    found.push(...page);
    path = page.length === 0 ? undefined : nextPath(answer, plural);
  }
  return found;
}

function nextPath(answer: unknown, plural: string): string | undefined {
  const links = isRecord(answer) ? answer[`${plural}_links`] : undefined;
  if (!Array.isArray(links)) return undefined;
  const next: unknown = links.find((link: unknown) => isRecord(link) && link['rel'] === 'next');
  const href = isRecord(next) ? next['href'] : undefined;
  return typeof href === 'string' ? href.replace(/^[a-z+]+:\/\/[^/]*/, '') : undefined;
}

function formatQuery(query: Query): string {
  const parts: string[] = [];
  for (const [name, value] of Object.entries(query)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined) parts.push(`${encodeURIComponent(name)}=${encodeURIComponent(String(one))}`);
    }
  }
  return parts.length === 0 ? '' : `?${parts.join('&')}`;
}

function headersOf(options: ClientOptions, hasBody: boolean): Record<string, string> {
  return {
    accept: 'application/json',
    ...(hasBody ? { 'content-type': 'application/json' } : {}),
    ...(options.projectId === undefined ? {} : { 'x-project-id': options.projectId }),
    ...(options.roles === undefined ? {} : { 'x-roles': options.roles.join(',') }),
    ...(options.token === undefined ? {} : { 'x-auth-token': options.token }),
    ...options.headers,
  };
}

type Sent = {
  readonly method: string;
  readonly path: string;
  readonly body: unknown;
  readonly more: Readonly<Record<string, string>> | undefined;
};

async function request(options: ClientOptions, { method, path, body, more }: Sent): Promise<unknown> {
  const answer = await options.transport.request({
    method,
    path,
    headers: { ...headersOf(options, body !== undefined), ...more },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (answer.status >= 400) throw parseError(answer.status, answer.body);
  return answer.body === '' ? undefined : parseJson(answer.body);
}

async function openStream(
  options: ClientOptions,
  path: string,
  signal: AbortSignal | undefined,
): Promise<AsyncIterable<string>> {
  const headers = headersOf(options, false);
  const answer = await options.transport.stream({ method: 'GET', path, headers, ...(signal ? { signal } : {}) });
  if (answer.status < 400) return answer.lines;
  let text = '';
  for await (const line of answer.lines) text += line;
  throw parseError(answer.status, text);
}

function parseError(status: number, text: string): ApiError {
  const body = parseJson(text);
  const fault = isRecord(body) ? body['NeutronError'] : undefined;
  if (isRecord(body) && typeof body['title'] === 'string' && typeof body['detail'] === 'string') {
    return new ApiError(status, body['title'], body['detail'], String(body['remedy'] ?? ''));
  }
  if (!isRecord(fault)) return new ApiError(status, '', `the server answered ${status}`, text.slice(0, 500));
  return new ApiError(status, String(fault['type']), String(fault['message']), String(fault['detail'] ?? ''));
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function pick(answer: unknown, key: string): unknown {
  if (!isRecord(answer) || answer[key] === undefined) throw new ApiError(200, '', `the answer has no ${key}`, '');
  return answer[key];
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
