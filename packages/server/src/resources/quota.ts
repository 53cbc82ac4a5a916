import { type AnyObject, CableError } from '@cable/model';
import type { ActionHandler, Asked, EngineDeps } from '../engine/context.ts';
import type { Contribution, PresentDeps } from '../engine/module.ts';
import { currentRow, present } from '../engine/read.ts';
import { readerOf } from '../engine/reader.ts';
import { countedTypes, limitOf, QUOTA, usedOf } from '../engine/slots.ts';

/** What Octavia's clients show in a project's place to learn the defaults: so nothing is set of it. */
const DEFAULTS = 'defaults';

/** Quotas: what a project's limits are, and how much of them is used. They are held by the engine (`engine/slots.ts`). */
export const quotaModule: Contribution<AnyObject> = {
  check: (_plan, { id }) => {
    if (id !== DEFAULTS) return;
    throw new CableError('HTTPBadRequest', 'Invalid input for project_id. Reason: defaults is no project.', {
      detail: 'What holds by default is the server’s option --quota.',
      fields: { attribute: 'project_id' },
    });
  },
  present: (_tables, row, deps) => limitsOf(deps, row),
  actions: {
    default: async (deps, id, _body, asked) => {
      await quotaOf(deps, id, asked);
      return limitsOf(deps, undefined);
    },
  },
};

const showDetails: ActionHandler = async (deps, id, _body, asked) => {
  const limits = await quotaOf(deps, id, asked);
  const details = countedTypes(deps.resources).map((type) => {
    return [type, { limit: limits[type], used: usedOf(deps, id, type), reserved: 0 }] as const;
  });
  return Object.fromEntries(details);
};

/** Looks at the limits that are sent, as Neutron does, also where they stay as they are: what is made at the same time is not seen, and stays. -1 is below nothing. */
export const quotaCheckLimitModule: Contribution<AnyObject> = {
  change: ({ deps }, _before, after, given) => {
    if ((after as { readonly check_limit?: unknown }).check_limit !== true) return {};
    for (const type of countedTypes(deps.resources).filter((one) => Object.hasOwn(given, one))) {
      const limit = limitOf(deps.settings, after, type);
      if (limit < 0) continue;
      const used = usedOf(deps, after.id, type);
      if (used <= limit) continue;
      throw new CableError(
        'HTTPBadRequest',
        `Quota limit ${limit} for ${type} must be greater than or equal to already used ${used}`,
        { detail: 'Nothing was changed.', fields: { attribute: type } },
      );
    }
    return {};
  },
};

/** Limit and use of each. */
export const quotaDetailsModule: Contribution<AnyObject> = { actions: { details: showDetails } };

/** What the caller may see of the project's quota. Throws `NotFound`. */
async function quotaOf(deps: EngineDeps, projectId: string, asked: Asked): Promise<AnyObject> {
  const resource = deps.resources.named(QUOTA);
  const reader = readerOf(deps, asked.credentials);
  return present(deps, resource, await currentRow(deps, resource, projectId, reader), reader);
}

function limitsOf({ resources, settings }: PresentDeps, row: AnyObject | undefined): Readonly<Record<string, number>> {
  return Object.fromEntries(countedTypes(resources).map((type) => [type, limitOf(settings, row, type)]));
}
