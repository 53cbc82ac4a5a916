import { formatIp, type IpPrefix, parseIp, type Subnet } from '@cable/model';
import type { Planning } from '../engine/context.ts';
import { addressName } from './port-claims.ts';

type Range = { readonly start: bigint; readonly end: bigint };

/** A free address of the subnet's pools, reserved in the plan; undefined: none is free. Looks at few taken ones as a rule. */
export function allocateAddress(planning: Planning, subnet: Subnet, prefix: IpPrefix): string | undefined {
  const { deps, plan, attempt } = planning;
  const ranges = subnet.allocation_pools.flatMap((pool) => rangeOf(pool));
  const total = ranges.reduce((sum, range) => sum + range.end - range.start + 1n, 0n);
  if (total === 0n) return undefined;
  // A request for many that met a conflict goes on elsewhere, not everywhere: others would take one of a thousand scattered addresses meanwhile.
  const jumps = attempt > 0 && plan.isFirst(`address in ${subnet.id}`);
  const cursor = jumps ? undefined : deps.addresses.cursor(subnet.id);
  const start = cursor === undefined ? firstOffset(planning, total) : (offsetAfter(ranges, cursor) ?? 0n);
  for (let step = 0n; step < total; step += 1n) {
    const value = valueAt(ranges, (start + step) % total);
    const ip = { version: prefix.base.version, value };
    if (deps.addresses.holder(subnet.id, ip) !== undefined) continue;
    const text = formatIp(ip);
    if (plan.isReserved(addressName(subnet.id, text))) continue;
    deps.addresses.setCursor(subnet.id, value);
    plan.reserve(addressName(subnet.id, text));
    return text;
  }
  return undefined;
}

function rangeOf(pool: Subnet['allocation_pools'][number]): readonly Range[] {
  const [start, end] = [parseIp(pool.start), parseIp(pool.end)];
  return start === undefined || end === undefined ? [] : [{ start: start.value, end: end.value }];
}

/** After a conflict at random: servers that chose the same address choose different ones next. */
function firstOffset({ attempt, deps }: Planning, total: bigint): bigint {
  if (attempt === 0) return 0n;
  return (BigInt(Math.floor(deps.random() * 2 ** 48)) * total) >> 48n;
}

function offsetAfter(ranges: readonly Range[], value: bigint): bigint | undefined {
  let before = 0n;
  for (const { start, end } of ranges) {
    if (value >= start && value <= end) return before + value - start + 1n;
    before += end - start + 1n;
  }
  return undefined;
}

function valueAt(ranges: readonly Range[], offset: bigint): bigint {
  let rest = offset;
  for (const { start, end } of ranges) {
    const length = end - start + 1n;
    if (rest < length) return start + rest;
    rest -= length;
  }
  throw new Error(`no address at offset ${offset}`);
}
