/** Address scopes: pools whose prefixes do not overlap, and the subnets of networks by them. */
import {
  type AddressScope,
  type AnyObject,
  CableError,
  EVERY_PROJECT,
  type Network,
  type SubnetPool,
} from '@cable/model';
import type { Planning } from '../engine/context.ts';
import { type Broken, type Contribution, contribute } from '../engine/module.ts';
import { isAdmin } from '../engine/permission.ts';
import type { Plan } from '../engine/plan.ts';
import type { Look, View } from '../engine/view.ts';
import type { Tables } from '../tables.ts';
import { PrefixSet } from './prefix-set.ts';
import { inUse } from './rbac-policy.ts';
import { isRouted, ROUTED } from './router-scopes.ts';
import { checkUnshared, FOREIGN, foreignMarks, type Sharing } from './sharing.ts';
import { prefixOf } from './subnet-range.ts';

/** Scopes: one that is shared stays so. */
export const addressScopeModule: Contribution<AnyObject> = contribute<AddressScope>({
  change: ({ isService }, before, after) => {
    // As Neutron has it: what is shared by a policy is taken back by the policy.
    const isTaken = (after as AnyObject)['shared'] === false && before.shared_with.includes(EVERY_PROJECT);
    if (isService || !isTaken) return {};
    throw new CableError(
      'AddressScopeUpdateError',
      `Unable to update address scope ${before.id} : Shared address scope can't be unshared.`,
    );
  },
  check: (view, scope, before) => checkUnshared(view, SHARING, scope, before),
  inUse: (scope, holder) =>
    holder !== 'subnetpool'
      ? undefined
      : new CableError(
          'InUse',
          `Unable to complete operation on address scope ${scope.id}. There are one or more subnet pools in use on the address scope.`,
          { label: 'AddressScope' },
        ),
  broken: brokenScope,
});

const SHARING: Sharing<AddressScope> = {
  list: 'shared_with',
  kind: FOREIGN,
  users: (look, { id }) => look.by('subnetpool', 'address_scope_id', id).map((pool) => pool.project_id),
  refused: ({ id }) => inUse(id, 'subnet pools of other projects are in the address scope'),
};

/** Pools: each revises its scope, so two that overlap do not come into one at once. */
export const subnetPoolScopeModule: Contribution<AnyObject> = contribute<SubnetPool>({
  change: (planning, before, after) => {
    if (before.shared_with === after.shared_with) refuseForeignScope(planning, before);
    return {};
  },
  check: (view, pool, before) => {
    const scope = scopeIdOf(pool);
    if (scope !== null && before !== undefined && before.shared_with !== pool.shared_with)
      refuseTargets(view, pool, scope);
    if (before !== undefined && scopeIdOf(before) !== scope) refuseMove(view, pool);
    if (scope === null || (before?.prefixes === pool.prefixes && scopeIdOf(before) === scope)) return;
    refuseScope(view, pool, scope);
  },
  created: ({ plan }, pool) => revise(plan, pool),
  changed: ({ plan }, before, after) => {
    if (before.prefixes === after.prefixes && scopeIdOf(before) === scopeIdOf(after)) return;
    revise(plan, before);
    revise(plan, after);
  },
  removed: ({ plan }, pool) => revise(plan, pool),
  marks: (look, pool) => foreignMarks(look, 'address_scope', [pool.address_scope_id], pool.project_id),
});

/** Networks show the scopes of their subnets. */
export const networkScopesModule: Contribution<AnyObject> = contribute<Network>({
  present: (tables, network) => ({
    ipv4_address_scope: scopeOfNetwork(tables, network.id, 4),
    ipv6_address_scope: scopeOfNetwork(tables, network.id, 6),
  }),
});

/** The scope of a pool; null: none. */
export function scopeIdOf(pool: SubnetPool | undefined): string | null {
  return pool?.address_scope_id ?? null;
}

function scopeOfNetwork(tables: Tables, networkId: string, version: number): string | null {
  const subnets = tables.of('subnet').by('network_id', networkId);
  const id = subnets.find((one) => one.ip_version === version)?.subnetpool_id ?? null;
  return id === null ? null : scopeIdOf(tables.of('subnetpool').get(id));
}

function revise(plan: Plan, pool: SubnetPool): void {
  const id = scopeIdOf(pool);
  if (id !== null) plan.revise('address_scope', id);
}

/** A pool in a scope that others share with its owner is changed by the scope's owner or an administrator. */
function refuseForeignScope({ deps, plan, asked }: Planning, before: SubnetPool): void {
  const id = scopeIdOf(before);
  const scope = id === null ? undefined : plan.get('address_scope', id);
  if (scope === undefined || scope.project_id === asked.credentials.projectId) return;
  if (isAdmin(deps, asked.credentials)) return;
  throw new CableError(
    'IllegalSubnetPoolUpdate',
    `Illegal subnetpool update : subnetpool ${before.id} cannot be updated when associated with shared address scope ${id}.`,
  );
}

function refuseScope(view: View, pool: SubnetPool, scopeId: string): void {
  const version = view.rely('address_scope', scopeId)?.ip_version;
  if (version !== undefined && version !== pool.ip_version) {
    throw new CableError(
      'IllegalSubnetPoolIpVersionAssociationToAddressScope',
      `Illegal subnetpool association: subnetpool ${pool.id} cannot associate with address scope ${scopeId} because subnetpool ip_version is not ${version}.`,
    );
  }
  const all = view.parts('address_scope', scopeId, (look) => look.by('subnetpool', 'address_scope_id', scopeId));
  const own = PrefixSet.of(pool.prefixes.map(prefixOf));
  const overlaps = all.some((one) => one.id !== pool.id && one.prefixes.some((text) => own.overlaps(prefixOf(text))));
  if (!overlaps) return;
  throw new CableError(
    'AddressScopePrefixConflict',
    'Failed to associate address scope: subnetpools within an address scope must have unique prefixes.',
  );
}

/** Whoever takes subnets from a pool takes them in its scope. */
function refuseTargets(view: View, pool: SubnetPool, scopeId: string): void {
  const { shared_with: may = [], project_id: owner } = view.rely('address_scope', scopeId) ?? {};
  const stranger = pool.shared_with.find((one) => one !== owner && !may.includes(one) && !may.includes(EVERY_PROJECT));
  if (stranger === undefined) return;
  throw new CableError(
    'RbacPolicyInitError',
    `Failed to create RBAC policy on object ${pool.id} because address scope ${scopeId} is not shared with ${stranger}.`,
  );
}

/** A pool comes into another scope with all subnets of its networks, and not under a router. */
function refuseMove(view: View, pool: SubnetPool): void {
  const subnets = view.parts('subnetpool', pool.id, (look) => look.by('subnet', 'subnetpool_id', pool.id));
  for (const id of new Set(subnets.map((one) => one.network_id))) {
    const beside = view.parts('network', id, (look) => look.by('subnet', 'network_id', id));
    if (beside.some((one) => one.ip_version === pool.ip_version && one.subnetpool_id !== pool.id)) throw mixedScopes();
  }
  const isFree = view.unmarked(ROUTED, pool.id, (look) => isRouted(look, subnets));
  if (isFree) return;
  throw new CableError(
    'IllegalSubnetPoolUpdate',
    `Illegal subnetpool update : subnets of subnetpool ${pool.id} are attached to routers, so its address scope stays: detach them first.`,
  );
}

/** Subnets of a network that have one version of IP are of one scope. */
export function mixedScopes(): CableError {
  return new CableError(
    'NetworkAddressScopeAffinityError',
    'Subnets of the same address family hosted on the same network must all participate in the same address scope.',
  );
}

function* brokenScope(look: Look, scope: AddressScope): Iterable<Broken> {
  let all = PrefixSet.EMPTY;
  for (const pool of look.by('subnetpool', 'address_scope_id', scope.id)) {
    const rule = 'pools of an address scope have its version of IP and do not overlap';
    if (pool.ip_version !== scope.ip_version) yield { rule, detail: `pool ${pool.id} has IPv${pool.ip_version}` };
    else if (pool.prefixes.some((text) => all.overlaps(prefixOf(text)))) {
      yield { rule, detail: `pool ${pool.id} overlaps another` };
    }
    for (const text of pool.prefixes) if (pool.ip_version === scope.ip_version) all = all.with(prefixOf(text));
  }
}
