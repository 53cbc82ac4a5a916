/** A back end by contract 1: what all of them do alike. It keeps revisions, leaves late updates alone, takes one change of an object at a time, and compares. */
import { createHash, randomUUID, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { isFields, RESOURCES, type ResourceName } from './contract.ts';

type Fields = Readonly<Record<string, unknown>>;

/** Why something is not taken. `conflict`: something else is in the way. */
export type Refused = { readonly reason: string; readonly conflict?: true };

/** What a back end does itself. Each may throw: the server is told so, and tells the object again later. */
export type PluginHandlers = {
  /** As `capabilities` answers; `contract` and `instance` are put in. Asked each time. */
  readonly capabilities: () => Fields;
  /** Whether an object could be; undefined: yes. Changes nothing. Default: everything can. */
  readonly verify?: (resource: ResourceName, object: Fields) => Refused | undefined;
  /** The object is to be so, whatever was before. What it answers is told, e.g. the `status` of a port. */
  readonly put: (resource: ResourceName, object: Fields) => Promise<Fields | undefined>;
  /** The object is to be gone, if it was there at all. */
  readonly remove: (resource: ResourceName, id: string) => Promise<void>;
  /** How a port is plugged on a host: `vif_type`, `vif_details`; or why it cannot be. Default: no host is known. */
  readonly bind?: (port: Fields, host: string) => Fields | Refused;
  /** The port has left the host. */
  readonly unbind?: (port: Fields, host: string) => Promise<void>;
  /** Why it is not well; undefined: it is. */
  readonly health?: () => string | undefined;
};

/** Where it listens; a socket's file is the owner's alone. */
export type PluginListen =
  | { readonly path: string; readonly token?: string }
  | { readonly host: string; readonly port: number; readonly token: string };

export type PluginServer = {
  /** What a plug-in is registered with. */
  readonly endpoint: string;
  /** How many objects of a resource there are. */
  count(resource: ResourceName): number;
  /** Forgets everything that it was told, as one that has started anew. */
  restart(): void;
  stop(): Promise<void>;
};

const BODY_MAX_BYTES = 64 * 1024 * 1024;

/** Listens until it is stopped. Throws what listening throws. */
export async function createPluginServer(handlers: PluginHandlers, listen: PluginListen): Promise<PluginServer> {
  const kept = new Kept(handlers);
  const server = createServer((request, response) => {
    answer(request, kept, listen.token).then(
      ({ status, body }) => say(response, status, body),
      (err: unknown) => say(response, 500, problem(500, err instanceof Error ? err.message : String(err))),
    );
  });
  server.requestTimeout = 60_000;
  await listenAt(server, listen);
  return {
    endpoint:
      'path' in listen ? `unix:${listen.path}` : `http://${listen.host}:${(server.address() as AddressInfo).port}`,
    count: (resource) => kept.count(resource),
    restart: () => kept.restart(),
    stop: async () => {
      server.close();
      server.closeAllConnections();
      if ('path' in listen) rmSync(listen.path, { force: true });
    },
  };
}

async function listenAt(server: Server, listen: PluginListen): Promise<void> {
  if ('path' in listen) {
    rmSync(listen.path, { force: true });
    server.listen(listen.path);
  } else server.listen(listen.port, listen.host);
  await once(server, 'listening');
  if ('path' in listen) chmodSync(listen.path, 0o600);
}

type Answer = { readonly status: number; readonly body: object };

/** What is asked is not as it is to be. */
class BadRequest extends Error {}

async function answer(request: IncomingMessage, kept: Kept, token: string | undefined): Promise<Answer> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > BODY_MAX_BYTES) return refusal(413, 'the body is too long');
    parts.push(part);
  }
  if (token !== undefined && !isSame(request.headers.authorization ?? '', `Bearer ${token}`))
    return refusal(401, 'the bearer token is not the one');
  const verb = /^\/v1\/([a-z]+)$/.exec(request.url ?? '')?.[1];
  if (verb === undefined || !Object.hasOwn(VERBS, verb)) return refusal(404, 'there is no such verb');
  if (request.method !== 'POST') return refusal(405, 'POST alone is served');
  const body = parse(Buffer.concat(parts).toString('utf8'));
  if (body === undefined) return refusal(400, 'the body is to be a JSON object');
  try {
    return { status: 200, body: (await VERBS[verb]?.(kept, body)) ?? {} };
  } catch (err) {
    if (err instanceof BadRequest) return refusal(400, err.message);
    throw err;
  }
}

function isSame(given: string, wanted: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(wanted));
}

function parse(text: string): Fields | undefined {
  try {
    const given: unknown = JSON.parse(text === '' ? '{}' : text);
    return isFields(given) ? given : undefined;
  } catch {
    return undefined;
  }
}

function refusal(status: number, detail: string): Answer {
  return { status, body: problem(status, detail) };
}

/** RFC 9457. */
function problem(status: number, detail: string): object {
  return { type: 'about:blank', status, detail };
}

function say(response: ServerResponse, status: number, body: object): void {
  const type = status < 300 ? 'application/json' : 'application/problem+json';
  response.writeHead(status, { 'content-type': type }).end(JSON.stringify(body));
}

const VERBS: Readonly<Record<string, (kept: Kept, body: Fields) => Promise<object> | object>> = {
  capabilities: (kept) => ({ ...kept.handlers.capabilities(), contract: 1, instance: kept.instance }),
  health: (kept) => {
    const reason = kept.handlers.health?.();
    return { ok: reason === undefined, instance: kept.instance, ...(reason === undefined ? {} : { reason }) };
  },
  usage: (kept) => ({ used: Object.fromEntries(RESOURCES.map((name) => [name, kept.count(name)])) }),
  limits: (kept) => ({ limits: kept.handlers.capabilities()['limits'] ?? {} }),
  verify: (kept, body) => {
    const resource = resourceOf(body);
    const { object } = body;
    if (!isFields(object)) return { ok: false, reason: 'object is no object' };
    const refused = kept.handlers.verify?.(resource, object);
    return refused === undefined ? { ok: true } : { ok: false, ...refused };
  },
  create: (kept, body) => kept.put(resourceOf(body), objectOf(body), revisionOf(body)),
  update: (kept, body) => kept.put(resourceOf(body), objectOf(body), revisionOf(body)),
  delete: (kept, body) => kept.remove(resourceOf(body), idOf(body)),
  sync: (kept, body) => kept.compare(resourceOf(body), listedOf(body)),
  bind: (kept, { port, host }) => {
    if (!isFields(port) || typeof host !== 'string') throw new BadRequest('port and host are wanted');
    const bound = kept.handlers.bind?.(port, host) ?? { reason: `there is no host ${host.slice(0, 255)}` };
    return 'reason' in bound ? { refused: bound['reason'] } : bound;
  },
  unbind: async (kept, { port, host }) => {
    if (!isFields(port) || typeof host !== 'string') throw new BadRequest('port and host are wanted');
    await kept.handlers.unbind?.(port, host);
    return {};
  },
};

/** The objects that were told and taken. */
class Kept {
  readonly handlers: PluginHandlers;
  instance: string = randomUUID();
  #revisions = new Map<string, number>();
  /** By object: the change under way. */
  readonly #turns = new Map<string, Promise<unknown>>();

  constructor(handlers: PluginHandlers) {
    this.handlers = handlers;
  }

  restart(): void {
    this.instance = randomUUID();
    this.#revisions = new Map();
  }

  count(resource: ResourceName): number {
    let count = 0;
    for (const key of this.#revisions.keys()) if (key.startsWith(`${resource}/`)) count += 1;
    return count;
  }

  put(resource: ResourceName, object: Fields & { readonly id: string }, revision: number): Promise<object> {
    const key = `${resource}/${object.id}`;
    return this.#inTurn(key, async () => {
      // One that comes late changes nothing; the same again is done again.
      if ((this.#revisions.get(key) ?? 0) > revision) return {};
      const said = await this.handlers.put(resource, object);
      this.#revisions.set(key, revision);
      return said ?? {};
    });
  }

  remove(resource: ResourceName, id: string): Promise<object> {
    const key = `${resource}/${id}`;
    return this.#inTurn(key, async () => {
      await this.handlers.remove(resource, id);
      this.#revisions.delete(key);
      return {};
    });
  }

  compare(resource: ResourceName, listed: readonly Listed[]): object {
    const revisionOfKept = (id: string): number | undefined => this.#revisions.get(`${resource}/${id}`);
    const ids = new Set(listed.map(({ id }) => id));
    const prefix = `${resource}/`;
    const here = [...this.#revisions.keys()]
      .filter((key) => key.startsWith(prefix))
      .map((key) => key.slice(prefix.length));
    return {
      missing: listed.filter(({ id }) => revisionOfKept(id) === undefined).map(({ id }) => id),
      stale: listed.filter(({ id, revision }) => (revisionOfKept(id) ?? revision) < revision).map(({ id }) => id),
      unknown: here.filter((id) => !ids.has(id)),
    };
  }

  async #inTurn(key: string, run: () => Promise<object>): Promise<object> {
    const before = this.#turns.get(key) ?? Promise.resolve();
    const turn = before.then(run, run);
    this.#turns.set(key, turn);
    try {
      return await turn;
    } finally {
      if (this.#turns.get(key) === turn) this.#turns.delete(key);
    }
  }
}

type Listed = { readonly id: string; readonly revision: number };

function resourceOf({ resource }: Fields): ResourceName {
  const found = RESOURCES.find((name) => name === resource);
  if (found === undefined) throw new BadRequest(`resource: one of ${RESOURCES.join(', ')} is wanted`);
  return found;
}

function objectOf({ object }: Fields): Fields & { readonly id: string } {
  if (isFields(object) && typeof object['id'] === 'string') return { ...object, id: object['id'] };
  throw new BadRequest('object: an object with an id is wanted');
}

function revisionOf({ revision }: Fields): number {
  if (Number.isSafeInteger(revision) && Number(revision) >= 0) return Number(revision);
  throw new BadRequest('revision: a whole number from 0 on is wanted');
}

function idOf({ id }: Fields): string {
  if (typeof id === 'string' && id !== '') return id;
  throw new BadRequest('id: the id of an object is wanted');
}

function listedOf({ objects }: Fields): readonly Listed[] {
  if (!Array.isArray(objects)) throw new BadRequest('objects: a list of {id, revision} is wanted');
  return objects.map((one: unknown) => ({
    id: idOf(Object(one) as Fields),
    revision: revisionOf(Object(one) as Fields),
  }));
}
