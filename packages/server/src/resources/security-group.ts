import { type AnyObject, CableError, type SecurityGroup } from '@cable/model';
import { defineHooks, type ResourceHooks } from '../engine/module.ts';
import { defaultGroupKey } from '../keys.ts';
import { DEFAULT_GROUP_NAME, ensureDefaultGroup, planFirstRules } from './default-group.ts';

/** Security groups: each project's default group, and the rules a group starts with. */
export const securityGroupHooks: ResourceHooks<AnyObject> = defineHooks<SecurityGroup>({
  prepare: (deps, _caller, projectId) => ensureDefaultGroup(deps, projectId),
  create: ({ plan, tables }, given) => {
    if (given.name !== DEFAULT_GROUP_NAME) return {};
    const groups = tables.of('security_group').by('project_id', given.project_id);
    if (groups.some((group) => group.name === DEFAULT_GROUP_NAME)) {
      throw new CableError('SecurityGroupDefaultAlreadyExists', 'Default security group already exists.');
    }
    plan.claim(defaultGroupKey(given.project_id), given.id);
    return {};
  },
  created: planFirstRules,
  update: (_context, before, after) => {
    if (before.name === after.name) return {};
    if (before.name === DEFAULT_GROUP_NAME) {
      throw new CableError('SecurityGroupCannotUpdateDefault', 'Updating default security group not allowed.');
    }
    if (after.name === DEFAULT_GROUP_NAME) {
      throw new CableError('SecurityGroupDefaultAlreadyExists', 'Default security group already exists.');
    }
    return {};
  },
  delete: ({ plan, caller }, group) => {
    if (group.name !== DEFAULT_GROUP_NAME) return;
    if (!caller.isAdmin) {
      throw new CableError(
        'SecurityGroupCannotRemoveDefault',
        'Insufficient rights for removing default security group.',
      );
    }
    plan.release(defaultGroupKey(group.project_id));
  },
  inUse: (group) => new CableError('InUse', `Security Group ${group.id} in use.`, { label: 'SecurityGroup' }),
  present: (tables, group) => ({
    security_group_rules: tables
      .of('security_group_rule')
      .by('security_group_id', group.id)
      .map((rule) => ({ ...rule, tenant_id: rule.project_id }))
      .sort((a, b) => (a.id < b.id ? -1 : 1)),
  }),
});
