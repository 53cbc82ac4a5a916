/** The generic routes: parse, call the service, show. One handler an operation, whatever the resource. */
import {
  type Attributes,
  collectionPath,
  createShowText,
  type Filter,
  type ListQuery,
  matchesFilters,
  pageLinks,
  parentParameter,
  parseAction,
  parseCreate,
  parseListQuery,
  parseUpdate,
  type Route,
  type ShowText,
  type Text,
  type Where,
} from '@cable/api';
import { TextCache, type Turns } from '@cable/kit';
import { type AnyObject, CableError, type ResourceModel, type StoreHistory } from '@cable/model';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { noteWrites } from '../audit/written.ts';
import { NO_REVISION } from '../engine/commit.ts';
import type { Asked, EngineDeps, IfMatch } from '../engine/context.ts';
import { refuseBelowAny } from '../engine/permission.ts';
import { computedOf, currentRow, listObjects, notFound, present, rowFor, withoutHidden } from '../engine/read.ts';
import { hiddenFrom, type Reader, readerOf, refuseHidden, sees } from '../engine/reader.ts';
import type { LoadedResources } from '../engine/registry.ts';
import { createObjects, deleteObject, updateObject } from '../engine/write.ts';
import { NotLoadedError } from '../not-loaded.ts';
import { documentOf, hasDocument } from '../protons/documents.ts';
import { askedOf, userOf } from './asked.ts';
import type { UserCaller } from './auth.ts';
import { notAllowed } from './error-handler.ts';
import { sendList, sendPieces } from './list-answer.ts';
import { createRouteTable, type Match, type RouteTable } from './route-table.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Set before the body is read; undefined: one of the server's own routes, or none. */
    matched: Match | undefined;
  }
}

export type ResourceRouteOptions = {
  readonly deps: EngineDeps;
};

/** Where every request goes that none of the server's own routes answers. */
const ANYTHING = '/*';

/** Characters of rows' texts that are kept for the next list: ten thousand ports have twelve million. */
const TEXTS_KEPT = 32 << 20;

/** Starts a list's work. */
type StartTurns = () => Turns;

type Call = {
  readonly options: ResourceRouteOptions;
  readonly startTurns: StartTurns;
  readonly texts: TextCache<AnyObject>;
  readonly route: Route;
  /** What is loaded as the request is parsed. */
  readonly loaded: LoadedResources;
  /** The model of what is in the store; the route's resource may be another form of it. */
  readonly stored: ResourceModel;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly caller: UserCaller;
  /** The caller, for the rules. */
  readonly reader: Reader;
  readonly parameters: Match['parameters'];
  /** Of a nested resource: what refers to the parent, with the parent's id. */
  readonly place: Attributes;
  /** Empty for collections. */
  readonly id: string;
};

/** Adds the routes of the resources that are loaded at the time of a request. Throws when a declared action has no handler. */
export function addResourceRoutes(app: FastifyInstance, options: ResourceRouteOptions, startTurns: StartTurns): void {
  const { resources } = options.deps;
  const texts = new TextCache<AnyObject>(TEXTS_KEPT);
  const table = createRouteTable(resources);
  for (const route of resources.current.routes) handlerOf(options, route);
  app.decorateRequest('matched', undefined);
  app.route({
    method: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'],
    url: ANYTHING,
    // Before the body is read: what is not there is refused without it.
    onRequest: (request, _reply, done) => {
      request.matched = find(table, request);
      const isThere = request.matched !== undefined || isDocument(options.deps, request);
      done(isThere ? undefined : refusal(table, request));
    },
    handler: (request, reply) => answerCurrent({ options, startTurns, texts }, table, request, reply),
  });
  app.setNotFoundHandler((request) => {
    throw refusal(table, request);
  });
}

/** A head is looked at as what it is the head of, and a patch as an update, where objects take one. */
function find(table: RouteTable, { method, url }: FastifyRequest): Match | undefined {
  if (method === 'PATCH') {
    const update = table.find('PUT', url);
    return update?.route.resource.bare === true && update.route.operation.kind === 'update' ? update : undefined;
  }
  return table.find(method === 'HEAD' ? 'GET' : method, url);
}

/** A document about what is loaded, at a path that is no object's. */
function documentFor({ resources }: EngineDeps, request: FastifyRequest): unknown {
  if (request.method !== 'GET' && request.method !== 'HEAD') return undefined;
  return documentOf(resources.current, request.url, `${request.protocol}://${request.host}`);
}

function isDocument({ resources }: EngineDeps, { method, url }: FastifyRequest): boolean {
  return (method === 'GET' || method === 'HEAD') && hasDocument(resources.current, url);
}

/** The path of the route that answers a request, for metrics: `/v2.0/ports/:id`. */
export function routeLabel({ matched, routeOptions }: FastifyRequest): string {
  if (matched !== undefined) return matched.label;
  return routeOptions.url === undefined || routeOptions.url === ANYTHING ? 'unknown' : routeOptions.url;
}

const PROTONS = 'Check the path: /proton/ lists the protons that are installed, and /proton/NAME the versions of one.';

function refusal(table: RouteTable, { method, url }: FastifyRequest): CableError {
  const allow = table.methodsOf(url);
  if (allow.length > 0) return notAllowed(method, allow);
  const isOfProtons = /^\/proton(?:[/?]|$)/.test(url);
  return new CableError('HTTPNotFound', 'The resource could not be found.', isOfProtons ? { detail: PROTONS } : {});
}

/** Answers by what is loaded now: what a request was matched with may have gone, or may go while it is worked on. */
async function answerCurrent(
  shared: Pick<Call, 'options' | 'startTurns' | 'texts'>,
  table: RouteTable,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<unknown> {
  const { resources } = shared.options.deps;
  for (;;) {
    const { current } = resources;
    if (request.matched?.loaded !== current) {
      request.matched = find(table, request);
      if (request.matched === undefined) {
        const document = documentFor(shared.options.deps, request);
        if (document !== undefined) return document;
        throw refusal(table, request);
      }
    }
    try {
      return await answer(shared, request, reply);
    } catch (err) {
      if (!(err instanceof NotLoadedError) || reply.sent || resources.current === current) throw err;
    }
  }
}

async function answer(
  shared: Pick<Call, 'options' | 'startTurns' | 'texts'>,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<unknown> {
  const { matched } = request;
  if (matched === undefined) throw new Error('a request without a route has come to its handler');
  const { route, loaded, model: stored, parameters } = matched;
  const { options } = shared;
  const caller = userOf(request);
  const reader = readerOf(options.deps, caller.credentials);
  const id = parameters['id'] ?? '';
  const place = placeOf(options, matched, reader);
  const { startTurns, texts } = shared;
  const call: Call = {
    options,
    startTurns,
    texts,
    route,
    loaded,
    stored,
    request,
    reply,
    caller,
    reader,
    parameters,
    place,
    id,
  };
  if (id !== '' && place !== NOWHERE) refuseElsewhere(call);
  const answered = await handlerOf(options, route)(call);
  if (answered === SENT) return reply;
  reply.code(route.status);
  if (!(answered instanceof JsonText)) return reply.send(answered);
  const { text } = answered;
  if (typeof text === 'string') return reply.type('application/json; charset=utf-8').send(text);
  // An object with a long list is as much work as a list; what has been written is answered all the same.
  if (route.operation.kind === 'show' && !(await askedOf(request).enterAsList())) return reply.hijack();
  await sendUntilGone(call, (turns) => sendPieces(reply, text, turns));
  return reply;
}

/** What a handler answers that has sent its answer itself, or whose client has left. */
const SENT: unique symbol = Symbol('sent');

/** Sends in turns; that the client leaves meanwhile ends it, and is no error. */
export async function sendUntilGone(
  { request, reply, startTurns }: Pick<Call, 'request' | 'reply' | 'startTurns'>,
  send: (turns: Turns) => Promise<void>,
): Promise<typeof SENT> {
  const { signal } = askedOf(request);
  try {
    await send(stoppedBy(signal, startTurns()));
  } catch (err) {
    if (!signal.aborted) throw err;
    reply.hijack();
  }
  return SENT;
}

/** What a nested resource's path says of its parent, which the caller must see. Who may create nothing there is told that first, as in Neutron. */
function placeOf(
  { deps }: ResourceRouteOptions,
  { route: { resource, operation }, model, parent, parameters }: Match,
  reader: Reader,
): Attributes {
  if (resource.parent === undefined || parent === undefined) return NOWHERE;
  const parentId = parameters[parentParameter(resource) ?? ''] ?? '';
  if (operation.kind === 'create') refuseBelowAny(reader, model, { [resource.parent.attribute]: parentId });
  return { [resource.parent.attribute]: rowFor(deps, parent, parentId, reader).id };
}

const NOWHERE: Attributes = {};

/** Another parent's object is not there. */
function refuseElsewhere({ options: { deps }, route, stored, place, id, reader }: Call): void {
  const codec = deps.modules.codecOf(route.resource);
  for (const [attribute, parent] of Object.entries(place)) {
    const row = rowFor(deps, stored, id, reader);
    const shown = codec === undefined ? row : codec.toServed(row);
    if (shown[attribute] !== parent) throw notFound(stored, id);
  }
}

function handlerOf(options: ResourceRouteOptions, { resource, operation }: Route): (call: Call) => Promise<unknown> {
  if (operation.kind !== 'action') return HANDLERS[operation.kind];
  const { action } = operation;
  const act = options.deps.modules.handlerOf(resource.type, action.name);
  if (act === undefined) throw new Error(`no handler for the action ${action.name} of ${resource.type}`);
  return async (call) => {
    const { attributes } = parseAction(action, call.request.body);
    const asked = new EngineAsked(call, matched(call));
    const done = await act(options.deps, call.id, attributes, asked, call.parameters, call.stored);
    return action.answerKey === undefined ? done : { [action.answerKey]: done };
  };
}

const HANDLERS: Readonly<Record<Exclude<Route['operation']['kind'], 'action'>, (call: Call) => Promise<unknown>>> = {
  list: handleList,
  show: handleShow,
  create: handleCreate,
  update: handleUpdate,
  delete: handleDelete,
};

async function handleList(call: Call): Promise<unknown> {
  const { options, route, stored, request, reply } = call;
  const { deps } = options;
  const params = paramsOf(request);
  const { resource } = route;
  if (resource.bare === true && isSet(params, 'watch')) return handleWatch(call, params);
  const projectId = listedProject(call, params);
  if (projectId !== null) {
    for (const { listing } of deps.modules.of(stored.type)) {
      await listing?.(deps, projectId, new EngineAsked(call));
    }
  }
  const query = parseQuery(call, params);
  return await sendUntilGone(call, async (turns) => {
    // Of before the first object is read: what changes meanwhile is told to whoever watches from here on.
    const { revision } = deps.tables;
    const { objects, areRows, computed, madeOf } = await listObjects(deps, stored, query, call.reader, turns, resource);
    // Few attributes are written faster than they are kept.
    const keeps = areRows && query.fields.length === 0;
    const write = writerOf(call, query.fields, 'list', keeps);
    if (resource.bare === true) reply.headers({ 'cable-revision': String(revision), ...historyHeader(deps) });
    const links = pageLinks(`${request.protocol}://${request.host}${collectionOf(call)}`, params, query, objects);
    const others = links.length > 0 ? { [`${resource.plural}_links`]: links } : {};
    const format = (object: AnyObject): Text =>
      write(object, () => computed(object), keeps ? madeOf(object) : undefined);
    await sendList(reply.code(route.status), { name: resource.plural, objects, format, others }, turns);
  });
}

/** The project whose objects are asked for: that of the filter if it is the caller's or the caller is an administrator, else the caller's own. Null: none in particular. */
function listedProject({ caller, reader }: Call, params: URLSearchParams): string | null {
  const { projectId } = caller.credentials;
  const asked = params.get('project_id') ?? params.get('tenant_id');
  if (asked !== null && asked !== '') return asked === projectId || reader.view.isAdmin ? asked : null;
  return caller.projectGiven ? projectId : null;
}

/** Writes objects as the caller sees them, who may see more of one than of another. `keeps`: their texts are kept for the next list. */
function writerOf(call: Call, fields: readonly string[], where: Where, keeps = false): Writer {
  const { route, stored, reader, texts } = call;
  const make = (hidden: ReadonlySet<string>): Writer =>
    createShowText(route.resource, hidden, fields, where, keeps ? (shown) => texts.of(shown) : undefined);
  const { always, sometimes } = reader.view.hiddenAttributes(stored.type);
  if (sometimes.size === 0) return make(always);
  const writers = new Map<string, Writer>();
  return (object, computed, from) => {
    const hidden = hiddenFrom(reader, stored, object);
    const name = [...hidden].join();
    const write = writers.get(name) ?? make(hidden);
    writers.set(name, write);
    return write(object, computed, from);
  };
}

/** The query, with what the path asks for. */
function parseQuery({ route, stored, reader, place }: Call, params: URLSearchParams): ListQuery {
  const query = parseListQuery(route.resource, params);
  refuseHidden(reader, stored, query);
  const within = Object.entries(place).map(
    ([attribute, parent]): Filter => ({ attribute, property: null, values: [String(parent)], substring: false }),
  );
  return within.length === 0 ? query : { ...query, filters: [...within, ...query.filters] };
}

/** Path of the collection that the request names. */
function collectionOf({ route, place }: Call): string {
  const [parent] = Object.values(place);
  return collectionPath(route.resource, parent === undefined ? undefined : String(parent));
}

/** The request as the engine has it. A class: an object with getters of its own would cost a create as much as its parsing. */
class EngineAsked implements Asked {
  readonly credentials: Asked['credentials'];
  readonly deadlineMs: number;
  readonly idempotencyKey: string | null;
  readonly loaded: LoadedResources;
  readonly wrote: NonNullable<Asked['wrote']>;
  readonly ifMatch?: IfMatch;
  readonly #request: FastifyRequest;
  readonly #isBare: boolean;
  readonly #asked: ReturnType<typeof askedOf>;

  constructor({ request, reader, loaded, route }: Call, ifMatch?: IfMatch) {
    this.#isBare = route.resource.bare === true;
    const asked = askedOf(request);
    this.credentials = reader.view.credentials;
    this.deadlineMs = asked.deadlineMs;
    this.idempotencyKey = asked.idempotencyKey ?? null;
    this.loaded = loaded;
    this.wrote = noteWrites(request);
    if (ifMatch !== undefined) this.ifMatch = ifMatch;
    this.#request = request;
    this.#asked = asked;
  }

  get isDryRun(): boolean {
    return this.#isBare && isSet(paramsOf(this.#request), 'dryRun');
  }

  get signal(): AbortSignal {
    return this.#asked.signal;
  }

  get isGone(): boolean {
    return this.#asked.isGone;
  }

  isSet(parameter: string): boolean {
    return /^(true|1)$/i.test(paramsOf(this.#request).get(parameter) ?? '');
  }

  values(parameter: string): readonly string[] {
    return paramsOf(this.#request).getAll(parameter);
  }
}

/** The turns, of which the next does not come any more once the signal has aborted: it throws the signal's reason. */
function stoppedBy(signal: AbortSignal, turns: Turns): Turns {
  return {
    due: turns.due,
    next: async () => {
      await turns.next();
      signal.throwIfAborted();
    },
  };
}

/** Changes instead of objects. What it is made of is loaded with the first watch. */
async function handleWatch(call: Call, params: URLSearchParams): Promise<unknown> {
  const { options, route, stored, reader, reply, request, loaded, caller } = call;
  const { deps } = options;
  const { rings } = deps;
  if (rings?.current === undefined) throw new NotLoadedError('the changes of protons');
  const since = sinceOf(params);
  await refuseOtherHistory(rings.history, params.get('history'), since);
  // Another server may have told of it first.
  if (since !== undefined) await deps.tables.waitFor(since);
  for (const name of ['watch', 'since', 'history']) params.delete(name);
  const query = parseQuery(call, params);
  const codec = deps.modules.codecOf(route.resource);
  const write = writerOf(call, query.fields, 'list');
  const show = (row: AnyObject): string | undefined => {
    if (!sees(reader, stored, row)) return undefined;
    const object = codec === undefined ? row : codec.toServed(withoutHidden(stored, row, reader));
    if (!matchesFilters(query.filters, object)) return undefined;
    const text = write(object, () => NOTHING_MADE);
    return typeof text === 'string' ? text : [...text].join('');
  };
  const policy = deps.permission.policy;
  const { runWatch } = await import('../protons/watch.ts');
  const watch = {
    ...{ rings: rings.current, type: stored.type, projectId: caller.credentials.projectId, since, show },
    history: () => historyText(rings.history.current),
    rows: () => deps.tables.any(stored.type).values(),
    isCurrent: () => deps.resources.current === loaded && deps.permission.policy === policy,
    signal: askedOf(request).signal,
    turns: call.startTurns(),
  };
  await runWatch(watch, () => {
    reply.hijack();
    reply.raw.writeHead(200, { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' });
    return reply.raw;
  });
  return SENT;
}

/** A revision says nothing of another history of the store, such as that of a restored copy. Throws `WatchExpired`. */
async function refuseOtherHistory(
  history: NonNullable<EngineDeps['rings']>['history'],
  given: string | null,
  since: number | undefined,
): Promise<void> {
  if (given === null || since === undefined) return;
  const [cluster = '', mark = ''] = given.split('/', 2);
  if (await history.knows({ cluster, mark }, since)) return;
  throw new CableError('WatchExpired', `Revision ${since} is not of the history that this store has: list anew.`);
}

function historyHeader({ rings }: EngineDeps): { readonly 'cable-history'?: string } {
  return rings === undefined ? {} : { 'cable-history': historyText(rings.history.current) };
}

/** As it is given back with `history`. */
function historyText({ cluster, mark }: StoreHistory): string {
  return `${cluster}/${mark}`;
}

/** Undefined: the client knows nothing. */
function sinceOf(params: URLSearchParams): number | undefined {
  const text = params.get('since');
  if (text === null) return undefined;
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new CableError('HTTPBadRequest', 'Invalid input for since. Reason: it is not a revision.');
}

async function handleShow(call: Call): Promise<unknown> {
  const { options, stored, reader, request, id } = call;
  if (stored.showBy === 'admin' && !reader.view.isAdmin) throw new CableError('NotAuthorized', 'Not authorized.');
  const row = await currentRow(options.deps, stored, id, reader);
  const fields = paramsOf(request)
    .getAll('fields')
    .filter((name) => name !== '');
  const write = fields.length === 0 ? wholeWriterOf(call) : writerOf(call, fields, 'show');
  return answered(call, row, textOf(call, write, row));
}

async function handleCreate(call: Call): Promise<unknown> {
  const { options, route, stored, request, place } = call;
  const { resource } = route;
  const { bulk, objects } = parseCreate(resource, request.body, place);
  const codec = options.deps.modules.codecOf(resource);
  const given = codec === undefined ? objects : objects.map((one) => codec.created(one));
  const created = await createObjects(options.deps, stored, given, new EngineAsked(call));
  const shown = created.map((object) => show(call, object));
  const [first] = created;
  if (bulk) return wrapped(resource.plural, joined(shown));
  return first === undefined ? wrapped(resource.name, '{}') : answered(call, first, shown[0] ?? '{}');
}

async function handleUpdate(call: Call): Promise<unknown> {
  const { options, route, stored, request, id } = call;
  if (route.resource.bare === true) return updateBare(call);
  const { attributes } = parseUpdate(route.resource, request.body);
  const updated = await updateObject(options.deps, stored, id, attributes, new EngineAsked(call), revisionAsked(call));
  return answered(call, updated, show(call, updated));
}

/** How often a change is made of another state of the object, when others change it meanwhile. */
const UPDATES = 10;

/**
 * Of an object that stands in the body as it is: a client may send back all that it was shown, and a patch is merged into what is there (RFC 7396). What is made of the
 * object as it is holds for that alone.
 */
async function updateBare(call: Call): Promise<unknown> {
  const { options, route, stored, request, id, reader } = call;
  const { deps } = options;
  const { resource } = route;
  const codec = deps.modules.codecOf(resource);
  const asked = revisionAsked(call);
  for (let attempt = 1; ; attempt += 1) {
    const row = await currentRow(deps, stored, id, reader);
    // What the caller does not see he does not learn by what becomes of a guess.
    const seen = withoutHidden(stored, row, reader);
    const shown = codec === undefined ? seen : codec.toServed(seen);
    const body = request.method === 'PATCH' ? merged(resource, shown, request.body) : request.body;
    const parsed = parseUpdate(resource, withoutUnchanged(resource, shown, body));
    const { attributes } = codec === undefined ? parsed : codec.changed(row, parsed);
    const isOfRow = codec !== undefined || request.method === 'PATCH';
    const revision = asked ?? (isOfRow ? Number(row['revision_number']) : null);
    try {
      const updated = await updateObject(deps, stored, id, attributes, new EngineAsked(call), revision);
      return answered(call, updated, show(call, updated));
    } catch (err) {
      const isOutrun = err instanceof CableError && err.code === 'RevisionNumberConstraintFailed' && asked === null;
      if (!isOutrun || attempt === UPDATES) throw err;
    }
  }
}

/** A patch as the values that it leads to. */
function merged(resource: ResourceModel, shown: AnyObject, patch: unknown): unknown {
  if (!isRecord(patch)) return patch;
  return Object.fromEntries(
    Object.entries(patch).map(([name, value]) => {
      const attribute = resource.attributes[name];
      const own = attribute?.aliasOf ?? name;
      if (value === null && attribute?.nullable !== true && attribute?.default !== undefined)
        return [name, attribute.default];
      return [name, isRecord(value) ? mergePatch(shown[own], value) : value];
    }),
  );
}

/** RFC 7396. */
function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isRecord(patch)) return patch;
  const made: Record<string, unknown> = { ...(isRecord(target) ? target : {}) };
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete made[name];
    else made[name] = mergePatch(made[name], value);
  }
  return made;
}

/** What nobody may change may be sent as it is. */
function withoutUnchanged(resource: ResourceModel, shown: AnyObject, body: unknown): unknown {
  if (!isRecord(body)) return body;
  const isSent = ([name, value]: readonly [string, unknown]): boolean => {
    const attribute = resource.attributes[name];
    if (attribute === undefined || attribute.write === 'both' || attribute.write === 'update') return true;
    const known = shown[attribute.aliasOf ?? name];
    const text = attribute.withoutZone === true ? String(known).replace(/Z$/, '') : known;
    return JSON.stringify(value) !== JSON.stringify(text ?? null);
  };
  return Object.fromEntries(Object.entries(body).filter(isSent));
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

async function handleDelete(call: Call): Promise<unknown> {
  const { options, route, stored, id } = call;
  await deleteObject(options.deps, stored, id, new EngineAsked(call), revisionAsked(call), route.resource);
  return undefined;
}

/** The JSON text of the object as the caller sees it. */
function show(call: Call, object: AnyObject): Text {
  return textOf(call, wholeWriterOf(call), object);
}

/** Of an implied object what it was not given is shown, too: it is of the object then, not beside it. */
function textOf({ options: { deps }, route, stored, reader }: Call, write: Writer, row: AnyObject): Text {
  const codec = deps.modules.codecOf(route.resource);
  if (codec !== undefined) return write(codec.toServed(withoutHidden(stored, row, reader)), () => NOTHING_MADE);
  const shown = stored.implied === true ? present(deps, stored, row, reader) : row;
  return write(shown, () => computedOf(deps, stored, row, reader));
}

const NOTHING_MADE = {};

/** One object, in its envelope if it has one; of one that has none, with its revision. */
function answered({ route: { resource }, reply }: Call, row: AnyObject, text: Text): JsonText {
  if (resource.bare !== true) return wrapped(resource.name, text);
  reply.header('etag', `"revision_number=${String(row['revision_number'])}"`);
  return new JsonText(text);
}

/** A body that is JSON already. */
class JsonText {
  readonly text: Text;

  constructor(text: Text) {
    this.text = text;
  }
}

function wrapped(key: string, text: Text): JsonText {
  const head = `{${JSON.stringify(key)}:`;
  return new JsonText(typeof text === 'string' ? `${head}${text}}` : enclosed(head, text, '}'));
}

function* enclosed(head: string, pieces: Iterable<string>, tail: string): Iterable<string> {
  yield head;
  yield* pieces;
  yield tail;
}

/** An array of the texts; objects that were just made have no long lists as a rule. */
function joined(texts: readonly Text[]): Text {
  const whole = texts.filter((text) => typeof text === 'string');
  if (whole.length === texts.length) return `[${whole.join()}]`;
  return enclosed(
    '[',
    texts.flatMap((text, at) => [at === 0 ? '' : ',', ...(typeof text === 'string' ? [text] : text)]),
    ']',
  );
}

function isSet(params: URLSearchParams, name: string): boolean {
  return /^(true|1)$/i.test(params.get(name) ?? '');
}

function paramsOf({ url }: FastifyRequest): URLSearchParams {
  return new URLSearchParams(url.split('?', 2)[1] ?? '');
}

type Writer = ShowText;

/** Of whole objects, by what is hidden and the model: callers with the same roles share them. */
const wholeWriters = new WeakMap<ReadonlySet<string>, WeakMap<ResourceModel, Writer>>();

function wholeWriterOf(call: Call): Writer {
  const { always, sometimes } = call.reader.view.hiddenAttributes(call.stored.type);
  if (sometimes.size > 0) return writerOf(call, [], 'show');
  const writers = wholeWriters.get(always) ?? new WeakMap<ResourceModel, Writer>();
  wholeWriters.set(always, writers);
  const { resource } = call.route;
  const writer = writers.get(resource) ?? createShowText(resource, always, [], 'show');
  writers.set(resource, writer);
  return writer;
}

/** What an action's object must be: what an update or a delete is held to, they look at themselves. */
function matched({ request, stored, id }: Call): IfMatch | undefined {
  const revision = neutronRevision(request);
  return revision === null || id === '' ? undefined : { type: stored.type, id, revision, isMet: false };
}

/** The revision that an update or a delete is held to; null: any. */
function revisionAsked(call: Call): number | null {
  return call.route.resource.bare === true ? taggedRevision(call) : neutronRevision(call.request);
}

/** RFC 9110 §13.1.1: one of the ETags is to be the object's, by strong comparison; whatever else is in the header is none of them. */
function taggedRevision({ options: { deps }, stored, request, id }: Call): number | null {
  const header = (request.headers['if-match'] ?? '*').trim();
  if (header === '*') return null;
  const revisions = header.split(',').flatMap((tag) => {
    const [, quoted, plain] = /^\s*(?:"revision_number=(\d{1,15})"|revision_number=(\d{1,15}))\s*$/.exec(tag) ?? [];
    const digits = quoted ?? plain;
    return digits === undefined ? [] : [Number(digits)];
  });
  const current = deps.tables.any(stored.type).get(id)?.['revision_number'];
  return revisions.find((one) => one === current) ?? revisions[0] ?? NO_REVISION;
}

/** `If-Match: revision_number=N` (Neutron's revision-if-match), in quotes or without, also among others: those say nothing, as in Neutron. */
function neutronRevision(request: FastifyRequest): number | null {
  const header = request.headers['if-match'] ?? '';
  const quoted = [...header.matchAll(/"([^"]*)"/g)].map(([, tag = '']) => tag);
  const tags = (quoted.length > 0 ? quoted : [header]).filter((tag) => /^\s*revision_number\s*=/.test(tag));
  if (tags.length === 0) return null;
  const [, revision] = /^\s*revision_number\s*=\s*(\d{1,15})\s*$/.exec(tags.join()) ?? [];
  if (revision === undefined) {
    throw new CableError('BadRequest', 'Bad if-match request: give one revision_number=N.');
  }
  return Number(revision);
}
