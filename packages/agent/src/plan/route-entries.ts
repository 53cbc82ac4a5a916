import { CB_ROUTE_CONNECTED, CB_ROUTE_NEXTHOP } from '../bpf/abi.gen.ts';
import { NO_ADDRESS, type Prefix } from './address.ts';
import { encodeEntry, type Planned } from './entries.ts';
import type { Way } from './router-legs.ts';

/** Bits before the address in the key: the vrf. */
export const ROUTE_HEAD_BITS = 32;

/** A route of the router with this number. `nexthop` undefined: the destination is connected. */
export function routeEntry(vrf: number, to: Prefix, { net, mtuBytes, mac }: Way, nexthop?: Uint8Array): Planned {
  const kind = nexthop === undefined ? CB_ROUTE_CONNECTED : CB_ROUTE_NEXTHOP;
  const key = { prefixlen: ROUTE_HEAD_BITS + to.length, vrf, addr: to.bytes };
  const value = { kind, flags: 0, net, mtuBytes, mac, nexthop: nexthop ?? NO_ADDRESS, own: NO_ADDRESS, outside: 0 };
  return encodeEntry('cb_route_2', key, value);
}
