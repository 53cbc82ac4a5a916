/** Listeners: each protocol and port once a load balancer, and a pool of the same one. */
import { type AnyObject, CableError, type Listener, type Member } from '@cable/model';
import { type Broken, type Claim, type Contribution, contribute } from '../engine/module.ts';
import type { Look } from '../engine/view.ts';
import { listenerStatus } from './balancer-status.ts';
import { brokenOwner, brokenUnlessTaken, checkCount, invalid, portProblem, wholeOf } from './lb-parts.ts';
import { type Fixed, refuseLayer7, refuseUnsupported, unsupported } from './lb-unsupported.ts';

const FIXED: Readonly<Record<string, Fixed>> = {
  connection_limit: { value: -1, remedy: 'Leave it out: connections are not counted.' },
  allowed_cidrs: { value: null, remedy: 'Give the clients’ prefixes to the members’ security groups.' },
  insert_headers: { value: {}, remedy: 'Leave it out: what is in connections is not looked at.' },
};

/** Listeners. */
export const listenerModule: Contribution<AnyObject> = contribute<Listener>({
  derive: (planning, given) => ({
    project_id: wholeOf(planning, 'loadbalancer', given.loadbalancer_id ?? '').project_id,
  }),
  check: (view, listener, before) => {
    refuseWhatIsNot(listener);
    if (before === undefined) checkCount(view, 'loadbalancer', listener.loadbalancer_id, 'listener');
    if (listener.default_pool_id === null) return;
    const pool = view.need('pool', listener.default_pool_id);
    const reason = pool === undefined ? undefined : mismatch(listener, pool);
    if (reason !== undefined) throw invalid(reason);
    if (pool === undefined || before?.default_pool_id === pool.id) return;
    for (const member of view.parts<Member>('pool', pool.id, (look) => look.by('member', 'pool_id', pool.id))) {
      const problem = portProblem(listener, member);
      if (problem !== undefined) throw invalid(problem);
    }
  },
  claims: (listener) => [portClaim(listener)],
  broken: brokenListener,
  present: (tables, listener) => ({
    provisioning_status: 'ACTIVE',
    operating_status: listenerStatus(tables, listener),
    loadbalancers: [{ id: listener.loadbalancer_id }],
    l7policies: [],
  }),
});

function refuseWhatIsNot(listener: Listener): void {
  refuseLayer7(listener.protocol);
  refuseUnsupported(listener, FIXED);
}

/** Rules of layer 7: there are none. */
export const l7PolicyModule: Contribution<AnyObject> = {
  derive: () => {
    throw unsupported('l7policies', 'Give each service a port of its own: what is in connections is not looked at.');
  },
};

/** Why a pool cannot be that of a listener; undefined: it can. */
export function mismatch(
  listener: Pick<Listener, 'loadbalancer_id' | 'protocol'>,
  pool: { readonly id: string; readonly loadbalancer_id: string; readonly protocol: string },
): string | undefined {
  if (pool.loadbalancer_id !== listener.loadbalancer_id) return `pool ${pool.id} is of another load balancer`;
  if (pool.protocol === listener.protocol) return undefined;
  return `The pool protocol '${pool.protocol}' is invalid while the listener protocol is '${listener.protocol}'`;
}

function portClaim({ loadbalancer_id: id, protocol, protocol_port: port }: Listener): Claim {
  return {
    kind: 'listener',
    value: `${protocol} ${port}`,
    under: { type: 'loadbalancer', id },
    holder: (look) =>
      look.by('listener', 'loadbalancer_id', id).find((one) => one.protocol === protocol && one.protocol_port === port)
        ?.id,
    taken: (holder) =>
      new CableError(
        'DuplicateListenerEntry',
        `Another Listener on this Load Balancer is already using protocol ${protocol} and protocol_port ${port}: ${holder}.`,
      ),
  };
}

function* brokenListener(look: Look, listener: Listener): Iterable<Broken> {
  const pool = look.get('pool', listener.default_pool_id ?? '');
  const reason = pool === undefined ? undefined : mismatch(listener, pool);
  if (reason !== undefined) yield { rule: 'a listener’s pool is of its load balancer and protocol', detail: reason };
  yield* brokenOwner(look, 'loadbalancer', listener.loadbalancer_id, listener);
  yield* brokenUnlessTaken(() => refuseWhatIsNot(listener));
  for (const member of pool === undefined ? [] : look.by('member', 'pool_id', pool.id)) {
    const problem = portProblem(listener, member);
    if (problem !== undefined) yield { rule: 'members of SCTP serve at the port of their listener', detail: problem };
  }
}
