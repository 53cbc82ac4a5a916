/** The rules that new security groups begin with. */
import type { IndexMaker } from '@cable/kit';
import {
  type AnyObject,
  CableError,
  type DefaultSecurityGroupRule,
  PARENT_GROUP,
  type SecurityGroup,
} from '@cable/model';
import type { Planning } from '../engine/context.ts';
import { type Claim, type Contribution, contribute, type Given } from '../engine/module.ts';
import { objectKey, objectPrefix } from '../keys.ts';
import { described, meaningHash, ruleMeaning } from './rule-meaning.ts';

const TYPE = 'default_security_group_rule';

const MEANING = 'meaning';

type Use = 'default' | 'other';

type Template = Omit<DefaultSecurityGroupRule, 'id'>;

/** Index of tables: by what a rule says and where it is used. */
export const DEFAULT_RULE_INDEX: Readonly<Record<string, IndexMaker<AnyObject>>> = {
  [MEANING]: (row) => {
    const rule = row as unknown as DefaultSecurityGroupRule;
    return usesOf(rule).map((use) => `${use} ${described(rule)}`);
  },
};

/** Default security group rules: validity, and none twice for groups of one kind. */
export const defaultSecurityGroupRuleModule: Contribution<AnyObject> = contribute<DefaultSecurityGroupRule>({
  derive: (_planning, given) => ruleMeaning(given),
  claims: (rule) => usesOf(rule).map((use) => useClaim(use, rule)),
});

/** One that is used nowhere yet says nothing twice. */
function usesOf(rule: Template): readonly Use[] {
  return [
    ...(rule.used_in_default_sg ? (['default'] as const) : []),
    ...(rule.used_in_non_default_sg ? (['other'] as const) : []),
  ];
}

function useClaim(use: Use, rule: DefaultSecurityGroupRule): Claim {
  return {
    kind: 'default_rule',
    value: `${use}.${meaningHash(rule)}`,
    holder: (look) => look.by(TYPE, MEANING, `${use} ${described(rule)}`)[0]?.id,
    taken: (holder) =>
      new CableError(
        'DefaultSecurityGroupRuleExists',
        `Default Security group rule already exists. Rule id is ${holder}.`,
      ),
  };
}

/** What a new group's rules are, as they stand when the group is made: no rule comes or goes meanwhile. */
export function firstRules(
  { deps, plan }: Planning,
  group: SecurityGroup,
  isDefault: boolean,
): readonly Omit<Given<AnyObject>, 'id'>[] {
  const isUsed = (rule: Template): boolean => (isDefault ? rule.used_in_default_sg : rule.used_in_non_default_sg);
  if (deps.resources.find(TYPE) === undefined) return STANDARD_RULES.filter(isUsed).map((one) => ruleIn(group, one));
  const all = [...deps.tables.of(TYPE).values()];
  plan.requireEmpty(
    objectPrefix(TYPE),
    all.map(({ id }) => objectKey(TYPE, id)),
  );
  const used = all.filter(isUsed);
  for (const { id } of used) plan.rely(TYPE, id);
  return used.map((one) => ruleIn(group, one));
}

function ruleIn(group: SecurityGroup, template: Template): Omit<Given<AnyObject>, 'id'> {
  const { direction, ethertype, protocol, port_range_min, port_range_max, remote_ip_prefix } = template;
  const { remote_group_id: remote, remote_address_group_id } = template;
  return {
    ...{ direction, ethertype, protocol, port_range_min, port_range_max, remote_ip_prefix, remote_address_group_id },
    project_id: group.project_id,
    security_group_id: group.id,
    remote_group_id: remote === PARENT_GROUP ? group.id : remote,
  };
}

/** What a cloud begins with, as Neutron's: everything may be sent, and the members of a default group reach each other. */
export const STANDARD_RULES: readonly Template[] = (['IPv4', 'IPv6'] as const).flatMap((ethertype) => [
  standardRule('egress', ethertype),
  standardRule('ingress', ethertype),
]);

function standardRule(direction: Template['direction'], ethertype: Template['ethertype']): Template {
  const isIngress = direction === 'ingress';
  return {
    description: `Legacy default SG rule for ${direction} traffic`,
    direction,
    ethertype,
    protocol: null,
    port_range_min: null,
    port_range_max: null,
    remote_ip_prefix: null,
    remote_group_id: isIngress ? PARENT_GROUP : null,
    remote_address_group_id: null,
    used_in_default_sg: true,
    used_in_non_default_sg: !isIngress,
  };
}
