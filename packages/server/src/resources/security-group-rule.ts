import type { IndexMaker } from '@cable/kit';
import { type AnyObject, CableError, type SecurityGroup, type SecurityGroupRule } from '@cable/model';
import { REPEATS, withoutHidden } from '../engine/hidden.ts';
import { type Claim, type Contribution, contribute } from '../engine/module.ts';
import { DEFAULT_GROUP_NAME, ensureDefaultGroup } from './default-group.ts';
import { described, meaningHash, normalizedCidr, ruleMeaning } from './rule-meaning.ts';
import { foreignMarks } from './sharing.ts';

const MEANING = 'meaning';

/** Index of tables: a group may have thousands of rules, and each new one is looked for among them. */
export const RULE_MEANING_INDEX: Readonly<Record<string, IndexMaker<AnyObject>>> = {
  [MEANING]: (row) => {
    const rule = row as unknown as SecurityGroupRule;
    return [`${rule.security_group_id} ${described(rule)}`];
  },
};

/** Security group rules: validity, and no rule twice in a group. */
export const securityGroupRuleModule: Contribution<AnyObject> = contribute<SecurityGroupRule>({
  derive: ({ plan, asked }, given) => {
    const meaning = ruleMeaning(given);
    // A rule belongs to the project of its group, unless an administrator names another.
    const group = plan.get('security_group', given.security_group_id ?? '');
    const isNamed = given.project_id !== asked.credentials.projectId;
    return { ...meaning, project_id: isNamed ? given.project_id : (group?.project_id ?? given.project_id) };
  },
  // Of two that an older version took for different ones the second has none.
  claims: (rule) => ((rule as AnyObject)[REPEATS] === true ? [] : [meaningClaim(rule)]),
  marks: (look, rule) => foreignMarks(look, 'address_group', [rule.remote_address_group_id], rule.project_id),
  listing: ensureDefaultGroup,
  present: (tables, rule) => computedOf(rule, tables.of('security_group').get(rule.security_group_id)),
});

/** Rules as their group shows them. */
export function rulesOfGroup(group: SecurityGroup): (rule: SecurityGroupRule) => unknown {
  return (rule) => ({ ...withoutHidden(rule), tenant_id: rule.project_id, ...computedOf(rule, group) });
}

function computedOf(rule: SecurityGroupRule, group: SecurityGroup | undefined): Readonly<Record<string, unknown>> {
  return { normalized_cidr: normalizedCidr(rule), belongs_to_default_sg: group?.name === DEFAULT_GROUP_NAME };
}

/** No rule is twice in a group. */
function meaningClaim(rule: SecurityGroupRule): Claim {
  const group = rule.security_group_id;
  const wanted = described(rule);
  return {
    kind: 'rule',
    value: `${group}.${meaningHash(rule)}`,
    holder: (look) => look.by('security_group_rule', MEANING, `${group} ${wanted}`)[0]?.id,
    taken: (holder) =>
      new CableError('SecurityGroupRuleExists', `Security group rule already exists. Rule id is ${holder}.`),
  };
}
