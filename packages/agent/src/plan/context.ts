import type { GroupSlice, HostSlice, NetworkSlice, PolicySlice, RouterSlice, Slice, SliceKey } from '@cable/model';
import type { LocalState } from './local.ts';
import { numberNames } from './numbers.ts';

/** The slices of one host by kind, with the cross-references that several map families need. */
export type PlanContext = {
  readonly local: LocalState;
  /** Undefined: the server has not sent it; then the host carries no port. */
  readonly host: HostSlice | undefined;
  /** Sorted by id, as are routers. */
  readonly networks: ReadonlyMap<string, NetworkSlice>;
  /** Routers that are administratively up: one that is down routes nothing and its addresses answer as a gateway without router. */
  readonly routers: ReadonlyMap<string, RouterSlice>;
  readonly policies: ReadonlyMap<SliceKey, PolicySlice>;
  readonly groups: ReadonlyMap<string, GroupSlice>;
  /** Host-local router numbers by router id. */
  readonly vrfs: ReadonlyMap<string, number>;
  /** Routers with an interface in the network, in id order, by network id. */
  readonly routersOf: ReadonlyMap<string, readonly RouterSlice[]>;
};

/** Sorts slices by kind; slices are visited in key order, so that the result does not depend on arrival. */
export function createContext(slices: ReadonlyMap<SliceKey, Slice>, local: LocalState): PlanContext {
  const networks = new Map<string, NetworkSlice>();
  const routers = new Map<string, RouterSlice>();
  const policies = new Map<SliceKey, PolicySlice>();
  const groups = new Map<string, GroupSlice>();
  let host: HostSlice | undefined;
  for (const key of [...slices.keys()].sort()) {
    const slice = slices.get(key);
    if (slice === undefined) continue;
    switch (slice.kind) {
      case 'host':
        if (slice.host === local.host) host = slice;
        break;
      case 'network':
        networks.set(slice.id, slice);
        break;
      case 'router':
        if (slice.adminStateUp) routers.set(slice.id, slice);
        break;
      case 'policy':
        policies.set(key, slice);
        break;
      case 'group':
        groups.set(slice.id, slice);
        break;
    }
  }
  const names = [...routers.keys()].map((id) => `router:${id}`);
  const numbers = numberNames(names);
  const vrfs = new Map([...routers.keys()].map((id) => [id, numbers.get(`router:${id}`) ?? 0] as const));
  return { local, host, networks, routers, policies, groups, vrfs, routersOf: indexRouters(routers) };
}

/** Networks that packets can come from with their own source address: the network itself and those joined to it by its routers; sorted. */
export function reachableNetworks(context: PlanContext, networkId: string): readonly string[] {
  const ids = new Set([networkId]);
  for (const router of context.routersOf.get(networkId) ?? []) {
    for (const one of router.interfaces) ids.add(one.networkId);
  }
  return [...ids].sort();
}

function indexRouters(routers: ReadonlyMap<string, RouterSlice>): Map<string, RouterSlice[]> {
  const index = new Map<string, RouterSlice[]>();
  for (const router of routers.values()) {
    for (const networkId of new Set(router.interfaces.map((one) => one.networkId))) {
      const list = index.get(networkId) ?? [];
      list.push(router);
      index.set(networkId, list);
    }
  }
  return index;
}
