import { type AnyObject, CableError, type SecurityGroup } from '@cable/model';
import { transact } from '../engine/commit.ts';
import type { ServiceDeps, WriteContext } from '../engine/context.ts';
import { contextOf, planCreate } from '../engine/write.ts';
import { defaultGroupKey } from '../keys.ts';

/** Name of the group that every project has; no other group may take it. */
export const DEFAULT_GROUP_NAME = 'default';

/** Makes the project's default group with Neutron's rules, when it is not there. */
export async function ensureDefaultGroup(deps: ServiceDeps, projectId: string): Promise<void> {
  if (findDefaultGroup(deps, projectId) !== undefined) return;
  await deps.lock.run([defaultGroupKey(projectId)], () =>
    transact(deps, (plan, attempt) => {
      if (findDefaultGroup(deps, projectId) !== undefined) return;
      const context = contextOf(deps, plan, attempt, { projectId, isAdmin: true });
      planCreate(context, deps.resources.named('security_group'), {
        id: deps.newId(),
        project_id: projectId,
        name: DEFAULT_GROUP_NAME,
        description: 'Default security group',
      });
    }),
  );
}

/** ID of the project's default group; the group stays while the plan commits. Throws when it was just deleted. */
export function defaultGroupId(context: WriteContext, projectId: string): string {
  const group = findDefaultGroup(context.deps, projectId);
  if (group !== undefined) return group.id;
  throw new CableError('TooManyRequestsAtOnce', 'The default security group was deleted meanwhile.');
}

/** The rules a new group starts with: all egress; the default group also lets its members reach each other. */
export function planFirstRules(context: WriteContext, group: SecurityGroup): void {
  const resource = context.deps.resources.named('security_group_rule');
  for (const ethertype of ['IPv4', 'IPv6']) {
    const base = { project_id: group.project_id, security_group_id: group.id, ethertype };
    const { newId } = context.deps;
    planCreate(context, resource, { ...base, id: newId(), direction: 'egress' });
    if (group.name !== DEFAULT_GROUP_NAME) continue;
    planCreate(context, resource, { ...base, id: newId(), direction: 'ingress', remote_group_id: group.id });
  }
}

function findDefaultGroup(deps: Pick<ServiceDeps, 'tables'>, projectId: string): AnyObject | undefined {
  const groups = deps.tables.of('security_group').by('project_id', projectId);
  return groups.find((group) => group.name === DEFAULT_GROUP_NAME);
}
