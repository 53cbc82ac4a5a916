/** Rules of QoS policies: a policy has one of a kind and direction; and which kinds there are. */
import {
  type AnyObject,
  type Attribute,
  CableError,
  qosBandwidthLimitRuleResource,
  qosDscpMarkingRuleResource,
  qosMinimumBandwidthRuleResource,
  qosMinimumPacketRateRuleResource,
  qosPacketRateLimitRuleResource,
} from '@cable/model';
import { type Broken, type Claim, type Contribution, contribute } from '../engine/module.ts';
import type { Look, View } from '../engine/view.ts';
import { bookPolicy } from './minimum-bandwidth.ts';

/** A rule of any kind. */
type QosRule = AnyObject & { readonly qos_policy_id: string; readonly project_id: string };

type RuleType =
  | 'qos_bandwidth_limit_rule'
  | 'qos_packet_rate_limit_rule'
  | 'qos_dscp_marking_rule'
  | 'qos_minimum_bandwidth_rule'
  | 'qos_minimum_packet_rate_rule';

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
  { kind: 'minimum_bandwidth', resource: qosMinimumBandwidthRuleResource },
  { kind: 'minimum_packet_rate', resource: qosMinimumPacketRateRuleResource },
];

/**
 * Rules of one kind: they belong to the project of their policy, which has one of a kind and direction. Each write of one revises the policy: who looks at all its rules
 * compares that.
 */
export function qosRuleModule(type: RuleType): Contribution<AnyObject> {
  const isBooked = type === 'qos_minimum_bandwidth_rule' || type === 'qos_minimum_packet_rate_rule';
  return contribute<QosRule>({
    derive: ({ plan }, given) => {
      const policy = plan.get('qos_policy', given.qos_policy_id ?? '');
      return { project_id: policy?.project_id ?? given.project_id };
    },
    check: (view, rule) => {
      checkMinimum(view, rule);
      if (type === 'qos_minimum_packet_rate_rule') refuseMixed(view, rule);
    },
    claims: (rule) => directionsOf(rule).map((direction) => ruleClaim(type, rule, direction)),
    created: (planning, rule) => {
      if (isBooked) bookPolicy(planning, rule.qos_policy_id);
    },
    changed: (planning, before, rule) => {
      planning.plan.revise('qos_policy', rule.qos_policy_id);
      if (isBooked && isMore(before, rule)) bookPolicy(planning, rule.qos_policy_id);
    },
    broken: brokenRule,
  });
}

/** True: more may be promised by the rule than before. */
function isMore(before: QosRule, rule: QosRule): boolean {
  const rate = (one: QosRule): number => Number(one['min_kbps'] ?? one['min_kpps']);
  return before['direction'] !== rule['direction'] || rate(rule) > rate(before);
}

/** Nobody is promised more than it may have. A limit of 0 is none. */
function checkMinimum(view: View, rule: QosRule): void {
  const { min_kbps: least, max_kbps: most, qos_policy_id: policy, direction } = rule;
  const type = typeof least === 'number' ? 'qos_bandwidth_limit_rule' : 'qos_minimum_bandwidth_rule';
  if (typeof least !== 'number' && (typeof most !== 'number' || most === 0)) return;
  const others = view.parts('qos_policy', policy, (look) => look.by(type, 'qos_policy_id', policy));
  const other = (others as readonly AnyObject[]).find((one) => one['direction'] === direction);
  const [min, max] = [Number(least ?? other?.['min_kbps']), Number(most ?? other?.['max_kbps'])];
  if (other === undefined || max === 0 || min <= max) return;
  throw new CableError(
    'QoSRuleParameterConflict',
    `Unable to add the rule with value ${least ?? most} to the policy ${policy} as the existing rule of type ` +
      `${typeof least === 'number' ? 'bandwidth_limit' : 'minimum_bandwidth'} restricts the bandwidth to ${other['max_kbps'] ?? other['min_kbps']}.`,
  );
}

/** Packets are promised by direction, or of both together. Each rule revises its policy: these are all. */
function refuseMixed(view: View, { id, qos_policy_id: policy, direction }: QosRule): void {
  const all = view.parts('qos_policy', policy, (look) =>
    look.by('qos_minimum_packet_rate_rule', 'qos_policy_id', policy),
  );
  const isAny = direction === 'any';
  const other = all.find((one) => one.id !== id && (one.direction === 'any') !== isAny);
  if (other === undefined) return;
  throw new CableError(
    'QoSRuleParameterConflict',
    `Unable to add the rule with value ${direction} to the policy ${policy} as the existing rule of type minimum_packet_rate has value ${other.direction}.`,
  );
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

/** Those that a policy has one rule of the kind for; `any` takes both. */
function directionsOf(rule: AnyObject): readonly string[] {
  const direction = rule['direction'];
  if (direction === 'any') return ['egress', 'ingress'];
  return [typeof direction === 'string' ? direction : '-'];
}

function ruleClaim(type: RuleType, rule: QosRule, direction: string): Claim {
  const kind = QOS_RULE_KINDS.find(({ resource }) => resource.type === type)?.kind;
  return {
    kind: type,
    value: direction,
    under: { type: 'qos_policy', id: rule.qos_policy_id },
    holder: (look) =>
      (look.by(type, 'qos_policy_id', rule.qos_policy_id) as readonly AnyObject[]).find((one) =>
        directionsOf(one).includes(direction),
      )?.id,
    taken: (holder) =>
      new CableError(
        'QoSRulesConflict',
        `Rule ${kind} conflicts with rule ${holder} which already exists in QoS Policy ${rule.qos_policy_id}.`,
      ),
  };
}
