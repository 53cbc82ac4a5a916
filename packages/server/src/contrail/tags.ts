/** `tags`: of an object of any type that can be tagged, by its id alone. */
import { type Attributes, parseAction } from '@cable/api';
import { CableError, type ResourceModel } from '@cable/model';
import { guard } from '../engine/commit.ts';
import type { Asked, EngineDeps } from '../engine/context.ts';
import { readerOf, sees } from '../engine/reader.ts';
import { unknownOperation } from './call.ts';
import { badRequest, type Fields, isFields, type PluginRequest } from './envelope.ts';

/** Name of the type. */
export const TAGS = 'tags';

/** An action of those that every type has that can be tagged, and what its answer is made of. */
type TagOperation = {
  readonly action: string;
  /** Where the object and the tag are named. */
  readonly named: 'filters' | 'resource';
  readonly hasTag?: true;
  readonly hasTags?: true;
};

const OPERATIONS: Readonly<Record<string, TagOperation>> = {
  READ: { action: 'get_tag', named: 'filters', hasTag: true },
  READALL: { action: 'get_tags', named: 'filters' },
  CREATE: { action: 'update_tags', named: 'resource', hasTags: true },
  DELETE: { action: 'delete_tag', named: 'resource', hasTag: true },
  DELETEALL: { action: 'delete_tags', named: 'resource' },
};

/** Operations of the type. */
export function isTagOperation(operation: string): boolean {
  return Object.hasOwn(OPERATIONS, operation);
}

/** Answers a list of the tags, or an object without anything. Throws `NotFound`, `BadRequest`. */
export async function answerTags(deps: EngineDeps, asked: Asked, plugin: PluginRequest): Promise<unknown> {
  const { operation } = plugin;
  const found = isTagOperation(operation) ? OPERATIONS[operation] : undefined;
  if (found === undefined) throw unknownOperation(TAGS, operation);
  const given = found.named === 'filters' ? plugin.filters : unwrapped(plugin.resource ?? {});
  const id = textOf(given, 'parent_id');
  const model = await typeOf(deps, asked, id);
  const action = model.actions?.find((one) => one.name === found.action);
  const act = deps.modules.handlerOf(model.type, found.action);
  if (action === undefined || act === undefined) throw unknownOperation(TAGS, operation);
  const body: Attributes = found.hasTags === true ? parseAction(action, { tags: given['tags'] }).attributes : {};
  const parameters = found.hasTag === true ? { tag: textOf(given, 'tag') } : {};
  const answer = await act(deps, id, body, asked, parameters, model);
  return isFields(answer) && Array.isArray(answer['tags']) ? answer['tags'] : {};
}

/** The resource of a CREATE comes in one more. */
function unwrapped(resource: Fields): Fields {
  return isFields(resource['resource']) ? resource['resource'] : resource;
}

/** A single text may come as a list of one. */
function textOf(given: Fields, name: string): string {
  const value = Object.hasOwn(given, name) ? given[name] : undefined;
  const [only, ...others] = Array.isArray(value) ? value : [value];
  if (typeof only === 'string' && others.length === 0) return only;
  throw badRequest(TAGS, `${name} is no text`);
}

/** The type of an object that the caller sees and that can be tagged. That there is none is said only after the tables have caught up with the store. */
async function typeOf(deps: EngineDeps, { credentials }: Asked, id: string): Promise<ResourceModel> {
  const reader = readerOf(deps, credentials);
  const find = (): ResourceModel | undefined =>
    deps.resources.all.find((model) => {
      if (model.tagged !== true || !model.stored) return false;
      const row = deps.tables.any(model.type).get(id);
      return row !== undefined && sees(reader, model, row);
    });
  const found = find() ?? ((await guard(() => deps.catchUp.run())) ? find() : undefined);
  if (found !== undefined) return found;
  throw new CableError('NotFound', `Resource ${id.slice(0, 300)} could not be found.`, {
    label: 'TagResource',
    fields: { id: id.slice(0, 300) },
  });
}
