import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { collectionPath } from '@cable/api';
import { BUILT_IN_RESOURCES, type ResourceModel } from '@cable/model';

type StoredObject = { readonly id: string } & Readonly<Record<string, unknown>>;

/** A server that keeps what it is given, filters by equality, and remembers what it was asked. */
export type StubServer = {
  readonly url: string;
  /** `METHOD path body`, in order. */
  readonly requests: string[];
  /** Header of the last request. */
  header(name: string): string | undefined;
  put(type: string, object: StoredObject): void;
  close(): void;
};

/** Starts a stub on loopback, or on a Unix socket. `extra` answers GETs of other paths, when it is there; a function of it each time anew, and undefined: not found. */
export async function startStub(extra: Readonly<Record<string, unknown>> = {}, socket?: string): Promise<StubServer> {
  const objects = new Map<string, Map<string, StoredObject>>(BUILT_IN_RESOURCES.map(({ name }) => [name, new Map()]));
  const requests: string[] = [];
  let headers: IncomingMessage['headers'] = {};
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    requests.push(`${request.method} ${decodeURIComponent(request.url ?? '')}${body === '' ? '' : ` ${body}`}`);
    headers = request.headers;
    const url = new URL(request.url ?? '/', 'http://stub');
    const found = extra[url.pathname];
    const more: unknown = typeof found === 'function' ? found(url) : await found;
    const isThere = Object.hasOwn(extra, url.pathname) && more !== undefined;
    send(response, isThere ? { status: 200, body: more } : serve(objects, request.method ?? '', url, body));
  });
  server.listen(socket === undefined ? { port: 0, host: '127.0.0.1' } : { path: socket });
  await once(server, 'listening');
  const address = server.address();
  const url = typeof address === 'object' && address !== null ? `http://127.0.0.1:${address.port}` : `unix:${address}`;
  return {
    url,
    requests,
    header: (name) => headers[name]?.toString(),
    put: (type, object) => void objects.get(type)?.set(object.id, object),
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

type Answer = { readonly status: number; readonly body: unknown };

function serve(
  objects: ReadonlyMap<string, Map<string, StoredObject>>,
  method: string,
  url: URL,
  body: string,
): Answer {
  const resource = BUILT_IN_RESOURCES.find(
    (one) => one.parent === undefined && `${url.pathname}/`.startsWith(`${collectionPath(one)}/`),
  );
  const table = objects.get(resource?.name ?? '');
  if (resource === undefined || table === undefined) return refusal(404, 'HTTPNotFound', 'no such path');
  const [id = '', action] = url.pathname.slice(collectionPath(resource).length + 1).split('/');
  const given: unknown = body === '' ? undefined : JSON.parse(body);
  if (method === 'GET' && id === '') {
    return { status: 200, body: { [resource.plural]: [...table.values()].filter((one) => matches(one, url)) } };
  }
  if (method === 'POST' && action === undefined) return store(resource, table, { id: `new-${table.size}` }, given);
  const found = table.get(id);
  if (found === undefined)
    return refusal(404, `${resource.label}NotFound`, `${resource.label} ${id} could not be found.`);
  if (action !== undefined) return { status: 200, body: { id, ...(given as object) } };
  if (method === 'PUT') return store(resource, table, found, given);
  if (method === 'GET') return { status: 200, body: { [resource.name]: found } };
  if (found['used'] === true) return refusal(409, `${resource.label}InUse`, `${id} is in use.`, found['detail']);
  table.delete(found.id);
  return { status: 204, body: undefined };
}

function store(
  resource: ResourceModel,
  table: Map<string, StoredObject>,
  before: StoredObject,
  given: unknown,
): Answer {
  const object = { ...before, ...((given as Readonly<Record<string, object>>)[resource.name] ?? {}) };
  table.set(object.id, object);
  return { status: 200, body: { [resource.name]: object } };
}

const CONTROL: ReadonlySet<string> = new Set(['fields', 'limit', 'sort_key', 'sort_dir']);

function matches(object: StoredObject, url: URL): boolean {
  return [...url.searchParams].every(([name, value]) => CONTROL.has(name) || String(object[name]) === value);
}

function refusal(status: number, type: string, message: string, detail: unknown = ''): Answer {
  return { status, body: { NeutronError: { type, message, detail } } };
}

function send(response: ServerResponse, { status, body }: Answer): void {
  response.writeHead(status).end(typeof body === 'string' ? body : JSON.stringify(body));
}
