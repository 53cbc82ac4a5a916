import {
  type AnyObject,
  BUILT_IN_RESOURCES,
  type HostView,
  type NetworkView,
  type PortView,
  type ResourceModel,
  type RouterView,
  type SecurityGroupRule,
  type SecurityGroupView,
  type SubnetView,
} from '@cable/model';
import type { Transport } from './transport.ts';

/** What the API shows of each built-in type (to an admin). */
export type Views = {
  readonly network: NetworkView;
  readonly subnet: SubnetView;
  readonly port: PortView;
  readonly router: RouterView;
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
  /** Default: the built-in ones. */
  readonly resources?: readonly ResourceModel[];
  /** Sent as X-Project-Id. */
  readonly projectId?: string;
  /** Sent as X-Roles; default: the server decides. */
  readonly roles?: readonly string[];
  /** Sent as X-Auth-Token. */
  readonly token?: string;
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

/** The API as functions. All throw `ApiError` for an error answer, and what the transport throws when there is none. */
export type Client = {
  /** All that match, over as many pages as there are when `limit` is given. */
  list<T extends string>(type: T, query?: Query): Promise<ViewOf<T>[]>;
  get<T extends string>(type: T, id: string, query?: Query): Promise<ViewOf<T>>;
  create<T extends string>(type: T, body: object): Promise<ViewOf<T>>;
  /** All or none. */
  createMany<T extends string>(type: T, bodies: readonly object[]): Promise<ViewOf<T>[]>;
  update<T extends string>(type: T, id: string, body: object): Promise<ViewOf<T>>;
  delete(type: string, id: string): Promise<void>;
  /** e.g. `action('router', id, 'add_router_interface', {subnet_id})`. */
  action(type: string, id: string, name: string, body: object): Promise<unknown>;
  /** Any request; the answer's JSON, undefined when it has no body. */
  request(method: string, path: string, body?: unknown): Promise<unknown>;
  /** The lines of an answer that goes on. */
  stream(path: string, signal?: AbortSignal): Promise<AsyncIterable<string>>;
};

/** A client over a transport. */
export function createClient(options: ClientOptions): Client {
  const resources = new Map((options.resources ?? BUILT_IN_RESOURCES).map((one) => [one.name, one]));
  const resourceOf = (type: string): ResourceModel => {
    const found = resources.get(type);
    if (found === undefined) throw new Error(`no resource type ${type}`);
    return found;
  };
  const send = (method: string, path: string, body?: unknown): Promise<unknown> => request(options, method, path, body);
  const one = async <T extends string>(type: T, method: string, path: string, body?: object): Promise<ViewOf<T>> =>
    pick(
      await send(method, path, body === undefined ? undefined : { [resourceOf(type).name]: body }),
      type,
    ) as ViewOf<T>;
  return {
    list: (type, query = {}) => listAll(send, resourceOf(type), query),
    get: (type, id, query = {}) => one(type, 'GET', `${itemPath(resourceOf(type), id)}${formatQuery(query)}`),
    create: (type, body) => one(type, 'POST', collectionPath(resourceOf(type)), body),
    createMany: async <T extends string>(type: T, bodies: readonly object[]) => {
      const { plural } = resourceOf(type);
      const answer = await send('POST', collectionPath(resourceOf(type)), { [plural]: bodies });
      return pick(answer, plural) as ViewOf<T>[];
    },
    update: (type, id, body) => one(type, 'PUT', itemPath(resourceOf(type), id), body),
    delete: async (type, id) => {
      await send('DELETE', itemPath(resourceOf(type), id));
    },
    action: (type, id, name, body) => send('PUT', `${itemPath(resourceOf(type), id)}/${name}`, body),
    request: send,
    stream: (path, signal) => openStream(options, path, signal),
  };
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
export function itemPath(resource: Pick<ResourceModel, 'type' | 'collection'>, id: string): string {
  return `${collectionPath(resource)}/${encodeURIComponent(id)}`;
}

type Send = (method: string, path: string, body?: unknown) => Promise<unknown>;

async function listAll<T extends string>(send: Send, resource: ResourceModel, query: Query): Promise<ViewOf<T>[]> {
  const found: unknown[] = [];
  let path: string | undefined = `${collectionPath(resource)}${formatQuery(query)}`;
  while (path !== undefined) {
    const answer = await send('GET', path);
    const page = pick(answer, resource.plural);
    if (!Array.isArray(page)) throw new ApiError(200, '', `the answer has no list ${resource.plural}`, '');
    found.push(...page);
    path = page.length === 0 ? undefined : nextPath(answer, resource.plural);
  }
  return found as ViewOf<T>[];
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
  };
}

async function request(options: ClientOptions, method: string, path: string, body: unknown): Promise<unknown> {
  const answer = await options.transport.request({
    method,
    path,
    headers: headersOf(options, body !== undefined),
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
