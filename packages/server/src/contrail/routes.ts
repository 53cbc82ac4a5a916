/** The door of the Contrail plug-in of neutron-server: `POST /neutron/<type>` (docs/design/contrail.md). */
import type { Text } from '@cable/api';
import { TextCache, type Turns } from '@cable/kit';
import type { AnyObject } from '@cable/model';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Histogram, type Registry } from 'prom-client';
import { noteActing } from '../audit/written.ts';
import type { EngineDeps } from '../engine/context.ts';
import { readerOf } from '../engine/reader.ts';
import { askedOf, userOf } from '../http/asked.ts';
import type { UserCaller } from '../http/auth.ts';
import { sendPieces } from '../http/list-answer.ts';
import { sendUntilGone } from '../http/resource-routes.ts';
import { NotLoadedError } from '../not-loaded.ts';
import { ABSENT_TYPES, answerAbsent } from './absent-types.ts';
import { type Call, engineAsked, unknownOperation } from './call.ts';
import { createCallers } from './caller.ts';
import { DOOR_TYPES, type DoorType } from './door-type.ts';
import { type PluginRequest, parseEnvelope } from './envelope.ts';
import { PLUGIN_PREFIX } from './exceptions.ts';
import { ACTIONS, type Answered, type ListAnswer, OPERATIONS } from './operations.ts';
import { Repeats } from './repeats.ts';
import { answerTags, isTagOperation, TAGS } from './tags.ts';
import { answerVirtualRouter, VIRTUAL_ROUTER } from './virtual-router.ts';

export type PluginRouteOptions = {
  readonly deps: EngineDeps;
  /** Starts a list's work: all lists of a server are in one line. */
  readonly startTurns: () => Turns;
  /** Where what is measured is registered. */
  readonly registry: Registry;
};

/** Characters of rows' texts that are kept for the next list, besides those of the other doors. */
const TEXTS_KEPT = 12 << 20;

/** Adds the door, and `GET /aaa-mode`: whether a token is asked for. */
export function addPluginRoutes(app: FastifyInstance, options: PluginRouteOptions): void {
  const { deps, startTurns } = options;
  const callerOf = createCallers(deps);
  const repeats = new Repeats(deps);
  const texts = new TextCache<AnyObject>(TEXTS_KEPT);
  const observe = createTimes(options.registry);
  const operations = new WeakMap<FastifyRequest, string>();
  // Whoever must give a token has been answered 401 by now.
  app.get('/aaa-mode', () => ({}));
  app.register((scope, _options, done) => {
    scope.addHook('onResponse', (request, reply, next) => {
      const type = request.routeOptions.url?.slice(PLUGIN_PREFIX.length + 1) ?? 'none';
      observe(type, operations.get(request) ?? 'none', reply.statusCode, reply.elapsedTime / 1000);
      next();
    });
    for (const type of [...DOOR_TYPES.keys(), ...Object.keys(ABSENT_TYPES), VIRTUAL_ROUTER, TAGS]) {
      scope.post(`${PLUGIN_PREFIX}/${type}`, async (request, reply) => {
        const plugin = parseEnvelope(type, request.body);
        if (isKnown(type, plugin.operation)) operations.set(request, plugin.operation);
        const caller = callerOf(userOf(request), plugin.context);
        noteActing(request, caller.credentials, plugin.context.requestId);
        const door = DOOR_TYPES.get(type);
        if (type === TAGS) return reply.send(await answerTags(deps, engineAsked({ deps, caller, request }), plugin));
        if (door === undefined) return answerOther(deps, type, caller, plugin);
        return await answer({ deps, startTurns, texts, repeats, door, plugin, caller, request, reply });
      });
    }
    done();
  });
}

/** The operations of a type; a name that nobody knows is none. */
function isKnown(type: string, operation: string): boolean {
  if (type === TAGS) return isTagOperation(operation);
  return Object.hasOwn(OPERATIONS, operation) || Object.hasOwn(ACTIONS[type] ?? {}, operation);
}

function answerOther(deps: EngineDeps, type: string, caller: UserCaller, plugin: PluginRequest): unknown {
  return type === VIRTUAL_ROUTER ? answerVirtualRouter(deps, caller, plugin) : answerAbsent(type, plugin);
}

type Asked = Omit<Call, 'model' | 'reader'>;

/** Answers by what is loaded now; that may be replaced while the request is worked on. */
async function answer(asked: Asked): Promise<unknown> {
  const { deps, door, caller, reply } = asked;
  for (;;) {
    const { current } = deps.resources;
    const model = current.find(door.name);
    if (model === undefined) throw unknownOperation(door.name, asked.plugin.operation);
    const call: Call = { ...asked, model, reader: readerOf(deps, caller.credentials) };
    try {
      return await send(call, await operationOf(door, call)(call));
    } catch (err) {
      if (!(err instanceof NotLoadedError) || reply.sent || deps.resources.current === current) throw err;
    }
  }
}

function operationOf({ name }: DoorType, { plugin: { operation } }: Call): (call: Call) => Promise<Answered> {
  const actions = ACTIONS[name] ?? {};
  const found = Object.hasOwn(actions, operation)
    ? actions[operation]
    : Object.hasOwn(OPERATIONS, operation)
      ? OPERATIONS[operation]
      : undefined;
  if (found === undefined) throw unknownOperation(name, operation);
  return found;
}

const JSON_TYPE = 'application/json; charset=utf-8';

async function send({ request, reply, startTurns }: Call, answered: Answered): Promise<FastifyReply> {
  if (answered.kind === 'value') return reply.send(answered.value);
  const sent = { request, reply, startTurns };
  if (answered.kind === 'list') {
    await sendUntilGone(sent, async (turns) => sendPieces(reply, listPieces(await answered.list()), turns));
    return reply;
  }
  const { text } = answered;
  if (typeof text === 'string') return reply.type(JSON_TYPE).send(text);
  if (!(await askedOf(request).enterAsList())) return reply.hijack();
  await sendUntilGone(sent, (turns) => sendPieces(reply, text, turns));
  return reply;
}

function* listPieces({ objects, format }: ListAnswer): Iterable<string> {
  yield '[';
  let comma = '';
  for (const object of objects) {
    const text: Text = format(object);
    if (typeof text === 'string') yield comma + text;
    else {
      yield comma;
      yield* text;
    }
    comma = ',';
  }
  yield ']';
}

type Observe = (type: string, operation: string, status: number, seconds: number) => void;

function createTimes(registry: Registry): Observe {
  const times = new Histogram({
    name: 'cable_plugin_request_duration_seconds',
    help: 'Time from a request of the Contrail plug-in to its answer.',
    labelNames: ['type', 'operation', 'status'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
    registers: [registry],
  });
  return (type, operation, status, seconds) => times.labels(type, operation, String(status)).observe(seconds);
}
