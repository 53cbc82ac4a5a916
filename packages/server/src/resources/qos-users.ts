/** What has a QoS policy: networks, ports, floating IPs, and routers for their gateway. */
import {
  type AnyObject,
  CableError,
  type FloatingIp,
  type Network,
  type Port,
  type QosPolicy,
  type Router,
} from '@cable/model';
import type { Planning } from '../engine/context.ts';
import { type Contribution, contribute, type Mark } from '../engine/module.ts';
import { isAdmin } from '../engine/permission.ts';
import { lookAtTables } from '../engine/plan.ts';
import type { Look } from '../engine/view.ts';
import { whereLoaded } from '../not-loaded.ts';
import { bookNetwork, bookPort, resourceRequest, unbookedPort } from './minimum-bandwidth.ts';
import { foreignMarks, isSharedWith } from './sharing.ts';

/** What of an object says of policies. */
type User = Pick<Port, 'project_id' | 'qos_policy_id'>;

/** Networks: the default policy of their project, unless they are given another or null. */
export const networkQosModule: Contribution<AnyObject> = contribute<Network>({
  derive: (planning, given) =>
    given.qos_policy_id === undefined ? { qos_policy_id: defaultPolicy(planning, given.project_id) } : {},
  marks: marksOf,
  changed: (planning, before, after) => {
    refuseDetach(planning, before, after);
    if (before.qos_policy_id !== after.qos_policy_id) bookNetwork(planning, after);
  },
  // One that was stored before there were policies says nothing.
  present: (_tables, network) => ({ qos_policy_id: network.qos_policy_id ?? null }),
});

/** Ports: that of their network is shown besides their own. */
export const portQosModule: Contribution<AnyObject> = contribute<Port>({
  created: (planning, port) => bookPort(planning, undefined, port),
  changed: (planning, before, after) => {
    refuseDetach(planning, before, after);
    bookPort(planning, before, after);
  },
  broken: unbookedPort,
  marks: marksOf,
  present: (tables, port) => {
    const inherited = tables.of('network').get(port.network_id)?.qos_policy_id ?? null;
    const hasPolicy = (port.qos_policy_id ?? inherited) !== null;
    return {
      qos_network_policy_id: inherited,
      resource_request: hasPolicy ? resourceRequest(lookAtTables(tables), port) : null,
    };
  },
  // A policy's rules are many rows.
  madeOf: (tables, port) => {
    const network = tables.of('network').get(port.network_id);
    return (port.qos_policy_id ?? network?.qos_policy_id ?? null) === null ? [network] : undefined;
  },
});

/** Floating IPs. */
export const floatingIpQosModule: Contribution<AnyObject> = contribute<FloatingIp>({
  marks: marksOf,
  // One that was stored before it could have a policy says nothing.
  present: (_tables, floating) => ({ qos_policy_id: floating.qos_policy_id ?? null }),
});

/** Routers: the policy is a part of what they say of their gateway. */
export const routerQosModule: Contribution<AnyObject> = contribute<Router>({
  marks: (look, router) => marksOf(look, gatewayUser(router)),
});

/** The projects of everything that has the policy. */
export function projectsOf(look: Look, policy: QosPolicy): readonly string[] {
  return usersOf(look, policy).map((user) => user.project_id);
}

function usersOf(look: Look, { id }: QosPolicy): readonly User[] {
  return [
    ...look.by('port', 'qos_policy_id', id),
    ...look.by('network', 'qos_policy_id', id),
    ...whereLoaded(() => look.by('floatingip', 'qos_policy_id', id)),
    ...whereLoaded(() => look.by('router', 'external_gateway_info.qos_policy_id', id)).map(gatewayUser),
  ];
}

/** A router as one who has a policy. */
function gatewayUser({ project_id, external_gateway_info: info }: Router): User {
  const limited: (typeof info & { readonly qos_policy_id?: string | null }) | null = info;
  const policy = limited?.qos_policy_id ?? null;
  return { project_id, qos_policy_id: policy };
}

function marksOf(look: Look, user: Pick<User, 'project_id'> & Partial<User>): readonly Mark[] {
  return foreignMarks(look, 'qos_policy', [user.qos_policy_id], user.project_id);
}

/** What an administrator limits by a policy of its own, a project cannot free from it. */
function refuseDetach({ deps, plan, asked, isService }: Planning, before: User, after: User): void {
  const { qos_policy_id: id } = before;
  const policy = id === after.qos_policy_id || id === null || isService ? undefined : plan.get('qos_policy', id);
  const { credentials } = asked;
  if (policy === undefined || isAdmin(deps, credentials) || policy.project_id === credentials.projectId) return;
  if (isSharedWith(policy, credentials.projectId ?? '')) return;
  throw new CableError(
    'PolicyRemoveAuthorizationError',
    `Failed to remove provided policy ${policy.id} because you are not authorized.`,
  );
}

function defaultPolicy({ plan }: Planning, projectId: string): string | null {
  const own = plan.by('qos_policy', 'project_id', projectId).find((policy) => policy.is_default);
  return own?.id ?? null;
}
