import type { IndexMaker } from '@cable/kit';
import { type AnyObject, CableError, type SecurityGroup } from '@cable/model';
import { transact } from '../engine/commit.ts';
import type { Asked, EngineDeps, Planning } from '../engine/context.ts';
import type { Given } from '../engine/module.ts';
import { lookAt } from '../engine/plan.ts';
import type { Look } from '../engine/view.ts';
import { planCreate } from '../engine/write.ts';
import { firstRules } from './default-security-group-rule.ts';

/** Name of the group that every project has; no other group may take it. */
export const DEFAULT_GROUP_NAME = 'default';

const DEFAULT_OF = 'default_of';

/** Index of tables: every port's create looks for the default group of its project, which may have any number of others. */
export const DEFAULT_GROUP_INDEX: Readonly<Record<string, IndexMaker<AnyObject>>> = {
  [DEFAULT_OF]: (group) => (group['name'] === DEFAULT_GROUP_NAME ? [String(group['project_id'])] : []),
};

/** The project's default group, planned with Neutron's rules when it is not there. */
export function defaultGroup(planning: Planning, projectId: string): SecurityGroup {
  const { deps, plan } = planning;
  const known = findDefaultGroup(plan, projectId);
  if (known !== undefined) return known;
  return planCreate({ ...planning, isService: true }, deps.resources.named('security_group'), {
    id: deps.newId(),
    project_id: projectId,
    name: DEFAULT_GROUP_NAME,
    description: 'Default security group',
  }) as unknown as SecurityGroup;
}

/** The same, in a transaction of its own; not when the project's quota forbids it. */
export async function ensureDefaultGroup(deps: EngineDeps, projectId: string, asked: Asked): Promise<void> {
  if (findDefaultGroup(lookAt(deps), projectId) !== undefined) return;
  try {
    await transact(deps, asked, (planning) => {
      defaultGroup(planning, projectId);
    });
  } catch (err) {
    // Whoever lists is not to be refused because nothing more may be made.
    if (!(err instanceof CableError && err.code === 'OverQuota')) throw err;
  }
}

/** The rules a new group starts with: what the cloud's default rules say. */
export function planFirstRules(planning: Planning, group: SecurityGroup): void {
  const resource = planning.deps.resources.named('security_group_rule');
  for (const rule of firstRules(planning, group, group.name === DEFAULT_GROUP_NAME))
    planCreate(planning, resource, { ...rule, id: planning.deps.newId() } as Given<AnyObject>);
}

/** The group by that name; undefined: the project has none yet. */
export function findDefaultGroup(look: Look, projectId: string): SecurityGroup | undefined {
  return look.by('security_group', DEFAULT_OF, projectId)[0];
}
