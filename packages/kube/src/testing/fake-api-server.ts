/** A small double of kube-apiserver: one process, objects in memory. What it does is what the suite beside it finds in the real one. */
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { collectionOf, type KubeKind, type KubeMeta, type KubeObject } from '../kube-object.ts';

export type FakeKind = KubeKind & {
  /** E.g. `ConfigMap`. */
  readonly kind: string;
  /** Its status is a part of its own, which an update of the whole leaves alone. */
  readonly hasStatus?: boolean;
  /** A CustomResourceDefinition has added it: it is replaced only by what says of which version it was. Its schema is not looked at. */
  readonly isCustom?: boolean;
  /** Fields of spec that rules of its definition (CEL) let nobody change once they are given. */
  readonly immutable?: readonly string[];
};

export type FakeApiServer = {
  readonly url: string;
  /** Requests so far, as `GET /api/v1/pods?watch=1`. */
  readonly asked: readonly string[];
  /** Forgets changes before now: watches from there, and pages of lists of before, are answered 410. */
  compact(): void;
  /** Ends every watch, as a restart does. */
  cutWatches(): void;
  /** Every watch is told up to where it is; a real one does so about once a minute. */
  bookmark(): void;
  /** Answers everything so, until it is called without: an outage. */
  refuse(status?: number): void;
  /** Watches of the kind that are there are told nothing, until it is called without: they are behind. */
  hold(plural?: string): void;
  close(): Promise<void>;
};

type Stored = KubeObject & { readonly [name: string]: unknown };
type Change = {
  readonly revision: number;
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly object: Stored;
  readonly before: Stored | undefined;
};
type Watch = {
  readonly wants: (object: Stored) => boolean;
  readonly kind: FakeKind;
  readonly response: ServerResponse;
};
type Place = { readonly kind: FakeKind; readonly namespace?: string; readonly name?: string; readonly part?: string };

class Refused extends Error {
  readonly code: number;
  readonly reason: string;

  constructor(code: number, reason: string, message: string) {
    super(message);
    this.code = code;
    this.reason = reason;
  }
}

export async function startFakeApiServer(kinds: readonly FakeKind[]): Promise<FakeApiServer> {
  const fake = new Fake(kinds);
  const server = createServer((request, response) => void fake.answer(request, response));
  // A test that waits by standing still must not find its connection closed.
  server.keepAliveTimeout = 0;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    asked: fake.asked,
    compact: () => fake.compact(),
    cutWatches: () => fake.cutWatches(),
    bookmark: () => fake.bookmark(),
    refuse: (status) => fake.refuse(status),
    hold: (plural) => fake.hold(plural),
    close: () => closeServer(server),
  };
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

class Fake {
  readonly asked: string[] = [];
  readonly #kinds: readonly FakeKind[];
  readonly #objects = new Map<string, Stored>();
  readonly #watches = new Set<Watch>();
  #changes: Change[] = [];
  #revision = 1;
  /** Changes up to this one are forgotten. */
  #compacted = 0;
  #refusing: number | undefined;
  #heldPlural: string | undefined;
  #held: (() => void)[] = [];

  constructor(kinds: readonly FakeKind[]) {
    this.#kinds = kinds;
  }

  compact(): void {
    this.#revision += 1;
    this.#compacted = this.#revision;
    this.#changes = [];
  }

  cutWatches(): void {
    for (const { response } of this.#watches) response.destroy();
    this.#watches.clear();
  }

  bookmark(): void {
    for (const { kind, response } of this.#watches)
      if (kind.plural !== this.#heldPlural) response.write(this.#bookmarkLine(kind));
  }

  refuse(status?: number): void {
    this.#refusing = status;
  }

  hold(plural?: string): void {
    this.#heldPlural = plural;
    for (const told of this.#held.splice(0)) told();
  }

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://fake');
    this.asked.push(`${request.method} ${request.url}`);
    try {
      const text = await bodyOf(request);
      if (this.#refusing !== undefined) throw new Refused(this.#refusing, 'ServiceUnavailable', 'refuses everything');
      const group = this.#groupAt(url.pathname);
      if (request.method === 'GET' && group !== undefined) {
        response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(group));
        return;
      }
      const place = this.#placeOf(url.pathname);
      if (request.method === 'GET' && place.name === undefined && url.searchParams.get('watch') === '1')
        return this.#watch(place, url.searchParams, response);
      const [status, body] = this.#do(request, place, url.searchParams, text);
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    } catch (err) {
      const { code, reason, message } = err instanceof Refused ? err : new Refused(500, 'InternalError', String(err));
      const body = { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message };
      if (!response.headersSent) response.writeHead(code, { 'content-type': 'application/json' });
      response.end(JSON.stringify(body));
    }
  }

  #do(request: IncomingMessage, place: Place, query: URLSearchParams, text: string): readonly [number, unknown] {
    if (request.method === 'GET')
      return place.name === undefined ? [200, this.#list(place, query)] : [200, this.#found(place)];
    const body = parseBody(text);
    if (request.method === 'POST' && place.name === undefined) return [201, this.#create(place, body as Stored)];
    if (place.name !== undefined && request.method === 'PUT') return [200, this.#update(place, body as Stored)];
    if (place.name !== undefined && request.method === 'PATCH') {
      const type = request.headers['content-type'];
      if (type !== 'application/merge-patch+json')
        throw new Refused(415, 'UnsupportedMediaType', `the body of the request was in an unknown format: ${type}`);
      const before = this.#found(place);
      const after = merged(before, body) as Stored;
      if (after.metadata.uid !== before.metadata.uid)
        throw new Refused(422, 'Invalid', `metadata.uid: Invalid value: "${after.metadata.uid}": field is immutable`);
      return [200, this.#update(place, after)];
    }
    if (place.name !== undefined && request.method === 'DELETE') return [200, this.#delete(place, body)];
    throw new Refused(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource');
  }

  /** Discovery of a group, `/apis/GROUP`; undefined: the path is another, or nothing is of the group. */
  #groupAt(path: string): object | undefined {
    const name = /^\/apis\/([^/]+)$/.exec(path)?.[1];
    const versions = new Set(this.#kinds.filter(({ group }) => group === name).map(({ version }) => version));
    if (name === undefined || versions.size === 0) return undefined;
    const served = [...versions].map((version) => ({ groupVersion: `${name}/${version}`, version }));
    return { kind: 'APIGroup', apiVersion: 'v1', name, versions: served, preferredVersion: served[0] };
  }

  #placeOf(path: string): Place {
    for (const kind of this.#kinds) {
      const all = collectionOf(kind);
      const base = all.slice(0, all.length - kind.plural.length - 1);
      const within = new RegExp(`^${base}/namespaces/([^/]+)/${kind.plural}(?:/([^/]+)(?:/(status))?)?$`).exec(path);
      const found = kind.isNamespaced && within !== null ? within : undefined;
      if (found !== undefined) return placeIn(kind, found[1], found[2], found[3]);
      const whole = new RegExp(`^${all}(?:/([^/]+)(?:/(status))?)?$`).exec(path);
      if (whole !== null && !(kind.isNamespaced && whole[1] !== undefined))
        return placeIn(kind, undefined, whole[1], whole[2]);
    }
    throw new Refused(404, 'NotFound', 'the server could not find the requested resource');
  }

  #list(place: Place, query: URLSearchParams): unknown {
    const wants = wantedBy(place, query);
    const limit = Number(query.get('limit') ?? 0);
    const all = [...this.#objects.entries()].filter(([key, one]) => key.startsWith(prefixOf(place.kind)) && wants(one));
    const sorted = all.sort(([a], [b]) => (a < b ? -1 : 1));
    const token = query.get('continue');
    const { revision, after } =
      token === null ? { revision: this.#revision, after: '' } : (JSON.parse(atob(token)) as Token);
    if (revision < this.#compacted)
      throw new Refused(410, 'Expired', 'The provided continue parameter is too old to display a consistent list.');
    const rest = sorted.filter(([key]) => key > after);
    const page = limit > 0 ? rest.slice(0, limit) : rest;
    const last = page.at(-1)?.[0] ?? '';
    const more = page.length < rest.length ? { continue: btoa(JSON.stringify({ revision, after: last })) } : {};
    return {
      ...{ kind: `${place.kind.kind}List`, apiVersion: versionOf(place.kind) },
      metadata: { resourceVersion: String(revision), ...more },
      items: page.map(([, object]) => object),
    };
  }

  #watch(place: Place, query: URLSearchParams, response: ServerResponse): void {
    const from = Number(query.get('resourceVersion') ?? 0);
    const watch: Watch = { wants: wantedBy(place, query), kind: place.kind, response };
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    if (from < this.#compacted) {
      const object = { kind: 'Status', code: 410, reason: 'Expired', message: `too old resource version: ${from}` };
      response.end(`${JSON.stringify({ type: 'ERROR', object })}\n`);
      return;
    }
    for (const change of this.#changes) if (change.revision > from) tell(watch, change);
    this.#watches.add(watch);
    const seconds = Number(query.get('timeoutSeconds') ?? 1800);
    const timer = setTimeout(() => response.end(this.#bookmarkLine(place.kind)), seconds * 1000);
    response.once('close', () => {
      clearTimeout(timer);
      this.#watches.delete(watch);
    });
  }

  #bookmarkLine(kind: FakeKind): string {
    const object = {
      ...{ kind: kind.kind, apiVersion: versionOf(kind) },
      metadata: { resourceVersion: String(this.#revision), creationTimestamp: null },
    };
    return `${JSON.stringify({ type: 'BOOKMARK', object })}\n`;
  }

  #create(place: Place, object: Stored): Stored {
    const { generateName, name: given = '' } = object.metadata ?? {};
    if (given === '' && generateName === undefined)
      throw new Refused(422, 'Invalid', 'metadata.name: Required value: name or generateName is required');
    const name = given === '' ? `${generateName}${randomUUID().slice(0, 5)}` : given;
    const key = keyIn(place.kind, place.namespace, name);
    if (this.#objects.has(key))
      throw new Refused(409, 'AlreadyExists', `${place.kind.plural} "${name}" already exists`);
    const metadata = {
      ...object.metadata,
      name,
      ...(place.namespace === undefined ? {} : { namespace: place.namespace }),
      uid: randomUUID(),
      creationTimestamp: now(),
      ...(place.kind.hasStatus === true ? { generation: 1 } : {}),
    };
    const { status: _, ...spec } = object;
    return this.#write(place.kind, 'ADDED', { ...(place.kind.hasStatus === true ? spec : object), metadata } as Stored);
  }

  #update(place: Place, object: Stored): Stored {
    const before = this.#found(place);
    const { resourceVersion } = object.metadata;
    if (resourceVersion === undefined && place.kind.isCustom === true)
      throw new Refused(
        422,
        'Invalid',
        'metadata.resourceVersion: Invalid value: 0x0: must be specified for an update',
      );
    if (resourceVersion !== undefined && resourceVersion !== before.metadata.resourceVersion) {
      const why = 'the object has been modified; please apply your changes to the latest version and try again';
      throw new Refused(
        409,
        'Conflict',
        `Operation cannot be fulfilled on ${place.kind.plural} "${place.name}": ${why}`,
      );
    }
    const isStatus = place.part === 'status';
    // Of Kubernetes' own kinds labels and annotations go with either part.
    const told = place.kind.isCustom === true ? before.metadata : object.metadata;
    const given = isStatus ? { ...before, metadata: told, status: object['status'] } : object;
    const status = isStatus || place.kind.hasStatus !== true ? {} : { status: before['status'] };
    const kept = { uid: before.metadata.uid, creationTimestamp: before.metadata.creationTimestamp };
    const next = { ...given, ...status, metadata: { ...given.metadata, ...kept, ...deletionOf(before.metadata) } };
    if (isSame(next, before)) return before;
    refuseChanged(place.kind, specOf(next as Stored), specOf(before));
    const generation = before.metadata.generation;
    const isNewSpec = generation !== undefined && !isSame(specOf(next as Stored), specOf(before));
    const metadata = {
      ...next.metadata,
      ...(generation === undefined ? {} : { generation: generation + Number(isNewSpec) }),
    };
    const stored = { ...next, metadata } as Stored;
    const isGone = metadata.deletionTimestamp !== undefined && (metadata.finalizers ?? []).length === 0;
    return this.#write(place.kind, isGone ? 'DELETED' : 'MODIFIED', stored);
  }

  #delete(place: Place, options: object): unknown {
    const before = this.#found(place);
    const uid = (options as { preconditions?: { uid?: string } }).preconditions?.uid;
    if (uid !== undefined && uid !== before.metadata.uid)
      throw new Refused(
        409,
        'Conflict',
        `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${before.metadata.uid}`,
      );
    if ((before.metadata.finalizers ?? []).length > 0) {
      if (before.metadata.deletionTimestamp !== undefined) return before;
      return this.#write(place.kind, 'MODIFIED', {
        ...before,
        metadata: { ...before.metadata, deletionTimestamp: now(), deletionGracePeriodSeconds: 0 },
      } as Stored);
    }
    this.#write(place.kind, 'DELETED', before);
    return { kind: 'Status', apiVersion: 'v1', status: 'Success' };
  }

  #found({ kind, namespace, name = '' }: Place): Stored {
    const found = this.#objects.get(keyIn(kind, namespace, name));
    if (found === undefined) throw new Refused(404, 'NotFound', `${kind.plural} "${name}" not found`);
    return found;
  }

  #write(kind: FakeKind, type: Change['type'], object: Stored): Stored {
    this.#revision += 1;
    const metadata: KubeMeta = { ...object.metadata, resourceVersion: String(this.#revision) };
    const stored = { ...object, ...{ kind: kind.kind, apiVersion: versionOf(kind) }, metadata } as Stored;
    const key = keyIn(kind, metadata.namespace, metadata.name);
    const before = this.#objects.get(key);
    if (type === 'DELETED') this.#objects.delete(key);
    else this.#objects.set(key, stored);
    const change = { revision: this.#revision, type, object: stored, before };
    this.#changes.push(change);
    for (const watch of this.#watches) {
      if (watch.kind.plural === this.#heldPlural) this.#held.push(() => tell(watch, change));
      else tell(watch, change);
    }
    return stored;
  }
}

/** As a rule `!has(oldSelf.field) || has(self.field) && self.field == oldSelf.field` of the definition does. */
function refuseChanged({ immutable = [], plural }: FakeKind, next: unknown, before: unknown): void {
  const fieldsOf = (object: unknown) => (object as { readonly spec?: Readonly<Record<string, unknown>> }).spec ?? {};
  const changed = immutable.find((field) => {
    const was = fieldsOf(before)[field];
    return was !== undefined && !isSame(fieldsOf(next)[field], was);
  });
  if (changed !== undefined)
    throw new Refused(422, 'Invalid', `${plural}: spec: Invalid value: ${changed} cannot be changed`);
}

type Token = { readonly revision: number; readonly after: string };

/** What begins or ends to be selected is told as made or gone. */
function tell({ wants, kind, response }: Watch, { object, type, before }: Change): void {
  if (object['kind'] !== kind.kind || object['apiVersion'] !== versionOf(kind)) return;
  const [was, is] = [before !== undefined && wants(before), type !== 'DELETED' && wants(object)];
  if (!was && !is) return;
  const told = was && is ? 'MODIFIED' : is ? 'ADDED' : 'DELETED';
  response.write(`${JSON.stringify({ type: told, object })}\n`);
}

function placeIn(kind: FakeKind, namespace?: string, name?: string, part?: string): Place {
  return {
    kind,
    ...(namespace === undefined ? {} : { namespace: decodeURIComponent(namespace) }),
    ...(name === undefined ? {} : { name: decodeURIComponent(name) }),
    ...(part === undefined ? {} : { part }),
  };
}

function prefixOf({ group, plural }: FakeKind): string {
  return `${group}/${plural}/`;
}

function keyIn(kind: FakeKind, namespace: string | undefined, name: string): string {
  return `${prefixOf(kind)}${namespace ?? ''}/${name}`;
}

function versionOf({ group, version }: FakeKind): string {
  return group === '' ? version : `${group}/${version}`;
}

/** Of selectors: labels that are equal, and `metadata.name`, `metadata.namespace`, `spec.nodeName`. */
function wantedBy({ namespace }: Place, query: URLSearchParams): (object: Stored) => boolean {
  const labels = pairsOf(query.get('labelSelector'));
  const fields = pairsOf(query.get('fieldSelector'));
  return (object) =>
    (namespace === undefined || object.metadata.namespace === namespace) &&
    labels.every(([name, value]) => object.metadata.labels?.[name] === value) &&
    fields.every(([path, value]) => fieldOf(object, path) === value);
}

function pairsOf(selector: string | null): readonly (readonly [string, string])[] {
  const parts = (selector ?? '').split(',').filter((part) => part !== '');
  return parts.map((part) => {
    const [name = '', value = ''] = part.split('=');
    return [name, value] as const;
  });
}

function fieldOf(object: unknown, path: string): unknown {
  return path
    .split('.')
    .reduce<unknown>((value, name) => (value as Record<string, unknown> | undefined)?.[name], object);
}

function specOf({ metadata: _, status: __, ...spec }: Stored): unknown {
  return spec;
}

function deletionOf({ deletionTimestamp }: KubeMeta): Partial<KubeMeta> {
  return deletionTimestamp === undefined ? {} : { deletionTimestamp };
}

function isSame(a: unknown, b: unknown): boolean {
  return sortedText(a) === sortedText(b);
}

function sortedText(value: unknown): string {
  return JSON.stringify(value, (_, one: unknown) =>
    typeof one === 'object' && one !== null && !Array.isArray(one)
      ? Object.fromEntries(Object.entries(one).sort(([x], [y]) => (x < y ? -1 : 1)))
      : one,
  );
}

/** RFC 7386. */
function merged(before: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const isObject = typeof before === 'object' && before !== null && !Array.isArray(before);
  const all = new Map<string, unknown>(isObject ? Object.entries(before) : []);
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) all.delete(name);
    else all.set(name, merged(all.get(name), value));
  }
  return Object.fromEntries(all);
}

function parseBody(text: string): object {
  try {
    const value: unknown = text === '' ? {} : JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value;
  } catch {}
  throw new Refused(400, 'BadRequest', 'the object provided is unrecognized');
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) text += chunk;
  return text;
}

function now(): string {
  return `${new Date().toISOString().slice(0, 19)}Z`;
}
