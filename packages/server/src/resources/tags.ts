/** Neutron's tags of any object that can be tagged: what its actions do. */
import { invalidInput } from '@cable/api';
import { type AnyObject, CableError, type ResourceModel, TAG_MAX_LENGTH, TAGS_MAX } from '@cable/model';
import { transact } from '../engine/commit.ts';
import type { ActionHandler, Asked, EngineDeps, Planning } from '../engine/context.ts';
import type { Contribution } from '../engine/module.ts';
import { refuseOfCluster } from '../engine/of-clusters.ts';
import { permitRead } from '../engine/permission.ts';
import { currentRow } from '../engine/read.ts';
import { readerOf } from '../engine/reader.ts';
import { permittedRow, planUpdate } from '../engine/write.ts';
import { objectKey } from '../keys.ts';

type Tags = readonly string[];

/** The actions of the extensions `standard-attr-tag` and `tag-creation`. */
export const tagsModule: Contribution<AnyObject> = {
  actions: {
    get_tags: async (deps, id, _body, asked, _parameters, resource) => {
      return { tags: tagsOf(await readable(deps, resource, id, asked, 'get_tags')) };
    },
    get_tag: async (deps, id, _body, asked, parameters, resource) => {
      const tag = checkedTag(parameters['tag']);
      const row = await readable(deps, resource, id, asked, 'get_tag');
      if (!tagsOf(row).includes(tag)) throw tagNotFound(tag);
    },
    update_tags: onTags('update_tags', (_before, given) => given),
    create_tags: onTags('create_tags', (before, given) => [...before, ...given]),
    delete_tags: onTags('delete_tags', () => []),
    update_tag: onTag('update_tag', (before, tag) => [...before, tag]),
    delete_tag: onTag('delete_tag', (before, tag) => {
      if (!before.includes(tag)) throw tagNotFound(tag);
      return before.filter((one) => one !== tag);
    }),
  },
};

function onTags(action: string, change: (before: Tags, given: Tags) => Tags): ActionHandler {
  return async (deps, id, body, asked, _parameters, resource) => {
    const given = (body['tags'] ?? []) as Tags;
    await retag(deps, resource, id, asked, action, (before) => change(before, given));
    return body['tags'] === undefined ? undefined : { tags: given };
  };
}

/** Answers null, as Neutron does. */
function onTag(action: string, change: (before: Tags, tag: string) => Tags): ActionHandler {
  return async (deps, id, _body, asked, parameters, resource) => {
    const tag = checkedTag(parameters['tag']);
    await retag(deps, resource, id, asked, action, (before) => change(before, tag));
    return null;
  };
}

/** Writes nothing when the object has the same tags after it, in whatever order. */
async function retag(
  deps: EngineDeps,
  resource: ResourceModel,
  id: string,
  asked: Asked,
  action: string,
  change: (before: Tags) => Tags,
): Promise<void> {
  const build = (planning: Planning): void => {
    const row = permittedRow(planning, resource, id, (before) => ({ verb: 'action', before, action }));
    refuseOfCluster(planning, resource, row);
    const before = tagsOf(row);
    const tags = [...new Set(change(before))];
    if (tags.length > TAGS_MAX) throw invalidInput(`an object has at most ${TAGS_MAX} tags, not ${tags.length}`);
    if (tags.length === before.length && tags.every((one) => before.includes(one))) return;
    planUpdate(planning, resource, row, { tags });
  };
  await told(resource, id, () =>
    deps.lock.run([objectKey(resource.type, id)], asked, () => transact(deps, asked, build)),
  );
}

function readable(
  deps: EngineDeps,
  resource: ResourceModel,
  id: string,
  { credentials }: Asked,
  action: string,
): Promise<AnyObject> {
  return told(resource, id, async () => {
    const reader = readerOf(deps, credentials);
    const before = await currentRow(deps, resource, id, reader);
    permitRead(deps, { credentials, row: reader.row }, { type: resource.type, action, before });
    return before;
  });
}

/** Neutron has an error of its own for an object that is not there to be tagged. */
async function told<T>({ label, plural }: ResourceModel, id: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (err) {
    if (!(err instanceof CableError) || err.code !== 'NotFound' || err.label !== label) throw err;
    const message = `Resource ${plural} ${id.slice(0, 300)} could not be found.`;
    throw new CableError('NotFound', message, { label: 'TagResource', fields: { id } });
  }
}

function tagsOf(row: AnyObject): Tags {
  return (row['tags'] ?? []) as Tags;
}

function checkedTag(given = ''): string {
  if ([...given].length > TAG_MAX_LENGTH) throw invalidInput(`'${given}' exceeds maximum length of ${TAG_MAX_LENGTH}`);
  return given;
}

function tagNotFound(tag: string): CableError {
  return new CableError('NotFound', `Tag ${tag} could not be found.`, { label: 'Tag', fields: { tag } });
}
