/** The generic routes: parse, call the service, show. One handler an operation, whatever the resource. */
import {
  type Attributes,
  type Caller,
  createShowText,
  pageLinks,
  parseAction,
  parseCreate,
  parseListQuery,
  parseUpdate,
  type Route,
  routesOf,
  showObject,
} from '@cable/api';
import { createTurnLine, TextCache, type Turns } from '@cable/kit';
import { type AnyObject, CableError, type ResourceModel } from '@cable/model';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ServiceDeps } from '../engine/context.ts';
import { listObjects, present, showOne } from '../engine/read.ts';
import { createObjects, deleteObject, updateObject } from '../engine/write.ts';
import type { AuthenticatedCaller, Authenticator } from './auth.ts';
import { sendList } from './list-answer.ts';

/** What an action does; registered under `<resource>.<action>`. */
type ActionHandler = (deps: ServiceDeps, id: string, body: Attributes, caller: Caller) => Promise<unknown>;

export type ResourceRouteOptions = {
  readonly deps: ServiceDeps;
  readonly authenticate: Authenticator;
  readonly actions: Readonly<Record<string, ActionHandler>>;
};

/** How long all lists together may keep the event loop in one of its rounds. */
const LIST_TURN_MS = 1;

/** Characters of rows' texts that are kept for the next list: ten thousand ports have nine million. */
const TEXTS_KEPT = 12 << 20;

/** Starts a list's work. */
type StartTurns = () => Turns;

type Call = {
  readonly options: ResourceRouteOptions;
  readonly startTurns: StartTurns;
  readonly texts: TextCache<AnyObject>;
  readonly route: Route;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly caller: AuthenticatedCaller;
  readonly params: URLSearchParams;
  /** Empty for collections. */
  readonly id: string;
};

/** Adds every route of the declarations. Throws when a declared action has no handler. */
export function addResourceRoutes(app: FastifyInstance, options: ResourceRouteOptions): void {
  const startTurns = createTurnLine(LIST_TURN_MS);
  const texts = new TextCache<AnyObject>(TEXTS_KEPT);
  for (const route of routesOf(options.deps.resources.all)) {
    const handle = handlerOf(options, route);
    app.route<{ Params: { id?: string } }>({
      method: route.method,
      url: route.path.replace('{id}', ':id'),
      handler: async (request, reply) => {
        const caller = await options.authenticate(request.headers);
        const params = new URLSearchParams(request.url.split('?', 2)[1] ?? '');
        const id = request.params.id ?? '';
        const answer = await handle({ options, startTurns, texts, route, request, reply, caller, params, id });
        // A handler that sends its answer itself has it sent by then.
        return answer === reply ? reply : reply.code(route.status).send(answer);
      },
    });
  }
}

function handlerOf(options: ResourceRouteOptions, route: Route): (call: Call) => Promise<unknown> {
  const { operation } = route;
  if (operation.kind !== 'action') return HANDLERS[operation.kind];
  const act = options.actions[`${route.resource.name}.${operation.action.name}`];
  if (act === undefined) throw new Error(`no handler for ${route.path}`);
  return ({ request, id, caller }) => act(options.deps, id, parseAction(operation.action.body, request.body), caller);
}

const HANDLERS: Readonly<Record<Exclude<Route['operation']['kind'], 'action'>, (call: Call) => Promise<unknown>>> = {
  list: handleList,
  show: handleShow,
  create: handleCreate,
  update: handleUpdate,
  delete: handleDelete,
};

async function handleList(call: Call): Promise<unknown> {
  const { options, route, request, reply, caller, params } = call;
  const { deps } = options;
  const { resource } = route;
  if (caller.projectGiven) await deps.hooks[resource.name]?.prepare?.(deps, caller, caller.projectId, true);
  const query = parseListQuery(resource, params, caller);
  const gone = goneClient(reply);
  const turns = stoppedBy(gone, call.startTurns());
  try {
    const { objects, areRows, computed } = await listObjects(deps, resource, query, caller, turns);
    // Few attributes are written faster than they are kept.
    const keeps = areRows && query.fields.length === 0;
    const write = createShowText(resource, caller, query.fields, keeps ? (shown) => call.texts.of(shown) : undefined);
    const links = pageLinks(`${request.protocol}://${request.host}${route.path}`, params, query, objects);
    const others = links.length > 0 ? { [`${resource.plural}_links`]: links } : {};
    const format = (object: AnyObject): string => write(object, computed(object));
    const body = { name: resource.plural, objects, format, others };
    return await sendList(reply.code(route.status), body, turns);
  } catch (err) {
    if (!gone.aborted) throw err;
    return reply.hijack();
  }
}

/** Aborts when the client closes its connection (and, without consequence, when it has been answered). */
function goneClient(reply: FastifyReply): AbortSignal {
  const abort = new AbortController();
  reply.raw.once('close', () => abort.abort());
  return abort.signal;
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

function handleShow({ options, route, caller, params, id }: Call): Promise<unknown> {
  const object = showOne(options.deps, route.resource, id, caller);
  const fields = params.getAll('fields').filter((name) => name !== '');
  return Promise.resolve({ [route.resource.name]: showObject(route.resource, object, caller, fields) });
}

async function handleCreate({ options, route, request, caller }: Call): Promise<unknown> {
  const { resource } = route;
  const { bulk, objects } = parseCreate(resource, request.body, caller);
  const created = await createObjects(options.deps, resource, objects, caller);
  const shown = created.map((object) => show(options, resource, object, caller));
  return bulk ? { [resource.plural]: shown } : { [resource.name]: shown[0] };
}

async function handleUpdate({ options, route, request, caller, id }: Call): Promise<unknown> {
  const { resource } = route;
  const changes = parseUpdate(resource, request.body, caller);
  const updated = await updateObject(options.deps, resource, id, changes, caller, ifMatch(request));
  return { [resource.name]: show(options, resource, updated, caller) };
}

async function handleDelete({ options, route, request, caller, id }: Call): Promise<unknown> {
  await deleteObject(options.deps, route.resource, id, caller, ifMatch(request));
  return undefined;
}

function show(options: ResourceRouteOptions, resource: ResourceModel, object: AnyObject, caller: Caller): unknown {
  return showObject(resource, present(options.deps, resource, object), caller);
}

/** `If-Match: revision_number=N` (Neutron's revision-if-match). */
function ifMatch(request: FastifyRequest): number | null {
  const header = request.headers['if-match'];
  if (header === undefined) return null;
  const match = /^\s*revision_number\s*=\s*(\d{1,15})\s*$/.exec(header);
  if (match?.[1] === undefined) {
    throw new CableError('HTTPBadRequest', 'Invalid value for If-Match header: give revision_number=N.');
  }
  return Number(match[1]);
}
