/** A back end in memory that has contract 1, over HTTP as any has it. What it is told it keeps. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

type Fields = Readonly<Record<string, unknown>>;
type Kept = { readonly revision: number; readonly object: Fields };

export type FakePlugin = {
  readonly endpoint: string;
  /** Objects by `<resource>/<id>`. */
  readonly objects: Map<string, Kept>;
  /** Verbs as they were asked, e.g. `create network`. */
  readonly asked: string[];
  /** Changed by tests: what it says that it can. */
  capabilities: Record<string, unknown>;
  /** Why `verify` says no; undefined: it says yes. */
  refuse: (
    resource: string,
    object: Fields,
  ) => string | { readonly reason: string; readonly conflict: true } | undefined;
  /** Instead of what it would answer; true: it was answered. */
  instead: (verb: string, response: ServerResponse) => boolean;
  /** What create and update answer of a port. */
  portAnswer: Fields;
  /** It starts anew, and has forgotten everything. */
  restart(): void;
  count(resource: string): number;
  stop(): Promise<void>;
};

const RESOURCES = ['network', 'subnet', 'port', 'router', 'security_group', 'address_group', 'floatingip'];

/** Listens until it is stopped. */
export async function startFakePlugin(token?: string): Promise<FakePlugin> {
  const objects = new Map<string, Kept>();
  let instance = 1;
  const server: Server = createServer((request, response) => {
    respond(request, response).catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const fake: FakePlugin = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    objects,
    asked: [],
    capabilities: {
      ...{ name: 'fake', version: '1', contract: 1, network_types: ['geneve', 'vlan'], vif_types: ['ovs'] },
      resources: Object.fromEntries(RESOURCES.map((name) => [name, ['create', 'update', 'delete']])),
      ...{ extensions: ['fake-mirror'], limits: {}, features: { overhead_bytes: { 4: 58, 6: 78 } } },
    },
    refuse: () => undefined,
    instead: () => false,
    portAnswer: {},
    restart: () => {
      instance += 1;
      objects.clear();
    },
    count: (resource) => [...objects.keys()].filter((key) => key.startsWith(`${resource}/`)).length,
    stop: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return fake;

  async function respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const verb = /^\/v1\/([a-z-]+)$/.exec(request.url ?? '')?.[1] ?? '';
    let text = '';
    for await (const part of request) text += String(part);
    if (fake.instead(verb, response)) return;
    const say = (status: number, body: object): void => {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(body));
    };
    const bad = (status: number, detail: string): void => say(status, { status, detail });
    if (token !== undefined && request.headers.authorization !== `Bearer ${token}`) return bad(401, 'no token');
    if (request.method !== 'POST') return bad(405, 'POST alone');
    const body = parse(text);
    if (body === undefined) return bad(400, 'no object');
    const resource = String(body['resource']);
    const { object } = body;
    fake.asked.push(`${verb}${body['resource'] === undefined ? '' : ` ${resource}`}`);
    switch (verb) {
      case 'capabilities':
        return say(200, { ...fake.capabilities, instance: String(instance) });
      case 'health':
        return say(200, { ok: true, instance: String(instance) });
      case 'usage':
        return say(200, { used: { network: fake.count('network') } });
      case 'limits':
        return say(200, { limits: fake.capabilities['limits'] });
      case 'verify': {
        if (!isFields(object)) return say(200, { ok: false, reason: 'object is no object' });
        const no = fake.refuse(resource, object);
        if (no === undefined) return say(200, { ok: true });
        return say(200, { ok: false, ...(typeof no === 'string' ? { reason: no } : no) });
      }
      case 'create':
      case 'update': {
        const revision = body['revision'];
        if (!RESOURCES.includes(resource)) return bad(400, 'resource');
        if (!isFields(object) || typeof object['id'] !== 'string') return bad(400, 'object');
        if (!Number.isSafeInteger(revision)) return bad(400, 'revision');
        const key = `${resource}/${object['id']}`;
        if ((objects.get(key)?.revision ?? 0) <= Number(revision))
          objects.set(key, { revision: Number(revision), object });
        return say(200, resource === 'port' ? fake.portAnswer : {});
      }
      case 'delete':
        if (typeof body['id'] !== 'string') return bad(400, 'id');
        objects.delete(`${resource}/${body['id']}`);
        return say(200, {});
      case 'sync':
        return Array.isArray(body['objects'])
          ? say(200, difference(resource, body['objects'] as readonly Listed[]))
          : bad(400, 'objects');
      case 'bind':
        return typeof body['host'] === 'string' && !body['host'].includes('unknown')
          ? say(200, { vif_type: 'ovs', vif_details: { bridge_name: 'br-int' } })
          : say(200, { refused: 'no such host' });
      case 'unbind':
        return say(200, {});
      default:
        return bad(404, 'no such verb');
    }
  }

  function difference(resource: string, listed: readonly Listed[]): object {
    const of = ({ id }: Listed): Kept | undefined => objects.get(`${resource}/${id}`);
    const ids = new Set(listed.map(({ id }) => id));
    return {
      missing: listed.filter((one) => of(one) === undefined).map(({ id }) => id),
      stale: listed.filter((one) => (of(one)?.revision ?? one.revision) < one.revision).map(({ id }) => id),
      unknown: [...objects.keys()]
        .filter((key) => key.startsWith(`${resource}/`))
        .map((key) => key.slice(resource.length + 1))
        .filter((id) => !ids.has(id)),
    };
  }
}

type Listed = { readonly id: string; readonly revision: number };

function parse(text: string): Fields | undefined {
  try {
    const given: unknown = JSON.parse(text === '' ? '{}' : text);
    return isFields(given) ? given : undefined;
  } catch {
    return undefined;
  }
}

function isFields(given: unknown): given is Fields {
  return typeof given === 'object' && given !== null && !Array.isArray(given);
}
