/** One request of the plug-in, and what answers it has to work with. */
import { createShowText, type Shown, type Text } from '@cable/api';
import type { TextCache, Turns } from '@cable/kit';
import type { AnyObject, CableError, ResourceModel } from '@cable/model';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { noteWrites } from '../audit/written.ts';
import type { Asked, EngineDeps } from '../engine/context.ts';
import { computedOf } from '../engine/read.ts';
import { hiddenFrom, type Reader } from '../engine/reader.ts';
import { askedOf } from '../http/asked.ts';
import type { UserCaller } from '../http/auth.ts';
import { type DoorType, shownModel, soughtValue, valuesMadeHere } from './door-type.ts';
import { badRequest, type PluginRequest } from './envelope.ts';
import type { Repeats } from './repeats.ts';

export type Call = {
  readonly deps: EngineDeps;
  readonly startTurns: () => Turns;
  readonly texts: TextCache<AnyObject>;
  readonly repeats: Repeats;
  readonly door: DoorType;
  readonly model: ResourceModel;
  readonly plugin: PluginRequest;
  readonly caller: UserCaller;
  readonly reader: Reader;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
};

/** The request as the engine has it. `idempotencyKey`: requests with the same one make one object; null: none. */
export function engineAsked(
  { request, caller, deps }: Pick<Call, 'request' | 'caller' | 'deps'>,
  idempotencyKey: string | null = null,
): Asked {
  const asked = askedOf(request);
  return {
    credentials: caller.credentials,
    ...{ deadlineMs: asked.deadlineMs, idempotencyKey, loaded: deps.resources.current },
    isSet: () => false,
    wrote: noteWrites(request),
    get signal() {
      return asked.signal;
    },
    get isGone() {
      return asked.isGone;
    },
  };
}

/** The id of the object that is meant. Throws `BadRequest`. */
export function idOf({ plugin: { id }, door }: Pick<Call, 'plugin' | 'door'>): string {
  if (typeof id === 'string') return id;
  throw badRequest(door.name, 'data.id is missing');
}

/** Text of one object as the caller sees it. */
export function textOf(call: Call, object: AnyObject): Text {
  const write = writerOf(call, call.plugin.fields, false);
  return write(object, computedOf(call.deps, call.model, object, call.reader));
}

/** Writes objects as the caller sees them. `computed`: their computed attributes. `keeps`: texts are kept for the next list. */
export function writerOf(
  call: Call,
  fields: readonly string[],
  keeps: boolean,
): (object: AnyObject, computed: Shown) => Text {
  const { deps, door, model, reader, texts } = call;
  const shown = shownModel(door, model);
  const wanted = fields.length === 0 ? fields : ['id', ...fields];
  const make = (hidden: ReadonlySet<string>): ReturnType<typeof createShowText> =>
    createShowText(shown, hidden, wanted, keeps ? 'list' : 'show', keeps ? (kind) => texts.of(kind) : undefined);
  const { always, sometimes } = reader.view.hiddenAttributes(model.type);
  const writers = new Map<string, ReturnType<typeof make>>();
  const writerFor = (object: AnyObject): ReturnType<typeof make> => {
    const hidden = sometimes.size === 0 ? always : hiddenFrom(reader, model, object);
    const name = sometimes.size === 0 ? '' : [...hidden].join();
    const known = writers.get(name) ?? make(hidden);
    writers.set(name, known);
    return known;
  };
  return (object, computed) => {
    const made = valuesMadeHere(deps, door, withStatus(object, computed), reader.view.credentials.projectId);
    return writerFor(object)(object, () => ({ ...computed, ...made }));
  };
}

/** What is made may be made of what is computed. */
function withStatus(object: AnyObject, { status }: Shown): AnyObject {
  return status === undefined || status === object['status'] ? object : { ...object, status };
}

/** What an object is shown with by a name, for filters; undefined where nothing is shown of it. */
export function shownValue(call: Call, object: AnyObject, computed: Shown, name: string): unknown {
  const { deps, door, model, reader } = call;
  const { attributes } = shownModel(door, model);
  if (!Object.hasOwn(attributes, name)) return soughtValue(deps, door, name, object, reader.view.credentials.projectId);
  if (hiddenFrom(reader, model, object).has(name)) return undefined;
  const source = attributes[name]?.aliasOf ?? name;
  const made = valuesMadeHere(deps, door, withStatus(object, computed), reader.view.credentials.projectId);
  if (Object.hasOwn(made, source)) return made[source];
  return Object.hasOwn(computed, source) ? computed[source] : object[source];
}

/** The error for what nobody does. */
export function unknownOperation(type: string, operation: string): CableError {
  return badRequest(type, `there is no operation ${operation.slice(0, 100)}`);
}
