import { CB_ROUTE_CONNECTED, CB_ROUTE_NEXTHOP, CB_ROUTE_SEVERAL } from '../bpf/abi.gen.ts';
import { NO_ADDRESS, type Prefix } from './address.ts';
import { encodeEntry, type KeyOf, type Planned, type ValueOf } from './entries.ts';
import type { Way } from './router-legs.ts';

/** Bits before the address in the key: the vrf. */
export const ROUTE_HEAD_BITS = 32;

/** Where a router's packets to a destination go. */
export type RouteTo = { readonly to: Prefix; readonly value: ValueOf<'cb_route_2'> };

/** A route of the router with this number. `nexthop` undefined: the destination is connected. */
export function routeEntry(vrf: number, to: Prefix, way: Way, nexthop?: Uint8Array): Planned {
  return entryTo(vrf, routeBy(to, way, nexthop));
}

/** The same, for `routeEntries`. */
export function routeBy(to: Prefix, { net, mtuBytes, mac }: Way, nexthop?: Uint8Array): RouteTo {
  const kind = nexthop === undefined ? CB_ROUTE_CONNECTED : CB_ROUTE_NEXTHOP;
  return {
    to,
    value: { kind, flags: 0, net, mtuBytes, mac, nexthop: nexthop ?? NO_ADDRESS, own: NO_ADDRESS, outside: 0 },
  };
}

/** Routes of the router with this number. Those to one destination are its several next hops; equal ones are one. */
export function routeEntries(vrf: number, routes: readonly RouteTo[]): readonly Planned[] {
  const byDestination = new Map<string, Map<string, RouteTo>>();
  for (const route of routes) {
    const { key, value } = entryTo(vrf, route);
    const same = byDestination.get(key) ?? new Map<string, RouteTo>();
    byDestination.set(key, same.set(value, route));
  }
  return [...byDestination.values()].flatMap((same) => {
    // In one order, whatever the order of the routes.
    const hops = [...same].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, route]) => route);
    const [first, second] = hops;
    if (first === undefined) return [];
    return second === undefined ? [entryTo(vrf, first)] : severalEntries(vrf, first, hops);
  });
}

function entryTo(vrf: number, { to, value }: RouteTo): Planned {
  return encodeEntry('cb_route_2', keyTo(vrf, to), value);
}

function severalEntries(vrf: number, { to, value: first }: RouteTo, hops: readonly RouteTo[]): readonly Planned[] {
  const flags = hops.reduce((all, { value }) => all & value.flags, first.flags);
  const value = {
    ...{ kind: CB_ROUTE_SEVERAL, flags, net: 0, mtuBytes: to.length },
    ...{ mac: new Uint8Array(6), nexthop: to.bytes, own: flags === 0 ? NO_ADDRESS : first.own, outside: 0 },
  };
  return [
    encodeEntry('cb_next_1', keyTo(vrf, to), { count: hops.length, hop: hops.map((one) => one.value) }),
    entryTo(vrf, { to, value }),
  ];
}

function keyTo(vrf: number, to: Prefix): KeyOf<'cb_route_2'> {
  return { prefixlen: ROUTE_HEAD_BITS + to.length, vrf, addr: to.bytes };
}
