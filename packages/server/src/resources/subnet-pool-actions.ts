/** `add_prefixes`, `remove_prefixes` and `onboard_network_subnets` of subnet pools. */
import { type AnyObject, CableError, type Subnet, type SubnetPool } from '@cable/model';
import { transact } from '../engine/commit.ts';
import { type ActionHandler, asService, type Planning } from '../engine/context.ts';
import type { Contribution } from '../engine/module.ts';
import { refuseOfCluster } from '../engine/of-clusters.ts';
import { rowsOf } from '../engine/permission.ts';
import type { Plan } from '../engine/plan.ts';
import { notFound } from '../engine/read.ts';
import { permittedRow, planUpdate } from '../engine/write.ts';
import { objectKey } from '../keys.ts';
import { scopeIdOf } from './address-scope.ts';
import { PrefixSet } from './prefix-set.ts';
import { routersPorts, scopeOfSubnet } from './router-scopes.ts';
import { prefixOf } from './subnet-range.ts';

/** More prefixes, or fewer. */
export const subnetPoolPrefixesModule: Contribution<AnyObject> = {
  actions: {
    add_prefixes: onPrefixes('add_prefixes', (planning, pool, given) =>
      changePrefixes(planning, pool, [...pool.prefixes, ...given]),
    ),
    remove_prefixes: onPrefixes('remove_prefixes', removePrefixes),
  },
};

/** Subnets that are there become those of the pool. */
export const subnetOnboardModule: Contribution<AnyObject> = {
  actions: {
    onboard_network_subnets: (deps, id, body, asked) => {
      const networkId = String(body['network_id']);
      const keys = [objectKey('subnetpool', id), objectKey('network', networkId)];
      const build = (planning: Planning): unknown =>
        onboard(planning, poolFor(planning, id, 'onboard_network_subnets'), networkId);
      return deps.lock.run(keys, asked, () => transact(deps, asked, build));
    },
  },
};

type Change = (planning: Planning, pool: SubnetPool, given: readonly string[]) => SubnetPool;

function onPrefixes(action: string, change: Change): ActionHandler {
  return async (deps, id, body, asked) => {
    const given = body['prefixes'] as readonly string[];
    if (given.length === 0) throw new CableError('HTTPBadRequest', 'Request body contains invalid data');
    const build = (planning: Planning): SubnetPool => change(planning, poolFor(planning, id, action), given);
    const { prefixes } = await deps.lock.run([objectKey('subnetpool', id)], asked, () => transact(deps, asked, build));
    return { prefixes };
  };
}

function poolFor(planning: Planning, id: string, action: string): SubnetPool {
  const resource = planning.deps.resources.named('subnetpool');
  permittedRow(planning, resource, id, (before) => ({ verb: 'action', before, action }));
  const pool = planning.plan.get('subnetpool', id);
  if (pool === undefined) throw notFound(resource, id);
  return pool;
}

function changePrefixes(planning: Planning, pool: SubnetPool, prefixes: readonly string[]): SubnetPool {
  const resource = planning.deps.resources.named('subnetpool');
  return planUpdate(asService(planning), resource, pool, { prefixes }) as unknown as SubnetPool;
}

/** Each subnet of the pool revises it, so what is looked at here is all there is. */
function removePrefixes(planning: Planning, pool: SubnetPool, given: readonly string[]): SubnetPool {
  const removed = PrefixSet.of(given.map(prefixOf));
  const kept = given.reduce((set, one) => set.without(prefixOf(one)), PrefixSet.of(pool.prefixes.map(prefixOf)));
  const isUsed = planning.plan
    .parts('subnetpool', pool.id, (look) => look.by('subnet', 'subnetpool_id', pool.id))
    .some(({ cidr }) => removed.overlaps(prefixOf(cidr)));
  if (isUsed) {
    throw new CableError(
      'IllegalSubnetPoolPrefixUpdate',
      'Illegal update to prefixes: One or more the prefixes to be removed is in use by a subnet.',
    );
  }
  return changePrefixes(planning, pool, kept.texts());
}

/** Who makes a router's port in the subnet compares it; those that are there are written anew, for they mark the pool. */
function moveLegs(plan: Plan, pool: SubnetPool, subnet: Subnet): void {
  const legs = routersPorts(plan, subnet.id);
  if (legs.length > 0 && scopeOfSubnet(plan, subnet) !== scopeIdOf(pool)) {
    throw new CableError(
      'IllegalSubnetPoolUpdate',
      `Illegal subnetpool update : subnet ${subnet.id} is attached to a router, so its address scope stays: detach it first.`,
    );
  }
  for (const leg of legs) plan.revise('port', leg.id);
}

function onboard(planning: Planning, pool: SubnetPool, networkId: string): unknown {
  const { deps, plan, asked } = planning;
  const network = plan.get('network', networkId);
  const view = deps.permission.policy.for(asked.credentials);
  const isSeen =
    network !== undefined && view.allows('get_network', { type: 'network', object: network, row: rowsOf(plan) });
  if (network === undefined || !isSeen) throw notFound(deps.resources.named('network'), networkId);
  if (!view.isAdmin && network.project_id !== asked.credentials.projectId) {
    throw new CableError('NotAuthorized', 'Not authorized.');
  }
  refuseOfCluster(planning, deps.resources.named('network'), network as AnyObject);
  const all = plan.parts('network', networkId, (look) => look.by('subnet', 'network_id', networkId));
  const subnets = all.filter((one) => one.ip_version === pool.ip_version);
  const taken = PrefixSet.of(plan.by('subnet', 'subnetpool_id', pool.id).map(({ cidr }) => prefixOf(cidr)));
  for (const { id, cidr } of subnets) {
    if (!taken.overlaps(prefixOf(cidr))) continue;
    throw new CableError(
      'IllegalSubnetPoolUpdate',
      `Illegal subnetpool update : Onboarding subnet ${id}: ${cidr} conflicts with allocated prefixes in subnet pool ${pool.id}.`,
    );
  }
  for (const subnet of subnets) moveLegs(plan, pool, subnet);
  // A router's gateway compares the network alone.
  plan.revise('network', networkId);
  changePrefixes(planning, pool, [...pool.prefixes, ...subnets.map(({ cidr }) => cidr)]);
  const resource = deps.resources.named('subnet');
  for (const subnet of subnets) planUpdate(asService(planning), resource, subnet, { subnetpool_id: pool.id });
  return subnets.map(({ id, cidr }) => ({ id, cidr }));
}
