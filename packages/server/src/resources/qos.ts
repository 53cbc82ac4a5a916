/** QoS policies and their rules: one default policy a project, one rule of a kind and direction a policy, and what sharing rules out. */
import {
  type AnyObject,
  type Attribute,
  CableError,
  type Network,
  type Port,
  type QosPolicy,
  qosBandwidthLimitRuleResource,
  qosDscpMarkingRuleResource,
  qosPacketRateLimitRuleResource,
} from '@cable/model';
import type { Planning } from '../engine/context.ts';
import { withoutHidden } from '../engine/hidden.ts';
import { type Broken, type Claim, type Contribution, contribute, type Mark } from '../engine/module.ts';
import type { Look } from '../engine/view.ts';
import { inOrder } from './in-order.ts';

/** A rule of any kind. */
type QosRule = AnyObject & { readonly qos_policy_id: string; readonly project_id: string };

type RuleType = 'qos_bandwidth_limit_rule' | 'qos_packet_rate_limit_rule' | 'qos_dscp_marking_rule';

/** A kind of rules: Neutron's name, the type of its objects, and what these say. */
type Kind = {
  readonly kind: string;
  readonly resource: { readonly type: RuleType; readonly attributes: Readonly<Record<string, Attribute>> };
};

const KINDS: readonly Kind[] = [
  { kind: 'bandwidth_limit', resource: qosBandwidthLimitRuleResource },
  { kind: 'packet_rate_limit', resource: qosPacketRateLimitRuleResource },
  { kind: 'dscp_marking', resource: qosDscpMarkingRuleResource },
];

/** Kind of the mark on a policy that something of another project has it. */
const FOREIGN = 'foreign_qos';

export const qosPolicyModule: Contribution<AnyObject> = contribute<QosPolicy>({
  check: (view, policy, before) => {
    if (before?.shared !== true || policy.shared) return;
    const isUnused = view.unmarked(FOREIGN, policy.id, (look) => usersOf(look, policy).some(isOther(policy)));
    if (!isUnused) throw usedByOthers(policy);
  },
  claims: (policy) => (policy.is_default ? [defaultClaim(policy.project_id)] : []),
  inUse: (policy, holder) =>
    new CableError('InUse', `QoS Policy ${policy.id} is used by a ${holder}.`, { label: 'QosPolicy' }),
  present: (tables, policy) => ({
    rules: KINDS.flatMap(({ kind, resource: { type } }) =>
      inOrder(tables.of(type).by('qos_policy_id', policy.id)).map((rule) => ({
        ...withoutHidden(rule),
        tenant_id: rule.project_id,
        type: kind,
      })),
    ),
  }),
});

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

/** Networks: the default policy of their project, unless they are given another or null. */
export const networkQosModule: Contribution<AnyObject> = contribute<Network>({
  derive: (planning, given) =>
    given.qos_policy_id === undefined ? { qos_policy_id: defaultPolicy(planning, given.project_id) } : {},
  marks: foreignMarks,
  // One that was stored before there were policies says nothing.
  present: (_tables, network) => ({ qos_policy_id: network.qos_policy_id ?? null }),
});

export const portQosModule: Contribution<AnyObject> = contribute<Port>({
  marks: foreignMarks,
  present: (tables, port) => ({
    qos_network_policy_id: tables.of('network').get(port.network_id)?.qos_policy_id ?? null,
  }),
});

export const qosRuleTypeModule: Contribution<AnyObject> = { rows: () => KINDS.map(ruleType) };

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

type User = Pick<Port, 'project_id' | 'qos_policy_id'>;

function usersOf(look: Look, { id }: QosPolicy): readonly User[] {
  return [...look.by('port', 'qos_policy_id', id), ...look.by('network', 'qos_policy_id', id)];
}

function isOther({ project_id: project }: Pick<QosPolicy, 'project_id'>): (user: User) => boolean {
  return (user) => user.project_id !== project;
}

function foreignMarks(look: Look, user: User): readonly Mark[] {
  const id = user.qos_policy_id ?? null;
  const policy = id === null ? undefined : look.get('qos_policy', id);
  if (policy === undefined || !isOther(policy)(user)) return [];
  return [{ kind: FOREIGN, of: { type: 'qos_policy', id: policy.id }, about: user.project_id }];
}

function defaultPolicy({ plan }: Planning, projectId: string): string | null {
  const own = plan.by('qos_policy', 'project_id', projectId).find((policy) => policy.is_default);
  return own?.id ?? null;
}

function defaultClaim(projectId: string): Claim {
  return {
    kind: 'default_qos',
    value: projectId,
    holder: (look) => look.by('qos_policy', 'project_id', projectId).find((policy) => policy.is_default)?.id,
    taken: () =>
      new CableError(
        'QoSPolicyDefaultAlreadyExists',
        `A default QoS policy exists for project ${projectId}. Only one default policy per project is allowed.`,
      ),
  };
}

function ruleClaim(type: RuleType, rule: QosRule): Claim {
  const direction = rule['direction'];
  const kind = KINDS.find(({ resource }) => resource.type === type)?.kind;
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

function usedByOthers({ id }: QosPolicy): CableError {
  return new CableError('InUse', `QoS Policy ${id} is used by ports or networks of other projects.`, {
    label: 'QosPolicy',
  });
}
