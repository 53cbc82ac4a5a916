/** The addresses of a subnet: which there are, whose they may be, and which are given out by default. */
import {
  cidrContains,
  formatIp,
  type IpAddress,
  type IpPrefix,
  ipBits,
  lastIp,
  type Port,
  parseCidr,
  parseIp,
  type Subnet,
} from '@cable/model';
import { ROUTER_INTERFACE } from './device-owners.ts';

type Pool = Subnet['allocation_pools'][number];

/** First and last address, as numbers. */
export type Range = { readonly start: bigint; readonly end: bigint };

/** The prefix of a stored subnet. */
export function prefixOf(cidr: string): IpPrefix {
  const prefix = parseCidr(cidr);
  if (prefix === undefined) throw new Error(`stored cidr ${cidr} is not one`);
  return prefix;
}

/**
 * The addresses that machines may have: of IPv4 neither the first nor the last of a prefix up to /30; of IPv6 not the first of one up to /126, which
 * every router on the link answers to (RFC 4291 §2.6.1).
 */
export function hostRange(prefix: IpPrefix): Range {
  const [first, last] = [prefix.base.value, lastIp(prefix).value];
  if (prefix.prefixLength >= ipBits(prefix.base) - 1) return { start: first, end: last };
  return { start: first + 1n, end: prefix.base.version === 4 ? last - 1n : last };
}

/** True when a port may have the address. Only a router has the first of an IPv6 prefix. */
export function isPortAddress(prefix: IpPrefix, ip: IpAddress, owner: Port['device_owner']): boolean {
  if (!cidrContains(prefix, ip)) return false;
  if (ip.version === 6 && owner === ROUTER_INTERFACE) return true;
  const { start, end } = hostRange(prefix);
  return ip.value >= start && ip.value <= end;
}

/** True when the address is one that ports get of the subnet by default. */
export function isPooled({ allocation_pools: pools }: Pick<Subnet, 'allocation_pools'>, address: string): boolean {
  const ip = parseIp(address);
  return pools.some((pool) => {
    const [start, end] = [parseIp(pool.start), parseIp(pool.end)];
    if (ip === undefined || start === undefined || end === undefined || ip.version !== start.version) return false;
    return ip.value >= start.value && ip.value <= end.value;
  });
}

/** The first address of the prefix; null: it has one address only. */
export function defaultGateway({ base, prefixLength }: IpPrefix): string | null {
  if (prefixLength === ipBits(base)) return null;
  const isPair = base.version === 4 && prefixLength === 31;
  return formatIp({ version: base.version, value: base.value + (isPair ? 0n : 1n) });
}

/** Everything that machines may have but the gateway. */
export function defaultPools(prefix: IpPrefix, gateway: string | null): readonly Pool[] {
  const all = hostRange(prefix);
  const skip = gateway === null ? undefined : parseIp(gateway)?.value;
  const ranges =
    skip === undefined || skip < all.start || skip > all.end
      ? [all]
      : [
          { start: all.start, end: skip - 1n },
          { start: skip + 1n, end: all.end },
        ];
  const text = (value: bigint): string => formatIp({ version: prefix.base.version, value });
  return ranges
    .filter((range) => range.start <= range.end)
    .map(({ start, end }) => ({ start: text(start), end: text(end) }));
}
