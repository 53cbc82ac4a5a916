import type { NetworkSlice, RouterInterface, RouterSlice } from '@cable/model';
import { CB_ROUTE_CONNECTED, CB_ROUTE_NEXTHOP, MAPS } from '../bpf/abi.gen.ts';
import { contains, NO_ADDRESS, type Prefix, parseMac, parsePrefix } from './address.ts';
import type { PlanContext } from './context.ts';
import { encodeEntry, type Planned } from './entries.ts';

/** Bits before the address in the key: the vrf. */
const HEAD_BITS = 32;

/** Entries of cb_route_1 for one router: its interfaces' subnets, then its extra routes (a connected subnet wins over the same route). */
export function planRoutes(context: PlanContext, router: RouterSlice): readonly Planned[] {
  const vrf = context.vrfs.get(router.id) ?? 0;
  const legs = router.interfaces.flatMap((one) => leg(context, one) ?? []);
  const connected = legs.map((one) => route(vrf, one.prefix, one, NO_ADDRESS));
  const extra = router.routes.flatMap(({ destination, nexthop }) => {
    const prefix = parsePrefix(destination);
    const hop = parsePrefix(nexthop);
    const via = hop === undefined ? undefined : legs.find((one) => contains(one.prefix, hop));
    return prefix === undefined || hop === undefined || via === undefined ? [] : [route(vrf, prefix, via, hop.bytes)];
  });
  return [...connected, ...extra];
}

type Leg = { readonly network: NetworkSlice; readonly prefix: Prefix; readonly mac: Uint8Array };

/** Undefined: the network has not been received. */
function leg(context: PlanContext, one: RouterInterface): Leg | undefined {
  const network = context.networks.get(one.networkId);
  const prefix = parsePrefix(one.cidr);
  const mac = parseMac(one.macAddress);
  return network === undefined || prefix === undefined || mac === undefined ? undefined : { network, prefix, mac };
}

function route(vrf: number, prefix: Prefix, { network, mac }: Leg, nexthop: Uint8Array): Planned {
  const kind = nexthop === NO_ADDRESS ? CB_ROUTE_CONNECTED : CB_ROUTE_NEXTHOP;
  const key = { prefixlen: HEAD_BITS + prefix.length, vrf, addr: prefix.bytes };
  const value = { kind, vni: network.vni, mtuBytes: network.mtuBytes, mac, nexthop };
  return { map: 'cb_route_1', entry: encodeEntry(MAPS.cb_route_1, key, value) };
}
