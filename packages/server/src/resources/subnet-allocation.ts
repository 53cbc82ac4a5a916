/** Subnets that are taken from pools. Each revises its pool when it comes and when it goes, so two that overlap cannot be made at once, nor a quota be passed. */
import {
  type AnyObject,
  CableError,
  formatCidr,
  type IpPrefix,
  parseIpOrCidr,
  type Subnet,
  type SubnetPool,
} from '@cable/model';
import type { Planning } from '../engine/context.ts';
import { type Broken, type Contribution, contribute, type Given } from '../engine/module.ts';
import { rowsOf } from '../engine/permission.ts';
import type { Plan } from '../engine/plan.ts';
import type { Look, View } from '../engine/view.ts';
import { objectKey } from '../keys.ts';
import { mixedScopes, scopeIdOf } from './address-scope.ts';
import type { PrefixSet } from './prefix-set.ts';
import { scopeOfSubnet } from './router-scopes.ts';
import { foreignMarks } from './sharing.ts';
import { defaultPool } from './subnet-pool.ts';
import { PREFIX_ORDER } from './subnet-prefixes.ts';
import { prefixOf } from './subnet-range.ts';

/** What a request says of a subnet's prefix besides what is kept. */
type Asked = Given<Subnet> & { readonly prefixlen?: number; readonly use_default_subnetpool?: boolean };

/** Goes before what is derived from the prefix. */
export const subnetAllocationModule: Contribution<AnyObject> = contribute<Subnet>({
  derive: (planning, given) => {
    const asked = given as Asked;
    if (asked.cidr !== undefined && asked.prefixlen !== undefined) {
      throw badSubnet('cidr and prefixlen must not be supplied together');
    }
    const pool = poolOf(planning, asked);
    if (pool === undefined) {
      if (asked.cidr === undefined) throw badSubnet('a subnetpool must be specified in the absence of a cidr');
      return {};
    }
    if (asked.cidr === undefined && asked.allocation_pools !== undefined) {
      throw badSubnet('allocation_pools allowed only for specific subnet requests');
    }
    if (asked.ip_version !== undefined && asked.ip_version !== pool.ip_version) {
      throw badSubnet(`Cannot allocate IPv${asked.ip_version} subnet from IPv${pool.ip_version} subnet pool`);
    }
    const prefix = allocate(planning, pool, asked);
    return { cidr: formatCidr(prefix), ip_version: pool.ip_version, subnetpool_id: pool.id };
  },
  check: (view, subnet, before) => {
    if (before === undefined) refuseOtherPools(view, subnet);
  },
  created: ({ plan }, subnet) => revise(plan, subnet),
  changed: ({ plan }, before, after) => {
    if (before.subnetpool_id === after.subnetpool_id) return;
    revise(plan, before);
    revise(plan, after);
  },
  removed: ({ plan }, subnet) => revise(plan, subnet),
  *broken(look, subnet): Iterable<Broken> {
    const others = otherPools(look.beside('subnet', PREFIX_ORDER, subnet), subnet);
    for (const other of others) {
      const scope = scopeOfSubnet(look, subnet);
      if (other.id < subnet.id || (scope !== null && scope === scopeOfSubnet(look, other))) continue;
      const rule = 'the subnets of a network of one version of IP are of one pool or scope, or of none';
      yield { rule, detail: `subnet ${other.id} is of another pool` };
    }
  },
  marks: (look, subnet) => foreignMarks(look, 'subnetpool', [subnet.subnetpool_id], subnet.project_id),
  lockKeys: (given, look) => {
    const { subnetpool_id: id, use_default_subnetpool: usesDefault } = given as Partial<Asked>;
    const pool = id ?? (usesDefault === true ? defaultPool(look, versionOf(given as Asked) ?? 0)?.id : undefined);
    return pool === undefined || pool === null ? [] : [objectKey('subnetpool', pool)];
  },
});

/** What is free of the pool when the plan is carried out so far. */
export function freeIn({ deps, plan }: Planning, pool: SubnetPool): PrefixSet {
  return (
    planned.get(plan)?.get(pool.id) ??
    deps.subnetPools.free(pool, () => deps.tables.any('subnet').by('subnetpool_id', pool.id))
  );
}

/** What plans have taken, by pool. */
const planned = new WeakMap<Plan, Map<string, PrefixSet>>();

function revise(plan: Plan, { subnetpool_id: id }: Subnet): void {
  if (id !== null && id !== undefined) plan.revise('subnetpool', id);
}

/** The pool that a request asks for; undefined: none. */
function poolOf(planning: Planning, asked: Asked): SubnetPool | undefined {
  const { plan } = planning;
  const id = asked.subnetpool_id ?? null;
  if (asked.use_default_subnetpool !== true) return id === null ? undefined : plan.rely('subnetpool', id);
  if (id !== null) throw badSubnet('subnetpool_id and use_default_subnetpool cannot both be specified');
  const version = versionOf(asked);
  if (version === undefined) throw badSubnet('ip_version must be specified in the absence of cidr and subnetpool_id');
  const pool = seenDefault(planning, version);
  if (pool === undefined) throw badSubnet(`No default subnetpool found for IPv${version}`);
  return plan.rely('subnetpool', pool.id);
}

/** The default pool, if the caller may see it. */
export function seenDefault({ deps, plan, asked }: Planning, version: number): SubnetPool | undefined {
  const pool = defaultPool(plan, version);
  const view = deps.permission.policy.for(asked.credentials);
  const isSeen =
    pool !== undefined && view.allows('get_subnetpool', { type: 'subnetpool', object: pool, row: rowsOf(plan) });
  return isSeen ? pool : undefined;
}

function versionOf({ cidr, ip_version: version }: Partial<Subnet>): number | undefined {
  return cidr === undefined ? version : prefixOf(cidr).base.version;
}

function allocate(planning: Planning, pool: SubnetPool, asked: Asked): IpPrefix {
  const specific = specificPrefix(pool, asked);
  const length = specific?.prefixLength ?? asked.prefixlen ?? Number(pool.default_prefixlen);
  checkLength(pool, length);
  const free = freeIn(planning, pool);
  checkQuota(planning.plan, pool, asked.project_id, length);
  const prefix = specific ?? free.smallestWithRoom(length);
  if (prefix === undefined) throw failed(`Insufficient prefix space to allocate subnet size /${length}`);
  if (!free.covers(prefix)) throw failed('Cannot allocate requested subnet from the available set of prefixes');
  const taken = planned.get(planning.plan) ?? new Map<string, PrefixSet>();
  planned.set(planning.plan, taken.set(pool.id, free.without(prefix)));
  return prefix;
}

/** The prefix that is asked for, or in which the gateway is that is asked for; undefined: any. */
function specificPrefix(pool: SubnetPool, { cidr, gateway_ip: gateway, prefixlen }: Asked): IpPrefix | undefined {
  if (cidr !== undefined) return prefixOf(cidr);
  if (gateway === undefined || gateway === null) return undefined;
  const prefix = parseIpOrCidr(`${gateway}/${prefixlen ?? pool.default_prefixlen}`);
  if (prefix === undefined || prefix.base.version !== pool.ip_version) {
    throw new CableError(
      'InvalidInput',
      `Invalid input for operation: gateway_ip '${gateway}' does not match the ip_version '${pool.ip_version}'.`,
    );
  }
  return prefix;
}

function checkLength({ min_prefixlen: min, max_prefixlen: max }: SubnetPool, length: number): void {
  if (length > Number(max)) {
    throw new CableError(
      'MaxPrefixSubnetAllocationError',
      `Unable to allocate subnet with prefix length ${length}, maximum allowed prefix is ${max}.`,
    );
  }
  if (length < Number(min)) {
    throw new CableError(
      'MinPrefixSubnetAllocationError',
      `Unable to allocate subnet with prefix length ${length}, minimum allowed prefix is ${min}.`,
    );
  }
}

/** Addresses of IPv4, prefixes of 64 bits of IPv6, are what a quota counts. */
const QUOTA_LENGTH = { 4: 32, 6: 64 } as const;
const BITS = { 4: 32, 6: 128 } as const;

/** What a project has of a pool changes with the pool alone, which the plan compares. */
function checkQuota(look: Look, pool: SubnetPool, projectId: string, length: number): void {
  const { default_quota: quota, ip_version: version, id } = pool;
  if (quota === null || quota === undefined || quota === 0) return;
  const addresses = (prefixLength: number): bigint => 1n << BigInt(BITS[version] - prefixLength);
  let used = addresses(length);
  for (const subnet of look.by('subnet', 'project_id', projectId)) {
    if (subnet.subnetpool_id === id) used += addresses(prefixOf(subnet.cidr).prefixLength);
  }
  if (used > BigInt(quota) * addresses(QUOTA_LENGTH[version])) {
    throw new CableError('SubnetPoolQuotaExceeded', 'Per-tenant subnet pool prefix quota exceeded.');
  }
}

/** The subnets of a network that have one version of IP are all of one pool or scope, or all of none; so where there are any, those beside this one tell. */
function refuseOtherPools(view: View, subnet: Subnet): void {
  const beside = view.parts('network', subnet.network_id, (look) => look.beside('subnet', PREFIX_ORDER, subnet));
  const [other] = otherPools(beside, subnet);
  if (other === undefined) return;
  const scope = scopeIdOf(poolFor(view, other));
  const own = poolFor(view, subnet);
  if (scope !== null && own !== undefined) {
    if (scopeIdOf(own) === scope) return;
    throw mixedScopes();
  }
  throw new CableError(
    'NetworkSubnetPoolAffinityError',
    'Subnets hosted on the same network must be allocated from the same subnet pool.',
  );
}

function poolFor(view: View, { subnetpool_id: id }: Subnet): SubnetPool | undefined {
  return id === null || id === undefined ? undefined : view.rely('subnetpool', id);
}

function otherPools(beside: readonly Subnet[], subnet: Subnet): readonly Subnet[] {
  const { network_id: network, ip_version: version } = subnet;
  const own = subnet.subnetpool_id ?? null;
  return beside.filter(
    (one) => one.network_id === network && one.ip_version === version && (one.subnetpool_id ?? null) !== own,
  );
}

function failed(reason: string): CableError {
  return new CableError('SubnetAllocationError', `Failed to allocate subnet: ${reason}.`);
}

function badSubnet(reason: string): CableError {
  return new CableError('BadRequest', `Bad subnets request: ${reason}.`);
}
