/**
 * The Contrail plug-in of neutron-server as a program of its own, from what is known of it and not from this server: what it sends, what it takes for success, and
 * what its user is answered.
 */
import { request } from 'node:http';
import { NEUTRON_CLASSES } from './neutron-classes.ts';

/** JSON, dug in without ceremony. */
export type Value = { readonly [key: string]: Value } & readonly Value[];

/** For whom neutron-server works. */
export type UserContext = {
  readonly user_id?: string;
  readonly tenant_id?: string | null;
  readonly tenant?: string;
  readonly is_admin?: boolean;
  readonly roles?: readonly string[];
  readonly request_id?: string;
};

/** What the user of neutron-server is answered. `exception`: the class; `faults`: what is wrong with the answer that led to it. */
export type UserAnswer = {
  readonly status: number;
  readonly body: Value;
  readonly exception?: string;
  readonly faults: readonly string[];
};

export type PluginOptions = {
  /** Where the servers are, asked in turn. */
  readonly servers: readonly URL[];
  /** Of the user, passed on; undefined: none. */
  readonly userToken?: string;
  /** Fetches the service's own token; undefined: it cannot. */
  readonly fetchToken?: () => string | undefined;
};

type Reply = { readonly status: number; readonly info: Value };

/** The plug-in, and what its service plug-ins ask it. */
export type Plugin = {
  /** Of every token that was sent; null: none. */
  readonly sentTokens: readonly (string | null)[];
  create(type: string, context: UserContext, resource: object): Promise<UserAnswer>;
  get(type: string, context: UserContext, id: unknown, fields?: readonly string[]): Promise<UserAnswer>;
  list(type: string, context: UserContext, filters?: object | null, fields?: readonly string[]): Promise<UserAnswer>;
  count(type: string, context: UserContext, filters: object): Promise<number>;
  update(type: string, context: UserContext, id: string, resource: object): Promise<UserAnswer>;
  /** Of a port: reads it first, and keeps the addresses that it has. */
  updatePort(context: UserContext, id: string, resource: object): Promise<UserAnswer>;
  delete(type: string, context: UserContext, id: string): Promise<UserAnswer>;
  addInterface(context: UserContext, router: string, info: object): Promise<UserAnswer>;
  removeInterface(context: UserContext, router: string, info: object): Promise<UserAnswer>;
  addSubPorts(context: UserContext, trunk: string, body: object): Promise<UserAnswer>;
  removeSubPorts(context: UserContext, trunk: string, body: object): Promise<UserAnswer>;
  updateTrunk(context: UserContext, trunk: string, resource: object): Promise<UserAnswer>;
  /** Tags of an object, by its id: READ, READALL, CREATE, DELETE, DELETEALL. */
  tags(context: UserContext, operation: string, data: object): Promise<Reply>;
  /** One request as it is, whatever it says. */
  post(type: string, body: unknown): Promise<Reply>;
};

const CREATED = 201;
const OK = 200;
const NO_CONTENT = 204;

export function createPlugin({ servers, userToken, fetchToken }: PluginOptions): Plugin {
  const sentTokens: (string | null)[] = [];
  let ownToken: string | undefined;
  let index = -1;

  const next = (left: readonly URL[]): URL => {
    index = index + 1 >= left.length ? 0 : index + 1;
    const server = left[index];
    if (server === undefined) throw new Error('no server is left');
    return server;
  };

  const sendTo = async (server: URL, type: string, body: string): Promise<Reply> => {
    const token = userToken ?? ownToken ?? null;
    sentTokens.push(token);
    const reply = await post(new URL(`/neutron/${type}`, server), body, token);
    if (reply.status !== 401) return reply;
    ownToken = fetchToken?.();
    if (ownToken === undefined) throw new Error('Authentication Failure');
    sentTokens.push(ownToken);
    return await post(new URL(`/neutron/${type}`, server), body, ownToken);
  };

  const relay = async (type: string, body: string): Promise<Reply> => {
    let left = servers;
    let last: unknown;
    while (left.length > 0) {
      const server = next(left);
      try {
        return await sendTo(server, type, body);
      } catch (err) {
        last = err;
        left = left.filter((one) => one !== server);
      }
    }
    throw last;
  };

  const ask = (context: UserContext, type: string, operation: string, data: object): Promise<Reply> =>
    relay(type, JSON.stringify({ context: encoded(context, type, operation), data }));

  const asked = async (
    context: UserContext,
    type: string,
    operation: string,
    data: Data,
    success: number,
  ): Promise<UserAnswer> => {
    const { status, info } = await ask(context, type, operation, encodedData(data));
    return transformed({ status, info, type, fields: data.fields ?? [], success });
  };

  return {
    sentTokens,
    create: (type, context, resource) => asked(context, type, 'CREATE', { resource }, CREATED),
    get: (type, context, id, fields = []) => asked(context, type, 'READ', { id, fields }, OK),
    list: (type, context, filters = {}, fields = []) => asked(context, type, 'READALL', { filters, fields }, OK),
    // Its status is not looked at.
    count: async (type, context, filters) =>
      Number((await ask(context, type, 'READCOUNT', encodedData({ filters }))).info['count']),
    update: (type, context, id, resource) => asked(context, type, 'UPDATE', { id, resource }, OK),
    updatePort: async (context, id, resource) => {
      const before = await asked(context, 'port', 'READ', { id }, OK);
      if (before.status !== OK) return before;
      return await asked(context, 'port', 'UPDATE', { id, resource: keepingAddresses(before.body, resource) }, OK);
    },
    delete: async (type, context, id) => {
      const { status, info } = await ask(context, type, 'DELETE', encodedData({ id }));
      return status === OK ? succeeded(NO_CONTENT, info) : raised(info, type, NO_CONTENT);
    },
    addInterface: (context, id, resource) => asked(context, 'router', 'ADDINTERFACE', { id, resource }, OK),
    removeInterface: (context, id, resource) => asked(context, 'router', 'DELINTERFACE', { id, resource }, OK),
    addSubPorts: (context, id, resource) => asked(context, 'trunk', 'ADD_SUBPORTS', { id, resource }, OK),
    removeSubPorts: (context, id, resource) => asked(context, 'trunk', 'REMOVE_SUBPORTS', { id, resource }, OK),
    updateTrunk: (context, id, resource) =>
      asked(context, 'trunk', 'UPDATE', { id, resource: { trunk: resource } }, OK),
    tags: (context, operation, data) => ask(context, 'tags', operation, data),
    post: (type, body) => relay(type, typeof body === 'string' ? body : JSON.stringify(body)),
  };
}

type Data = {
  readonly id?: unknown;
  readonly resource?: object;
  readonly filters?: object | null;
  readonly fields?: readonly string[] | null;
};

/** What is empty is not sent; filters and fields are, whatever they are. */
function encodedData({ id, resource, filters = null, fields = null }: Data): object {
  const isGiven = resource !== undefined && Object.keys(resource).length > 0;
  return { ...(id ? { id } : {}), ...(isGiven ? { resource } : {}), filters, fields };
}

function encoded({ roles = [], tenant, ...context }: UserContext, type: string, operation: string): object {
  return {
    ...{ user_id: '', is_admin: false, tenant_id: null, request_id: null },
    ...context,
    ...{ operation, type },
    ...(roles.length > 0 ? { roles } : {}),
    ...(tenant === undefined ? {} : { tenant }),
  };
}

function keepingAddresses(before: Value, resource: object): object {
  if (!('fixed_ips' in resource)) return resource;
  const wanted = (resource as { fixed_ips: readonly Value[] }).fixed_ips;
  const old = before['fixed_ips'] ?? [];
  const kept = old.filter((one) => wanted.some((other) => other['ip_address'] === one['ip_address']));
  const added = wanted.filter((one) => !kept.some((other) => other['ip_address'] === one['ip_address']));
  return { ...resource, fixed_ips: [...kept, ...added] };
}

type Told = {
  readonly status: number;
  readonly info: Value;
  readonly type: string;
  readonly fields: readonly string[];
  readonly success: number;
};

/** Success is 200 and nothing else; 403 is that the user may not, whatever the body says. */
function transformed({ status, info, type, fields, success }: Told): UserAnswer {
  if (status === OK) {
    const body = Array.isArray(info) ? info.map((one: Value) => pruned(one, fields)) : pruned(info, fields);
    return succeeded(success, body as unknown as Value);
  }
  return raised(status === 403 ? ({ ...info, exception: 'NotAuthorized' } as unknown as Value) : info, type, 500);
}

function pruned(one: Value, fields: readonly string[]): Value {
  if (typeof one !== 'object') return one;
  const whole = 'tenant_id' in one && !('project_id' in one) ? { ...one, project_id: one['tenant_id'] } : one;
  if (fields.length === 0) return whole as unknown as Value;
  return Object.fromEntries(Object.entries(whole).filter(([key]) => fields.includes(key))) as unknown as Value;
}

function succeeded(status: number, body: Value): UserAnswer {
  return { status, body, faults: [] };
}

/** `swallowed`: what the user is answered when the class is not known. */
function raised(info: Value, type: string, swallowed: number): UserAnswer {
  const name = String(info?.['exception'] ?? 'No exception name provided');
  const found = NEUTRON_CLASSES.get(name);
  if (found === undefined) {
    return { status: swallowed, body: info, exception: name, faults: [`${name} is no class of neutron-server`] };
  }
  const given = name === 'BadRequest' ? { resource: type, ...info } : info;
  const missing = found.parts.filter((part) => !(part in given));
  return {
    ...{ status: found.status, body: info, exception: name },
    faults: missing.map((part) => `${name} has no ${part}: ${JSON.stringify(info)}`),
  };
}

function post(url: URL, body: string, token: string | null): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const headers = {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      ...(token === null ? {} : { 'x-auth-token': token }),
    };
    const call = request(url, { method: 'POST', headers, agent: false, timeout: 60_000 }, (reply) => {
      let text = '';
      reply.setEncoding('utf8');
      reply.on('data', (chunk: string) => {
        text += chunk;
      });
      reply.on('error', reject);
      reply.on('end', () => resolve({ status: reply.statusCode ?? 0, info: parsed(text) }));
    });
    call.on('timeout', () => call.destroy(new Error('timed out')));
    call.on('error', reject);
    call.end(body);
  });
}

function parsed(text: string): Value {
  try {
    return JSON.parse(text) as Value;
  } catch {
    return { message: text } as unknown as Value;
  }
}
