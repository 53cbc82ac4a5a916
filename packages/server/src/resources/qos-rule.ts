/** Rules of QoS policies: a policy has one of a kind and direction; and which kinds there are. */
import {
  type AnyObject,
  type Attribute,
  CableError,
  qosBandwidthLimitRuleResource,
  qosDscpMarkingRuleResource,
  qosPacketRateLimitRuleResource,
} from '@cable/model';
import { type Broken, type Claim, type Contribution, contribute } from '../engine/module.ts';
import type { Look } from '../engine/view.ts';

/** A rule of any kind. */
type QosRule = AnyObject & { readonly qos_policy_id: string; readonly project_id: string };

type RuleType = 'qos_bandwidth_limit_rule' | 'qos_packet_rate_limit_rule' | 'qos_dscp_marking_rule';

/** A kind of rules: Neutron's name, the type of its objects, and what these say. */
type Kind = {
  readonly kind: string;
  readonly resource: { readonly type: RuleType; readonly attributes: Readonly<Record<string, Attribute>> };
};

/** Every kind of rules. */
export const QOS_RULE_KINDS: readonly Kind[] = [
  { kind: 'bandwidth_limit', resource: qosBandwidthLimitRuleResource },
  { kind: 'packet_rate_limit', resource: qosPacketRateLimitRuleResource },
  { kind: 'dscp_marking', resource: qosDscpMarkingRuleResource },
];

/** Rules of one kind: they belong to the project of their policy, which has one of a kind and direction. */
export function qosRuleModule(type: RuleType): Contribution<AnyObject> {
  return contribute<QosRule>({
    derive: ({ plan }, given) => {
      const policy = plan.get('qos_policy', given.qos_policy_id ?? '');
      return { project_id: policy?.project_id ?? given.project_id };
    },
    claims: (rule) => [ruleClaim(type, rule)],
    broken: brokenRule,
  });
}

function* brokenRule(look: Look, rule: QosRule): Iterable<Broken> {
  const owner = look.get('qos_policy', rule.qos_policy_id)?.project_id ?? rule.project_id;
  if (owner === rule.project_id) return;
  yield { rule: 'a rule of QoS is of its policy’s project', detail: `that is ${owner}, and not ${rule.project_id}` };
}

/** The kinds, as objects. */
export const qosRuleTypeModule: Contribution<AnyObject> = { rows: () => QOS_RULE_KINDS.map(ruleType) };

function ruleType({ kind, resource }: Kind): AnyObject {
  const parameters = Object.entries(resource.attributes).filter(([name]) => name !== 'qos_policy_id');
  const supported = parameters.map(([name, attribute]) => ({
    parameter_name: name,
    ...(attribute.values !== undefined
      ? { parameter_type: 'choices', parameter_values: attribute.values }
      : { parameter_type: 'range', parameter_values: { start: attribute.minimum, end: attribute.maximum } }),
  }));
  return { id: kind, type: kind, drivers: [{ name: 'cable', supported_parameters: supported }] };
}

function ruleClaim(type: RuleType, rule: QosRule): Claim {
  const direction = rule['direction'];
  const kind = QOS_RULE_KINDS.find(({ resource }) => resource.type === type)?.kind;
  return {
    kind: type,
    value: typeof direction === 'string' ? direction : '-',
    under: { type: 'qos_policy', id: rule.qos_policy_id },
    holder: (look) =>
      (look.by(type, 'qos_policy_id', rule.qos_policy_id) as readonly AnyObject[]).find(
        (one) => one['direction'] === direction,
      )?.id,
    taken: (holder) =>
      new CableError(
        'QoSRulesConflict',
        `Rule ${kind} conflicts with rule ${holder} which already exists in QoS Policy ${rule.qos_policy_id}.`,
      ),
  };
}
