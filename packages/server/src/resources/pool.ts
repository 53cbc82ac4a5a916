/** Pools: of a load balancer, the default pools of its listeners. */
import { type AnyObject, CableError, type Listener, type Pool } from '@cable/model';
import type { Planning } from '../engine/context.ts';
import { type Broken, type Contribution, contribute, type Given } from '../engine/module.ts';
import type { Look } from '../engine/view.ts';
import { planUpdate } from '../engine/write.ts';
import { monitorOf, poolStatus } from './balancer-status.ts';
import { brokenOwner, brokenUnlessTaken, checkCount, invalid, wholeOf } from './lb-parts.ts';
import { type Fixed, refuseLayer7, refuseUnsupported, unsupported } from './lb-unsupported.ts';
import { mismatch } from './listener.ts';
import { idsOf } from './load-balancer.ts';

const FIXED: Readonly<Record<string, Fixed>> = {
  tls_enabled: { value: false, remedy: 'Leave it out: what is in connections is not looked at.' },
};

/** Pools. */
export const poolModule: Contribution<AnyObject> = contribute<Pool>({
  derive: derivePool,
  check: (view, pool, before) => {
    refuseWhatIsNot(pool);
    if (before === undefined) checkCount(view, 'loadbalancer', pool.loadbalancer_id, 'pool');
  },
  remove: (planning, { id, loadbalancer_id }) => {
    // With its load balancer all of them go.
    if (planning.plan.deletes('loadbalancer', loadbalancer_id)) return;
    const resource = planning.deps.resources.named('listener');
    for (const listener of planning.plan.by('listener', 'default_pool_id', id)) {
      planUpdate(planning, resource, listener, { default_pool_id: null });
    }
  },
  broken: brokenPool,
  present: (tables, pool) => ({
    provisioning_status: 'ACTIVE',
    operating_status: poolStatus(tables, pool),
    loadbalancers: [{ id: pool.loadbalancer_id }],
    listeners: idsOf(tables.of('listener').by('default_pool_id', pool.id)),
    members: idsOf(tables.of('member').by('pool_id', pool.id)),
    healthmonitor_id: monitorOf(tables, pool.id)?.id ?? null,
  }),
});

function derivePool(planning: Planning, given: Given<Pool>): Partial<Pool> {
  const { listener_id: listenerId = null, loadbalancer_id: balancerId } = given;
  const listener = listenerId === null ? undefined : wholeOf(planning, 'listener', listenerId);
  const ownerId = balancerId ?? listener?.loadbalancer_id;
  if (ownerId === undefined) throw invalid('a pool needs one of loadbalancer_id and listener_id');
  const owner = wholeOf(planning, 'loadbalancer', ownerId);
  const pool = { ...given, project_id: owner.project_id, loadbalancer_id: owner.id, listener_id: null };
  if (listener !== undefined) attach(planning, listener, { ...pool, protocol: given.protocol ?? '' });
  return pool;
}

/** Makes a pool that is being made the default pool of a listener. */
function attach(
  { plan }: Planning,
  listener: Listener,
  pool: { readonly id: string; readonly loadbalancer_id: string; readonly protocol: string },
): void {
  if (listener.default_pool_id !== null) {
    throw new CableError(
      'DuplicatePoolEntry',
      `Listener ${listener.id} has the default pool ${listener.default_pool_id} already.`,
    );
  }
  const reason = mismatch(listener, pool);
  if (reason !== undefined) throw invalid(reason);
  // The pool is in the plan only when it has been derived, so that the general way would not find it.
  plan.replace('listener', { ...listener, default_pool_id: pool.id });
}

function* brokenPool(look: Look, pool: Pool): Iterable<Broken> {
  yield* brokenOwner(look, 'loadbalancer', pool.loadbalancer_id, pool);
  yield* brokenUnlessTaken(() => refuseWhatIsNot(pool));
}

function refuseWhatIsNot(pool: Pool): void {
  refuseLayer7(pool.protocol);
  refuseUnsupported(pool, FIXED);
  refuseAlgorithm(pool);
}

function refuseAlgorithm({ lb_algorithm, session_persistence }: Pool): void {
  if (lb_algorithm === 'ROUND_ROBIN' || lb_algorithm === 'LEAST_CONNECTIONS') {
    const remedy = 'Give SOURCE_IP_PORT, or SOURCE_IP: hosts balance by themselves and count no connections together.';
    throw unsupported(`lb_algorithm ${lb_algorithm}`, remedy);
  }
  if (session_persistence === null) return;
  const { type, ...others } = session_persistence;
  if (type !== 'SOURCE_IP') {
    throw unsupported(
      `session_persistence ${type}`,
      'Give {"type": "SOURCE_IP"}: what is in connections is not looked at.',
    );
  }
  const other = Object.entries(others).find(([, value]) => value !== undefined && value !== null);
  if (other === undefined) return;
  throw unsupported(
    `${other[0]} of session_persistence`,
    'Leave it out: a client keeps its member while that is there.',
  );
}
