import type { Client } from '@cable/api';
import { isUuid, parseIp, type ResourceModel, resourceWords } from '@cable/model';
import { CliError } from './errors.ts';

/** Finds the ID of the object that a user named. */
export type Resolve = (type: string, nameOrId: string) => Promise<string>;

/** Names shown when several objects have the name. */
const MAX_SHOWN = 10;

/**
 * A resolver that asks the server. Throws `CliError` when no object has the name, or several have; of several the one of the project that is acted in is meant, e.g. its
 * own default security group. `project` undefined: none is chosen.
 */
export function createResolver(
  client: Pick<Client, 'list'>,
  { resources, project }: { readonly resources: readonly ResourceModel[]; readonly project: string | undefined },
): Resolve {
  return async (type, nameOrId) => {
    const resource = resources.find((one) => one.type === type);
    if (resource === undefined || isUuid(nameOrId)) return nameOrId;
    const key = resource.key ?? 'id';
    const named = namedBy(resource, key, nameOrId);
    if (named === undefined) return nameOrId;
    const fields = resource.standard ? [key, 'project_id'] : [key];
    const found = await client.list(type, { [named]: nameOrId, fields });
    const own = found.filter((one) => project !== undefined && 'project_id' in one && one['project_id'] === project);
    const [first, ...others] = own.length > 0 ? own : found;
    const words = resourceWords(resource).join(' ');
    if (first === undefined) {
      throw new CliError(1, `no ${words} is called '${nameOrId}'`, `See: cable ${words} list`);
    }
    const idOf = (one: object): string => String((one as Readonly<Record<string, unknown>>)[key]);
    if (others.length === 0) return idOf(first);
    const meant = [first, ...others];
    const ids = meant.slice(0, MAX_SHOWN).map((one) => `    ${idOf(one)}${projectOf(one)}`);
    const more = meant.length > MAX_SHOWN ? `\n    and ${meant.length - MAX_SHOWN} more` : '';
    throw new CliError(
      1,
      `${meant.length} ${words}s are called '${nameOrId}'`,
      `Give the ID:\n${ids.join('\n')}${more}`,
    );
  };
}

/** The attribute that `text` is of, by which an object is meant; undefined: only the ID can be meant, e.g. where that is text itself (hosts). */
function namedBy({ attributes, columns = [] }: ResourceModel, key: string, text: string): string | undefined {
  if (attributes[key]?.type !== 'uuid') return undefined;
  if (attributes['name'] !== undefined) return 'name';
  // A floating IP is known by its address, which its list shows first.
  const first = columns.find((name) => name !== key) ?? '';
  return attributes[first]?.type === 'ip' && parseIp(text) !== undefined ? first : undefined;
}

function projectOf(object: object): string {
  const project = 'project_id' in object ? String(object.project_id) : '';
  return project === '' ? '' : `  (project ${project})`;
}
