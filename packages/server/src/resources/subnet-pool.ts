/** Subnet pools: their prefixes and bounds, and one default pool of each version of IP. */
import { type AnyObject, CableError, type SubnetPool } from '@cable/model';
import { type Broken, type Claim, type Contribution, contribute, type Given } from '../engine/module.ts';
import type { Look } from '../engine/view.ts';
import { PrefixSet } from './prefix-set.ts';
import { inUse } from './rbac-policy.ts';
import { checkUnshared, FOREIGN, type Sharing } from './sharing.ts';
import { prefixOf } from './subnet-range.ts';

type Bounds = Pick<SubnetPool, 'min_prefixlen' | 'max_prefixlen' | 'default_prefixlen'>;
type Version = SubnetPool['ip_version'];

/** Every subnet of a pool revises it, when it comes and when it goes. */
export const subnetPoolModule: Contribution<AnyObject> = contribute<SubnetPool>({
  derive: (_planning, given) => {
    const prefixes = compacted(given.prefixes ?? []);
    const version = prefixOf(prefixes[0] ?? '').base.version;
    return { prefixes, ip_version: version, ...boundsOf(given, version) };
  },
  change: ({ isService }, before, after) => {
    if (after.prefixes === before.prefixes) return lengthsOf(after, before);
    const prefixes = isService && after.prefixes.length === 0 ? [] : compacted(after.prefixes, before.ip_version);
    if (!isService) refuseLost(before, prefixes);
    return { prefixes, ...lengthsOf(after, before) };
  },
  check: (view, pool, before) => {
    checkBounds(pool);
    checkUnshared(view, SHARING, pool, before);
  },
  claims: (pool) => (pool.is_default ? [defaultClaim(pool.ip_version)] : []),
  broken: brokenPool,
  inUse: (_pool, holder) =>
    holder === 'subnet'
      ? new CableError('SubnetPoolDeleteError', 'Unable to delete subnet pool: Subnet pool has existing allocations.')
      : undefined,
});

const SHARING: Sharing<SubnetPool> = {
  list: 'shared_with',
  kind: FOREIGN,
  users: (look, { id }) => look.by('subnet', 'subnetpool_id', id).map((subnet) => subnet.project_id),
  refused: ({ id }) => inUse(id, 'subnets of other projects are taken from the subnet pool'),
};

/** The fewest prefixes that have the same addresses. Throws `EmptySubnetPoolPrefixList`, `PrefixVersionMismatch`. */
export function compacted(texts: readonly string[], version?: Version): readonly string[] {
  const prefixes = texts.map(prefixOf);
  const first = version ?? prefixes[0]?.base.version;
  if (prefixes.length === 0) throw new CableError('EmptySubnetPoolPrefixList', 'Empty subnet pool prefix list.');
  if (prefixes.some(({ base }) => base.version !== first)) {
    throw new CableError('PrefixVersionMismatch', 'Cannot mix IPv4 and IPv6 prefixes in a subnet pool.');
  }
  return PrefixSet.of(prefixes).texts();
}

/** The pool of the version of IP that is the default; undefined: there is none. */
export function defaultPool(look: Pick<Look, 'by'>, version: number): SubnetPool | undefined {
  return look.by('subnetpool', 'is_default', 'true').find((pool) => pool.ip_version === version);
}

const BITS: Readonly<Record<Version, number>> = { 4: 32, 6: 128 };
const SHORTEST: Readonly<Record<Version, number>> = { 4: 8, 6: 64 };

function boundsOf(given: Given<SubnetPool>, version: Version): Bounds {
  const min = given.min_prefixlen ?? String(SHORTEST[version]);
  return lengthsOf({
    min_prefixlen: min,
    max_prefixlen: given.max_prefixlen ?? String(BITS[version]),
    default_prefixlen: given.default_prefixlen ?? min,
  });
}

/** Each as digits. Throws for what is no length. */
function lengthsOf(bounds: Bounds, before?: Bounds): Bounds {
  const digits = (name: keyof Bounds): string =>
    bounds[name] === before?.[name] ? bounds[name] : lengthOf(name, bounds[name]);
  return {
    min_prefixlen: digits('min_prefixlen'),
    max_prefixlen: digits('max_prefixlen'),
    default_prefixlen: digits('default_prefixlen'),
  };
}

function lengthOf(name: string, text: string): string {
  if (/^\d{1,9}$/.test(text)) return String(Number(text));
  const reason = /^-\d+$/.test(text) ? `'${text}' should be non-negative` : `'${text}' is not an integer`;
  throw new CableError('HTTPBadRequest', `Invalid input for ${name}. Reason: ${reason}.`, {
    fields: { attribute: name },
  });
}

function checkBounds(pool: SubnetPool): void {
  const [min, max, standard] = [pool.min_prefixlen, pool.max_prefixlen, pool.default_prefixlen].map(Number) as [
    number,
    number,
    number,
  ];
  const bits = BITS[pool.ip_version];
  if (min > max) throw illegal('min_prefixlen', min, 'max_prefixlen', max);
  if (max > bits) throw illegal('max_prefixlen', max, 'ip_version_max', bits);
  if (standard < min) throw illegal('default_prefixlen', standard, 'min_prefixlen', min);
  if (standard > max) throw illegal('default_prefixlen', standard, 'max_prefixlen', max);
}

function illegal(name: string, length: number, base: string, baseLength: number): CableError {
  return new CableError(
    'IllegalSubnetPoolPrefixBounds',
    `Illegal prefix bounds: ${name}=${length}, ${base}=${baseLength}.`,
  );
}

/** An update alone takes no prefix away: a request that was made by an older list would. */
function refuseLost(before: SubnetPool, prefixes: readonly string[]): void {
  const now = PrefixSet.of(prefixes.map(prefixOf));
  if (before.prefixes.every((one) => now.covers(prefixOf(one)))) return;
  throw new CableError(
    'IllegalSubnetPoolPrefixUpdate',
    'Illegal update to prefixes: Existing prefixes must be a subset of the new prefixes.',
  );
}

function defaultClaim(version: Version): Claim {
  return {
    kind: 'default_subnetpool',
    value: String(version),
    holder: (look) => defaultPool(look, version)?.id,
    taken: () =>
      new CableError(
        'InvalidInput',
        'Invalid input for operation: A default subnetpool for this IP family has already been set. ' +
          'Only one default may exist per IP family.',
      ),
  };
}

function* brokenPool(look: Look, pool: SubnetPool): Iterable<Broken> {
  const all = PrefixSet.of(pool.prefixes.map(prefixOf));
  const subnets = look.by('subnet', 'subnetpool_id', pool.id);
  let taken = PrefixSet.EMPTY;
  for (const { id, cidr } of subnets) {
    const prefix = prefixOf(cidr);
    const rule = 'subnets of a pool are of its prefixes, and do not overlap';
    if (!all.covers(prefix)) yield { rule, detail: `${cidr} of subnet ${id} is not in [${pool.prefixes.join(', ')}]` };
    if (taken.overlaps(prefix)) yield { rule, detail: `${cidr} of subnet ${id} is that of another, too` };
    taken = taken.with(prefix);
  }
}
