/** Kubernetes' API over HTTP: objects of any kind, lists in pages, watches. */
import type { HttpResponse, HttpTransport } from '@cable/kit';
import { isNotFound, KubeError } from './kube-error.ts';
import { collectionOf, type KubeKind, type KubeObject } from './kube-object.ts';

export type ListOptions = {
  /** Default: all. */
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** Objects a page. Default: all in one. */
  readonly limit?: number;
  /** Of the page before. */
  readonly continue?: string;
  readonly signal?: AbortSignal;
};

/** `resourceVersion`: the state that the list is of, from which to watch. `continue`: there is more. */
export type KubeList<T extends KubeObject> = {
  readonly items: readonly T[];
  readonly resourceVersion: string;
  readonly continue: string | undefined;
};

export type WatchOptions = Pick<ListOptions, 'namespace' | 'labelSelector' | 'fieldSelector'> & {
  /** Changes after this one are told. */
  readonly resourceVersion: string;
  /** After which the API server ends it. */
  readonly timeoutSeconds: number;
  readonly signal: AbortSignal;
};

/** A change, or with `BOOKMARK` only a later `resourceVersion` up to which everything was told. */
export type WatchEvent<T extends KubeObject> = {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK';
  readonly object: T;
};

/** A place of one object; `namespace` is needed where the kind has any. */
export type ObjectName = { readonly namespace?: string | undefined; readonly name: string };

/** What is refused is a `KubeError`, no answer a `TransportError`. */
export type KubeApi = {
  /** The versions that are served of a group of kinds, the API server's favourite first; none: it does not know the group. */
  versions(group: string, signal?: AbortSignal): Promise<readonly string[]>;
  list<T extends KubeObject>(kind: KubeKind, options?: ListOptions): Promise<KubeList<T>>;
  /** Ends when the API server ends it. Throws `KubeError` for what it tells in place of a change. */
  watch<T extends KubeObject>(kind: KubeKind, options: WatchOptions): AsyncIterable<WatchEvent<T>>;
  get<T extends KubeObject>(kind: KubeKind, name: ObjectName): Promise<T>;
  create<T extends KubeObject>(kind: KubeKind, object: T): Promise<T>;
  /** Replaces it, if it is still of the `resourceVersion` in `object`; `part`: the status alone. */
  update<T extends KubeObject>(kind: KubeKind, object: T, part?: 'status'): Promise<T>;
  /** A JSON merge patch (RFC 7386). */
  patch<T extends KubeObject>(kind: KubeKind, name: ObjectName, patch: object, part?: 'status'): Promise<T>;
  /** `uid`: only that one, not a later one of its name. It may stay until its finalizers are gone. */
  delete(kind: KubeKind, name: ObjectName, options?: { readonly uid?: string }): Promise<void>;
};

/** The object of that name; undefined: the API server says that it is not there. */
export async function getIfThere<T extends KubeObject>(
  api: Pick<KubeApi, 'get'>,
  kind: KubeKind,
  name: ObjectName,
): Promise<T | undefined> {
  try {
    return await api.get<T>(kind, name);
  } catch (err) {
    if (isNotFound(err)) return undefined;
    throw err;
  }
}

export type KubeApiOptions = {
  readonly transport: HttpTransport;
  /** Asked for each request: tokens are renewed. Undefined: none is sent. */
  readonly token?: () => string | undefined;
};

const JSON_TYPE = 'application/json';
const MERGE_PATCH = 'application/merge-patch+json';

export function createKubeApi({ transport, token }: KubeApiOptions): KubeApi {
  const headers = (type?: string): Record<string, string> => {
    const bearer = token?.();
    return {
      accept: JSON_TYPE,
      ...(type === undefined ? {} : { 'content-type': type }),
      ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
    };
  };
  const send = async (method: string, path: string, sent?: { body: object; type: string }, signal?: AbortSignal) => {
    const body = sent === undefined ? {} : { body: JSON.stringify(sent.body) };
    const response = await transport.request({
      ...{ method, path, headers: headers(sent?.type), ...body },
      ...(signal === undefined ? {} : { signal }),
    });
    return answerIn(response);
  };
  return {
    versions: async (group, signal) => {
      try {
        const { versions } = (await send('GET', `/apis/${group}`, undefined, signal)) as GroupAnswer;
        return versions.map(({ version }) => version);
      } catch (err) {
        if (isNotFound(err)) return [];
        throw err;
      }
    },
    list: async <T extends KubeObject>(kind: KubeKind, options: ListOptions = {}) => {
      const { namespace, signal, limit, continue: next, ...selectors } = options;
      const query = { ...selectors, limit: limit?.toString(), continue: next };
      const answer = await send('GET', withQuery(collectionOf(kind, namespace), query), undefined, signal);
      const { items, metadata } = answer as ListAnswer<T>;
      return {
        items: items ?? [],
        resourceVersion: metadata.resourceVersion,
        continue: metadata.continue === '' ? undefined : metadata.continue,
      };
    },
    watch: <T extends KubeObject>(kind: KubeKind, options: WatchOptions) => {
      const { namespace, signal, timeoutSeconds, ...rest } = options;
      const query = { ...rest, timeoutSeconds: String(timeoutSeconds), watch: '1', allowWatchBookmarks: 'true' };
      const path = withQuery(collectionOf(kind, namespace), query);
      return readWatch<T>(transport, { method: 'GET', path, headers: headers(), signal });
    },
    get: async <T extends KubeObject>(kind: KubeKind, name: ObjectName) => (await send('GET', pathOf(kind, name))) as T,
    create: async <T extends KubeObject>(kind: KubeKind, object: T) => {
      const path = collectionOf(kind, object.metadata.namespace);
      return (await send('POST', path, { body: object, type: JSON_TYPE })) as T;
    },
    update: async <T extends KubeObject>(kind: KubeKind, object: T, part?: 'status') =>
      (await send('PUT', pathOf(kind, object.metadata, part), { body: object, type: JSON_TYPE })) as T,
    patch: async <T extends KubeObject>(kind: KubeKind, name: ObjectName, patch: object, part?: 'status') =>
      (await send('PATCH', pathOf(kind, name, part), { body: patch, type: MERGE_PATCH })) as T,
    delete: async (kind, name, { uid } = {}) => {
      const preconditions = uid === undefined ? {} : { preconditions: { uid } };
      const body = { kind: 'DeleteOptions', apiVersion: 'v1', propagationPolicy: 'Background', ...preconditions };
      await send('DELETE', pathOf(kind, name), { body, type: JSON_TYPE });
    },
  };
}

/** `APIGroup`. */
type GroupAnswer = { readonly versions: readonly { readonly version: string }[] };

type ListAnswer<T> = {
  readonly items: readonly T[] | null;
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string };
};

type StatusAnswer = {
  readonly code?: number;
  readonly reason?: string;
  readonly message?: string;
  readonly details?: { readonly retryAfterSeconds?: number };
};

function pathOf(kind: KubeKind, { namespace, name }: ObjectName, part?: string): string {
  const path = `${collectionOf(kind, namespace)}/${encodeURIComponent(name)}`;
  return part === undefined ? path : `${path}/${part}`;
}

function withQuery(path: string, query: Readonly<Record<string, string | undefined>>): string {
  const given = Object.entries(query).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value] as [string, string]],
  );
  return given.length === 0 ? path : `${path}?${new URLSearchParams(given)}`;
}

function answerIn({ status, headers, body }: Pick<HttpResponse, 'status' | 'headers' | 'body'>): unknown {
  if (status >= 200 && status < 300) return parse(status, body);
  throw refusal(status, body, headers['retry-after']);
}

function parse(status: number, text: string): object {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value;
  } catch {}
  throw new KubeError(status, '', `the API server answered ${status} with what is no JSON object`);
}

function refusal(status: number, body: string, retryAfter: string | undefined): KubeError {
  let said: StatusAnswer = {};
  try {
    said = JSON.parse(body) as StatusAnswer;
  } catch {}
  const after = Number(retryAfter ?? said.details?.retryAfterSeconds ?? Number.NaN);
  const message = said.message ?? `the API server answered ${status}: ${body.slice(0, 200)}`;
  return new KubeError(status, said.reason ?? '', message, Number.isFinite(after) ? after : undefined);
}

async function* readWatch<T extends KubeObject>(
  transport: HttpTransport,
  request: Parameters<HttpTransport['stream']>[0],
): AsyncIterable<WatchEvent<T>> {
  const { status, headers, lines } = await transport.stream(request);
  if (status !== 200) {
    let body = '';
    for await (const line of lines) body += line;
    throw refusal(status, body, headers['retry-after']);
  }
  for await (const line of lines) {
    const event = parse(status, line) as { readonly type: string; readonly object: T };
    if (event.type === 'ERROR') throw errorIn(event.object as StatusAnswer);
    // A kind of event that is not known would be a change that was missed.
    if (!KNOWN.has(event.type)) throw new KubeError(status, '', `the API server tells of a change ${event.type}`);
    yield event as WatchEvent<T>;
  }
}

const KNOWN: ReadonlySet<string> = new Set(['ADDED', 'MODIFIED', 'DELETED', 'BOOKMARK']);

function errorIn({ code, reason, message, details }: StatusAnswer): KubeError {
  return new KubeError(code ?? 500, reason ?? '', message ?? 'the watch failed', details?.retryAfterSeconds);
}
