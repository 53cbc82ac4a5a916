import { LongList } from '@cable/api';
import { type AnyObject, CableError, type SecurityGroup } from '@cable/model';
import { type Claim, type Contribution, contribute } from '../engine/module.ts';
import { isAdmin } from '../engine/permission.ts';
import type { Plan } from '../engine/plan.ts';
import { referencesOfType } from '../keys.ts';
import {
  DEFAULT_GROUP_NAME,
  defaultGroup,
  ensureDefaultGroup,
  findDefaultGroup,
  planFirstRules,
} from './default-group.ts';
import { inOrder } from './in-order.ts';
import { inUse as rbacInUse } from './rbac-policy.ts';
import { rulesOfGroup } from './security-group-rule.ts';
import { checkUnshared, FOREIGN, type Sharing } from './sharing.ts';

/** Security groups: each project's default group, and the rules a group starts with. */
export const securityGroupModule: Contribution<AnyObject> = contribute<SecurityGroup>({
  derive: (planning, given) => {
    if (planning.isService) return {};
    if (isDefaultName(given.name)) throw defaultExists();
    defaultGroup(planning, given.project_id);
    return {};
  },
  change: ({ plan }, before, after) => {
    if (before.stateful !== after.stateful) requireNoPorts(plan, before.id);
    if (before.name === after.name) return {};
    if (before.name === DEFAULT_GROUP_NAME) {
      throw new CableError('SecurityGroupCannotUpdateDefault', 'Updating default security group not allowed.');
    }
    if (isDefaultName(after.name)) throw defaultExists();
    return {};
  },
  check: (view, group, before) => checkUnshared(view, SHARING, group, before),
  created: planFirstRules,
  remove: ({ deps, asked, isService }, group) => {
    if (group.name !== DEFAULT_GROUP_NAME || isService || isAdmin(deps, asked.credentials)) return;
    throw new CableError(
      'SecurityGroupCannotRemoveDefault',
      'Insufficient rights for removing default security group.',
    );
  },
  claims: (group) => (group.name === DEFAULT_GROUP_NAME ? [defaultClaim(group.project_id)] : []),
  listing: ensureDefaultGroup,
  inUse: (group, holder) => (holder === 'port' ? inUse(group.id) : undefined),
  present: (tables, group) => ({
    security_group_rules: new LongList(
      inOrder(tables.of('security_group_rule').by('security_group_id', group.id)),
      rulesOfGroup(group),
    ),
  }),
});

const SHARING: Sharing<SecurityGroup> = {
  list: 'shared_with',
  kind: FOREIGN,
  users: (look, { id }) => look.by('port', 'security_groups', id).map((port) => port.project_id),
  refused: ({ id }) => rbacInUse(id, 'ports of other projects have the security group'),
};

/** A port's groups are of one kind, and what it lets in does not change at one word of its group: so nobody may have it, and none may come meanwhile. */
function requireNoPorts(plan: Plan, id: string): void {
  if (plan.by('port', 'security_groups', id).length > 0) throw inUse(id);
  plan.requireEmpty(referencesOfType('security_group', id, 'port'), []);
}

function inUse(id: string): CableError {
  return new CableError('InUse', `Security Group ${id} in use.`, { label: 'SecurityGroup' });
}

function defaultClaim(projectId: string): Claim {
  return {
    kind: 'default_sg',
    value: projectId,
    holder: (look) => findDefaultGroup(look, projectId)?.id,
    taken: defaultExists,
  };
}

/** In any letters, as Neutron has it. */
function isDefaultName(name: string | undefined): boolean {
  return name?.toLowerCase() === DEFAULT_GROUP_NAME;
}

function defaultExists(): CableError {
  return new CableError('SecurityGroupDefaultAlreadyExists', 'Default security group already exists.');
}
