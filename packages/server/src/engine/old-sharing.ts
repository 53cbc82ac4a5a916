/** Stores of before RBAC policies: an object said of itself that it is shared, or that it leads outside, and with every project. */
import { type AnyObject, EVERY_PROJECT, type GrantAction, isShareable, type RbacPolicy } from '@cable/model';
import type { Op } from '@cable/store';
import { putObject } from '../object-text.ts';
import type { EngineDeps } from './context.ts';
import { namedId } from './new-id.ts';

type Deps = Pick<EngineDeps, 'tables' | 'resources'>;

/**
 * What such a store lacks, an object at a time: the object with its lists, and the policies that these stand for. The same again
 * when it is asked again, whatever of it has been done: a policy's id is made from what it says.
 */
export function* sharingOfOld({ tables, resources }: Deps): Iterable<readonly Op[]> {
  const hasPolicies = resources.find('rbac_policy') !== undefined;
  for (const model of resources.all) {
    if (!isShareable(model)) continue;
    for (const row of tables.any(model.type).values()) {
      const changed = withLists(row);
      if (changed === undefined) continue;
      const { object, actions } = changed;
      const made = hasPolicies ? actions.map((action) => policyOf(model.type, object, action)) : [];
      yield [putObject(model.type, object), ...made.map((policy) => putObject('rbac_policy', policy))];
    }
  }
}

/** Undefined: the object says it by its lists already, or is not shared. */
function withLists(
  row: AnyObject,
): { readonly object: AnyObject; readonly actions: readonly GrantAction[] } | undefined {
  const { shared, ...object } = row as AnyObject & Readonly<Record<string, unknown>>;
  const leadsOutside = row['router:external'] === true && isEmpty(row['external_to']);
  if (shared === undefined && !leadsOutside) return undefined;
  const isShared = shared === true;
  return {
    object: {
      ...(object as AnyObject),
      ...(isShared ? { shared_with: [EVERY_PROJECT] } : {}),
      ...(leadsOutside ? { external_to: [EVERY_PROJECT] } : {}),
    },
    actions: [
      ...(isShared ? (['access_as_shared'] as const) : []),
      ...(leadsOutside ? (['access_as_external'] as const) : []),
    ],
  };
}

function isEmpty(list: unknown): boolean {
  return !Array.isArray(list) || list.length === 0;
}

function policyOf(type: string, object: AnyObject, action: GrantAction): RbacPolicy {
  return {
    id: namedId('rbac', `${object.id} ${action} ${EVERY_PROJECT}`),
    object_type: type,
    object_id: object.id,
    action,
    target_tenant: EVERY_PROJECT,
    project_id: String(object['project_id']),
  };
}
