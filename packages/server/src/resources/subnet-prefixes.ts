/** Where subnets lie: an order in which those of a network that overlap stand beside one another. */
import type { Compare } from '@cable/kit';
import { type AnyObject, cidrsOverlap, type IpPrefix, parseCidr } from '@cable/model';

/** Name of the order. No attribute can have it, so no list is sorted by it. */
export const PREFIX_ORDER = 'network_id, cidr';

/** By network, then by version, lowest address, length. What a prefix contains comes behind it, before anything that it does not contain. */
export const SUBNET_ORDERS: Readonly<Record<string, Compare<AnyObject>>> = {
  [PREFIX_ORDER]: (a, b) =>
    compare(String(a['network_id']), String(b['network_id'])) ||
    comparePrefixes(placeOf(a), placeOf(b)) ||
    compare(a.id, b.id),
};

/** True when both are of one network and have an address in common. */
export function overlaps(a: Readonly<Record<string, unknown>>, b: Readonly<Record<string, unknown>>): boolean {
  return a['network_id'] === b['network_id'] && cidrsOverlap(placeOf(a), placeOf(b));
}

/** By row, which never changes: an order compares each of them many times. */
const places = new WeakMap<object, IpPrefix>();

/** A stored row that is broken must have a place, too: `GET /cable/v1/check` tells of it. */
const NOWHERE: IpPrefix = { base: { version: 4, value: 0n }, prefixLength: 32 };

function placeOf(subnet: Readonly<Record<string, unknown>>): IpPrefix {
  const known = places.get(subnet);
  if (known !== undefined) return known;
  const prefix = parseCidr(String(subnet['cidr'])) ?? NOWHERE;
  places.set(subnet, prefix);
  return prefix;
}

function comparePrefixes(a: IpPrefix, b: IpPrefix): number {
  return a.base.version - b.base.version || compare(a.base.value, b.base.value) || a.prefixLength - b.prefixLength;
}

function compare<T extends string | bigint>(a: T, b: T): number {
  return a < b ? -1 : a === b ? 0 : 1;
}
