/** QoS policies: one default policy a project, and what sharing rules out. */
import { type AnyObject, CableError, EVERY_PROJECT, type QosPolicy } from '@cable/model';
import { withoutHidden } from '../engine/hidden.ts';
import { type Claim, type Contribution, contribute } from '../engine/module.ts';
import { inOrder } from './in-order.ts';
import { QOS_RULE_KINDS } from './qos-rule.ts';
import { projectsOf } from './qos-users.ts';
import { inUse } from './rbac-policy.ts';
import { checkUnshared, FOREIGN, type Sharing } from './sharing.ts';

/** Policies: they show their rules. */
export const qosPolicyModule: Contribution<AnyObject> = contribute<QosPolicy>({
  check: (view, policy, before) => {
    checkUnshared(view, SHARING, policy, before);
  },
  changed: ({ plan }, before, after) => {
    const isTaken = before.shared_with.includes(EVERY_PROJECT) && !after.shared_with.includes(EVERY_PROJECT);
    // As Neutron, in which the use by its own project counts, too. The owner may use it in any case: no compare is needed.
    if (isTaken && projectsOf(plan, after).includes(after.project_id)) throw SHARING.refused(after);
  },
  claims: (policy) => (policy.is_default ? [defaultClaim(policy.project_id)] : []),
  inUse: (policy, holder) =>
    new CableError('InUse', `QoS Policy ${policy.id} is used by a ${holder}.`, { label: 'QosPolicy' }),
  present: (tables, policy) => ({
    rules: QOS_RULE_KINDS.flatMap(({ kind, resource: { type } }) =>
      inOrder(tables.of(type).by('qos_policy_id', policy.id)).map((rule) => ({
        ...withoutHidden(rule),
        tenant_id: rule.project_id,
        type: kind,
      })),
    ),
  }),
});

function defaultClaim(projectId: string): Claim {
  return {
    kind: 'default_qos',
    value: projectId,
    holder: (look) => look.by('qos_policy', 'project_id', projectId).find((policy) => policy.is_default)?.id,
    taken: () =>
      new CableError('QoSPolicyDefaultAlreadyExists', `A default QoS policy exists for project ${projectId}.`),
  };
}

const SHARING: Sharing<QosPolicy> = {
  list: 'shared_with',
  kind: FOREIGN,
  users: projectsOf,
  refused: ({ id }) => inUse(id, 'ports, networks, floating IPs or routers of other projects have the QoS policy'),
};
