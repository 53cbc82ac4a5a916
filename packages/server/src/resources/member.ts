/** Members of pools, one by one and all at once. */
import type { Attributes } from '@cable/api';
import {
  type AnyObject,
  CableError,
  cidrContains,
  type Listener,
  type LoadBalancer,
  type Member,
  type Pool,
  parseIp,
} from '@cable/model';
import { transact } from '../engine/commit.ts';
import type { Asked, EngineDeps, Planning } from '../engine/context.ts';
import { type Broken, type Claim, type Contribution, contribute } from '../engine/module.ts';
import { checkReferences } from '../engine/references.ts';
import type { Look } from '../engine/view.ts';
import { permittedRow, planCreate, planDelete, planUpdate } from '../engine/write.ts';
import { objectKey } from '../keys.ts';
import { memberStatus } from './balancer-status.ts';
import { brokenOwner, brokenUnlessTaken, checkCount, invalid, portProblem, wholeOf } from './lb-parts.ts';
import { type Fixed, refuseUnsupported } from './lb-unsupported.ts';
import { prefixOf } from './subnet-range.ts';

const FIXED: Readonly<Record<string, Fixed>> = {
  backup: { value: false, remedy: 'Give it the weight 0, and another when it is to serve.' },
  monitor_address: { value: null, remedy: 'Leave it out: what is probed is the member itself.' },
};

/** Members: each address and port once a pool. */
export const memberModule: Contribution<AnyObject> = contribute<Member>({
  derive: (planning, given) => ({ project_id: wholeOf(planning, 'pool', given.pool_id ?? '').project_id }),
  check: (view, member, before) => {
    refuseUnsupported(member, FIXED);
    if (before !== undefined) return;
    checkCount(view, 'pool', member.pool_id, 'member');
    const pool = view.need('pool', member.pool_id);
    const balancer = pool === undefined ? undefined : view.need('loadbalancer', pool.loadbalancer_id);
    if (balancer === undefined) return;
    const subnet = view.need('subnet', member.subnet_id ?? balancer.vip_subnet_id);
    const reason = placeProblem(member, balancer, subnet?.cidr);
    if (reason !== undefined) throw invalid(reason);
    const listeners = view.parts<Listener>('loadbalancer', balancer.id, (look) =>
      look.by('listener', 'loadbalancer_id', balancer.id),
    );
    for (const listener of listeners) {
      const problem = listener.default_pool_id === member.pool_id ? portProblem(listener, member) : undefined;
      if (problem !== undefined) throw invalid(problem);
    }
  },
  claims: (member) => [memberClaim(member)],
  broken: brokenMember,
  present: (tables, member) => ({
    provisioning_status: 'ACTIVE',
    operating_status: memberStatus(tables, member),
  }),
});

/** The action that gives all members of a pool at once. */
export const poolMembersModule: Contribution<AnyObject> = { actions: { replace_members: replaceMembers } };

/** What is wrong with a member's address, whose subnet has the prefix `cidr`; undefined: nothing. */
function placeProblem(member: Member, balancer: LoadBalancer, cidr: string | undefined): string | undefined {
  const [ip, vip] = [parseIp(member.address), parseIp(balancer.vip_address)];
  if (ip === undefined || vip === undefined || cidr === undefined) return undefined;
  if (ip.version !== vip.version) {
    return `address ${member.address} and the virtual address ${balancer.vip_address} are of different versions of IP`;
  }
  const subnetId = member.subnet_id ?? balancer.vip_subnet_id;
  if (!cidrContains(prefixOf(cidr), ip)) {
    const how = member.subnet_id === null ? ', that of the virtual address: give subnet_id' : '';
    return `address ${member.address} is not of subnet ${subnetId} (${cidr})${how}`;
  }
  if (member.address !== balancer.vip_address || subnetId !== balancer.vip_subnet_id) return undefined;
  return `address ${member.address} is the virtual address itself`;
}

function memberClaim({ pool_id: id, address, protocol_port: port }: Member): Claim {
  return {
    kind: 'member',
    value: `${address} ${port}`,
    under: { type: 'pool', id },
    holder: (look) =>
      look.by('member', 'pool_id', id).find((one) => one.address === address && one.protocol_port === port)?.id,
    taken: (holder) =>
      new CableError(
        'DuplicateMemberEntry',
        `Another member on this pool is already using ip ${address} on protocol_port ${port}: ${holder}.`,
      ),
  };
}

function* brokenMember(look: Look, member: Member): Iterable<Broken> {
  yield* brokenOwner(look, 'pool', member.pool_id, member);
  yield* brokenUnlessTaken(() => refuseUnsupported(member, FIXED));
  const balancer = look.get('loadbalancer', look.get('pool', member.pool_id)?.loadbalancer_id ?? '');
  if (balancer === undefined) return;
  const subnet = look.get('subnet', member.subnet_id ?? balancer.vip_subnet_id);
  const reason = placeProblem(member, balancer, subnet?.cidr);
  if (reason !== undefined) yield { rule: 'a member’s address is of its subnet', detail: reason };
}

type Wanted = Partial<Member> & Pick<Member, 'address' | 'protocol_port'>;

async function replaceMembers(deps: EngineDeps, poolId: string, body: Attributes, asked: Asked): Promise<undefined> {
  const wanted = body['members'] as readonly Wanted[];
  const build = (planning: Planning): void => {
    const resource = deps.resources.named('pool');
    const action = 'replace_members';
    const pool = permittedRow(planning, resource, poolId, (before) => ({ verb: 'action', before, action }));
    // Every write of a member revises the pool, so those that are looked at are all there are.
    const before = planning.plan.parts('pool', poolId, (look) => look.by('member', 'pool_id', poolId));
    if (!asked.isSet('additive_only')) {
      const gone = before.filter((one) => !wanted.some((other) => isSame(one, other)));
      for (const member of gone) planDelete(planning, deps.resources.named('member'), member);
    }
    for (const one of wanted) placeMember(planning, pool as unknown as Pool, before, one);
  };
  await deps.lock.run([objectKey('pool', poolId)], asked, () => transact(deps, asked, build));
  return undefined;
}

function isSame(a: Pick<Member, 'address' | 'protocol_port'>, b: Pick<Member, 'address' | 'protocol_port'>): boolean {
  return a.address === b.address && a.protocol_port === b.protocol_port;
}

function placeMember(planning: Planning, pool: Pool, before: readonly Member[], wanted: Wanted): void {
  const { deps } = planning;
  const resource = deps.resources.named('member');
  const known = before.find((one) => isSame(one, wanted));
  if (known === undefined) {
    const object = { ...wanted, id: deps.newId(), project_id: pool.project_id, pool_id: pool.id };
    checkReferences(planning, resource, object);
    planCreate(planning, resource, object);
    return;
  }
  if (wanted.subnet_id !== undefined && wanted.subnet_id !== known.subnet_id) {
    throw invalid(`member ${known.id} is there with another subnet_id, which does not change: delete it first`);
  }
  planUpdate(planning, resource, known, wanted);
}
