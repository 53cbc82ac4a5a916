/** What the plug-in's operations do: each is one of the engine's. */
import { parseAction, parseCreate, parseListQuery, parseUpdate, type Text } from '@cable/api';
import { type AnyObject, CableError } from '@cable/model';
import { repeatableId } from '../engine/idempotency.ts';
import { currentRow, type List, listObjects, NO_OBJECTS } from '../engine/read.ts';
import { createObjects, deleteObject, updateObject } from '../engine/write.ts';
import { askedOf } from '../http/asked.ts';
import { type Call, engineAsked, idOf, shownValue, textOf, writerOf } from './call.ts';
import { madeHere } from './door-type.ts';
import { badRequest, type Fields, withoutDashes } from './envelope.ts';
import { type DoorFilters, doorFilters, passes } from './filters.ts';
import { givenFields } from './given.ts';

/** What is answered: text of one object, a list of texts, or a value. */
export type Answered =
  | { readonly kind: 'text'; readonly text: Text }
  | { readonly kind: 'list'; readonly list: () => Promise<ListAnswer> }
  | { readonly kind: 'value'; readonly value: unknown };

/** Objects of a list, and how each is written. */
export type ListAnswer = { readonly objects: readonly AnyObject[]; readonly format: (object: AnyObject) => Text };

type Operation = (call: Call) => Promise<Answered>;

const NOTHING: Answered = { kind: 'value', value: {} };

/** Operations of every type. */
export const OPERATIONS: Readonly<Record<string, Operation>> = {
  CREATE: create,
  READ: read,
  READALL: readAll,
  READCOUNT: readCount,
  UPDATE: update,
  DELETE: remove,
};

/** Operations of some types besides. */
export const ACTIONS: Readonly<Record<string, Readonly<Record<string, Operation>>>> = {
  router: {
    ADDINTERFACE: (call) => onInterface(call, 'add_router_interface'),
    DELINTERFACE: (call) => onInterface(call, 'remove_router_interface'),
  },
  trunk: {
    ADD_SUBPORTS: (call) => onSubPorts(call, 'add_subports'),
    REMOVE_SUBPORTS: (call) => onSubPorts(call, 'remove_subports'),
  },
};

async function create(call: Call): Promise<Answered> {
  const { deps, door, model } = call;
  const given = givenFields(door, model, 'create', resourceOf(call));
  const { objects } = parseCreate(model, { [model.name]: given });
  const [made] = await createObjects(deps, model, objects, engineAsked(call, await idempotencyKeyOf(call)));
  if (made === undefined) throw new Error(`a create of ${model.type} made nothing`);
  return { kind: 'text', text: textOf(call, made) };
}

/** The same for a create that is sent again because it was not answered; null: the plug-in does not say of which request it is. */
async function idempotencyKeyOf(call: Call): Promise<string | null> {
  const { deps, model, plugin, caller, request, reply, repeats } = call;
  const { requestId, userId, projectId } = plugin.context;
  if (requestId === null) return null;
  const said = [userId, projectId, plugin.resource];
  const idOf = (key: string): string => repeatableId(deps.idSecret, caller.credentials, model.type, key, 0);
  return await repeats.begin({ type: model.type, requestId, said, idOf, asked: askedOf(request) }, reply.raw);
}

async function read(call: Call): Promise<Answered> {
  const { deps, model, reader } = call;
  return { kind: 'text', text: textOf(call, await currentRow(deps, model, idOf(call), reader)) };
}

async function update(call: Call): Promise<Answered> {
  const { deps, door, model, plugin } = call;
  const given = givenFields(door, model, 'update', plugin.resource ?? door.emptyUpdate ?? {});
  const { attributes } = parseUpdate(model, { [model.name]: given });
  const updated = await updateObject(deps, model, idOf(call), attributes, engineAsked(call));
  return { kind: 'text', text: textOf(call, updated) };
}

async function remove(call: Call): Promise<Answered> {
  const { deps, door, model } = call;
  try {
    await deleteObject(deps, model, idOf(call), engineAsked(call));
  } catch (err) {
    if (door.deletesUnknown !== true || !isNotFound(err)) throw err;
  }
  return NOTHING;
}

function isNotFound(err: unknown): boolean {
  return err instanceof CableError && err.code === 'NotFound';
}

/** Before groups are listed, the project has its default one. */
async function prepare(call: Call): Promise<void> {
  const { deps, model, caller } = call;
  const { projectId } = caller.credentials;
  if (!caller.projectGiven || projectId === null) return;
  for (const { listing } of deps.modules.of(model.type)) await listing?.(deps, projectId, engineAsked(call));
}

function filtersOf({ door, model, reader, plugin }: Call): DoorFilters {
  const { always, sometimes } = reader.view.hiddenAttributes(model.type);
  const made = madeHere(door);
  const isLate = (name: string): boolean => made.has(name) || always.has(name) || sometimes.has(name);
  return doorFilters(door.name, model, plugin.filters, isLate);
}

async function readAll(call: Call): Promise<Answered> {
  await prepare(call);
  const filters = filtersOf(call);
  return { kind: 'list', list: () => found(call, filters) };
}

async function found(call: Call, filters: DoorFilters): Promise<ListAnswer> {
  const { plugin } = call;
  const list = await look(call, filters);
  // Few attributes are written faster than they are kept.
  const write = writerOf(call, plugin.fields, list.areRows && plugin.fields.length === 0);
  return { objects: list.objects, format: (object) => write(object, list.computed(object)) };
}

/** All objects that the caller sees and that pass. */
async function look(call: Call, { query, late }: DoorFilters): Promise<List> {
  const { deps, model, reader, startTurns } = call;
  if (late.some(({ values }) => values.size === 0)) return NO_OBJECTS;
  const turns = startTurns();
  const list = await listObjects(deps, model, parseListQuery(model, query), reader, turns);
  if (late.length === 0) return list;
  const objects: AnyObject[] = [];
  for (const object of list.objects) {
    if (turns.due()) await turns.next();
    const computed = list.computed(object);
    if (passes(late, (name) => shownValue(call, object, computed, name))) objects.push(object);
  }
  return { ...list, objects };
}

/** It comes before each create: that of a project is not to cost what a list does. */
async function readCount(call: Call): Promise<Answered> {
  const { plugin } = call;
  await prepare(call);
  const project = onlyProjectOf(plugin.filters);
  const count = project === undefined ? undefined : countOfProject(call, project);
  return { kind: 'value', value: { count: count ?? (await look(call, filtersOf(call))).objects.length } };
}

/** The project whose objects are asked for, all of them; undefined: something else is asked. */
function onlyProjectOf(filters: Fields): string | undefined {
  const names = Object.keys(filters);
  const [name = ''] = names;
  if (names.length !== 1 || !['tenant_id', 'project_id'].includes(name)) return undefined;
  const given = filters[name];
  const [only, ...others] = Array.isArray(given) ? given : [given];
  return typeof only === 'string' && only !== '' && others.length === 0 ? withoutDashes(only) : undefined;
}

/** Undefined: the caller may not see them all. */
function countOfProject({ deps, model, reader, caller }: Call, project: string): number | undefined {
  const { kind } = reader.view.visibility(model.type, reader.row);
  const isWhole = kind === 'all' || (kind === 'lookups' && caller.credentials.projectId === project);
  if (!isWhole || !deps.tables.hasIndex(model.type, 'project_id')) return undefined;
  return deps.tables.any(model.type).count('project_id', project);
}

async function onInterface(call: Call, action: string): Promise<Answered> {
  const done = await act(call, action, resourceOf(call));
  const answer = done as Fields;
  const project = withoutDashes(String(answer['tenant_id'] ?? ''));
  return { kind: 'value', value: { ...answer, tenant_id: project, project_id: project } };
}

async function onSubPorts(call: Call, action: string): Promise<Answered> {
  await act(call, action, resourceOf(call));
  return await read(call);
}

/** Does a declared action of the object. What its body does not have is passed over. */
async function act(call: Call, name: string, resource: Fields): Promise<unknown> {
  const { deps, door, model } = call;
  const action = model.actions?.find((one) => one.name === name);
  const handler = deps.modules.handlerOf(model.type, name);
  if (action === undefined || handler === undefined) throw badRequest(door.name, `there is no ${name} here`);
  const known = Object.entries(resource).filter(
    ([key, value]) => Object.hasOwn(action.body ?? {}, key) && value !== null,
  );
  const { attributes } = parseAction(action, Object.fromEntries(known));
  return await handler(deps, idOf(call), attributes, engineAsked(call), {}, model);
}

function resourceOf({ plugin: { resource }, door }: Call): Fields {
  if (resource !== undefined) return resource;
  throw badRequest(door.name, 'data.resource is missing');
}
